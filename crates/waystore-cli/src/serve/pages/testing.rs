//! Pages without a gateway: a desk over a site whose script cannot be fetched, and connections made of channels.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;
use waystore::{Clock, Fetch, FetchError, Request, Response, Waystore, prefetch::Hints};
use waystore_worker::{Site, SiteHost, SiteOptions};

use super::{
    allowed::Allowed,
    arrivals::Arrivals,
    closing::Closing,
    desk::{Pages, Who},
    frames::Hello,
    origin::Place,
    session::Rules,
    settings::PageSettings,
    times::Times,
    wire::{Arrived, Out, Wire},
};
use crate::prefetching::{Answers, JobLimits, Jobs};

const ORIGIN: &str = "https://a.test";
/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(20);

struct Down;

#[async_trait]
impl Fetch for Down {
    async fn fetch(&self, _: Request) -> Result<Response, FetchError> {
        Err(FetchError::Network("down".to_owned()))
    }
}

/// A desk for `most` pages, whose times are these.
pub(super) async fn pages(most: usize, times: Times) -> Pages {
    let store = Waystore::in_memory();
    let clock = Arc::new(Clock::system());
    let fetch: Arc<dyn Fetch> = Arc::new(Down);
    let caches = store.caches(ORIGIN).unwrap();
    let jobs = Jobs::new(caches, Arc::clone(&fetch), Arc::clone(&clock), JobLimits::default());
    let host = SiteHost { fetch, clock: Arc::clone(&clock), console: Arc::new(|_| {}), prefetch: None };
    let script = Url::parse(ORIGIN).unwrap().join("/sw.js").unwrap();
    let site = Site::open(SiteOptions::new(script), &store, host).await.unwrap();
    let rules = Rules { allowed: Allowed::new(["*"]), frame_bytes: 10_000, messages: 20, bytes: 100_000, times };
    let settings =
        PageSettings { rules: Arc::new(rules), most, memory_bytes: 1 << 20, arriving_bytes: 1 << 20, inject: false };
    let answers = Answers::new(Vec::new(), jobs.clone());
    Pages::new(Arc::new(site), (jobs, answers), settings, clock, TaskTracker::new(), CancellationToken::new())
}

/// Times of which none is over while a test runs.
pub(super) fn no_times() -> Times {
    let ever = 1_000_000;
    let long = Duration::from_millis(ever);
    Times { hello: long, ping_ms: ever, silence_ms: ever, unread_ms: ever, grace: long }
}

pub(super) fn who() -> Who {
    let public = Url::parse(ORIGIN).unwrap();
    Who { place: Place { seen: public.origin(), public }, credentials: None, hints: Hints::default() }
}

/// A `hello` with these members besides those that it needs.
pub(super) fn hello(members: &Value) -> Hello {
    let mut hello = json!({ "frame": "hello", "version": 1, "url": format!("{ORIGIN}/") });
    for (name, value) in members.as_object().unwrap() {
        hello[name] = value.clone();
    }
    Hello::read(&hello.to_string()).unwrap()
}

/// The page's end of a connection.
pub(super) struct Line {
    pub(super) say: mpsc::Sender<Arrived>,
    told: mpsc::Receiver<Out>,
}

impl Line {
    pub(super) fn new() -> (Self, Wire) {
        let (say, frames) = mpsc::channel(4);
        let (out, told) = mpsc::channel(4);
        (Self { say, told }, Wire { frames: Some(frames), out, cut: CancellationToken::new() })
    }

    /// A page that is connected, with these members in its `hello`.
    pub(super) async fn open(pages: &Pages, members: &Value) -> Result<Self, Closing> {
        let (line, wire) = Self::new();
        pages.connect(&hello(members), who(), wire).await.map(|()| line)
    }

    pub(super) async fn say(&self, frame: &Value) {
        let _share = Arrivals::new(usize::MAX, usize::MAX).begin();
        self.say.send(Arrived { text: frame.to_string().into(), _share }).await.unwrap();
    }

    /// What comes next; a last frame is `close`, as the page gets it.
    pub(super) async fn next(&mut self) -> Value {
        let out = tokio::time::timeout(PATIENCE, self.told.recv()).await.expect("a frame").expect("a frame");
        let text = match out {
            Out::Frame(frame) => frame,
            Out::Close(closing) => closing.frame().into(),
        };
        serde_json::from_slice(&text).unwrap()
    }

    /// The next frame of this name, past others.
    pub(super) async fn hears(&mut self, name: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["frame"] == name {
                return frame;
            }
            assert_ne!(frame["frame"], "close", "{frame} before {name}");
        }
    }
}

/// Waits until as many clients are there.
pub(super) async fn clients(pages: &Pages, number: usize) {
    let there = async {
        while pages.site().clients() != number {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, there).await.expect("clients come and go");
}
