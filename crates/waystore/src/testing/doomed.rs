//! Deleted caches work on for those who hold them. Section 12 of `spec/cache.md`.

use super::support::{Canned, PLAIN, caches, get, keys, put, text};
use crate::{Response, Waystore};

super::case_list!(Case:
    e165_e166_a_deleted_cache_works_on_for_its_holder,
    e167_of_two_deletes_one_is_true,
    e168_a_body_outlives_its_cache,
    a_cache_opened_again_is_a_new_one,
);

async fn e165_e166_a_deleted_cache_works_on_for_its_holder(store: Waystore) {
    let caches = caches(&store);
    let held = caches.open("d").await.unwrap();
    put(&held, "/old", "old").await;
    assert!(caches.delete("d").await.unwrap());
    held.add(&Canned::default().on("/x", |_| Ok(Response::new("1"))), "/x").await.unwrap();
    assert!(caches.keys().await.unwrap().is_empty());
    assert!(caches.match_("/x", PLAIN).await.unwrap().is_none());
    assert!(keys(&caches.open("d").await.unwrap()).await.is_empty());
    assert_eq!(keys(&held).await, ["/old", "/x"]);
    assert!(held.delete("/old", PLAIN).await.unwrap());
    assert_eq!(get(&held, "/x").await, "1");
}

async fn e167_of_two_deletes_one_is_true(store: Waystore) {
    let caches = caches(&store);
    caches.open("d").await.unwrap();
    let (one, two) = futures::join!(caches.delete("d"), caches.delete("d"));
    assert_eq!([one.unwrap(), two.unwrap()].iter().filter(|deleted| **deleted).count(), 1);
}

async fn e168_a_body_outlives_its_cache(store: Waystore) {
    let caches = caches(&store);
    for body in ["short".to_owned(), "long".repeat(50_000)] {
        let held = caches.open("d").await.unwrap();
        put(&held, "/x", &body).await;
        let response = held.match_("/x", PLAIN).await.unwrap().unwrap();
        assert!(caches.delete("d").await.unwrap());
        drop(held);
        assert_eq!(text(response).await, body);
    }
}

async fn a_cache_opened_again_is_a_new_one(store: Waystore) {
    let caches = caches(&store);
    let old = caches.open("d").await.unwrap();
    put(&old, "/x", "old").await;
    caches.delete("d").await.unwrap();
    let new = caches.open("d").await.unwrap();
    put(&new, "/x", "new").await;
    assert_eq!((get(&old, "/x").await, get(&new, "/x").await), ("old".into(), "new".into()));
}
