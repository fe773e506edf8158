//! One store, many visitors: what belongs to one of them reaches nobody else.

mod support;

use support::{CACHE_EVERYTHING, Gateway, Seen, mirror, text, upstream, with};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_visitors_never_see_each_others_page() {
    let seen = Seen::default();
    let upstream = mirror(&seen).await;
    let gateway = Gateway::with_worker(upstream, CACHE_EVERYTHING, &[]);
    gateway.ready();
    let ask = async |cookie: &str| gateway.get_with("/me", &[("cookie", cookie)]).await.text();
    for _ in 0..2 {
        assert_eq!(ask("sid=anna").await, "/me for sid=anna");
        assert_eq!(ask("sid=ben").await, "/me for sid=ben");
        assert_eq!(ask("sid=ben; _ga=1").await, "/me for sid=ben", "analytics cookies make nobody else");
        assert_eq!(gateway.get("/me").await.text(), "/me for nobody");
    }
    assert_eq!(seen.count("/me"), 3, "each had their own from the cache the second time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_keeps_a_response_does_not_give_it_to_another() {
    let seen = Seen::default();
    let upstream = mirror(&seen).await;
    let script = r#"
        let kept;
        addEventListener("fetch", e => e.respondWith((async () => {
          kept ??= await fetch(e.request);
          return kept.clone();
        })()));
    "#;
    let gateway = Gateway::with_worker(upstream, script, &[]);
    gateway.ready();
    assert_eq!(gateway.get_with("/me", &[("cookie", "sid=anna")]).await.text(), "/me for sid=anna");
    assert_eq!(gateway.get_with("/me", &[("cookie", "sid=ben")]).await.text(), "/me for sid=ben");
    assert_eq!(gateway.get_with("/me", &[("cookie", "sid=anna")]).await.text(), "/me for sid=anna");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_fetched_by_string_is_anonymous_and_for_everybody() {
    let seen = Seen::default();
    let upstream = mirror(&seen).await;
    let script = r#"
        addEventListener("fetch", e => e.respondWith((async () => {
          const cache = await caches.open("strings");
          const path = new URL(e.request.url).pathname;
          return await cache.match(path) ?? (await cache.add(path), await cache.match(path));
        })()));
    "#;
    let gateway = Gateway::with_worker(upstream, script, &[]);
    gateway.ready();
    assert_eq!(gateway.get_with("/a", &[("cookie", "sid=anna")]).await.text(), "/a for nobody");
    assert_eq!(gateway.get_with("/a", &[("cookie", "sid=ben")]).await.text(), "/a for nobody");
    assert!(!seen.last("/a").contains_key("cookie"));
    assert_eq!(seen.count("/a"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g8_w73_cookies_are_set_by_fresh_responses_and_never_by_cached_ones() {
    let upstream = upstream(|_| async {
        with(text(200, "page"), &[("set-cookie", "sid=1"), ("set-cookie", "b=2"), ("cache-control", "public")])
    })
    .await;
    let gateway = Gateway::with_worker(upstream, CACHE_EVERYTHING, &[]);
    gateway.ready();
    let anna = [("cookie", "sid=anna")];
    let fresh = gateway.get_with("/", &anna).await;
    assert_eq!(fresh.headers.get_all("set-cookie").iter().count(), 2);
    let cached = gateway.get_with("/", &anna).await;
    assert_eq!((cached.text().as_str(), cached.header("set-cookie")), ("page", None));
    assert!(gateway.get("/").await.header("set-cookie").is_some(), "what came with cookies is for one visitor");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g7_w70_a_response_that_varies_by_cookie_is_for_one_visitor() {
    let upstream = upstream(|request| async move {
        let cookie = request.headers().get("cookie").map_or("nobody", |value| value.to_str().unwrap()).to_owned();
        with(text(200, cookie), &[("vary", "Cookie"), ("cache-control", "public")])
    })
    .await;
    let gateway = Gateway::with_worker(upstream, CACHE_EVERYTHING, &["--shared", "/**"]);
    gateway.ready();
    assert_eq!(gateway.get_with("/", &[("cookie", "sid=anna")]).await.text(), "sid=anna");
    assert_eq!(gateway.get_with("/", &[("cookie", "sid=ben")]).await.text(), "sid=ben");
    assert_eq!(gateway.get("/").await.text(), "nobody");
}
