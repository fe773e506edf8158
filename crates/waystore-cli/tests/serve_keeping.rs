//! How much visitors can make the gateway keep, and what goes when there is no room.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{path::Path, time::Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use serde_json::Value;
use support::{CACHE_EVERYTHING, Gateway, PATIENCE, Seen, mirror, stderr, text, upstream, with};
use tokio::sync::mpsc;

/// Precaches two pages, and keeps what it is asked for in a cache of its own.
const SHOP: &str = r#"
self.addEventListener("install", event => {
  event.waitUntil(caches.open("shell").then(cache => cache.addAll(["/shell/1", "/shell/2"])));
});
self.addEventListener("fetch", event => {
  event.respondWith((async () => {
    const hit = await caches.match(event.request);
    if (hit) return hit;
    const response = await fetch(event.request);
    const cache = await caches.open(event.request.url.includes("/image") ? "images" : "pages");
    try {
      await cache.put(event.request, response.clone());
    } catch (error) {
      return new Response(`${error.name} ${error.quota} ${error.requested > error.quota}`);
    }
    return response;
  })());
});
"#;

/// Answers every path with this many bytes that end with the path.
async fn long(bytes: usize) -> std::net::SocketAddr {
    upstream(move |request| {
        let path = request.uri().path().to_owned();
        async move { text(200, format!("{}{path}", "x".repeat(bytes))) }
    })
    .await
}

