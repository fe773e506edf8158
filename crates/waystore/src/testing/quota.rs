//! What is charged and what is refused. Sections 3 to 5 of `spec/storage.md`, and the examples of
//! `spec/cache.md` about a quota.

use std::sync::Arc;

use futures::{FutureExt, StreamExt, channel::mpsc, stream};

use super::support::{Canned, PLAIN, caches, get, keys, open, put, request};
use crate::{
    Body, Bottle, Cache, Error, Limits, Place, Response, Result, Waystore,
    store::{Candidate, Store, Usage},
};

super::case_list!(Case:
    s13_usage_is_within_the_quota,
    s14_s15_an_entry_is_charged_its_bytes_and_little_more_until_it_is_deleted,
    s16_what_is_deleted_under_a_reader_is_read_and_given_back,
    s17_what_is_replaced_makes_room,
    s18_puts_at_a_time_never_pass_the_quota_together,
    s19_the_quota_stays_the_same,
    s25_s26_s61_beyond_the_quota_all_works_but_growth,
    s51_the_error_names_the_quota,
    s56_what_two_share_is_charged_to_both,
    s62_a_raised_quota_is_used_at_once,
    s69_usage_never_passes_the_quota_while_it_is_written_to,
    e146_a_batch_over_the_quota_stores_nothing,
    e147_a_refused_replacement_leaves_the_old_entry_in_its_place,
    e173_a_refused_put_changes_nothing,
    e174_a_refused_open_makes_no_cache,
    e175_deleting_makes_room,
    ten_bodies_of_unknown_length_stop_at_the_quota_together,
    a_body_of_unknown_length_stops_at_the_quota,
    a_body_that_says_its_length_is_refused_before_it_is_read,
    a_body_that_fails_gives_its_room_back,
    lengths_that_nobody_has_room_for_are_refused,
    the_limit_of_all_together_holds_for_each,
    a_key_may_have_a_limit_of_its_own,
    registrations_are_charged_too,
    a_doomed_cache_is_charged_until_it_is_let_go,
    the_books_agree_with_a_recount,
);

pub(super) const MIB: usize = 1 << 20;

/// What everything in `store` is charged, counted one by one.
pub(super) async fn recount(store: &Arc<dyn Store>) -> Usage {
    let mut counted = Vec::new();
    for key in store.storage_keys().await.unwrap() {
        for bottle in [Bottle::Caches, Bottle::ServiceWorkerRegistrations] {
            for (name, list) in store.names(&Place::new(key.clone(), bottle)).await.unwrap() {
                counted.push(Usage::of_name(&name));
                let page = store.page(&list, None, usize::MAX).await.unwrap();
                counted.extend(page.iter().map(Candidate::usage));
            }
        }
    }
    counted.into_iter().sum()
}

pub(super) async fn usage(store: &Waystore) -> u64 {
    caches(store).estimate().await.unwrap().usage_bytes
}

pub(super) fn limit(store: &Waystore, bytes: u64) {
    store.set_limits(Limits::default().per_key(bytes));
}

async fn put_bytes(cache: &Cache, url: &str, length: usize) -> Result<()> {
    cache.put(url, Response::new(vec![7; length])).await
}

/// A response of `length` bytes that does not say how long it is.
fn streamed(length: usize) -> Response {
    let chunks =
        (0..length.div_ceil(16 * 1024)).map(move |at| Ok(vec![7; (length - at * 16 * 1024).min(16 * 1024)].into()));
    Response::new(Body::from_stream(stream::iter(chunks), None))
}

pub(super) fn is_quota_error<T: std::fmt::Debug>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::QuotaExceeded { requested: Some(requested), quota: Some(quota) }) if requested > quota)
}

async fn s13_usage_is_within_the_quota(store: Waystore) {
    let estimate = caches(&store).estimate().await.unwrap();
    assert_eq!(estimate.usage_bytes, 0);
    assert!(estimate.quota_bytes > 0);
    put(&open(&store).await, "/x", "1").await;
    let estimate = caches(&store).estimate().await.unwrap();
    assert!(estimate.usage_bytes > 0 && estimate.usage_bytes <= estimate.quota_bytes);
}

