//! Static routes: added by a script, followed without it.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::time::Duration;

use support::{World, answer, fallback, get, tell, words};
use waystore::{CredentialHash, Request, RequestMode, RequestRedirect, Response, Visitor};
use waystore_worker::{FallbackReason, FetchEvent, FetchOutcome, Routed, Site, Updated};

/// A script that adds `rules` and says what comes of it; its events say so too, and answer `script`.
fn script(rules: &str) -> String {
    format!(
        "oninstall = e => e.waitUntil(e.addRoutes({rules}).then(() => console.log('added'), error => console.log(error.name)));
         onfetch = e => {{ console.log('event'); e.respondWith(new Response('script')) }}"
    )
}

async fn with_routes(rules: &str) -> (World, Site) {
    let world = World::with(&script(rules));
    let site = world.ready().await;
    assert_eq!(world.line().await, "added");
    (world, site)
}

fn routed() -> String {
    fallback(FallbackReason::Routed)
}

async fn keep(world: &World, cache: &str, path: &str, body: &'static str) {
    let caches = world.store.caches(support::ORIGIN).unwrap();
    caches.open(cache).await.unwrap().put(get(path), Response::new(body)).await.unwrap();
}

/// Waits until the isolate stopped.
async fn stopped(site: &Site) {
    while site.status().active.is_some_and(|worker| worker.running) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_route_to_the_network_does_not_ask_the_script() {
    let (world, site) = with_routes("{ condition: { urlPattern: '/form/*' }, source: 'network' }").await;
    assert_eq!(answer(&site, "/form/x?y").await, routed());
    assert!(world.lines().await.is_empty());
    assert_eq!(answer(&site, "/other").await, "script");
    assert_eq!(world.lines().await, ["event"]);
}

#[tokio::test]
async fn w61_a_route_to_the_caches_that_misses_leads_to_the_network_and_not_to_the_script() {
    let (world, site) = with_routes("[{ condition: { urlPattern: '/*' }, source: 'cache' }]").await;
    assert_eq!(answer(&site, "/x").await, routed());
    keep(&world, "first", "/y", "y").await;
    keep(&world, "second", "/x", "x").await;
    assert_eq!(answer(&site, "/x").await, "x");
    assert!(world.lines().await.is_empty());
}

#[tokio::test]
async fn a_route_to_one_cache_looks_in_no_other() {
    let (world, site) = with_routes("{ condition: { urlPattern: '/*' }, source: { cacheName: 'mine' } }").await;
    keep(&world, "other", "/x", "other").await;
    assert_eq!(answer(&site, "/x").await, routed());
    keep(&world, "mine", "/x", "mine").await;
    assert_eq!(answer(&site, "/x").await, "mine");
}

/// What comes of a request that is only routed.
async fn routed_answer(site: &Site, path: &str) -> Option<Routed> {
    site.fetch_routed(&FetchEvent::of(get(path))).await
}

#[tokio::test]
async fn what_is_only_routed_is_answered_by_routes_past_the_script_and_not_at_all_where_there_is_none() {
    let rules = "[{ condition: { urlPattern: '/kept' }, source: { cacheName: 'mine' } },
                  { condition: { urlPattern: '/net' }, source: 'network' },
                  { condition: { urlPattern: '/script' }, source: 'fetch-event' },
                  { condition: { urlPattern: '/race' }, source: 'race-network-and-fetch-handler' }]";
    let (world, site) = with_routes(rules).await;
    keep(&world, "mine", "/kept", "kept").await;
    let Some(Routed::Answer { response, version }) = routed_answer(&site, "/kept").await else { panic!("it is kept") };
    assert_eq!(version, support::active(&site));
    assert_eq!(words(FetchOutcome::Response { response, version }).await, "kept");
    assert!(matches!(routed_answer(&site, "/net").await, Some(Routed::Network { .. })));
    let counted = site.status().counters;
    assert_eq!((counted.fetch_events, counted.responses, counted.fallbacks), (2, 1, 1));
    for path in ["/script", "/race", "/no-rule"] {
        assert!(routed_answer(&site, path).await.is_none(), "{path}");
    }
    assert_eq!(site.status().counters, counted);
    site.close(Duration::from_secs(5)).await;
    assert!(routed_answer(&site, "/kept").await.is_none());
    assert!(world.lines().await.is_empty());
}

#[tokio::test]
async fn a_route_does_not_start_the_worker_and_outlives_a_restart() {
    let (world, site) = with_routes("{ condition: { urlPattern: '/*.png' }, source: 'cache' }").await;
    keep(&world, "v1", "/x.png", "image").await;
    site.close(Duration::from_secs(5)).await;
    world.net.remove("/sw.js");
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x.png").await, "image");
    assert!(!site.status().active.unwrap().running);
    assert_eq!(answer(&site, "/x").await, "script");
    assert!(site.status().active.unwrap().running);
}

