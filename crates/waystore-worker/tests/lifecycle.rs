//! Install, activate, update and restart, seen from a site's host.

mod support;

use std::time::Duration;

use support::{World, active, answer, fallback, tell};
use waystore_worker::{FallbackReason, ScriptError, Site, SiteError, UpdateViaCache, Updated, WorkerState};

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
    site.close(Duration::from_secs(5)).await;
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
async fn w13_one_changed_byte_is_a_new_version_and_a_header_is_none() {
    let world = World::with(ANSWERS);
    let site = world.ready().await;
    let first = active(&site);
    world.net.header("/sw.js", "etag", "\"2\"");
    assert_eq!(site.update(false).await.unwrap(), Updated::Unchanged);
    world.net.script("/sw.js", &format!("{ANSWERS} "));
    let Updated::Installed { version } = site.update(false).await.unwrap() else { panic!("a byte changed") };
    assert_ne!(version, first);
    site.activated(&version).await;
    assert_eq!(answer(&site, "/x").await, "v1");
}

#[tokio::test]
async fn w14_w15_a_changed_import_is_a_new_version_and_a_missing_one_is_none() {
    let world = World::with("importScripts('/lib.js'); onfetch = e => e.respondWith(new Response(lib))");
    world.net.script("/lib.js", "var lib = 'one'");
    let site = world.ready().await;
    world.net.page("/lib.js", 404, "text/javascript", "");
    assert_eq!(site.update(false).await.unwrap(), Updated::Unchanged);
    world.net.script("/lib.js", "var lib = 'two'");
    let Updated::Installed { version } = site.update(false).await.unwrap() else { panic!("an import changed") };
    site.activated(&version).await;
    assert_eq!(answer(&site, "/x").await, "two");
}

#[tokio::test]
async fn w17_a_version_that_throws_at_its_top_level_leaves_the_old_one() {
    let world = World::with(ANSWERS);
    let site = world.ready().await;
    world.net.script("/sw.js", "onfetch = null;\nthrow new Error('at the top')");
    let error = site.update(false).await.unwrap_err().to_string();
    assert!(error.contains("at the top") && error.contains("/sw.js:2"), "{error}");
    assert_eq!(answer(&site, "/x").await, "v1");
}

#[tokio::test]
async fn a_script_that_does_not_parse_says_where() {
    let world = World::with("let x = ;");
    let site = world.open().await;
    let error = site.ready().await.unwrap_err().to_string();
    assert!(error.contains("SyntaxError") && error.contains("sw.js:1"), "{error}");
}

#[tokio::test]
async fn w9_a_script_that_is_no_javascript_or_redirected_or_missing_is_refused() {
    for (name, change) in [
        ("mime", (|world: &World| world.net.text("/sw.js", ANSWERS)) as fn(&World)),
        ("404", |world| world.net.page("/sw.js", 404, "text/javascript", ANSWERS)),
        ("redirect", |world| world.net.redirected("/sw.js")),
        ("gone", |world| world.net.remove("/sw.js")),
    ] {
        let world = World::with(ANSWERS);
        change(&world);
        let error = world.open().await.ready().await.unwrap_err();
        assert!(matches!(error, SiteError::Script(_)), "{name}: {error}");
    }
}

#[tokio::test]
async fn the_script_is_fetched_as_the_standard_has_it() {
    let world = World::with(ANSWERS);
    world.ready().await;
    let head = world.net.heads().remove(0);
    assert_eq!(head.headers.get_text("service-worker").as_deref(), Some("script"));
    assert_eq!(head.destination, waystore::Destination::ServiceWorker);
    assert_eq!(head.redirect, waystore::RequestRedirect::Error);
    assert_eq!(head.cache, waystore::RequestCache::NoCache);
}

#[tokio::test]
async fn w6_a_scope_above_the_script_needs_its_consent() {
    let mut world = World::with(ANSWERS);
    world.net.script("/app/sw.js", ANSWERS);
    world.scope = Some("/");
    let options = |world: &World| {
        let script = url::Url::parse("https://a.test/app/sw.js").unwrap();
        waystore_worker::SiteOptions { script, ..world.options() }
    };
    let site = Site::open(options(&world), &world.store, world.host()).await.unwrap();
    assert!(matches!(site.ready().await, Err(SiteError::Script(ScriptError::Security { .. }))));
    world.net.header("/app/sw.js", "service-worker-allowed", "/");
    site.update(false).await.unwrap();
    site.ready_again().await;
}

