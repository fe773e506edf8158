//! Carries a plan out: a stream that fetches and stores while it is polled.
//!
//! Asks the machine what to do, does it, and tells it how that went; decides nothing itself.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt, Stream, StreamExt,
    future::BoxFuture,
    stream::{FusedStream, FuturesUnordered},
};
use tokio::time::{Sleep, sleep};

use super::{
    Event, MAX_RULES, MAX_URLS, Prefetch, Prefetched, Progress, Reason,
    attempt::Errand,
    machine::{Attempted, Machine, Next, Task},
    tap::Meter,
};
use crate::{AbortSignal, Cache, Clock, Error, Fetch, Result};

/// How often bytes that came are told, while nothing else happens.
const TOLD_EVERY: Duration = Duration::from_millis(250);

/// A prefetch that runs: a stream of [`Event`]s, which ends after [`Event::Ended`].
///
/// It fetches and stores while it is polled, and only then: whoever does not read it, holds it up; whoever drops it,
/// stops it. What is stored then is whole and stays. Needs a Tokio runtime with its timer.
pub struct Running {
    errand: Arc<Errand>,
    clock: Arc<Clock>,
    machine: Machine,
    fetches: FuturesUnordered<BoxFuture<'static, (Task, Attempted)>>,
    events: VecDeque<Event>,
    /// What the machine waits for, and when progress is told.
    timer: Option<(u64, Pin<Box<Sleep>>)>,
    tick: Option<Pin<Box<Sleep>>>,
    aborted: Option<BoxFuture<'static, ()>>,
    told: (usize, u64),
    now_ms: u64,
    ended: bool,
}

impl Prefetch {
    /// Begins to carry the plan out: what it names is fetched with `fetch` and stored in `cache`.
    ///
    /// All requests are anonymous `GET`s in mode `cors`, so a response of another origin is stored where that
    /// consents, as with [`Cache::add`]. What is for one visitor is left out ([`Reason::Personal`](super::Reason)).
    /// While one fetches a URL, [`Cache::match_or_fetch`] and other prefetches wait for it instead of fetching it too.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use waystore::{Fetch, FetchError, Request, Response, Waystore, prefetch::{Follow, Prefetch}};
    ///
    /// struct Shop;
    ///
    /// #[async_trait::async_trait]
    /// impl Fetch for Shop {
    ///     async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
    ///         Ok(match request.url.path() {
    ///             "/top.json" => Response::new(r#"{"products": [{"pic": "/1.jpg"}, {"pic": "/2.jpg"}]}"#)
    ///                 .header("content-type", "application/json"),
    ///             _ => Response::new("a picture").header("content-type", "image/jpeg"),
    ///         })
    ///     }
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
    /// let cache = Waystore::in_memory().caches("https://shop.example")?.open("v1").await?;
    /// let plan = Prefetch::new(["/top.json"]).follow(Follow::json_path("$.products[*].pic")?);
    /// let rows = plan.start(cache, Arc::new(Shop))?.finish().await;
    /// assert_eq!(rows[0].followed, ["https://shop.example/1.jpg", "https://shop.example/2.jpg"]);
    /// assert_eq!(rows.len(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Type`]: it names more than [`MAX_URLS`] URLs, or has more than [`MAX_RULES`] rules. A URL that is none
    /// is no error but a row that says so.
    pub fn start(self, cache: Cache, fetch: Arc<dyn Fetch>) -> Result<Running> {
        self.check()?;
        let now_ms = cache.clock.now_ms();
        let machine = Machine::start(&self, &cache.base, now_ms);
        Ok(Running::new(self, cache, fetch, machine))
    }

    /// Goes on where [`Running::progress`] was taken, which may have been in another process: what is done is not
    /// done again. The plan is the one that it was taken of; its list of URLs is not looked at.
    ///
    /// # Errors
    ///
    /// [`Error::Type`]: `progress` does not hold together, or the plan is refused as by [`start`](Self::start).
    pub fn resume(self, cache: Cache, fetch: Arc<dyn Fetch>, progress: Progress) -> Result<Running> {
        self.check()?;
        progress.check()?;
        let now_ms = cache.clock.now_ms();
        let machine = Machine::resume(&self, progress, now_ms);
        Ok(Running::new(self, cache, fetch, machine))
    }

    fn check(&self) -> Result<()> {
        let (urls, rules) = (self.urls.len(), self.follow.len());
        if urls > MAX_URLS {
            return Err(Error::type_error(format!("a prefetch of {urls} URLs; {MAX_URLS} at most, so split the list")));
        }
        if rules > MAX_RULES {
            return Err(Error::type_error(format!("a prefetch with {rules} rules to follow; {MAX_RULES} at most")));
        }
        Ok(())
    }
}

