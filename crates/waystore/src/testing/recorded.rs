//! Puts that are recorded before their bodies are complete, and fetches that many share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, StreamExt, channel::mpsc};

use super::support::{IGNORE_SEARCH, PLAIN, all, caches, get, keys, open, put, request, response, text};
use crate::{
    Body, BodyError, Cache, CredentialHash, Fetch, FetchError, Limits, PutLevel, Request, Response, Visitor, Waystore,
};

super::case_list!(Case:
    a_recorded_put_is_seen_at_once_and_its_body_read_as_it_comes,
    a_recorded_put_is_committed_when_its_body_is_complete,
    a_recorded_put_whose_body_fails_leaves_what_is_committed,
    a_recorded_put_over_the_quota_fails_its_readers_and_changes_nothing,
    a_recorded_put_stands_where_a_committed_one_would,
    a_recorded_put_is_called_back_by_delete,
    a_recorded_put_is_called_back_by_a_later_put,
    a_recorded_put_minds_vary_and_visitors,
    a_long_body_is_followed_by_many_readers_at_their_own_pace,
    readers_that_stop_in_the_middle_hold_up_nobody,
    too_many_bodies_at_a_time_are_waited_for,
    e169_of_two_complete_puts_the_one_that_ends_last_stays,
    a_durable_put_is_there,
    who_asks_for_the_same_shares_one_fetch,
    who_waits_too_long_fetches_alone,
    what_is_not_stored_is_fetched_by_each,
    requests_of_visitors_never_share_a_fetch,
    a_fetch_that_fails_is_tried_by_the_next,
);

type Sender = mpsc::UnboundedSender<Result<Bytes, BodyError>>;

/// A response whose body is what is sent.
fn streaming() -> (Sender, Response) {
    let (sender, chunks) = mpsc::unbounded();
    (sender, Response::new(Body::from_stream(chunks, None)))
}

async fn record(cache: &Cache, url: &str) -> Sender {
    let (sender, response) = streaming();
    cache.put_with(url, response, PutLevel::Recorded).await.unwrap();
    sender
}

fn send(sender: &Sender, chunk: impl Into<Bytes>) {
    sender.unbounded_send(Ok(chunk.into())).unwrap();
}

/// Waits until nothing is recorded that is not committed or given up.
async fn settled(cache: &Cache) {
    while !cache.shared.recorded.of(cache.list.id()).is_empty() {
        tokio::task::yield_now().await;
    }
}

/// The texts of what is committed.
async fn committed(cache: &Cache) -> Vec<String> {
    let page = cache.store.page(&cache.list, None, 100).await.unwrap();
    let mut urls = Vec::new();
    for candidate in page {
        urls.push(candidate.entry.url().trim_start_matches("https://a.test").to_owned());
    }
    urls
}

async fn a_recorded_put_is_seen_at_once_and_its_body_read_as_it_comes(store: Waystore) {
    let cache = open(&store).await;
    let sender = record(&cache, "/x").await;
    let found = [
        cache.match_("/x", PLAIN).await.unwrap().unwrap(),
        caches(&store).match_("/x", PLAIN).await.unwrap().unwrap(),
        caches(&store).open("c").await.unwrap().match_all((), PLAIN).await.unwrap().remove(0),
    ];
    assert_eq!(keys(&cache).await, ["/x"]);
    assert_eq!(cache.explain("/x", PLAIN).await.unwrap().considered.len(), 1);
    assert!(committed(&cache).await.is_empty());
    let mut bodies = found.map(|response| response.body.unwrap());
    for number in 0..5 {
        send(&sender, number.to_string());
        for body in &mut bodies {
            assert_eq!(body.length(), None);
            assert_eq!(body.next().await.unwrap().unwrap(), number.to_string());
        }
    }
    drop(sender);
    for mut body in bodies {
        assert!(body.next().await.is_none());
    }
}

async fn a_recorded_put_is_committed_when_its_body_is_complete(store: Waystore) {
    let cache = open(&store).await;
    for long in [10, 300_000] {
        let sender = record(&cache, "/x").await;
        let mut following = cache.match_("/x", PLAIN).await.unwrap().unwrap().body.unwrap();
        send(&sender, vec![b'a'; long]);
        assert!(!following.next().await.unwrap().unwrap().is_empty());
        drop(sender);
        settled(&cache).await;
        assert_eq!(committed(&cache).await, ["/x"]);
        assert_eq!(get(&cache, "/x").await.len(), long);
        // The entry is replaced; who followed it reads on.
        put(&cache, "/x", "new").await;
        let mut left = 0;
        while let Some(chunk) = following.next().await {
            left += chunk.unwrap().len();
        }
        assert!(left < long);
    }
}

