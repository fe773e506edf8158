//! Classic scripts in one global, without a registration.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::time::Duration;

use support::World;
use url::Url;
use waystore_worker::{Limits, ModuleFiles, RunError, RunOptions, RunScript, WorkerType, run_scripts};

async fn run(world: &World, scripts: &[&str]) -> Result<(), RunError> {
    let url = Url::parse("https://a.test/page.html").unwrap();
    let named = |(index, script): (usize, &&str)| {
        (Url::parse(&format!("file:///scripts/{index}.js")).unwrap(), script.as_bytes().to_vec())
    };
    let scripts: Vec<_> = scripts.iter().enumerate().map(named).collect();
    run_scripts(
        RunOptions { url, may_persist: true, limits: world.limits.clone(), files: None },
        scripts,
        &world.store,
        world.host(),
    )
    .await
}

#[tokio::test]
async fn scripts_run_in_order_in_one_global_until_nothing_is_pending() {
    let world = World::with("");
    world.net.text("/data", "fetched");
    let scripts = [
        "var first = 'one'; undeclared = 2; setTimeout(() => console.log('timer'), 20)",
        "console.log(first, undeclared, location.href, self === globalThis);
         fetch('/data').then(r => caches.open('v1').then(c => c.put('/data', r)))
           .then(() => caches.match('/data')).then(r => r.text()).then(text => console.log(text))",
    ];
    run(&world, &scripts).await.unwrap();
    let mut lines = world.lines().await;
    assert_eq!(lines.remove(0), "one 2 https://a.test/page.html true");
    lines.sort();
    assert_eq!(lines, ["fetched", "timer"]);
    assert!(world.store.caches(support::ORIGIN).unwrap().has("v1").await.unwrap());
}

#[tokio::test]
async fn an_uncaught_error_ends_the_run_with_its_position() {
    let world = World::with("");
    let error = run(&world, &["\nnull.x", "console.log('not reached')"]).await.unwrap_err().to_string();
    assert!(error.contains("TypeError") && error.contains("0.js:2"), "{error}");
    assert!(!world.lines().await.iter().any(|line| line == "not reached"));
}

#[tokio::test]
async fn an_unhandled_rejection_ends_the_run_and_a_handled_one_does_not() {
    let world = World::with("");
    let error = run(&world, &["Promise.reject(new Error('nobody cares'))"]).await.unwrap_err().to_string();
    assert!(error.contains("nobody cares"), "{error}");
    let error = run(&world, &["setTimeout(() => Promise.reject(new Error('later')), 1)"]).await.unwrap_err();
    assert!(matches!(error, RunError::Uncaught { .. }), "{error}");
    run(&world, &["Promise.reject(1).catch(() => {})"]).await.unwrap();
    run(&world, &["onunhandledrejection = e => e.preventDefault(); Promise.reject(1)"]).await.unwrap();
}

#[tokio::test]
async fn an_error_in_a_timer_ends_the_run() {
    let world = World::with("");
    let error = run(&world, &["setTimeout(() => { throw new Error('in a timer') })"]).await.unwrap_err().to_string();
    assert!(error.contains("in a timer"), "{error}");
}

#[tokio::test]
async fn an_endless_loop_is_stopped() {
    let mut world = World::with("");
    world.limits = Limits { cpu_slice: Duration::from_millis(100), ..Limits::default() };
    let error = run(&world, &["for (;;);"]).await.unwrap_err();
    assert!(matches!(error, RunError::Stopped { .. }), "{error}");
}

