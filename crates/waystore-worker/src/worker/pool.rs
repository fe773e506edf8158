//! The isolates of one version of a worker: which of them takes an event, and when another is started.
//!
//! The first event starts one, once however many wait for it. With more than one configured, another is
//! started where all that run have events, and each event goes to the one with the fewest. Where all
//! are busy in script, so that an event would wait for another one's CPU, a stand-in takes it.
//! Knows isolates, and nothing of what their events are.

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::Worker;
use crate::isolate::{Isolate, too_many_abandoned};

/// Isolates beyond the configured number, for events that would wait for others' CPU.
const STAND_INS: usize = 2;
/// The longest pause between starts that fail.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often an event for which all are busy looks whether one is not.
const LOOKS: Duration = Duration::from_millis(50);

/// The isolates of a version.
#[derive(Debug)]
pub(super) struct Pool {
    /// How many share the events.
    wanted: usize,
    /// Oldest first.
    isolates: RwLock<Vec<Isolate>>,
    starts: tokio::sync::Mutex<Starts>,
    /// Whether another one is being started, for which nobody waits.
    growing: AtomicBool,
}

/// How starts went.
#[derive(Debug, Default)]
struct Starts {
    /// Failures in a row.
    failures: u32,
    not_before: Option<Instant>,
    retired: bool,
}

/// Who asks for an isolate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taker {
    /// An event that any isolate may take.
    Any,
    /// One that goes to the first, as long as that is not busy: scripts keep what a message told them in globals.
    First,
}

/// Why there is no isolate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoIsolate {
    /// The script did not start: its error, or the limit that was reached.
    Failed(String),
    /// Too many threads are stuck in this process: the worker is off.
    Off,
    /// Another version took its place.
    Replaced,
}

impl fmt::Display for NoIsolate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(reason) => f.write_str(reason),
            Self::Off => f.write_str("too many threads of this process are stuck in script"),
            Self::Replaced => f.write_str("it was replaced"),
        }
    }
}

impl Pool {
    pub(super) fn new(wanted: usize) -> Self {
        Self {
            wanted: wanted.max(1),
            isolates: RwLock::default(),
            starts: tokio::sync::Mutex::default(),
            growing: AtomicBool::new(false),
        }
    }

    /// The isolates that run.
    pub(super) fn running(&self) -> Vec<Isolate> {
        let isolates = self.isolates.read().unwrap_or_else(PoisonError::into_inner);
        isolates.iter().filter(|isolate| !isolate.is_over()).cloned().collect()
    }

    /// The oldest isolate that runs.
    pub(super) fn first(&self) -> Option<Isolate> {
        let isolates = self.isolates.read().unwrap_or_else(PoisonError::into_inner);
        isolates.iter().find(|isolate| !isolate.is_over()).cloned()
    }

    /// An isolate for an event. Where as many as there may be are busy in script, waits until one comes
    /// back or is cut off.
    pub(super) async fn isolate(&self, worker: &Arc<Worker>, taker: Taker) -> Result<Isolate, NoIsolate> {
        loop {
            if let Some(isolate) = self.ready(taker) {
                if self.wanted > 1 && taker == Taker::Any {
                    self.grow(worker, &isolate);
                }
                return Ok(isolate);
            }
            match self.started(worker, taker).await {
                Err(error) if self.first().is_none() => return Err(error),
                Err(_) => tokio::time::sleep(LOOKS).await,
                Ok(isolate) => return Ok(isolate),
            }
        }
    }

    /// An isolate that is not busy in script: of those that share the events, the one with the fewest; else a stand-in.
    fn ready(&self, taker: Taker) -> Option<Isolate> {
        let isolates = self.isolates.read().unwrap_or_else(PoisonError::into_inner);
        let mut ready = isolates.iter().filter(|isolate| !isolate.is_over()).enumerate();
        let mut ready = ready.by_ref().filter(|(_, isolate)| !isolate.is_busy());
        if self.wanted == 1 || taker == Taker::First {
            return ready.next().map(|(_, isolate)| isolate.clone());
        }
        let key = |(place, isolate): &(usize, &Isolate)| (*place >= self.wanted, isolate.load());
        ready.min_by_key(key).map(|(_, isolate)| isolate.clone())
    }

