//! Time for 1,000 URLs of 4 KiB from a server of this machine: `waystore prefetch` into a new data directory, and
//! `curl --parallel` into files, in turn, so that their ratio holds though the times do not.
//!
//! `cargo bench -p waystore-cli --bench prefetch`: under a minute. Needs curl 7.68 or later.

mod support;

use std::{
    convert::Infallible,
    fmt::Write as _,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, runtime::Runtime};

use support::{Result, Target, median, verdict};

const URLS: usize = 1000;
const BODY: &[u8] = &[b'x'; 4096];
/// Rounds of each contender; the median of them counts.
const ROUNDS: usize = 9;

/// Who fetches, and how many at a time.
#[derive(Debug, Clone, Copy)]
enum Contender {
    Curl { at_once: usize },
    Waystore { at_once: usize },
}

/// The first is what others are compared with.
const CONTENDERS: [(&str, Contender); 4] = [
    ("curl --parallel --parallel-max 6", Contender::Curl { at_once: 6 }),
    ("curl --parallel (50 at a time)", Contender::Curl { at_once: 50 }),
    ("waystore prefetch (6 at a time)", Contender::Waystore { at_once: 6 }),
    ("waystore prefetch, 50 at a time", Contender::Waystore { at_once: 50 }),
];

fn main() -> Result {
    let server = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let address = server.block_on(serve(&server))?;
    let folder = tempfile::tempdir()?;
    lists(folder.path(), address)?;
    let mut times = CONTENDERS.map(|_| Vec::new());
    for round in 0..=ROUNDS {
        for ((_, contender), times) in CONTENDERS.iter().zip(&mut times) {
            let time = contender.fetch(folder.path(), address)?;
            // The first round warms up.
            if round > 0 {
                times.push(time.as_secs_f64() * 1000.0);
            }
        }
    }
    let times = times.map(median);
    println!("{URLS} URLs of {} bytes, median of {ROUNDS} rounds", BODY.len());
    for ((name, _), time) in CONTENDERS.iter().zip(times) {
        println!("{name:<36} {time:>8.1} ms  {:>8.0} URLs/s", URLS as f64 * 1000.0 / time);
    }
    verdict("waystore prefetch, of curl with as many at a time", times[2] / times[0], "x", Target::AtMost(1.0));
    verdict("the same with 50 at a time", times[3] / times[1], "x", Target::AtMost(1.0));
    Ok(())
}

impl Contender {
    /// Fetches everything to a new place, the process's start included; how long that takes.
    fn fetch(self, folder: &Path, address: SocketAddr) -> Result<Duration> {
        let place = tempfile::tempdir_in(folder)?;
        let mut command = match self {
            Self::Curl { at_once } => {
                let mut command = Command::new("curl");
                command.args([
                    "--silent",
                    "--no-progress-meter",
                    "--fail",
                    "--parallel",
                    "--parallel-immediate",
                    "--config",
                ]);
                command.arg(folder.join("curl.txt")).arg("--parallel-max").arg(at_once.to_string());
                command
            }
            Self::Waystore { at_once } => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_waystore"));
                command.args(["prefetch", "--cache", "v1", "--origin", &format!("http://{address}")]);
                command.arg("--from").arg(folder.join("urls.txt"));
                command.arg("--concurrency-per-origin").arg(at_once.to_string());
                command.arg("--concurrency").arg(at_once.to_string());
                command
            }
        };
        let begun = Instant::now();
        let status = command.current_dir(place.path()).stdout(Stdio::null()).stderr(Stdio::inherit()).status()?;
        let taken = begun.elapsed();
        if status.success() { Ok(taken) } else { Err(format!("{command:?}: {status}").into()) }
    }
}

/// The same URLs for both, each in its form.
fn lists(folder: &Path, address: SocketAddr) -> Result {
    let (mut curl, mut urls) = (String::new(), String::new());
    for number in 0..URLS {
        writeln!(urls, "/{number}")?;
        writeln!(curl, "url = http://{address}/{number}\noutput = {number}")?;
    }
    std::fs::write(folder.join("curl.txt"), curl)?;
    std::fs::write(folder.join("urls.txt"), urls)?;
    Ok(())
}

/// A server that has these bytes everywhere.
async fn serve(runtime: &Runtime) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(async |_: Request<Incoming>| {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(BODY))))
            });
            tokio::spawn(server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(address)
}
