//! The update check, and how a new version takes over.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::time::Duration;

use support::{Waits, World, active, answer, tell};
use waystore_worker::{ScriptError, Site, SiteError, UpdateViaCache, Updated};

const ANSWERS: &str = "onfetch = e => e.respondWith(new Response('v1'))";

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
async fn an_update_that_a_script_asks_for_resolves_when_the_install_begins() {
    let world =
        World::with("onmessage = e => e.waitUntil(registration.update().then(r => console.log(r.installing.state)))");
    let site = world.ready().await;
    // It never ends.
    world.net.script("/sw.js", "oninstall = e => e.waitUntil(new Promise(() => {}))");
    tell(&site, serde_json::json!(null)).await;
    assert_eq!(world.line().await, "installing");
    world.net.script("/sw.js", ANSWERS);
    // The next one comes after this one's install, which is under way; so it is another job.
    let (before, next) = (world.net.asked("/sw.js"), site.update(false));
    tokio::pin!(next);
    assert!(futures::poll!(&mut next).is_pending());
    assert_eq!(world.net.asked("/sw.js"), before);
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
