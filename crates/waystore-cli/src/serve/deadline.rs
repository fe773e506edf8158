//! The time within which the head of a request has to come, at no cost for each request.
//!
//! A deadline for each head would have to be set and taken back with each. Here a connection counts, and is looked at
//! now and then: one that began and ended no request for as many looks as make up the time is late. So it is never too
//! early, and at most one look too late. Knows time, not requests.

use std::{
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

/// How often a connection is looked at within its time.
const LOOKS: u32 = 6;

/// What a connection does: how many requests began on it, and of how many nothing is to be done any more.
#[derive(Debug, Default)]
pub(super) struct Activity {
    begun: AtomicU32,
    ended: AtomicU32,
}

impl Activity {
    pub(super) fn begin(&self) {
        count(&self.begun);
    }

    pub(super) fn end(&self) {
        count(&self.ended);
    }
}

/// Only the connection's own task counts, so that no count is lost.
fn count(counter: &AtomicU32) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// The deadline of one connection's heads, again and again.
#[derive(Debug)]
pub(super) struct HeadDeadline {
    alarm: Pin<Box<Sleep>>,
    look: Duration,
    /// How many requests had ended at the last look.
    ended: u32,
    idle_looks: u32,
}

impl HeadDeadline {
    /// Each head has `limit`, the first one from now on. Made inside the runtime.
    pub(super) fn new(limit: Duration) -> Self {
        let look = limit / LOOKS;
        Self { alarm: Box::pin(tokio::time::sleep(look)), look, ended: 0, idle_looks: 0 }
    }

    /// Ready when no request is being answered and none came in time. `is_watched` says that this was polled
    /// before with the same waker: then nothing is done before the next look.
    pub(super) fn poll(&mut self, activity: &Activity, is_watched: bool, cx: &mut Context<'_>) -> Poll<()> {
        if is_watched && !self.alarm.is_elapsed() {
            return Poll::Pending;
        }
        while self.alarm.as_mut().poll(cx).is_ready() {
            let (begun, ended) = (activity.begun.load(Ordering::Relaxed), activity.ended.load(Ordering::Relaxed));
            let is_idle = begun == ended && ended == self.ended;
            self.idle_looks = if is_idle { self.idle_looks + 1 } else { 0 };
            self.ended = ended;
            if self.idle_looks >= LOOKS {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(Instant::now() + self.look);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::Arc};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(30);

    /// Waits until the deadline is over, polling as a connection does: with one waker.
    async fn late(mut deadline: HeadDeadline, activity: &Activity) {
        let mut is_watched = false;
        poll_fn(|cx| deadline.poll(activity, std::mem::replace(&mut is_watched, true), cx)).await;
    }

    #[tokio::test]
    async fn a_connection_on_which_nothing_comes_is_late_after_its_time() {
        let start = Instant::now();
        late(HeadDeadline::new(LIMIT), &Activity::default()).await;
        assert!(start.elapsed() >= LIMIT);
    }

    #[tokio::test]
    async fn a_request_that_is_answered_is_not_late_and_the_next_one_has_its_time_again() {
        let activity = Arc::new(Activity::default());
        activity.begin();
        let waited = Arc::clone(&activity);
        let waiting = tokio::spawn(async move { late(HeadDeadline::new(LIMIT), &waited).await });
        // Longer than anybody would wait for a head.
        tokio::time::sleep(3 * LIMIT).await;
        assert!(!waiting.is_finished());
        let start = Instant::now();
        activity.end();
        waiting.await.unwrap();
        assert!(start.elapsed() >= LIMIT);
    }

    #[tokio::test]
    async fn requests_that_come_and_go_between_two_looks_count() {
        let (activity, mut deadline) = (Activity::default(), HeadDeadline::new(LIMIT));
        for _ in 0..3 * LOOKS {
            tokio::time::sleep(LIMIT / LOOKS).await;
            activity.begin();
            activity.end();
            let looked = poll_fn(|cx| Poll::Ready(deadline.poll(&activity, false, cx))).await;
            assert!(looked.is_pending());
        }
    }
}
