//! Module workers: what they import, how it is kept and updated, and what modules may not do.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::time::Duration;

use support::{Waits, World, answer};
use waystore_worker::{SiteError, Updated, WorkerType};

/// A world whose `/sw.js` is a module.
fn world(script: &str) -> World {
    let mut world = World::with(script);
    world.worker_type = WorkerType::Module;
    world
}

/// Why the worker did not start.
async fn refused(world: &World) -> String {
    let error = world.open().await.ready().await.unwrap_err();
    assert!(matches!(error, SiteError::Start { .. }), "{error}");
    error.to_string()
}

const ANSWERS: &str = "import { text } from './lib/one.js';
    addEventListener('fetch', e => e.respondWith(new Response(text)));";

fn with_two_modules(world: &World, text: &str) {
    world.net.script("/lib/one.js", "import two from '../lib/two.js'; export const text = 'one ' + two");
    world.net.script("/lib/two.js", &format!("export default '{text}'"));
}

#[tokio::test]
async fn a_module_worker_runs_what_it_imports_and_starts_again_from_the_store() {
    let world = world(ANSWERS);
    with_two_modules(&world, "two");
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "one two");
    site.close(Duration::from_secs(5)).await;
    for path in ["/sw.js", "/lib/one.js", "/lib/two.js"] {
        world.net.remove(path);
    }
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "one two");
    assert_eq!(world.net.asked("/lib/two.js"), 1);
}

#[tokio::test]
async fn a_changed_module_is_a_new_version_however_deep_it_is_imported() {
    let world = world(ANSWERS);
    with_two_modules(&world, "two");
    let site = world.ready().await;
    assert_eq!(site.update(false).await.unwrap(), Updated::Unchanged);
    with_two_modules(&world, "three");
    let Updated::Installed { version } = site.update(false).await.unwrap() else { panic!("a module changed") };
    site.activated(&version).await;
    assert_eq!(answer(&site, "/x").await, "one three");
}

#[tokio::test]
async fn the_same_script_as_another_type_is_a_new_version() {
    let mut world = World::with(
        "self.kind = this === undefined ? 'module' : 'classic';
        self.onfetch = e => e.respondWith(new Response(self.kind))",
    );
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "classic");
    site.close(Duration::from_secs(5)).await;
    world.worker_type = WorkerType::Module;
    let site = world.ready().await;
    assert!(matches!(site.update(false).await.unwrap(), Updated::Installed { .. }));
    while answer(&site, "/x").await != "module" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_module_is_fetched_with_cors_and_without_credentials_once_for_all_who_import_it() {
    let world = world("import './a.js'; import './b.js'; import './a.js#again'; console.log(self.order.join())");
    world.net.script("/a.js", "import './b.js'; (self.order ??= []).push('a')");
    world.net.script("/b.js", "import './a.js'; (self.order ??= []).push('b')");
    world.ready().await;
    // A fragment makes another module of the same script.
    assert_eq!(world.line().await, "b,a,a");
    assert_eq!((world.net.asked("/a.js"), world.net.asked("/b.js")), (1, 1));
    let head = world.net.heads().into_iter().find(|head| head.url.path() == "/a.js").unwrap();
    assert_eq!(head.mode, waystore::RequestMode::Cors);
    assert_eq!(head.credentials, waystore::RequestCredentials::Omit);
    assert_eq!(head.destination, waystore::Destination::Script);
}

#[tokio::test]
async fn a_module_knows_its_url_and_is_strict() {
    let world = world(
        "import { url } from './lib/meta.js';
         console.log(import.meta.url, url, Object.keys(import.meta).join());
         try { undeclared = 1 } catch (error) { console.log(error.name, this) }",
    );
    world.net.script("/lib/meta.js", "export const url = new URL('x', import.meta.url).href");
    world.ready().await;
    assert_eq!(world.line().await, "https://a.test/sw.js https://a.test/lib/x url");
    assert_eq!(world.line().await, "ReferenceError undefined");
}

