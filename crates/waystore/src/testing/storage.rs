//! `CacheStorage`: names, their order, and where `match` looks. Sections 1 to 3 of `spec/cache.md`.

use super::support::{IGNORE_METHOD, IGNORE_SEARCH, PLAIN, caches, get, put, put_varying, text, with_method};
use crate::{
    BucketOptions, CacheName, CacheQueryOptions, CacheStorage, EntryRange, Error, MultiCacheQueryOptions, Response,
    StorageKey, Waystore,
};

super::case_list!(Case:
    e1_one_origin_is_one_storage,
    e2_e3_s1_other_ports_and_schemes_share_nothing,
    e4_nothing_expires,
    e5_what_one_handle_writes_all_see,
    e16_e18_e19_names_are_compared_exactly,
    e17_unpaired_surrogates_are_kept,
    e20_e22_e23_names_keep_the_order_of_creation,
    e24_deleting_nothing_is_false,
    e25_the_first_cache_wins,
    e26_e27_e28_a_cache_name_limits_the_search,
    e29_methods_count_for_storage_too,
    e30_ignore_search_works_over_all_caches,
    e31_s2_an_opaque_origin_has_no_storage,
    e32_a_variant_that_does_not_match_lets_the_next_cache_answer,
    e33_names_are_bound_in_the_order_of_the_calls,
    e37_e38_a_string_that_is_no_url_is_refused,
    s3_a_fresh_origin_is_empty,
    s4_partitions_of_one_origin_share_nothing,
    s65_a_clock_that_is_set_back_changes_nothing,
    origins_with_something_are_listed,
    registrations_are_kept_apart_from_caches,
    what_is_shown_of_a_handle_is_not_what_is_stored,
);

async fn names(caches: &CacheStorage) -> Vec<String> {
    caches.keys().await.unwrap().iter().map(CacheName::to_string).collect()
}

async fn find(caches: &CacheStorage, url: &str, options: impl Into<MultiCacheQueryOptions>) -> String {
    match caches.match_(url, options).await.unwrap() {
        Some(response) => text(response).await,
        None => "undef".into(),
    }
}

fn only(name: &str) -> MultiCacheQueryOptions {
    MultiCacheQueryOptions { cache_name: Some(name.into()), ..Default::default() }
}

async fn two_versions(store: &Waystore) -> CacheStorage {
    let caches = caches(store);
    put(&caches.open("v1").await.unwrap(), "/x", "1").await;
    put(&caches.open("v2").await.unwrap(), "/x", "2").await;
    caches
}

async fn e1_one_origin_is_one_storage(store: Waystore) {
    put(&caches(&store).open("v1").await.unwrap(), "/x", "1").await;
    let other = store.caches("https://a.test/elsewhere").unwrap();
    assert_eq!(find(&other, "/x", PLAIN).await, "1");
}

async fn e2_e3_s1_other_ports_and_schemes_share_nothing(store: Waystore) {
    put(&caches(&store).open("v1").await.unwrap(), "/x", "1").await;
    for origin in ["https://a.test:8443", "http://a.test", "https://b.test"] {
        let other = store.caches(origin).unwrap();
        assert_eq!(find(&other, "https://a.test/x", PLAIN).await, "undef", "{origin}");
        assert!(other.keys().await.unwrap().is_empty());
    }
}

async fn e4_nothing_expires(store: Waystore) {
    let cache = caches(&store).open("v1").await.unwrap();
    let response = Response::new("1").header("cache-control", "no-store, max-age=0").header("expires", "0");
    cache.put("/x", response).await.unwrap();
    // A year later.
    store.clock.set(store.clock.now_ms() + 365 * 24 * 3600 * 1000);
    assert_eq!(get(&cache, "/x").await, "1");
}

async fn e5_what_one_handle_writes_all_see(store: Waystore) {
    let one = caches(&store).open("v1").await.unwrap();
    let two = caches(&store).open("v1").await.unwrap();
    put(&one, "/x", "1").await;
    assert_eq!(two.keys((), PLAIN).await.unwrap().len(), 1);
}

