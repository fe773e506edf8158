//! `importScripts`, and the loader of generated workers that is built on it.

mod support;

use std::time::Duration;

use support::{World, answer};
use waystore_worker::SiteError;

#[tokio::test]
async fn w66_what_was_imported_at_install_works_later_from_the_store_and_nothing_else_does() {
    let world = World::with(
        "oninstall = () => importScripts('/lib.js');
         onfetch = e => {
           let text;
           try { importScripts(e.request.url.endsWith('/other') ? '/other.js' : '/lib.js'); text = lib }
           catch (error) { text = error.name }
           e.respondWith(new Response(text));
         }",
    );
    world.net.script("/lib.js", "var lib = 'imported'");
    world.net.script("/other.js", "var lib = 'other'");
    let site = world.ready().await;
    assert_eq!(answer(&site, "/other").await, "NetworkError");
    site.close(Duration::from_secs(5)).await;
    world.net.remove("/lib.js");
    world.net.remove("/sw.js");
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "imported");
    assert_eq!(world.net.asked("/lib.js"), 1);
}

#[tokio::test]
async fn w67_an_import_that_is_no_javascript_is_a_network_error() {
    let world = World::with("importScripts('/lib.js')");
    world.net.text("/lib.js", "1");
    let error = world.open().await.ready().await.unwrap_err();
    assert!(matches!(&error, SiteError::Start { reason, .. } if reason.contains("NetworkError")), "{error}");
    let world = World::with("try { importScripts('/lib.js') } catch (error) { console.log(error.name) }");
    world.net.page("/lib.js", 404, "text/javascript", "1");
    world.ready().await;
    assert_eq!(world.line().await, "NetworkError");
}

#[tokio::test]
async fn w68_a_script_imported_twice_runs_twice_and_is_fetched_once() {
    let world = World::with("var n = 0; importScripts('/lib.js', '/lib.js'); console.log(n)");
    world.net.script("/lib.js", "n += 1");
    world.ready().await;
    assert_eq!(world.line().await, "2");
    assert_eq!(world.net.asked("/lib.js"), 1);
}

#[tokio::test]
async fn an_url_that_does_not_parse_is_a_syntax_error_and_a_throw_inside_comes_through() {
    let world = World::with(
        "for (const urls of [['https://:x'], ['/throws.js'], []]) {
           try { importScripts(...urls); console.log('fine') } catch (error) { console.log(error.name, error.message) }
         }",
    );
    world.net.script("/throws.js", "throw new RangeError('inside')");
    world.ready().await;
    assert!(world.line().await.starts_with("SyntaxError"));
    assert_eq!(world.line().await, "RangeError inside");
    assert_eq!(world.line().await, "fine");
}

#[tokio::test]
async fn imports_share_the_global_and_are_not_strict() {
    let world = World::with(
        "importScripts('/lib.js'); undeclared = 1; function shared() { return lib + undeclared }
         onfetch = e => e.respondWith(new Response(shared()))",
    );
    world.net.script("/lib.js", "var lib = 'lib'; alsoUndeclared = 2");
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "lib1");
}

/// The form of generated workers: a loader that imports inside a promise, and registers in microtasks.
#[tokio::test]
async fn a_loader_that_imports_and_registers_in_microtasks_is_heard() {
    let world = World::with(
        "if (!self.define) {
           const modules = {};
           const load = (name, base) => {
             const url = new URL(name + '.js', base).href;
             return modules[url] || new Promise(resolve => {
               if ('document' in self) throw new Error('no page');
               self.nextDefineUri = url;
               importScripts(url);
               resolve();
             }).then(() => modules[url]);
           };
           self.define = (needs, factory) => {
             const url = self.nextDefineUri || location.href;
             if (modules[url]) return;
             const exports = {};
             const require = name => load(name, url);
             const special = { exports, require };
             modules[url] = Promise.all(needs.map(need => special[need] || require(need)))
               .then(found => { factory(...found); return exports });
           };
         }
         define(['./lib'], lib => {
           self.skipWaiting();
           self.addEventListener('fetch', e => e.respondWith(new Response(lib.text + registration.scope)));
         });",
    );
    world.net.script("/lib.js", "define(['exports'], exports => { exports.text = 'from ' })");
    let site = world.ready().await;
    assert_eq!(answer(&site, "/x").await, "from https://a.test/");
}

#[tokio::test]
async fn a_fragment_makes_no_other_script() {
    let world = World::with("importScripts('/lib.js#1', '/lib.js#2'); onfetch = e => e.respondWith(new Response(lib))");
    world.net.script("/lib.js", "var lib = 'kept'");
    let site = world.ready().await;
    site.close(Duration::from_secs(5)).await;
    world.net.remove("/sw.js");
    world.net.remove("/lib.js");
    assert_eq!(answer(&world.ready().await, "/x").await, "kept");
    assert_eq!(world.net.asked("/lib.js"), 1);
}
