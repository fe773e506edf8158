//! Puts that are recorded before their bodies are complete.

use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, channel::mpsc};

use super::support::{IGNORE_SEARCH, PLAIN, all, caches, get, keys, open, put, request, response, text};
use crate::{BatchOperation, Body, BodyError, Cache, CredentialHash, Error, Limits, PutLevel, Response, Waystore};

super::case_list!(Case:
    a_recorded_put_is_seen_at_once_and_its_body_read_as_it_comes,
    a_recorded_put_is_committed_when_its_body_is_complete,
    a_recorded_put_whose_body_fails_leaves_what_is_committed,
    a_recorded_put_over_the_quota_fails_its_readers_and_changes_nothing,
    a_recorded_put_stands_where_a_committed_one_would,
    a_recorded_put_is_called_back_by_delete,
    a_recorded_put_is_called_back_by_a_batch_that_deletes_it,
    a_batch_that_is_refused_calls_no_recorded_put_back,
    a_batch_that_finds_no_room_calls_no_recorded_put_back,
    a_recorded_put_is_called_back_by_a_later_put,
    a_recorded_put_minds_vary_and_visitors,
    a_long_body_is_followed_by_many_readers_at_their_own_pace,
    readers_that_stop_in_the_middle_hold_up_nobody,
    too_many_bodies_at_a_time_are_waited_for,
    e169_of_two_complete_puts_the_one_that_ends_last_stays,
    a_durable_put_is_there,
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
pub(super) async fn settled(cache: &Cache) {
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
        // It is refused on the way.
        let _ = sender.unbounded_send(Ok(vec![b'a'; 50_000].into()));
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

fn delete_and_put(deleted: &str, stored: &str) -> Vec<BatchOperation> {
    vec![
        BatchOperation::Delete { request: request(deleted, &[]), options: PLAIN },
        BatchOperation::Put { request: request(stored, &[]), response: response("y", "") },
    ]
}

async fn a_recorded_put_is_called_back_by_a_batch_that_deletes_it(store: Waystore) {
    let (cache, storage) = (open(&store).await, caches(&store));
    for over_several in [false, true] {
        let sender = record(&cache, "/x").await;
        let removed = if over_several {
            storage.batch(vec![(cache.clone(), delete_and_put("/x", "/z"))]).await.unwrap().remove(0)
        } else {
            cache.batch(delete_and_put("/x", "/y")).await.unwrap()
        };
        assert_eq!(removed, [1, 0]);
        assert!(cache.match_("/x", PLAIN).await.unwrap().is_none());
        send(&sender, "late");
        drop(sender);
        settled(&cache).await;
    }
    assert_eq!(committed(&cache).await, ["/y", "/z"]);
}

async fn a_batch_that_is_refused_calls_no_recorded_put_back(store: Waystore) {
    let cache = open(&store).await;
    let sender = record(&cache, "/x").await;
    let mut operations = delete_and_put("/x", "/y");
    operations.extend(delete_and_put("/y", "/z"));
    assert!(matches!(cache.batch(operations).await, Err(Error::Duplicate { .. })));
    send(&sender, "whole");
    drop(sender);
    settled(&cache).await;
    assert_eq!(get(&cache, "/x").await, "whole");
}

async fn a_batch_that_finds_no_room_calls_no_recorded_put_back(store: Waystore) {
    let cache = open(&store).await;
    let sender = record(&cache, "/x").await;
    store.set_limits(Limits::default().per_key(10_000));
    let delete = BatchOperation::Delete { request: request("/x", &[]), options: PLAIN };
    let put = BatchOperation::Put { request: request("/y", &[]), response: Response::new(vec![b'y'; 20_000]) };
    assert!(matches!(cache.batch(vec![delete, put]).await, Err(Error::QuotaExceeded { .. })));
    assert_eq!(keys(&cache).await, ["/x"]);
    send(&sender, "whole");
    drop(sender);
    settled(&cache).await;
    assert_eq!(get(&cache, "/x").await, "whole");
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
