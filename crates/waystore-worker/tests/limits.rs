//! Workers that misbehave cost their own requests only.

mod support;

use std::time::Duration;

use support::{World, answer, fallback, get};
use waystore_worker::{FallbackReason, FetchEvent, SiteError};

fn quick(script: &str) -> World {
    let mut world = World::with(script);
    world.limits.cpu_slice = Duration::from_millis(100);
    world
}

#[tokio::test]
async fn w31_an_endless_loop_before_respond_with_leaves_the_request_to_the_network() {
    let world =
        quick("onfetch = e => { if (e.request.url.endsWith('/loop')) for (;;); e.respondWith(new Response('fine')) }");
    let site = world.ready().await;
    assert_eq!(answer(&site, "/loop").await, fallback(FallbackReason::Stopped));
    assert_eq!(answer(&site, "/x").await, "fine");
}

#[tokio::test]
async fn w31_an_endless_loop_after_respond_with_is_a_network_error() {
    let world = quick("onfetch = e => { e.respondWith(new Promise(() => {})); for (;;); }");
    let site = world.ready().await;
    let words = answer(&site, "/x").await;
    assert!(words.starts_with("network error: the worker was stopped"), "{words}");
}

#[tokio::test]
async fn an_endless_chain_of_microtasks_is_stopped_too() {
    let world = quick(
        "onfetch = e => {
           if (e.request.url.endsWith('/loop')) e.respondWith((async () => { for (;;) await 0 })());
           else e.respondWith(new Response('fine'));
         }",
    );
    let site = world.ready().await;
    assert!(answer(&site, "/loop").await.starts_with("network error"));
    assert_eq!(answer(&site, "/x").await, "fine");
}

#[tokio::test]
async fn a_timer_that_loops_is_stopped_and_the_next_request_is_answered() {
    let world = quick(
        "onfetch = e => {
           if (e.request.url.endsWith('/loop')) e.respondWith(new Promise(() => setTimeout(() => { for (;;); })));
           else e.respondWith(new Response('fine'));
         }",
    );
    let site = world.ready().await;
    assert!(answer(&site, "/loop").await.starts_with("network error"));
    assert_eq!(answer(&site, "/x").await, "fine");
}

#[tokio::test]
async fn a_first_evaluation_that_never_ends_fails_the_start() {
    let world = quick("for (;;);");
    let error = world.open().await.ready().await.unwrap_err();
    assert!(matches!(error, SiteError::Start { .. }), "{error}");
}

#[tokio::test]
async fn an_install_that_never_ends_fails_at_the_time_limit_of_an_event() {
    let mut world = World::with("oninstall = e => e.waitUntil(new Promise(() => {}))");
    world.limits.event = Duration::from_millis(100);
    let error = world.open().await.ready().await.unwrap_err();
    assert!(matches!(&error, SiteError::Install { reason, .. } if reason.contains("too long")), "{error}");
}

#[tokio::test]
async fn requests_wait_for_the_first_worker_no_longer_than_for_an_answer() {
    let mut world = World::with("oninstall = e => e.waitUntil(new Promise(() => {}))");
    world.limits.response = Duration::from_millis(100);
    let site = world.open().await;
    assert_eq!(answer(&site, "/x").await, fallback(FallbackReason::NoWorker));
    assert!(site.status().active.is_none());
}

#[tokio::test]
async fn an_event_that_never_ends_is_over_at_its_time_limit_and_keeps_no_version_waiting() {
    let mut world = World::with("onmessage = e => e.waitUntil(new Promise(() => {}))");
    world.limits.event = Duration::from_millis(200);
    let site = world.ready().await;
    support::tell(&site, serde_json::json!(null)).await;
    world.net.script("/sw.js", "onfetch = e => e.respondWith(new Response('v2'))");
    site.update(false).await.unwrap();
    while answer(&site, "/x").await != "v2" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_install_that_loops_fails() {
    let world = quick("oninstall = () => { for (;;); }");
    let error = world.open().await.ready().await.unwrap_err();
    assert!(matches!(&error, SiteError::Install { .. }), "{error}");
}

#[tokio::test]
async fn an_activation_that_loops_ends_activated_all_the_same() {
    let world = quick("onactivate = () => { for (;;); }; onfetch = e => e.respondWith(new Response('fine'))");
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "fine");
}

