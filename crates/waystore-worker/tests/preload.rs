//! Navigation preload: a fetch that is under way before the script is asked.

mod support;

use std::time::Duration;

use support::{Net, World, answer, get, noticed, words};
use waystore::{AbortSignal, Request, RequestMode, RequestRedirect};
use waystore_worker::{FetchEvent, FetchOutcome, Site};

const ENABLES: &str = "onactivate = e => e.waitUntil(registration.navigationPreload.enable());";
const HEADER: &str = "service-worker-navigation-preload";

fn navigation(path: &str) -> Request {
    let mut request = get(path);
    request.mode = RequestMode::Navigate;
    request.redirect = RequestRedirect::Manual;
    request
}

async fn navigate(site: &Site, path: &str) -> String {
    words(site.fetch(FetchEvent::of(navigation(path))).await).await
}

/// The values of the preload's header, one for each preload so far.
fn preloads(net: &Net) -> Vec<String> {
    net.heads().iter().filter_map(|head| head.headers.get_text(HEADER)).collect()
}

async fn ready(script: &str) -> (World, Site) {
    let world = World::with(script);
    world.net.text("/x", "page");
    let site = world.ready().await;
    (world, site)
}

#[tokio::test]
async fn w47_a_navigation_is_answered_by_its_preload() {
    let script = format!(
        "{ENABLES} onfetch = e => e.respondWith((async () => {{
           const r = await e.preloadResponse;
           return r ?? new Response('none');
         }})())"
    );
    let (world, site) = ready(&script).await;
    assert_eq!(navigate(&site, "/x").await, "page");
    assert_eq!(preloads(&world.net), ["true"]);
    assert_eq!(world.net.asked("/x"), 1);
    assert_eq!(answer(&site, "/x").await, "none");
}

#[tokio::test]
async fn w49_what_is_no_get_is_not_preloaded() {
    let script =
        format!("{ENABLES} onfetch = e => e.respondWith(e.preloadResponse.then(r => new Response(String(r))))");
    let (world, site) = ready(&script).await;
    let mut request = navigation("/x");
    request.method = http::Method::POST;
    assert_eq!(words(site.fetch(FetchEvent::of(request)).await).await, "undefined");
    assert_eq!(world.net.asked("/x"), 0);
}

#[tokio::test]
async fn the_header_says_what_the_script_wants_and_outlives_a_restart() {
    let script = "onactivate = e => e.waitUntil((async () => {
           await registration.navigationPreload.enable();
           await registration.navigationPreload.setHeaderValue('v\\u00e92');
         })());
         onfetch = e => e.respondWith(e.preloadResponse)";
    let (world, site) = ready(script).await;
    site.close(Duration::from_secs(5)).await;
    let site = world.ready().await;
    assert_eq!(navigate(&site, "/x").await, "page");
    assert_eq!(preloads(&world.net), ["v\u{e9}2"]);
}

#[tokio::test]
async fn a_preload_that_failed_rejects() {
    let script =
        format!("{ENABLES} onfetch = e => e.respondWith(e.preloadResponse.catch(error => new Response(error.name)))");
    let (_world, site) = ready(&script).await;
    assert_eq!(navigate(&site, "/down").await, "TypeError");
}

#[tokio::test]
async fn a_preload_that_nobody_asks_for_is_cancelled_and_no_rejection_is_told() {
    let script = format!("{ENABLES} onfetch = e => {{ console.log('event'); e.waitUntil(fetch('/gate')) }}");
    let (world, site) = ready(&script).await;
    let given_up = world.net.hold("/x");
    world.net.text("/gate", "");
    let gate = world.net.gate("/gate");
    assert!(navigate(&site, "/x").await.starts_with("fallback"));
    while world.net.asked("/x") == 0 {
        world.net.reached.notified().await;
    }
    // The event is over when this fetch is, and the preload with it.
    gate.notify_one();
    noticed(&given_up).await;
    gate.notify_one();
    assert!(navigate(&site, "/down").await.starts_with("fallback"));
    site.close(Duration::from_secs(5)).await;
    assert_eq!(world.lines().await, ["event", "event"]);
}

#[tokio::test]
async fn a_preload_that_did_not_come_in_time_rejects_when_its_event_is_over() {
    let script = format!(
        "{ENABLES} onfetch = e => {{
           e.respondWith(new Response('made'));
           e.waitUntil(fetch('/gate'));
           e.preloadResponse.catch(error => console.log(error.name));
         }}"
    );
    let (world, site) = ready(&script).await;
    let given_up = world.net.hold("/x");
    world.net.text("/gate", "");
    let gate = world.net.gate("/gate");
    assert_eq!(navigate(&site, "/x").await, "made");
    while world.net.asked("/x") == 0 {
        world.net.reached.notified().await;
    }
    gate.notify_one();
    noticed(&given_up).await;
    assert_eq!(world.line().await, "AbortError");
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_preload() {
    let script = format!("{ENABLES} onfetch = e => e.respondWith(e.preloadResponse)");
    let (world, site) = ready(&script).await;
    world.net.gate("/x");
    let signal = AbortSignal::new();
    let request = Request { signal: Some(signal.clone()), ..navigation("/x") };
    let asking = tokio::spawn(async move { site.fetch(FetchEvent::of(request)).await });
    while world.net.asked("/x") == 0 {
        world.net.reached.notified().await;
    }
    signal.abort();
    let outcome = asking.await.unwrap();
    assert!(
        matches!(&outcome, FetchOutcome::NetworkError { reason, .. } if reason.contains("AbortError")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_navigation_that_races_the_network_is_not_preloaded() {
    let script = format!(
        "oninstall = e => e.addRoutes({{ condition: {{ urlPattern: '/*' }}, source: 'race-network-and-fetch-handler' }});
         {ENABLES} onfetch = e => e.respondWith(e.preloadResponse.then(r => new Response(String(r))))"
    );
    let (world, site) = ready(&script).await;
    world.net.gate("/x");
    assert_eq!(navigate(&site, "/x").await, "undefined");
    assert!(preloads(&world.net).is_empty());
}
