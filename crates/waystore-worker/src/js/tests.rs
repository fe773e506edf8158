//! Runs the cases of `tests/js/`: each file on a context of its own, with a store in memory and a
//! network of canned answers.
//!
//! A case that is known to fail is a line of `tests/js/expectations.txt`, with its reason; one that
//! starts to pass fails the run until its line is gone.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    path::Path,
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use rquickjs::{AsyncContext, AsyncRuntime, CatchResultExt, Class, Coerced, Ctx, Value, context::EvalOptions};
use tokio_util::sync::CancellationToken;
use url::Url;
use waystore::{
    Body, BodyError, Clock, CredentialHash, Fetch, FetchError, Request, Response, ResponseSource, ResponseType,
    Visitor, Waystore,
};

use super::{Realm, Work, idl::native_operation, install, new_request, response::NotAResponse, take_response};
use crate::event::ConsoleLine;

/// The script whose interfaces are tried.
const BASE: &str = "https://a.test/app/sw.js";

/// What became of one case: `None` where it passed.
type Results = Rc<RefCell<Vec<(String, Option<String>)>>>;

#[test]
fn every_case_of_tests_js_does_what_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/js");
    let expected = expectations(&std::fs::read_to_string(folder.join("expectations.txt")).expect("it is committed"));
    let mut files: Vec<_> = std::fs::read_dir(&folder).expect("it is committed").flatten().map(|f| f.path()).collect();
    files.retain(|path| path.extension().is_some_and(|kind| kind == "js"));
    files.sort();
    let mut wrong = Vec::new();
    let mut run = 0;
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let source = std::fs::read_to_string(&file).expect("it was listed");
        for (case, failure) in run_file(&name, &source) {
            run += 1;
            println!("{} {name}: {case}", if failure.is_none() { "ok  " } else { "FAIL" });
            match (failure, expected.contains_key(&case)) {
                (Some(failure), false) => wrong.push(format!("{name}: {case}\n    {failure}")),
                (None, true) => {
                    wrong.push(format!("{name}: {case}\n    passes now: take its line out of expectations.txt"));
                }
                _ => {}
            }
        }
    }
    assert!(run > 0, "no case was found");
    assert!(wrong.is_empty(), "{} of {run} cases:\n{}", wrong.len(), wrong.join("\n"));
}

/// Case and reason, a line each, apart by ` | `.
fn expectations(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let split = |line: &str| line.split_once(" | ").map(|(case, why)| (case.trim().to_owned(), why.trim().to_owned()));
    lines.map(|line| split(line).unwrap_or_else(|| panic!("no reason is given in `{line}`"))).collect()
}

fn run_file(name: &str, source: &str) -> Vec<(String, Option<String>)> {
    let results = Results::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let evaluated = on_context(async |ctx: Ctx<'_>, _| {
            let recorded = Rc::clone(&results);
            let record = native_operation(&ctx, "record", 2, move |arguments| {
                let text = |index| arguments.get(index).get::<Option<String>>();
                recorded.borrow_mut().push((text(0)?.unwrap_or_default(), text(1)?));
                Ok(())
            });
            ctx.globals().set("record", record.unwrap()).unwrap();
            let mut options = EvalOptions::default();
            options.filename = Some("harness.js".to_owned());
            ctx.eval_with_options::<(), _>(include_str!("../../tests/js/harness/harness.js"), options)
                .catch(&ctx)
                .unwrap();
            let mut options = EvalOptions::default();
            options.filename = Some(name.to_owned());
            ctx.eval_with_options::<(), _>(source, options).catch(&ctx).map_err(|error| error.to_string())?;
            let run: rquickjs::Promise<'_> = ctx.eval("runCases()").unwrap();
            run.into_future::<()>().await.catch(&ctx).map_err(|error| error.to_string())
        });
        let in_time = tokio::time::timeout(Duration::from_secs(60), evaluated).await;
        if let Err(error) = in_time.unwrap_or_else(|_| Err("a case never ends".to_owned())) {
            results.borrow_mut().push(("the file as a whole".to_owned(), Some(error)));
        }
    });
    results.take()
}

/// Runs `script` on a fresh context with all interfaces.
async fn on_context<R: 'static>(script: impl for<'js> AsyncFnOnce(Ctx<'js>, Rc<Realm>) -> R) -> R {
    let runtime = AsyncRuntime::new().unwrap();
    let context = AsyncContext::full(&runtime).await.unwrap();
    let realm = realm_of_tests();
    context
        .async_with(async move |ctx| {
            install(&ctx, Rc::clone(&realm)).catch(&ctx).unwrap();
            script(ctx, realm).await
        })
        .await
}

