//! Short words for plans, networks and what is expected of them.

use std::sync::Arc;

use futures::{StreamExt, stream};
use waystore::{
    Body, Cache, CacheQueryOptions, Clock, Fetch, FetchError, Request, Response, Waystore,
    prefetch::{Event, Outcome, Prefetch, PrefetchLimits, Prefetched, Reason, Running},
    store::memory::MemoryStore,
    testing::Canned,
};

pub(crate) async fn open(store: &Waystore) -> Cache {
    store.caches("https://a.test/app/sw.js").unwrap().open("v1").await.unwrap()
}

/// An empty cache, whose clock stands still: what passes is what a test waits for.
pub(crate) async fn new_cache() -> Cache {
    let clock = Arc::new(Clock::fixed(1_700_000_000_000, 7));
    open(&Waystore::with_store(Arc::new(MemoryStore::new(Arc::clone(&clock))), clock)).await
}

pub(crate) fn start(plan: Prefetch, cache: &Cache, network: &Canned) -> Running {
    plan.start(cache.clone(), Arc::new(network.clone())).unwrap()
}

pub(crate) async fn run(plan: Prefetch, cache: &Cache, network: &Canned) -> Vec<Prefetched> {
    start(plan, cache, network).finish().await
}

/// Runs it, and returns what it told.
pub(crate) async fn told(mut running: Running) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(event) = running.next().await {
        events.push(event);
    }
    events
}

/// A plan with `/x` alone.
pub(crate) fn plan() -> Prefetch {
    Prefetch::new(["/x"])
}

pub(crate) fn limited(plan: Prefetch, change: impl FnOnce(&mut PrefetchLimits)) -> Prefetch {
    let mut limits = plan.limits;
    change(&mut limits);
    plan.with_limits(limits)
}

/// A network that answers `/x` so.
pub(crate) fn only(answer: impl Fn(&Request) -> Result<Response, FetchError> + Send + Sync + 'static) -> Canned {
    Canned::default().on("/x", answer)
}

pub(crate) fn json(body: impl Into<Body>) -> Response {
    Response::new(body).header("content-type", "application/json")
}

/// A body that goes on for ever, or until it is dropped.
pub(crate) fn endless(chunk: &'static [u8]) -> Body {
    Body::from_stream(stream::repeat_with(move || Ok(chunk.into())), None)
}

pub(crate) fn outcomes(rows: &[Prefetched]) -> Vec<(Outcome, Option<Reason>)> {
    rows.iter().map(|row| (row.outcome, row.reason)).collect()
}

/// The URLs in the cache, without the origin.
pub(crate) async fn keys(cache: &Cache) -> Vec<String> {
    let keys = cache.keys((), CacheQueryOptions::default()).await.unwrap();
    keys.iter().map(|request| request.url.as_str().replace("https://a.test", "")).collect()
}

pub(crate) async fn get(cache: &Cache, url: &str) -> Option<String> {
    let hit = cache.match_(url, CacheQueryOptions::default()).await.unwrap()?;
    let body = hit.body.unwrap_or_default().collect(1 << 26).await.unwrap();
    Some(String::from_utf8(body.to_vec()).unwrap())
}

/// A network that never answers.
pub(crate) struct Silent;

#[async_trait::async_trait]
impl Fetch for Silent {
    async fn fetch(&self, _: Request) -> Result<Response, FetchError> {
        std::future::pending().await
    }
}
