//! Whole storage keys that make room for others. Section 7 of `spec/storage.md`.

use futures::StreamExt;

use super::support::{PLAIN, keys};
use crate::{Cache, CacheStorage, Error, Limits, Response, Waystore};

super::case_list!(Case:
    s37_s41_the_least_recently_used_key_is_emptied_and_the_others_are_not,
    s38_a_persisted_key_is_spared,
    s39_a_held_key_is_spared,
    s40_who_reads_what_is_evicted_reads_on,
    nothing_is_evicted_unless_it_was_asked_for,
    nothing_is_evicted_for_what_would_not_fit_anyway,
    a_body_that_streams_makes_room_as_it_goes,
);

fn caches_of(store: &Waystore, host: &str) -> CacheStorage {
    store.caches(&format!("https://{host}.test")).unwrap()
}

/// Fills `a`, `b` and `c` in this order, up to a limit that holds no more.
async fn full(store: &Waystore) -> [Cache; 3] {
    store.set_limits(Limits::default().total(350_000));
    store.set_eviction(true);
    let mut filled = Vec::new();
    for host in ["a", "b", "c"] {
        let cache = caches_of(store, host).open("v1").await.unwrap();
        cache.put("/x", Response::new(vec![7; 100_000])).await.unwrap();
        filled.push(cache);
    }
    filled.try_into().unwrap()
}

async fn is_there(store: &Waystore, host: &str) -> bool {
    caches_of(store, host).has("v1").await.unwrap()
}

async fn s37_s41_the_least_recently_used_key_is_emptied_and_the_others_are_not(store: Waystore) {
    let [a, b, c] = full(&store).await;
    let registrations = store.registrations("https://b.test").unwrap();
    registrations.open("/").await.unwrap();
    b.match_("/x", PLAIN).await.unwrap();
    c.match_("/x", PLAIN).await.unwrap();
    a.match_("/x", PLAIN).await.unwrap();
    drop((a, b, c));
    caches_of(&store, "d").open("v1").await.unwrap().put("/x", Response::new(vec![7; 100_000])).await.unwrap();
    assert!(!is_there(&store, "b").await);
    assert!(caches_of(&store, "b").match_("/x", PLAIN).await.unwrap().is_none());
    assert!(!registrations.has("/").await.unwrap());
    for host in ["a", "c", "d"] {
        assert_eq!(keys(&caches_of(&store, host).open("v1").await.unwrap()).await.len(), 1, "{host}");
    }
}

async fn s38_a_persisted_key_is_spared(store: Waystore) {
    drop(full(&store).await);
    let storage = caches_of(&store, "a");
    assert!(!storage.persisted());
    store.set_persisted(storage.storage_key(), true);
    assert!(storage.persisted());
    caches_of(&store, "d").open("v1").await.unwrap().put("/x", Response::new(vec![7; 100_000])).await.unwrap();
    assert!(is_there(&store, "a").await && !is_there(&store, "b").await && is_there(&store, "c").await);
    store.set_persisted(storage.storage_key(), false);
    assert!(!storage.persisted());
}

async fn s39_a_held_key_is_spared(store: Waystore) {
    drop(full(&store).await);
    let (a, b) = (caches_of(&store, "a"), caches_of(&store, "b"));
    let (_one, _two) = (store.hold(a.storage_key()), store.hold(b.storage_key()));
    drop(store.hold(a.storage_key()));
    let d = caches_of(&store, "d").open("v1").await.unwrap();
    d.put("/x", Response::new(vec![7; 100_000])).await.unwrap();
    assert!(is_there(&store, "a").await && is_there(&store, "b").await && !is_there(&store, "c").await);
    let refused = d.put("/y", Response::new(vec![7; 100_000])).await;
    assert!(matches!(refused, Err(Error::QuotaExceeded { .. })), "nobody is left to be evicted: {refused:?}");
}

async fn s40_who_reads_what_is_evicted_reads_on(store: Waystore) {
    let [a, ..] = full(&store).await;
    let mut body = a.match_("/x", PLAIN).await.unwrap().unwrap().body.unwrap();
    let mut read = body.next().await.unwrap().unwrap().to_vec();
    caches_of(&store, "b").open("v1").await.unwrap();
    caches_of(&store, "c").open("v1").await.unwrap();
    drop(a);
    caches_of(&store, "d").open("v1").await.unwrap().put("/x", Response::new(vec![9; 100_000])).await.unwrap();
    assert!(!is_there(&store, "a").await);
    while let Some(chunk) = body.next().await {
        read.extend_from_slice(&chunk.unwrap());
    }
    assert!(read == vec![7; 100_000]);
}

async fn nothing_is_evicted_unless_it_was_asked_for(store: Waystore) {
    drop(full(&store).await);
    store.set_eviction(false);
    let d = caches_of(&store, "d").open("v1").await.unwrap();
    assert!(matches!(d.put("/x", Response::new(vec![7; 100_000])).await, Err(Error::QuotaExceeded { .. })));
    assert!(is_there(&store, "a").await && is_there(&store, "b").await && is_there(&store, "c").await);
}

async fn nothing_is_evicted_for_what_would_not_fit_anyway(store: Waystore) {
    drop(full(&store).await);
    let d = caches_of(&store, "d").open("v1").await.unwrap();
    assert!(matches!(d.put("/x", Response::new(vec![7; 400_000])).await, Err(Error::QuotaExceeded { .. })));
    assert!(is_there(&store, "a").await && is_there(&store, "b").await && is_there(&store, "c").await);
}

async fn a_body_that_streams_makes_room_as_it_goes(store: Waystore) {
    drop(full(&store).await);
    let chunks = futures::stream::iter((0..15).map(|_| Ok(vec![7; 16_000].into())));
    let body = crate::Body::from_stream(chunks, None);
    let d = caches_of(&store, "d").open("v1").await.unwrap();
    d.put("/x", Response::new(body)).await.unwrap();
    assert!(!is_there(&store, "a").await && !is_there(&store, "b").await && is_there(&store, "c").await);
}
