//! One fetch for all who want the same at a time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use tokio::sync::Semaphore;
use waystore::{
    Fetch, FetchError, Request, Response,
    prefetch::{Outcome, Prefetch, Source},
};

use super::support::{get, new_cache, plan};

const LONG: Duration = Duration::from_secs(3600);

/// A network that counts, and answers when it is let.
struct Held {
    asked: AtomicUsize,
    gate: Semaphore,
    status: u16,
}

impl Held {
    fn new(status: u16) -> Arc<Self> {
        Arc::new(Self { asked: AtomicUsize::new(0), gate: Semaphore::new(0), status })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl Fetch for Held {
    async fn fetch(&self, _: Request) -> Result<Response, FetchError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        let mut response = Response::new("fetched");
        response.status = self.status;
        Ok(response)
    }
}

#[tokio::test]
async fn two_prefetches_and_a_visitor_share_one_fetch() {
    let cache = new_cache().await;
    let network = Held::new(200);
    let start = || Box::pin(plan().start(cache.clone(), Arc::clone(&network) as Arc<dyn Fetch>).unwrap().finish());
    let (mut first, mut second) = (start(), start());
    assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
    let mut visitor = Box::pin(cache.match_or_fetch(&*network, "/x", LONG));
    assert!((&mut visitor).now_or_never().is_none());
    network.gate.add_permits(3);
    let (first, second, visitor) = tokio::join!(first, second, visitor);
    assert_eq!(network.asked(), 1);
    assert_eq!((first[0].outcome, first[0].source), (Outcome::Stored, Some(Source::Network)));
    assert_eq!((second[0].outcome, second[0].source), (Outcome::Cached, Some(Source::Cache)));
    assert_eq!(visitor.unwrap().status, 200);
}

#[tokio::test]
async fn a_prefetch_waits_for_a_visitors_fetch_and_takes_over_where_it_is_given_up() {
    let cache = new_cache().await;
    let network = Held::new(200);
    let mut visitor = Box::pin(cache.match_or_fetch(&*network, "/x", LONG));
    assert!((&mut visitor).now_or_never().is_none());
    let plan = Prefetch { refresh: true, ..plan() };
    let mut running = Box::pin(plan.start(cache.clone(), Arc::clone(&network) as Arc<dyn Fetch>).unwrap().finish());
    assert!((&mut running).now_or_never().is_none());
    assert_eq!(network.asked(), 1);
    drop(visitor);
    network.gate.add_permits(1);
    assert_eq!(running.await[0].outcome, Outcome::Stored);
    assert_eq!((network.asked(), get(&cache, "/x").await.as_deref()), (2, Some("fetched")));
}

#[tokio::test]
async fn what_is_not_stored_is_told_to_each() {
    let cache = new_cache().await;
    let network = Held::new(404);
    let start = || plan().start(cache.clone(), Arc::clone(&network) as Arc<dyn Fetch>).unwrap().finish();
    network.gate.add_permits(2);
    let (first, second) = tokio::join!(start(), start());
    assert_eq!((first[0].status, second[0].status, network.asked()), (Some(404), Some(404), 2));
}
