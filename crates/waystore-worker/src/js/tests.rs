//! Tries the interfaces: on a context of its own, with a store in memory and a network of canned
//! answers. What script can check itself is in `tests/js/`, run by [`cases`].

mod cases;
mod network;

use std::{cell::RefCell, rc::Rc, sync::Arc};

use rquickjs::{AsyncContext, AsyncRuntime, CatchResultExt, Class, Coerced, Ctx, Value};
use url::Url;
use waystore::{Body, Clock, CredentialHash, Request, Response, ResponseSource, Visitor, Waystore};

use self::network::Canned;
use super::{Realm, Work, install, new_request, response::NotAResponse, take_response};
use crate::{event::ConsoleLine, isolate::Revocation};

/// The script whose interfaces are tried.
const BASE: &str = "https://a.test/app/sw.js";

/// Runs `script` on a fresh context with all interfaces.
async fn on_context<R: 'static>(script: impl for<'js> AsyncFnOnce(Ctx<'js>, Rc<Realm>) -> R) -> R {
    on_context_with(Rc::new(|line| println!("{:?} {}", line.level, line.text)), script).await
}

/// The same, with a console.
async fn on_context_with<R: 'static>(
    console: Rc<dyn Fn(ConsoleLine)>,
    script: impl for<'js> AsyncFnOnce(Ctx<'js>, Rc<Realm>) -> R,
) -> R {
    let runtime = AsyncRuntime::new().unwrap();
    let context = AsyncContext::full(&runtime).await.unwrap();
    let realm = realm_of_tests(console);
    context
        .async_with(async move |ctx| {
            install(&ctx, Rc::clone(&realm)).catch(&ctx).unwrap();
            script(ctx, realm).await
        })
        .await
}

fn realm_of_tests(console: Rc<dyn Fn(ConsoleLine)>) -> Rc<Realm> {
    let caches = Waystore::in_memory().caches(BASE).unwrap();
    Rc::new(Realm {
        spooler: caches.spooler(),
        caches,
        fetch: Arc::new(Canned::default()),
        prefetch: None,
        base: Url::parse(BASE).unwrap(),
        persistence: None,
        console,
        uncaught: Rc::new(|_| {}),
        clock: Arc::new(Clock::system()),
        revoked: Revocation::default(),
        work: Work::default(),
    })
}

#[test]
fn an_answer_leaves_script_without_being_read() {
    with_context(async |ctx, realm| {
        let cache = realm.caches.open("v1").await.unwrap();
        cache.put("/x", Response::new(vec![7; 100_000])).await.unwrap();
        let answer: rquickjs::Promise<'_> = ctx.eval("caches.match('https://a.test/x')").unwrap();
        let answer: Value<'_> = answer.into_future().await.unwrap();
        let response = take_response(&ctx, &answer).unwrap();
        assert_eq!(response.source, ResponseSource::Cache);
        assert_eq!(response.body.unwrap().length(), Some(100_000));
        assert_eq!(take_response(&ctx, &answer).unwrap_err(), NotAResponse::Used);
        assert_eq!(take_response(&ctx, &ctx.eval("({})").unwrap()).unwrap_err(), NotAResponse::Other);
    });
}

#[test]
fn a_laundered_body_leaves_script_as_it_came() {
    with_context(async |ctx, realm| {
        let cache = realm.caches.open("v1").await.unwrap();
        cache.put("/x", Response::new(vec![7; 100_000])).await.unwrap();
        let source = "caches.match('https://a.test/x').then((r) => new Response(r.body, r))";
        let answer: rquickjs::Promise<'_> = ctx.eval(source).unwrap();
        let answer: Value<'_> = answer.into_future().await.unwrap();
        let response = take_response(&ctx, &answer).unwrap();
        // A body that went through script would be a stream of unknown length.
        assert_eq!(response.body.unwrap().length(), Some(100_000));
    });
}

#[test]
fn a_request_comes_back_as_it_was_with_its_visitor() {
    with_context(async |ctx, _| {
        let visitor = Visitor { credentials: Some(CredentialHash([1; 16])), event: CredentialHash([2; 16]) };
        let mut request = Request::get("https://a.test/x#f").unwrap().header("Cookie", "a=b");
        request.visitor = Some(visitor);
        request.mode = waystore::RequestMode::Navigate;
        request.body = Some(Body::from("body"));
        let value = new_request(&ctx, request).unwrap();
        ctx.globals().set("request", value.clone()).unwrap();
        let copy: Value<'_> = ctx.eval("request.clone()").unwrap();
        let mode: String = ctx.eval("request.mode + request.url").unwrap();
        assert_eq!(mode, "navigatehttps://a.test/x#f");
        for value in [copy, value] {
            let taken = take_request(&ctx, &value).unwrap();
            assert_eq!(taken.visitor, Some(visitor));
            assert_eq!(taken.headers.get_text("cookie").as_deref(), Some("a=b"));
            assert_eq!(taken.body.unwrap().collect(10).await.unwrap(), "body");
            assert!(take_request(&ctx, &value).is_none());
        }
    });
}

