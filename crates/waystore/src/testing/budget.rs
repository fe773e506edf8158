//! Caches that give up entries to stay within a budget.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use super::support::{Canned, PLAIN, caches, get, keys, put, request};
use crate::{BatchOperation, BucketOptions, Cache, CachePolicies, CachePolicy, Error, Limits, Response, Waystore};

super::case_list!(Case:
    without_a_budget_no_entry_is_evicted,
    the_entry_that_was_not_used_goes_first,
    what_was_there_before_counts_too,
    pinned_entries_stay_and_do_not_count,
    what_is_deleted_makes_room_in_the_budget,
    a_batch_larger_than_the_budget_leaves_its_last_entries,
    a_full_quota_lets_entries_go_instead_of_failing,
    a_full_quota_lets_entries_go_for_a_batch_over_several_caches,
    nothing_goes_for_what_can_never_fit,
    a_new_cache_takes_room_from_those_that_filled_the_quota,
    a_full_quota_leaves_pinned_entries_of_other_caches_alone,
    a_cache_whose_policy_has_no_budget_gives_up_nothing,
    a_budget_holds_under_many_writers,
    a_full_bucket_takes_room_from_its_own_caches_only,
    a_full_quota_lets_entries_of_named_buckets_go_too,
);

async fn with_budget(store: &Waystore, bytes: u64) -> Cache {
    caches(store).with_budget(bytes).open("c").await.unwrap()
}

async fn fill(cache: &Cache, urls: &[&str]) {
    for url in urls {
        put(cache, url, &"x".repeat(30_000)).await;
    }
}

async fn without_a_budget_no_entry_is_evicted(store: Waystore) {
    let cache = caches(&store).open("c").await.unwrap();
    fill(&cache, &["/1", "/2", "/3", "/4", "/5"]).await;
    assert_eq!(keys(&cache).await.len(), 5);
}

async fn the_entry_that_was_not_used_goes_first(store: Waystore) {
    let cache = with_budget(&store, 100_000).await;
    fill(&cache, &["/1", "/2", "/3"]).await;
    assert_eq!(get(&cache, "/1").await.len(), 30_000);
    assert!(caches(&store).match_("/2", PLAIN).await.unwrap().is_some());
    fill(&cache, &["/4"]).await;
    assert_eq!(keys(&cache).await, ["/1", "/2", "/4"]);
    fill(&cache, &["/5"]).await;
    assert_eq!(keys(&cache).await, ["/2", "/4", "/5"]);
}

async fn what_was_there_before_counts_too(store: Waystore) {
    fill(&caches(&store).open("c").await.unwrap(), &["/1", "/2", "/3", "/4"]).await;
    let cache = with_budget(&store, 100_000).await;
    fill(&cache, &["/5"]).await;
    assert_eq!(keys(&cache).await, ["/3", "/4", "/5"]);
    // So does what others put.
    fill(&caches(&store).open("c").await.unwrap(), &["/6", "/7"]).await;
    fill(&cache, &["/8"]).await;
    assert_eq!(keys(&cache).await, ["/6", "/7", "/8"]);
}

async fn pinned_entries_stay_and_do_not_count(store: Waystore) {
    let install = caches(&store).pinning().with_budget(100_000).open("c").await.unwrap();
    fill(&install, &["/p1", "/p2", "/p3", "/p4"]).await;
    let network = Canned::default().on("/p5", |_| Ok(Response::new("y".repeat(50_000))));
    install.add(&network, "/p5").await.unwrap();
    let cache = with_budget(&store, 100_000).await;
    fill(&cache, &["/1", "/2", "/3", "/4"]).await;
    assert_eq!(keys(&cache).await, ["/p1", "/p2", "/p3", "/p4", "/p5", "/2", "/3", "/4"]);
    // What replaces a pinned entry is pinned only if it was put so.
    fill(&cache, &["/p1"]).await;
    fill(&cache, &["/5", "/6", "/7"]).await;
    assert_eq!(keys(&cache).await, ["/p2", "/p3", "/p4", "/p5", "/5", "/6", "/7"]);
}