async fn a_recorded_put_whose_body_fails_leaves_what_is_committed(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "/x", "before").await;
    for long in [10, 300_000] {
        let sender = record(&cache, "/x").await;
        let mut readers = Vec::new();
        for _ in 0..3 {
            readers.push(cache.match_("/x", PLAIN).await.unwrap().unwrap().body.unwrap());
        }
        send(&sender, vec![b'a'; long]);
        sender.unbounded_send(Err(BodyError::failed("the source broke"))).unwrap();
        for reader in readers {
            let error = reader.collect(usize::MAX).await.unwrap_err();
            assert!(error.to_string().contains("the source broke"), "{error}");
        }
        settled(&cache).await;
        assert_eq!(get(&cache, "/x").await, "before");
        assert_eq!(keys(&cache).await, ["/x"]);
    }
}

async fn a_recorded_put_over_the_quota_fails_its_readers_and_changes_nothing(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "/x", "before").await;
    store.set_limits(Limits::default().per_key(200_000));
    let sender = record(&cache, "/x").await;
    let reader = cache.match_("/x", PLAIN).await.unwrap().unwrap().body.unwrap();
    for _ in 0..10 {
        send(&sender, vec![b'a'; 50_000]);
    }
    assert!(reader.collect(usize::MAX).await.is_err());
    settled(&cache).await;
    assert_eq!(get(&cache, "/x").await, "before");
}

async fn a_recorded_put_stands_where_a_committed_one_would(store: Waystore) {
    let cache = open(&store).await;
    for url in ["/x", "/x?q", "/y"] {
        put(&cache, url, "old").await;
    }
    let sender = record(&cache, "/x").await;
    assert_eq!(keys(&cache).await, ["/x?q", "/y", "/x"]);
    let found = cache.match_all("/x", IGNORE_SEARCH).await.unwrap();
    assert_eq!(found.len(), 2);
    let _other = record(&cache, "/x?q").await;
    assert_eq!(keys(&cache).await, ["/y", "/x", "/x?q"]);
    send(&sender, "new");
    drop((sender, _other));
    settled(&cache).await;
    assert_eq!(get(&cache, "/x").await, "new");
    assert_eq!(keys(&cache).await.len(), 3);
}

async fn a_recorded_put_is_called_back_by_delete(store: Waystore) {
    let cache = open(&store).await;
    let sender = record(&cache, "/x").await;
    let reader = cache.match_("/x", PLAIN).await.unwrap().unwrap();
    assert!(cache.delete("/x", PLAIN).await.unwrap());
    assert!(!cache.delete("/x", PLAIN).await.unwrap());
    assert!(keys(&cache).await.is_empty());
    send(&sender, "whole");
    drop(sender);
    assert_eq!(text(reader).await, "whole");
    settled(&cache).await;
    assert!(committed(&cache).await.is_empty());
}

async fn a_recorded_put_is_called_back_by_a_later_put(store: Waystore) {
    let cache = open(&store).await;
    let first = record(&cache, "/x").await;
    put(&cache, "/x", "second").await;
    assert_eq!(get(&cache, "/x").await, "second");
    drop(first);
    settled(&cache).await;
    assert_eq!(get(&cache, "/x").await, "second");
    let third = record(&cache, "/x").await;
    let fourth = record(&cache, "/x").await;
    send(&fourth, "fourth");
    drop(fourth);
    settled(&cache).await;
    send(&third, "third");
    drop(third);
    assert_eq!(get(&cache, "/x").await, "fourth");
    assert_eq!(keys(&cache).await, ["/x"]);
}

async fn a_recorded_put_minds_vary_and_visitors(store: Waystore) {
    let cache = open(&store).await;
    cache.put(request("/x", &[("k", "1")]), response("one", "k")).await.unwrap();
    let (sender, two) = streaming();
    let (sender_of_anna, mut annas) = streaming();
    cache.put_with(request("/x", &[("k", "2")]), two.header("vary", "k"), PutLevel::Recorded).await.unwrap();
    annas.personal = Some(CredentialHash([1; 16]));
    cache.put_with("/me", annas, PutLevel::Recorded).await.unwrap();
    send(&sender, "two");
    drop((sender, sender_of_anna));
    assert_eq!(text(cache.match_(request("/x", &[("k", "1")]), PLAIN).await.unwrap().unwrap()).await, "one");
    assert_eq!(text(cache.match_(request("/x", &[("k", "2")]), PLAIN).await.unwrap().unwrap()).await, "two");
    assert!(cache.match_("/x", PLAIN).await.unwrap().is_none());
    assert!(cache.match_("/me", PLAIN).await.unwrap().is_none());
    settled(&cache).await;
    assert_eq!(all(&cache, (), PLAIN).await, ["one", "two"]);
}

