//! An event under way, held where a stuck isolate cannot keep it.
//!
//! The isolate's thread and whoever waits for the answer share a ticket. If the thread is lost, the
//! ticket still knows how far the event came, gives the answer that follows from it, and lets go of
//! what the event held. Knows no engine.

use std::{
    any::Any,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use tokio::sync::oneshot;
use waystore::Response;

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

/// An event under way.
#[derive(Debug)]
pub(crate) struct Ticket {
    stage: AtomicU8,
    answer: Mutex<Option<oneshot::Sender<Answer>>>,
    holds: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Ticket {
    /// A ticket that lets go of `holds` when the event is over, and whoever waits for its answer.
    pub(crate) fn new(holds: Box<dyn Any + Send>) -> (Self, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        let answer = Mutex::new(Some(sender));
        (Self { stage: AtomicU8::new(0), answer, holds: Mutex::new(Some(holds)) }, receiver)
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
        let sender = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // Whoever waited may have gone; then nobody wants the answer.
            drop(sender.send(answer));
        }
    }

    /// The event is no longer active.
    pub(crate) fn over(&self, result: Result<(), String>) {
        self.answer(Answer::Over(result));
        self.release();
    }

    /// The isolate stopped.
    pub(crate) fn stop(&self) {
        self.answer(Answer::Stopped(self.stage()));
        self.release();
    }

    fn release(&self) {
        let holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(holds);
    }
}
