//! Install, activate and restart, seen from a site's host.

mod support;

use std::time::Duration;

use support::{Waits, World, answer, fallback, tell};
use waystore_worker::{FallbackReason, Site, SiteError, Updated, WorkerState};

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
async fn w11_a_registration_that_is_opened_again_installs_nothing_and_answers_with_the_network_down() {
    let script = format!("oninstall = () => console.log('install'); {ANSWERS}");
    let world = World::with(&script);
    let site = world.ready().await;
    site.close(Duration::from_secs(5)).await;
    assert_eq!(world.lines().await, ["install"]);
    world.net.remove("/sw.js");
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "v1");
    assert!(world.lines().await.is_empty());
}

#[tokio::test]
async fn w40_w42_a_scope_is_a_prefix_of_the_url_to_the_character() {
    let mut world = World::with(ANSWERS);
    let covers = async |world: &World, path: &str| world.ready().await.covers(&support::get(path).url);
    world.scope = Some("/app/x");
    assert!(covers(&world, "/app/xyz").await);
    assert!(!covers(&world, "/app/y").await);
    world.scope = Some("/app/?a=1");
    assert!(covers(&world, "/app/?a=1&b=2").await);
    assert!(!covers(&world, "/app/?b=2&a=1").await);
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

#[tokio::test]
async fn a_worker_without_a_fetch_listener_is_not_asked() {
    let world = World::with("oninstall = () => {}");
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, fallback(FallbackReason::NoListener));
}

#[tokio::test]
async fn w4_globals_do_not_survive_the_end_of_an_isolate() {
    let mut world = World::with("let n = 0; onfetch = e => e.respondWith(new Response(String(n++)))");
    world.limits.idle = Duration::from_millis(10);
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "0");
    idle(&site).await;
    assert_eq!(answer(&site, "/x").await, "0");
}

#[tokio::test]
async fn w32_a_timer_that_no_event_waits_for_goes_with_the_isolate() {
    let mut world = World::with(
        "onfetch = e => {
           if (e.request.url.endsWith('/late')) setTimeout(() => console.log('late'), 3_600_000);
           e.respondWith(new Response('fine'));
         }",
    );
    world.limits.idle = Duration::from_millis(10);
    let site = world.ready().await;
    assert_eq!(answer(&site, "/late").await, "fine");
    idle(&site).await;
    assert_eq!(answer(&site, "/x").await, "fine");
    assert!(world.lines().await.is_empty());
}

#[tokio::test]
async fn w41_a_request_is_the_workers_by_its_own_url_whatever_page_it_is_for() {
    let mut world = World::with(ANSWERS);
    world.scope = Some("/app/");
    let site = world.ready().await;
    assert!(site.covers(&support::get("/app/page").url));
    assert!(!site.covers(&support::get("https://cdn.test/lib.js").url));
}

#[tokio::test]
async fn a_script_that_does_not_parse_says_where() {
    let world = World::with("let x = ;");
    let site = world.open().await;
    let error = site.ready().await.unwrap_err().to_string();
    assert!(error.contains("SyntaxError") && error.contains("sw.js:1"), "{error}");
}

#[tokio::test]
async fn w2_w74_an_install_that_a_kill_cut_off_leaves_the_old_version_and_is_tried_again() {
    let world = World::with(ANSWERS);
    let site = world.ready().await;
    world.net.script("/sw.js", "oninstall = e => { console.log('begun'); e.waitUntil(new Promise(() => {})) }");
    site.soft_update();
    assert_eq!(world.line().await, "begun");
    drop(site);
    world.net.remove("/sw.js");
    let site = world.ready().await;
    assert!(site.status().installing.is_none());
    assert_eq!(answer(&site, "/x").await, "v1");
    world.net.script("/sw.js", "onfetch = e => e.respondWith(new Response('v2'))");
    let Updated::Installed { version } = site.update(false).await.unwrap() else { panic!("it is tried again") };
    site.activated(&version).await;
    assert_eq!(answer(&site, "/x").await, "v2");
}

#[tokio::test]
async fn w1_a_first_install_that_a_kill_cut_off_leaves_nothing() {
    let world = World::with("oninstall = e => { console.log('begun'); e.waitUntil(new Promise(() => {})) }");
    let site = world.open().await;
    assert_eq!(world.line().await, "begun");
    drop(site);
    assert!(world.store.registrations(support::ORIGIN).unwrap().keys().await.unwrap().is_empty());
}

#[tokio::test]
async fn w3_a_version_that_waited_is_activated_after_a_restart() {
    let world = World::with("onmessage = e => { e.waitUntil(new Promise(() => {})) }");
    let site = world.ready().await;
    // Keeps the first version from being replaced.
    tell(&site, serde_json::json!("stay")).await;
    world.net.script("/sw.js", &format!("onactivate = () => console.log('activate'); {ANSWERS}"));
    site.update(false).await.unwrap();
    assert_eq!(site.status().waiting.unwrap().state, WorkerState::Installed);
    drop(site);
    let site = world.ready().await;
    assert_eq!(world.line().await, "activate");
    assert_eq!(answer(&site, "/x").await, "v1");
}

#[tokio::test]
async fn w24_skip_waiting_waits_for_what_the_old_version_was_given() {
    let world = World::with(
        "let done; onmessage = e => e.data === 'begin' ? e.waitUntil(new Promise(r => done = r)) : done();
         onfetch = e => e.respondWith(new Response('v1'))",
    );
    let site = world.ready().await;
    tell(&site, serde_json::json!("begin")).await;
    world.net.script("/sw.js", "oninstall = () => skipWaiting(); onfetch = e => e.respondWith(new Response('v2'))");
    let Updated::Installed { version } = site.update(false).await.unwrap() else { panic!("it changed") };
    assert_eq!(answer(&site, "/x").await, "v1");
    assert!(site.status().waiting.unwrap().skips_waiting);
    tell(&site, serde_json::json!("end")).await;
    site.activated(&version).await;
    assert_eq!(answer(&site, "/x").await, "v2");
}

