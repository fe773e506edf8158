//! The global as a worker's script sees it: messages, clients, the console, and what nobody caught.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::time::Duration;

use support::{World, answer, tell};

#[tokio::test]
async fn w52_a_message_event_has_its_defaults_and_a_message_its_data() {
    let world = World::with(
        "const made = new ExtendableMessageEvent('message');
         console.log(made.data === null, made.origin === '', made.ports.length, made.source);
         onmessage = e => console.log(JSON.stringify(e.data), e.source, e.ports.length, e.origin)",
    );
    let site = world.ready().await;
    tell(&site, serde_json::json!({ "type": "PREFETCH", "urls": ["/a"] })).await;
    assert_eq!(world.line().await, "true true 0 null");
    assert_eq!(world.line().await, r#"{"type":"PREFETCH","urls":["/a"]} null 0 https://a.test"#);
}

#[tokio::test]
async fn an_uncaught_error_and_a_rejection_are_told() {
    let world = World::with(
        "onunhandledrejection = e => { console.log('event', e.reason); if (e.reason === 'mine') e.preventDefault() };
         onmessage = e => Promise.reject(e.data)",
    );
    let site = world.ready().await;
    tell(&site, serde_json::json!("mine")).await;
    assert_eq!(world.line().await, "event mine");
    tell(&site, serde_json::json!("yours")).await;
    assert_eq!(world.line().await, "event yours");
    assert!(world.line().await.contains("yours"));
}

#[tokio::test]
async fn the_global_is_that_of_a_service_worker() {
    let world = World::with(
        "onfetch = e => e.respondWith(new Response(JSON.stringify([
           self === globalThis, self instanceof ServiceWorkerGlobalScope, location.href, location.origin, origin,
           isSecureContext, navigator.onLine, navigator.userAgent.startsWith('Waystore/'), typeof importScripts,
           'document' in self, typeof window, 'close' in self, 'indexedDB' in self, 'pushManager' in registration,
           typeof XMLHttpRequest, e instanceof FetchEvent, e instanceof ExtendableEvent, e.isTrusted,
           e.clientId, String(e.preloadResponse)])))",
    );
    let site = world.ready().await;
    let expected = serde_json::json!([
        true,
        true,
        "https://a.test/sw.js",
        "https://a.test",
        "https://a.test",
        true,
        true,
        true,
        "function",
        false,
        "undefined",
        false,
        false,
        false,
        "undefined",
        true,
        true,
        true,
        "",
        "[object Promise]"
    ]);
    assert_eq!(answer(&site, "/x").await, expected.to_string());
}

#[tokio::test]
async fn events_that_script_makes_extend_nothing_and_answer_nothing() {
    let world = World::with(
        "addEventListener('fetch', e => {
           if (e.isTrusted) return;
           try { e.respondWith(new Response('x')) } catch (error) { console.log(error.name) }
         });
         onmessage = () => dispatchEvent(new FetchEvent('fetch', { request: new Request('/x') }))",
    );
    let site = world.ready().await;
    tell(&site, serde_json::json!(null)).await;
    assert_eq!(world.line().await, "InvalidStateError");
}

#[tokio::test]
async fn a_message_starts_a_worker_that_is_not_running() {
    let mut world = World::with("onmessage = e => console.log('heard', e.data)");
    world.limits.idle = Duration::from_millis(5);
    let site = world.ready().await;
    while site.status().active.is_some_and(|worker| worker.running) {
        tokio::task::yield_now().await;
    }
    tell(&site, serde_json::json!("you")).await;
    assert_eq!(world.line().await, "heard you");
}

#[tokio::test]
async fn a_listener_that_is_added_late_is_warned_of_on_the_console() {
    let world = World::with(
        "addEventListener('message', () => {
           addEventListener('fetch', () => {});
           onfetch = () => {};
           addEventListener('other', () => {});
           console.log('done');
         })",
    );
    let site = world.ready().await;
    tell(&site, serde_json::json!(null)).await;
    for _ in 0..2 {
        assert!(world.line().await.starts_with("the listener for fetch was added after the first evaluation"));
    }
    assert_eq!(world.line().await, "done");
}

#[tokio::test]
async fn a_line_of_the_console_names_the_version_that_wrote_it() {
    let world = World::with("console.log('started'); onmessage = () => { throw new Error('x') }");
    let site = world.ready().await;
    tell(&site, serde_json::json!(null)).await;
    let mut console = world.console.lock().await;
    for _ in 0..2 {
        let line = console.recv().await.unwrap();
        assert_eq!(line.version.as_deref(), Some(support::active(&site).as_str()));
    }
}

