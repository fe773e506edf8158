//! What the response of a worker's script demands of the worker: embedder policy and referrer policy.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use support::{World, answer, fallback, get};
use waystore::{Referrer, ReferrerPolicy};
use waystore_worker::{FallbackReason, FetchEvent, Updated};

/// Answers with what came of an opaque fetch.
const SCRIPT: &str = r#"
const opaque = url => fetch(url, { mode: "no-cors" });
const told = response => new Response(response.type);
const failed = error => new Response(error.name);
onfetch = event => {
  const { pathname } = new URL(event.request.url);
  const other = "https://b.test" + pathname.slice("/fetch".length);
  if (pathname.startsWith("/fetch/")) event.respondWith(opaque(other).then(told, failed));
};"#;

fn world(policy: Option<(&str, &str)>) -> World {
    let world = World::with(SCRIPT);
    if let Some((name, value)) = policy {
        world.net.header("/sw.js", name, value);
    }
    world.net.text("https://b.test/silent", "x");
    world.net.text("https://b.test/open", "x");
    world.net.header("https://b.test/open", "cross-origin-resource-policy", "cross-origin");
    for path in ["https://b.test/silent", "https://b.test/open"] {
        world.net.opaque(path);
    }
    world
}

#[tokio::test]
async fn a_worker_that_requires_corp_is_not_given_what_does_not_say_so() {
    let world = world(Some(("cross-origin-embedder-policy", "require-corp; report-to=\"x\"")));
    let site = world.ready().await;
    assert_eq!(answer(&site, "/fetch/silent").await, "TypeError");
    assert_eq!(answer(&site, "/fetch/open").await, "opaque");
}

#[tokio::test]
async fn without_that_policy_it_is() {
    let world = world(None);
    let site = world.ready().await;
    assert_eq!(answer(&site, "/fetch/silent").await, "opaque");
}

#[tokio::test]
async fn the_policy_is_that_of_the_installed_script_after_a_restart_too() {
    let world = world(Some(("cross-origin-embedder-policy", "require-corp")));
    drop(world.ready().await);
    // The same bytes with another header are no new version.
    world.net.script("/sw.js", SCRIPT);
    let site = world.ready().await;
    assert_eq!(site.update(true).await.unwrap(), Updated::Unchanged);
    assert_eq!(answer(&site, "/fetch/silent").await, "TypeError");
}

#[tokio::test]
async fn a_script_of_another_origin_is_imported_only_where_it_says_that_it_may_be() {
    let world = world(Some(("cross-origin-embedder-policy", "require-corp")));
    world.net.script("/sw.js", "importScripts('https://b.test/lib.js')");
    world.net.header("/sw.js", "cross-origin-embedder-policy", "require-corp");
    world.net.script("https://b.test/lib.js", "self.imported = 1");
    world.net.opaque("https://b.test/lib.js");
    let site = world.open().await;
    let error = site.ready().await.unwrap_err().to_string();
    assert!(error.contains("NetworkError") && error.contains("Cross-Origin-Resource-Policy"), "{error}");
    world.net.header("https://b.test/lib.js", "cross-origin-resource-policy", "cross-origin");
    assert!(matches!(site.update(false).await, Ok(Updated::Installed { .. })));
}

#[tokio::test]
async fn what_is_cached_and_does_not_say_so_is_not_found_by_such_a_worker() {
    let world = world(None);
    let script = "onfetch = e => e.respondWith(e.request.url.endsWith('/keep')
      ? fetch('https://b.test/silent', { mode: 'no-cors' }).then(async r => (await caches.open('c')).put('/kept', r)).then(() => new Response('kept'))
      : caches.match('/kept').then(r => new Response(r.type), error => new Response(error.name)))";
    world.net.script("/sw.js", script);
    let site = world.ready().await;
    assert_eq!(answer(&site, "/keep").await, "kept");
    assert_eq!(answer(&site, "/look").await, "opaque");
    world.net.script("/sw.js", &format!("{script} // stricter\n; oninstall = () => skipWaiting();"));
    world.net.header("/sw.js", "cross-origin-embedder-policy", "require-corp");
    let Updated::Installed { version } = site.update(false).await.unwrap() else { unreachable!("the script changed") };
    support::Waits::activated(&site, &version).await;
    assert_eq!(answer(&site, "/look").await, "TypeError");
}

#[tokio::test]
async fn requests_of_the_script_heed_its_referrer_policy_and_those_of_pages_do_not() {
    let world = World::with(
        "onfetch = e => {
           const { pathname } = new URL(e.request.url);
           if (pathname === '/page') e.respondWith(fetch(e.request));
           if (pathname === '/own') e.respondWith(fetch('/asked'));
           if (pathname === '/other') e.respondWith(fetch('/asked', { referrerPolicy: 'unsafe-url' }));
         }",
    );
    world.net.header("/sw.js", "referrer-policy", "origin, unknown");
    world.net.text("/asked", "asked");
    world.net.text("/page", "page");
    let site = world.ready().await;
    let policy = |path: &str| {
        let heads = world.net.heads();
        heads.iter().rev().find(|head| head.url.path() == path).unwrap().referrer_policy
    };
    assert_eq!(answer(&site, "/own").await, "asked");
    assert_eq!(policy("/asked"), ReferrerPolicy::Origin);
    assert_eq!(answer(&site, "/other").await, "asked");
    assert_eq!(policy("/asked"), ReferrerPolicy::UnsafeUrl);
    let mut request = get("/page");
    request.referrer = Referrer::Url(Box::new("https://a.test/from".parse().unwrap()));
    assert_eq!(support::words(site.fetch(FetchEvent::of(request)).await).await, "page");
    assert_eq!(policy("/page"), ReferrerPolicy::Empty);
    assert_eq!(answer(&site, "/nowhere").await, fallback(FallbackReason::NotAnswered));
}
