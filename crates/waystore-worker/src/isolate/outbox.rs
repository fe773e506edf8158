//! Answers on their way out of an isolate, handed over together.
//!
//! Waking whoever waits costs a thread more than answering does, and one that is awake finds the other
//! answers there. So they wait for the end of the turn, or until there are a few. Where the turn takes
//! long, others empty the box: the engine's interrupt, and the watchdog. Knows no engine.

use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

use super::Answer;

/// Answers that wait for others.
const MOST: usize = 16;

/// Answers that were given and not handed over yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox(Mutex<Vec<(oneshot::Sender<Answer>, Answer)>>);

impl Outbox {
    /// Hands `answer` over soon.
    pub(super) fn put(&self, sender: oneshot::Sender<Answer>, answer: Answer) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push((sender, answer));
        if waiting.len() >= MOST {
            drop(waiting);
            self.empty();
        }
    }

    /// Hands over what waits.
    pub(crate) fn empty(&self) {
        let waiting = {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.is_empty() {
                return;
            }
            std::mem::take(&mut *waiting)
        };
        for (sender, answer) in waiting {
            // Whoever waited may have gone; then nobody wants the answer.
            drop(sender.send(answer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_waits_until_the_box_is_emptied() {
        let (outbox, (sender, mut receiver)) = (Outbox::default(), oneshot::channel());
        outbox.put(sender, Answer::Left { threw: false });
        assert!(receiver.try_recv().is_err());
        outbox.empty();
        assert!(matches!(receiver.try_recv(), Ok(Answer::Left { threw: false })));
    }

    #[test]
    fn answers_do_not_wait_for_more_than_a_few_others() {
        let outbox = Outbox::default();
        let mut receivers = Vec::new();
        for _ in 0..MOST {
            let (sender, receiver) = oneshot::channel();
            outbox.put(sender, Answer::Left { threw: false });
            receivers.push(receiver);
        }
        assert!(receivers.iter_mut().all(|receiver| receiver.try_recv().is_ok()));
    }
}