#[tokio::test]
async fn the_next_version_has_its_own_routes_and_none_of_the_last_one() {
    let (world, site) = with_routes("{ condition: { urlPattern: '/*' }, source: 'network' }").await;
    world.net.script("/sw.js", "onfetch = e => e.respondWith(new Response('v2'))");
    let Updated::Installed { version } = site.update(false).await.unwrap() else { panic!("it changed") };
    while support::active(&site) != version {
        tokio::task::yield_now().await;
    }
    assert_eq!(answer(&site, "/x").await, "v2");
}

#[tokio::test]
async fn requests_that_wait_for_the_first_worker_follow_its_routes() {
    let world = World::with(&script("{ condition: { urlPattern: '/*' }, source: 'network' }"));
    let site = world.open().await;
    assert_eq!(answer(&site, "/x").await, routed());
    assert_eq!(world.lines().await, ["added"]);
}

#[tokio::test]
async fn w62_a_route_may_depend_on_whether_the_worker_runs() {
    let mut world = World::with(&script(
        "[{ condition: { urlPattern: '/a/*', runningStatus: 'running' }, source: 'fetch-event' },
          { condition: { urlPattern: '/a/*' }, source: 'network' }]",
    ));
    world.limits.idle = Duration::from_millis(5);
    let site = world.ready().await;
    stopped(&site).await;
    assert_eq!(answer(&site, "/a/x").await, routed());
    assert_eq!(answer(&site, "/other").await, "script");
    // It may have stopped again by now, so it is kept running by asking until it is seen to.
    let mut seen = String::new();
    while seen != "script" {
        answer(&site, "/other").await;
        seen = answer(&site, "/a/x").await;
    }
}

#[tokio::test]
async fn w57_w59_w60_a_rule_that_is_broken_is_refused_and_the_install_goes_on() {
    for rules in [
        "{ condition: {}, source: 'network' }",
        "{ condition: { or: [], requestMethod: 'get' }, source: 'network' }",
        "{ condition: { urlPattern: '/(a|b)/*' }, source: 'network' }",
        "{ condition: { urlPattern: new URLPattern({ pathname: '/(a|b)' }) }, source: 'network' }",
        "{ condition: { requestMethod: 'TRACE' }, source: 'network' }",
        "{ condition: { requestMode: 'websocket' }, source: 'network' }",
        "{ condition: { requestDestination: 'nothing' }, source: 'network' }",
        "{ condition: { runningStatus: 'asleep' }, source: 'network' }",
        "{ condition: { urlPattern: '/*' }, source: 'nowhere' }",
        "{ condition: { urlPattern: '/*' }, source: {} }",
        "{ condition: { urlPattern: '/*' } }",
        "{ source: 'network' }",
        "null",
        "7",
        "[{ condition: { urlPattern: '/*' }, source: 'network' }, {}]",
        "Array(1024).fill({ condition: { urlPattern: '/*' }, source: 'network' })",
    ] {
        let world = World::with(&script(rules));
        let site = world.ready().await;
        assert_eq!(world.line().await, "TypeError", "{rules}");
        assert_eq!(answer(&site, "/x").await, "script", "{rules}");
    }
}

#[tokio::test]
async fn a_pattern_may_be_an_object_whose_base_is_its_own() {
    let (_world, site) = with_routes(
        "[{ condition: { urlPattern: new URLPattern({ pathname: '/a/*' }) }, source: 'network' },
          { condition: { urlPattern: new URLPattern('/b/:id', 'https://other.test') }, source: 'network' }]",
    )
    .await;
    assert_eq!(answer(&site, "/a/x").await, routed());
    assert_eq!(answer(&site, "/b/x").await, "script");
}

#[tokio::test]
async fn w65_a_condition_that_leads_back_to_itself_is_refused() {
    let world = World::with(
        "oninstall = e => {
           const condition = {};
           condition.not = condition;
           const wrap = (times) => times === 0 ? { requestMethod: 'get' } : { not: wrap(times - 1) };
           const add = (condition) => e.addRoutes({ condition, source: 'network' })
             .then(() => console.log('added'), error => console.log(error.name));
           e.waitUntil(add(condition).then(() => add(wrap(9))).then(() => add(wrap(10))));
         }",
    );
    world.ready().await;
    for expected in ["TypeError", "added", "TypeError"] {
        assert_eq!(world.line().await, expected);
    }
}

#[tokio::test]
async fn a_route_to_the_script_needs_a_fetch_listener() {
    let world = World::with(
        "oninstall = e => e.addRoutes({ condition: { urlPattern: '/*' }, source: 'fetch-event' })
           .catch(error => console.log(error.name))",
    );
    world.ready().await;
    assert_eq!(world.line().await, "TypeError");
}

#[tokio::test]
async fn routes_are_added_while_the_install_event_is_active_and_no_later() {
    let world = World::with(
        "let install;
         oninstall = e => { install = e };
         onmessage = e => e.waitUntil(install.addRoutes({ condition: { urlPattern: '/*' }, source: 'network' })
           .catch(error => console.log(error.name)));
         new InstallEvent('install').addRoutes([]).catch(error => console.log(error.name));
         onfetch = e => e.respondWith(new Response('script'))",
    );
    let site = world.ready().await;
    assert_eq!(world.line().await, "InvalidStateError");
    tell(&site, serde_json::json!(null)).await;
    assert_eq!(world.line().await, "InvalidStateError");
    assert_eq!(answer(&site, "/x").await, "script");
}

