//! An axum handler that answers from a cache. What is slow is done once; the answer is kept until somebody
//! deletes it, on disk, so it is there after a restart.
//!
//! `cargo run -p waystore --example axum_server`: starts a server, asks it a few things and ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body as AxumBody,
    extract::{Path, State},
    http::{StatusCode, Uri},
    routing::{delete, get},
};
use waystore::{Cache, CacheQueryOptions, Fetch, FetchError, Request, Response, Waystore};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// What the handlers share. A `Cache` is a handle: clones are the same cache.
#[derive(Clone)]
struct Site {
    cache: Cache,
    reports: Arc<Reports>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let dir = tempfile::tempdir()?; // of your own
    let store = Waystore::open(dir.path()).await?;
    // Any origin will do, as long as it stays the same: what is stored belongs to it.
    let cache = store.caches("http://localhost")?.open("reports").await?;
    let site = Site { cache, reports: Arc::default() };

    let app = Router::new()
        .route("/reports/{year}", get(report))
        .route("/reports/{year}", delete(forget))
        .with_state(site.clone());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });

    let client = reqwest::Client::builder().no_proxy().build()?;
    let ask = |path: &str| {
        let asked = client.get(format!("{url}{path}")).send();
        async { asked.await?.error_for_status()?.text().await }
    };
    // Twenty at a time: one report is written.
    for answer in futures::future::try_join_all((0..20).map(|_| ask("/reports/2024"))).await? {
        assert_eq!(answer, "the report on /reports/2024, number 1");
    }
    assert_eq!(ask("/reports/2023").await?, "the report on /reports/2023, number 2");
    client.delete(format!("{url}/reports/2024")).send().await?.error_for_status()?;
    assert_eq!(ask("/reports/2024").await?, "the report on /reports/2024, number 3");
    println!("{} reports were written for 22 requests", site.reports.0.load(Ordering::Relaxed));
    Ok(())
}

/// Answers from the cache, or has the report written, once for all who ask at the same time.
async fn report(State(site): State<Site>, uri: Uri) -> Result<http::Response<AxumBody>, StatusCode> {
    let found = site.cache.match_or_fetch(&*site.reports, uri.path(), Duration::from_secs(5)).await;
    let response = found.map_err(|_| StatusCode::BAD_GATEWAY)?;
    // The body streams out of the store as the client reads.
    let response = http::Response::try_from(response).map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(response.map(AxumBody::new))
}

/// The next one who asks has it written anew.
async fn forget(State(site): State<Site>, Path(year): Path<u32>) -> StatusCode {
    match site.cache.delete(format!("/reports/{year}"), CacheQueryOptions::default()).await {
        Ok(true) => StatusCode::NO_CONTENT,
        Ok(false) => StatusCode::NOT_FOUND,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What stands in for a network: a `Fetch` may get its responses from wherever it likes.
#[derive(Default)]
struct Reports(AtomicU32);

#[async_trait::async_trait]
impl Fetch for Reports {
    async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
        let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        let text = format!("the report on {}, number {number}", request.url.path());
        Ok(Response::new(text).header("content-type", "text/plain"))
    }
}

#[test]
fn it_runs() {
    main().expect("the example runs");
}