async fn e16_e18_e19_names_are_compared_exactly(store: Waystore) {
    let caches = caches(&store);
    for name in ["", "has a space", "x\0y"] {
        caches.open(name).await.unwrap();
        assert!(caches.has(name).await.unwrap(), "{name:?}");
    }
    for name in ["has", "Has a space", "has a space ", "x", "xy"] {
        assert!(!caches.has(name).await.unwrap(), "{name:?}");
    }
}

async fn e17_unpaired_surrogates_are_kept(store: Waystore) {
    let caches = caches(&store);
    let name = CacheName::from_utf16(&[0x61, 0xD800]);
    caches.open(&name).await.unwrap();
    assert!(!caches.has("a\u{FFFD}").await.unwrap());
    assert_eq!(caches.keys().await.unwrap(), [name]);
}

async fn e20_e22_e23_names_keep_the_order_of_creation(store: Waystore) {
    let caches = caches(&store);
    for name in ["b", "a", "c", "b"] {
        caches.open(name).await.unwrap();
    }
    assert_eq!(names(&caches).await, ["b", "a", "c"]);
    assert!(caches.delete("b").await.unwrap());
    caches.open("b").await.unwrap();
    assert_eq!(names(&caches).await, ["a", "c", "b"]);
}

async fn e24_deleting_nothing_is_false(store: Waystore) {
    assert!(!caches(&store).delete("nope").await.unwrap());
    assert!(!caches(&store).has("nope").await.unwrap());
}

async fn e25_the_first_cache_wins(store: Waystore) {
    assert_eq!(find(&two_versions(&store).await, "/x", PLAIN).await, "1");
}

async fn e26_e27_e28_a_cache_name_limits_the_search(store: Waystore) {
    let caches = two_versions(&store).await;
    assert_eq!(find(&caches, "/x", only("v2")).await, "2");
    assert_eq!(find(&caches, "/x", only("v3")).await, "undef");
    assert_eq!(find(&caches, "/x", only("")).await, "undef");
    assert_eq!(names(&caches).await, ["v1", "v2"]);
}

async fn e29_methods_count_for_storage_too(store: Waystore) {
    let caches = two_versions(&store).await;
    let head = with_method("/x", "HEAD");
    assert!(caches.match_(&head, PLAIN).await.unwrap().is_none());
    assert!(caches.match_(&head, IGNORE_METHOD).await.unwrap().is_some());
}

async fn e30_ignore_search_works_over_all_caches(store: Waystore) {
    let caches = caches(&store);
    put(&caches.open("v1").await.unwrap(), "/x?foo", "1").await;
    assert_eq!(find(&caches, "/x", IGNORE_SEARCH).await, "1");
}

async fn e31_s2_an_opaque_origin_has_no_storage(store: Waystore) {
    for url in ["data:text/plain,x", "about:blank", "file:///x", "not a url"] {
        assert!(matches!(store.caches(url), Err(Error::Security { .. })), "{url}");
    }
}

async fn e32_a_variant_that_does_not_match_lets_the_next_cache_answer(store: Waystore) {
    let caches = caches(&store);
    put_varying(&caches.open("v1").await.unwrap(), "/x", &[("k", "1")], "k", "1").await;
    put(&caches.open("v2").await.unwrap(), "/x", "2").await;
    assert_eq!(find(&caches, "/x", PLAIN).await, "2");
}

async fn e33_names_are_bound_in_the_order_of_the_calls(store: Waystore) {
    let caches = caches(&store);
    futures::future::try_join_all(["a", "b", "c"].map(|name| caches.open(name))).await.unwrap();
    assert_eq!(names(&caches).await, ["a", "b", "c"]);
}

async fn e37_e38_a_string_that_is_no_url_is_refused(store: Waystore) {
    let caches = caches(&store);
    for url in ["https://", "https://u:p@a.test/x"] {
        let options = CacheQueryOptions::default();
        assert!(matches!(caches.match_(url, options).await, Err(Error::Type { .. })), "{url}");
    }
}