#[tokio::test]
async fn rules_that_are_added_later_come_after_the_first() {
    let (_world, site) = with_routes(
        "{ condition: { urlPattern: '/a/*' }, source: 'fetch-event' })
           .then(() => e.addRoutes({ condition: { urlPattern: '/*' }, source: 'network' })",
    )
    .await;
    assert_eq!(answer(&site, "/a/x").await, "script");
    assert_eq!(answer(&site, "/b").await, routed());
}

#[tokio::test]
async fn a_cached_answer_is_given_to_the_visitor_whose_it_is() {
    let (world, site) = with_routes("{ condition: { urlPattern: '/*' }, source: 'cache' }").await;
    let (anna, ben) = (CredentialHash([1; 16]), CredentialHash([2; 16]));
    let of = |credentials: CredentialHash| {
        let visitor = Visitor { credentials: Some(credentials), event: CredentialHash([9; 16]) };
        Request { visitor: Some(visitor), ..get("/x") }
    };
    let mut page = Response::new("anna's");
    page.head.personal = Some(anna);
    let caches = world.store.caches(support::ORIGIN).unwrap();
    caches.open("v1").await.unwrap().put(of(anna), page).await.unwrap();
    assert_eq!(words(site.fetch(FetchEvent::of(of(ben))).await).await, routed());
    assert_eq!(answer(&site, "/x").await, routed());
    assert_eq!(words(site.fetch(FetchEvent::of(of(anna))).await).await, "anna's");
}

#[tokio::test]
async fn a_cached_answer_has_to_be_one_that_the_request_may_have() {
    let (world, site) = with_routes("{ condition: { urlPattern: '/*' }, source: 'cache' }").await;
    let mut redirected = Response::new("page");
    redirected.head.url_list = vec![get("/old").url.clone(), get("/x").url.clone()];
    let caches = world.store.caches(support::ORIGIN).unwrap();
    caches.open("v1").await.unwrap().put(get("/x"), redirected).await.unwrap();
    let mut request = get("/x");
    request.mode = RequestMode::Navigate;
    request.redirect = RequestRedirect::Manual;
    let words = words(site.fetch(FetchEvent::of(request)).await).await;
    assert!(words.starts_with("network error: the answer was redirected"), "{words}");
}

/// A world whose script takes part in a race.
fn race(listener: &str) -> World {
    let world = World::with(&format!(
        "oninstall = e => e.addRoutes({{ condition: {{ urlPattern: '/x' }}, source: 'race-network-and-fetch-handler' }});
         onfetch = e => {{ {listener} }}"
    ));
    world.net.text("/slow", "slow");
    world
}

#[tokio::test]
async fn w63_an_answer_of_the_network_wins_a_race_if_it_is_ok() {
    let world = race("e.respondWith(fetch('/slow').then(r => { console.log('late'); return r }))");
    let gate = world.net.gate("/slow");
    world.net.text("/x", "network");
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "network");
    // The event takes its course all the same.
    gate.notify_one();
    assert_eq!(world.line().await, "late");
    world.net.page("/x", 500, "text/plain", "broken");
    gate.notify_one();
    assert_eq!(answer(&site, "/x").await, "slow");
    world.net.remove("/x");
    gate.notify_one();
    assert_eq!(answer(&site, "/x").await, "slow");
}

#[tokio::test]
async fn a_script_that_answers_first_wins_a_race_and_the_network_is_not_waited_for() {
    let world = race("e.respondWith(new Response('script'))");
    world.net.text("/x", "network");
    world.net.gate("/x");
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "script");
}

#[tokio::test]
async fn w64_a_script_that_leaves_a_race_leaves_it_to_the_network_whatever_that_answers() {
    let world = race("");
    world.net.page("/x", 404, "text/plain", "not found");
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "not found");
    assert_eq!(world.net.asked("/x"), 1);
    world.net.remove("/x");
    assert!(answer(&site, "/x").await.starts_with("network error"));
}

#[tokio::test]
async fn a_script_that_fails_first_fails_a_race() {
    let world = race("e.respondWith(Promise.reject(new Error('mine')))");
    world.net.text("/x", "network");
    world.net.gate("/x");
    let site = world.ready().await;
    let words = answer(&site, "/x").await;
    assert!(words.starts_with("network error") && words.contains("mine"), "{words}");
}

#[tokio::test]
async fn only_a_get_is_raced() {
    let world = race("e.respondWith(new Response('script'))");
    world.net.text("/x", "network");
    let site = world.ready().await;
    let mut request = get("/x");
    request.method = http::Method::POST;
    let outcome = site.fetch(FetchEvent::of(request)).await;
    assert!(matches!(outcome, FetchOutcome::Response { .. }));
    assert_eq!(world.net.asked("/x"), 0);
}