async fn what_is_deleted_makes_room_in_the_budget(store: Waystore) {
    let cache = with_budget(&store, 100_000).await;
    fill(&cache, &["/1", "/2", "/3"]).await;
    assert!(cache.delete("/2", PLAIN).await.unwrap());
    fill(&cache, &["/3", "/4"]).await;
    assert_eq!(keys(&cache).await, ["/1", "/3", "/4"]);
}

async fn a_batch_larger_than_the_budget_leaves_its_last_entries(store: Waystore) {
    let cache = with_budget(&store, 100_000).await;
    let pairs = (0..10).map(|number| (request(&format!("/{number}"), &[]), Response::new("x".repeat(30_000))));
    cache.put_all(pairs.collect::<Vec<_>>()).await.unwrap();
    assert_eq!(keys(&cache).await, ["/7", "/8", "/9"]);
}

async fn a_full_quota_lets_entries_go_instead_of_failing(store: Waystore) {
    store.set_limits(Limits::default().per_key(300_000));
    let cache = with_budget(&store, u64::MAX).await;
    fill(&cache, &["/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9", "/10", "/11"]).await;
    assert_eq!(get(&cache, "/11").await.len(), 30_000);
    put(&cache, "/large", &"y".repeat(200_000)).await;
    let left = keys(&cache).await;
    assert_eq!(left.last().unwrap(), "/large");
    assert!(left.contains(&"/11".to_owned()) && !left.contains(&"/7".to_owned()), "{left:?}");
}

async fn a_full_quota_lets_entries_go_for_a_batch_over_several_caches(store: Waystore) {
    store.set_limits(Limits::default().per_key(300_000));
    let (storage, plain) = (caches(&store).with_budget(u64::MAX), caches(&store));
    let (one, other) = (storage.open("c").await.unwrap(), plain.open("plain").await.unwrap());
    fill(&one, &["/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9"]).await;
    let put = |url: &str| {
        let (request, response) = (request(url, &[]), Response::new("x".repeat(30_000)));
        vec![BatchOperation::Put { request, response }]
    };
    plain.batch(vec![(other.clone(), put("/a")), (one.clone(), put("/10"))]).await.unwrap();
    assert_eq!((keys(&other).await, keys(&one).await.last().unwrap().as_str()), (vec!["/a".to_owned()], "/10"));
    assert!(!keys(&one).await.contains(&"/1".to_owned()));
    let refused = plain.batch(vec![(other.clone(), put("/b"))]).await;
    assert!(matches!(refused, Err(Error::QuotaExceeded { .. })), "without a budget nothing goes: {refused:?}");
}

async fn nothing_goes_for_what_can_never_fit(store: Waystore) {
    store.set_limits(Limits::default().per_key(300_000));
    let cache = with_budget(&store, u64::MAX).await;
    fill(&cache, &["/1", "/2", "/3"]).await;
    let refused = cache.put("/large", Response::new("y".repeat(400_000))).await;
    assert!(matches!(refused, Err(Error::QuotaExceeded { .. })));
    assert_eq!(keys(&cache).await, ["/1", "/2", "/3"]);
}

async fn a_new_cache_takes_room_from_those_that_filled_the_quota(store: Waystore) {
    store.set_limits(Limits::default().per_key(300_000));
    let old = with_budget(&store, u64::MAX).await;
    fill(&old, &["/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9"]).await;
    get(&old, "/1").await;
    let new = caches(&store).with_budget(u64::MAX).open("next").await.unwrap();
    fill(&new, &["/1"]).await;
    fill(&new, &["/2", "/3"]).await;
    assert_eq!(keys(&new).await, ["/1", "/2", "/3"], "its first entry is as new as the others");
    let left = keys(&old).await;
    assert!(left.contains(&"/1".to_owned()) && !left.contains(&"/2".to_owned()), "{left:?}");
}

