//! A built-in of the engine that no interrupt reaches. In a process of its own, whose threads stay stuck in it.

mod support;

use std::time::Duration;

use support::{World, answer};
use waystore_worker::Limits;

#[tokio::test]
async fn a_built_in_that_no_interrupt_reaches_keeps_no_other_request_waiting() {
    let mut world = World::with(
        "onfetch = e => {
           if (e.request.url.endsWith('/stuck')) {
             e.respondWith(new Promise(() => {}));
             const many = 'a'.repeat(30 << 20);
             (many + 'c').includes('a'.repeat(15 << 20) + 'b');
           }
           e.respondWith(new Response('fine'));
         }",
    );
    world.limits = Limits {
        memory_bytes: 512 << 20,
        patience: Duration::from_millis(25),
        // Nothing is cut off before the site is closed.
        cpu_slice: Duration::from_secs(120),
        ..Limits::default()
    };
    let site = world.ready().await;
    let stuck = [(), ()].map(|()| {
        let site = site.clone();
        tokio::spawn(async move { answer(&site, "/stuck").await })
    });
    while site.status().active.unwrap().isolates < 3 {
        assert_eq!(answer(&site, "/x").await, "fine");
    }
    assert!(stuck.iter().all(|stuck| !stuck.is_finished()));
    site.close(Duration::ZERO).await;
    for stuck in stuck {
        let words = stuck.await.unwrap();
        assert!(words.starts_with("network error: the worker was stopped"), "{words}");
    }
}