#[tokio::test]
async fn json_is_imported_as_json_and_as_nothing_else() {
    let world_ = world("import data from './data' with { type: 'json' }; console.log(data.list[1], data.__proto__)");
    world_.net.page("/data", 200, "application/manifest+json; charset=utf-8", r#"{"list":[1,2],"__proto__":3}"#);
    let site = world_.ready().await;
    assert_eq!(world_.line().await, "2 3");
    assert_eq!(site.update(false).await.unwrap(), Updated::Unchanged);
    for (script, mime, body) in [
        ("import './data'", "application/json", "1"),
        ("import x from './data' with { type: 'json' }", "text/javascript", "1"),
        ("import x from './data' with { type: 'json' }", "application/json", "{"),
        ("import x from './data' with { type: 'css' }", "text/css", ""),
    ] {
        let world = world(script);
        world.net.page("/data", 200, mime, body);
        refused(&world).await;
    }
}

#[tokio::test]
async fn what_cannot_be_found_or_linked_or_awaits_fails_the_start() {
    for (script, words) in [
        ("import 'lib'", "`lib`"),
        ("import 'kit'", "`kit`"),
        ("import 'waystore:kit'", "HTTP(S)"),
        ("import 'data:text/javascript,1'", "HTTP(S)"),
        ("import './missing.js'", "/missing.js"),
        ("import './text.js'", "text/plain"),
        ("import { absent } from './lib.js'", "absent"),
        ("await 0", "await"),
        ("if (false) await 0", "await"),
        ("import './awaits.js'", "await"),
        ("import './throws.js'", "thrown inside"),
        ("importScripts('/lib.js')", "importScripts"),
        ("with ({}) {}", "SyntaxError"),
    ] {
        let world = world(script);
        world.net.text("/text.js", "1");
        world.net.script("/lib.js", "export const there = 1");
        world.net.script("/awaits.js", "await new Promise(() => {})");
        world.net.script("/throws.js", "throw new Error('thrown inside')");
        let error = refused(&world).await;
        assert!(error.contains(words), "{script}: {error}");
    }
}

#[tokio::test]
async fn nothing_runs_of_a_graph_in_which_a_module_awaits() {
    let world = world("import './first.js'; console.log('main'); if (false) await 0");
    world.net.script("/first.js", "console.log('first')");
    refused(&world).await;
    assert!(world.lines().await.is_empty());
    world.net.script("/sw.js", "import './first.js'; import './awaits.js'; console.log('main')");
    world.net.script("/awaits.js", "export const x = await 1");
    refused(&world).await;
    assert!(world.lines().await.is_empty());
}

/// Spec: a service worker's `import()` rejects, what is loaded already included.
#[tokio::test]
async fn import_as_a_call_is_refused_in_modules_and_in_classic_scripts() {
    let script = "oninstall = e => e.waitUntil((async () => {
        for (const url of ['/lib.js', location.href]) {
          try { await import(url); console.log('imported') } catch (error) { console.log(error.name) }
        }
        try { importScripts('/lib.js'); console.log('no error') } catch (error) { console.log(error.name) }
      })())";
    let module = world(&format!("import '/lib.js'; self.{script}"));
    let classic = World::with(script);
    for (world, third) in [(module, "TypeError"), (classic, "no error")] {
        world.net.script("/lib.js", "1");
        world.ready().await;
        let lines = [world.line().await, world.line().await, world.line().await];
        assert_eq!(lines, ["TypeError", "TypeError", third]);
    }
}

#[tokio::test]
async fn a_graph_without_end_is_refused_and_a_long_one_is_not() {
    let world_ = world("import './0.js'; console.log('linked')");
    for number in 0..30 {
        world_.net.script(&format!("/{number}.js"), &format!("import './{}.js'", (number + 1) % 30));
    }
    world_.ready().await;
    assert_eq!(world_.line().await, "linked");
    let endless = world("import './0.js'");
    for number in 0..2000 {
        endless.net.script(&format!("/{number}.js"), &format!("import './{}.js'", number + 1));
    }
    let error = refused(&endless).await;
    assert!(error.contains("1024 modules") || error.contains("stack"), "{error}");
}
