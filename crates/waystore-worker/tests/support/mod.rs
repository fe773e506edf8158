//! A site on a store in memory, with a network of canned answers that counts what it is asked.

#![allow(
    async_fn_in_trait,
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "it is for tests, and each file uses a part of it"
)]

pub mod pages;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc};
use url::Url;
use waystore::{Clock, Fetch, FetchError, Request, Response, Waystore};
use waystore_worker::{
    Activation, ConsoleLine, FallbackReason, FetchEvent, FetchOutcome, Limits, MessageEvent, Site, SiteHost,
    SiteOptions, WorkerState, WorkerType,
};

pub const ORIGIN: &str = "https://a.test";
pub const SCRIPT: &str = "https://a.test/sw.js";

/// A network of canned answers.
#[derive(Default)]
pub struct Net {
    pages: Mutex<HashMap<String, Page>>,
    asked: Mutex<Vec<String>>,
    heads: Mutex<Vec<waystore::RequestHead>>,
    pub reached: Notify,
}

#[derive(Clone)]
struct Page {
    status: u16,
    mime: &'static str,
    body: String,
    headers: Vec<(String, String)>,
    redirected: bool,
    opaque: bool,
    gate: Option<Arc<Notify>>,
    held: Option<Arc<Notify>>,
}

impl Net {
    pub fn page(&self, path: &str, status: u16, mime: &'static str, body: &str) {
        let page = Page {
            status,
            mime,
            body: body.to_owned(),
            headers: vec![],
            redirected: false,
            opaque: false,
            gate: None,
            held: None,
        };
        self.pages.lock().unwrap().insert(url(path), page);
    }

    pub fn script(&self, path: &str, body: &str) {
        self.page(path, 200, "text/javascript", body);
    }

    pub fn text(&self, path: &str, body: &str) {
        self.page(path, 200, "text/plain", body);
    }

    pub fn header(&self, path: &str, name: &str, value: &str) {
        let mut pages = self.pages.lock().unwrap();
        pages.get_mut(&url(path)).unwrap().headers.push((name.to_owned(), value.to_owned()));
    }

    pub fn redirected(&self, path: &str) {
        self.pages.lock().unwrap().get_mut(&url(path)).unwrap().redirected = true;
    }

    /// Answers of `path` are opaque to script.
    pub fn opaque(&self, path: &str) {
        self.pages.lock().unwrap().get_mut(&url(path)).unwrap().opaque = true;
    }

    /// Answers of `path` wait until the gate is notified, once for each.
    pub fn gate(&self, path: &str) -> Arc<Notify> {
        let gate = Arc::new(Notify::new());
        self.pages.lock().unwrap().get_mut(&url(path)).unwrap().gate = Some(Arc::clone(&gate));
        gate
    }

    /// Answers of `path` never come; the notice is given when one is no longer waited for.
    pub fn hold(&self, path: &str) -> Arc<Notify> {
        let given_up = Arc::new(Notify::new());
        self.pages.lock().unwrap().get_mut(&url(path)).unwrap().held = Some(Arc::clone(&given_up));
        given_up
    }

    pub fn remove(&self, path: &str) {
        self.pages.lock().unwrap().remove(&url(path));
    }

    /// How often `path` was asked for.
    pub fn asked(&self, path: &str) -> usize {
        let path = url(path);
        self.asked.lock().unwrap().iter().filter(|asked| **asked == path).count()
    }

    /// Forgets what was asked for.
    pub fn forget(&self) {
        self.asked.lock().unwrap().clear();
        self.heads.lock().unwrap().clear();
    }

    pub fn heads(&self) -> Vec<waystore::RequestHead> {
        self.heads.lock().unwrap().clone()
    }
}

struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Waits for a notice, and not for ever.
pub async fn noticed(notice: &Notify) {
    tokio::time::timeout(Duration::from_secs(20), notice.notified()).await.expect("the notice was given");
}

fn url(path: &str) -> String {
    Url::parse(ORIGIN).unwrap().join(path).unwrap().to_string()
}

#[async_trait]
impl Fetch for Net {
    async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
        self.asked.lock().unwrap().push(request.url.to_string());
        self.heads.lock().unwrap().push(request.head.clone());
        self.reached.notify_one();
        let page = self.pages.lock().unwrap().get(request.url.as_str()).cloned();
        let Some(page) = page else { return Err(FetchError::Network("the network is down".to_owned())) };
        if let Some(gate) = &page.gate {
            match &request.signal {
                None => gate.notified().await,
                Some(signal) => tokio::select! {
                    () = gate.notified() => {}
                    () = signal.wait() => return Err(FetchError::Aborted),
                },
            }
        }
        if let Some(given_up) = page.held {
            let _guard = NotifyOnDrop(given_up);
            return std::future::pending().await;
        }
        let mut response = Response::new(page.body).header("content-type", page.mime);
        for (name, value) in &page.headers {
            response = response.header(name, value);
        }
        response.status = page.status;
        let kind = if page.opaque { waystore::ResponseType::Opaque } else { waystore::ResponseType::Basic };
        response.kind = kind;
        response.url_list = vec![request.url.clone()];
        if page.redirected {
            response.url_list.push(request.url.clone());
        }
        Ok(response)
    }
}

