//! Whole storage keys that make room for others. Section 7 of `spec/storage.md`.

use futures::{FutureExt, StreamExt, channel::mpsc};

use super::support::{PLAIN, keys};
use crate::{Body, Cache, CacheStorage, Error, Limits, Response, Waystore};

super::case_list!(Case:
    s37_s41_the_least_recently_used_key_is_emptied_and_the_others_are_not,
    s38_a_persisted_key_is_spared,
    s39_a_held_key_is_spared,
    s40_who_reads_what_is_evicted_reads_on,
    s37_one_who_is_evicted_gives_all_back_though_a_handle_lives,
    s67_who_is_not_evicted_notices_nothing,
    s68_a_body_that_streams_while_its_owner_is_evicted_is_refused,
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

async fn s37_one_who_is_evicted_gives_all_back_though_a_handle_lives(store: Waystore) {
    let [a, ..] = full(&store).await;
    caches_of(&store, "d").open("v1").await.unwrap().put("/x", Response::new(vec![7; 100_000])).await.unwrap();
    assert!(!is_there(&store, "a").await && is_there(&store, "b").await && is_there(&store, "c").await);
    assert!(a.match_("/x", PLAIN).await.unwrap().is_none());
    // The handle works on, as that of a deleted cache does.
    a.put("/y", Response::new("1")).await.unwrap();
    assert_eq!(keys(&a).await, ["/y"]);
}

async fn s67_who_is_not_evicted_notices_nothing(store: Waystore) {
    let [a, b, _c] = full(&store).await;
    drop(a);
    let _held = store.hold(caches_of(&store, "c").storage_key());
    let mut reading = b.match_("/x", PLAIN).await.unwrap().unwrap().body.unwrap();
    let mut read = reading.next().await.unwrap().unwrap().len();
    let (sender, chunks) = mpsc::unbounded();
    let d = caches_of(&store, "d").open("v1").await.unwrap();
    let mut evicting = Box::pin(d.put("/x", Response::new(Body::from_stream(chunks, None))));
    for _ in 0..10 {
        sender.unbounded_send(Ok(vec![7; 10_000].into())).unwrap();
        assert!(futures::poll!(&mut evicting).is_pending());
        // At once, whatever the other waits for.
        assert!(b.match_("/x", PLAIN).now_or_never().unwrap().unwrap().is_some());
        b.put("/small", Response::new("1")).await.unwrap();
    }
    drop(sender);
    evicting.await.unwrap();
    assert!(!is_there(&store, "a").await && is_there(&store, "b").await);
    while let Some(chunk) = reading.next().await {
        read += chunk.unwrap().len();
    }
    assert_eq!((read, keys(&b).await), (100_000, vec!["https://b.test/x".into(), "https://b.test/small".into()]));
}

async fn s68_a_body_that_streams_while_its_owner_is_evicted_is_refused(store: Waystore) {
    drop(full(&store).await);
    store.set_limits(Limits::default().total(500_000));
    let storage = caches_of(&store, "a");
    let _held = ["b", "c"].map(|host| store.hold(caches_of(&store, host).storage_key()));
    for (url, length) in [("/short", 10), ("/long", 90_000)] {
        storage.open("v1").await.unwrap().put("/x", Response::new(vec![7; 100_000])).await.unwrap();
        let streaming = storage.open("v2").await.unwrap();
        let (sender, chunks) = mpsc::unbounded();
        let mut streaming = Box::pin(async move {
            let body = Body::from_stream(chunks, None);
            streaming.put(url, Response::new(body)).await
        });
        sender.unbounded_send(Ok(vec![7; length].into())).unwrap();
        assert!(futures::poll!(&mut streaming).is_pending());
        let d = caches_of(&store, "d").open("v1").await.unwrap();
        let mut others = 0..;
        while is_there(&store, "a").await {
            d.put(format!("/{}", others.next().unwrap()), Response::new(vec![7; 50_000])).await.unwrap();
        }
        drop(sender);
        assert!(matches!(streaming.await, Err(Error::Unavailable { .. })), "{url}");
        assert_eq!(storage.keys().await.unwrap(), []);
        assert_eq!(storage.estimate().await.unwrap().usage_bytes, 0);
        drop(d);
        assert!(caches_of(&store, "d").delete("v1").await.unwrap());
    }
    // Who begins afterwards is served.
    storage.open("v1").await.unwrap().put("/x", Response::new("1")).await.unwrap();
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
    let body = Body::from_stream(chunks, None);
    let d = caches_of(&store, "d").open("v1").await.unwrap();
    d.put("/x", Response::new(body)).await.unwrap();
    assert!(!is_there(&store, "a").await && !is_there(&store, "b").await && is_there(&store, "c").await);
}
