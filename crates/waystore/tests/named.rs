//! A look-up in one cache, by its name: that it finds what a look-up in all caches finds, and one in the cache itself.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use futures::channel::mpsc;
use waystore::{
    Body, Cache, CacheQueryOptions, CacheStorage, CredentialHash, MultiCacheQueryOptions, PutLevel, Request, Response,
    ResponseHead, Visitor, Waystore,
};

const ANNA: CredentialHash = CredentialHash([1; 16]);

fn visitor(credentials: Option<CredentialHash>) -> Visitor {
    Visitor { credentials, event: CredentialHash([9; 16]) }
}

fn get(url: &str, language: &str, credentials: Option<CredentialHash>) -> Request {
    let request = Request::get(url).unwrap().header("accept-language", language);
    Request { visitor: Some(visitor(credentials)), ..request }
}

fn response(body: &'static str, headers: &[(&str, &str)], personal: Option<CredentialHash>) -> Response {
    let head = ResponseHead { headers: headers.iter().copied().collect(), personal, ..ResponseHead::with_status(200) };
    Response::from_parts(head, Some(Body::from(body)))
}

/// A cache with entries of all kinds: variants, one visitor's, one that is recorded over a committed one.
async fn filled(caches: &CacheStorage) -> Cache {
    let cache = caches.open("v1").await.unwrap();
    let vary = [("vary", "accept-language")];
    for (language, body) in [("de", "Birne"), ("en", "pear")] {
        cache.put(get("https://a.test/pear", language, None), response(body, &vary, None)).await.unwrap();
    }
    cache.put("/account", response("for all", &[], None)).await.unwrap();
    let hers = get("https://a.test/account", "de", Some(ANNA));
    cache.put(hers, response("for Anna", &[], Some(ANNA))).await.unwrap();
    cache.put("/live", response("before", &[], None)).await.unwrap();
    cache
}

/// The first header of what was found that tells entries apart, and its body as far as it is at hand.
fn told(found: Option<Response>) -> Option<Vec<u8>> {
    found.map(|found| found.body.as_ref().and_then(Body::as_bytes).map_or(b"streams".to_vec(), |bytes| bytes.to_vec()))
}

#[tokio::test]
async fn a_look_up_in_one_cache_by_its_name_finds_what_the_cache_itself_and_all_of_them_have() {
    let caches = Waystore::in_memory().caches("https://a.test").unwrap();
    let cache = filled(&caches).await;
    let (_sender, chunks) = mpsc::unbounded();
    let growing = Response::new(Body::from_stream(chunks, None));
    cache.put_with("/live", growing, PutLevel::Recorded).await.unwrap();
    let asked = [
        (get("https://a.test/pear", "de", None), Some("Birne")),
        (get("https://a.test/pear", "en", None), Some("pear")),
        (get("https://a.test/pear", "fr", None), None),
        (get("https://a.test/pear?ripe", "en", None), None),
        (get("https://a.test/pear#fragment", "en", None), Some("pear")),
        (get("https://a.test/account", "de", Some(ANNA)), Some("for Anna")),
        (get("https://a.test/account", "de", None), Some("for all")),
        (get("https://a.test/live", "de", None), Some("streams")),
        (get("https://a.test/none", "de", None), None),
    ];
    for (request, expected) in &asked {
        let named = MultiCacheQueryOptions { cache_name: Some("v1".into()), ..MultiCacheQueryOptions::default() };
        let named = told(caches.match_(request, named).await.unwrap());
        assert_eq!(named.as_deref(), expected.map(str::as_bytes), "{}", request.url);
        assert_eq!(named, told(caches.match_(request, MultiCacheQueryOptions::default()).await.unwrap()));
        assert_eq!(named, told(cache.match_(request, CacheQueryOptions::default()).await.unwrap()));
    }
    let ignoring = CacheQueryOptions { ignore_search: true, ignore_vary: true, ..CacheQueryOptions::default() };
    let named = MultiCacheQueryOptions { cache_name: Some("v1".into()), query: ignoring };
    let ripe = get("https://a.test/pear?ripe", "fr", None);
    assert_eq!(told(caches.match_(&ripe, named).await.unwrap()).as_deref(), Some(&b"Birne"[..]));
}

#[tokio::test]
async fn a_look_up_by_a_name_counts_as_a_use_and_makes_no_cache() {
    let caches = Waystore::in_memory().caches("https://a.test").unwrap();
    let cache = filled(&caches).await;
    let named = |name: &str| MultiCacheQueryOptions { cache_name: Some(name.into()), ..Default::default() };
    assert!(caches.match_("/account", named("v2")).await.unwrap().is_none());
    assert!(!caches.has("v2").await.unwrap());
    assert!(caches.match_("/account", named("v1")).await.unwrap().is_some());
    let mut entries = cache.entries(&waystore::EntryRange::all().under("/account")).unwrap();
    let used: Vec<_> =
        [entries.next().await.unwrap().unwrap().hits(), entries.next().await.unwrap().unwrap().hits()].into();
    assert_eq!(used, [1, 0]);
}
