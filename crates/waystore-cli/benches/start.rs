//! What a worker costs that does nothing: the time until it answers for the first time, and the memory it holds.
//!
//! `cargo bench -p waystore-cli --bench start`: a quarter of a minute. Writes to a temporary directory.

mod support;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio::runtime::Builder;
use url::Url;
use waystore::{Clock, Fetch, FetchError, Request, Response, ResponseType, Waystore};
use waystore_worker::{FetchEvent, FetchOutcome, Limits, Site, SiteHost, SiteOptions};

use support::{Result, Target, median, own_memory_kib, verdict};

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ORIGIN: &str = "https://shop.example";
/// As little as a worker is started for.
const SCRIPT: &str = "onfetch = (event) => event.respondWith(new Response());";
const STARTS: usize = 41;
const IDLE_WORKERS: usize = 32;

fn main() -> Result {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let folder = tempfile::tempdir()?;
    runtime.block_on(async {
        let started = cold_starts(folder.path()).await?;
        let held = idle_memory(folder.path()).await?;
        println!("median of {STARTS} starts; {IDLE_WORKERS} idle isolates\n");
        verdict("from a fetch event to its answer, no isolate running", started, "ms", Target::AtMost(10.0));
        verdict("memory of an idle isolate, its thread included", held, "MiB", Target::AtMost(3.0));
        Ok(())
    })
}

/// Milliseconds that an event takes for which an isolate is started.
async fn cold_starts(folder: &Path) -> Result<f64> {
    let store = Waystore::open(folder.join("starts")).await?;
    let site = open(&store, "/", Limits { idle: Duration::from_millis(1), ..Limits::default() }).await?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        while site.status().active.is_some_and(|worker| worker.running) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let began = Instant::now();
        ask(&site, "/").await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    site.close(Duration::from_secs(5)).await;
    Ok(median(times))
}

/// MiB that one more isolate holds that has answered and waits.
async fn idle_memory(folder: &Path) -> Result<f64> {
    let store = Waystore::open(folder.join("idle")).await?;
    let limits = Limits { idle: Duration::from_secs(600), ..Limits::default() };
    let mut sites = Vec::new();
    let mut first = 0;
    for number in 0..=IDLE_WORKERS {
        let scope = format!("/{number}/");
        let site = open(&store, &scope, limits.clone()).await?;
        ask(&site, &scope).await?;
        sites.push(site);
        if number == 0 {
            first = own_memory_kib("self")?;
        }
    }
    let held = own_memory_kib("self")?.saturating_sub(first) as f64 / 1024.0 / IDLE_WORKERS as f64;
    for site in sites {
        site.close(Duration::from_secs(5)).await;
    }
    Ok(held)
}

async fn open(store: &Waystore, scope: &str, limits: Limits) -> Result<Site> {
    let script = Url::parse(ORIGIN)?.join(scope)?.join("sw.js")?;
    let options = SiteOptions { limits, ..SiteOptions::new(script) };
    let host = SiteHost {
        fetch: Arc::new(OnlyTheScript),
        clock: Arc::new(Clock::system()),
        console: Arc::new(|line| eprintln!("{}", line.text)),
        prefetch: None,
    };
    let site = Site::open(options, store, host).await?;
    site.ready().await?;
    Ok(site)
}

async fn ask(site: &Site, path: &str) -> Result {
    let request = Request::get(&format!("{ORIGIN}{path}"))?;
    let event = FetchEvent { request, client_id: String::new(), resulting_client_id: String::new() };
    match site.fetch(event).await {
        FetchOutcome::Response { .. } => Ok(()),
        other => Err(format!("an unexpected outcome: {other:?}").into()),
    }
}

/// A network that has workers' scripts and nothing else.
struct OnlyTheScript;

#[async_trait]
impl Fetch for OnlyTheScript {
    async fn fetch(&self, request: Request) -> std::result::Result<Response, FetchError> {
        let mut response = Response::new(SCRIPT).header("content-type", "text/javascript");
        response.head.kind = ResponseType::Basic;
        response.head.url_list = vec![request.head.url];
        Ok(response)
    }
}