impl Running {
    fn new(plan: Prefetch, cache: Cache, fetch: Arc<dyn Fetch>, machine: Machine) -> Self {
        let clock = Arc::clone(&cache.clock);
        let (now_ms, meter) = (clock.now_ms(), Meter::starting_at(machine.bytes()));
        let (done, total) = machine.counts();
        let mut events = VecDeque::from([Event::Queued { urls: total - done }]);
        events.extend(machine.done_at_start());
        let errand = Arc::new(Errand { plan, cache, fetch, meter, signal: AbortSignal::new() });
        Self {
            errand,
            clock,
            machine,
            fetches: FuturesUnordered::new(),
            events,
            timer: None,
            tick: None,
            aborted: None,
            told: (done, 0),
            now_ms,
            ended: false,
        }
    }

    /// The same, which ends when `signal` is aborted: fetches stop, and what is not done is [`Aborted`](super::Outcome).
    #[must_use]
    pub fn with_signal(mut self, signal: AbortSignal) -> Self {
        self.aborted = Some(async move { signal.wait().await }.boxed());
        self
    }

    /// How far it is: a value to keep, and to give to [`Prefetch::resume`].
    pub fn progress(&self) -> Progress {
        self.machine.progress(self.now_ms.max(self.clock.now_ms()))
    }

    /// What became of each URL whose outcome is known: those that were asked for in the order asked, then those that
    /// were followed.
    pub fn rows(&self) -> Vec<Prefetched> {
        self.progress().rows()
    }

    /// Runs to the end, and returns what became of each URL.
    pub async fn finish(mut self) -> Vec<Prefetched> {
        while self.next().await.is_some() {}
        self.rows()
    }

    /// Does what can be done without waiting. Returns whether there was something.
    fn work(&mut self, cx: &mut Context<'_>) -> bool {
        self.now_ms = self.now_ms.max(self.clock.now_ms());
        self.machine.set_bytes(self.errand.meter.bytes());
        if self.aborted.as_mut().is_some_and(|aborted| aborted.poll_unpin(cx).is_ready()) {
            self.abort();
            return true;
        }
        if self.begin() {
            return true;
        }
        if let Poll::Ready(Some((task, attempted))) = self.fetches.poll_next_unpin(cx) {
            if attempted.done.reason == Some(Reason::Time) {
                // It waited for that time, whatever the clock says.
                self.now_ms = self.now_ms.max(self.machine.deadline_ms());
            }
            let random = self.clock.random() as u64;
            let events = self.machine.finished(&task, attempted, self.now_ms, random);
            self.events.extend(events);
            return true;
        }
        self.elapse(cx)
    }

    /// Begins what may begin, or ends.
    fn begin(&mut self) -> bool {
        let (next, events) = self.machine.next(self.now_ms);
        let told = !events.is_empty();
        self.events.extend(events);
        match next {
            Next::Fetch(task) => {
                let (url, attempt) = (task.url.to_string(), task.attempt);
                self.events.push_back(Event::Started { url, attempt });
                let left = Duration::from_millis(self.machine.deadline_ms().saturating_sub(self.now_ms));
                let work = Arc::clone(&self.errand).attempt(task.clone(), left);
                self.fetches.push(work.map(|attempted| (task, attempted)).boxed());
                true
            }
            Next::Wait(until) => {
                self.wait_until(until);
                told
            }
            Next::Ended => {
                self.end();
                true
            }
        }
    }

    fn wait_until(&mut self, until_ms: Option<u64>) {
        if self.timer.as_ref().map(|(at, _)| *at) != until_ms {
            let timer = |at: u64| (at, Box::pin(sleep(Duration::from_millis(at.saturating_sub(self.now_ms)))));
            self.timer = until_ms.map(timer);
        }
    }

    /// Looks whether a time has come.
    fn elapse(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some((at, timer)) = &mut self.timer
            && timer.as_mut().poll(cx).is_ready()
        {
            // The clock may stand still, as in tests; a time that was waited for has come.
            self.now_ms = self.now_ms.max(*at);
            self.timer = None;
            return true;
        }
        let tick = self.tick.get_or_insert_with(|| Box::pin(sleep(TOLD_EVERY)));
        if tick.as_mut().poll(cx).is_ready() {
            self.tick = None;
            self.tell();
            return true;
        }
        false
    }

    /// Tells how far it is, where that is news.
    fn tell(&mut self) {
        let ((done, total), bytes) = (self.machine.counts(), self.errand.meter.bytes());
        if self.told != (done, bytes) {
            self.told = (done, bytes);
            self.events.push_back(Event::Progress { done, total, bytes });
        }
    }

    fn abort(&mut self) {
        self.aborted = None;
        self.errand.signal.abort();
        self.fetches.clear();
        self.events.extend(self.machine.abort());
        self.end();
    }

    fn end(&mut self) {
        self.tell();
        self.events.push_back(Event::Ended(self.progress().summary()));
        self.ended = true;
    }
}

impl Stream for Running {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let this = self.get_mut();
        loop {
            if let Some(event) = this.events.pop_front() {
                return Poll::Ready(Some(event));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            if !this.work(cx) {
                return Poll::Pending;
            }
        }
    }
}

impl FusedStream for Running {
    fn is_terminated(&self) -> bool {
        self.ended && self.events.is_empty()
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (done, total) = self.machine.counts();
        f.debug_struct("Running").field("done", &done).field("total", &total).finish_non_exhaustive()
    }
}
