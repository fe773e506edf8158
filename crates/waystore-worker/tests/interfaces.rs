//! The interfaces in a worker's own global: what a script makes of a body, and what nobody handled.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use support::{World, answer, tell};
use url::Url;
use waystore_worker::{RunError, RunOptions, run_scripts};

async fn run(world: &World, script: &str) -> Result<(), RunError> {
    let url = Url::parse("https://a.test/page.html").unwrap();
    let scripts = vec![(Url::parse("file:///scripts/0.js").unwrap(), script.as_bytes().to_vec())];
    run_scripts(
        RunOptions { url, may_persist: false, limits: world.limits.clone(), files: None },
        scripts,
        &world.store,
        world.host(),
    )
    .await
}

#[tokio::test]
async fn an_answer_may_go_through_transforms_and_compression() {
    let world = World::with(
        "const upper = () => new TransformStream({ transform: (text, c) => c.enqueue(text.toUpperCase()) });
         onfetch = e => e.respondWith(fetch('/data').then(r => new Response(
           r.body.pipeThrough(new CompressionStream('gzip')).pipeThrough(new DecompressionStream('gzip'))
             .pipeThrough(new TextDecoderStream()).pipeThrough(upper()).pipeThrough(new TextEncoderStream()))))",
    );
    world.net.text("/data", "fetched");
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "FETCHED");
}

#[tokio::test]
async fn a_shell_is_put_together_from_the_cache_and_the_network() {
    let world = World::with(
        "onfetch = e => {
           const { readable, writable } = new TransformStream();
           e.respondWith(new Response(readable));
           e.waitUntil((async () => {
             for (const part of [new Response('<head>'), await fetch('/data'), new Response('<foot>')]) {
               await part.body.pipeTo(writable, { preventClose: true });
             }
             await writable.close();
           })());
         }",
    );
    world.net.text("/data", "middle");
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "<head>middle<foot>");
}

#[tokio::test]
async fn streams_that_fail_reject_nothing_that_no_script_holds() {
    let world = World::with("");
    let script = "
        const fail = () => { throw new Error('of the source') };
        const caught = promise => promise.then(() => console.log('none'), error => console.log(error.message));
        (async () => {
          await caught(new ReadableStream({ pull: fail }).pipeTo(new WritableStream()));
          await caught(new ReadableStream({ pull: fail }).tee()[0].getReader().read());
          await caught(new ReadableStream({ type: 'bytes', pull: fail }).tee()[1].getReader().read());
          const through = new ReadableStream({ pull: fail }).pipeThrough(new TransformStream());
          await caught(new Response(through).text());
          const writer = new WritableStream({ write: fail }).getWriter();
          await caught(writer.write(1));
          const kept = new TransformStream({ flush: fail });
          await caught(kept.writable.close());
          new Response('x').body.getReader().releaseLock();
          new WritableStream().getWriter().releaseLock();
          new WritableStream().abort('why');
          for await (const chunk of new Response('x').body) break;
        })()";
    run(&world, script).await.unwrap();
    assert_eq!(world.lines().await, ["of the source"; 6]);
}

#[tokio::test]
async fn report_error_is_an_error_event_of_the_global() {
    let world = World::with(
        "onmessage = e => { reportError(new TypeError(e.data)); console.log('and on') };
         onerror = (message, file, line, column, error) => { console.log(message, error instanceof TypeError); return true }",
    );
    let site = world.ready().await;
    tell(&site, serde_json::json!("mine")).await;
    assert_eq!(world.line().await, "Uncaught TypeError: mine true");
    assert_eq!(world.line().await, "and on");
}

#[tokio::test]
async fn a_run_ends_when_only_ports_are_open() {
    let world = World::with("");
    let script = "
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = e => console.log(e.data);
        port2.postMessage('through');
        new BroadcastChannel('a').onmessage = () => {};";
    run(&world, script).await.unwrap();
    assert_eq!(world.lines().await, ["through"]);
}