async fn s14_s15_an_entry_is_charged_its_bytes_and_little_more_until_it_is_deleted(store: Waystore) {
    let cache = open(&store).await;
    let before = usage(&store).await;
    for response in [Response::new(vec![7; MIB]), streamed(MIB)] {
        cache.put("/x", response).await.unwrap();
        let grown = usage(&store).await - before;
        assert!((MIB as u64..MIB as u64 + 2048).contains(&grown), "{grown}");
        assert!(cache.delete("/x", PLAIN).await.unwrap());
        assert_eq!(usage(&store).await, before);
    }
}

async fn s16_what_is_deleted_under_a_reader_is_read_and_given_back(store: Waystore) {
    let cache = open(&store).await;
    let before = usage(&store).await;
    put_bytes(&cache, "/x", MIB).await.unwrap();
    let mut reader = cache.match_("/x", PLAIN).await.unwrap().unwrap().body.unwrap();
    let mut read = reader.next().await.unwrap().unwrap().len();
    assert!(cache.delete("/x", PLAIN).await.unwrap());
    assert!((before..=before + MIB as u64 + 2048).contains(&usage(&store).await));
    while let Some(chunk) = reader.next().await {
        read += chunk.unwrap().len();
    }
    drop(reader);
    assert_eq!((read, usage(&store).await), (MIB, before));
}

async fn s17_what_is_replaced_makes_room(store: Waystore) {
    let cache = open(&store).await;
    limit(&store, 10 * MIB as u64);
    put_bytes(&cache, "/x", 2 * MIB).await.unwrap();
    put_bytes(&cache, "/rest", 7 * MIB).await.unwrap();
    put_bytes(&cache, "/x", 2 * MIB).await.unwrap();
    cache.put("/x", streamed(2 * MIB)).await.unwrap();
    assert!(is_quota_error(&cache.put("/y", streamed(2 * MIB)).await));
    assert_eq!(keys(&cache).await, ["/rest", "/x"]);
}

async fn s18_puts_at_a_time_never_pass_the_quota_together(store: Waystore) {
    let cache = open(&store).await;
    limit(&store, 10 * MIB as u64);
    put_bytes(&cache, "/rest", 9 * MIB).await.unwrap();
    let (one, two) = futures::join!(cache.put("/1", streamed(MIB - 4096)), cache.put("/2", streamed(MIB - 4096)));
    assert!(one.is_err() || two.is_err());
    assert!(usage(&store).await <= 10 * MIB as u64);
    cache.delete("/1", PLAIN).await.unwrap();
    cache.delete("/2", PLAIN).await.unwrap();
    cache.put("/1", streamed(MIB - 4096)).await.unwrap();
}

async fn s19_the_quota_stays_the_same(store: Waystore) {
    let before = caches(&store).estimate().await.unwrap().quota_bytes;
    put_bytes(&open(&store).await, "/x", 4 * MIB).await.unwrap();
    assert_eq!(caches(&store).estimate().await.unwrap().quota_bytes, before);
}

async fn s25_s26_s61_beyond_the_quota_all_works_but_growth(store: Waystore) {
    let cache = open(&store).await;
    for url in ["/a", "/b", "/c"] {
        put_bytes(&cache, url, 100_000).await.unwrap();
    }
    limit(&store, 250_000);
    assert_eq!(get(&cache, "/a").await.len(), 100_000);
    assert_eq!(keys(&cache).await.len(), 3);
    assert!(is_quota_error(&put_bytes(&cache, "/new", 1).await));
    put_bytes(&cache, "/c", 99_000).await.unwrap();
    assert!(cache.delete("/a", PLAIN).await.unwrap());
    put_bytes(&cache, "/new", 1).await.unwrap();
    assert!(caches(&store).rename("c", "d").await.unwrap());
    assert!(caches(&store).delete("d").await.unwrap());
}

