//! Fetch events: every row of the outcome table, and how long an event lives.

mod support;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use support::{World, answer, fallback, get, tell, words};
use waystore::{AbortSignal, Body, Request, RequestMode, RequestRedirect};
use waystore_worker::{FallbackReason, FetchEvent, FetchOutcome};

/// What a `GET` through this script comes to.
async fn outcome(script: &str) -> String {
    let world = World::with(script);
    let site = world.ready().await;
    answer(&site, "/x").await
}

#[tokio::test]
async fn no_respond_with_leaves_the_request_to_the_network() {
    assert_eq!(outcome("onfetch = () => {}").await, fallback(FallbackReason::NotAnswered));
}

#[tokio::test]
async fn a_throw_before_respond_with_leaves_the_request_to_the_network() {
    assert_eq!(outcome("onfetch = () => { throw new Error('x') }").await, fallback(FallbackReason::Threw));
}

#[tokio::test]
async fn a_throw_in_one_listener_does_not_keep_another_from_answering() {
    let script = "addEventListener('fetch', () => { throw 1 });
                  addEventListener('fetch', e => e.respondWith(new Response('second')))";
    assert_eq!(outcome(script).await, "second");
}

#[tokio::test]
async fn prevent_default_without_respond_with_is_a_network_error() {
    let words = outcome("onfetch = e => e.preventDefault()").await;
    assert!(words.starts_with("network error: preventDefault"), "{words}");
}

#[tokio::test]
async fn prevent_default_and_respond_with_in_another_listener_is_the_response() {
    let script = "addEventListener('fetch', e => e.preventDefault());
                  addEventListener('fetch', e => e.respondWith(new Response('ok')))";
    assert_eq!(outcome(script).await, "ok");
}

#[tokio::test]
async fn a_rejected_respond_with_is_a_network_error_that_says_why() {
    let words = outcome("onfetch = e => e.respondWith(Promise.reject(new Error('because')))").await;
    assert!(words.starts_with("network error") && words.contains("because"), "{words}");
}

#[tokio::test]
async fn anything_but_a_response_is_a_network_error() {
    for given in ["undefined", "{}", "'x'", "Promise.resolve()", "null"] {
        let words = outcome(&format!("onfetch = e => e.respondWith({given})")).await;
        assert!(words.starts_with("network error: respondWith was given"), "{given}: {words}");
    }
}

#[tokio::test]
async fn an_error_response_is_a_network_error() {
    assert!(outcome("onfetch = e => e.respondWith(Response.error())").await.starts_with("network error"));
}

#[tokio::test]
async fn a_used_body_is_a_network_error() {
    let script =
        "onfetch = e => e.respondWith((async () => { const r = new Response('x'); await r.text(); return r })())";
    assert!(outcome(script).await.starts_with("network error"));
    let script = "onfetch = e => { const r = new Response('x'); r.body.getReader(); e.respondWith(r) }";
    assert!(outcome(script).await.starts_with("network error"));
}

#[tokio::test]
async fn w76_an_answer_that_never_comes_times_out_and_disturbs_nobody() {
    let mut world = World::with(
        "onfetch = e => e.respondWith(e.request.url.endsWith('/never') ? new Promise(() => {}) : new Response('other'))",
    );
    world.limits.response = Duration::from_millis(300);
    let site = world.ready().await;
    let (never, other) = tokio::join!(answer(&site, "/never"), answer(&site, "/other"));
    assert_eq!(never, "timed out");
    assert_eq!(other, "other");
}

#[tokio::test]
async fn w33_the_first_respond_with_stops_the_propagation() {
    let world = World::with(
        "addEventListener('fetch', e => e.respondWith(new Response('first')));
         addEventListener('fetch', e => { console.log('second'); e.respondWith(new Response('second')) })",
    );
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "first");
    assert!(world.lines().await.is_empty());
}

#[tokio::test]
async fn a_second_respond_with_in_one_listener_throws() {
    let script = "onfetch = e => {
        let thrown;
        let name = new Promise(r => { thrown = r });
        e.respondWith(name.then(name => new Response(name)));
        try { e.respondWith(new Response('2')) } catch (error) { thrown(error.name) }
    }";
    assert_eq!(outcome(script).await, "InvalidStateError");
}

#[tokio::test]
async fn w34_respond_with_works_in_a_microtask_and_not_in_a_timer() {
    assert_eq!(outcome("onfetch = async e => { await 0; e.respondWith(new Response('x')) }").await, "x");
    let world = World::with(
        "onfetch = async e => {
           await new Promise(r => setTimeout(r));
           try { e.respondWith(new Response('x')) } catch (error) { console.log(error.name) }
         }",
    );
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, fallback(FallbackReason::NotAnswered));
    assert_eq!(world.line().await, "InvalidStateError");
}

