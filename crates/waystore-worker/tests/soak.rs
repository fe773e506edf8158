//! Mixed events for a while, with updates, rollbacks and restarts in between: nothing is lost, and nothing grows.
//!
//! Ten seconds by default; `scripts/soak` runs it for longer. In a process of its own, whose memory, threads and
//! open files it looks at; beside these it counts what is alive: tasks, bodies, ends of ports, and whoever holds
//! the network, which every worker and every isolate does.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use support::World;
use waystore::{AbortSignal, Body, Request, Waystore};
use waystore_worker::{FetchEvent, FetchOutcome, MessageEvent, MessagePort, Site, SiteHost, Updated, WorkerState};

/// The program's own: threads come and go here, and the C library's keeps for each what it freed.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// From here on memory may grow no more, in a run that is long enough.
const SETTLED: Duration = Duration::from_secs(120);
/// The most that it may grow after that.
const GROWTH: f64 = 1.05;
/// Looks at the memory that are compared, after `SETTLED` and at the end, each by its median: the allocator keeps up to a
/// tenth more or less from one look to the next, in no order.
const LOOKS: usize = 9;
/// How long nothing may have become less before what is held counts as held.
const REST: Duration = Duration::from_millis(2500);

fn script(version: u64) -> String {
    format!(
        r#"
        importScripts("/lib.js");
        const CACHE = "v{version}";
        oninstall = e => {{ skipWaiting(); e.waitUntil(caches.open(CACHE).then(c => c.addAll(["/a", "/b"]))) }};
        onactivate = e => e.waitUntil(caches.keys().then(names =>
          Promise.all(names.filter(name => name !== CACHE && name !== "pages").map(name => caches.delete(name)))));
        onmessage = e => {{
          e.ports[0].onmessage = ({{ data }}) => e.ports[0].postMessage(data);
          e.waitUntil(caches.open("pages").then(c => c.put("/told", new Response(JSON.stringify(e.data)))));
        }};
        onfetch = e => {{
          const path = new URL(e.request.url).pathname;
          if (path === "/left") return;
          if (path === "/throws") throw new Error("thrown");
          if (path === "/rejects") return e.respondWith(Promise.reject(new Error("rejected")));
          if (path === "/never") return e.respondWith(new Promise((_, no) => e.request.signal.onabort = no));
          if (path === "/post") return e.respondWith(e.request.text().then(text => new Response(reversed(text))));
          if (path === "/streamed") return e.respondWith(new Response(new ReadableStream({{
            start(c) {{ this.n = 0 }},
            async pull(c) {{ if (this.n++ < 8) c.enqueue(new Uint8Array(4096)); else c.close() }} }})));
          if (path === "/later") return e.respondWith(new Promise(r => setTimeout(() => r(new Response("later")), 5)));
          if (path === "/busy") {{ for (let n = 0; n < 200000; n++) path.length; return e.respondWith(new Response("busy")) }}
          e.respondWith(caches.match(e.request).then(async hit => {{
            if (hit) return hit;
            const response = await fetch(e.request);
            e.waitUntil(caches.open("pages").then(c => c.put(e.request, response.clone())));
            return response;
          }}));
        }};"#
    )
}

/// Opens the site with a console that keeps nothing.
async fn ready(world: &World) -> Site {
    let host = SiteHost { console: Arc::new(|_| {}), ..world.host() };
    let site = Site::open(world.options(), &world.store, host).await.unwrap();
    site.ready().await.unwrap();
    site
}

