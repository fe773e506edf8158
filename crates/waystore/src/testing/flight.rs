//! Fetches that many share. Not in the standard.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, channel::mpsc};

use super::{
    held::Held,
    recorded::settled,
    support::{get, keys, open, request, text},
};
use crate::{
    Body, Cache, CredentialHash, Fetch, FetchError, Limits, Request, RequestMode, Response, Visitor, Waystore,
    store::Store,
};

super::case_list!(Case:
    who_asks_for_the_same_shares_one_fetch,
    who_waits_too_long_fetches_alone,
    what_is_not_stored_is_fetched_by_each,
    requests_of_visitors_never_share_a_fetch,
    a_fetch_that_fails_is_tried_by_the_next,
    one_who_gives_up_leaves_the_fetch_to_the_next,
    who_comes_when_another_landed_finds_what_it_brought,
    what_is_not_stored_is_not_waited_for_to_its_end,
    a_response_for_which_there_is_no_room_is_given_back,
    requests_that_differ_in_mode_do_not_share_a_fetch,
    a_body_streams_to_all_who_share_it,
);

/// A network that counts, and answers when it is let.
#[derive(Debug)]
struct Slow {
    asked: AtomicUsize,
    let_go: tokio::sync::Semaphore,
    status: u16,
    fails: AtomicUsize,
    /// The body of the first response, if it is to be this one.
    body: Mutex<Option<Body>>,
}

