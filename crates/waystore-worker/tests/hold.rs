//! `Activation::Hold`: connected pages keep a new version waiting, as in a browser.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{
    Waits, World, answer, get,
    pages::{connect, posted},
};
use waystore_worker::{Activation, Addressee, FetchEvent, Page, Site, Updated, WorkerState};

const ONE: &str = "onfetch = e => e.respondWith(new Response('one')); onmessage = () => {}";
const TWO: &str =
    "onfetch = e => e.respondWith(new Response('two')); onmessage = e => e.data === 'SKIP_WAITING' && skipWaiting()";

/// A site whose first version is active, and which pages hold.
async fn holding(script: &str) -> (World, Site) {
    let mut world = World::with(script);
    world.activation = Activation::Hold;
    let site = world.ready().await;
    (world, site)
}

/// Installs another script, and returns its version.
async fn installed(world: &World, site: &Site, script: &str) -> String {
    world.net.script("/sw.js", script);
    match site.update(false).await.unwrap() {
        Updated::Installed { version } => version,
        Updated::Unchanged => "unchanged".to_owned(),
    }
}

fn waits(site: &Site) -> bool {
    site.status().waiting.is_some_and(|worker| worker.state == WorkerState::Installed)
}

/// A navigation, as a host reports it: its client is reserved, and then its event sent.
async fn navigate(site: &Site, path: &str, id: &str) {
    site.reserve_client(id);
    site.fetch(FetchEvent { resulting_client_id: id.to_owned(), ..FetchEvent::of(get(path)) }).await;
}

async fn page(site: &Site, id: &str) -> Page {
    navigate(site, "/x", id).await;
    connect(site, id, "/x")
}

#[tokio::test]
async fn w23_a_new_version_waits_while_a_page_is_open_and_takes_over_when_the_last_one_closes() {
    let (world, site) = holding(ONE).await;
    let (first, second) = (page(&site, "a").await, page(&site, "b").await);
    let two = installed(&world, &site, TWO).await;
    assert!(waits(&site));
    drop(first);
    // A page that comes while a version waits is the active one's.
    assert_eq!(answer(&site, "/x").await, "one");
    assert!(waits(&site));
    drop(second);
    site.activated(&two).await;
    assert_eq!(answer(&site, "/x").await, "two");
}

#[tokio::test]
async fn a_page_tells_the_version_that_waits_to_skip_waiting_and_is_its_own_then() {
    let (world, site) = holding(ONE).await;
    let page = page(&site, "a").await;
    let two = installed(&world, &site, TWO).await;
    page.message(&Addressee::Waiting, json!("SKIP_WAITING").into()).await.unwrap();
    site.activated(&two).await;
    assert!(page.is_controlled());
}

#[tokio::test]
async fn pages_that_the_worker_does_not_control_hold_nobody() {
    let mut world = World::with(ONE);
    (world.activation, world.scope) = (Activation::Hold, Some("/app/"));
    let site = world.ready().await;
    let _outside = connect(&site, "a", "/other");
    let two = installed(&world, &site, TWO).await;
    site.activated(&two).await;
}

#[tokio::test]
async fn a_page_that_was_claimed_holds() {
    let mut world =
        World::with("oninstall = e => e.waitUntil(fetch('/gate')); onmessage = e => e.waitUntil(clients.claim())");
    world.activation = Activation::Hold;
    world.net.text("/gate", "");
    let gate = world.net.gate("/gate");
    let site = world.open().await;
    let page = connect(&site, "a", "/x");
    gate.notify_one();
    site.ready().await.unwrap();
    assert!(!page.is_controlled());
    posted(&page, json!(null)).await;
    while !page.is_controlled() {
        tokio::task::yield_now().await;
    }
    installed(&world, &site, TWO).await;
    assert!(waits(&site));
}

#[tokio::test]
async fn a_reload_of_the_only_page_does_not_let_the_next_version_in() {
    let (world, site) = holding(ONE).await;
    let old = page(&site, "a").await;
    let two = installed(&world, &site, TWO).await;
    navigate(&site, "/x", "b").await;
    drop(old);
    assert!(waits(&site));
    let new = connect(&site, "b", "/x");
    assert!(waits(&site) && new.is_controlled());
    drop(new);
    site.activated(&two).await;
}

#[tokio::test]
async fn a_reload_whose_page_never_comes_is_waited_for_and_not_for_ever() {
    let mut world = World::with(ONE);
    world.activation = Activation::Hold;
    world.limits.binding = Duration::from_millis(300);
    let site = world.ready().await;
    let old = page(&site, "a").await;
    let two = installed(&world, &site, TWO).await;
    navigate(&site, "/x", "b").await;
    drop(old);
    assert!(waits(&site));
    site.activated(&two).await;
}

#[tokio::test]
async fn navigations_without_a_page_hold_nobody() {
    let (world, site) = holding(ONE).await;
    for id in ["a", "b", "c"] {
        navigate(&site, "/x", id).await;
    }
    let two = installed(&world, &site, TWO).await;
    site.activated(&two).await;
}

#[tokio::test]
async fn pages_hold_a_version_for_so_long_and_no_longer() {
    let mut world = World::with(ONE);
    world.activation = Activation::Hold;
    world.limits.hold = Duration::from_millis(300);
    let site = world.ready().await;
    let page = page(&site, "a").await;
    let two = installed(&world, &site, TWO).await;
    assert!(waits(&site));
    site.activated(&two).await;
    assert!(page.is_controlled());
}

#[tokio::test]
async fn a_third_version_takes_the_place_of_one_that_is_held() {
    let (world, site) = holding(ONE).await;
    let page = page(&site, "a").await;
    installed(&world, &site, TWO).await;
    let three = installed(&world, &site, "onfetch = e => e.respondWith(new Response('three'))").await;
    assert_eq!(site.status().waiting.unwrap().version, three);
    drop(page);
    site.activated(&three).await;
}

#[tokio::test]
async fn a_rollback_waits_for_no_page() {
    let (world, site) = holding(ONE).await;
    installed(&world, &site, TWO).await;
    let two = support::active(&site);
    site.activated(&two).await;
    let page = page(&site, "a").await;
    let one = site.rollback().await.unwrap();
    assert_eq!((support::active(&site), answer(&site, "/x").await), (one, "one".to_owned()));
    assert!(page.is_controlled());
}