async fn s51_the_error_names_the_quota(store: Waystore) {
    let cache = open(&store).await;
    limit(&store, MIB as u64);
    let refused = put_bytes(&cache, "/x", 2 * MIB).await;
    let Err(Error::QuotaExceeded { requested: Some(requested), quota: Some(1_048_576) }) = refused else {
        panic!("{refused:?}");
    };
    assert!(requested > 2 * MIB as u64);
    assert_eq!(caches(&store).estimate().await.unwrap().quota_bytes, 1_048_576);
}

async fn s56_what_two_share_is_charged_to_both(store: Waystore) {
    let other = store.caches("https://b.test").unwrap();
    put_bytes(&other.open("c").await.unwrap(), "/x", MIB).await.unwrap();
    put_bytes(&open(&store).await, "/x", MIB).await.unwrap();
    assert_eq!(usage(&store).await, other.estimate().await.unwrap().usage_bytes);
    let before = usage(&store).await;
    put_bytes(&open(&store).await, "/y", MIB).await.unwrap();
    assert!(usage(&store).await - before >= MIB as u64);
}

async fn s62_a_raised_quota_is_used_at_once(store: Waystore) {
    let cache = open(&store).await;
    limit(&store, 100_000);
    assert!(is_quota_error(&put_bytes(&cache, "/x", 100_000).await));
    limit(&store, 200_000);
    put_bytes(&cache, "/x", 100_000).await.unwrap();
}

async fn s69_usage_never_passes_the_quota_while_it_is_written_to(store: Waystore) {
    let cache = open(&store).await;
    let quota = 400_000;
    limit(&store, quota);
    let writers = (0..4_u32).map(|writer| {
        let cache = cache.clone();
        tokio::spawn(async move {
            let mut refused = 0;
            for round in 0..30 {
                let url = format!("/{writer}/{}", round % 3);
                let length = if round % 2 == 0 { 90_000 } else { 30_000 };
                refused += u32::from(cache.put(&*url, streamed(length)).await.is_err());
                if round % 5 == 4 {
                    cache.delete(&*url, PLAIN).await.unwrap();
                }
            }
            refused
        })
    });
    let writers: Vec<_> = writers.collect();
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        let estimate = caches(&store).estimate().await.unwrap();
        assert!(estimate.usage_bytes <= quota, "{estimate:?}");
        tokio::task::yield_now().await;
    }
    let refused = futures::future::try_join_all(writers).await.unwrap();
    assert!(refused.iter().sum::<u32>() > 0, "the quota was never reached");
    assert_eq!(recount(&cache.store).await, cache.store.usage(None).await.unwrap());
}

async fn e146_a_batch_over_the_quota_stores_nothing(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "/old", "1").await;
    limit(&store, 250_000);
    let network = ["/1", "/2", "/3", "/4", "/5"]
        .iter()
        .fold(Canned::default(), |network, url| network.on(url, |_| Ok(streamed(90_000))));
    assert!(is_quota_error(&cache.add_all(&network, ["/1", "/2", "/3", "/4", "/5"]).await));
    assert_eq!(keys(&cache).await, ["/old"]);
    let small = (0..500).map(|number| (request(&format!("/{number}"), &[]), Response::new("x".repeat(1000))));
    assert!(is_quota_error(&cache.put_all(small.collect::<Vec<_>>()).await));
    assert_eq!(keys(&cache).await, ["/old"]);
}

async fn e147_a_refused_replacement_leaves_the_old_entry_in_its_place(store: Waystore) {
    let cache = open(&store).await;
    for url in ["/a", "/x", "/b"] {
        put(&cache, url, "old").await;
    }
    limit(&store, 50_000);
    for response in [Response::new(vec![7; 60_000]), streamed(600_000)] {
        assert!(is_quota_error(&cache.put("/x", response).await));
        assert_eq!(get(&cache, "/x").await, "old");
        assert_eq!(keys(&cache).await, ["/a", "/x", "/b"]);
    }
}

async fn e173_a_refused_put_changes_nothing(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "/x", "1").await;
    limit(&store, 10_000);
    let before = usage(&store).await;
    for length in [10_000, 100_000, MIB] {
        assert!(is_quota_error(&cache.put("/y", streamed(length)).await));
        assert_eq!((usage(&store).await, keys(&cache).await), (before, vec!["/x".to_owned()]));
    }
}

