//! The desk over a store, from one process to the next.

use async_trait::async_trait;
use waystore::{FetchError, Request, Response};

use super::*;

const ORIGIN: &str = "https://a.test";

/// A network that answers nothing under `/held`.
struct Net;

#[async_trait]
impl Fetch for Net {
    async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
        if request.url.path().starts_with("/held") {
            std::future::pending::<()>().await;
        }
        Ok(Response::new("fetched"))
    }
}

/// The desk of a process that has `store`.
fn desk(store: &Waystore, limits: JobLimits) -> Jobs {
    let jobs = Jobs::new(store.caches(ORIGIN).unwrap(), Arc::new(Net), Arc::new(Clock::system()), limits);
    jobs.durable(store, ORIGIN).unwrap()
}

fn durable(url: &str) -> Prefetch {
    Prefetch { durable: true, ..Prefetch::new([url]).into_cache("v1") }
}

#[tokio::test]
async fn jobs_that_go_on_after_a_restart_count_among_all() {
    let store = Waystore::in_memory();
    let limits = JobLimits { all: 2, ..JobLimits::default() };
    let first = desk(&store, limits);
    for url in ["/held/1", "/held/2"] {
        drop(first.start(durable(url), &Asker::Script).unwrap());
    }
    // Kept before it runs.
    while first.0.shelf.as_ref().unwrap().all().await.unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    first.stop().await;

    let second = desk(&store, limits);
    assert_eq!(second.resume().await.unwrap(), 2);
    assert_eq!(second.start(durable("/3"), &Asker::Script).unwrap_err(), Refused::Busy { jobs: 2 });
    second.abort_all();
    while !second.list().is_empty() {
        tokio::task::yield_now().await;
    }
    second.stop().await;
}

#[tokio::test]
async fn durable_jobs_are_taken_up_in_the_order_in_which_they_were_begun() {
    let store = Waystore::in_memory();
    let shelf = Shelf::new(&store, ORIGIN).unwrap();
    let job = |begun_ms| KeptJob { plan: durable("/a"), progress: None, begun_ms };
    for (id, begun_ms) in [("a", 1), ("b", 2), ("a", 1)] {
        shelf.keep(id, &job(begun_ms)).await.unwrap();
    }
    let ids: Vec<_> = shelf.all().await.unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["a", "b"], "the one that was begun first, though it was kept last");
}