/// What suites look at to know where they are, and what they need then.
#[tokio::test]
async fn a_suite_for_shells_finds_a_page_without_a_document() {
    let world = World::with("");
    world.net.text("/data", "fetched");
    let harness = "
        (function (global) {
          var pending = 0, ended = false, results = [], callbacks = [];
          function environment() {
            if ('document' in global) return 'window';
            for (var kind of ['Dedicated', 'Shared', 'Service', '']) {
              var name = kind + 'WorkerGlobalScope';
              if (name in global && global instanceof global[name]) return kind + 'worker';
            }
            return 'location' in global ? 'shell' : 'realm';
          }
          function finish() { if (ended && pending === 0) for (var callback of callbacks) callback(results) }
          global.GLOBAL = { isWindow: function () { return true }, isWorker: function () { return false } };
          global.environment = environment;
          global.add_completion_callback = function (callback) { callbacks.push(callback) };
          global.promise_test = function (body, name) {
            pending++;
            new Promise(function (resolve) { resolve(body({ step_timeout: function (f, ms) { return setTimeout(f, ms) } })) })
              .then(function () { results.push('PASS ' + name) }, function (error) { results.push('FAIL ' + name + ' ' + error) })
              .then(function () { pending--; finish() });
          };
          global.done = function () { ended = true; setTimeout(finish, 0) };
          global.addEventListener('error', function (event) { results.push('ERROR ' + event.message); event.preventDefault() });
          global.addEventListener('unhandledrejection', function (event) {
            results.push('REJECTION ' + event.reason);
            event.preventDefault();
          });
        })(this);";
    let tests = "
        add_completion_callback(results => console.log(results.join('; ')));
        promise_test(async () => { if (environment() !== 'shell') throw environment() }, 'where');
        promise_test(async t => { await new Promise(resolve => t.step_timeout(resolve, 5)) }, 'timer');
        promise_test(async () => {
          const cache = await self.caches.open('x');
          await cache.put(new Request('data'), await fetch('data'));
          const text = await (await cache.match(new URL('data', location.href))).text();
          if (text !== 'fetched') throw text;
          await caches.delete('x');
        }, 'caches');
        promise_test(async () => { throw new TypeError('as meant') }, 'fails');";
    let errors = "setTimeout(() => { throw new Error('thrown') }); Promise.reject('alone'); done()";
    run(&world, &[harness, tests, errors]).await.unwrap();
    let line = world.line().await;
    for part in [
        "PASS where",
        "PASS timer",
        "PASS caches",
        "FAIL fails TypeError: as meant",
        "ERROR Uncaught Error: thrown",
        "REJECTION alone",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[tokio::test]
async fn a_page_is_no_worker() {
    let world = World::with("");
    run(
        &world,
        &["console.log(String(self), 'WorkerGlobalScope' in self, self instanceof EventTarget, String(navigator), 'persist' in navigator.storage);
           console.log('importScripts' in self, 'postMessage' in self, Object.prototype.toString.call(location), 'window' in self)"],
    )
    .await
    .unwrap();
    assert_eq!(world.line().await, "[object Window] false true [object Navigator] true");
    assert_eq!(world.line().await, "false false [object Location] false");
}

#[tokio::test]
async fn there_is_no_service_worker_global() {
    let world = World::with("");
    run(&world, &["console.log(typeof registration, typeof clients, typeof skipWaiting, typeof caches)"])
        .await
        .unwrap();
    assert_eq!(world.line().await, "undefined undefined undefined object");
}

fn files() -> ModuleFiles {
    ModuleFiles::new(|url| match url.path() {
        "/scripts/lib/one.mjs" => Ok("import two from './two.mjs'; export const one = 'one ' + two".into()),
        "/scripts/lib/two.mjs" => Ok("export default 'two'".into()),
        "/scripts/data.json" => Ok(r#"{"list":[1,2]}"#.into()),
        path => Err(format!("there is no {path}")),
    })
}

/// Runs the first script as a module, the others as classic ones.
async fn run_module(world: &World, scripts: &[&str]) -> Result<(), RunError> {
    let url = Url::parse("https://a.test/page.html").unwrap();
    let options = RunOptions { url, may_persist: false, limits: world.limits.clone(), files: Some(files()) };
    let script = |(index, source): (usize, &&str)| RunScript {
        url: Url::parse(&format!("file:///scripts/{index}.js")).unwrap(),
        source: source.as_bytes().to_vec(),
        worker_type: if index == 0 { WorkerType::Module } else { WorkerType::Classic },
    };
    let scripts: Vec<_> = scripts.iter().enumerate().map(script).collect();
    run_scripts(options, scripts, &world.store, world.host()).await
}

#[tokio::test]
async fn a_module_imports_files_beside_it_and_is_over_before_the_next_script() {
    let world = World::with("");
    world.net.text("/data", "fetched");
    let module = "import { one } from './lib/one.mjs';
        import data from './data.json' with { type: 'json' };
        console.log(one, data.list[1], import.meta.url, this === undefined);
        const response = await fetch('/data');
        console.log(await response.text());
        globalThis.ready = true;";
    run_module(&world, &[module, "console.log(ready)"]).await.unwrap();
    assert_eq!(world.lines().await, ["one two 2 file:///scripts/0.js true", "fetched", "true"]);
}

#[tokio::test]
async fn import_as_a_call_finds_files_and_what_is_at_urls() {
    let world = World::with("");
    world.net.script("/remote.js", "import { near } from './near.js'; export const far = near + ' and far'");
    world.net.script("/near.js", "export const near = 'near'");
    let classic = "(async () => {
        const { one } = await import('./lib/one.mjs');
        const { far } = await import(new URL('remote.js', location.href));
        console.log(one, far);
      })()";
    run_module(&world, &["", classic]).await.unwrap();
    assert_eq!(world.lines().await, ["one two near and far"]);
}

#[tokio::test]
async fn what_a_module_cannot_import_rejects_and_says_why() {
    let world = World::with("");
    world.net.script("/evil.js", "import secret from 'file:///scripts/data.json' with { type: 'json' }");
    world.net.text("/text", "1");
    let script = "for (const name of ['./none.mjs', 'bare', 'data:text/javascript,1', 'https://a.test/evil.js', 'https://a.test/text', 'waystore:kit']) {
        try { await import(name); console.log('imported', name) } catch (error) { console.log(error.name, error.message) }
      }";
    run_module(&world, &[script]).await.unwrap();
    let lines = world.lines().await;
    let expected =
        ["/scripts/none.mjs", "`bare`", "neither a file", "only a file may import", "text/plain", "neither a file"];
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    for (line, words) in lines.iter().zip(expected) {
        assert!(line.starts_with("TypeError") && line.contains(words), "{words}: {line}");
    }
    let without_files = "import('./lib/one.mjs').catch(error => console.log(error.message))";
    run(&world, &[without_files]).await.unwrap();
    assert!(world.line().await.contains("files are not read here"));
}

#[tokio::test]
async fn a_module_that_throws_or_waits_for_ever_ends_the_run() {
    let world = World::with("");
    for (script, words) in [
        ("throw new TypeError('at once')", "at once"),
        ("await 0; throw new TypeError('later')", "later"),
        ("await new Promise(() => {})", "awaits what never comes"),
        ("import './none.mjs'", "/scripts/none.mjs"),
        ("not a module", "SyntaxError"),
    ] {
        let error = run_module(&world, &[script, "console.log('not reached')"]).await.unwrap_err().to_string();
        assert!(error.contains(words), "{script}: {error}");
        assert!(!world.lines().await.iter().any(|line| line == "not reached"), "{script}");
    }
    let handled = "self.onerror = message => { console.log(message); return true }; throw new Error('taken care of')";
    run_module(&world, &[handled]).await.unwrap();
    assert_eq!(world.lines().await, ["Uncaught Error: taken care of"]);
}

#[tokio::test]
async fn s8_s9_s10_a_page_is_granted_persistence_or_not_and_keeps_it() {
    let world = World::with("");
    let url = Url::parse("https://a.test/page.html").unwrap();
    let script = "(async () => {
        console.log(await navigator.storage.persisted(), await navigator.storage.persist());
        const bucket = await navigator.storageBuckets.open('b', { persisted: true });
        console.log(await bucket.persisted(), await bucket.persist());
    })()";
    for (may_persist, storage, bucket) in
        [(false, "false false", "false false"), (true, "false true", "true true"), (false, "true true", "true true")]
    {
        let options = RunOptions { url: url.clone(), may_persist, limits: world.limits.clone(), files: None };
        let scripts = vec![(url.clone(), script.into())];
        run_scripts(options, scripts, &world.store, world.host()).await.unwrap();
        assert_eq!(world.lines().await, [storage, bucket]);
    }
}
