//! Install, activate, update and restart, seen from a site's host.

mod support;

use support::{World, answer, fallback};
use waystore_worker::{FallbackReason, SiteError, Updated, WorkerState};

const ANSWERS: &str = "onfetch = e => e.respondWith(new Response('v1'))";

#[tokio::test]
async fn a_worker_is_fetched_installed_activated_and_answers() {
    let world = World::with(ANSWERS);
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "v1");
    let active = site.status().active.unwrap();
    assert_eq!(active.state, WorkerState::Activated);
    assert_eq!(active.event_types, ["fetch"]);
}

#[tokio::test]
async fn a_second_start_installs_nothing_and_answers_with_the_network_down() {
    let script = format!("oninstall = () => console.log('install'); {ANSWERS}");
    let world = World::with(&script);
    let site = world.ready().await;
    site.close(std::time::Duration::from_secs(5)).await;
    assert_eq!(world.lines().await, ["install"]);
    world.net.remove("/sw.js");
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "v1");
    assert!(world.lines().await.is_empty());
}

#[tokio::test]
async fn w18_a_rejected_promise_in_install_leaves_no_registration() {
    let world = World::with(&format!("oninstall = e => e.waitUntil(Promise.reject(new Error('no'))); {ANSWERS}"));
    let site = world.open().await;
    let error = site.ready().await.unwrap_err();
    assert!(matches!(&error, SiteError::Install { reason, .. } if reason.contains("Error: no")), "{error}");
    assert_eq!(answer(&site, "/x").await, fallback(FallbackReason::NoWorker));
    assert!(world.store.registrations(support::ORIGIN).unwrap().keys().await.unwrap().is_empty());
}

#[tokio::test]
async fn w19_a_throw_in_install_does_not_fail_it() {
    let world = World::with(&format!("oninstall = () => {{ throw new Error('thrown') }}; {ANSWERS}"));
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "v1");
    assert!(world.line().await.contains("Error: thrown"));
}
