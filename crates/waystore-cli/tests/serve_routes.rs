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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_route_answers_from_a_cache_is_what_the_script_would_answer_from_it() {
    let upstream = mirror(&Seen::default()).await;
    let script = r#"
        const kept = {
          "page": () => new Response("text", { headers: { "content-type": "text/html", etag: '"1"', "x-two": "a, b" } }),
          "empty": () => new Response(""),
          "null": () => new Response(null, { status: 204 }),
          "missing": () => new Response("not here", { status: 404, statusText: "Gone Fishing" }),
          "moved": () => new Response(null, { status: 302, headers: { location: "/elsewhere" } }),
          "coded": () => new Response("plain", { headers: { "content-encoding": "gzip", etag: '"2"' } }),
          "varies": () => new Response("variant", { headers: { vary: "accept-language" } }),
          "hop": () => new Response("hop", { headers: { connection: "x-once", "x-once": "1", "alt-svc": "h3" } }),
          "large": () => new Response("x".repeat(300000)),
        };
        addEventListener("install", event => {
          event.addRoutes({ condition: { urlPattern: "/routed/*" }, source: { cacheName: "v1" } });
          event.waitUntil(caches.open("v1").then(cache => Promise.all(Object.entries(kept).flatMap(([name, made]) =>
            ["/routed/", "/script/"].map(folder => cache.put(
              new Request(folder + name, { headers: { "accept-language": "de" } }), made()))))));
        });
        addEventListener("fetch", event => event.respondWith(caches.match(event.request, { cacheName: "v1" })
          .then(found => found ?? fetch(event.request))));
    "#;
    let gateway = Gateway::with_worker(upstream, script, &[]);
    gateway.ready();
    let conditions: [&[(&str, &str)]; 5] = [
        &[("accept-language", "de")],
        &[("accept-language", "fr")],
        &[("accept-language", "de"), ("if-none-match", "\"1\"")],
        &[("accept-language", "de"), ("range", "bytes=1-2")],
        &[("accept-language", "de"), ("cookie", "sid=1"), ("sec-fetch-mode", "navigate")],
    ];
    let mut from_cache = 0;
    for name in ["page", "empty", "null", "missing", "moved", "coded", "varies", "hop", "large"] {
        for (method, headers) in ["GET", "HEAD"].into_iter().flat_map(|method| conditions.map(|with| (method, with))) {
            let ask = async |folder: &str| {
                let path = format!("/{folder}/{name}");
                let mut request = http::Request::builder().method(method).uri(&path);
                for (name, value) in headers {
                    request = request.header(*name, *value);
                }
                let mut reply = gateway.ask(request, "").await;
                // Names the client, and when the upstream answered.
                for name in ["server-timing", "date"] {
                    reply.headers.remove(name);
                }
                let line = gateway.request(&path);
                let body = reply.text().replace(&path, "/");
                (reply.status, reply.headers, body, line["route"].as_str().map(str::to_owned))
            };
            let (routed, scripted) = (ask("routed").await, ask("script").await);
            assert_eq!(routed, scripted, "{method} {name} {headers:?}");
            from_cache += usize::from(routed.3.as_deref() == Some("cache"));
        }
    }
    assert!(from_cache >= 40, "{from_cache} came from the cache");
}
