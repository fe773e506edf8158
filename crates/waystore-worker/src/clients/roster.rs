//! The clients of a site as its tasks and its workers share them: who is there, and what each is told.
//!
//! Knows what the slots of the registration were last, so that each client hears of every step once.
//! Decides nothing about them.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use url::Url;

use super::{
    ClientChange, ClientError, ClientInfo, Mirror, MirrorWorker, Outbox, Room, ToPage, Wanted,
    registry::{Known, Registry},
};
use crate::{
    Limits, MessagePort, SerializedValue, UpdateViaCache,
    isolate::{Seen, View},
};

/// What waits for all clients of a site together, in bytes.
const MOST_BYTES: usize = 128 * 1024 * 1024;
/// Names of broadcasts that one client hears.
const MOST_JOINED: usize = 64;

/// The clients of a site.
#[derive(Debug)]
pub(crate) struct Roster {
    state: Mutex<State>,
    room: Room,
}

#[derive(Debug)]
struct State {
    registry: Registry<Seat>,
    scope: Url,
    update_via_cache: UpdateViaCache,
    view: View,
    closed: bool,
}

/// What is kept for a client.
#[derive(Debug, Default)]
struct Seat {
    outbox: Outbox,
    /// The names of broadcasts that it hears.
    joined: BTreeSet<String>,
}

impl Roster {
    pub(crate) fn new(scope: &Url, update_via_cache: UpdateViaCache, limits: &Limits) -> Self {
        let state = State {
            registry: Registry::new(scope, limits.clients, limits.binding),
            scope: scope.clone(),
            update_via_cache,
            view: View::default(),
            closed: false,
        };
        Self { state: Mutex::new(state), room: Room::new(MOST_BYTES) }
    }

    /// Reserves the client that a navigation would make.
    pub(crate) fn reserve(&self, id: &str) {
        self.state().registry.reserve(id, Instant::now());
    }

    /// The active worker took the navigation that reserved `id`.
    pub(crate) fn control_reserved(&self, id: &str) {
        self.state().registry.control_reserved(id);
    }

    /// Takes a client in, and tells it what the registration is.
    pub(crate) fn connect(&self, info: ClientInfo) -> Result<Outbox, ClientError> {
        let mut state = self.state();
        if state.closed {
            return Err(ClientError::Closed);
        }
        let outbox = Outbox::default();
        let seat = Seat { outbox: outbox.clone(), joined: BTreeSet::new() };
        let has_worker = state.view.active.is_some();
        let controlled = state.registry.connect(info, seat, has_worker, Instant::now())?;
        outbox.step(ToPage::Registration(state.mirror(controlled)));
        Ok(outbox)
    }

    /// The client has gone: what waits for it is dropped.
    pub(crate) fn remove(&self, id: &str) {
        let seat = self.state().registry.remove(id);
        if let Some(seat) = seat {
            seat.outbox.close();
        }
    }

    /// Something about a client changed.
    pub(crate) fn update(&self, id: &str, change: ClientChange) {
        self.state().registry.update(id, change);
    }

    /// A client as it is now.
    pub(crate) fn info(&self, id: &str) -> Option<ClientInfo> {
        self.state().registry.one(id).map(|(info, ..)| info.clone())
    }

    /// Whether the active worker controls this client.
    pub(crate) fn is_controlled(&self, id: &str) -> bool {
        self.state().registry.one(id).is_some_and(|(.., controlled)| controlled)
    }

    /// The client of this id, once it is there; `None` where none will be.
    ///
    /// Spec: <https://w3c.github.io/ServiceWorker/#clients-get>
    pub(crate) async fn get(&self, id: &str) -> Option<ClientInfo> {
        loop {
            let known = self.state().registry.get(id, Instant::now());
            match known {
                Known::Here(info) => return Some(*info),
                Known::None => return None,
                Known::Reserved(settled, until) => tokio::select! {
                    () = settled.cancelled() => {}
                    () = tokio::time::sleep_until(until.into()) => {}
                },
            }
        }
    }

    /// Those that are wanted, in the standard's order.
    pub(crate) fn matching(&self, wanted: Wanted) -> Vec<ClientInfo> {
        self.state().registry.matching(wanted)
    }

    /// The active worker takes over the clients in its scope.
    pub(crate) fn claim(&self) {
        let mut state = self.state();
        let Some(version) = state.view.active.as_ref().map(|active| active.version.clone()) else { return };
        for seat in state.registry.claim() {
            seat.outbox.step(ToPage::ControllerChange { version: Some(version.clone()) });
        }
    }