fn json(gateway: &Gateway, arguments: &[&str]) -> Value {
    let output = gateway.command(&[&["cache"], arguments, &["--json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)))
}

fn paths(gateway: &Gateway, cache: &str) -> Vec<String> {
    let keys = json(gateway, &["keys", cache]);
    let urls = keys.as_array().unwrap().iter().map(|key| key["url"].as_str().unwrap());
    urls.map(|url| url.splitn(4, '/').last().unwrap().to_owned()).collect()
}

/// What the bodies of all caches take.
fn bytes(gateway: &Gateway) -> u64 {
    json(gateway, &["ls"]).as_array().unwrap().iter().map(|cache| cache["bytes"].as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn visitors_cannot_fill_more_than_the_quota_and_what_was_precached_stays() {
    let gateway = Gateway::with_worker(long(20_000).await, SHOP, &["--quota", "400 KB"]);
    gateway.ready();
    for number in 0..60 {
        let reply = gateway.get(&format!("/{number}")).await;
        assert!(reply.status == 200 && reply.text().ends_with(&format!("/{number}")), "{}", reply.text());
        if number % 7 == 0 {
            gateway.get("/0").await;
            assert!(bytes(&gateway) <= 400_000);
        }
    }
    // In another cache: the room comes from the one that took it.
    for number in 0..10 {
        gateway.get(&format!("/image/{number}")).await;
    }
    assert!(bytes(&gateway) <= 400_000);
    assert_eq!(paths(&gateway, "shell"), ["shell/1", "shell/2"]);
    assert!(json(&gateway, &["keys", "shell"]).as_array().unwrap().iter().all(|key| key["pinned"] == true));
    assert_eq!(paths(&gateway, "images").len(), 10);
    let pages = paths(&gateway, "pages");
    assert!(
        pages.contains(&"0".to_owned()) && pages.contains(&"59".to_owned()) && !pages.contains(&"1".to_owned()),
        "{pages:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_unknown_length_is_cut_off_from_the_store_at_the_quota() {
    let endless = upstream(|request| {
        let ends = request.uri().path() != "/endless";
        async move {
            let chunks = futures::stream::iter(
                (0..if ends { 1 } else { 200 }).map(|_| Ok(http_body::Frame::data(Bytes::from(vec![b'x'; 16_000])))),
            );
            http::Response::new(BodyExt::boxed(StreamBody::new(chunks)))
        }
    })
    .await;
    let gateway = Gateway::with_worker(endless, SHOP, &["--quota", "1 MB"]);
    gateway.ready();
    let reply = gateway.get("/endless").await;
    assert_eq!(reply.text(), "QuotaExceededError 1000000 true", "the script is told, as the standard says");
    assert_eq!(paths(&gateway, "pages").len(), 0);
    assert_eq!(gateway.get("/other").await.text().len(), 16_000);
    assert_eq!(paths(&gateway, "pages"), ["other"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_is_for_each_cache_or_for_those_of_a_name() {
    let flags = ["--budget", "100 KB", "--cache-budget", "ima*=45KB"];
    let gateway = Gateway::with_worker(long(20_000).await, SHOP, &flags);
    gateway.ready();
    for number in 0..8 {
        gateway.get(&format!("/{number}")).await;
        gateway.get(&format!("/image/{number}")).await;
    }
    assert_eq!(paths(&gateway, "pages"), ["4", "5", "6", "7"]);
    assert_eq!(paths(&gateway, "images"), ["image/6", "image/7"]);
    assert_eq!(paths(&gateway, "shell").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_eviction_a_full_quota_fails_the_put_and_the_answer_still_comes() {
    let gateway = Gateway::with_worker(long(20_000).await, SHOP, &["--quota", "100000", "--budget", "none"]);
    gateway.ready();
    gateway.get("/1").await;
    gateway.get("/2").await;
    assert!(gateway.get("/3").await.text().starts_with("QuotaExceededError 100000 true"));
    assert_eq!(paths(&gateway, "pages"), ["1", "2"]);
    assert!(gateway.get("/2").await.text().ends_with("/2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_put_is_answered_from_while_its_body_still_comes() {
    let (more, chunks) = mpsc::channel::<Bytes>(4);
    let chunks = std::sync::Arc::new(std::sync::Mutex::new(Some(chunks)));
    let slow = upstream(move |_| {
        let chunks = chunks.lock().unwrap().take();
        async move {
            let Some(chunks) = chunks else { return text(500, "asked twice") };
            let frames = tokio_stream::wrappers::ReceiverStream::new(chunks);
            let frames = tokio_stream::StreamExt::map(frames, |chunk| Ok(http_body::Frame::data(chunk)));
            http::Response::new(BodyExt::boxed(StreamBody::new(frames)))
        }
    })
    .await;
    let script = r#"
        self.addEventListener("fetch", event => {
          event.respondWith((async () => {
            const cache = await caches.open("pages");
            if (!await cache.match("/slow")) await cache.put("/slow", await fetch("/slow"));
            return cache.match("/slow");
          })());
        });
    "#;
    let gateway = Gateway::with_worker(slow, script, &["--cache-put", "pages=recorded"]);
    gateway.ready();
    more.send("first ".into()).await.unwrap();
    let mut body = gateway.open(http::Request::get("/slow"), "").await.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first ");
    let keys = json(&gateway, &["keys", "pages"]);
    assert_eq!((&keys[0]["recording"], &keys[0]["bytes"]), (&true.into(), &6.into()));
    assert_eq!(json(&gateway, &["ls"])[0]["recording"], 1);
    let second = gateway.open(http::Request::get("/slow"), "").await;
    more.send("second".into()).await.unwrap();
    drop(more);
    assert_eq!(second.into_body().collect().await.unwrap().to_bytes(), "first second");
    assert_eq!(body.collect().await.unwrap().to_bytes(), "second");
    until(|| json(&gateway, &["keys", "pages"])[0]["recording"] == false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s42_storage_is_cleared_for_the_site_and_cache_means_nothing_here() {
    let clears = || {
        upstream(|request| {
            let path = request.uri().path().to_owned();
            async move {
                match &*path {
                    "/logout" => with(text(200, "bye"), &[("clear-site-data", "\"storage\"")]),
                    "/http-cache" => with(text(200, "hm"), &[("clear-site-data", "\"cache\"")]),
                    _ => text(200, path),
                }
            }
        })
    };
    let passes_logout =
        CACHE_EVERYTHING.replace("if (event", "if (event.request.url.endsWith('/logout')) return;\n  if (event");
    let gateway = Gateway::with_worker(clears().await, &passes_logout, &["--honour-clear-site-data"]);
    gateway.ready();
    gateway.get("/page").await;
    gateway.get("/http-cache").await;
    assert_eq!(paths(&gateway, "pages"), ["page", "http-cache"]);
    let first = worker(&gateway);
    assert_eq!(gateway.get("/logout").await.text(), "bye");
    gateway.logged(|line| line["message"] == "registration removed");
    gateway.logged(|line| line["target"] == "waystore::storage");
    // The configuration registers again.
    until(|| worker(&gateway) != first && worker(&gateway) != Value::Null);
    assert_eq!(json(&gateway, &["ls"]), serde_json::json!([]));
    assert_eq!(gateway.get("/page").await.text(), "/page");
    assert_eq!(paths(&gateway, "pages"), ["page"]);

    let deaf = Gateway::with_worker(clears().await, &passes_logout, &[]);
    deaf.ready();
    deaf.get("/page").await;
    let first = worker(&deaf);
    deaf.get("/logout").await;
    deaf.get("/page").await;
    assert_eq!((paths(&deaf, "pages"), worker(&deaf)), (vec!["page".to_owned()], first));
}

/// The version that is active.
fn worker(gateway: &Gateway) -> Value {
    let output = gateway.command(&["worker", "ls", "--json"]);
    let workers: Value = serde_json::from_slice(&output.stdout).unwrap();
    workers[0]["active"]["version"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_other_origins_left_makes_room_for_the_site_that_is_served() {
    let home = tempfile::tempdir().unwrap();
    let upstream = long(20_000).await;
    let serve = |origin: &str| {
        let flags = ["--origin", origin, "--total-quota", "150 KB", "--evict-origins"];
        Gateway::with_worker_in(home.path(), upstream, SHOP, &flags)
    };
    let mut first = serve("https://old.test");
    first.ready();
    let page = [("host", "old.test")];
    for number in 0..4 {
        first.get_with(&format!("/{number}"), &page).await;
    }
    assert_eq!(paths(&first, "pages").len(), 4);
    assert_eq!(first.stop(), Some(0));
    let second = serve("https://new.test");
    second.ready();
    let page = [("host", "new.test")];
    for number in 0..4 {
        second.get_with(&format!("/{number}"), &page).await;
    }
    assert_eq!(paths(&second, "pages").len(), 4);
    let origins = json(&second, &["ls"]);
    assert!(origins.as_array().unwrap().iter().all(|cache| cache["origin"] == "https://new.test"), "{origins}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_room_of_what_went_is_given_back_to_the_disk() {
    let gateway = Gateway::with_worker(long(100_000).await, SHOP, &["--quota", "4 MB"]);
    gateway.ready();
    for number in 0..200 {
        gateway.get(&format!("/{number}")).await;
    }
    assert!(bytes(&gateway) <= 4_000_000);
    // What went is given back after the next sync, which comes every second.
    until(|| disk(&gateway.data().join("bodies")) < 4_200_000);
}

/// The room that files take.
fn disk(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(facts) if facts.is_dir() => disk(&entry.path()),
        Ok(facts) => facts.blocks() * 512,
        // It went meanwhile.
        Err(_) => 0,
    };
    entries.map(of).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_are_those_of_the_file_too() {
    let site = tempfile::tempdir().unwrap();
    std::fs::write(site.path().join("sw.js"), SHOP).unwrap();
    let upstream = mirror(&Seen::default()).await;
    let text = format!(
        "upstream = 'http://{upstream}'\nworker = 'sw.js'\nlisten = '127.0.0.1:0'\nquota = '1 GiB'\ntotal_quota = 2000000000\n\
         evict_origins = true\npersist = true\nbudget = '10 MiB'\ncache_budget = ['images-*=1MiB']\nput = 'recorded'\n\
         cache_put = ['shell=durable']\ndurability = 'strict'\npad_opaque = true\nhonour_clear_site_data = false\n"
    );
    std::fs::write(site.path().join("waystore.toml"), text).unwrap();
    let gateway = Gateway::start_in(site.path(), &[&*site.path().to_string_lossy()]);
    assert_eq!(gateway.get("/x").await.status, 200);
}

#[test]
fn a_value_that_means_nothing_is_named_with_what_does() {
    for (flags, expected) in [
        (["--quota", "plenty"], "`plenty` is not a size"),
        (["--budget", "plenty"], "`budget`: `plenty` is not a size"),
        (["--cache-budget", "pages"], "`cache_budget` has `pages`"),
        (["--put", "soon"], "`put` is `soon`"),
        (["--cache-put", "a=b"], "`cache_put` is `b`"),
        (["--durability", "none"], "`durability` is `none`"),
    ] {
        let output =
            support::run(&[&["serve", "--no-worker", "--upstream", "http://127.0.0.1:1"], &flags[..]].concat());
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(expected), "{text}");
    }
}

/// Asks until it is so.
fn until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "it never came to be");
        std::thread::yield_now();
    }
}
