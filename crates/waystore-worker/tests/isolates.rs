//! Several isolates of one worker: who takes which event, and who waits for whom.

mod support;

use std::{sync::Arc, time::Duration};

use support::{World, answer, fallback, get, tell, words};
use waystore::{Body, Request};
use waystore_worker::{FallbackReason, FetchEvent, Limits, Site};

/// `/loop` never comes back, `/enter` neither but was entered before; everything else is answered.
const STUCK: &str = "
  const me = Math.random();
  onfetch = e => {
    const path = new URL(e.request.url).pathname;
    if (path === '/loop') { console.log('looping'); for (;;); }
    if (path === '/enter') { e.respondWith(new Promise(() => {})); for (;;); }
    if (path === '/me') return e.respondWith(new Response(me));
    if (path === '/post') return e.respondWith(e.request.text().then(text => new Response(text)));
    if (path === '/slow') return e.respondWith(fetch('/slow').then(() => new Response(me)));
    if (path === '/once') return e.respondWith(fetch('/once'));
    e.respondWith(new Response('fine'));
  }";

fn world(limits: Limits) -> World {
    let mut world = World::with(STUCK);
    world.limits = limits;
    world
}

/// Looks as often as it can, and cuts nothing off: tests end what they began, by `close`.
fn impatient() -> Limits {
    Limits { patience: Duration::from_millis(25), cpu_slice: Duration::from_secs(120), ..Limits::default() }
}

fn begin(site: &Site, path: &'static str) -> tokio::task::JoinHandle<String> {
    let site = site.clone();
    tokio::spawn(async move { answer(&site, path).await })
}

