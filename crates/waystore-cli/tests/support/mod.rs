//! A gateway in a process of its own, an upstream in this one, and a client that shows what came.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    missing_debug_implementations,
    reason = "each test file uses a part of it"
)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    future::Future,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Output, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

/// Longer than anything takes that works.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub type Answer = Response<BoxBody<Bytes, std::io::Error>>;

/// A response with this status and text.
pub fn text(status: u16, text: impl Into<Bytes>) -> Answer {
    let body = Full::new(text.into()).map_err(|never| match never {}).boxed();
    Response::builder().status(status).body(body).unwrap()
}

/// `text` with headers.
pub fn with(mut answer: Answer, headers: &[(&'static str, &str)]) -> Answer {
    for (name, value) in headers {
        answer.headers_mut().append(*name, value.parse().unwrap());
    }
    answer
}

/// Serves HTTP/1.1 at a free port.
pub async fn upstream<F, A>(handler: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Answer> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let handler = handler.clone();
            let service = service_fn(move |request| {
                let answer = handler(request);
                async move { Ok::<_, std::convert::Infallible>(answer.await) }
            });
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection.with_upgrades());
        }
    });
    address
}

/// Accepts connections at a free port and leaves them to `talk`.
pub async fn raw_upstream<F, A>(talk: F) -> SocketAddr
where
    F: Fn(TcpStream) -> A + Send + Sync + 'static,
    A: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream));
        }
    });
    address
}

/// What was sent to an upstream.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<(String, HeaderMap)>>>);

impl Seen {
    pub fn note(&self, request: &Request<Incoming>) {
        self.0.lock().unwrap().push((request.uri().path().to_owned(), request.headers().clone()));
    }

    pub fn count(&self, path: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|(seen, _)| seen == path).count()
    }

    /// The headers of the last request for `path`.
    pub fn last(&self, path: &str) -> HeaderMap {
        let seen = self.0.lock().unwrap();
        seen.iter().rev().find(|(seen, _)| seen == path).unwrap_or_else(|| panic!("{path} was not asked for")).1.clone()
    }
}

