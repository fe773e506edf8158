//! Requests per second through the gateway: a static route to a cache, a hit in the worker's cache, plain proxying,
//! and a bare hyper server, in turn, so that their ratios hold though the numbers do not.
//!
//! `cargo bench -p waystore-cli --bench gateway`: about a minute. Everything, the load included, runs on this machine.

mod support;

use std::{
    convert::Infallible,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::{Request, Response, body::Incoming, client, header, server, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    task::JoinSet,
};

use support::{Result, Target, median, own_memory_kib, verdict};

/// Keep-alive connections, each with one request under way.
const CONNECTIONS: usize = 32;
const ROUND: Duration = Duration::from_secs(1);
/// Rounds of each contender; the median of them counts.
const ROUNDS: usize = 9;
const BODY: &[u8] = &[b'x'; 4096];
/// How long a gateway may take to its address, and the worker to its first answer.
const START: Duration = Duration::from_secs(60);

/// Answers from the cache whatever it has answered before.
const WORKER: &str = r#"
self.addEventListener("install", (event) => event.waitUntil(self.skipWaiting()));
self.addEventListener("fetch", (event) => event.respondWith(answer(event)));

async function answer(event) {
  const cached = await caches.match(event.request);
  if (cached) {
    return cached;
  }
  const response = await fetch(event.request);
  const cache = await caches.open("v1");
  await cache.put(event.request, response.clone());
  return response;
}
"#;

/// Fills its cache when it is installed; `RULES` are in the place of the rules.
const ROUTED: &str = r#"
self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.addRoutes(RULES);
  event.waitUntil(caches.open("v1").then((cache) => cache.add("/page")));
});
"#;

/// A rule that leads to the cache.
const RULE: &str = r#"{ condition: { urlPattern: "/page" }, source: { cacheName: "v1" } }"#;

/// Nine that do not, of several kinds.
const OTHER_RULES: &str = r#"
  { condition: { urlPattern: "/images/*" }, source: "cache" },
  { condition: { urlPattern: "/fonts/:name.woff2" }, source: "cache" },
  { condition: { urlPattern: { search: "fresh=*" } }, source: "network" },
  { condition: { urlPattern: "/api/*", requestMethod: "get" }, source: "network" },
  { condition: { requestMethod: "post" }, source: "network" },
  { condition: { requestMode: "navigate" }, source: "network" },
  { condition: { requestDestination: "video" }, source: "network" },
  { condition: { or: [{ urlPattern: "/a/*" }, { urlPattern: "/b/*" }] }, source: "network" },
  { condition: { not: { requestMethod: "get" } }, source: "network" },
"#;

fn main() -> Result {
    let folder = tempfile::tempdir()?;
    let script = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).map(|()| path)
    };
    let answering = script("sw.js", WORKER)?;
    let one_rule = script("one.js", &ROUTED.replace("RULES", RULE))?;
    let ten_rules = script("ten.js", &ROUTED.replace("RULES", &format!("[{OTHER_RULES}{RULE}]")))?;
    let servers = Builder::new_multi_thread().enable_all().build()?;
    let hello = servers.block_on(hello(&servers))?;
    let upstream = format!("http://{hello}");

    let start = |name: &str, log: &str, worker: Option<&Path>| {
        Gateway::start(&upstream, &folder.path().join(name), log, worker)
    };
    let proxy = start("proxy", "warn", None)?;
    let cache = start("cache", "warn", Some(&answering))?;
    let one = start("one", "warn", Some(&one_rule))?;
    let ten = start("ten", "info", Some(&ten_rules))?;
    let contenders = [
        ("bare hyper", hello),
        ("plain proxying", proxy.address),
        ("hit in the worker's cache", cache.address),
        ("static route, one rule, no log", one.address),
        ("static route, ten rules, log", ten.address),
    ];

    let load = Builder::new_current_thread().enable_all().build()?;
    let mut rates = contenders.map(|_| Vec::new());
    for round in 0..=ROUNDS {
        for ((_, address), rates) in contenders.iter().zip(&mut rates) {
            let rate = load.block_on(requests_per_second(*address))?;
            // The first round warms up: it waits for the worker, and fills the cache.
            if round > 0 {
                rates.push(rate);
            }
        }
    }

    let medians = rates.map(median);
    println!("{CONNECTIONS} connections, bodies of {} bytes; medians of {ROUNDS} rounds of {ROUND:?}\n", BODY.len());
    println!("{:<32} {:>12} {:>16} {:>20}", "", "requests/s", "of bare hyper", "of plain proxying");
    for ((name, _), rate) in contenders.iter().zip(medians) {
        println!("{name:<32} {rate:>12.0} {:>15.0}% {:>19.0}%", percent(rate, medians[0]), percent(rate, medians[1]));
    }
    let memory = |gateway: &Gateway| own_memory_kib(&gateway.process.id().to_string());
    println!("\nafter that, own memory: proxying {} KiB, with a worker {} KiB\n", memory(&proxy)?, memory(&cache)?);
    verdict("static route of bare hyper: one rule, no log", medians[3] / medians[0], "", Target::AtLeast(0.8));
    verdict("static route of bare hyper: ten rules, log", medians[4] / medians[0], "", Target::AtLeast(0.7));
    Ok(())
}