#[test]
fn a_request_of_script_keeps_the_visitor_of_what_it_was_made_from() {
    with_context(async |ctx, _| {
        let visitor = Visitor { credentials: None, event: CredentialHash([2; 16]) };
        let mut request = Request::get("https://a.test/x").unwrap();
        request.visitor = Some(visitor);
        ctx.globals().set("request", new_request(&ctx, request).unwrap()).unwrap();
        let made: Value<'_> = ctx.eval("new Request(new Request(request), { headers: { a: '1' } })").unwrap();
        assert_eq!(take_request(&ctx, &made).unwrap().visitor, Some(visitor));
        let other: Value<'_> = ctx.eval("new Request(request.url)").unwrap();
        assert_eq!(take_request(&ctx, &other).unwrap().visitor, None);
    });
}

#[test]
fn the_signal_of_a_request_follows_the_client() {
    with_context(async |ctx, _| {
        let client = waystore::AbortSignal::new();
        let mut request = Request::get("https://a.test/x").unwrap();
        request.signal = Some(client.clone());
        ctx.globals().set("request", new_request(&ctx, request).unwrap()).unwrap();
        let aborted: rquickjs::Promise<'_> = ctx
            .eval("new Promise((done) => (request.signal.onabort = () => done(request.signal.reason.name)))")
            .unwrap();
        client.abort();
        assert_eq!(aborted.into_future::<String>().await.unwrap(), "AbortError");
        let copy: bool = ctx.eval("new Request(request).signal.aborted").unwrap();
        assert!(copy);
    });
}

/// A navigation with a header that script may not set, as an event has it.
fn navigation(ctx: &Ctx<'_>) {
    let mut request = Request::get("https://a.test/page").unwrap().header("Cookie", "a=b").header("X-A", "1");
    request.mode = waystore::RequestMode::Navigate;
    request.destination = waystore::Destination::Document;
    ctx.globals().set("navigation", new_request(ctx, request).unwrap()).unwrap();
}

#[test]
fn f42_f43_any_member_of_init_makes_a_navigation_an_ordinary_request() {
    with_context(async |ctx, _| {
        navigation(&ctx);
        for (source, expected) in [
            ("new Request(navigation).mode", "navigate"),
            ("new Request(navigation, {}).mode", "navigate"),
            ("new Request(navigation, {headers: {}}).mode", "same-origin"),
            ("[...new Request(navigation, {method: 'GET'}).headers].join()", "x-a,1"),
            ("[...new Request(navigation, {headers: {}}).headers].join()", ""),
            ("navigation.destination", "document"),
            ("(() => { try { navigation.headers.set('a', 'b') } catch (e) { return e.name } })()", "TypeError"),
        ] {
            let value: Coerced<String> = ctx.eval(source).catch(&ctx).unwrap();
            assert_eq!(value.0, expected, "{source}");
        }
    });
}

#[test]
fn e101_a_navigation_that_is_put_stays_one() {
    with_context(async |ctx, realm| {
        navigation(&ctx);
        let put = "caches.open('v1').then((c) => c.put(navigation, new Response('1')))";
        ctx.eval::<rquickjs::Promise<'_>, _>(put).unwrap().into_future::<()>().await.catch(&ctx).unwrap();
        let keys = realm.caches.open("v1").await.unwrap().keys((), Default::default()).await.unwrap();
        assert_eq!(keys[0].mode, waystore::RequestMode::Navigate);
        assert_eq!(keys[0].destination, waystore::Destination::Document);
    });
}

#[test]
fn e153_an_opaque_answer_leaves_script_with_the_body_it_hides() {
    with_context(async |ctx, _| {
        let source = "caches.open('v1').then(async (c) => {
            await c.put('/k', await fetch('/opaque', { mode: 'no-cors' }));
            return c.match('/k');
        })";
        let answer: rquickjs::Promise<'_> = ctx.eval(source).unwrap();
        let answer: Value<'_> = answer.into_future().await.catch(&ctx).unwrap();
        let response = take_response(&ctx, &answer).unwrap();
        assert_eq!(response.status, 206);
        assert_eq!(response.body.unwrap().collect(100).await.unwrap(), "hidden");
    });
}

