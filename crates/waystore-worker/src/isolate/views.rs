//! The slots of a registration, as its workers are told of them: each change, in order.
//!
//! Whoever only waits for something to change looks at the latest; a worker's script hears of every
//! step, because `updatefound` and `statechange` are told of each.

use std::{
    future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{broadcast, watch};

use crate::WorkerState;

/// Changes that an isolate may be behind; beyond that it hears of the latest ones only.
const BEHIND: usize = 256;

/// The slots of a registration as its workers see them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct View {
    pub(crate) installing: Option<Seen>,
    pub(crate) waiting: Option<Seen>,
    pub(crate) active: Option<Seen>,
}

/// One worker in a [`View`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) version: String,
    pub(crate) script: String,
    pub(crate) state: WorkerState,
}

/// Where the slots are told.
#[derive(Debug)]
pub(crate) struct Views {
    latest: watch::Sender<View>,
    each: broadcast::Sender<View>,
    /// How many were told.
    count: Arc<AtomicU64>,
    /// Held while both are told, so that who subscribes misses nothing and hears nothing twice.
    telling: Mutex<()>,
}

impl Views {
    pub(crate) fn new() -> Self {
        Self {
            latest: watch::Sender::default(),
            each: broadcast::Sender::new(BEHIND),
            count: Arc::default(),
            telling: Mutex::default(),
        }
    }

    /// Tells what the slots are now.
    pub(crate) fn tell(&self, view: View) {
        let _telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody listens where no isolate runs.
        drop(self.each.send(view.clone()));
        self.count.fetch_add(1, Ordering::Release);
        self.latest.send_replace(view);
    }

    /// Tells when something changed.
    pub(crate) fn changes(&self) -> watch::Receiver<View> {
        self.latest.subscribe()
    }

    /// The slots now, and every change from now on.
    pub(crate) fn follow(&self) -> Following {
        let _telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        let first = self.latest.borrow().clone();
        let rest = self.each.subscribe();
        Following { first, rest, count: Arc::clone(&self.count), known: self.count.load(Ordering::Acquire) }
    }
}

/// An isolate's way to hear of changes.
#[derive(Debug)]
pub(crate) struct Following {
    pub(crate) first: View,
    rest: broadcast::Receiver<View>,
    /// How many were told, and how many there were when there was nothing more to hear.
    count: Arc<AtomicU64>,
    known: u64,
}

impl Following {
    /// A change that was told already.
    pub(crate) fn told(&mut self) -> Option<View> {
        // Asked before each event, and mostly there is nothing.
        let count = self.count.load(Ordering::Acquire);
        if count == self.known {
            return None;
        }
        loop {
            match self.rest.try_recv() {
                Ok(view) => return Some(view),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => {
                    self.known = count;
                    return None;
                }
            }
        }
    }

    /// The next change; never, once there are no more.
    pub(crate) async fn next(&mut self) -> View {
        loop {
            match self.rest.recv().await {
                Ok(view) => return view,
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(state: WorkerState) -> View {
        let seen = Seen { version: "1".to_owned(), script: String::new(), state };
        View { installing: Some(seen), ..View::default() }
    }

    #[tokio::test]
    async fn an_isolate_hears_of_every_change_after_the_one_it_started_with() {
        let views = Views::new();
        views.tell(view(WorkerState::Parsed));
        let mut following = views.follow();
        assert_eq!(following.first, view(WorkerState::Parsed));
        views.tell(view(WorkerState::Installing));
        views.tell(view(WorkerState::Installed));
        assert_eq!(following.next().await, view(WorkerState::Installing));
        assert_eq!(following.told(), Some(view(WorkerState::Installed)));
        assert_eq!(following.told(), None);
    }
}