/// A server that does as little as one can, on a thread for each processor.
async fn hello(servers: &Runtime) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    servers.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let answer = service_fn(|_: Request<Incoming>| async {
                let mut response = Response::new(Full::new(Bytes::from_static(BODY)));
                response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/html"));
                Ok::<_, Infallible>(response)
            });
            tokio::spawn(server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
    Ok(address)
}

/// A running `waystore serve`; ends with this.
struct Gateway {
    process: Child,
    address: SocketAddr,
}

impl Gateway {
    fn start(upstream: &str, data: &Path, log: &str, worker: Option<&Path>) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_waystore"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--upstream", upstream, "--data"]).arg(data);
        match worker {
            Some(script) => command.arg("--worker").arg(script),
            None => command.arg("--no-worker"),
        };
        command.env("WAYSTORE_LOG", log).stdin(Stdio::null()).stdout(Stdio::piped());
        // As where a service manager keeps it.
        command.stderr(std::fs::File::create(data.with_extension("log"))?);
        let mut process = command.spawn()?;
        let address = printed_address(&mut process).inspect_err(|_| {
            // Whoever reads the error learns more from it than from a second one.
            let _ = process.kill();
        })?;
        Ok(Self { process, address })
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address in the first line of output that has one.
fn printed_address(process: &mut Child) -> Result<SocketAddr> {
    let output = process.stdout.take().ok_or("the gateway has no stdout")?;
    let (found, address) = mpsc::channel();
    std::thread::spawn(move || {
        // Reads on after it has the address: a full pipe would stop the gateway.
        for line in BufReader::new(output).lines().map_while(std::io::Result::ok) {
            if let Some(port) = line.split("http://").nth(1).and_then(port_of) {
                let _ = found.send(SocketAddr::from(([127, 0, 0, 1], port)));
            }
        }
    });
    Ok(address.recv_timeout(START).map_err(|_| "the gateway printed no address")?)
}

/// The port in `localhost:8080/ and more`.
fn port_of(authority: &str) -> Option<u16> {
    let after = authority.split_once(':')?.1;
    after.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

async fn requests_per_second(address: SocketAddr) -> Result<f64> {
    let began = Instant::now();
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        connections.spawn(connection(address, began + ROUND));
    }
    let mut answers = 0;
    while let Some(counted) = connections.join_next().await {
        answers += counted??;
    }
    Ok(f64::from(answers) / began.elapsed().as_secs_f64())
}

/// Asks until `end`, one request after the other, and checks each answer.
async fn connection(address: SocketAddr, end: Instant) -> Result<u32> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut answers = 0;
    while Instant::now() < end {
        let request = Request::get("/page").header(header::HOST, address.to_string()).body(Empty::<Bytes>::new())?;
        let response = tokio::time::timeout(START, sender.send_request(request)).await??;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if status != 200 || body != BODY {
            return Err(format!("answer {status} with {} bytes", body.len()).into());
        }
        answers += 1;
    }
    Ok(answers)
}

fn percent(rate: f64, of: f64) -> f64 {
    100.0 * rate / of
}
