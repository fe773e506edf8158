//! Things that are done one after another, in the order in which they were begun.
//!
//! Messages are sent by tasks, and tasks have no order; a place in a line is taken at once.

use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

/// A line in which places are taken.
#[derive(Debug, Default)]
pub(super) struct Line(Mutex<Option<oneshot::Receiver<()>>>);

/// A place. Who comes next has their turn when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    before: Option<oneshot::Receiver<()>>,
    _done: oneshot::Sender<()>,
}

impl Line {
    /// Takes the place at the end.
    pub(super) fn join(&self) -> Place {
        let (done, ended) = oneshot::channel();
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(ended);
        Place { before, _done: done }
    }
}

impl Place {
    /// Waits for this place's turn.
    pub(super) async fn turn(&mut self) {
        if let Some(before) = self.before.take() {
            // Nothing is ever sent: the other end is dropped.
            drop(before.await);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn turns_come_in_the_order_of_the_places_and_not_before_the_last_one_ended() {
        let line = Line::default();
        let (mut one, mut two) = (line.join(), line.join());
        let mut waiting = Box::pin(two.turn());
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(one.turn().now_or_never().is_some());
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(one);
        assert!(waiting.now_or_never().is_some());
    }
}