async fn s3_a_fresh_origin_is_empty(store: Waystore) {
    assert!(caches(&store).keys().await.unwrap().is_empty());
}

async fn s4_partitions_of_one_origin_share_nothing(store: Waystore) {
    let own = StorageKey::new("https://a.test").unwrap();
    let embedded = own.clone().partitioned("https://b.test");
    for (key, body) in [(&own, "own"), (&embedded, "embedded")] {
        put(&store.caches_of(key).unwrap().open("v1").await.unwrap(), "/x", body).await;
    }
    assert_eq!(find(&store.caches_of(&own).unwrap(), "/x", PLAIN).await, "own");
    assert_eq!(find(&store.caches_of(&embedded).unwrap(), "/x", PLAIN).await, "embedded");
    // Whoever asks without a partition has the one of before.
    assert_eq!(find(&caches(&store), "/x", PLAIN).await, "own");
    assert!(store.caches_of(&own).unwrap().delete("v1").await.unwrap());
    assert_eq!(find(&store.caches_of(&embedded).unwrap(), "/x", PLAIN).await, "embedded");
}

async fn s65_a_clock_that_is_set_back_changes_nothing(store: Waystore) {
    let cache = caches(&store).open("v1").await.unwrap();
    for url in ["/a", "/b", "/c"] {
        put(&cache, url, "old").await;
    }
    let year_ms = 365 * 24 * 3600 * 1000;
    store.clock.set(store.clock.now_ms() - year_ms);
    put(&cache, "/d", "new").await;
    put(&cache, "/a", "new").await;
    caches(&store).open("v2").await.unwrap();
    let keys = cache.keys((), PLAIN).await.unwrap();
    let paths: Vec<_> = keys.iter().map(|key| key.url.path().to_owned()).collect();
    assert_eq!(paths, ["/b", "/c", "/d", "/a"]);
    assert_eq!((get(&cache, "/a").await, get(&cache, "/b").await), ("new".into(), "old".into()));
    assert_eq!(names(&caches(&store)).await, ["v1", "v2"]);
}

async fn origins_with_something_are_listed(store: Waystore) {
    for origin in ["https://b.test", "https://a.test"] {
        store.caches(origin).unwrap().open("v1").await.unwrap();
    }
    let keys = ["https://a.test", "https://b.test"].map(|origin| StorageKey::new(origin).unwrap());
    assert_eq!(store.storage_keys().await.unwrap(), keys);
    store.caches("https://b.test").unwrap().delete("v1").await.unwrap();
    assert_eq!(store.storage_keys().await.unwrap(), keys[..1]);
}

async fn registrations_are_kept_apart_from_caches(store: Waystore) {
    let registrations = store.registrations("https://a.test").unwrap();
    put(&registrations.open("v1").await.unwrap(), "/x", "1").await;
    assert!(caches(&store).keys().await.unwrap().is_empty());
    assert_eq!(find(&registrations, "/x", PLAIN).await, "1");
}

async fn what_is_shown_of_a_handle_is_not_what_is_stored(store: Waystore) {
    store.pad_opaque_responses();
    let caches = caches(&store);
    let bucket = caches.buckets().open("b", BucketOptions::default()).await.unwrap();
    let cache = caches.open("c").await.unwrap();
    cache.put("/x", Response::new("secret ".repeat(1000)).header("x", "secret")).await.unwrap();
    let mut walk = cache.entries(&EntryRange::all()).unwrap();
    let entry = walk.next().await.unwrap().unwrap();
    let hold = store.hold(caches.storage_key());
    for shown in [
        format!("{store:?} {caches:?} {cache:?}"),
        format!("{bucket:?} {:?} {:?}", caches.buckets(), caches.spooler()),
        format!("{entry:?} {walk:?} {hold:?}"),
    ] {
        assert!(shown.len() < 1000 && !shown.contains("secret"), "{shown}");
    }
    assert!(format!("{cache:?}").contains("https://a.test") && format!("{entry:?}").contains("https://a.test/x"));
}