#[tokio::test]
async fn w25_fetch_events_wait_for_the_end_of_activation() {
    let world = World::with(
        "let active = false;
         onactivate = e => e.waitUntil(fetch('/slow').then(() => { active = true }));
         onfetch = e => e.respondWith(new Response(String(active)))",
    );
    world.net.text("/slow", "");
    let gate = world.net.gate("/slow");
    let site = world.open().await;
    while world.net.asked("/slow") == 0 {
        world.net.reached.notified().await;
    }
    assert_eq!(site.status().active.unwrap().state, WorkerState::Activating);
    let asking = answer(&site, "/x");
    tokio::pin!(asking);
    assert!(futures::poll!(&mut asking).is_pending());
    gate.notify_one();
    assert_eq!(asking.await, "true");
}

#[tokio::test]
async fn w26_nothing_fails_an_activation() {
    let script = format!("onactivate = e => {{ e.waitUntil(Promise.reject(1)); throw new Error('x') }}; {ANSWERS}");
    let world = World::with(&script);
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "v1");
}

#[tokio::test]
async fn w27_skip_waiting_at_the_top_level_resolves() {
    let world = World::with(&format!("skipWaiting().then(() => console.log('skipped')); {ANSWERS}"));
    world.ready().await;
    assert_eq!(world.line().await, "skipped");
}

#[tokio::test]
async fn w28_claim_works_for_the_active_worker_only() {
    let world = World::with(
        "oninstall = e => e.waitUntil(clients.claim().catch(error => console.log(error.name)));
         onactivate = e => e.waitUntil(clients.claim().then(() => console.log('claimed')))",
    );
    world.ready().await;
    assert_eq!(world.line().await, "InvalidStateError");
    assert_eq!(world.line().await, "claimed");
}

#[tokio::test]
async fn w21_an_install_waits_for_every_promise_before_it_fails() {
    let world = World::with(
        "oninstall = e => {
           e.waitUntil(fetch('/slow').then(() => console.log('settled')));
           e.waitUntil(Promise.reject(new Error('two')));
         }",
    );
    world.net.text("/slow", "");
    let gate = world.net.gate("/slow");
    let site = world.open().await;
    while world.net.asked("/slow") == 0 {
        world.net.reached.notified().await;
    }
    assert!(site.status().installing.is_some());
    gate.notify_one();
    assert!(matches!(site.ready().await, Err(SiteError::Install { reason, .. }) if reason.contains("two")));
    assert_eq!(world.line().await, "settled");
}

#[tokio::test]
async fn w30_listeners_added_in_microtasks_of_the_top_level_count() {
    let world = World::with(
        "Promise.resolve().then(() => addEventListener('fetch', e => e.respondWith(new Response('late'))))",
    );
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "late");
}

#[tokio::test]
async fn w29_listeners_added_in_timers_do_not_count() {
    let world =
        World::with("oninstall = e => e.waitUntil(new Promise(r => setTimeout(() => { onfetch = () => {}; r() }, 0)))");
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, fallback(FallbackReason::NoListener));
}

#[tokio::test]
async fn w69_the_registration_shows_the_worker_in_its_slots() {
    let world = World::with(
        "const states = [self.serviceWorker.state];
         oninstall = () => {
           states.push(registration.installing === self.serviceWorker, registration.active, self.serviceWorker.state);
         };
         onactivate = () => states.push(registration.active === self.serviceWorker, self.serviceWorker.state);
         onfetch = e => e.respondWith(new Response(JSON.stringify(
           [...states, self.serviceWorker.state, registration.scope, self.serviceWorker.scriptURL])))",
    );
    let site = world.ready().await;
    let expected = serde_json::json!([
        "parsed",
        true,
        null,
        "installing",
        true,
        "activating",
        "activated",
        "https://a.test/",
        "https://a.test/sw.js"
    ]);
    assert_eq!(answer(&site, "/x").await, expected.to_string());
}

#[tokio::test]
async fn w47_w48_navigation_preload_needs_an_active_worker() {
    let world = World::with(
        "oninstall = e => e.waitUntil(registration.navigationPreload.enable().catch(e => console.log(e.name)));
         onactivate = e => e.waitUntil(registration.navigationPreload.enable()
           .then(() => registration.navigationPreload.getState())
           .then(state => console.log(state.enabled, state.headerValue)))",
    );
    world.ready().await;
    assert_eq!(world.line().await, "InvalidStateError");
    assert_eq!(world.line().await, "true true");
}

#[tokio::test]
async fn an_unregistered_worker_ends_what_it_has_and_answers_no_more() {
    let world = World::with(
        "onmessage = e => e.waitUntil(registration.unregister().then(known => console.log(known)));
         onfetch = e => e.respondWith(new Response('v1'))",
    );
    let site = world.ready().await;
    tell(&site, serde_json::json!(null)).await;
    assert_eq!(world.line().await, "true");
    assert_eq!(answer(&site, "/x").await, fallback(FallbackReason::NoWorker));
    assert!(world.store.registrations(support::ORIGIN).unwrap().keys().await.unwrap().is_empty());
}

/// Waits until the isolate stopped.
async fn idle(site: &Site) {
    while site.status().active.is_some_and(|worker| worker.running) {
        tokio::task::yield_now().await;
    }
}
