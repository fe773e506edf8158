//! What waits for one client: bounded, in order, and honest about what did not fit.
//!
//! Steps of the registration push out older steps, as the latest tells where it is; messages that do
//! not fit are gone. Either is counted where it happened. Knows no client and no registration.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::ToPage;

/// Messages and broadcasts that wait for one client.
const MOST_MESSAGES: usize = 256;
/// Their bytes.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// The ports that came with them.
const MOST_PORTS: usize = 256;
/// Steps of the registration that wait.
const MOST_STEPS: usize = 64;

/// Room for what waits for all clients together, in bytes.
#[derive(Debug, Clone)]
pub(crate) struct Room(Arc<Semaphore>);

/// A piece of it. What several clients wait for takes room once.
pub(crate) type Piece = Arc<OwnedSemaphorePermit>;

impl Room {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// A piece for so many bytes; `None` where there is not so much room.
    pub(crate) fn piece(&self, bytes: usize) -> Option<Piece> {
        let bytes = u32::try_from(bytes).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(bytes).ok().map(Arc::new)
    }
}

/// The queue of one client. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outbox(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    messages: usize,
    bytes: usize,
    ports: usize,
    steps: usize,
    closed: bool,
}

#[derive(Debug)]
struct Waiting {
    what: ToPage,
    _piece: Option<Piece>,
}

