//! What a store that survives the process keeps over it.

use std::sync::Arc;

use url::Url;

use super::{
    Reopen,
    quota::recount,
    support::{PLAIN, caches, get, keys, of_kind, put, put_varying, request, text},
};
use crate::{
    Body, CacheName, CredentialHash, Destination, Referrer, ReferrerPolicy, RequestCache, RequestCredentials,
    RequestMode, RequestRedirect, Response, ResponseType,
};

super::case_list!(DurableCase:
    e160_every_field_comes_back,
    s57_entries_come_back_in_order,
    s33_what_was_acknowledged_is_there,
    s60_a_deleted_cache_is_gone_though_it_was_held,
    s63_names_come_back_to_the_code_unit,
    deleted_and_replaced_entries_stay_away,
    large_bodies_come_back,
    personal_marks_come_back,
    a_name_that_went_over_stays_there,
    s28_usage_is_the_same_after_a_restart,
    pins_come_back,
    numbers_are_never_used_again,
);

async fn e160_every_field_comes_back(place: Arc<dyn Reopen>) {
    let mut asked = request("/x#f", &[("a", "1"), ("A", "2")]);
    asked.mode = RequestMode::Navigate;
    asked.destination = Destination::Document;
    asked.credentials = RequestCredentials::Include;
    asked.cache = RequestCache::NoStore;
    asked.redirect = RequestRedirect::Manual;
    asked.referrer = Referrer::Url(Box::new(Url::parse("https://a.test/from").unwrap()));
    asked.referrer_policy = ReferrerPolicy::SameOrigin;
    asked.integrity = "sha256-abc".into();
    asked.keepalive = true;
    asked.is_reload_navigation = true;
    asked.is_history_navigation = true;
    let head = |kind: ResponseType| {
        let mut head = of_kind(kind, 203, &[("X-A", "1"), ("x-a", "2"), ("content-encoding", "gzip")], "").head;
        head.url_list.push(Url::parse("https://b.test/final#f").unwrap());
        head.status_text = "Odd".into();
        head.exposed_headers = vec!["x-a".into()];
        head
    };
    let bodies = [None, Some(String::new()), Some("short".to_owned()), Some("long".repeat(50_000))];
    let store = place.open().await;
    for (kind, body) in ResponseType::ALL.iter().zip(bodies.iter().cycle()) {
        let cache = caches(&store).open(kind.to_string()).await.unwrap();
        let body = body.clone().map(Body::from);
        cache.put(&asked, Response::from_parts(head(*kind), body)).await.unwrap();
    }
    drop(store);
    let store = place.open().await;
    for (kind, body) in ResponseType::ALL.iter().zip(bodies.iter().cycle()) {
        let cache = caches(&store).open(kind.to_string()).await.unwrap();
        assert_eq!(cache.keys((), PLAIN).await.unwrap()[0].head, asked.head, "{kind}");
        let stored = cache.match_("/x", PLAIN).await.unwrap().unwrap();
        assert_eq!(stored.head, head(*kind), "{kind}");
        match body {
            None => assert!(stored.body.is_none(), "{kind}"),
            Some(body) => assert!(text(stored).await == *body, "{kind}"),
        }
    }
}

async fn s57_entries_come_back_in_order(place: Arc<dyn Reopen>) {
    let store = place.open().await;
    let cache = caches(&store).open("c").await.unwrap();
    for number in 0..10_000 {
        put(&cache, &format!("/{number}"), &number.to_string()).await;
    }
    put(&cache, "/500", "again").await;
    let before = keys(&cache).await;
    drop((cache, store));
    let store = place.open().await;
    let cache = caches(&store).open("c").await.unwrap();
    assert_eq!(keys(&cache).await, before);
    assert_eq!(get(&cache, "/500").await, "again");
    assert_eq!(get(&cache, "/7").await, "7");
}

async fn s33_what_was_acknowledged_is_there(place: Arc<dyn Reopen>) {
    for round in 0..5 {
        let store = place.open().await;
        let cache = caches(&store).open("c").await.unwrap();
        assert_eq!(keys(&cache).await.len(), round);
        put_varying(&cache, &format!("/{round}"), &[("x", "1")], "x", "1").await;
    }
}

async fn s60_a_deleted_cache_is_gone_though_it_was_held(place: Arc<dyn Reopen>) {
    let store = place.open().await;
    let held = caches(&store).open("d").await.unwrap();
    put(&held, "/x", &"x".repeat(100_000)).await;
    caches(&store).delete("d").await.unwrap();
    put(&held, "/y", "1").await;
    drop((held, store));
    let store = place.open().await;
    assert!(caches(&store).keys().await.unwrap().is_empty());
    assert!(keys(&caches(&store).open("d").await.unwrap()).await.is_empty());
}

async fn s63_names_come_back_to_the_code_unit(place: Arc<dyn Reopen>) {
    let long = vec![0x1F; 10_000];
    let names = [&[][..], &[0x78, 0, 0x79], &[0x61, 0xD800], &[0xD83D, 0xDE00], &long].map(CacheName::from_utf16);
    let store = place.open().await;
    for name in &names {
        caches(&store).open(name).await.unwrap();
    }
    drop(store);
    assert_eq!(caches(&place.open().await).keys().await.unwrap(), names);
}