#[tokio::test]
async fn microtasks_run_between_the_listeners_of_an_event() {
    let world = World::with(
        "addEventListener('fetch', e => Promise.resolve().then(() => e.respondWith(new Response('microtask'))));
         addEventListener('fetch', e => console.log('second'))",
    );
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "microtask");
    assert!(world.lines().await.is_empty());
}

#[tokio::test]
async fn an_answer_has_its_turn_among_the_microtasks_of_its_listener() {
    let world = World::with(
        "onfetch = e => {
           const r = new Response('x');
           const read = () => r.text().catch(error => console.log(error.name));
           if (e.request.url.endsWith('/before')) queueMicrotask(read);
           e.respondWith(r);
           if (e.request.url.endsWith('/after')) queueMicrotask(read);
         }",
    );
    let site = world.ready().await;
    assert!(answer(&site, "/before").await.starts_with("network error: respondWith was given"));
    assert_eq!(answer(&site, "/after").await, "x");
    assert_eq!(world.line().await, "TypeError");
}

#[tokio::test]
async fn every_microtask_of_its_dispatch_extends_an_event_that_was_answered() {
    for given in ["new Response('x')", "Promise.resolve(new Response('x'))"] {
        let world = World::with(&format!(
            "const later = (turns, work) => turns === 0 ? work() : queueMicrotask(() => later(turns - 1, work));
             onfetch = e => {{
               e.respondWith({given});
               later(9, () => e.waitUntil(new Promise(r => setTimeout(r)).then(() => {{
                 e.waitUntil(1);
                 console.log('extended');
                 setTimeout(() => {{ try {{ e.waitUntil(2) }} catch (error) {{ console.log(error.name) }} }}, 5);
               }})));
             }}"
        ));
        let site = world.ready().await;
        assert_eq!(answer(&site, "/x").await, "x", "{given}");
        assert_eq!(world.line().await, "extended", "{given}");
        assert_eq!(world.line().await, "InvalidStateError", "{given}");
    }
}

#[tokio::test]
async fn what_a_fetch_event_has_is_asked_of_nothing_else() {
    let world = World::with(
        "const nameOf = work => { try { return String(work()) } catch (error) { return error.name } };
         const get = Object.getOwnPropertyDescriptor(FetchEvent.prototype, 'request').get;
         class Mine extends FetchEvent {}
         oninstall = e => {
           const made = new Mine('fetch', { request: new Request('/made'), clientId: 'me' });
           console.log([
             nameOf(() => get.call(e)), nameOf(() => get.call(new Event('fetch'))), nameOf(() => get.call({})),
             nameOf(() => FetchEvent.prototype.respondWith.call(e, new Response())),
             nameOf(() => made.respondWith(new Response())), nameOf(() => made.respondWith()),
             nameOf(() => new FetchEvent('fetch')), nameOf(() => get.call(made).url), made.clientId, made instanceof Mine,
           ].join());
         };
         let event;
         onfetch = e => { (event ??= e).respondWith(new Response(`${e.type} ${e.target === e.currentTarget} ${e.request.method}`)); };
         onmessage = () => console.log(event.target === self, event.currentTarget, event.isTrusted, event.eventPhase, event.clientId === '');",
    );
    let site = world.ready().await;
    let expected =
        "TypeError,TypeError,TypeError,TypeError,InvalidStateError,TypeError,TypeError,https://a.test/made,me,true";
    assert_eq!(world.line().await, expected);
    assert_eq!(answer(&site, "/x").await, "fetch true GET");
    site.message(waystore_worker::MessageEvent::json(&serde_json::json!(0))).await.unwrap();
    assert_eq!(world.line().await, "true null true 0 true");
}

#[tokio::test]
async fn w35_a_miss_given_to_respond_with_is_a_network_error() {
    let words = outcome("onfetch = e => e.respondWith(caches.match(e.request))").await;
    assert!(words.starts_with("network error: respondWith was given"), "{words}");
}

#[tokio::test]
async fn w36_a_failed_fetch_is_answered_from_the_cache() {
    let script = "oninstall = e => e.waitUntil(caches.open('v1').then(c => c.put('/off', new Response('offline'))));
                  onfetch = e => e.respondWith(fetch(e.request).catch(() => caches.match('/off')))";
    assert_eq!(outcome(script).await, "offline");
}