    /// Starts another one in the background, where all have events and there may be more.
    fn grow(&self, worker: &Arc<Worker>, least: &Isolate) {
        if least.load() == 0 || self.running().len() >= self.wanted || self.growing.swap(true, Ordering::Relaxed) {
            return;
        }
        let this = Arc::clone(worker);
        worker.ground.runtime.spawn(async move {
            // One that fails was logged; the others go on.
            drop(this.pool.start(&this, |running| running.len() >= this.pool.wanted).await);
            this.pool.growing.store(false, Ordering::Relaxed);
        });
    }

    /// A new isolate, or one that came back from script while it was started.
    async fn started(&self, worker: &Arc<Worker>, taker: Taker) -> Result<Isolate, NoIsolate> {
        // In a task of its own: whoever asked first may go away, and others wait for the same start.
        let this = Arc::clone(worker);
        let mut starting = worker.ground.runtime.spawn(async move {
            let enough = |running: &[Isolate]| {
                running.iter().any(|isolate| !isolate.is_busy()) || running.len() >= this.pool.wanted + STAND_INS
            };
            this.pool.start(&this, enough).await
        });
        let failed = |error| Err(NoIsolate::Failed(format!("the start ended early: {error}")));
        if self.first().is_none() {
            return starting.await.unwrap_or_else(failed);
        }
        loop {
            tokio::select! {
                started = &mut starting => return started.unwrap_or_else(failed),
                () = tokio::time::sleep(LOOKS) => {
                    if let Some(isolate) = self.ready(taker) {
                        return Ok(isolate);
                    }
                }
            }
        }
    }

    /// Starts an isolate, unless there are enough once it is this one's turn.
    async fn start(&self, worker: &Worker, enough: impl Fn(&[Isolate]) -> bool) -> Result<Isolate, NoIsolate> {
        let mut starts = self.starts.lock().await;
        let running = self.running();
        if enough(&running) {
            let isolate = running.into_iter().find(|isolate| !isolate.is_busy());
            return isolate.ok_or_else(|| NoIsolate::Failed("as many as there may be are busy in script".to_owned()));
        }
        let version = &worker.version;
        if too_many_abandoned() {
            tracing::error!(version, "the worker is off: too many threads of this process are stuck in script");
            return Err(NoIsolate::Off);
        }
        if starts.retired {
            return Err(NoIsolate::Replaced);
        }
        if starts.not_before.is_some_and(|time| Instant::now() < time) {
            return Err(NoIsolate::Failed("it failed to start a moment ago".to_owned()));
        }
        if running.len() >= self.wanted {
            tell_of_stand_in(version, &running);
        }
        match worker.launch().await {
            Ok(isolate) => {
                starts.failures = 0;
                starts.not_before = None;
                let mut isolates = self.isolates.write().unwrap_or_else(PoisonError::into_inner);
                isolates.retain(|isolate| !isolate.is_over());
                isolates.push(isolate.clone());
                Ok(isolate)
            }
            Err(reason) => {
                let pause = Duration::from_millis(250).saturating_mul(1 << starts.failures.min(16));
                starts.failures += 1;
                starts.not_before = Some(Instant::now() + pause.min(LONGEST_PAUSE));
                worker.trouble.note(None, &format!("the worker did not start: {reason}"));
                tracing::error!(version, failures = starts.failures, reason, "worker did not start");
                Err(NoIsolate::Failed(reason))
            }
        }
    }

    /// Lets the isolates end what they do, and starts no other.
    pub(super) async fn retire(&self) {
        self.starts.lock().await.retired = true;
        self.rest();
    }

    /// Lets the isolates end what they do.
    pub(super) fn rest(&self) {
        drop(self.take());
    }

    /// Stops the isolates at once.
    pub(super) fn stop(&self, reason: &str) {
        for isolate in self.take() {
            isolate.revoke(reason);
        }
    }

    fn take(&self) -> Vec<Isolate> {
        std::mem::take(&mut *self.isolates.write().unwrap_or_else(PoisonError::into_inner))
    }
}

fn tell_of_stand_in(version: &str, running: &[Isolate]) {
    let event = running.iter().find(|isolate| isolate.is_busy()).and_then(|isolate| isolate.shared.running_for());
    let event = event.map(tracing::field::display);
    tracing::warn!(
        version,
        event,
        isolates = running.len(),
        "the worker's script is busy; another isolate takes other events"
    );
}
