//! `BroadcastChannel` beyond one context: what a script or a page posts reaches every running isolate of
//! the site.
//!
//! Who is not running hears nothing, and who does not keep up misses what it did not come to. Knows
//! no engine and no page. Spec: <https://html.spec.whatwg.org/#broadcasting-to-other-browsing-contexts>

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::broadcast::{Receiver, Sender, error::RecvError};

use crate::{
    SerializedValue,
    clients::{Piece, Room},
};

/// Broadcasts that an isolate may be behind.
const BEHIND: usize = 64;
/// The bytes of what the isolates did not come to.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// Where a site's broadcasts go.
#[derive(Debug)]
pub(crate) struct Airwaves {
    sender: Sender<Broadcast>,
    room: Room,
    tuned: AtomicU64,
}

/// One broadcast.
#[derive(Debug, Clone)]
pub(crate) struct Broadcast {
    from: Option<u64>,
    pub(crate) name: Arc<str>,
    pub(crate) data: SerializedValue,
    _piece: Piece,
}

impl Airwaves {
    pub(crate) fn new() -> Self {
        Self { sender: Sender::new(BEHIND), room: Room::new(MOST_BYTES), tuned: AtomicU64::new(0) }
    }

    /// Sends to all who listen, but for the one who sends.
    pub(crate) fn send(&self, from: Option<u64>, name: &str, data: SerializedValue) {
        if !self.reaches(from) {
            return;
        }
        match self.room.piece(name.len() + data.as_str().len()) {
            // Nobody listens where the last one just stopped.
            Some(piece) => drop(self.sender.send(Broadcast { from, name: name.into(), data, _piece: piece })),
            None => tracing::warn!(name, "a broadcast was lost: the workers do not keep up"),
        }
    }

    /// Whether anybody but the one who sends listens.
    pub(crate) fn reaches(&self, from: Option<u64>) -> bool {
        self.sender.receiver_count() > usize::from(from.is_some())
    }

    /// Listens from now on.
    pub(crate) fn tune(&self) -> Tuned {
        Tuned { id: self.tuned.fetch_add(1, Ordering::Relaxed), receiver: self.sender.subscribe() }
    }
}

/// One who listens.
#[derive(Debug)]
pub(crate) struct Tuned {
    /// Says who sends.
    pub(crate) id: u64,
    receiver: Receiver<Broadcast>,
}

impl Tuned {
    /// The next broadcast of somebody else; `None` once there will be none.
    pub(crate) async fn next(&mut self) -> Option<Broadcast> {
        loop {
            match self.receiver.recv().await {
                Ok(broadcast) if broadcast.from == Some(self.id) => {}
                Ok(broadcast) => return Some(broadcast),
                Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "a worker did not keep up with broadcasts"),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn who_sends_hears_others_and_not_itself() {
        let airwaves = Airwaves::new();
        let (mut one, mut two) = (airwaves.tune(), airwaves.tune());
        airwaves.send(Some(one.id), "a", json!(1).into());
        airwaves.send(None, "b", json!(2).into());
        assert_eq!(&*one.next().await.unwrap().name, "b");
        assert_eq!(&*two.next().await.unwrap().name, "a");
        assert_eq!(two.next().await.unwrap().data.to_json(), Some(json!(2)));
    }

    #[tokio::test]
    async fn who_does_not_keep_up_misses_the_oldest_and_what_waits_is_bounded() {
        let airwaves = Airwaves::new();
        let mut slow = airwaves.tune();
        for number in 0..1000 {
            airwaves.send(None, "a", json!(number).into());
        }
        assert_eq!(slow.next().await.unwrap().data.to_json(), Some(json!(1000 - BEHIND)));
        let long = SerializedValue::from_json(&json!("x".repeat(15 << 20)));
        for _ in 0..5 {
            airwaves.send(None, "long", long.clone());
        }
        let mut heard = 0;
        while let Some(Some(broadcast)) = futures::FutureExt::now_or_never(slow.next()) {
            heard += usize::from(&*broadcast.name == "long");
        }
        assert_eq!(heard, 2);
    }
}