async fn e174_a_refused_open_makes_no_cache(store: Waystore) {
    open(&store).await;
    limit(&store, 300);
    assert!(is_quota_error(&caches(&store).open("new").await));
    assert!(!caches(&store).has("new").await.unwrap());
    caches(&store).open("c").await.unwrap();
}

async fn e175_deleting_makes_room(store: Waystore) {
    let cache = open(&store).await;
    limit(&store, 300_000);
    put_bytes(&cache, "/large", 200_000).await.unwrap();
    assert!(is_quota_error(&cache.put("/x", streamed(150_000)).await));
    assert!(cache.delete("/large", PLAIN).await.unwrap());
    cache.put("/x", streamed(150_000)).await.unwrap();
}

async fn ten_bodies_of_unknown_length_stop_at_the_quota_together(store: Waystore) {
    let cache = open(&store).await;
    limit(&store, MIB as u64);
    // What the puts under way have taken together: now, and at most.
    let taken = Arc::new(std::sync::Mutex::new((0, 0)));
    let puts = (0..10).map(|number| {
        let (cache, mut taking) = (cache.clone(), Taking { all: Arc::clone(&taken), own: 0 });
        tokio::spawn(async move {
            // A little at a time, so that all ten are under way together.
            let chunks = stream::repeat(()).take(128).then(move |()| {
                let chunk = taking.more(16 * 1024);
                async {
                    tokio::task::yield_now().await;
                    Ok(chunk)
                }
            });
            let body = Body::from_stream(chunks, None);
            cache.put(format!("/{number}"), Response::new(body)).await
        })
    });
    for done in futures::future::try_join_all(puts).await.unwrap() {
        assert!(is_quota_error(&done), "each is longer than all there is: {done:?}");
    }
    // Beside the quota, each holds 64 KiB and a chunk or two in memory before it asks for room.
    let (_, most) = *taken.lock().unwrap();
    assert!(most <= 3 * MIB, "{most}");
    assert!(keys(&cache).await.is_empty() && usage(&store).await < 1024);
}

/// Counts what a put takes from its body, until it is done with it.
struct Taking {
    all: Arc<std::sync::Mutex<(usize, usize)>>,
    own: usize,
}

impl Taking {
    fn more(&mut self, bytes: usize) -> bytes::Bytes {
        self.own += bytes;
        let mut all = self.all.lock().unwrap();
        all.0 += bytes;
        all.1 = all.1.max(all.0);
        vec![7; bytes].into()
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.all.lock().unwrap().0 -= self.own;
    }
}

async fn a_body_of_unknown_length_stops_at_the_quota(store: Waystore) {
    let cache = open(&store).await;
    limit(&store, MIB as u64);
    let read = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&read);
    // Long, and not without end: a store that forgets its quota must not fill the disk.
    let long = stream::repeat_with(move || {
        counted.fetch_add(16 * 1024, std::sync::atomic::Ordering::Relaxed);
        Ok(vec![7; 16 * 1024].into())
    });
    let long = long.take(16 * MIB / (16 * 1024));
    assert!(is_quota_error(&cache.put("/x", Response::new(Body::from_stream(long, None))).await));
    assert!(read.load(std::sync::atomic::Ordering::Relaxed) <= MIB + 32 * 1024);
}

async fn a_body_that_says_its_length_is_refused_before_it_is_read(store: Waystore) {
    let cache = open(&store).await;
    limit(&store, MIB as u64);
    let (sender, chunks) = mpsc::unbounded();
    sender.unbounded_send(Ok(vec![7; 100_000].into())).unwrap();
    // The rest never comes.
    let body = Body::from_stream(chunks, Some(2 * MIB as u64));
    assert!(is_quota_error(&cache.put("/x", Response::new(body)).await));
    drop(sender);
}