#[tokio::test]
async fn w10_checks_that_are_asked_for_at_once_are_one() {
    let world = World::with(ANSWERS);
    let site = world.ready().await;
    let before = world.net.asked("/sw.js");
    let gate = world.net.gate("/sw.js");
    let updates = futures::future::join_all((0..5).map(|_| site.update(false)));
    let open = async {
        world.net.reached.notified().await;
        gate.notify_one();
    };
    let (updates, ()) = tokio::join!(updates, open);
    assert!(updates.into_iter().all(|updated| updated.unwrap() == Updated::Unchanged));
    assert_eq!(world.net.asked("/sw.js"), before + 1);
}

#[tokio::test]
async fn w2_w74_an_install_that_a_kill_cut_off_leaves_the_old_version() {
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

#[tokio::test]
async fn a_worker_checks_for_its_own_update() {
    let world =
        World::with("onmessage = e => e.waitUntil(registration.update().then(r => console.log(r === registration)))");
    let site = world.ready().await;
    let before = world.net.asked("/sw.js");
    tell(&site, serde_json::json!(null)).await;
    assert_eq!(world.line().await, "true");
    assert_eq!(world.net.asked("/sw.js"), before + 1);
}

#[tokio::test]
async fn a_new_version_comes_to_its_turn_though_requests_never_cease() {
    let script = |version: u32| {
        format!(
            "onfetch = e => e.respondWith(
               new Promise(r => setTimeout(r, 40)).then(() => new Response('v{version}')))"
        )
    };
    let world = World::with(&script(1));
    let site = world.ready().await;
    let visitor = || async {
        let mut seen = String::new();
        while seen != "v2" {
            seen = answer(&site, "/x").await;
            assert!(seen.starts_with('v'), "{seen}");
        }
    };
    let update = async {
        assert_eq!(answer(&site, "/x").await, "v1");
        world.net.script("/sw.js", &script(2));
        site.update(false).await.unwrap();
        assert!(site.status().waiting.is_some());
    };
    tokio::join!(update, visitor(), visitor(), visitor(), visitor(), visitor());
}

#[tokio::test]
async fn listeners_hear_of_new_versions_and_states_and_may_act_on_them() {
    let world = World::with(
        "onmessage = e => e.waitUntil(new Promise(done => {
           registration.onupdatefound = () => {
             const found = registration.installing;
             found.onstatechange = () => {
               skipWaiting();
               console.log(found.state, registration.waiting === found);
               if (found.state === 'installed') done();
             };
           };
           console.log('listening');
         }))",
    );
    let site = world.ready().await;
    tell(&site, serde_json::json!(null)).await;
    assert_eq!(world.line().await, "listening");
    world.net.script("/sw.js", ANSWERS);
    let Updated::Installed { version } = site.update(false).await.unwrap() else { panic!("it changed") };
    assert_eq!(world.line().await, "installed true");
    site.activated(&version).await;
}

#[tokio::test]
async fn w12_a_changed_update_via_cache_is_kept_without_a_new_version() {
    let world = World::with(ANSWERS);
    let site = world.ready().await;
    let version = active(&site);
    site.close(Duration::from_secs(5)).await;
    let options = waystore_worker::SiteOptions { update_via_cache: UpdateViaCache::None, ..world.options() };
    let site = Site::open(options, &world.store, world.host()).await.unwrap();
    assert_eq!(site.update(false).await.unwrap(), Updated::Unchanged);
    assert_eq!(active(&site), version);
    let kept = world.store.registrations(support::ORIGIN).unwrap().open("https://a.test/").await.unwrap();
    let state = kept.match_(&support::get("/").header("waystore-worker", "state"), Default::default()).await.unwrap();
    let state = state.unwrap().body.unwrap().collect(1 << 20).await.unwrap();
    let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
    assert_eq!(state["update_via_cache"], "none");
}

/// Waits until the isolate stopped.
async fn idle(site: &Site) {
    while site.status().active.is_some_and(|worker| worker.running) {
        tokio::task::yield_now().await;
    }
}

/// What tests wait for.
trait Waits {
    async fn activated(&self, version: &str);
    async fn ready_again(&self);
}

impl Waits for Site {
    async fn activated(&self, version: &str) {
        let done = |site: &Site| {
            site.status()
                .active
                .is_some_and(|worker| worker.version == version && worker.state == WorkerState::Activated)
        };
        while !done(self) {
            tokio::task::yield_now().await;
        }
    }

    async fn ready_again(&self) {
        while self.ready().await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}