impl Outbox {
    /// Adds a message or a broadcast, for which `piece` is the room; where it does not fit, that is told.
    pub(crate) fn post(&self, message: ToPage, piece: Option<Piece>) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        let (bytes, ports) = size(&message);
        let fits = state.messages < MOST_MESSAGES
            && state.bytes.saturating_add(bytes) <= MOST_BYTES
            && state.ports.saturating_add(ports) <= MOST_PORTS;
        if piece.is_none() || !fits {
            state.lose(1, 0);
        } else {
            state.messages += 1;
            state.bytes += bytes;
            state.ports += ports;
            state.waiting.push_back(Waiting { what: message, _piece: piece });
        }
        drop(state);
        self.0.changed.notify_one();
    }

    /// Adds a step of the registration. Where too many wait, the oldest makes room.
    pub(crate) fn step(&self, step: ToPage) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        if state.steps >= MOST_STEPS {
            state.drop_oldest_step();
        }
        state.steps += 1;
        state.waiting.push_back(Waiting { what: step, _piece: None });
        drop(state);
        self.0.changed.notify_one();
    }

    /// What comes next; `None` once the outbox is closed and everything was taken. Dropping the future
    /// loses nothing.
    pub(crate) async fn next(&self) -> Option<ToPage> {
        loop {
            let changed = self.0.changed.notified();
            {
                let mut state = self.lock();
                if let Some(next) = state.pop() {
                    return Some(next);
                }
                if state.closed {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Takes nothing more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.0.changed.notify_one();
    }

    /// How many messages and bytes wait.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let state = self.lock();
        (state.messages, state.bytes)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pop(&mut self) -> Option<ToPage> {
        let Waiting { what, .. } = self.waiting.pop_front()?;
        match &what {
            ToPage::Message { .. } | ToPage::Broadcast { .. } => {
                let (bytes, ports) = size(&what);
                self.messages -= 1;
                self.bytes -= bytes;
                self.ports -= ports;
            }
            ToPage::Registration(_) | ToPage::ControllerChange { .. } => self.steps -= 1,
            ToPage::Lost { .. } => {}
        }
        Some(what)
    }

    /// Counts what is lost, at the end of what waits.
    fn lose(&mut self, lost_messages: u64, lost_steps: u64) {
        if let Some(Waiting { what: ToPage::Lost { messages, steps }, .. }) = self.waiting.back_mut() {
            *messages += lost_messages;
            *steps += lost_steps;
        } else {
            let what = ToPage::Lost { messages: lost_messages, steps: lost_steps };
            self.waiting.push_back(Waiting { what, _piece: None });
        }
    }

    /// Puts the loss of a step in its place; neighbours that say the same become one.
    fn drop_oldest_step(&mut self) {
        let is_step =
            |waiting: &Waiting| matches!(waiting.what, ToPage::Registration(_) | ToPage::ControllerChange { .. });
        let Some(place) = self.waiting.iter().position(is_step) else { return };
        self.steps -= 1;
        self.waiting[place].what = ToPage::Lost { messages: 0, steps: 1 };
        self.join(place);
        if let Some(before) = place.checked_sub(1) {
            self.join(before);
        }
    }

    /// Makes one loss of two that follow each other.
    fn join(&mut self, place: usize) {
        let lost = |waiting: Option<&Waiting>| match waiting?.what {
            ToPage::Lost { messages, steps } => Some((messages, steps)),
            _ => None,
        };
        if let Some(one) = lost(self.waiting.get(place))
            && let Some(two) = lost(self.waiting.get(place + 1))
        {
            self.waiting[place].what = ToPage::Lost { messages: one.0 + two.0, steps: one.1 + two.1 };
            self.waiting.remove(place + 1);
        }
    }
}

fn size(message: &ToPage) -> (usize, usize) {
    match message {
        ToPage::Message { data, ports, .. } => (data.as_str().len(), ports.len()),
        ToPage::Broadcast { name, data } => (name.len() + data.as_str().len(), 0),
        _ => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::SerializedValue;

    fn broadcast(number: usize) -> ToPage {
        ToPage::Broadcast { name: String::new(), data: SerializedValue::from_json(&json!(number)) }
    }

    fn change(version: usize) -> ToPage {
        ToPage::ControllerChange { version: Some(version.to_string()) }
    }

    fn words(told: &ToPage) -> String {
        match told {
            ToPage::Broadcast { data, .. } => data.to_json().unwrap().to_string(),
            ToPage::ControllerChange { version } => format!("step {}", version.as_deref().unwrap()),
            ToPage::Lost { messages, steps } => format!("lost {messages} {steps}"),
            other => format!("{other:?}"),
        }
    }

    async fn all(outbox: &Outbox) -> Vec<String> {
        outbox.close();
        let mut told = Vec::new();
        while let Some(next) = outbox.next().await {
            told.push(words(&next));
        }
        told
    }

    #[tokio::test]
    async fn messages_that_do_not_fit_are_counted_where_they_would_have_been() {
        let (outbox, room) = (Outbox::default(), Room::new(1 << 20));
        for number in 0..MOST_MESSAGES + 3 {
            outbox.post(broadcast(number), room.piece(10));
        }
        assert_eq!(words(&outbox.next().await.unwrap()), "0");
        outbox.post(broadcast(1000), room.piece(10));
        let told = all(&outbox).await;
        assert_eq!(told[254..], ["255", "lost 3 0", "1000"]);
    }

    #[tokio::test]
    async fn what_is_without_room_is_lost_and_room_comes_back() {
        let (outbox, room) = (Outbox::default(), Room::new(15));
        outbox.post(broadcast(1), room.piece(10));
        outbox.post(broadcast(2), room.piece(10));
        assert_eq!(words(&outbox.next().await.unwrap()), "1");
        outbox.post(broadcast(3), room.piece(10));
        assert_eq!(all(&outbox).await, ["lost 1 0", "3"]);
    }

    #[tokio::test]
    async fn a_piece_is_shared_by_all_who_wait_for_the_same() {
        let (outboxes, room) = ([Outbox::default(), Outbox::default()], Room::new(10));
        let piece = room.piece(10);
        for outbox in &outboxes {
            outbox.post(broadcast(1), piece.clone());
        }
        drop(piece);
        outboxes[0].next().await.unwrap();
        assert!(room.piece(1).is_none());
        outboxes[1].next().await.unwrap();
        assert!(room.piece(1).is_some());
    }

    #[tokio::test]
    async fn steps_push_out_older_steps_and_no_message() {
        let (outbox, room) = (Outbox::default(), Room::new(100));
        outbox.step(change(0));
        outbox.post(broadcast(7), room.piece(1));
        for number in 1..MOST_STEPS + 2 {
            outbox.step(change(number));
        }
        let told = all(&outbox).await;
        assert_eq!(told[..4], ["lost 0 1", "7", "lost 0 1", "step 2"]);
        assert_eq!(told.last().unwrap(), &format!("step {}", MOST_STEPS + 1));
    }

    #[tokio::test]
    async fn a_client_that_never_reads_costs_no_more_than_its_bounds() {
        let (outbox, room) = (Outbox::default(), Room::new(1 << 20));
        for number in 0..100_000 {
            outbox.step(change(number));
            outbox.post(broadcast(number), room.piece(1));
        }
        assert!(outbox.lock().waiting.len() <= 2 * (MOST_MESSAGES + MOST_STEPS) + 1);
        assert_eq!(outbox.waiting().0, MOST_MESSAGES);
    }
}
