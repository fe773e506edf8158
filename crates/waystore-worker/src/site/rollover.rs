//! Makes room for a worker that waits, where the events of the old one never all end at once.
//!
//! A waiting worker activates in a moment without events under way. On a busy site there may be no
//! such moment; so now and then new fetch events are held back, shortly, and more and more rarely.
//! Where clients hold the worker, nothing is held back for it, until it has waited for long enough.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::Inner;
use crate::lifecycle::{Id, Input};

/// After so long, the first attempt is made; each next one after twice as long.
const FIRST: Duration = Duration::from_secs(2);
/// The longest time between two attempts.
const LONGEST: Duration = Duration::from_secs(120);
/// How long an attempt holds new events back.
const HOLD: Duration = Duration::from_secs(1);

impl Inner {
    /// Makes room for `id` until it no longer waits: also where it has waited for clients for long enough.
    pub(super) async fn make_room(self: Arc<Self>, id: Id) {
        let waited = Instant::now().checked_add(self.options.limits.hold);
        let mut pause = FIRST;
        let mut next = Instant::now() + pause;
        let mut changes = self.ground.views.changes();
        loop {
            let changed_hands = self.changed_hands.notified();
            let look_again = self.look_again_at();
            let wake_at = [waited, look_again].into_iter().flatten().fold(next, Instant::min);
            tokio::select! {
                () = sleep_until(wake_at) => {}
                () = changed_hands => continue,
                () = self.closed.cancelled() => return,
            }
            let now = Instant::now();
            if waited.is_some_and(|waited| now >= waited) {
                self.apply(Input::WaitedLong(id));
            }
            if look_again.is_some_and(|look_again| now >= look_again) {
                self.recount();
            }
            if !self.waits(id) {
                return;
            }
            if now < next {
                continue;
            }
            let holds = self.hold(id);
            if holds {
                let activated = async {
                    // Looked at without the value's lock, which is taken under that of the state.
                    while self.waits(id) && changes.changed().await.is_ok() {}
                };
                let activated = tokio::time::timeout(HOLD, activated).await.is_ok();
                self.release(id);
                self.announce();
                if activated {
                    return;
                }
            }
            // Clients are not waited for more rarely: they may be gone at any moment.
            pause = if holds { (pause * 2).min(LONGEST) } else { FIRST };
            next = Instant::now() + pause;
        }
    }

    /// Holds new events back, if the worker waits for nothing else.
    fn hold(&self, id: Id) -> bool {
        let mut life = self.life();
        let waits = !life.cycle.is_held() && life.cycle.waiting.is_some_and(|slot| slot.id == id);
        if waits {
            life.holding_for = Some(id);
        }
        waits
    }

    /// Lets events in again, unless they are held back for another worker by now.
    fn release(&self, id: Id) {
        let mut life = self.life();
        life.holding_for = life.holding_for.filter(|other| *other != id);
    }

    fn waits(&self, id: Id) -> bool {
        self.life().cycle.waiting.is_some_and(|slot| slot.id == id)
    }
}