async fn a_body_that_fails_gives_its_room_back(store: Waystore) {
    let cache = open(&store).await;
    limit(&store, MIB as u64);
    for _ in 0..5 {
        let chunks = stream::iter((0..40).map(|_| Ok(vec![7; 16 * 1024].into())));
        let broken = stream::once(async { Err(crate::BodyError::failed("the source broke")) });
        let body = Body::from_stream(chunks.chain(broken), None);
        assert!(matches!(cache.put("/x", Response::new(body)).await, Err(Error::Body(_))));
    }
    cache.put("/x", streamed(900_000)).await.unwrap();
}

async fn the_limit_of_all_together_holds_for_each(store: Waystore) {
    store.set_limits(Limits::default().total(MIB as u64));
    let other = store.caches("https://b.test").unwrap().open("c").await.unwrap();
    put_bytes(&other, "/x", 700_000).await.unwrap();
    let cache = open(&store).await;
    assert!(is_quota_error(&put_bytes(&cache, "/x", 400_000).await));
    assert!(is_quota_error(&cache.put("/x", streamed(400_000)).await));
    put_bytes(&cache, "/x", 300_000).await.unwrap();
    other.delete("/x", PLAIN).await.unwrap();
    put_bytes(&cache, "/y", 400_000).await.unwrap();
}

async fn a_key_may_have_a_limit_of_its_own(store: Waystore) {
    let own = caches(&store).storage_key().clone();
    store.set_limits(Limits::default().per_key(1000).key(own, MIB as u64));
    put_bytes(&open(&store).await, "/x", 500_000).await.unwrap();
    let other = store.caches("https://b.test").unwrap().open("c").await.unwrap();
    assert!(is_quota_error(&put_bytes(&other, "/x", 1000).await));
}

async fn registrations_are_charged_too(store: Waystore) {
    let before = usage(&store).await;
    let registrations = store.registrations("https://a.test").unwrap();
    put_bytes(&registrations.open("/").await.unwrap(), "/sw.js", 50_000).await.unwrap();
    assert!(usage(&store).await - before > 50_000);
    limit(&store, 60_000);
    assert!(is_quota_error(&put_bytes(&open(&store).await, "/x", 20_000).await));
}

async fn a_doomed_cache_is_charged_until_it_is_let_go(store: Waystore) {
    let held = open(&store).await;
    put_bytes(&held, "/x", 50_000).await.unwrap();
    assert!(caches(&store).delete("c").await.unwrap());
    assert!(usage(&store).await > 50_000);
    put_bytes(&held, "/y", 50_000).await.unwrap();
    assert!(usage(&store).await > 100_000);
    drop(held);
    assert_eq!(usage(&store).await, 0);
}

async fn the_books_agree_with_a_recount(store: Waystore) {
    let storage = caches(&store);
    let mut cache = storage.open("0").await.unwrap();
    for round in 0..60_usize {
        put(&cache, &format!("/{}", round % 7), &"x".repeat(round * 3_000)).await;
        match round % 10 {
            3 => drop(cache.delete(format!("/{}", round % 5), PLAIN).await.unwrap()),
            5 => drop(storage.rename((round / 10).to_string(), "swapped").await.unwrap()),
            7 => drop(storage.delete("swapped").await.unwrap()),
            9 => cache = storage.open((round / 10 + 1).to_string()).await.unwrap(),
            _ => {}
        }
    }
    let store = Arc::clone(&cache.store);
    // A doomed list is charged though nobody can count it.
    drop(cache);
    assert_eq!(recount(&store).await, store.usage(None).await.unwrap());
    assert_eq!(store.usage(Some(storage.storage_key())).await.unwrap(), store.usage(None).await.unwrap());
}

async fn lengths_that_nobody_has_room_for_are_refused(store: Waystore) {
    let cache = open(&store).await;
    for _ in 0..3 {
        let chunks = stream::iter([Ok(vec![7; 100_000].into())]).chain(stream::pending());
        let endless = Response::new(Body::from_stream(chunks, Some(u64::MAX)));
        let refused = cache.put("/x", endless).now_or_never().expect("it is refused before it is read");
        assert!(matches!(refused, Err(Error::QuotaExceeded { requested: Some(u64::MAX), .. })), "{refused:?}");
    }
    put_bytes(&cache, "/x", 100_000).await.unwrap();
}