/// Waits until the worker has so many isolates.
async fn isolates(site: &Site, number: usize) {
    while site.status().active.is_none_or(|worker| worker.isolates != number) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn two_stuck_isolates_keep_no_other_request_waiting() {
    let world = world(impatient());
    let site = world.ready().await;
    let (first, second) = (begin(&site, "/loop"), begin(&site, "/enter"));
    while site.status().active.unwrap().isolates < 3 {
        assert_eq!(answer(&site, "/x").await, "fine");
    }
    assert_eq!(answer(&site, "/x").await, "fine");
    assert!(!first.is_finished() && !second.is_finished());
    site.close(Duration::ZERO).await;
}

#[tokio::test]
async fn an_event_that_came_behind_a_stuck_one_is_done_elsewhere_once_and_with_its_body() {
    let world = world(impatient());
    world.net.text("/once", "once");
    let site = world.ready().await;
    let stuck = begin(&site, "/loop");
    assert_eq!(world.line().await, "looping");
    // Given to the same isolate, which is not known to be busy yet.
    let post = || {
        let body = Body::from_stream(futures::stream::iter([Ok("whole".into())]), None);
        let mut request = Request { body: Some(body), ..get("/post") };
        request.head.method = http::Method::POST;
        request
    };
    let (once, posted, others) = tokio::join!(
        answer(&site, "/once"),
        async { words(site.fetch(FetchEvent::of(post())).await).await },
        futures::future::join_all((0..50).map(|_| answer(&site, "/x"))),
    );
    assert_eq!((once.as_str(), posted.as_str()), ("once", "whole"));
    assert!(others.iter().all(|answer| answer == "fine"));
    assert_eq!(world.net.asked("/once"), 1);
    assert!(!stuck.is_finished());
    site.close(Duration::ZERO).await;
}

#[tokio::test]
async fn where_every_stand_in_is_stuck_too_others_wait_until_one_is_cut_off() {
    let world = world(Limits { cpu_slice: Duration::from_secs(2), ..impatient() });
    let site = world.ready().await;
    let stuck = futures::future::join_all((0..5).map(|_| answer(&site, "/loop")));
    let (stuck, other) = tokio::join!(stuck, answer(&site, "/x"));
    assert!(stuck.iter().all(|answer| *answer == fallback(FallbackReason::Stopped)), "{stuck:?}");
    assert_eq!(other, "fine");
    assert!(site.status().active.unwrap().isolates <= 3);
}

#[tokio::test]
async fn a_stand_in_stops_when_it_is_idle() {
    let world = world(Limits { idle: Duration::from_millis(300), ..impatient() });
    let mut slow = world;
    slow.net.script(
        "/sw.js",
        "const me = Math.random();
         onfetch = e => {
           const until = performance.now() + 3000;
           if (e.request.url.endsWith('/busy')) {
             console.log('busy');
             while (performance.now() < until);
           }
           e.respondWith(new Response(me));
         }",
    );
    slow.clock = Arc::new(waystore::Clock::system());
    let site = slow.ready().await;
    let first = answer(&site, "/me").await;
    let busy = begin(&site, "/busy");
    assert_eq!(slow.line().await, "busy");
    assert_ne!(answer(&site, "/me").await, first, "another one took it");
    assert_eq!(busy.await.unwrap(), first, "it came back");
    while site.status().active.is_some_and(|worker| worker.isolates > 1) {
        answer(&site, "/me").await;
    }
}

#[tokio::test]
async fn g17_events_go_to_the_isolate_with_the_fewest_and_each_has_its_own_globals() {
    let script = format!("oninstall = onactivate = e => console.log(e.type); {STUCK}");
    let mut world = World::with(&script);
    world.limits.isolates = 3;
    world.net.text("/slow", "");
    let gate = world.net.gate("/slow");
    let site = world.ready().await;
    let mut slow = Vec::new();
    for number in 1..=3 {
        slow.push(begin(&site, "/slow"));
        while world.net.asked("/slow") < number {
            world.net.reached.notified().await;
        }
        // One that finds every isolate at work has another one started, if there may be one.
        answer(&site, "/x").await;
        isolates(&site, (number + 1).min(3)).await;
    }
    for _ in 0..3 {
        gate.notify_one();
        tokio::task::yield_now().await;
    }
    gate.notify_one();
    let mut globals = std::collections::BTreeSet::new();
    for slow in slow {
        gate.notify_one();
        globals.insert(slow.await.unwrap());
    }
    assert_eq!(globals.len(), 3);
    assert_eq!(world.lines().await, ["install", "activate"]);
}

#[tokio::test]
async fn g17_messages_go_to_the_first_isolate() {
    let mut world = World::with(
        "let told = 0;
         onmessage = () => { told += 1; console.log(told) };
         onfetch = e => e.respondWith(fetch('/slow').then(() => new Response('slow')))",
    );
    world.limits.isolates = 2;
    world.net.text("/slow", "");
    let gate = world.net.gate("/slow");
    let site = world.ready().await;
    let slow: Vec<_> = (0..2).map(|_| begin(&site, "/slow")).collect();
    isolates(&site, 2).await;
    for _ in 0..3 {
        tell(&site, serde_json::json!(null)).await;
    }
    assert_eq!(world.lines().await, ["1", "2", "3"]);
    for slow in slow {
        gate.notify_one();
        drop(slow);
    }
}

#[tokio::test]
async fn an_isolate_that_reaches_its_memory_limit_is_replaced() {
    let mut world = World::with(
        "const kept = [];
         onfetch = e => e.respondWith((async () => {
           if (e.request.url.endsWith('/more')) for (;;) kept.push(new Uint8Array(1 << 20));
           return new Response(String(kept.length));
         })())",
    );
    world.limits.memory_bytes = 32 << 20;
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "0");
    let more = site.fetch(FetchEvent::of(get("/more"))).await;
    let more = words(more).await;
    assert!(more.starts_with("network error: ") && more.contains("out of memory"), "{more}");
    assert_eq!(answer(&site, "/x").await, "0", "another isolate, with globals of its own");
    assert!(site.status().active.unwrap().last_error.unwrap().text.contains("out of memory"));
}
