//! Named buckets. Sections 2 and 8 of `spec/storage.md`.

use std::{sync::Arc, time::Duration};

use super::held::Held;
use crate::{
    BucketOptions, CacheQueryOptions, CacheStorage, Clock, Error, Limits, Response, StorageBucket, Waystore,
    store::Store,
};

super::case_list!(Case:
    s43_a_name_that_breaks_the_rules_is_refused,
    s44_s49_equal_names_in_two_buckets_are_two_caches,
    s45_a_removed_bucket_ends_its_handles_and_comes_back_empty,
    s46_s47_a_bucket_is_gone_at_its_end,
    s48_a_bucket_keeps_to_its_own_quota,
    a_bucket_keeps_to_its_quota_when_many_put_at_once,
    a_bucket_counts_towards_the_limit_of_its_key,
    what_a_bucket_holds_is_charged_to_it_and_freed_with_it,
    how_a_bucket_is_kept_is_set_when_it_is_opened,
    s8_s11_what_is_persistent_is_kept_so_and_spared_by_eviction,
    a_bucket_is_evicted_with_its_key_unless_it_is_persisted,
    what_is_spared_of_an_evicted_key_does_not_spare_the_next_one,
    a_budget_leaves_alone_how_a_bucket_is_kept,
    who_does_not_go_on_with_a_bucket_holds_up_nobody,
    no_cache_comes_into_a_bucket_that_was_removed_meanwhile,
    a_bucket_goes_with_the_caches_that_came_while_it_was_removed,
);

/// As many commits as anything takes.
const MANY: usize = 100;

fn caches(store: &Waystore) -> CacheStorage {
    store.caches("https://a.test").unwrap()
}

async fn bucket(store: &Waystore, name: &str) -> StorageBucket {
    caches(store).buckets().open(name, BucketOptions::default()).await.unwrap()
}

async fn put(caches: &CacheStorage, body: impl Into<crate::Body>) -> crate::Result<()> {
    caches.open("att").await?.put("/r", Response::new(body)).await
}

async fn text(caches: &CacheStorage) -> Option<String> {
    let found = caches.match_("/r", CacheQueryOptions::default()).await.unwrap()?;
    Some(String::from_utf8(found.body.unwrap().collect(1000).await.unwrap().into()).unwrap())
}

async fn s43_a_name_that_breaks_the_rules_is_refused(store: Waystore) {
    let buckets = caches(&store).buckets();
    for name in ["Inbox", "_a", "-a", "", "default", "a b", &"a".repeat(65)] {
        assert!(matches!(buckets.open(name, BucketOptions::default()).await, Err(Error::Type { .. })), "{name}");
        assert!(matches!(buckets.delete(name).await, Err(Error::Type { .. })), "{name}");
    }
    buckets.open(&"a".repeat(64), BucketOptions::default()).await.unwrap();
    assert!(!buckets.delete("absent").await.unwrap());
}

async fn s44_s49_equal_names_in_two_buckets_are_two_caches(store: Waystore) {
    let (inbox, drafts) = (bucket(&store, "inbox").await, bucket(&store, "drafts").await);
    put(&inbox.caches(), "bread").await.unwrap();
    put(&drafts.caches(), "eggs").await.unwrap();
    assert_eq!(text(&inbox.caches()).await.as_deref(), Some("bread"));
    assert_eq!(text(&drafts.caches()).await.as_deref(), Some("eggs"));
    assert_eq!(text(&caches(&store)).await, None);
    assert_eq!(caches(&store).buckets().keys().await.unwrap(), ["drafts", "inbox"]);
    let elsewhere = store.caches("https://b.test").unwrap();
    assert!(elsewhere.buckets().keys().await.unwrap().is_empty());
}