#[test]
fn errors_of_the_library_are_those_of_the_table() {
    use waystore::Error;
    with_context(async |ctx, _| {
        let url = || Url::parse("https://a.test/x").unwrap();
        for (error, name) in [
            (Error::type_error("rule"), "TypeError"),
            (Error::Fetch { url: url(), reason: "refused".to_owned() }, "TypeError"),
            (Error::Duplicate { url: url() }, "InvalidStateError"),
            (Error::Aborted, "AbortError"),
            (Error::QuotaExceeded { requested: Some(2), quota: Some(1) }, "QuotaExceededError"),
            (Error::Security { origin: "null".to_owned() }, "SecurityError"),
            (Error::Damaged { detail: "here".to_owned() }, "UnknownError"),
            (Error::unavailable("gone"), "UnknownError"),
        ] {
            let thrown = super::Thrown::from(error).into_value(&ctx);
            assert_eq!(thrown.as_object().unwrap().get::<_, String>("name").unwrap(), name);
        }
        let long = "x".repeat(1000);
        let thrown = super::Thrown::type_error(long.as_str()).into_value(&ctx);
        assert_eq!(thrown.as_object().unwrap().get::<_, String>("message").unwrap(), long);
        let quota = super::Thrown::from(Error::QuotaExceeded { requested: Some(2), quota: None }).into_value(&ctx);
        let quota = quota.into_object().unwrap();
        assert_eq!(quota.get::<_, f64>("requested").unwrap(), 2.0);
        assert!(quota.get::<_, Value<'_>>("quota").unwrap().is_null());
    });
}

#[test]
fn the_console_shows_values_in_words() {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let written = Rc::clone(&lines);
    let console: Rc<dyn Fn(ConsoleLine)> = Rc::new(move |line| written.borrow_mut().push((line.level, line.text)));
    let shown = |source: &'static str| {
        lines.borrow_mut().clear();
        let console = Rc::clone(&console);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(on_context_with(console, async move |ctx: Ctx<'_>, _| {
            ctx.eval::<Value<'_>, _>(source).catch(&ctx).map(drop).unwrap();
        }));
        lines.borrow().iter().map(|(level, text)| format!("{level:?} {text}")).collect::<Vec<_>>().join("\n")
    };
    for (source, expected) in [
        ("console.log('a', 1, -0, 5n, null, undefined, Symbol('s'))", "Info a 1 -0 5n null undefined Symbol(s)"),
        ("console.log({ a: 'x', 'b-c': [1, , 'y'] })", r#"Info { a: "x", "b-c": [1, [empty], "y"] }"#),
        ("const o = {}; o.o = o; console.log(o)", "Info { o: [circular] }"),
        ("console.log(new Map([['k', new Set([1])]]))", r#"Info Map(1) { "k" => Set(1) { 1 } }"#),
        ("console.log(new Headers({ a: '1' }))", r#"Info Headers { a: "1" }"#),
        ("console.log(new URL('https://a.test/'))", r#"Info URL { href: "https://a.test/" }"#),
        ("console.log('%s is %d%%', 'x', 5.7, 'rest')", "Info x is 5% rest"),
        (
            "console.group('g'); console.warn('in'); console.groupEnd(); console.debug('out')",
            "Info g\nWarn   in\nDebug out",
        ),
        ("console.assert(true); console.assert(false, 'why')", "Error Assertion failed: why"),
        ("console.count(); console.count('a'); console.count()", "Info default: 1\nInfo a: 1\nInfo default: 2"),
        ("console.table([{ a: 1, b: 'x' }])", "Info (index)  a  b\n0        1  \"x\""),
        ("console.log(class A {}, () => {}, new Response().status)", "Info [class A] [function] 200"),
        ("console.log({ get a() { throw 1 } })", "Info { a: [getter] }"),
    ] {
        assert_eq!(shown(source), expected, "{source}");
    }
    assert!(shown("console.error(new TypeError('m'))").starts_with("Error TypeError: m\n    at"));
    assert!(shown("console.log(new Response('x'))").starts_with("Info Response {\n  status: 200,"));
    assert!(shown("console.log('x'.repeat(100_000))").len() < 20_000);
    assert!(shown("console.log(new Array(100_000).fill('xxxxxxxxxxxxxxxxxxxx'.repeat(50)))").len() < 20_000);
}

#[test]
fn a_revoked_realm_refuses_every_native_call() {
    with_context(async |ctx, realm| {
        realm.revoked.cancel();
        for call in ["caches.keys()", "new URL('https://a.test').href", "setTimeout(() => {})", "fetch('/x')"] {
            assert!(ctx.eval::<Value<'_>, _>(call).is_err(), "{call}");
            ctx.catch();
        }
    });
}

#[test]
#[ignore = "a figure, not a rule: run it in release with --nocapture"]
fn figures_of_a_fresh_context() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let measured = async |count: u32| {
        let begun = std::time::Instant::now();
        for _ in 0..count {
            on_context(async |_, _| ()).await;
        }
        begun.elapsed() / count
    };
    runtime.block_on(async {
        measured(5).await;
        println!("a context with all interfaces: {:?}", measured(50).await);
        let begun = std::time::Instant::now();
        for _ in 0..50 {
            AsyncContext::full(&AsyncRuntime::new().unwrap()).await.unwrap();
        }
        println!("a bare context: {:?}", begun.elapsed() / 50);
        let sources = prelude();
        let runtime = AsyncRuntime::new().unwrap();
        let context = AsyncContext::full(&runtime).await.unwrap();
        context
            .async_with(async |ctx| {
                let begun = std::time::Instant::now();
                for source in std::iter::repeat_n(&sources, 50).flatten() {
                    drop(rquickjs::Module::declare(ctx.clone(), "parsed", source.as_str()).unwrap());
                }
                println!("not in it, the parser for the prelude: {:?}", begun.elapsed() / 50);
            })
            .await;
        let runtime = AsyncRuntime::new().unwrap();
        let context = AsyncContext::full(&runtime).await.unwrap();
        let bare = runtime.memory_usage().await.malloc_size;
        context.async_with(async |ctx| install(&ctx, realm_of_tests(Rc::new(|_| {}))).catch(&ctx).unwrap()).await;
        let with_all = runtime.memory_usage().await.malloc_size;
        context
            .async_with(async |ctx| {
                let bytes: Value<'_> = ctx.eval("new Uint8Array(1 << 20).map((_, index) => index)").unwrap();
                let begun = std::time::Instant::now();
                for _ in 0..100 {
                    assert_eq!(super::values::bytes_of(&bytes).unwrap().len(), 1 << 20);
                }
                println!("a mebibyte out of the engine: {:?}", begun.elapsed() / 100);
            })
            .await;
        println!("the engine's heap: {} KiB bare, {} KiB with all interfaces", bare / 1024, with_all / 1024);
    });
}

/// The files of the prelude, without those of a worker's global.
fn prelude() -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/js/prelude");
    let files = [folder.join("streams"), folder].into_iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let files = files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|kind| kind == "js"));
    files.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn names_and_lengths_are_those_of_webidl() {
    with_context(async |ctx, _| {
        for (source, expected) in [
            ("Cache.prototype.put.length", "2"),
            ("Cache.prototype.matchAll.length", "0"),
            ("Cache.prototype.put.name", "put"),
            ("Object.getOwnPropertyDescriptor(Response.prototype, 'url').get.name", "get url"),
            ("Object.prototype.toString.call(caches)", "[object CacheStorage]"),
            ("Object.keys(CacheStorage.prototype).join()", "match,has,open,delete,keys"),
            ("Headers.name + Headers.length + Request.length", "Headers01"),
            ("JSON.stringify(Object.getOwnPropertyDescriptor(globalThis, 'Cache').enumerable)", "false"),
            ("class R extends Response {}; String(new R() instanceof R && new R() instanceof Response)", "true"),
        ] {
            let value: Coerced<String> = ctx.eval(source).catch(&ctx).unwrap();
            assert_eq!(value.0, expected, "{source}");
        }
    });
}

#[test]
fn work_is_counted_until_it_has_settled() {
    with_context(async |ctx, realm| {
        let opened: rquickjs::Promise<'_> =
            ctx.eval("caches.open('a').then(() => new Promise((later) => setTimeout(later, 5)))").unwrap();
        assert!(!realm.work.is_idle());
        opened.into_future::<()>().await.unwrap();
        realm.work.idle().await;
        assert!(realm.work.is_idle());
    });
}

/// The request behind an object of the script, with its body; `None` where that was used.
fn take_request<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> Option<Request> {
    let request = Class::<super::request::Request<'js>>::from_value(value).unwrap();
    let native = request.borrow().to_native(ctx, true);
    native.ok()
}

fn with_context(script: impl for<'js> AsyncFnOnce(Ctx<'js>, Rc<Realm>)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(on_context(script));
}