/// What only a service worker has, in the form of `js/harness/interfaces.js`.
const SERVICE_WORKER: &str = "
WorkerGlobalScope() : EventTarget | onerror= onlanguagechange= onoffline= ononline= onrejectionhandled= onunhandledrejection= importScripts/0 fetch/1! caches crypto performance= atob/1 btoa/1 setTimeout/1 setInterval/1 clearTimeout/0 clearInterval/0 queueMicrotask/1 structuredClone/1 reportError/1 self location navigator origin= isSecureContext crossOriginIsolated
ServiceWorkerGlobalScope() : WorkerGlobalScope |
ServiceWorker() : EventTarget | scriptURL state postMessage/1 onstatechange= onerror=
ServiceWorkerRegistration() : EventTarget | installing waiting active navigationPreload scope updateViaCache update/0! unregister/0! onupdatefound=
NavigationPreloadManager() | enable/0! disable/0! setHeaderValue/1! getState/0!
Client() | id url type frameType postMessage/1
WindowClient() : Client | visibilityState focused ancestorOrigins focus/0! navigate/1!
Clients() | get/1! matchAll/0! openWindow/1! claim/0!
ExtendableEvent(1) : Event | waitUntil/1
InstallEvent(1) : ExtendableEvent | addRoutes/1!
FetchEvent(2) : ExtendableEvent | isTrusted request preloadResponse! clientId resultingClientId replacesClientId handled! respondWith/1
ExtendableMessageEvent(1) : ExtendableEvent | data origin lastEventId source ports
StorageManager() | persisted/0! estimate/0!";

#[tokio::test]
async fn interfaces_of_a_service_worker_are_as_a_browser_shows_them() {
    let script = format!(
        "{}; oninstall = e => e.waitUntil(checkInterfaces(`{SERVICE_WORKER}`).then(wrong => console.log(`wrong: ${{wrong}}`)))",
        include_str!("js/harness/interfaces.js")
    );
    let world = World::with(&script);
    world.ready().await;
    assert_eq!(world.line().await, "wrong: ");
}

#[tokio::test]
async fn the_global_of_a_service_worker_has_what_is_its_own_and_not_what_is_a_pages() {
    let world = World::with(
        "console.log(String(self), self instanceof ServiceWorkerGlobalScope, Object.getPrototypeOf(self) === ServiceWorkerGlobalScope.prototype);
         const missing = ['clients', 'registration', 'serviceWorker', 'skipWaiting', 'oninstall', 'onactivate', 'onfetch', 'onmessage',
           'onmessageerror', 'importScripts', 'caches', 'self', 'location', 'navigator', 'onerror', 'onunhandledrejection',
           'onrejectionhandled', 'isSecureContext', 'origin', 'crossOriginIsolated', 'performance', 'crypto', 'fetch'];
         console.log(missing.filter(name => !(name in self)).join());
         const present = ['close', 'window', 'document', 'postMessage', 'Window', 'XMLHttpRequest', 'Worker', 'localStorage'];
         console.log(present.filter(name => name in self).join(), 'persist' in navigator.storage, 'pushManager' in registration);
         console.log([skipWaiting.length, importScripts.length, skipWaiting.name, importScripts.name].join());
         console.log(Object.keys(self).includes('onfetch'), Object.getOwnPropertyDescriptor(self, 'registration').get.name);",
    );
    world.ready().await;
    for expected in [
        "[object ServiceWorkerGlobalScope] true true",
        "",
        " false false",
        "0,0,skipWaiting,importScripts",
        "true get registration",
    ] {
        assert_eq!(world.line().await, expected);
    }
}

#[tokio::test]
async fn f63_an_answer_that_a_script_made_goes_out_as_it_made_it() {
    let world = World::with("onfetch = e => e.respondWith(new Response('s'))");
    let site = world.ready().await;
    let outcome = site.fetch(waystore_worker::FetchEvent::of(support::get("/x"))).await;
    let waystore_worker::FetchOutcome::Response { response, .. } = outcome else { panic!("it was answered") };
    // The URL of the request is the page's to add: none is stored or sent.
    assert!(response.url_list.is_empty());
    assert_eq!((response.status, response.kind), (200, waystore::ResponseType::Default));
}
