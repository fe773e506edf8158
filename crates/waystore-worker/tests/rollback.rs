//! What whoever runs a site does about its worker: back to the version before, off and on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use std::time::Duration;

use support::{Waits, World, active, answer, fallback, get, tell, words};
use waystore_worker::{FallbackReason, FetchEvent, Off, Site, SiteError, Updated, WorkerState};

fn version(number: u32) -> String {
    format!(
        "oninstall = () => console.log('install {number}');
         onactivate = () => console.log('activate {number}');
         onfetch = e => {{ if (!e.request.url.endsWith('/network')) e.respondWith(new Response('v{number}')) }}"
    )
}

/// A world in which version 2 took the place of version 1.
async fn updated() -> (World, Site) {
    let world = World::with(&version(1));
    let site = world.ready().await;
    install(&world, &site, &version(2)).await;
    assert_eq!(answer(&site, "/x").await, "v2");
    world.lines().await;
    (world, site)
}

async fn install(world: &World, site: &Site, script: &str) {
    world.net.script("/sw.js", script);
    let Updated::Installed { version } = site.update(false).await.unwrap() else { panic!("it changed") };
    site.activated(&version).await;
}

#[tokio::test]
async fn a_rollback_makes_the_version_before_active_again_without_its_events() {
    let (world, site) = updated().await;
    let kept = site.status().previous.unwrap();
    assert_eq!((kept.state, kept.event_types.len()), (WorkerState::Redundant, 3));
    assert_eq!(site.rollback().await.unwrap(), kept.version);
    assert_eq!(answer(&site, "/x").await, "v1");
    assert_eq!(answer(&site, "/network").await, fallback(FallbackReason::NotAnswered));
    assert_eq!(site.status().active.unwrap().state, WorkerState::Activated);
    assert!(world.lines().await.is_empty());
}

#[tokio::test]
async fn a_rollback_outlives_the_process_and_its_version_is_not_installed_again() {
    let (world, site) = updated().await;
    site.rollback().await.unwrap();
    drop(site);
    let site = world.ready().await;
    assert_eq!(site.update(false).await.unwrap(), Updated::Unchanged);
    assert_eq!(answer(&site, "/x").await, "v1");
    assert!(world.lines().await.is_empty());
    assert!(site.status().barred.is_some());
    // Another script at the origin is another matter.
    install(&world, &site, &version(3)).await;
    assert_eq!(answer(&site, "/x").await, "v3");
    assert_eq!(site.status().barred, None);
}

#[tokio::test]
async fn a_forced_update_installs_what_was_rolled_back_from() {
    let (_world, site) = updated().await;
    site.rollback().await.unwrap();
    let Updated::Installed { version } = site.update(true).await.unwrap() else { panic!("it is wanted") };
    site.activated(&version).await;
    assert_eq!(answer(&site, "/x").await, "v2");
}

#[tokio::test]
async fn a_second_rollback_leads_back_and_bars_nothing() {
    let (world, site) = updated().await;
    let second = active(&site);
    site.rollback().await.unwrap();
    assert_eq!(site.rollback().await.unwrap(), second);
    assert_eq!(answer(&site, "/x").await, "v2");
    install(&world, &site, &version(1)).await;
    assert_eq!(answer(&site, "/x").await, "v1");
}

#[tokio::test]
async fn a_version_that_differs_in_an_import_only_is_barred_too() {
    let world = World::with("importScripts('/lib.js'); onfetch = e => e.respondWith(new Response(lib))");
    world.net.script("/lib.js", "var lib = 'one'");
    let site = world.ready().await;
    world.net.script("/lib.js", "var lib = 'two'");
    let Updated::Installed { version } = site.update(false).await.unwrap() else { panic!("an import changed") };
    site.activated(&version).await;
    site.rollback().await.unwrap();
    assert_eq!(answer(&site, "/x").await, "one");
    assert_eq!(site.update(false).await.unwrap(), Updated::Unchanged);
    world.net.script("/lib.js", "var lib = 'three'");
    let Updated::Installed { version } = site.update(false).await.unwrap() else { panic!("it changed again") };
    site.activated(&version).await;
    assert_eq!(answer(&site, "/x").await, "three");
}

#[tokio::test]
async fn without_a_version_before_there_is_no_rollback() {
    let world = World::with(&version(1));
    let site = world.ready().await;
    assert!(matches!(site.rollback().await, Err(SiteError::NoPrevious { .. })));
    assert_eq!(answer(&site, "/x").await, "v1");
}

#[tokio::test]
async fn the_previous_version_is_kept_until_the_next_one_activates() {
    let world = World::with(&version(1));
    let site = world.ready().await;
    let first = active(&site);
    let stays = "let done; onmessage = e => { done ? done() : e.waitUntil(new Promise(r => done = r)) }";
    install(&world, &site, stays).await;
    let second = active(&site);
    tell(&site, serde_json::json!("stay")).await;
    world.net.script("/sw.js", &version(3));
    let Updated::Installed { version } = site.update(false).await.unwrap() else { panic!("it changed") };
    assert_eq!(site.status().previous.unwrap().version, first, "the third only waits");
    tell(&site, serde_json::json!("go")).await;
    site.activated(&version).await;
    assert_eq!(site.status().previous.unwrap().version, second);
}