    /// Tells each client of a step of the registration, and those whose worker changed of that.
    ///
    /// Spec: <https://w3c.github.io/ServiceWorker/#activate>
    pub(crate) fn tell(&self, view: &View, update_via_cache: UpdateViaCache) {
        let mut state = self.state();
        if state.view == *view && state.update_via_cache == update_via_cache {
            return;
        }
        let version = |view: &View| view.active.as_ref().map(|active| active.version.clone());
        let (was, is) = (version(&state.view), version(view));
        (state.view, state.update_via_cache) = (view.clone(), update_via_cache);
        let mut turned = Vec::new();
        if is.is_none() {
            turned.extend(state.registry.free().into_iter().map(|seat| seat.outbox.clone()));
        } else if was != is {
            let controlled = state.registry.each().filter(|(_, controlled)| *controlled);
            turned.extend(controlled.map(|(seat, _)| seat.outbox.clone()));
        }
        for (seat, controlled) in state.registry.each() {
            seat.outbox.step(ToPage::Registration(state.mirror(controlled)));
        }
        for outbox in turned {
            outbox.step(ToPage::ControllerChange { version: is.clone() });
        }
    }

    /// Posts to a client; dropped where it is gone.
    pub(crate) fn post(&self, id: &str, source: MirrorWorker, data: SerializedValue, ports: Vec<MessagePort>) {
        let mut state = self.state();
        if let Some((_, seat, _)) = state.registry.one(id) {
            let piece = self.room.piece(data.as_str().len());
            seat.outbox.post(ToPage::Message { data, ports, source }, piece);
        }
    }

    /// The client hears broadcasts of this name from now on; `false` where it hears too many.
    pub(crate) fn join(&self, id: &str, name: &str) -> bool {
        let mut state = self.state();
        let Some((_, seat, _)) = state.registry.one(id) else { return false };
        seat.joined.contains(name) || seat.joined.len() < MOST_JOINED && seat.joined.insert(name.to_owned())
    }

    /// The client hears broadcasts of this name no more.
    pub(crate) fn leave(&self, id: &str, name: &str) {
        if let Some((_, seat, _)) = self.state().registry.one(id) {
            seat.joined.remove(name);
        }
    }

    /// Whether a client hears broadcasts of this name.
    pub(crate) fn hears(&self, name: &str) -> bool {
        self.state().registry.each().any(|(seat, _)| seat.joined.contains(name))
    }

    /// Tells every client that hears this name of a worker's broadcast.
    pub(crate) fn broadcast(&self, name: &str, data: &SerializedValue) {
        let state = self.state();
        let piece = self.room.piece(name.len() + data.as_str().len());
        for (seat, _) in state.registry.each().filter(|(seat, _)| seat.joined.contains(name)) {
            let broadcast = ToPage::Broadcast { name: name.to_owned(), data: data.clone() };
            seat.outbox.post(broadcast, piece.clone());
        }
    }

    /// The registration as a client sees it, controlled by the active worker or not.
    pub(crate) fn mirror(&self, controlled: bool) -> Mirror {
        self.state().mirror(controlled)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.state().registry.len()
    }

    /// Whether a client uses the active worker, or is about to.
    pub(crate) fn is_used(&self) -> bool {
        self.state().registry.is_used(Instant::now())
    }

    /// When it is to be asked again whether one does, though none came or went.
    pub(crate) fn look_again_at(&self) -> Option<Instant> {
        self.state().registry.last_successor(Instant::now())
    }

    /// Takes nobody in any more; each hears what waits for it, and then the end.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        for (seat, _) in state.registry.each() {
            seat.outbox.close();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn mirror(&self, controlled: bool) -> Mirror {
        let see = |seen: &Option<Seen>| seen.as_ref().map(MirrorWorker::of);
        let active = see(&self.view.active);
        Mirror {
            scope: self.scope.clone(),
            update_via_cache: self.update_via_cache,
            installing: see(&self.view.installing),
            waiting: see(&self.view.waiting),
            controller: active.as_ref().filter(|_| controlled).map(|active| active.version.clone()),
            active,
        }
    }
}

impl MirrorWorker {
    pub(crate) fn of(seen: &Seen) -> Self {
        Self { version: seen.version.clone(), script_url: seen.script.clone(), state: seen.state }
    }
}
