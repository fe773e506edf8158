//! What a script does not catch: reported with the event it came of and its place in the script.

mod support;

use std::time::Duration;

use support::{World, answer, get, tell};
use waystore_worker::{ConsoleLevel, ConsoleLine, FetchEvent, LastError, Site};

async fn line(world: &World) -> ConsoleLine {
    let line = tokio::time::timeout(Duration::from_secs(20), world.console.lock().await.recv()).await;
    line.expect("a line was written").expect("the world holds a sender")
}

/// What went wrong last, as soon as anything did.
async fn last(site: &Site) -> LastError {
    loop {
        if let Some(error) = site.status().active.and_then(|worker| worker.last_error) {
            return error;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_throw_in_a_listener_is_told_with_event_url_and_position() {
    let world = World::with("onfetch = e => {\n  throw new Error('oh')\n}");
    let site = world.ready().await;
    answer(&site, "/page?x").await;
    let line = line(&world).await;
    assert!(line.level == ConsoleLevel::Error && line.text.starts_with("Uncaught Error: oh"), "{line:?}");
    assert_eq!((line.event, line.url), (Some("fetch"), Some(get("/page?x").url.clone())));
    assert!(line.position.unwrap().starts_with("https://a.test/sw.js:2:"));
    let last = last(&site).await;
    assert_eq!((last.event, last.url), (Some("fetch"), Some(get("/page?x").url.clone())));
    assert!(last.text.starts_with("Error: oh") && last.position.unwrap().contains("sw.js:2:"));
    assert_eq!(last.at_ms, 1_800_000_000_000);
}

#[tokio::test]
async fn a_rejection_is_told_with_the_event_in_whose_microtasks_it_was_left() {
    let world = World::with(
        "onfetch = e => { Promise.resolve().then(() => { throw new TypeError('left') }); e.respondWith(new Response('x')) }",
    );
    let site = world.ready().await;
    // Beside others: the thread takes several events in one go.
    futures::join!(answer(&site, "/a"), answer(&site, "/b"));
    for path in ["/a", "/b"] {
        let line = line(&world).await;
        assert!(line.text.starts_with("Uncaught (in promise) TypeError: left"), "{line:?}");
        assert_eq!(line.url, Some(get(path).url.clone()));
    }
}

#[tokio::test]
async fn a_throw_in_a_timer_is_that_of_the_only_event_under_way() {
    let world = World::with(
        "onmessage = e => e.waitUntil(new Promise(done => setTimeout(() => { done(); throw new Error('late') })))",
    );
    let site = world.ready().await;
    tell(&site, serde_json::json!(null)).await;
    assert_eq!(line(&world).await.event, Some("message"));
    assert_eq!(last(&site).await.event, Some("message"));
}

#[tokio::test]
async fn what_respond_with_was_rejected_with_is_kept() {
    let world = World::with("onfetch = e => e.respondWith(Promise.reject(new RangeError('far')))");
    let site = world.ready().await;
    drop(site.fetch(FetchEvent::of(get("/p"))).await);
    let last = last(&site).await;
    assert!(last.text.contains("RangeError: far"), "{last:?}");
    assert_eq!(last.url, Some(get("/p").url.clone()));
    assert!(last.position.unwrap().starts_with("https://a.test/sw.js:1:"));
}

#[tokio::test]
async fn a_script_that_was_cut_off_is_told_with_the_event_it_ran_for() {
    let mut world = World::with("onfetch = e => { for (;;); }");
    world.limits.cpu_slice = Duration::from_millis(100);
    let site = world.ready().await;
    answer(&site, "/loop").await;
    let last = last(&site).await;
    assert!(last.text.contains("too long") && last.url == Some(get("/loop").url.clone()), "{last:?}");
}

#[tokio::test]
async fn why_an_update_failed_is_told_until_one_succeeds() {
    let world = World::with("onfetch = () => {}");
    let site = world.ready().await;
    world.net.script("/sw.js", "let = ;");
    site.update(false).await.unwrap_err();
    assert!(site.status().last_failure.unwrap().contains("SyntaxError"));
    world.net.script("/sw.js", "onfetch = () => {}");
    site.update(false).await.unwrap();
    assert_eq!(site.status().last_failure, None);
}