/// A place where a site can be opened again and again.
pub struct World {
    pub net: Arc<Net>,
    pub store: Waystore,
    pub clock: Arc<Clock>,
    pub limits: Limits,
    pub scope: Option<&'static str>,
    pub worker_type: WorkerType,
    pub activation: Activation,
    lines: mpsc::UnboundedSender<ConsoleLine>,
    pub console: tokio::sync::Mutex<mpsc::UnboundedReceiver<ConsoleLine>>,
}

impl World {
    /// A world whose `/sw.js` is `script`.
    pub fn with(script: &str) -> Self {
        let (lines, console) = mpsc::unbounded_channel();
        let world = Self {
            net: Arc::default(),
            store: Waystore::in_memory(),
            clock: Arc::new(Clock::fixed(1_800_000_000_000, 7)),
            // Globals that a test counts in stay in one isolate, however busy the machine is.
            limits: Limits { patience: Duration::from_secs(60), ..Limits::default() },
            scope: None,
            worker_type: WorkerType::Classic,
            activation: Activation::Rollover,
            lines,
            console: tokio::sync::Mutex::new(console),
        };
        world.net.script("/sw.js", script);
        world
    }

    pub fn host(&self) -> SiteHost {
        let lines = self.lines.clone();
        SiteHost {
            fetch: Arc::clone(&self.net) as Arc<dyn Fetch>,
            clock: Arc::clone(&self.clock),
            console: Arc::new(move |line| {
                println!("console: {}", line.text);
                drop(lines.send(line));
            }),
            prefetch: None,
        }
    }

    pub fn options(&self) -> SiteOptions {
        let script = Url::parse(SCRIPT).unwrap();
        let scope = self.scope.map(|scope| script.join(scope).unwrap());
        SiteOptions {
            scope,
            worker_type: self.worker_type,
            activation: self.activation,
            limits: self.limits.clone(),
            ..SiteOptions::new(script)
        }
    }

    /// Opens the site.
    pub async fn open(&self) -> Site {
        Site::open(self.options(), &self.store, self.host()).await.unwrap()
    }

    /// Opens the site, and waits until its worker is active.
    pub async fn ready(&self) -> Site {
        let site = self.open().await;
        site.ready().await.unwrap();
        site
    }

    /// The next line of the console.
    pub async fn line(&self) -> String {
        let mut console = self.console.lock().await;
        let line = tokio::time::timeout(Duration::from_secs(20), console.recv()).await;
        line.expect("a line was written").expect("the world holds a sender").text
    }

    /// The lines written so far.
    pub async fn lines(&self) -> Vec<String> {
        let mut console = self.console.lock().await;
        std::iter::from_fn(|| console.try_recv().ok()).map(|line| line.text).collect()
    }
}

pub fn get(path: &str) -> Request {
    Request::get(&url(path)).unwrap()
}

/// What a `GET` of `path` comes to, in words.
pub async fn answer(site: &Site, path: &str) -> String {
    words(site.fetch(FetchEvent::of(get(path))).await).await
}

/// An outcome in words: the answer's text, or what became of the request.
pub async fn words(outcome: FetchOutcome) -> String {
    match outcome {
        FetchOutcome::Response { response, .. } => {
            let body = response.body.unwrap_or_default().collect(1 << 20).await;
            body.map_or_else(|error| format!("body error: {error}"), |body| String::from_utf8(body.into()).unwrap())
        }
        FetchOutcome::Fallback { reason, .. } => format!("fallback: {reason:?}"),
        FetchOutcome::NetworkError { reason, .. } => format!("network error: {reason}"),
        FetchOutcome::TimedOut { .. } => "timed out".to_owned(),
    }
}

pub fn fallback(reason: FallbackReason) -> String {
    format!("fallback: {reason:?}")
}

/// Sends `data` to the worker.
pub async fn tell(site: &Site, data: serde_json::Value) {
    site.message(MessageEvent::json(&data)).await.unwrap();
}

/// The version that is active.
pub fn active(site: &Site) -> String {
    site.status().active.map(|worker| worker.version).unwrap_or_default()
}

/// What tests wait for.
pub trait Waits {
    async fn activated(&self, version: &str);
    async fn ready_again(&self);
}

impl Waits for Site {
    async fn activated(&self, version: &str) {
        let done = |site: &Site| {
            site.status()
                .active
                .is_some_and(|worker| worker.version == version && worker.state == WorkerState::Activated)
        };
        while !done(self) {
            tokio::task::yield_now().await;
        }
    }

    async fn ready_again(&self) {
        while self.ready().await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}