async fn s45_a_removed_bucket_ends_its_handles_and_comes_back_empty(store: Waystore) {
    let inbox = bucket(&store, "inbox").await;
    put(&inbox.caches(), "bread").await.unwrap();
    let held = inbox.caches().open("att").await.unwrap();
    assert!(caches(&store).buckets().delete("inbox").await.unwrap());
    let gone = |result: bool| assert!(result, "the bucket was removed");
    gone(matches!(inbox.caches().open("att").await, Err(Error::BucketRemoved { .. })));
    gone(matches!(inbox.caches().keys().await, Err(Error::BucketRemoved { .. })));
    gone(matches!(inbox.estimate().await, Err(Error::BucketRemoved { .. })));
    gone(matches!(inbox.persist().await, Err(Error::BucketRemoved { .. })));
    gone(matches!(inbox.expires_ms().await, Err(Error::BucketRemoved { .. })));
    assert!(held.match_("/r", CacheQueryOptions::default()).await.unwrap().is_some(), "a cache outlives its name");
    let again = bucket(&store, "inbox").await;
    assert!(again.caches().keys().await.unwrap().is_empty());
    gone(matches!(inbox.estimate().await, Err(Error::BucketRemoved { .. })));
}

async fn s46_s47_a_bucket_is_gone_at_its_end(_: Waystore) {
    let clock = Arc::new(Clock::fixed(1_000, 7));
    let memory = crate::store::memory::MemoryStore::new(Arc::clone(&clock));
    let store = Waystore::with_store(Arc::new(memory), Arc::clone(&clock));
    let buckets = caches(&store).buckets();
    let until = |end| BucketOptions { expires_ms: Some(end), ..BucketOptions::default() };
    assert!(matches!(buckets.open("t", until(1_000)).await, Err(Error::Type { .. })));
    let none = BucketOptions { quota_bytes: Some(0), ..BucketOptions::default() };
    assert!(matches!(buckets.open("t", none).await, Err(Error::Type { .. })));
    let brief = buckets.open("t", until(2_000)).await.unwrap();
    put(&brief.caches(), "bread").await.unwrap();
    assert_eq!(brief.expires_ms().await.unwrap(), Some(2_000));
    brief.set_expires_ms(3_000).await.unwrap();
    clock.advance(1_500);
    assert_eq!(buckets.keys().await.unwrap(), ["t"]);
    clock.advance(500);
    assert!(buckets.keys().await.unwrap().is_empty());
    assert!(matches!(brief.estimate().await, Err(Error::BucketRemoved { .. })));
    assert!(bucket(&store, "t").await.caches().keys().await.unwrap().is_empty());
}

async fn s48_a_bucket_keeps_to_its_own_quota(store: Waystore) {
    let small = BucketOptions { quota_bytes: Some(200_000), ..BucketOptions::default() };
    let bucket = caches(&store).buckets().open("t", small).await.unwrap();
    assert_eq!(bucket.estimate().await.unwrap().quota_bytes, 200_000);
    for body in [vec![0; 300_000], vec![0; 199_990]] {
        let refused = put(&bucket.caches(), body).await;
        assert!(matches!(refused, Err(Error::QuotaExceeded { quota: Some(200_000), .. })), "{refused:?}");
    }
    put(&bucket.caches(), vec![0; 150_000]).await.unwrap();
    put(&bucket.caches(), vec![0; 180_000]).await.expect("it takes the place of the other");
    let more = bucket.caches().open("more").await.unwrap();
    assert!(matches!(more.put("/x", Response::new(vec![0; 40_000])).await, Err(Error::QuotaExceeded { .. })));
    put(&caches(&store), vec![0; 300_000]).await.expect("the key has room");
    let other = BucketOptions { quota_bytes: Some(5), ..BucketOptions::default() };
    let same = caches(&store).buckets().open("t", other).await.unwrap();
    assert_eq!(same.estimate().await.unwrap().quota_bytes, 200_000);
}

async fn a_bucket_keeps_to_its_quota_when_many_put_at_once(store: Waystore) {
    let small = BucketOptions { quota_bytes: Some(200_000), ..BucketOptions::default() };
    let bucket = caches(&store).buckets().open("t", small).await.unwrap();
    let cache = bucket.caches().open("v1").await.unwrap();
    let puts = (0..20).map(|number| {
        let cache = cache.clone();
        // Some of them stream, some do not.
        let body = vec![0; if number % 2 == 0 { 30_000 } else { 70_000 }];
        async move { cache.put(format!("/{number}").as_str(), Response::new(body)).await.is_ok() }
    });
    let stored = futures::future::join_all(puts).await;
    let held = bucket.estimate().await.unwrap();
    assert!(held.usage_bytes <= 200_000, "{held:?}");
    assert!(held.usage_bytes > 200_000 - 31_000, "another small one would have fitted: {held:?}, {stored:?}");
    assert_eq!(stored.iter().filter(|stored| **stored).count(), crate::testing::support::keys(&cache).await.len());
}