#[tokio::test]
async fn a_rollback_ends_an_install_and_what_waits_and_lets_events_end_where_they_began() {
    let (world, site) = updated().await;
    install(&world, &site, "onfetch = e => e.respondWith(fetch('/slow').then(() => new Response('v3')))").await;
    world.net.text("/slow", "");
    let gate = world.net.gate("/slow");
    let under_way = tokio::spawn({
        let site = site.clone();
        async move { answer(&site, "/x").await }
    });
    while world.net.asked("/slow") == 0 {
        world.net.reached.notified().await;
    }
    world.net.script("/sw.js", "oninstall = e => { console.log('begun'); e.waitUntil(new Promise(() => {})) }");
    let updating = tokio::spawn({
        let site = site.clone();
        async move { site.update(false).await }
    });
    assert_eq!(world.line().await, "begun");
    site.rollback().await.unwrap();
    assert!(matches!(updating.await.unwrap(), Err(SiteError::Install { .. })));
    assert_eq!(answer(&site, "/x").await, "v2");
    gate.notify_one();
    assert_eq!(under_way.await.unwrap(), "v3");
    let status = site.status();
    assert!(status.waiting.is_none() && status.installing.is_none());
}

#[tokio::test]
async fn a_version_that_waited_at_the_end_of_the_process_leaves_the_one_before_to_go_back_to() {
    let world = World::with(
        "onmessage = e => e.waitUntil(new Promise(() => {})); onfetch = e => e.respondWith(new Response('v1'))",
    );
    let site = world.ready().await;
    tell(&site, serde_json::json!("stay")).await;
    world.net.script("/sw.js", &version(2));
    site.update(false).await.unwrap();
    drop(site);
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "v2");
    site.rollback().await.unwrap();
    assert_eq!(answer(&site, "/x").await, "v1");
}

#[tokio::test]
async fn a_worker_that_is_off_is_asked_nothing_until_it_is_on_again() {
    let (world, site) = updated().await;
    site.switch_off().await.unwrap();
    let outcome = site.fetch(FetchEvent::of(get("/x"))).await;
    assert_eq!(words(outcome).await, fallback(FallbackReason::Off));
    let told = site.message(waystore_worker::MessageEvent::json(&serde_json::json!(null))).await;
    assert!(matches!(told, Err(SiteError::Off { .. })));
    assert_eq!(site.status().off, Some(Off::Switched));
    drop(site);
    // It is off after a restart too, and looks for no update.
    let asked = world.net.asked("/sw.js");
    let site = world.open().await;
    site.soft_update();
    assert_eq!(answer(&site, "/x").await, fallback(FallbackReason::Off));
    assert_eq!(world.net.asked("/sw.js"), asked);
    site.switch_on().await.unwrap();
    site.ready().await.unwrap();
    assert_eq!(answer(&site, "/x").await, "v2");
    site.update(false).await.unwrap();
    assert_eq!(site.status().off, None);
}

#[tokio::test]
async fn an_update_of_a_worker_that_is_off_leaves_it_off() {
    let (world, site) = updated().await;
    site.switch_off().await.unwrap();
    install(&world, &site, &version(3)).await;
    assert_eq!(answer(&site, "/x").await, fallback(FallbackReason::Off));
    site.switch_on().await.unwrap();
    assert_eq!(answer(&site, "/x").await, "v3");
}

#[tokio::test]
async fn what_waited_when_a_worker_was_off_at_the_start_activates_once_it_is_on() {
    let world = World::with("onmessage = e => e.waitUntil(new Promise(() => {}))");
    let site = world.ready().await;
    tell(&site, serde_json::json!("stay")).await;
    world.net.script("/sw.js", &version(2));
    site.update(false).await.unwrap();
    site.switch_off().await.unwrap();
    drop(site);
    let site = world.open().await;
    assert_eq!(world.lines().await, ["install 2"]);
    site.switch_on().await.unwrap();
    assert_eq!(answer(&site, "/x").await, "v2");
    assert_eq!(world.line().await, "activate 2");
}

#[tokio::test]
async fn a_worker_that_is_off_before_its_first_version_stays_without_one() {
    let world = World::with("oninstall = e => e.waitUntil(new Promise(() => {}))");
    let site = world.open().await;
    let waiting = tokio::spawn({
        let site = site.clone();
        async move { answer(&site, "/x").await }
    });
    while site.status().installing.is_none() {
        tokio::task::yield_now().await;
    }
    site.switch_off().await.unwrap();
    assert_eq!(waiting.await.unwrap(), fallback(FallbackReason::Off));
    drop(site);
    world.net.script("/sw.js", &version(1));
    let site = world.open().await;
    assert_eq!(answer(&site, "/x").await, fallback(FallbackReason::Off));
    site.switch_on().await.unwrap();
    site.ready().await.unwrap();
    assert_eq!(answer(&site, "/x").await, "v1");
}

#[tokio::test]
async fn a_registration_that_its_script_removed_is_not_made_again_by_a_soft_update() {
    let world = World::with(&format!(
        "onmessage = e => e.waitUntil(registration.unregister().then(() => console.log('gone'))); {}",
        version(1)
    ));
    let site = world.ready().await;
    world.lines().await;
    tell(&site, serde_json::json!(null)).await;
    assert_eq!(world.line().await, "gone");
    let asked = world.net.asked("/sw.js");
    site.soft_update();
    assert_eq!(answer(&site, "/x").await, fallback(FallbackReason::NoWorker));
    assert_eq!(world.net.asked("/sw.js"), asked);
    assert!(matches!(site.rollback().await, Err(SiteError::NoPrevious { .. })));
    // Whoever runs the site may register it again.
    site.update(true).await.unwrap();
    site.ready_again().await;
    site.close(Duration::from_secs(5)).await;
}
