//! Requests that a worker's static routes answer, and navigations that are preloaded, through the gateway.

mod support;

use support::{Gateway, Seen, mirror, text, upstream};

const NAVIGATION: (&str, &str) = ("sec-fetch-mode", "navigate");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_answers_from_the_cache_or_leads_to_the_upstream_and_the_log_says_so() {
    let seen = Seen::default();
    let upstream = mirror(&seen).await;
    let script = r#"
        addEventListener("install", event => {
          event.addRoutes([
            { condition: { urlPattern: "/form/*" }, source: "network" },
            { condition: { urlPattern: "/*.png" }, source: "cache" },
          ]);
          event.waitUntil(caches.open("v1").then(cache => cache.put("/a.png", new Response("image"))));
        });
        addEventListener("fetch", event => event.respondWith(new Response("script")));
    "#;
    let gateway = Gateway::with_worker(upstream, script, &[]);
    gateway.ready();
    for (path, body, route, note) in [
        ("/a.png", "image", "cache", None),
        ("/b.png", "/b.png for nobody", "network", Some("Routed")),
        ("/form/x", "/form/x for nobody", "network", Some("Routed")),
        ("/x", "script", "worker", None),
    ] {
        assert_eq!(gateway.get(path).await.text(), body, "{path}");
        let line = gateway.request(path);
        assert_eq!((line["route"].as_str(), line["note"].as_str()), (Some(route), note), "{path}");
        assert!(line["version"].is_string(), "{line}");
    }
    assert_eq!(seen.count("/a.png"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_that_a_route_leads_to_keeps_what_is_personal_to_its_visitor() {
    let upstream = mirror(&Seen::default()).await;
    let script = r#"
        addEventListener("install", event => event.addRoutes({
          condition: { urlPattern: "/page", requestMethod: "get", requestMode: "cors" }, source: "cache",
        }));
        addEventListener("fetch", event => event.respondWith(caches.open("v1").then(async cache => {
          const response = await fetch(new Request(event.request, { mode: "cors" }));
          await cache.put(event.request, response.clone());
          return response;
        })));
    "#;
    let gateway = Gateway::with_worker(upstream, script, &[]);
    gateway.ready();
    let ask =
        async |who: &str, mode: &str| gateway.get_with("/page", &[("cookie", who), ("sec-fetch-mode", mode)]).await;
    // Through the script, which keeps it for her.
    assert_eq!(ask("anna", "same-origin").await.text(), "/page for anna");
    assert_eq!(gateway.request("/page")["route"], "network");
    assert_eq!(ask("anna", "cors").await.text(), "/page for anna");
    assert_eq!(gateway.request("/page")["route"], "cache");
    assert_eq!(ask("ben", "cors").await.text(), "/page for ben");
    let line = gateway.request("/page");
    assert_eq!((line["route"].as_str(), line["note"].as_str()), (Some("network"), Some("Routed")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_navigation_is_preloaded_with_the_visitors_own_headers() {
    let upstream = upstream(|request| {
        let said = |name: &str| request.headers().get(name).map_or("none", |value| value.to_str().unwrap()).to_owned();
        let words = format!("{} {}", said("service-worker-navigation-preload"), said("cookie"));
        async move { text(200, words) }
    })
    .await;
    let script = r#"
        addEventListener("activate", event => event.waitUntil(registration.navigationPreload.enable()));
        addEventListener("fetch", event => event.respondWith((async () => {
          return (await event.preloadResponse) ?? new Response("not preloaded");
        })()));
    "#;
    let gateway = Gateway::with_worker(upstream, script, &[]);
    gateway.ready();
    assert_eq!(gateway.get_with("/x", &[NAVIGATION, ("cookie", "anna")]).await.text(), "true anna");
    assert_eq!(gateway.request("/x")["route"], "network");
    assert_eq!(gateway.get_with("/x", &[("sec-fetch-mode", "cors")]).await.text(), "not preloaded");
}
