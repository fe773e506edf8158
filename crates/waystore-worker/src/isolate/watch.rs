//! Looks at an isolate from outside, from its start to its end.
//!
//! Three things are seen only from there: that its thread has been in script for longer than its other
//! events should wait, that it does not heed the engine's interrupt, and that it does not end though it
//! was told to. Knows no engine.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{Shared, pulse::Abandoned};

/// Between two looks. What is asked is a few words of memory.
const LOOKS: Duration = Duration::from_millis(25);

/// Looks until the isolate ends; where it is stuck, abandons it.
pub(super) async fn watch_over(shared: Arc<Shared>, patience: Duration) {
    // Looks are counted, not time: on a machine that is too busy to look it is too busy for script too.
    let looks_until_busy = patience.as_millis().div_ceil(LOOKS.as_millis()).max(1);
    let (mut last_slice, mut looks, mut revoked_at) = (None, 0, None);
    loop {
        tokio::select! {
            biased;
            () = shared.ended.cancelled() => return,
            () = tokio::time::sleep(LOOKS) => {}
        }
        // What script does now may take long, and not even ask for an interrupt.
        shared.outbox.empty();
        let slice = shared.pulse.began();
        looks = if slice.is_some() && slice == last_slice { looks + 1 } else { 0 };
        last_slice = slice;
        let busy = looks >= looks_until_busy;
        shared.busy.store(busy, Ordering::Relaxed);
        if busy {
            shared.hand_back();
        }
        if shared.revoked.is_cancelled() {
            revoked_at.get_or_insert_with(Instant::now);
        }
        let deaf = revoked_at.is_some_and(|at| at.elapsed() > shared.pulse.grace()) && slice.is_some();
        if shared.pulse.is_stuck() || deaf {
            abandon(&shared);
            return;
        }
    }
}

/// Gives the thread up: its events have their outcome, and nothing it does counts any more.
fn abandon(shared: &Shared) {
    shared.cut_off("it ran for too long and could not be interrupted");
    shared.set_abandoned(Some(Abandoned::count()));
    tracing::error!(version = shared.version, "worker abandoned: its thread is stuck in script and was given up");
    shared.end();
}