fn realm_of_tests() -> Rc<Realm> {
    let caches = Waystore::in_memory().caches(BASE).unwrap();
    Rc::new(Realm {
        spooler: caches.spooler(),
        caches,
        fetch: Arc::new(Canned::default()),
        base: Url::parse(BASE).unwrap(),
        console: Rc::new(|line: ConsoleLine| println!("{:?} {}", line.level, line.text)),
        uncaught: Rc::new(|_| {}),
        clock: Arc::new(Clock::system()),
        revoked: CancellationToken::new(),
        work: Work::default(),
    })
}

/// A network that answers by path; what it was asked is in the answers of `/log`.
#[derive(Default)]
struct Canned(Mutex<Vec<String>>);

#[async_trait]
impl Fetch for Canned {
    async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
        let asked: Vec<_> = request.url.path().split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let asked: Vec<_> = asked.iter().map(String::as_str).collect();
        if asked == ["log"] {
            let log = self.0.lock().unwrap().drain(..).collect::<Vec<_>>().join(" ");
            return Ok(network(&request, Response::new(log)));
        }
        self.0.lock().unwrap().push(format!("{}:{}", request.method, request.url.path()));
        Ok(match asked[..] {
            ["status", status] => {
                let mut response = Response::new(format!("status {status}"));
                response.status = status.parse().unwrap();
                network(&request, response)
            }
            ["null"] => network(&request, Response::empty(204)),
            ["vary", value] => network(&request, Response::new("varies").header("Vary", value)),
            ["shape"] => network(&request, Response::new("shape").header("Vary", "x-shape")),
            ["asymmetric"] => {
                let by = if request.headers.get_text("shape").as_deref() == Some("circle") { "shape" } else { "size" };
                network(&request, Response::new(by).header("Vary", by))
            }
            ["refused"] => return Err(FetchError::Network("connection refused".to_owned())),
            ["redirected"] => {
                let mut response = network(&request, Response::new("target"));
                response.url_list.push(Url::parse("https://a.test/target#z").unwrap());
                response
            }
            ["headers"] => {
                network(&request, Response::new("h").header("X-A", "1").header("X-A", "2").header("Set-Cookie", "a=b"))
            }
            ["cors"] => {
                let mut response = network(&request, Response::new("c").header("Foo", "1").header("Set-Cookie", "a=b"));
                response.kind = ResponseType::Cors;
                response.exposed_headers = vec!["*".to_owned()];
                response
            }
            ["opaque"] => {
                let mut response = network(&request, Response::new("hidden").header("Vary", "*"));
                response.kind = ResponseType::Opaque;
                response.status = 206;
                response
            }
            ["manual"] => {
                let mut response = network(&request, Response::empty(302).header("Location", "/y"));
                response.kind = ResponseType::OpaqueRedirect;
                response
            }
            ["never"] => std::future::pending().await,
            ["endless"] => {
                let start = stream::iter([Ok(Bytes::from_static(b"start"))]);
                network(&request, Response::new(Body::from_stream(start.chain(stream::pending()), None)))
            }
            ["slow", milliseconds] => {
                let delay = Duration::from_millis(milliseconds.parse().unwrap());
                let end = stream::once(async move {
                    tokio::time::sleep(delay).await;
                    Ok(Bytes::from_static(b" end"))
                });
                let start = stream::iter([Ok(Bytes::from_static(b"slow"))]);
                network(&request, Response::new(Body::from_stream(start.chain(end), None)))
            }
            ["large", bytes] => {
                let chunks = bytes.parse::<usize>().unwrap() / 1000;
                let chunk = || Ok(Bytes::from(vec![b'x'; 1000]));
                network(
                    &request,
                    Response::new(Body::from_stream(stream::iter((0..chunks).map(move |_| chunk())), None)),
                )
            }
            ["broken"] => {
                let broken = [Ok(Bytes::from_static(b"half")), Err(BodyError::failed("reset"))];
                network(&request, Response::new(Body::from_stream(stream::iter(broken), None)))
            }
            ["echo"] => {
                let body = request.body.unwrap_or_default().collect(10_000).await;
                let body = body.map_err(|error| FetchError::Network(error.to_string()))?;
                let seen: Vec<_> = request.head.headers.iter().map(|(n, v)| [n, b": ", v].concat()).collect();
                let seen = String::from_utf8(seen.join(&b", "[..])).unwrap();
                let text = format!("{} [{seen}] {}", request.head.method, String::from_utf8_lossy(&body));
                network(&Request::from(request.head), Response::new(text))
            }
            _ => network(&request, Response::new(format!("body of {}", request.url.path())).header("X-Path", "yes")),
        })
    }
}

fn network(request: &Request, mut response: Response) -> Response {
    response.kind = ResponseType::Basic;
    response.url_list = vec![request.url.clone()];
    response.source = ResponseSource::Network;
    response
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