async fn a_bucket_counts_towards_the_limit_of_its_key(store: Waystore) {
    store.set_limits(Limits::default().per_key(100_000));
    let inbox = bucket(&store, "inbox").await;
    put(&inbox.caches(), vec![0; 60_000]).await.unwrap();
    assert!(matches!(put(&caches(&store), vec![0; 60_000]).await, Err(Error::QuotaExceeded { .. })));
    assert_eq!(inbox.estimate().await.unwrap().quota_bytes, 100_000);
}

async fn what_a_bucket_holds_is_charged_to_it_and_freed_with_it(store: Waystore) {
    let before = caches(&store).estimate().await.unwrap().usage_bytes;
    let inbox = bucket(&store, "inbox").await;
    assert_eq!(inbox.estimate().await.unwrap().usage_bytes, 0);
    put(&inbox.caches(), vec![0; 70_000]).await.unwrap();
    put(&caches(&store), vec![0; 5_000]).await.unwrap();
    assert!((70_000..71_500).contains(&inbox.estimate().await.unwrap().usage_bytes));
    assert!(caches(&store).estimate().await.unwrap().usage_bytes > 75_000);
    caches(&store).delete("att").await.unwrap();
    caches(&store).buckets().delete("inbox").await.unwrap();
    assert_eq!(caches(&store).estimate().await.unwrap().usage_bytes, before);
    assert!(store.storage_keys().await.unwrap().is_empty());
}

async fn how_a_bucket_is_kept_is_set_when_it_is_opened(store: Waystore) {
    let options = BucketOptions { persisted: true, expires_ms: Some(u64::MAX), ..BucketOptions::default() };
    let kept = caches(&store).buckets().open("t", options).await.unwrap();
    assert!(kept.persisted().await.unwrap());
    let again = bucket(&store, "t").await;
    assert!(again.persisted().await.unwrap(), "what is persisted stays so");
    assert_eq!(again.expires_ms().await.unwrap(), None, "each call sets the end");
    let other = bucket(&store, "other").await;
    assert!(!other.persisted().await.unwrap());
    other.persist().await.unwrap();
    assert!(other.persisted().await.unwrap());
}

async fn s8_s11_what_is_persistent_is_kept_so_and_spared_by_eviction(store: Waystore) {
    let old = caches(&store);
    assert!(!old.is_persistent().await.unwrap());
    old.set_persistent(true).await.unwrap();
    assert!(store.caches("https://a.test").unwrap().is_persistent().await.unwrap());
    fill_beyond(&store).await;
    assert!(old.has("att").await.unwrap() && !store.caches("https://b.test").unwrap().has("att").await.unwrap());
    old.set_persistent(false).await.unwrap();
    assert!(!old.is_persistent().await.unwrap() && old.has("att").await.unwrap());
}

/// Fills `a`, `b` and `c` up to the limit, and then `c` beyond it.
async fn fill_beyond(store: &Waystore) {
    store.set_limits(Limits::default().total(350_000));
    store.set_eviction(true);
    for host in ["a", "b", "c"] {
        put(&store.caches(&format!("https://{host}.test")).unwrap(), vec![7; 100_000]).await.unwrap();
    }
    let last = store.caches("https://c.test").unwrap().open("more").await.unwrap();
    last.put("/x", Response::new(vec![7; 100_000])).await.unwrap();
}

async fn a_bucket_is_evicted_with_its_key_unless_it_is_persisted(store: Waystore) {
    let (inbox, drafts) = (bucket(&store, "inbox").await, bucket(&store, "drafts").await);
    for bucket in [&inbox, &drafts] {
        bucket.caches().open("v1").await.unwrap().put("/x", Response::new("x")).await.unwrap();
    }
    drafts.persist().await.unwrap();
    fill_beyond(&store).await;
    assert!(!caches(&store).has("att").await.unwrap());
    assert!(matches!(inbox.estimate().await, Err(Error::BucketRemoved { .. })));
    assert!(drafts.caches().has("v1").await.unwrap());
    assert_eq!(caches(&store).buckets().keys().await.unwrap(), ["drafts"]);
}

