//! Threads that cannot be interrupted. In a process of its own, because their number is the process's.

mod support;

use std::time::Duration;

use support::{World, answer, fallback, get};
use waystore_worker::{FallbackReason, FetchEvent, FetchOutcome, Updated};

#[tokio::test]
async fn a_thread_that_cannot_be_interrupted_is_given_up_and_the_fourth_switches_workers_off() {
    // The engine does not ask its interrupt handler inside `includes`.
    let stuck = "onfetch = e => {
        if (e.request.url.endsWith('/stuck')) {
          e.respondWith(new Promise(() => {}));
          const many = 'a'.repeat(30 << 20);
          (many + 'c').includes('a'.repeat(15 << 20) + 'b');
        }
        e.respondWith(new Response('fine'));
      }";
    let mut world = World::with(stuck);
    world.limits.cpu_slice = Duration::from_millis(100);
    world.limits.memory_bytes = 512 << 20;
    let site = world.ready().await;
    for _ in 0..3 {
        let words = answer(&site, "/stuck").await;
        assert!(words.starts_with("network error: the worker was stopped"), "{words}");
        assert_eq!(answer(&site, "/x").await, "fine");
    }
    answer(&site, "/stuck").await;
    assert_eq!(answer(&site, "/x").await, fallback(FallbackReason::Off));
    // Nothing else starts either, until a thread comes back.
    world.net.script("/sw.js", "onfetch = () => {}");
    let updated = site.update(true).await;
    assert!(!matches!(updated, Ok(Updated::Installed { .. })));
    let outcome = site.fetch(FetchEvent::of(get("/x"))).await;
    assert!(matches!(outcome, FetchOutcome::Fallback { reason: FallbackReason::Off, .. }));
}