async fn a_full_quota_leaves_pinned_entries_of_other_caches_alone(store: Waystore) {
    store.set_limits(Limits::default().per_key(300_000));
    let installs = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&installs);
    let old = caches(&store).pinning_while(move || asked.load(Relaxed)).open("c").await.unwrap();
    fill(&old, &["/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8"]).await;
    installs.store(false, Relaxed);
    fill(&old, &["/9"]).await;
    let new = caches(&store).with_budget(u64::MAX).open("next").await.unwrap();
    fill(&new, &["/1", "/2"]).await;
    assert_eq!((keys(&old).await.len(), keys(&new).await), (8, vec!["/2".to_owned()]));
}

async fn a_cache_whose_policy_has_no_budget_gives_up_nothing(store: Waystore) {
    store.set_limits(Limits::default().per_key(300_000));
    let evicts = CachePolicy { budget_bytes: Some(u64::MAX), ..CachePolicy::default() };
    let policies = CachePolicies::new(evicts).with("keep-*", CachePolicy::default());
    let storage = caches(&store).with_policies(policies);
    let (kept, gives) = (storage.open("keep-1").await.unwrap(), storage.open("c").await.unwrap());
    fill(&kept, &["/1", "/2", "/3", "/4", "/5"]).await;
    fill(&gives, &["/1", "/2", "/3", "/4", "/5", "/6"]).await;
    assert_eq!((keys(&kept).await.len(), keys(&gives).await.len()), (5, 4));
    let refused = kept.put("/6", Response::new("x".repeat(30_000))).await;
    assert!(matches!(refused, Err(Error::QuotaExceeded { .. })));
}

async fn a_budget_holds_under_many_writers(store: Waystore) {
    let cache = with_budget(&store, 200_000).await;
    let writers = (0..4).map(|writer| {
        let cache = cache.clone();
        tokio::spawn(async move {
            for number in 0..25 {
                put(&cache, &format!("/{writer}/{number}"), &"x".repeat(20_000)).await;
                cache.match_(format!("/{writer}/{}", number / 2), PLAIN).await.unwrap();
            }
        })
    });
    futures::future::try_join_all(writers.collect::<Vec<_>>()).await.unwrap();
    assert!(caches(&store).estimate().await.unwrap().usage_bytes <= 201_000);
    assert!(!keys(&cache).await.is_empty());
}

async fn a_full_bucket_takes_room_from_its_own_caches_only(store: Waystore) {
    let outside = with_budget(&store, u64::MAX).await;
    fill(&outside, &["/1", "/2"]).await;
    let small = BucketOptions { quota_bytes: Some(100_000), ..BucketOptions::default() };
    let bucket = caches(&store).buckets().open("t", small).await.unwrap();
    let inside = bucket.caches().with_budget(u64::MAX);
    let (one, other) = (inside.open("one").await.unwrap(), inside.open("other").await.unwrap());
    fill(&one, &["/3", "/4"]).await;
    fill(&other, &["/5", "/6"]).await;
    assert_eq!((keys(&one).await, keys(&other).await), (vec!["/4".to_owned()], vec!["/5".to_owned(), "/6".to_owned()]));
    let too_long = other.put("/7", Response::new("x".repeat(150_000))).await;
    assert!(matches!(too_long, Err(Error::QuotaExceeded { quota: Some(100_000), .. })), "{too_long:?}");
    assert_eq!(keys(&outside).await, ["/1", "/2"]);
}

async fn a_full_quota_lets_entries_of_named_buckets_go_too(store: Waystore) {
    let mut inside = Vec::new();
    for name in ["gives", "spared"] {
        let bucket = caches(&store).buckets().open(name, BucketOptions::default()).await.unwrap();
        inside.push((bucket.caches().with_budget(u64::MAX).open("c").await.unwrap(), bucket));
    }
    inside[1].1.persist().await.unwrap();
    for (cache, _) in &inside {
        fill(cache, &["/1", "/2"]).await;
    }
    let used = caches(&store).estimate().await.unwrap().usage_bytes;
    store.set_limits(Limits::default().per_key(used + 10_000));
    let cache = with_budget(&store, u64::MAX).await;
    fill(&cache, &["/3"]).await;
    assert_eq!((keys(&inside[0].0).await, keys(&inside[1].0).await.len()), (vec!["/2".to_owned()], 2));
}
