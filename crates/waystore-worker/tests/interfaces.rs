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
        RunOptions { url, may_persist: false, limits: world.limits.clone() },
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