#[tokio::test]
async fn an_error_that_a_listener_throws_is_an_error_event_and_else_a_line_with_its_position() {
    let world = World::with(
        "onmessage = e => {\n throw new TypeError(e.data) };
         onerror = (message, file, line, column, error) => {
           console.log(message, file, line, error instanceof TypeError);
           return error.message === 'mine';
         };
         addEventListener('error', e => console.log(e.type, e.isTrusted))",
    );
    let site = world.ready().await;
    tell(&site, serde_json::json!("mine")).await;
    assert_eq!(world.line().await, "Uncaught TypeError: mine https://a.test/sw.js 2 true");
    assert_eq!(world.line().await, "error true");
    tell(&site, serde_json::json!("yours")).await;
    assert_eq!(world.line().await, "Uncaught TypeError: yours https://a.test/sw.js 2 true");
    assert_eq!(world.line().await, "error true");
    let line = world.line().await;
    assert!(line.starts_with("Uncaught TypeError: yours") && line.contains("sw.js:2"), "{line}");
}

#[tokio::test]
async fn w50_what_cannot_be_cloned_is_not_posted() {
    let world = World::with(
        "onmessage = () => {
           for (const given of [[{ f() {} }], [Symbol()], [new Response()], [1, [{}]],
                              [1, [new ReadableStream()]], [1, 2], []]) {
             try { registration.active.postMessage(...given) } catch (error) { console.log(error.name) }
           }
         }",
    );
    let site = world.ready().await;
    tell(&site, serde_json::json!(null)).await;
    let expected = ["DataCloneError", "DataCloneError", "DataCloneError", "DataCloneError", "DataCloneError"];
    for expected in expected.into_iter().chain(["TypeError", "TypeError"]) {
        assert_eq!(world.line().await, expected);
    }
}

#[tokio::test]
async fn w51_a_worker_posts_to_itself_and_answers_the_sender() {
    let world = World::with(
        "let left = 2;
         onmessage = e => {
           console.log(e.source === registration.active, e.origin, JSON.stringify(e.data), e.ports.length);
           if (left-- > 0) (e.source ?? registration.active).postMessage({ left });
         }",
    );
    let site = world.ready().await;
    tell(&site, serde_json::json!("begin")).await;
    assert_eq!(world.line().await, r#"false https://a.test "begin" 0"#);
    assert_eq!(world.line().await, r#"true https://a.test {"left":1} 0"#);
    assert_eq!(world.line().await, r#"true https://a.test {"left":0} 0"#);
}

#[tokio::test]
async fn a_message_reaches_a_worker_that_waits() {
    let world = World::with(
        "onmessage = e => e.waitUntil(e.data === 'stay'
           ? new Promise(() => {})
           : new Promise(() => registration.waiting.postMessage(new Map([['from', registration.active.state]]))))",
    );
    let site = world.ready().await;
    tell(&site, serde_json::json!("stay")).await;
    world.net.script(
        "/sw.js",
        "onmessage = e => console.log(self.serviceWorker.state, e.data.get('from'), e.source === registration.active)",
    );
    site.update(false).await.unwrap();
    tell(&site, serde_json::json!("post")).await;
    assert_eq!(world.line().await, "installed activated true");
}

#[tokio::test]
async fn what_is_posted_arrives_as_it_was() {
    let world = World::with(
        "onmessage = e => {
           if (e.source === null) {
             const bytes = new Uint8Array([1, 2, 3]);
             const list = [1, , 'two', undefined, -0, NaN, 9007199254740993n, null, '\\ud800'];
             const shared = { list };
             const error = new RangeError('far', { cause: shared });
             const value = { shared, again: shared, map: new Map([[shared, new Set([1])]]), date: new Date(7),
               rule: /x/gi, bytes: bytes.subarray(1), error, box: Object('b'), lost: new DOMException('m', 'AbortError') };
             value.self = value;
             registration.active.postMessage(value, { transfer: [bytes.buffer] });
             return console.log(bytes.length);
           }
           const v = e.data;
           console.log(v.self === v, v.again === v.shared, v.map.get(v.shared).has(1), +v.date, String(v.rule));
           console.log(v.bytes.constructor.name, v.bytes.byteOffset, [...v.bytes].join(), v.bytes.buffer.byteLength);
           console.log(v.error instanceof RangeError, v.error.message, v.error.cause === v.shared, typeof v.box, v.lost.name);
           const l = v.shared.list;
           console.log(1 in l, l[3], Object.is(l[4], -0), l[5], l[6] === 9007199254740993n, l[7], l[8].charCodeAt(0) === 0xd800);
         }",
    );
    let site = world.ready().await;
    tell(&site, serde_json::json!(null)).await;
    for expected in [
        "0",
        "true true true 7 /x/gi",
        "Uint8Array 1 2,3 3",
        "true far true object AbortError",
        "false undefined true NaN true null true",
    ] {
        assert_eq!(world.line().await, expected);
    }
}