#[tokio::test]
async fn w37_a_clone_made_in_the_listener_is_in_time_and_a_later_one_is_not() {
    let world = World::with(
        "onfetch = e => {
           const r = new Response('x');
           e.respondWith(r);
           const copy = r.clone();
           const late = caches.open('v1').then(c => c.put('/late', r.clone())).catch(error => console.log(error.name));
           const early = late.then(() => caches.open('v1')).then(c => c.put(e.request, copy));
           e.waitUntil(early.then(() => caches.match(e.request)).then(async kept => console.log('kept', await kept.text())));
         }",
    );
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "x");
    assert_eq!(world.line().await, "TypeError");
    assert_eq!(world.line().await, "kept x");
}

#[tokio::test]
async fn w38_handled_tells_of_requests_that_were_left_and_of_failures() {
    let world = World::with(
        "onfetch = e => {
           e.waitUntil(e.handled.then(() => console.log('handled'), error => console.log(error.name)));
           if (e.request.url.endsWith('/bad')) e.respondWith(Promise.reject());
           if (e.request.url.endsWith('/good')) e.respondWith(new Response('good'));
           if (e.request.url.endsWith('/prevented')) e.preventDefault();
         }",
    );
    let site = world.ready().await;
    for (path, told) in
        [("/left", "handled"), ("/bad", "NetworkError"), ("/good", "handled"), ("/prevented", "NetworkError")]
    {
        answer(&site, path).await;
        assert_eq!(world.line().await, told, "{path}");
    }
}

#[tokio::test]
async fn w39_a_body_that_was_read_goes_out_again_only_where_its_bytes_are_known() {
    let world = World::with("onfetch = e => e.waitUntil(e.request.text().then(text => console.log(text)))");
    let site = world.ready().await;
    let mut request = get("/post");
    request.method = http::Method::POST;
    request.body = Some(Body::from("known"));
    let FetchOutcome::Fallback { request, .. } = site.fetch(FetchEvent::of(request)).await else {
        panic!("nobody answered")
    };
    assert_eq!(request.body.unwrap().collect(99).await.unwrap(), "known");
    assert_eq!(world.line().await, "known");
}

#[tokio::test]
async fn a_stream_that_the_script_did_not_read_goes_out_whole() {
    let world = World::with("onfetch = e => {}");
    let site = world.ready().await;
    let stream = futures::stream::iter([Ok(Bytes::from("one ")), Ok(Bytes::from("two"))]);
    let mut request = get("/post");
    request.method = http::Method::POST;
    request.body = Some(Body::from_stream(stream, None));
    let FetchOutcome::Fallback { request, .. } = site.fetch(FetchEvent::of(request)).await else {
        panic!("nobody answered")
    };
    assert_eq!(request.body.unwrap().collect(99).await.unwrap(), "one two");
}

#[tokio::test]
async fn w77_a_navigation_is_not_answered_with_a_redirected_response() {
    let world = World::with(
        "onfetch = e => e.respondWith(fetch('/redirected').then(
           r => e.request.url.endsWith('/rewrapped') ? new Response(r.body, r) : r))",
    );
    world.net.text("/redirected", "page");
    world.net.redirected("/redirected");
    let site = world.ready().await;
    let navigate = |path: &str| {
        let mut request = get(path);
        request.mode = RequestMode::Navigate;
        request.redirect = RequestRedirect::Manual;
        FetchEvent::of(request)
    };
    let strict = words(site.fetch(navigate("/x")).await).await;
    assert!(strict.starts_with("network error: the answer was redirected"), "{strict}");
    assert_eq!(words(site.fetch(navigate("/rewrapped")).await).await, "page");
}

#[tokio::test]
async fn w45_a_navigation_may_be_answered_with_a_redirect() {
    let world = World::with("onfetch = e => e.respondWith(Response.redirect('/other'))");
    let site = world.ready().await;
    let mut request = get("/x");
    request.mode = RequestMode::Navigate;
    request.redirect = RequestRedirect::Manual;
    let FetchOutcome::Response { response, .. } = site.fetch(FetchEvent::of(request)).await else {
        panic!("it was answered")
    };
    assert_eq!(response.status, 302);
    assert_eq!(response.headers.get_text("location").as_deref(), Some("https://a.test/other"));
}

#[tokio::test]
async fn w71_a_client_that_goes_away_aborts_the_fetch_and_wait_until_goes_on() {
    let world = World::with(
        "onfetch = e => {
           e.waitUntil(new Promise(r => e.request.signal.onabort = r).then(() => console.log('aborted')));
           e.respondWith(fetch(e.request).catch(error => { console.log(error.name); throw error }));
         }",
    );
    world.net.text("/slow", "");
    world.net.gate("/slow");
    let site = world.ready().await;
    let signal = AbortSignal::new();
    let request = Request { signal: Some(signal.clone()), ..get("/slow") };
    let asking = tokio::spawn({
        let site = site.clone();
        async move { site.fetch(FetchEvent::of(request)).await }
    });
    while world.net.asked("/slow") == 0 {
        world.net.reached.notified().await;
    }
    signal.abort();
    let mut lines = [world.line().await, world.line().await];
    lines.sort();
    assert_eq!(lines, ["AbortError", "aborted"]);
    assert!(words(asking.await.unwrap()).await.starts_with("network error"));
}