async fn a_long_body_is_followed_by_many_readers_at_their_own_pace(store: Waystore) {
    let cache = open(&store).await;
    let sender = record(&cache, "/x").await;
    let mut readers = Vec::new();
    for eager in 0..6_usize {
        let mut body = cache.match_("/x", PLAIN).await.unwrap().unwrap().body.unwrap();
        readers.push(tokio::spawn(async move {
            let mut read = Vec::new();
            while let Some(chunk) = body.next().await {
                read.extend_from_slice(&chunk.unwrap());
                for _ in 0..eager * 3 {
                    tokio::task::yield_now().await;
                }
            }
            read
        }));
    }
    let mut expected = Vec::new();
    for number in 0..200_u32 {
        let chunk = number.to_string().repeat(3_000);
        expected.extend_from_slice(chunk.as_bytes());
        send(&sender, chunk);
        tokio::task::yield_now().await;
    }
    drop(sender);
    for reader in readers {
        assert!(reader.await.unwrap() == expected);
    }
    settled(&cache).await;
    assert!(get(&cache, "/x").await.into_bytes() == expected);
}

async fn readers_that_stop_in_the_middle_hold_up_nobody(store: Waystore) {
    let cache = open(&store).await;
    let sender = record(&cache, "/x").await;
    let mut expected = vec![b'a'; 1_000_000];
    send(&sender, expected.clone());
    let (mut stopped, mut reading) = (Vec::new(), Vec::new());
    for polls in 0..8 {
        let mut body = cache.match_("/x", PLAIN).await.unwrap().unwrap().body.unwrap();
        assert!(body.next().await.unwrap().is_ok());
        for _ in 0..polls {
            let _ = body.next().now_or_never();
        }
        stopped.push(body);
        let response = cache.match_("/x", PLAIN).await.unwrap().unwrap();
        reading.push(tokio::spawn(response.body.unwrap().collect(usize::MAX)));
    }
    for _ in 0..20 {
        send(&sender, vec![b'b'; 100_000]);
        expected.extend([b'b'; 100_000]);
    }
    drop(sender);
    let all = futures::future::try_join_all(reading);
    let all = tokio::time::timeout(Duration::from_secs(30), all).await.expect("the others read on");
    for read in all.unwrap() {
        assert!(read.unwrap() == expected);
    }
    settled(&cache).await;
    assert!(get(&cache, "/x").await.into_bytes() == expected);
    drop(stopped);
}

async fn too_many_bodies_at_a_time_are_waited_for(store: Waystore) {
    let cache = open(&store).await;
    let mut senders = Vec::new();
    for number in 0..256 {
        senders.push(record(&cache, &format!("/{number}")).await);
    }
    let (sender, response) = streaming();
    let mut late = Box::pin(cache.put_with("/late", response, PutLevel::Recorded));
    assert!(futures::poll!(&mut late).is_pending());
    assert!(cache.match_("/late", PLAIN).await.unwrap().is_none());
    drop(sender);
    late.await.unwrap();
    assert_eq!(committed(&cache).await, ["/late"]);
    drop(senders);
    settled(&cache).await;
    assert_eq!(committed(&cache).await.len(), 100);
    record(&cache, "/again").await;
}

async fn e169_of_two_complete_puts_the_one_that_ends_last_stays(store: Waystore) {
    let cache = open(&store).await;
    let (sender, slow) = streaming();
    let mut slow = Box::pin(cache.put("/x", slow));
    assert!(futures::poll!(&mut slow).is_pending());
    put(&cache, "/x", "2").await;
    send(&sender, "1");
    drop(sender);
    slow.await.unwrap();
    assert_eq!(get(&cache, "/x").await, "1");
}

async fn a_durable_put_is_there(store: Waystore) {
    let cache = caches(&store).with_put_level(PutLevel::Durable).open("c").await.unwrap();
    put(&cache, "/x", "1").await;
    cache.put_with("/y", response("2", ""), PutLevel::Durable).await.unwrap();
    assert_eq!(committed(&cache).await, ["/x", "/y"]);
}

/// A network that counts, and answers when it is let.
#[derive(Debug)]
struct Slow {
    asked: AtomicUsize,
    let_go: tokio::sync::Semaphore,
    status: u16,
    fails: AtomicUsize,
}

impl Slow {
    fn new(status: u16) -> Arc<Self> {
        let let_go = tokio::sync::Semaphore::new(0);
        Arc::new(Self { asked: AtomicUsize::new(0), let_go, status, fails: AtomicUsize::new(0) })
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
        let mut response = Response::new(Body::from_stream(
            futures::stream::iter((0..10).map(|_| Ok("x".repeat(20_000).into()))),
            None,
        ));
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