/// Does the event of number `n`; whether its outcome is right.
async fn event(site: &Site, n: u64, bodies: &Arc<()>) -> bool {
    let path =
        ["/a", "/left", "/throws", "/rejects", "/never", "/post", "/streamed", "/later", "/busy", "/page", "/a", "/b"]
            [usize::try_from(n % 12).unwrap()];
    let path = if path == "/page" { format!("/page/{}", n % 64) } else { path.to_owned() };
    let signal = AbortSignal::new();
    let mut request = Request { signal: Some(signal.clone()), ..support::get(&path) };
    if path == "/post" {
        request.head.method = http::Method::POST;
        let alive = Arc::clone(bodies);
        let chunks = futures::stream::iter(["abc", "def"]).map(move |chunk| {
            let _alive = &alive;
            Ok(chunk.into())
        });
        request.body = Some(Body::from_stream(chunks, None));
    }
    let asked = site.fetch(FetchEvent::of(request));
    let outcome = if path == "/never" {
        let ((), outcome) = tokio::join!(
            async {
                tokio::time::sleep(Duration::from_millis(2)).await;
                signal.abort();
            },
            asked
        );
        outcome
    } else {
        asked.await
    };
    match outcome {
        FetchOutcome::Response { response, .. } => {
            let body = response.body.unwrap_or_default().collect(1 << 20).await;
            let length = body.map_or(0, |body| body.len());
            match path.as_str() {
                "/post" => length == 6,
                "/streamed" => length == 8 * 4096,
                "/left" | "/throws" | "/rejects" | "/never" => false,
                _ => length > 0,
            }
        }
        FetchOutcome::Fallback { .. } => matches!(path.as_str(), "/left" | "/throws" | "/never"),
        FetchOutcome::NetworkError { .. } => matches!(path.as_str(), "/rejects" | "/never"),
        FetchOutcome::TimedOut { .. } => false,
    }
}

/// A second of events, eight visitors at a time; how many there were.
async fn second(site: &Site, from: u64, bodies: &Arc<()>) -> u64 {
    let until = Instant::now() + Duration::from_secs(1);
    let visitors = (0..8).map(|visitor| async move {
        let mut done = 0;
        while Instant::now() < until {
            let n = from + done * 8 + visitor;
            assert!(event(site, n, bodies).await, "event {n}: {:?}", site.status());
            done += 1;
        }
        done
    });
    futures::future::join_all(visitors).await.into_iter().sum()
}

/// Sends a message with a port, and one more through that port; the answer comes back through it.
async fn talk(site: &Site, round: u64) -> MessagePort {
    let (mut mine, theirs) = MessagePort::channel();
    let data = serde_json::json!({ "round": round });
    site.message(MessageEvent { data: data.clone().into(), ports: vec![theirs] }).await.unwrap();
    mine.post(data.clone().into()).unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(20), mine.receive()).await.unwrap().unwrap();
    assert_eq!(answer.data.to_json(), Some(data));
    mine
}

/// What the process holds: resident memory that is its own in KiB, and everything that there is a number of.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Held {
    memory: u64,
    alive: Alive,
}

/// What is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Alive {
    threads: u64,
    /// Open files that are not of the data directory, whose log has as many as it is long.
    files: usize,
    tasks: usize,
    /// Who holds the network: the site, its workers, their isolates, fetches under way.
    networks: usize,
    /// Request bodies.
    bodies: usize,
    /// Ends of ports that are in scripts.
    ports: usize,
}

/// Everything whose holders are counted.
struct Watched<'a> {
    world: &'a World,
    data: &'a Path,
    bodies: Arc<()>,
    /// The other ends of those that scripts have, or had.
    ports: Vec<MessagePort>,
}

impl Watched<'_> {
    fn held(&self) -> Held {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let files = fs::read_dir("/proc/self/fd").unwrap().filter_map(|file| fs::read_link(file.unwrap().path()).ok());
        let alive = Alive {
            threads: number("Threads:"),
            files: files.filter(|file| !file.starts_with(self.data)).count(),
            tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
            networks: Arc::strong_count(&self.world.net),
            bodies: Arc::strong_count(&self.bodies) - 1,
            ports: self.ports.iter().filter(|port| !port.is_closed()).count(),
        };
        Held { memory: number("RssAnon:"), alive }
    }

    /// What is held while nothing runs: the isolates stopped, their threads are gone, and the allocator gave back
    /// what it keeps for a second.
    async fn held_at_rest(&self, site: &Site) -> Held {
        let deadline = Instant::now() + Duration::from_secs(30);
        while site.status().active.is_some_and(|worker| worker.running || worker.events > 0) {
            assert!(Instant::now() < deadline, "{:?}", site.status());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut last = self.held();
        let mut same_since = Instant::now();
        while same_since.elapsed() < REST && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(100)).await;
            // The allocator gives back when something is freed.
            drop(std::hint::black_box(vec![1_u8; 1 << 20]));
            let now = self.held();
            if now.alive != last.alive || now.memory < last.memory {
                same_since = Instant::now();
                last = now;
            }
        }
        last
    }
}