#[tokio::test]
async fn memory_and_stack_have_their_limits() {
    let mut world = World::with(
        "onfetch = e => e.respondWith((async () => {
           try {
             if (e.request.url.endsWith('/memory')) { const kept = []; for (;;) kept.push(new Uint8Array(1 << 20)) }
             (function deep() { return deep() + 1 })();
           } catch (error) { return new Response(error.name) }
         })())",
    );
    world.limits.memory_bytes = 64 << 20;
    let site = world.ready().await;
    assert_eq!(answer(&site, "/stack").await, "RangeError");
    assert_eq!(answer(&site, "/memory").await, "InternalError");
    assert_eq!(answer(&site, "/stack").await, "RangeError");
}

#[tokio::test]
async fn a_script_that_is_too_long_is_refused() {
    let mut world = World::with("// a comment of thirty characters\n");
    world.limits.script_bytes = 8;
    assert!(matches!(world.open().await.ready().await, Err(SiteError::Script(_))));
}

#[tokio::test]
async fn a_worker_that_fails_to_start_leaves_requests_to_the_network_and_is_not_tried_at_once() {
    // Starts once, to be installed; from the cache, so to speak, it does not start again.
    let mut world = World::with(
        "onfetch = e => e.respondWith(new Response('x'));
         importScripts('/once.js')",
    );
    world.net.script("/once.js", "if (performance.timeOrigin > 1800000000000) throw new Error('second start')");
    let site = world.ready().await;
    site.close(Duration::from_secs(5)).await;
    world.clock = std::sync::Arc::new(waystore::Clock::fixed(1_800_000_000_001, 7));
    let site = world.open().await;
    for _ in 0..3 {
        assert_eq!(answer(&site, "/x").await, fallback(FallbackReason::Stopped));
    }
}

#[tokio::test]
async fn more_events_than_may_wait_are_refused_at_once() {
    let mut world = World::with("onfetch = e => e.respondWith(fetch('/slow'))");
    world.net.text("/slow", "slow");
    let gate = world.net.gate("/slow");
    world.limits.concurrent_events = 1;
    world.limits.waiting_events = 1;
    let site = world.ready().await;
    let first = tokio::spawn({
        let site = site.clone();
        async move { answer(&site, "/1").await }
    });
    while world.net.asked("/slow") == 0 {
        world.net.reached.notified().await;
    }
    let second = site.fetch(FetchEvent::of(get("/2")));
    tokio::pin!(second);
    assert!(futures::poll!(&mut second).is_pending());
    assert_eq!(answer(&site, "/3").await, fallback(FallbackReason::Busy));
    gate.notify_one();
    assert_eq!(first.await.unwrap(), "slow");
    let serve_second = async {
        while world.net.asked("/slow") < 2 {
            world.net.reached.notified().await;
        }
        gate.notify_one();
    };
    let (second, ()) = tokio::join!(second, serve_second);
    assert_eq!(support::words(second).await, "slow");
}

#[tokio::test]
async fn an_answer_does_not_wait_for_the_script_of_the_event_behind_it() {
    let mut world = World::with(
        "onfetch = e => {
           e.respondWith(new Response('fine'));
           // Meanwhile the others come: they are dispatched in one turn.
           for (const end = Date.now() + 200; e.request.url.endsWith('/first') && Date.now() < end;);
           for (; e.request.url.endsWith('/last'););
         }",
    );
    // Nothing is cut off, and nothing else takes the events.
    world.limits.cpu_slice = Duration::from_secs(600);
    world.limits.patience = Duration::from_secs(600);
    let site = world.ready().await;
    let [first, second, _last] = ["/first", "/second", "/last"].map(|path| {
        let site = site.clone();
        tokio::spawn(async move { answer(&site, path).await })
    });
    let answered = async { (first.await.unwrap(), second.await.unwrap()) };
    let answered = tokio::time::timeout(Duration::from_secs(60), answered).await;
    assert_eq!(answered.expect("both were answered"), ("fine".to_owned(), "fine".to_owned()));
    site.close(Duration::ZERO).await;
}
