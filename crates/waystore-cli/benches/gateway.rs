//! Requests per second through the gateway: a static route to a cache, a hit in the worker's cache, plain proxying,
//! and a bare hyper server, in turn, so that their ratios hold though the numbers do not.
//!
//! `cargo bench -p waystore-cli --bench gateway`: about a minute. Everything, the load included, runs on this machine.
//! Each server is a process of its own, the bare one too: it is this program, started with `--hello`.
//! `-- --only TEXT` runs those whose names contain it, and prints their processes' numbers first: for a profiler.

mod support;

use std::{
    convert::Infallible,
    env, fs,
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
    runtime::Builder,
    task::JoinSet,
};

use support::{Result, Target, cpu_of, median, own_memory_kib, verdict};

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

/// The contenders; those before the last two have no target.
const NAMES: [&str; 5] = [
    "bare hyper",
    "plain proxying",
    "hit in the worker's cache",
    "static route, one rule, no log",
    "static route, ten rules, log",
];

/// What this program is started with to be the bare server.
const HELLO: &str = "--hello";

/// The program's own: for the bare server too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result {
    if env::args().any(|argument| argument == HELLO) {
        return Builder::new_multi_thread().enable_all().build()?.block_on(hello());
    }
    let only = env::args().skip_while(|argument| argument != "--only").nth(1).unwrap_or_default();
    let folder = tempfile::tempdir()?;
    let contenders = start(folder.path())?;
    let asked: Vec<_> = contenders.iter().filter(|contender| contender.name.contains(&only)).collect();
    if !only.is_empty() {
        asked.iter().for_each(|contender| println!("{}: process {}", contender.name, contender.process.id()));
    }

    let load = Builder::new_current_thread().enable_all().build()?;
    let mut rounds: Vec<_> = asked.iter().map(|_| Vec::new()).collect();
    for round in 0..=ROUNDS {
        for (contender, rounds) in asked.iter().zip(&mut rounds) {
            let measured = load.block_on(requests(contender))?;
            // The first round warms up: it waits for the worker, and fills the cache.
            if round > 0 {
                rounds.push(measured);
            }
        }
    }

    println!("{CONNECTIONS} connections, bodies of {} bytes; medians of {ROUNDS} rounds of {ROUND:?}\n", BODY.len());
    println!(
        "{:<32} {:>12} {:>14} {:>14} {:>20}",
        "", "requests/s", "CPU each, µs", "of bare hyper", "of plain proxying"
    );
    let medians: Vec<_> =
        asked.iter().zip(rounds).map(|(contender, rounds)| (contender.name, Round::median(&rounds))).collect();
    let rate_of = |name| medians.iter().find(|(known, _)| *known == name).map_or(f64::NAN, |(_, round)| round.rate);
    let (bare, proxying) = (rate_of(NAMES[0]), rate_of(NAMES[1]));
    for (name, Round { rate, cpu }) in &medians {
        let (of_bare, of_proxying) = (percent(*rate, bare), percent(*rate, proxying));
        println!("{name:<32} {rate:>12.0} {cpu:>14.2} {of_bare:>13.0}% {of_proxying:>19.0}%");
    }
    println!();
    for contender in &asked {
        println!(
            "after that, own memory of {}: {} KiB",
            contender.name,
            own_memory_kib(&contender.process.id().to_string())?
        );
    }
    if only.is_empty() {
        verdict("static route of bare hyper: one rule, no log", rate_of(NAMES[3]) / bare, "", Target::AtLeast(0.8));
        verdict("static route of bare hyper: ten rules, log", rate_of(NAMES[4]) / bare, "", Target::AtLeast(0.7));
    }
    Ok(())
}

/// All servers, in the order of their names.
fn start(folder: &Path) -> Result<[Server; 5]> {
    let script = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).map(|()| path)
    };
    let answering = script("sw.js", WORKER)?;
    let one_rule = script("one.js", &ROUTED.replace("RULES", RULE))?;
    let ten_rules = script("ten.js", &ROUTED.replace("RULES", &format!("[{OTHER_RULES}{RULE}]")))?;
    let hello = Server::start(NAMES[0], Command::new(env::current_exe()?).arg(HELLO))?;
    let upstream = format!("http://{}", hello.address);
    let gateway = |name, log: &str, worker: Option<&Path>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_waystore"));
        let data = folder.join(name);
        command.args(["serve", "--listen", "127.0.0.1:0", "--upstream", &upstream, "--data"]).arg(&data);
        match worker {
            Some(script) => command.arg("--worker").arg(script),
            None => command.arg("--no-worker"),
        };
        // To a file, as where a service manager keeps it.
        command.env("WAYSTORE_LOG", log).stderr(fs::File::create(data.with_extension("log"))?);
        Server::start(name, &mut command)
    };
    let proxy = gateway(NAMES[1], "warn", None)?;
    let cache = gateway(NAMES[2], "warn", Some(&answering))?;
    let one = gateway(NAMES[3], "warn", Some(&one_rule))?;
    let ten = gateway(NAMES[4], "info", Some(&ten_rules))?;
    Ok([hello, proxy, cache, one, ten])
}

/// A server that does as little as one can, on a thread for each processor. Prints where.
async fn hello() -> Result {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let _ = stream.set_nodelay(true);
        let answer = service_fn(|_: Request<Incoming>| async {
            let mut response = Response::new(Full::new(Bytes::from_static(BODY)));
            response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/html"));
            Ok::<_, Infallible>(response)
        });
        tokio::spawn(server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}

/// A running server; ends with this.
struct Server {
    name: &'static str,
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let address = printed_address(&mut process).inspect_err(|_| {
            // Whoever reads the error learns more from it than from a second one.
            let _ = process.kill();
        })?;
        Ok(Self { name, process, address })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address in the first line of output that has one.
fn printed_address(process: &mut Child) -> Result<SocketAddr> {
    let output = process.stdout.take().ok_or("the server has no stdout")?;
    let (found, address) = mpsc::channel();
    std::thread::spawn(move || {
        // Reads on after it has the address: a full pipe would stop the server.
        for line in BufReader::new(output).lines().map_while(std::io::Result::ok) {
            if let Some(port) = line.split("http://").nth(1).and_then(port_of) {
                let _ = found.send(SocketAddr::from(([127, 0, 0, 1], port)));
            }
        }
    });
    Ok(address.recv_timeout(START).map_err(|_| "the server printed no address")?)
}

/// The port in `localhost:8080/ and more`.
fn port_of(authority: &str) -> Option<u16> {
    let after = authority.split_once(':')?.1;
    after.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

/// What one contender did in a round.
#[derive(Debug, Clone, Copy)]
struct Round {
    /// Requests in a second.
    rate: f64,
    /// The processor time of its process for each request, in microseconds.
    cpu: f64,
}

impl Round {
    fn median(rounds: &[Self]) -> Self {
        let cpu = median(rounds.iter().map(|round| round.cpu).collect());
        Self { rate: median(rounds.iter().map(|round| round.rate).collect()), cpu }
    }
}

async fn requests(of: &Server) -> Result<Round> {
    let process = of.process.id().to_string();
    let (began, used) = (Instant::now(), cpu_of(&process, |_| true)?);
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        connections.spawn(connection(of.address, began + ROUND));
    }
    let mut answers = 0;
    while let Some(counted) = connections.join_next().await {
        answers += counted??;
    }
    let answers = f64::from(answers);
    let (took, used) = (began.elapsed(), cpu_of(&process, |_| true)?.saturating_sub(used));
    Ok(Round { rate: answers / took.as_secs_f64(), cpu: used.as_secs_f64() * 1e6 / answers })
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
