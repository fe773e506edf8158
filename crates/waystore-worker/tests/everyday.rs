//! Workers as people write them by hand: versioned caches, fonts from the cache, prefetching on a
//! message; as the well-known guides have them, and with the mistakes those contain.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::time::Duration;

use support::{World, active, answer, tell};
use waystore_worker::{Site, Updated, WorkerState};

/// Deletes caches of other versions on `activate`, answers from its own; the rest is `MISS`.
fn selective(version: u32, miss: &str) -> String {
    format!(
        "var WANTED = {{ font: 'fonts-' + {version} }};
         self.addEventListener('activate', function (event) {{
           var names = Object.keys(WANTED).map(function (key) {{ return WANTED[key] }});
           event.waitUntil(caches.keys().then(function (found) {{
             return Promise.all(found.map(function (name) {{
               if (names.indexOf(name) === -1) return caches.delete(name);
             }}));
           }}));
         }});
         self.addEventListener('fetch', function (event) {{
           event.respondWith(caches.open(WANTED.font).then(function (cache) {{
             return cache.match(event.request).then(function (response) {{
               if (response) return response;
               {miss}
             }});
           }}));
         }});"
    )
}

const FETCH_AND_KEEP_FONTS: &str = "return fetch(event.request.clone()).then(function (response) {
   if (response.status < 400 && response.headers.get('content-type').match(/^font\\//i)) {
     cache.put(event.request, response.clone());
   }
   return response;
 });";

#[tokio::test]
async fn a_sample_without_its_network_branch_fails_every_miss_as_in_a_browser() {
    let world = World::with(&selective(1, ""));
    world.net.text("/x", "page");
    let site = world.ready().await;
    assert!(answer(&site, "/x").await.starts_with("network error: respondWith was given `undefined`"));
    assert_eq!(world.net.asked("/x"), 0);
}

#[tokio::test]
async fn the_completed_sample_keeps_fonts_and_nothing_else_and_an_update_drops_the_old_cache() {
    let world = World::with(&selective(1, FETCH_AND_KEEP_FONTS));
    world.net.page("/a.woff2", 200, "font/woff2", "font");
    world.net.text("/page", "page");
    let site = world.ready().await;
    for _ in 0..3 {
        assert_eq!(answer(&site, "/a.woff2").await, "font");
        assert_eq!(answer(&site, "/page").await, "page");
        kept(&world, "fonts-1", 1).await;
    }
    assert_eq!((world.net.asked("/a.woff2"), world.net.asked("/page")), (1, 3));
    world.net.script("/sw.js", &selective(2, FETCH_AND_KEEP_FONTS));
    let Updated::Installed { version } = site.update(false).await.unwrap() else { panic!("it changed") };
    activated(&site, &version).await;
    let names = world.store.caches(support::ORIGIN).unwrap().keys().await.unwrap();
    assert!(names.is_empty(), "{names:?}");
}

#[tokio::test]
async fn a_message_prefetches_data_and_the_picture_it_names() {
    let world = World::with(
        "addEventListener('message', event => {
           const data = event.data;
           if (data && data.type === 'PREFETCH') for (const i in data.payload.urls) keep(data.payload.urls[i], picture);
         });
         async function keep(url, after) {
           const fetched = await fetch(url);
           const cache = await caches.open('prefetched');
           await cache.put(url, fetched.clone());
           if (after) await after(fetched);
         }
         async function picture(fetched) {
           const product = await fetched.json();
           if (product && product.productPic) keep(product.productPic);
         }
         addEventListener('fetch', event => event.respondWith(
           caches.match(event.request).then(hit => hit || fetch(event.request))))",
    );
    world.net.page("/banana.json", 200, "application/json", r#"{"productPic":"https://a.test/banana.svg"}"#);
    world.net.page("/banana.svg", 200, "image/svg+xml", "<svg/>");
    let site = world.ready().await;
    tell(&site, serde_json::json!({ "type": "PREFETCH", "payload": { "urls": ["/banana.json"] } })).await;
    kept(&world, "prefetched", 2).await;
    for path in ["/banana.json", "/banana.svg"] {
        world.net.remove(path);
    }
    assert_eq!(answer(&site, "/banana.svg").await, "<svg/>");
}

