//! Clients that go away while a worker works for them.

mod support;

use std::time::Duration;

use support::{Gateway, PATIENCE, raw_upstream, stderr, text, upstream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g23_w71_a_client_that_goes_away_aborts_the_event_and_wait_until_goes_on() {
    let (asked, mut told) = mpsc::channel::<String>(8);
    let upstream = upstream(move |request| {
        let asked = asked.clone();
        async move {
            let path = request.uri().path().to_owned();
            asked.send(path.clone()).await.unwrap();
            if path == "/slow" { std::future::pending().await } else { text(200, "noted") }
        }
    })
    .await;
    let script = r#"
        addEventListener("fetch", e => {
          if (!e.request.url.endsWith("/slow")) return;
          e.waitUntil(new Promise(done => e.request.signal.addEventListener("abort", () => done(fetch("/aborted")))));
          e.respondWith(fetch(e.request).catch(async error => {
            await fetch("/" + error.name);
            return new Response("too late");
          }));
        });
    "#;
    let gateway = Gateway::with_worker(upstream, script, &[]);
    gateway.ready();
    let client = gateway.open_only("/slow").await;
    assert_eq!(told.recv().await.unwrap(), "/slow");
    drop(client);
    let mut notes = Vec::new();
    for _ in 0..2 {
        notes.push(tokio::time::timeout(PATIENCE, told.recv()).await.expect("the worker is told").unwrap());
    }
    notes.sort();
    assert_eq!(notes, ["/AbortError", "/aborted"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_during_a_put_leaves_no_entry_and_no_file() {
    let (started, mut begun) = mpsc::channel(1);
    let upstream = raw_upstream(move |mut stream| {
        let started = started.clone();
        async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4000000000\r\n\r\n").await;
            let mut chunks = 0;
            while stream.write_all(&[b'x'; 64 * 1024]).await.is_ok() {
                chunks += 1;
                if chunks == 100 {
                    let _ = started.send(()).await;
                }
            }
            let _ = started.send(()).await;
        }
    })
    .await;
    let script = r#"
        addEventListener("fetch", e => e.respondWith((async () => {
          const cache = await caches.open("large");
          await cache.put(e.request, await fetch(e.request));
          return cache.match(e.request);
        })()));
    "#;
    let gateway = Gateway::with_worker(upstream, script, &[]);
    gateway.ready();
    let client = gateway.open_only("/large").await;
    begun.recv().await.unwrap();
    drop(client);
    tokio::time::timeout(PATIENCE, begun.recv()).await.expect("the upstream's connection is cut").unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    while files(&gateway.data().join("bodies")) > 0 {
        assert!(std::time::Instant::now() < deadline, "a file is left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let keys = gateway.command(&["cache", "keys", "large", "--json"]);
    assert_eq!(String::from_utf8_lossy(&keys.stdout).matches("/large").count(), 0, "{}", stderr(&keys));
}

/// The files below a folder.
fn files(folder: &std::path::Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.flatten().map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}
