//! The time within which the head of a request has to come, at next to no cost for each request.
//!
//! hyper sets a deadline for each head and takes it back when the head is there. A timer of the runtime would be made,
//! registered and taken out again with each; this one is made once for a connection. It wakes at the oldest deadline, and
//! where there is a later one by then, it sleeps on. Knows time, not requests.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};
use tokio::time::Sleep as Alarm;

/// The timer of one connection, which has one deadline at a time.
#[derive(Debug, Default, Clone)]
pub(super) struct HeadTimer(Arc<Mutex<Option<Pin<Box<Alarm>>>>>);

impl HeadTimer {
    pub(super) fn new() -> Self {
        Self::default()
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Wait { timer: self.clone(), deadline })
    }
}

/// Over at its deadline. Dropped, it leaves the alarm to the next one.
#[derive(Debug)]
struct Wait {
    timer: HeadTimer,
    deadline: Instant,
}

impl Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline.into();
        let mut alarm = self.timer.0.lock().unwrap_or_else(PoisonError::into_inner);
        let alarm = alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        // One that is set for later would come too late.
        if alarm.deadline() > deadline {
            alarm.as_mut().reset(deadline);
        }
        while alarm.as_mut().poll(cx).is_ready() {
            if alarm.deadline() >= deadline {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const MOMENT: Duration = Duration::from_millis(20);

    /// Has the alarm set to `deadline`, as while a head is waited for that comes in time.
    fn set(timer: &HeadTimer, deadline: Instant) {
        let mut wait = timer.sleep_until(deadline);
        assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }

    #[tokio::test]
    async fn a_deadline_is_not_over_before_its_time_though_the_alarm_was_set_for_an_earlier_one() {
        let timer = HeadTimer::new();
        let start = Instant::now();
        set(&timer, start + MOMENT);
        timer.sleep_until(start + 3 * MOMENT).await;
        assert!(start.elapsed() >= 3 * MOMENT);
        // The alarm went off, and is set again.
        timer.sleep_until(start + 4 * MOMENT).await;
        assert!(start.elapsed() >= 4 * MOMENT);
    }

    #[tokio::test]
    async fn a_deadline_does_not_wait_for_an_alarm_that_was_set_for_a_later_one() {
        let timer = HeadTimer::new();
        set(&timer, Instant::now() + HOUR);
        let over = tokio::time::timeout(HOUR / 60, timer.sleep(MOMENT)).await;
        assert!(over.is_ok());
    }
}