async fn what_is_spared_of_an_evicted_key_does_not_spare_the_next_one(store: Waystore) {
    let drafts = bucket(&store, "drafts").await;
    put(&drafts.caches(), "eggs").await.unwrap();
    drafts.persist().await.unwrap();
    fill_beyond(&store).await;
    let (b, d) = (store.caches("https://b.test").unwrap(), store.caches("https://d.test").unwrap());
    assert!(!caches(&store).has("att").await.unwrap() && b.has("att").await.unwrap());
    put(&d, vec![7; 100_000]).await.unwrap();
    assert!(!b.has("att").await.unwrap() && d.has("att").await.unwrap());
    assert_eq!(text(&drafts.caches()).await.as_deref(), Some("eggs"));
}

async fn a_budget_leaves_alone_how_a_bucket_is_kept(store: Waystore) {
    let bucket = caches(&store).with_budget(0).buckets().open("t", BucketOptions::default()).await.unwrap();
    assert_eq!(caches(&store).buckets().keys().await.unwrap(), ["t"]);
    assert!(!bucket.persisted().await.unwrap());
    put(&bucket.caches(), "gone at once").await.unwrap();
    assert_eq!(text(&bucket.caches()).await, None);
}

async fn who_does_not_go_on_with_a_bucket_holds_up_nobody(store: Waystore) {
    let buckets = caches(&store).buckets();
    let mut left = Box::pin(buckets.open("left", BucketOptions::default()));
    let is_done = futures::poll!(left.as_mut()).is_ready();
    let others = async { bucket(&store, "other").await.persist().await.unwrap() };
    tokio::time::timeout(Duration::from_secs(20), others).await.expect("the others go on");
    if !is_done {
        left.await.unwrap();
    }
    assert_eq!(buckets.keys().await.unwrap(), ["left", "other"]);
}

async fn no_cache_comes_into_a_bucket_that_was_removed_meanwhile(store: Waystore) {
    let inbox = bucket(&store, "inbox").await.caches();
    let held = Held::commits(&inbox.store);
    for is_back in [false, true] {
        // Another's handles, which are not told.
        let other = Waystore::with_store(Arc::clone(&held) as Arc<dyn Store>, Arc::clone(&store.clock));
        held.gate.add_permits(MANY);
        let others = bucket(&other, "inbox").await.caches();
        held.gate.forget_permits(MANY);
        let mut opens = Box::pin(others.open("late"));
        assert!(futures::poll!(&mut opens).is_pending());
        assert!(caches(&store).buckets().delete("inbox").await.unwrap());
        if is_back {
            bucket(&store, "inbox").await;
        }
        held.gate.add_permits(MANY);
        assert!(matches!(opens.await, Err(Error::BucketRemoved { .. })));
        held.gate.forget_permits(MANY);
        let names = inbox.store.names(&inbox.place).await.unwrap();
        assert!(names.is_empty(), "the bucket is back: {is_back}");
        bucket(&store, "inbox").await;
    }
}

async fn a_bucket_goes_with_the_caches_that_came_while_it_was_removed(store: Waystore) {
    let inbox = bucket(&store, "inbox").await.caches();
    let held = Held::commits(&inbox.store);
    let other = Waystore::with_store(Arc::clone(&held) as Arc<dyn Store>, Arc::clone(&store.clock));
    let buckets = caches(&other).buckets();
    let (removed, ()) = futures::join!(buckets.delete("inbox"), async {
        held.one_more_waits().await;
        inbox.open("late").await.unwrap();
        held.gate.add_permits(MANY);
    });
    assert!(removed.unwrap());
    assert!(inbox.store.names(&inbox.place).await.unwrap().is_empty());
    assert!(matches!(inbox.open("later").await, Err(Error::BucketRemoved { .. })));
}
