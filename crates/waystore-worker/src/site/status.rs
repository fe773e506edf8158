//! What a site says about itself.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use url::Url;

use super::{Life, Site};
use crate::{
    FetchOutcome, LastError, Routed, WorkerState,
    isolate::{Isolate, too_many_abandoned},
    lifecycle::Slot,
    registration::KeptWorker,
};

/// A site at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SiteStatus {
    /// The requests the worker answers: those whose URL starts with this one.
    pub scope: Url,
    /// The script's URL.
    pub script: Url,
    /// The version that is being installed.
    pub installing: Option<WorkerStatus>,
    /// The version that waits for its turn.
    pub waiting: Option<WorkerStatus>,
    /// The version that answers, or is about to.
    pub active: Option<WorkerStatus>,
    /// The version that was active before; [`rollback`](Site::rollback) leads back to it.
    pub previous: Option<WorkerStatus>,
    /// The version that a rollback led away from: update checks do not install it again.
    pub barred: Option<String>,
    /// Why workers are off, if they are: the network answers.
    pub off: Option<Off>,
    /// Why the last update or install failed, if it did.
    pub last_failure: Option<String>,
    /// When the script was last checked, in milliseconds since 1970.
    pub last_check_ms: Option<u64>,
    /// How many clients are connected.
    pub clients: usize,
    /// What happened since the site was opened.
    pub counters: Counters,
}

/// Why no worker is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Off {
    /// It was switched off.
    Switched,
    /// Too many threads of this process are stuck in script.
    Stuck,
}

/// One version at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkerStatus {
    /// Its name: twelve digits of its main script's hash, and the number of the version.
    pub version: String,
    /// Its state.
    pub state: WorkerState,
    /// Whether it asked not to wait.
    pub skips_waiting: bool,
    /// The types of events it listens to.
    pub event_types: Vec<String>,
    /// The URLs of the scripts it imported.
    pub imports: Vec<Url>,
    /// Whether an isolate runs it at the moment.
    pub running: bool,
    /// How many isolates run it.
    pub isolates: usize,
    /// The events that these have.
    pub events: usize,
    /// What its script did not catch last, or the limit that it reached last.
    pub last_error: Option<LastError>,
}

/// What happened since a site was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counters {
    /// Versions whose install was begun.
    pub installs: u64,
    /// Fetch events that were asked for.
    pub fetch_events: u64,
    /// Those that a worker answered.
    pub responses: u64,
    /// Those that were left to the network.
    pub fallbacks: u64,
    /// Those that a worker took and failed to answer.
    pub network_errors: u64,
    /// Those that a worker took and did not answer in time.
    pub timeouts: u64,
    /// Messages that were asked for.
    pub messages: u64,
}

/// A counter that many threads count on.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) installs: Count,
    pub(super) fetch_events: Count,
    pub(super) messages: Count,
    responses: Count,
    fallbacks: Count,
    network_errors: Count,
    timeouts: Count,
}

impl Counts {
    pub(super) fn count(&self, outcome: &FetchOutcome) {
        match outcome {
            FetchOutcome::Response { .. } => self.responses.add(),
            FetchOutcome::Fallback { .. } => self.fallbacks.add(),
            FetchOutcome::NetworkError { .. } => self.network_errors.add(),
            FetchOutcome::TimedOut { .. } => self.timeouts.add(),
        }
    }

    pub(super) fn count_routed(&self, routed: &Routed) {
        match routed {
            Routed::Answer { .. } => self.responses.add(),
            Routed::Network { .. } => self.fallbacks.add(),
            Routed::Refused { .. } => self.network_errors.add(),
        }
    }

    fn get(&self) -> Counters {
        Counters {
            installs: self.installs.get(),
            fetch_events: self.fetch_events.get(),
            responses: self.responses.get(),
            fallbacks: self.fallbacks.get(),
            network_errors: self.network_errors.get(),
            timeouts: self.timeouts.get(),
            messages: self.messages.get(),
        }
    }
}

impl Site {
    /// What the site is doing.
    pub fn status(&self) -> SiteStatus {
        let life = self.inner.life();
        SiteStatus {
            scope: self.scope().clone(),
            script: self.script().clone(),
            installing: life.status(life.cycle.installing),
            waiting: life.status(life.cycle.waiting),
            active: life.status(life.cycle.active),
            previous: life.previous.as_ref().map(kept_status),
            barred: life.barred.as_ref().map(|barred| barred.version.clone()),
            off: match () {
                () if life.off => Some(Off::Switched),
                () if too_many_abandoned() => Some(Off::Stuck),
                () => None,
            },
            last_failure: life.last_failure.clone(),
            last_check_ms: life.last_check_ms,
            clients: self.inner.roster.len(),
            counters: self.inner.counts.get(),
        }
    }
}

impl Life {
    fn status(&self, slot: Option<Slot>) -> Option<WorkerStatus> {
        let slot = slot?;
        let worker = self.workers.get(&slot.id)?;
        let isolates = worker.isolates();
        Some(WorkerStatus {
            version: worker.version.clone(),
            state: slot.state,
            skips_waiting: slot.skips_waiting(),
            event_types: worker.event_types().into_iter().flatten().cloned().collect(),
            imports: worker.scripts.imports().into_keys().collect(),
            running: !isolates.is_empty(),
            isolates: isolates.len(),
            events: isolates.iter().map(Isolate::load).sum(),
            last_error: worker.last_error(),
        })
    }
}

/// A version that is kept, and does nothing.
fn kept_status(kept: &KeptWorker) -> WorkerStatus {
    WorkerStatus {
        version: kept.version.clone(),
        state: kept.state,
        skips_waiting: false,
        event_types: kept.event_types.iter().cloned().collect(),
        imports: kept.imports.keys().cloned().collect(),
        running: false,
        isolates: 0,
        events: 0,
        last_error: None,
    }
}