async fn deleted_and_replaced_entries_stay_away(place: Arc<dyn Reopen>) {
    let store = place.open().await;
    let cache = caches(&store).open("c").await.unwrap();
    for url in ["/a", "/b", "/c"] {
        put(&cache, url, "old").await;
    }
    put(&cache, "/a", "new").await;
    cache.delete("/b", PLAIN).await.unwrap();
    drop((cache, store));
    let store = place.open().await;
    let cache = caches(&store).open("c").await.unwrap();
    assert_eq!(keys(&cache).await, ["/c", "/a"]);
    assert_eq!(get(&cache, "/a").await, "new");
}

async fn large_bodies_come_back(place: Arc<dyn Reopen>) {
    let long: String = (0..300_000).map(|number| format!("{number} ")).collect();
    let store = place.open().await;
    put(&caches(&store).open("c").await.unwrap(), "/x", &long).await;
    drop(store);
    let store = place.open().await;
    let cache = caches(&store).open("c").await.unwrap();
    assert!(text(cache.match_("/x", PLAIN).await.unwrap().unwrap()).await == long);
}

async fn personal_marks_come_back(place: Arc<dyn Reopen>) {
    let store = place.open().await;
    let mut response = Response::new("anna's");
    response.personal = Some(CredentialHash([1; 16]));
    caches(&store).open("c").await.unwrap().put("/x", response).await.unwrap();
    drop(store);
    let store = place.open().await;
    let cache = caches(&store).open("c").await.unwrap();
    assert!(cache.match_("/x", PLAIN).await.unwrap().is_none());
    assert_eq!(keys(&cache).await, ["/x"]);
}

async fn a_name_that_went_over_stays_there(place: Arc<dyn Reopen>) {
    let store = place.open().await;
    for name in ["a", "b", "c", "d"] {
        put(&caches(&store).open(name).await.unwrap(), "/x", name).await;
    }
    caches(&store).rename("d", "b").await.unwrap();
    caches(&store).rename("a", "e").await.unwrap();
    caches(&store).open("a").await.unwrap();
    drop(store);
    for _ in 0..2 {
        let caches = caches(&place.open().await);
        let names: Vec<_> = caches.keys().await.unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["e", "b", "c", "a"]);
        for (name, expected) in [("e", "a"), ("b", "d"), ("c", "c")] {
            assert_eq!(get(&caches.open(name).await.unwrap(), "/x").await, expected);
        }
        assert!(keys(&caches.open("a").await.unwrap()).await.is_empty());
    }
}

async fn s28_usage_is_the_same_after_a_restart(place: Arc<dyn Reopen>) {
    let store = place.open().await;
    store.pad_opaque_responses();
    let storage = caches(&store);
    let (cache, gone) = (storage.open("c").await.unwrap(), storage.open("gone").await.unwrap());
    for round in 0..3 {
        for number in 0..20 {
            put(&cache, &format!("/{number}"), &"x".repeat(number * 7_000)).await;
        }
        cache.put(format!("/opaque{round}"), of_kind(ResponseType::Opaque, 200, &[], "image")).await.unwrap();
        put(&gone, "/x", "1").await;
    }
    cache.delete("/3", PLAIN).await.unwrap();
    storage.delete("gone").await.unwrap();
    storage.open("next").await.unwrap();
    storage.rename("next", "a longer name").await.unwrap();
    drop(gone);
    let before = storage.estimate().await.unwrap();
    assert_eq!(recount(&cache.store).await, cache.store.usage(None).await.unwrap());
    drop((cache, storage, store));
    for _ in 0..2 {
        let store = place.open().await;
        assert_eq!(caches(&store).estimate().await.unwrap(), before);
        let cache = caches(&store).open("c").await.unwrap();
        assert_eq!(recount(&cache.store).await, cache.store.usage(None).await.unwrap());
    }
}

async fn pins_come_back(place: Arc<dyn Reopen>) {
    let store = place.open().await;
    put(&caches(&store).pinning().open("c").await.unwrap(), "/pinned", &"x".repeat(50_000)).await;
    put(&caches(&store).open("c").await.unwrap(), "/x", &"x".repeat(50_000)).await;
    drop(store);
    let cache = caches(&place.open().await).with_budget(60_000).open("c").await.unwrap();
    put(&cache, "/y", &"x".repeat(50_000)).await;
    assert_eq!(keys(&cache).await, ["/pinned", "/y"]);
}

async fn numbers_are_never_used_again(place: Arc<dyn Reopen>) {
    let mut last = None;
    for _ in 0..3 {
        let store = place.open().await;
        let cache = caches(&store).open("c").await.unwrap();
        put(&cache, "/x", "1").await;
        let page = cache.store.page(&cache.list, None, 10).await.unwrap();
        let id = page[0].id;
        cache.delete("/x", PLAIN).await.unwrap();
        assert!(Some(id) > last, "{id:?} after {last:?}");
        last = Some(id);
    }
}
