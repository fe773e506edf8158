//! Makes room for a worker that waits, where the events of the old one never all end at once.
//!
//! A waiting worker activates in a moment without events under way. On a busy site there may be no
//! such moment; so now and then new fetch events are held back, shortly, and more and more rarely.

use std::{sync::Arc, time::Duration};

use super::Inner;
use crate::lifecycle::Id;

/// After so long, the first attempt is made; each next one after twice as long.
const FIRST: Duration = Duration::from_secs(2);
/// The longest time between two attempts.
const LONGEST: Duration = Duration::from_secs(120);
/// How long an attempt holds new events back.
const HOLD: Duration = Duration::from_secs(1);

impl Inner {
    /// Makes room for `id` until it no longer waits.
    pub(super) async fn make_room(self: Arc<Self>, id: Id) {
        let mut pause = FIRST;
        let mut changes = self.ground.views.changes();
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.closed.cancelled() => return,
            }
            if !self.hold(id) {
                return;
            }
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
            pause = (pause * 2).min(LONGEST);
        }
    }

    /// Holds new events back, if the worker still waits.
    fn hold(&self, id: Id) -> bool {
        let mut life = self.life();
        let waits = life.cycle.waiting.is_some_and(|slot| slot.id == id);
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