impl Slow {
    fn new(status: u16) -> Arc<Self> {
        let let_go = tokio::sync::Semaphore::new(0);
        Arc::new(Self {
            asked: AtomicUsize::new(0),
            let_go,
            status,
            fails: AtomicUsize::new(0),
            body: Mutex::default(),
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn until_asked(&self, times: usize) {
        while self.asked() < times {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl Fetch for Slow {
    async fn fetch(&self, _: Request) -> Result<Response, FetchError> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        self.let_go.acquire().await.unwrap().forget();
        if self.fails.load(Ordering::SeqCst) > number {
            return Err(FetchError::Network("refused".into()));
        }
        let long = futures::stream::iter((0..10).map(|_| Ok("x".repeat(20_000).into())));
        let own = self.body.lock().unwrap().take();
        let mut response = Response::new(own.unwrap_or_else(|| Body::from_stream(long, None)));
        response.status = self.status;
        Ok(response)
    }
}

const LONG: Duration = Duration::from_secs(3600);

/// Asks `times` at a time, and waits until all of them have looked.
fn ask(cache: &Cache, network: &Arc<Slow>, times: usize, wait: Duration) -> Vec<tokio::task::JoinHandle<usize>> {
    let one = |_| {
        let (cache, network) = (cache.clone(), Arc::clone(network));
        tokio::spawn(async move {
            let response = cache.match_or_fetch(&*network, "/x", wait).await.unwrap();
            text(response).await.len()
        })
    };
    (0..times).map(one).collect()
}

async fn who_asks_for_the_same_shares_one_fetch(store: Waystore) {
    let cache = open(&store).await;
    let network = Slow::new(200);
    let asking = ask(&cache, &network, 20, LONG);
    network.until_asked(1).await;
    network.let_go.add_permits(1);
    for asked in asking {
        assert_eq!(asked.await.unwrap(), 200_000);
    }
    assert_eq!(network.asked(), 1);
    settled(&cache).await;
    assert_eq!(cache.match_or_fetch(&*network, "/x#hit", LONG).await.unwrap().status, 200);
    // Another variant is another fetch.
    network.let_go.add_permits(1);
    cache.match_or_fetch(&*network, request("/y", &[("accept", "a")]), LONG).await.unwrap();
    assert_eq!(network.asked(), 2);
}

async fn who_waits_too_long_fetches_alone(store: Waystore) {
    let cache = open(&store).await;
    let network = Slow::new(200);
    let first = ask(&cache, &network, 1, LONG);
    network.until_asked(1).await;
    let second = ask(&cache, &network, 1, Duration::ZERO);
    network.until_asked(2).await;
    network.let_go.add_permits(2);
    for asked in first.into_iter().chain(second) {
        assert_eq!(asked.await.unwrap(), 200_000);
    }
    settled(&cache).await;
    assert_eq!(keys(&cache).await, ["/x"]);
}

async fn what_is_not_stored_is_fetched_by_each(store: Waystore) {
    let cache = open(&store).await;
    let network = Slow::new(404);
    network.let_go.add_permits(5);
    for asked in ask(&cache, &network, 5, LONG) {
        assert_eq!(asked.await.unwrap(), 200_000);
    }
    assert_eq!(network.asked(), 5);
    assert!(keys(&cache).await.is_empty());
}

async fn requests_of_visitors_never_share_a_fetch(store: Waystore) {
    let cache = open(&store).await;
    let network = Slow::new(200);
    let asking = [1, 2].map(|number| {
        let (cache, network) = (cache.clone(), Arc::clone(&network));
        let visitor = Visitor { credentials: Some(CredentialHash([number; 16])), event: CredentialHash([9; 16]) };
        let request = Request { visitor: Some(visitor), ..request("/me", &[]) };
        tokio::spawn(async move { cache.match_or_fetch(&*network, request, LONG).await.unwrap().status })
    });
    network.until_asked(2).await;
    network.let_go.add_permits(2);
    for asked in asking {
        assert_eq!(asked.await.unwrap(), 200);
    }
}

async fn a_fetch_that_fails_is_tried_by_the_next(store: Waystore) {
    let cache = open(&store).await;
    let network = Slow::new(200);
    network.fails.store(1, Ordering::SeqCst);
    let first = tokio::spawn({
        let (cache, network) = (cache.clone(), Arc::clone(&network));
        async move { cache.match_or_fetch(&*network, "/x", LONG).await.is_err() }
    });
    network.until_asked(1).await;
    let second = ask(&cache, &network, 1, LONG);
    network.let_go.add_permits(2);
    assert!(first.await.unwrap());
    assert_eq!(second.into_iter().next().unwrap().await.unwrap(), 200_000);
    assert_eq!(network.asked(), 2);
}

async fn one_who_gives_up_leaves_the_fetch_to_the_next(store: Waystore) {
    let cache = open(&store).await;
    let network = Slow::new(200);
    let gives_up = ask(&cache, &network, 1, LONG).remove(0);
    network.until_asked(1).await;
    let mut waiting = Box::pin(cache.match_or_fetch(&*network, "/x", LONG));
    assert!(futures::poll!(&mut waiting).is_pending());
    assert_eq!(network.asked(), 1);
    gives_up.abort();
    assert!(gives_up.await.unwrap_err().is_cancelled());
    network.let_go.add_permits(1);
    assert_eq!(text(waiting.await.unwrap()).await.len(), 200_000);
    assert_eq!(network.asked(), 2);
}

async fn who_comes_when_another_landed_finds_what_it_brought(store: Waystore) {
    let first = open(&store).await;
    let held = Held::looks(&first.store);
    let slow = Cache { store: Arc::clone(&held) as Arc<dyn Store>, ..first.clone() };
    let network = Slow::new(200);
    network.let_go.add_permits(2);
    // It looks, finds nothing, and is held up before it knows.
    let mut comes_late = Box::pin(slow.match_or_fetch(&*network, "/x", LONG));
    assert!(futures::poll!(&mut comes_late).is_pending());
    assert_eq!(text(first.match_or_fetch(&*network, "/x", LONG).await.unwrap()).await.len(), 200_000);
    held.gate.add_permits(100);
    assert_eq!(text(comes_late.await.unwrap()).await.len(), 200_000);
    assert_eq!(network.asked(), 1);
}

async fn what_is_not_stored_is_not_waited_for_to_its_end(store: Waystore) {
    let cache = open(&store).await;
    let (sender, chunks) = mpsc::unbounded::<Bytes>();
    let first = Slow::new(404);
    *first.body.lock().unwrap() = Some(Body::from_stream(chunks.map(Ok), None));
    let mut leads = Box::pin(cache.match_or_fetch(&*first, "/x", LONG));
    assert!(futures::poll!(&mut leads).is_pending());
    let second = Slow::new(200);
    second.let_go.add_permits(1);
    let mut waits = Box::pin(cache.match_or_fetch(&*second, "/x", LONG));
    assert!(futures::poll!(&mut waits).is_pending());
    first.let_go.add_permits(1);
    let not_found = leads.await.unwrap();
    assert_eq!(not_found.status, 404);
    // The body of the first never ends.
    assert_eq!(text(waits.await.unwrap()).await.len(), 200_000);
    drop((sender, not_found));
}

async fn a_response_for_which_there_is_no_room_is_given_back(store: Waystore) {
    let cache = open(&store).await;
    store.set_limits(Limits::default().per_key(1000));
    let network = Slow::new(200);
    *network.body.lock().unwrap() = Some(Body::from("x".repeat(5000)));
    network.let_go.add_permits(1);
    let response = cache.match_or_fetch(&*network, "/x", LONG).await.unwrap();
    assert_eq!(text(response).await.len(), 5000);
    assert_eq!((network.asked(), keys(&cache).await.len()), (1, 0));
}

async fn requests_that_differ_in_mode_do_not_share_a_fetch(store: Waystore) {
    let cache = open(&store).await;
    let network = Slow::new(200);
    let asking = [RequestMode::Cors, RequestMode::NoCors].map(|mode| {
        let (cache, network) = (cache.clone(), Arc::clone(&network));
        let mut request = request("/x", &[]);
        request.mode = mode;
        tokio::spawn(async move { cache.match_or_fetch(&*network, request, LONG).await.unwrap().status })
    });
    network.until_asked(2).await;
    network.let_go.add_permits(2);
    for asked in asking {
        assert_eq!(asked.await.unwrap(), 200);
    }
}

async fn a_body_streams_to_all_who_share_it(store: Waystore) {
    let cache = open(&store).await;
    let (sender, chunks) = mpsc::unbounded::<Bytes>();
    let network = Slow::new(200);
    *network.body.lock().unwrap() = Some(Body::from_stream(chunks.map(Ok), None));
    let asking: Vec<_> = (0..4)
        .map(|_| {
            let (cache, network) = (cache.clone(), Arc::clone(&network));
            tokio::spawn(async move { cache.match_or_fetch(&*network, "/x", LONG).await.unwrap().body.unwrap() })
        })
        .collect();
    network.until_asked(1).await;
    network.let_go.add_permits(1);
    let mut bodies = futures::future::try_join_all(asking).await.unwrap();
    for part in ["one", "two"] {
        sender.unbounded_send(part.into()).unwrap();
        for body in &mut bodies {
            assert_eq!(body.next().await.unwrap().unwrap(), part);
        }
    }
    drop(sender);
    for mut body in bodies {
        assert!(body.next().await.is_none());
    }
    settled(&cache).await;
    assert_eq!((get(&cache, "/x").await, network.asked()), ("onetwo".into(), 1));
}
