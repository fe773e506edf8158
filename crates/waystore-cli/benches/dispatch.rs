//! What a fetch event costs: the processor time of the thread with the script, and how long it takes
//! until the answer is there, against the same look-up by the library alone.
//!
//! `cargo bench -p waystore-cli --bench dispatch`: a quarter of a minute. Writes to a temporary directory.
//! `-- --only NAME --events N` sends so many events of one kind and prints nothing: for a profiler that counts
//! instructions, once with few and once with many, so that the difference is theirs.

mod support;

use std::{
    env,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::runtime::{Builder, Runtime};
use url::Url;
use waystore::{
    CacheStorage, Clock, Fetch, FetchError, MultiCacheQueryOptions, Request, Response, ResponseType, Waystore,
};
use waystore_worker::{FetchEvent, FetchOutcome, Site, SiteHost, SiteOptions};

use support::{Result, Target, median, verdict, worker_cpu};

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ORIGIN: &str = "https://shop.example";
const ENTRIES: u64 = 1_000;
const BODY: usize = 1024;
/// Events under way at a time, where several are.
const AT_A_TIME: usize = 32;
/// Events in a round, and rounds of each contender; the median of them counts.
const EVENTS: u64 = 2_000;
const ROUNDS: usize = 15;

const SCRIPT: &str = r#"
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("fetch", (event) => {
  const { url } = event.request;
  if (url.includes("/products/")) {
    event.respondWith(caches.match(event.request));
  } else if (url.endsWith("/made")) {
    event.respondWith(new Response("made"));
  } else if (url.includes("/read/")) {
    event.respondWith(read(event.request.url.replace("read", "products")));
  }
});

async function read(url) {
  const found = await caches.match(url);
  const text = await found.text();
  return new Response(text, { headers: found.headers });
}
"#;

/// A way to be answered.
struct Kind {
    name: &'static str,
    path: fn(u64) -> String,
    is_right: fn(&FetchOutcome) -> bool,
    /// Of the worker's processor time, in microseconds.
    target: Option<f64>,
}

const KINDS: [Kind; 4] = [
    Kind { name: "nobody answers", path: |_| "/left-alone".to_owned(), is_right: is_left_alone, target: None },
    Kind { name: "a new Response", path: |_| "/made".to_owned(), is_right: is_answer, target: Some(4.0) },
    Kind { name: "a hit in the cache", path: product, is_right: is_answer, target: Some(8.0) },
    Kind {
        name: "a hit, through text() and out again",
        path: |number| product(number).replace("products", "read"),
        is_right: is_answer,
        target: None,
    },
];

/// What one event took, in microseconds.
#[derive(Debug, Default, Clone)]
struct Samples {
    alone: Vec<f64>,
    together: Vec<f64>,
    cpu_alone: Vec<f64>,
    cpu_together: Vec<f64>,
}

fn main() -> Result {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let (site, caches) = runtime.block_on(open(folder.path()))?;

    if let Some((kind, events)) = profiled()? {
        dispatch(&runtime, &site, kind, AT_A_TIME, events)?;
        runtime.block_on(site.close(Duration::from_secs(5)));
        return Ok(());
    }

    let mut look_ups = Vec::new();
    let mut samples = vec![Samples::default(); KINDS.len()];
    for round in 0..=ROUNDS {
        let look_up = time(|| look_up(&runtime, &caches))?.0;
        for (kind, samples) in KINDS.iter().zip(&mut samples) {
            let (alone, cpu_alone) = time(|| dispatch(&runtime, &site, kind, 1, EVENTS))?;
            let (together, cpu_together) = time(|| dispatch(&runtime, &site, kind, AT_A_TIME, EVENTS))?;
            // The first round warms up.
            if round > 0 {
                samples.alone.push(alone);
                samples.cpu_alone.push(cpu_alone);
                samples.together.push(together);
                samples.cpu_together.push(cpu_together);
            }
        }
        look_ups.push(look_up);
    }

    println!(
        "{ENTRIES} entries on disk, bodies of {BODY} bytes; medians of {ROUNDS} rounds of {EVENTS} events, in µs\n"
    );
    println!("{:<38} {:>18} {:>22}", "", "one at a time", format!("{AT_A_TIME} at a time"));
    println!("{:<38} {:>9} {:>8} {:>13} {:>8}", "", "time", "CPU", "time", "CPU");
    println!("{:<38} {:>9.2}", "library alone: match", median(look_ups));
    let mut verdicts = Vec::new();
    for (kind, samples) in KINDS.iter().zip(samples) {
        let Samples { alone, together, cpu_alone, cpu_together } = samples;
        let [alone, together, cpu_alone, cpu] = [alone, together, cpu_alone, cpu_together].map(median);
        println!("{:<38} {alone:>9.2} {cpu_alone:>8.2} {together:>13.2} {cpu:>8.2}", format!("event: {}", kind.name));
        verdicts.extend(kind.target.map(|target| (kind.name, cpu, target)));
    }
    println!("\nCPU is the worker's thread alone.");
    for (name, cpu, target) in verdicts {
        verdict(&format!("CPU of an event, {AT_A_TIME} at a time: {name}"), cpu, "µs", Target::AtMost(target));
    }
    runtime.block_on(site.close(Duration::from_secs(5)));
    Ok(())
}

/// The one kind of event to send, and how many, where the command line asks for that.
fn profiled() -> Result<Option<(&'static Kind, u64)>> {
    let arguments: Vec<_> = env::args().filter(|argument| argument != "--bench").skip(1).collect();
    let [only, name, events, number] = &arguments[..] else { return Ok(None) };
    if only != "--only" || events != "--events" {
        return Err("it takes `--only NAME --events N`, or nothing".into());
    }
    let kind = KINDS.iter().find(|kind| kind.name == name).ok_or("there is no kind of event of that name")?;
    Ok(Some((kind, number.parse()?)))
}

async fn open(folder: &Path) -> Result<(Site, CacheStorage)> {
    let store = Waystore::open(folder.join("data")).await?;
    let caches = store.caches(ORIGIN)?;
    let cache = caches.open("v1").await?;
    for number in 0..ENTRIES {
        cache.put(product(number), Response::new(vec![b'x'; BODY]).header("content-type", "text/html")).await?;
    }
    let options = SiteOptions::new(Url::parse(ORIGIN)?.join("/sw.js")?);
    let host = SiteHost {
        fetch: Arc::new(OnlyTheScript),
        clock: Arc::new(Clock::system()),
        console: Arc::new(|line| eprintln!("{}", line.text)),
        prefetch: None,
    };
    let site = Site::open(options, &store, host).await?;
    site.ready().await?;
    Ok((site, caches))
}

/// A network that has the worker's script and nothing else.
struct OnlyTheScript;

#[async_trait]
impl Fetch for OnlyTheScript {
    async fn fetch(&self, request: Request) -> std::result::Result<Response, FetchError> {
        if request.url.path() != "/sw.js" {
            return Err(FetchError::Network("nothing here but the script".to_owned()));
        }
        let mut response = Response::new(SCRIPT).header("content-type", "text/javascript");
        response.head.kind = ResponseType::Basic;
        response.head.url_list = vec![request.head.url];
        Ok(response)
    }
}

fn product(number: u64) -> String {
    // A step that shares no factor with the number of entries visits them all.
    format!("/products/{}", number * 7919 % ENTRIES)
}

fn request(path: &str) -> Result<Request> {
    Ok(Request::get(&format!("{ORIGIN}{path}"))?.header("accept", "*/*"))
}

/// Microseconds that one of a round's events took, and that its thread worked for it.
fn time(work: impl FnOnce() -> Result) -> Result<(f64, f64)> {
    let (began, used) = (Instant::now(), worker_cpu()?);
    work()?;
    let (took, used) = (began.elapsed(), worker_cpu()?.saturating_sub(used));
    Ok((micros(took) / EVENTS as f64, micros(used) / EVENTS as f64))
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn look_up(runtime: &Runtime, caches: &CacheStorage) -> Result {
    runtime.block_on(async {
        for number in 0..EVENTS {
            let found = caches.match_(&request(&product(number))?, MultiCacheQueryOptions::default()).await?;
            found.ok_or("a look-up that must hit missed")?;
        }
        Ok(())
    })
}

fn dispatch(runtime: &Runtime, site: &Site, kind: &Kind, at_a_time: usize, events: u64) -> Result {
    let one = |number| async move {
        let request = request(&(kind.path)(number))?;
        let event = FetchEvent { request, client_id: String::new(), resulting_client_id: String::new() };
        let outcome = site.fetch(event).await;
        if (kind.is_right)(&outcome) { Ok(()) } else { Err(format!("an unexpected outcome: {outcome:?}").into()) }
    };
    runtime.block_on(stream::iter(0..events).map(one).buffer_unordered(at_a_time).try_for_each(async |()| Ok(())))
}

fn is_left_alone(outcome: &FetchOutcome) -> bool {
    matches!(outcome, FetchOutcome::Fallback { .. })
}

fn is_answer(outcome: &FetchOutcome) -> bool {
    matches!(outcome, FetchOutcome::Response { response, .. } if response.head.status == 200)
}