/// The program, its data directory in a temporary folder.
pub fn waystore(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waystore"));
    command.args(arguments).env_remove("WAYSTORE_LOG");
    command
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Output {
    waystore(arguments).output().unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A gateway that runs.
pub struct Gateway {
    child: Child,
    pub address: SocketAddr,
    pub greeting: String,
    log: mpsc::Receiver<Value>,
    home: PathBuf,
    _folder: Option<tempfile::TempDir>,
}

impl Gateway {
    /// `waystore serve` with these flags and a data directory of its own.
    pub fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut gateway = Self::start_in(folder.path(), flags);
        gateway._folder = Some(folder);
        gateway
    }

    /// A plain proxy in front of `upstream`.
    pub fn proxy(upstream: SocketAddr, flags: &[&str]) -> Self {
        let upstream = format!("http://{upstream}");
        Self::start(&[&["--no-worker", "--upstream", &upstream], flags].concat())
    }

    /// With the data directory in `home`, and this worker.
    pub fn with_worker_in(home: &Path, upstream: SocketAddr, script: &str, flags: &[&str]) -> Self {
        let file = home.join("sw.js");
        std::fs::write(&file, script).unwrap();
        let (upstream, file) = (format!("http://{upstream}"), file.to_string_lossy().into_owned());
        Self::start_in(home, &[&["--upstream", &upstream, "--worker", &file], flags].concat())
    }

    /// In front of `upstream`, with this worker.
    pub fn with_worker(upstream: SocketAddr, script: &str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut gateway = Self::with_worker_in(folder.path(), upstream, script, flags);
        gateway._folder = Some(folder);
        gateway
    }

    pub fn start_in(home: &Path, flags: &[&str]) -> Self {
        let data = home.join("data");
        let mut command = waystore(&["serve", "--log", "json", "--data", &data.to_string_lossy()]);
        if !flags.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let mut child = command.args(flags).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = follow(child.stderr.take().unwrap());
        let mut greeting = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
        let Some((_, address)) = greeting.trim().rsplit_once("http://") else {
            let lines: Vec<_> = log.iter().map(|line| line.to_string()).collect();
            panic!("the gateway did not start: {}", lines.join("\n"));
        };
        let address = address.parse().unwrap();
        Self { child, address, greeting, log, home: home.to_owned(), _folder: None }
    }

    pub fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    pub fn home(&self) -> &Path {
        &self.home
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of the log that `is` what is waited for.
    pub fn logged(&self, is: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        while let Ok(line) = self.log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            if is(&line) {
                return line;
            }
            others.push(line.to_string());
        }
        panic!("no such line was logged, but:\n{}", others.join("\n"));
    }

    /// The line of the request for `path`.
    pub fn request(&self, path: &str) -> Value {
        self.logged(|line| line["target"] == "waystore::access" && line["path"] == path)
    }

    /// Waits until the first worker is active.
    pub fn ready(&self) {
        self.logged(|line| line["target"] == "waystore::worker" && line["message"] == "the worker is active");
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.ask(Request::get(path), "").await
    }

    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.ask(request, "").await
    }

    pub async fn ask(&self, request: http::request::Builder, body: &str) -> Reply {
        let response = self.open(request, body).await;
        let (parts, body) = response.into_parts();
        let collected = tokio::time::timeout(PATIENCE, body.collect()).await.expect("the body ends");
        let body = collected.map(|body| body.to_bytes()).map_err(|error| error.to_string());
        Reply { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// The response as soon as its head is there. Its connection ends with its body.
    pub async fn open(&self, request: http::request::Builder, body: &str) -> Response<Incoming> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        let mut request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
        if !request.headers().contains_key("host") {
            request.headers_mut().insert("host", self.address.to_string().parse().unwrap());
        }
        tokio::time::timeout(PATIENCE, sender.send_request(request)).await.expect("a response").unwrap()
    }

    /// A connection on which a request was sent and nothing read.
    pub async fn open_only(&self, path: &str) -> TcpStream {
        use tokio::io::AsyncWriteExt;
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    /// Another command on the same data directory.
    pub fn command(&self, arguments: &[&str]) -> Output {
        let data = self.data().to_string_lossy().into_owned();
        run(&[arguments, &["--data", &data]].concat())
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Stops it and returns its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The log as it is written. Read to its end, so that nobody who logs has to wait.
fn follow(stderr: ChildStderr) -> mpsc::Receiver<Value> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if std::env::var_os("SHOW_LOG").is_some() {
                println!("{line}");
            }
            let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
            let _ = sender.send(value);
        }
    });
    receiver
}

/// A response that was read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Result<Bytes, String>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.body.as_ref().expect("the body is whole")).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Status, error class.
    pub fn error(&self) -> (u16, &str) {
        (self.status, self.header("waystore-error").unwrap_or("-"))
    }
}

/// Reads what is there until the end.
pub fn read_all(mut reader: impl Read) -> String {
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

/// An upstream that says which path and which cookie it was asked with.
pub async fn mirror(seen: &Seen) -> SocketAddr {
    let seen = seen.clone();
    upstream(move |request| {
        seen.note(&request);
        let cookie = request.headers().get("cookie").map_or("nobody", |value| value.to_str().unwrap()).to_owned();
        let path = request.uri().path().to_owned();
        async move { text(200, format!("{path} for {cookie}")) }
    })
    .await
}

/// A worker that keeps what it was once given.
pub const CACHE_EVERYTHING: &str = r#"
self.addEventListener("fetch", event => {
  if (event.request.method !== "GET") return;
  event.respondWith((async () => {
    const cache = await caches.open("pages");
    const hit = await cache.match(event.request);
    if (hit) return hit;
    const response = await fetch(event.request);
    await cache.put(event.request, response.clone());
    return response;
  })());
});
"#;