#[tokio::test]
async fn wait_until_may_be_called_while_the_event_is_active_and_no_later() {
    let cases = [
        ("Promise.resolve().then(() => e.waitUntil(1))", "ok"),
        ("setTimeout(() => e.waitUntil(1))", "InvalidStateError"),
        ("e.waitUntil(new Promise(r => setTimeout(r, 50))); setTimeout(() => e.waitUntil(1))", "ok"),
        ("const p = new Promise(r => setTimeout(r)); e.waitUntil(p); p.then(() => e.waitUntil(1))", "ok"),
        (
            "const p = new Promise(r => setTimeout(r)); e.waitUntil(p);
             p.then(() => Promise.resolve().then(() => e.waitUntil(1)))",
            "InvalidStateError",
        ),
        ("e.waitUntil(Promise.resolve()); setTimeout(() => e.waitUntil(1), 20)", "InvalidStateError"),
        ("new ExtendableEvent('x').waitUntil(1)", "InvalidStateError"),
    ];
    for (call, expected) in cases {
        // Whoever calls it, at whatever time, says what came of it.
        let script = format!(
            "const real = ExtendableEvent.prototype.waitUntil;
             let watched;
             ExtendableEvent.prototype.waitUntil = function (p) {{
               const last = p === 1;
               try {{ real.call(this, p); if (last) console.log('ok') }}
               catch (error) {{ console.log(error.name) }}
             }};
             onmessage = e => {{ {call} }}"
        );
        let world = World::with(&script);
        let site = world.ready().await;
        tell(&site, serde_json::json!(null)).await;
        assert_eq!(world.line().await, expected, "{call}");
    }
}

#[tokio::test]
async fn events_of_one_worker_interleave() {
    let world = World::with("onfetch = e => e.respondWith(fetch(e.request))");
    world.net.text("/slow", "slow");
    world.net.text("/fast", "fast");
    let gate = world.net.gate("/slow");
    let site = world.ready().await;
    let slow = tokio::spawn({
        let site = site.clone();
        async move { answer(&site, "/slow").await }
    });
    while world.net.asked("/slow") == 0 {
        world.net.reached.notified().await;
    }
    assert_eq!(answer(&site, "/fast").await, "fast");
    gate.notify_one();
    assert_eq!(slow.await.unwrap(), "slow");
}

#[tokio::test]
async fn w75_a_thousand_requests_on_a_cold_worker_are_one_start() {
    let world = World::with("console.log('started'); onfetch = e => e.respondWith(new Response('x'))");
    let site = world.ready().await;
    site.close(Duration::from_secs(5)).await;
    world.lines().await;
    let site = Arc::new(world.open().await);
    let answers = futures::future::join_all((0..1000).map(|_| answer(&site, "/x"))).await;
    assert!(answers.iter().all(|answer| answer == "x"));
    assert_eq!(world.lines().await, ["started"]);
}

#[tokio::test]
async fn a_stream_of_the_script_keeps_its_worker_alive_until_it_ends() {
    let mut world = World::with(
        "onfetch = e => e.respondWith(new Response(new ReadableStream({
           async pull(c) {
             this.n = (this.n ?? 0) + 1;
             await new Promise(r => setTimeout(r, 30));
             this.n > 3 ? c.close() : c.enqueue(new TextEncoder().encode(String(this.n)));
           }
         })))",
    );
    world.limits.idle = Duration::from_millis(5);
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "123");
}

#[tokio::test]
async fn preload_response_is_undefined_where_nothing_is_preloaded() {
    let script = "onfetch = e => e.respondWith(e.preloadResponse.then(r => new Response(String(r))))";
    assert_eq!(outcome(script).await, "undefined");
}

#[tokio::test]
async fn a_request_that_was_given_up_before_its_turn_leaves_no_trace() {
    let mut world = World::with("onfetch = e => e.respondWith(new Response('x'))");
    world.limits.concurrent_events = 1;
    let site = world.ready().await;
    for _ in 0..20 {
        let asking = site.fetch(FetchEvent::of(get("/x")));
        tokio::pin!(asking);
        // Wherever it has come to, that is where it is dropped.
        drop(futures::poll!(&mut asking));
    }
    assert_eq!(answer(&site, "/x").await, "x");
}
