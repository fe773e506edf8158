//! The gateway in front of a worker: who answers, from where, and what goes wrong.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Request;
use support::{CACHE_EVERYTHING, Gateway, PATIENCE, Seen, mirror, stderr, text, upstream, with};
use tokio::{io::AsyncReadExt, sync::Notify};

const PAGE: [(&str, &str); 1] = [("accept", "text/html")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_of_outcomes_holds() {
    let seen = Seen::default();
    let upstream = mirror(&seen).await;
    let script = r#"
        self.addEventListener("fetch", event => {
          const path = new URL(event.request.url).pathname;
          if (path === "/throw") throw new Error("thrown");
          if (path === "/reject") event.respondWith(Promise.reject(new Error("rejected")));
          if (path === "/undefined") event.respondWith(undefined);
          if (path === "/error") event.respondWith(Response.error());
          if (path === "/prevent") event.preventDefault();
          if (path === "/made") event.respondWith(new Response("made", { status: 201, headers: { "x-by": "worker" } }));
          if (path === "/teapot") event.respondWith(new Response(null, { status: 418, statusText: "Short And Stout" }));
        });
    "#;
    let gateway = Gateway::with_worker(upstream, script, &[]);
    gateway.ready();
    for (path, status, body, route) in [
        ("/pass", 200, "/pass for nobody", "network"),
        ("/throw", 200, "/throw for nobody", "network"),
        ("/made", 201, "made", "worker"),
        ("/teapot", 418, "", "worker"),
    ] {
        let reply = gateway.get(path).await;
        assert_eq!((reply.status, reply.text().as_str()), (status, body), "{path}");
        let line = gateway.request(path);
        assert_eq!((&line["route"], &line["bytes"]), (&route.into(), &body.len().into()), "{path}");
        assert!(line["version"].is_string(), "{line}");
    }
    for path in ["/reject", "/undefined", "/error", "/prevent"] {
        assert_eq!(gateway.get(path).await.error(), (502, "worker-network-error"), "{path}");
        assert_eq!(seen.count(path), 0, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g16_w76_a_handler_that_never_settles_is_a_504_and_others_go_on() {
    let upstream = mirror(&Seen::default()).await;
    let script = r#"addEventListener("fetch", e => { if (e.request.url.endsWith("/never")) e.respondWith(new Promise(() => {})); });"#;
    let gateway = Gateway::with_worker(upstream, script, &["--response-timeout", "300ms"]);
    gateway.ready();
    let (never, other) = tokio::join!(gateway.get("/never"), gateway.get("/other"));
    assert_eq!(never.error(), (504, "worker-timeout"));
    assert_eq!(other.text(), "/other for nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_loops_for_ever_costs_its_own_requests_only() {
    let upstream = mirror(&Seen::default()).await;
    let script = r#"addEventListener("fetch", e => { if (e.request.url.endsWith("/loop")) for (;;) {} });"#;
    let gateway = Gateway::with_worker(upstream, script, &["--cpu-slice", "200ms"]);
    gateway.ready();
    assert_eq!(gateway.get("/loop").await.text(), "/loop for nobody", "it never called respondWith");
    assert_eq!(gateway.get("/other").await.text(), "/other for nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_answers_from_its_cache_when_the_origin_is_gone() {
    let seen = Seen::default();
    let upstream = mirror(&seen).await;
    let gateway = Gateway::with_worker(upstream, CACHE_EVERYTHING, &[]);
    gateway.ready();
    assert_eq!(gateway.get("/a").await.text(), "/a for nobody");
    assert_eq!(gateway.request("/a")["route"], "network");
    assert_eq!(gateway.get("/a").await.text(), "/a for nobody");
    let line = gateway.request("/a");
    assert_eq!(line["route"], "cache");
    assert_eq!(seen.count("/a"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cached_survives_a_kill_and_install_does_not_run_again() {
    let seen = Seen::default();
    let upstream = mirror(&seen).await;
    let folder = tempfile::tempdir().unwrap();
    let script = format!(r#"addEventListener("install", e => e.waitUntil(fetch("/installed"))); {CACHE_EVERYTHING}"#);
    let origin = ["--origin", "http://localhost:8080"];
    let mut first = Gateway::with_worker_in(folder.path(), upstream, &script, &origin);
    first.ready();
    assert_eq!(first.get("/a").await.text(), "/a for nobody");
    first.kill();
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let second = Gateway::with_worker_in(folder.path(), nobody, &script, &origin);
    assert_eq!(second.get("/a").await.text(), "/a for nobody");
    assert_eq!(second.get("/b").await.status, 502);
    assert_eq!(seen.count("/installed"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g19_w72_a_coded_response_is_cached_and_served_decoded() {
    use async_compression::tokio::bufread::GzipEncoder;
    let mut coded = Vec::new();
    GzipEncoder::new(&b"hello hello"[..]).read_to_end(&mut coded).await.unwrap();
    let upstream = upstream(move |_| {
        let coded = coded.clone();
        async move { with(text(200, coded), &[("content-encoding", "gzip"), ("etag", "\"e\"")]) }
    })
    .await;
    let gateway = Gateway::with_worker(upstream, CACHE_EVERYTHING, &[]);
    gateway.ready();
    for route in ["network", "cache"] {
        let reply = gateway.get("/").await;
        assert_eq!((reply.text().as_str(), reply.header("content-encoding")), ("hello hello", None), "{route}");
        assert_eq!(reply.header("etag"), Some("W/\"e\""));
        assert_eq!(gateway.request("/")["route"], route);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g6_the_worker_sees_what_browsers_show() {
    let upstream = mirror(&Seen::default()).await;
    let script = r#"
        addEventListener("fetch", e => {
          const r = e.request;
          const headers = [...r.headers.keys()].join();
          e.respondWith(new Response([r.url, r.method, r.mode, r.destination, r.redirect, r.credentials, headers].join(" ")));
        });
    "#;
    let gateway =
        Gateway::with_worker(upstream, script, &["--origin", "https://shop.example", "--aliases", "127.0.0.1"]);
    gateway.ready();
    let headers = [
        ("cookie", "a=1"),
        ("accept", "text/html"),
        ("sec-fetch-site", "none"),
        ("accept-encoding", "gzip"),
        ("x-own", "1"),
    ];
    let reply = gateway.get_with("/a?b#c", &headers).await;
    assert_eq!(reply.text(), "https://shop.example/a?b GET navigate document manual include accept,x-own");
    let headers = [("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")];
    assert_eq!(
        gateway.get_with("/i", &headers).await.text(),
        "https://shop.example/i GET no-cors image follow same-origin "
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g21_g22_redirects_go_to_the_client_and_redirected_answers_to_no_navigation() {
    let upstream = upstream(|request| async move {
        match request.uri().path() {
            "/old" => with(text(302, ""), &[("location", "/new")]),
            path => text(200, path.to_owned()),
        }
    })
    .await;
    let script = r#"
        addEventListener("fetch", e => {
          const path = new URL(e.request.url).pathname;
          if (path === "/made") return e.respondWith(Response.redirect("/there", 303));
          if (path === "/laundered") return e.respondWith(fetch("/old"));
          e.respondWith(fetch(e.request));
        });
    "#;
    let gateway = Gateway::with_worker(upstream, script, &[]);
    gateway.ready();
    let navigation = gateway.get_with("/old", &PAGE).await;
    assert_eq!((navigation.status, navigation.header("location")), (302, Some("/new")));
    assert_eq!(gateway.get("/old").await.text(), "/new", "followed for what is no navigation");
    let made = gateway.get_with("/made", &PAGE).await;
    assert_eq!(made.status, 303);
    assert!(made.header("location").unwrap().ends_with("/there"));
    assert_eq!(gateway.get_with("/laundered", &PAGE).await.error(), (502, "worker-network-error"));
    assert_eq!(gateway.get("/laundered").await.text(), "/new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g20_head_runs_the_event_and_drops_the_body() {
    let upstream = mirror(&Seen::default()).await;
    let script = r#"addEventListener("fetch", e => e.respondWith(new Response("four", { headers: { "x-method": e.request.method } })));"#;
    let gateway = Gateway::with_worker(upstream, script, &[]);
    gateway.ready();
    let head = gateway.ask(Request::head("/"), "").await;
    assert_eq!(
        (head.header("x-method"), head.header("content-length"), head.text().as_str()),
        (Some("HEAD"), Some("4"), "")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g24_a_body_reaches_the_worker_or_else_the_upstream() {
    use http_body_util::BodyExt;
    let upstream =
        upstream(|request| async move { text(200, request.into_body().collect().await.unwrap().to_bytes()) }).await;
    let script = r#"
        addEventListener("fetch", e => {
          if (e.request.url.endsWith("/read")) e.respondWith(e.request.text().then(text => new Response("read " + text)));
          if (e.request.url.endsWith("/through")) e.respondWith(fetch(e.request));
        });
    "#;
    let gateway = Gateway::with_worker(upstream, script, &[]);
    gateway.ready();
    assert_eq!(gateway.ask(Request::post("/read"), "body").await.text(), "read body");
    assert_eq!(gateway.ask(Request::post("/through"), "body").await.text(), "body");
    assert_eq!(gateway.ask(Request::post("/fallback"), "body").await.text(), "body");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_for_scripts_embeds_and_what_is_out_of_scope_go_past_the_worker() {
    let upstream = mirror(&Seen::default()).await;
    let script = r#"addEventListener("fetch", e => e.respondWith(new Response("worker")));"#;
    let gateway = Gateway::with_worker(upstream, script, &["--scope", "/app/"]);
    gateway.ready();
    assert_eq!(gateway.get("/app/x").await.text(), "worker");
    for (path, headers) in [
        ("/app/sw.js", &[("service-worker", "script")][..]),
        ("/app/movie", &[("sec-fetch-dest", "object"), ("sec-fetch-mode", "navigate")]),
        ("/other", &[]),
    ] {
        assert_eq!(gateway.get_with(path, headers).await.text(), format!("{path} for nobody"));
        assert_eq!(gateway.request(path)["route"], "bypass");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_requests_wait_for_the_first_worker() {
    let (installing, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&installing), Arc::clone(&go_on));
    let upstream = upstream(move |request| {
        let (tell, wait) = (Arc::clone(&tell), Arc::clone(&wait));
        async move {
            if request.uri().path() == "/install" {
                tell.notify_one();
                wait.notified().await;
            }
            text(200, "upstream")
        }
    })
    .await;
    let script = r#"
        addEventListener("install", e => e.waitUntil(fetch("/install")));
        addEventListener("fetch", e => e.respondWith(new Response("worker")));
    "#;
    let gateway = Gateway::with_worker(upstream, script, &[]);
    installing.notified().await;
    let mut waiting = std::pin::pin!(gateway.get("/"));
    assert!(futures::poll!(&mut waiting).is_pending());
    go_on.notify_one();
    assert_eq!(waiting.await.text(), "worker");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_does_not_parse_is_said_with_its_place_and_the_upstream_answers() {
    let upstream = mirror(&Seen::default()).await;
    let gateway = Gateway::with_worker(upstream, "let fine = 1;\nthis is not script", &[]);
    assert_eq!(gateway.get("/").await.text(), "/ for nobody");
    let line = gateway.logged(|line| line["target"] == "waystore::worker" && line["level"] == "ERROR");
    let error = line["error"].as_str().unwrap();
    assert!(error.contains("sw.js:2"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g29_the_console_of_the_script_is_in_the_log() {
    let upstream = mirror(&Seen::default()).await;
    let gateway = Gateway::with_worker(upstream, r#"console.warn("careful", { a: 1 });"#, &[]);
    let line = gateway.logged(|line| line["target"] == "waystore::console");
    assert_eq!(line["level"], "WARN");
    assert!(line["version"].as_str().is_some_and(|version| version.ends_with("-1")), "{line}");
    assert!(line["message"].as_str().unwrap().starts_with("careful"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_of_the_origin_is_fetched_from_the_upstream() {
    let upstream = upstream(|request| async move {
        match request.uri().path() {
            "/js/sw.js" => with(
                text(200, r#"addEventListener("fetch", e => e.respondWith(new Response("worker")));"#),
                &[("content-type", "text/javascript"), ("service-worker-allowed", "/")],
            ),
            _ => text(404, "none"),
        }
    })
    .await;
    let url = format!("http://{upstream}");
    let gateway = Gateway::start(&["--upstream", &url, "--worker", "/js/sw.js", "--scope", "/"]);
    gateway.ready();
    assert_eq!(gateway.get("/").await.text(), "worker");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g14_a_navigation_leads_to_a_look_for_a_new_script() {
    let upstream = mirror(&Seen::default()).await;
    let script =
        |version| format!(r#"addEventListener("fetch", e => e.respondWith(new Response("version {version}")));"#);
    let gateway = Gateway::with_worker(upstream, &script(1), &["--update-interval", "0s"]);
    gateway.ready();
    std::fs::write(gateway.home().join("sw.js"), script(2)).unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    while gateway.get_with("/", &PAGE).await.text() != "version 2" {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_control_socket_lists_updates_and_talks_to_the_worker() {
    let upstream = mirror(&Seen::default()).await;
    let script = r#"
        let last = "none";
        addEventListener("message", e => { last = e.data.type; });
        addEventListener("fetch", e => e.respondWith(new Response(last)));
    "#;
    let gateway = Gateway::with_worker(upstream, script, &[]);
    gateway.ready();
    let listed: serde_json::Value =
        serde_json::from_slice(&gateway.command(&["worker", "ls", "--json"]).stdout).unwrap();
    assert_eq!((&listed[0]["active"]["state"], &listed[0]["waiting"]), (&"activated".into(), &serde_json::Value::Null));
    let table = String::from_utf8(gateway.command(&["worker", "ls"]).stdout).unwrap();
    assert!(table.contains("activated") && table.contains("fetch"), "{table}");
    let sent = gateway.command(&["worker", "message", r#"{"type":"PREFETCH"}"#]);
    assert_eq!(sent.status.code(), Some(0), "{}", stderr(&sent));
    assert_eq!(gateway.get("/").await.text(), "PREFETCH");
    assert_eq!(gateway.command(&["worker", "update"]).stdout, b"unchanged\n");
    std::fs::write(gateway.home().join("sw.js"), "// another").unwrap();
    let updated = gateway.command(&["worker", "update"]);
    assert!(updated.stdout.starts_with(b"installed "), "{}", stderr(&updated));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w75_many_requests_at_once_find_one_worker() {
    let starts = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&starts);
    let upstream = upstream(move |request| {
        if request.uri().path() == "/started" {
            count.fetch_add(1, Ordering::Relaxed);
        }
        async { text(200, "upstream") }
    })
    .await;
    let script = r#"fetch("/started"); addEventListener("fetch", e => e.respondWith(new Response("worker")));"#;
    let gateway = Gateway::with_worker(upstream, script, &[]);
    let replies = futures::future::join_all((0..200).map(|_| gateway.get("/"))).await;
    assert!(replies.iter().all(|reply| reply.text() == "worker"));
    assert_eq!(starts.load(Ordering::Relaxed), 1);
}