#[tokio::test]
async fn w20_an_install_whose_precache_misses_one_page_fails_and_keeps_nothing() {
    let world = World::with("oninstall = e => e.waitUntil(caches.open('v1').then(c => c.addAll(['/ok', '/404'])))");
    world.net.text("/ok", "ok");
    world.net.page("/404", 404, "text/plain", "");
    let site = world.open().await;
    site.ready().await.unwrap_err();
    let caches = world.store.caches(support::ORIGIN).unwrap();
    assert!(caches.has("v1").await.unwrap());
    kept(&world, "v1", 0).await;
}

#[tokio::test]
async fn a_worker_that_caches_everything_answers_with_the_network_down_after_a_restart() {
    let world = World::with(
        "oninstall = () => console.log('install');
         onfetch = e => e.respondWith((async () => {
           const cache = await caches.open('all');
           try {
             const response = await fetch(e.request);
             await cache.put(e.request, response.clone());
             return response;
           } catch { return cache.match(e.request) }
         })())",
    );
    let paths: Vec<_> = (0..50).map(|page| format!("/page-{page}")).collect();
    paths.iter().for_each(|path| world.net.text(path, path));
    let site = world.ready().await;
    for path in &paths {
        assert_eq!(answer(&site, path).await, *path);
    }
    let version = active(&site);
    // As a kill: nothing is closed.
    drop(site);
    paths.iter().chain([&"/sw.js".to_owned()]).for_each(|path| world.net.remove(path));
    let site = world.ready().await;
    for path in &paths {
        assert_eq!(answer(&site, path).await, *path);
    }
    assert_eq!(active(&site), version);
    assert_eq!(world.lines().await, ["install"]);
}

#[tokio::test]
async fn a_worker_in_a_data_directory_answers_after_it_was_closed_and_opened() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::with(
        "importScripts('/lib.js');
         oninstall = e => { console.log('install'); e.waitUntil(caches.open('v1').then(c => c.add('/x'))) };
         onfetch = e => e.respondWith(caches.match(e.request).then(hit => hit ?? new Response(lib)))",
    );
    world.net.script("/lib.js", "var lib = 'imported'");
    world.net.text("/x", "precached");
    world.store = open_dir(dir.path()).await;
    let site = world.ready().await;
    let version = active(&site);
    site.close(Duration::from_secs(5)).await;
    drop(site);
    for path in ["/sw.js", "/lib.js", "/x"] {
        world.net.remove(path);
    }
    world.store = waystore::Waystore::in_memory();
    world.store = open_dir(dir.path()).await;
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "precached");
    assert_eq!(answer(&site, "/other").await, "imported");
    assert_eq!(active(&site), version);
    assert_eq!(world.lines().await, ["install"]);
}

/// Opens a data directory, once the last one who had it open has let go.
async fn open_dir(dir: &std::path::Path) -> waystore::Waystore {
    let opening = async {
        loop {
            match waystore::Waystore::open(dir).await {
                Err(waystore::Error::Locked { .. }) => tokio::task::yield_now().await,
                opened => return opened.unwrap(),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), opening).await.expect("a closed site lets go of its store")
}

/// Waits until a cache holds so many entries.
async fn kept(world: &World, name: &str, entries: usize) {
    let cache = world.store.caches(support::ORIGIN).unwrap().open(name).await.unwrap();
    let counting = async {
        while cache.keys((), waystore::CacheQueryOptions::default()).await.unwrap().len() != entries {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), counting).await.expect("the cache holds as many in the end");
}

async fn activated(site: &Site, version: &str) {
    let done = || {
        site.status().active.is_some_and(|worker| worker.version == version && worker.state == WorkerState::Activated)
    };
    while !done() {
        tokio::task::yield_now().await;
    }
}