#[test]
fn nothing_is_lost_and_nothing_grows() {
    // Threads of the blocking pool that have nothing to do are gone when they are counted.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().thread_keep_alive(Duration::from_millis(50));
    runtime.build().unwrap().block_on(soak());
}

async fn soak() {
    let seconds = std::env::var("WAYSTORE_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let length = Duration::from_secs(seconds);
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::with(&script(1));
    world.limits = waystore_worker::Limits { idle: Duration::from_millis(300), isolates: 2, ..Default::default() };
    world.clock = Arc::new(waystore::Clock::system());
    world.net.script("/lib.js", "self.reversed = text => [...text].reverse().join('')");
    for path in ["/a", "/b"].into_iter().map(str::to_owned).chain((0..64).map(|page| format!("/page/{page}"))) {
        world.net.text(&path, &"words ".repeat(400));
    }
    world.store = Waystore::open(folder.path()).await.unwrap();

    let mut watched = Watched { world: &world, data: folder.path(), bodies: Arc::default(), ports: Vec::new() };
    let (mut site, began) = (ready(&world).await, Instant::now());
    let (mut events, mut version, mut rounds) = (0, 1, 0_u64);
    let mut looks = Vec::new();
    while began.elapsed() < length {
        events += second(&site, events, &watched.bodies).await;
        watched.ports.push(talk(&site, rounds).await);
        rounds += 1;
        match rounds % 5 {
            1 => {
                version += 1;
                world.net.script("/sw.js", &script(version));
                assert!(matches!(site.update(false).await, Ok(Updated::Installed { .. })));
            }
            2 => drop(site.rollback().await.unwrap()),
            3 => {
                site.switch_off().await.unwrap();
                site.switch_on().await.unwrap();
            }
            4 => {
                site.close(Duration::from_secs(30)).await;
                site = ready(&world).await;
            }
            _ => {
                let held = watched.held_at_rest(&site).await;
                if seconds > 60 {
                    println!("{:4} s: {events} events, {held:?}", began.elapsed().as_secs());
                }
                if began.elapsed() >= SETTLED.min(length / 2) {
                    looks.push(held);
                }
                watched.ports.clear();
            }
        }
        world.net.forget();
        // What was installed last is active, or about to be.
        while site.status().active.is_none_or(|worker| worker.state != WorkerState::Activated) {
            tokio::task::yield_now().await;
        }
    }
    let (settled, end) = (looks.first().expect("it ran for five rounds"), watched.held_at_rest(&site).await);
    assert_eq!(end.alive, settled.alive);
    looks.push(end);
    let looks: Vec<_> = looks.iter().map(|held| held.memory).collect();
    let (before, after) = (median(looks.iter().take(LOOKS)), median(looks.iter().rev().take(LOOKS)));
    println!(
        "{events} events in {rounds} rounds, {version} versions, {end:?}; memory first {before}, last {after} KiB"
    );
    if length > SETTLED {
        assert!(after as f64 <= before as f64 * GROWTH, "{before} KiB became {after} KiB: {looks:?}");
    }
    site.close(Duration::from_secs(5)).await;
}

fn median<'a>(looks: impl Iterator<Item = &'a u64>) -> u64 {
    let mut looks: Vec<_> = looks.copied().collect();
    looks.sort_unstable();
    looks[looks.len() / 2]
}
