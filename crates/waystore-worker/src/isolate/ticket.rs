//! An event under way, held where a stuck isolate cannot keep it.
//!
//! The isolate's thread and whoever waits for the answer share a ticket. If the thread is lost, the
//! ticket still knows how far the event came, gives the answer that follows from it, and lets go of
//! what the event held. Knows no engine.

use std::{
    any::Any,
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use tokio::sync::oneshot;
use url::Url;
use waystore::Response;

use super::{Event, Outbox};

/// How far an event came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    /// No script has seen it.
    Queued = 0,
    /// Its listeners were called.
    Dispatched = 1,
    /// One of them called `respondWith`.
    Entered = 2,
}

/// What became of an event.
#[derive(Debug)]
pub(crate) enum Answer {
    /// No listener called `respondWith`.
    Left { threw: bool },
    /// What `respondWith` was given.
    Response(Box<Response>),
    /// `respondWith` was called, or the default prevented, and there is no response.
    Failed(String),
    /// The event is no longer active; `Err` where it was given a promise that was rejected, or timed out.
    Over(Result<(), String>),
    /// The isolate stopped first.
    Stopped(Stage),
}

/// What an event is called where somebody is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventName {
    /// `fetch`, say.
    pub(crate) kind: &'static str,
    /// What a `fetch` event asks for.
    pub(crate) url: Option<Url>,
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.url {
            Some(url) => write!(f, "{} {url}", self.kind),
            None => f.write_str(self.kind),
        }
    }
}

/// An event under way.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) name: EventName,
    /// What is to be dispatched; gone once a thread took it, or it was taken back. Never both.
    event: Mutex<Option<Event>>,
    stage: AtomicU8,
    answer: Mutex<Option<oneshot::Sender<Answer>>>,
    holds: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Ticket {
    /// A ticket that lets go of `holds` when the event is over, and whoever waits for its answer.
    pub(crate) fn new(event: Event, holds: Box<dyn Any + Send>) -> (Self, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        let ticket = Self {
            name: event.name(),
            event: Mutex::new(Some(event)),
            stage: AtomicU8::new(0),
            answer: Mutex::new(Some(sender)),
            holds: Mutex::new(Some(holds)),
        };
        (ticket, receiver)
    }

    /// Takes the event to dispatch it; `None` where it was taken back.
    pub(crate) fn claim(&self) -> Option<Event> {
        let event = self.take_event();
        if event.is_some() {
            self.reach(Stage::Dispatched);
        }
        event
    }

    /// Takes the event back, if no script has seen it; whoever waits for the answer is told.
    pub(crate) fn withdraw(&self) -> bool {
        let withdrawn = self.take_event().is_some();
        if withdrawn {
            self.end_unseen();
        }
        withdrawn
    }

    /// Tells whoever waits that no script has seen the event, which was taken.
    pub(super) fn end_unseen(&self) {
        self.answer(Answer::Stopped(Stage::Queued));
        self.release();
    }

    /// The event, which is the caller's from now on.
    pub(super) fn take_event(&self) -> Option<Event> {
        self.event.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The event came this far.
    pub(crate) fn reach(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::SeqCst);
    }

    /// How far the event came.
    pub(crate) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::SeqCst) {
            0 => Stage::Queued,
            1 => Stage::Dispatched,
            _ => Stage::Entered,
        }
    }

    /// Gives the answer; the first one counts.
    pub(crate) fn answer(&self, answer: Answer) {
        if let Some(sender) = self.take_sender() {
            // Whoever waited may have gone; then nobody wants the answer.
            drop(sender.send(answer));
        }
    }

    /// Gives the answer as soon as `outbox` is emptied; the first one counts.
    pub(crate) fn answer_through(&self, outbox: &Outbox, answer: Answer) {
        if let Some(sender) = self.take_sender() {
            outbox.put(sender, answer);
        }
    }

    fn take_sender(&self) -> Option<oneshot::Sender<Answer>> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The event is no longer active.
    pub(crate) fn over(&self, result: Result<(), String>) {
        self.answer(Answer::Over(result));
        self.release();
    }

    /// The isolate stopped.
    pub(crate) fn stop(&self) {
        if !self.withdraw() {
            self.answer(Answer::Stopped(self.stage()));
            self.release();
        }
    }

    fn release(&self) {
        let holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(holds);
    }
}
