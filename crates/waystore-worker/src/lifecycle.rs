//! The states of a registration's workers, as a machine: what happened goes in, what to do comes out.
//!
//! Knows the order of things (install, wait, activate), and of the clients only whether one uses the
//! active worker. Knows nothing of how things are done: no engine, no store, no network, no clock, no lock.
//! Spec: <https://w3c.github.io/ServiceWorker/#installation-algorithm>, Try Activate, Activate.

use crate::Activation;

/// A worker's [state](https://w3c.github.io/ServiceWorker/#dfn-state). They only go forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    /// Its script was fetched, and is being evaluated.
    Parsed,
    /// Its `install` event is under way.
    Installing,
    /// It waits for its turn.
    Installed,
    /// Its `activate` event is under way; `fetch` events wait.
    Activating,
    /// It answers.
    Activated,
    /// It was replaced, or failed to install. There is no way back.
    Redundant,
}

impl WorkerState {
    /// The word that scripts see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parsed => "parsed",
            Self::Installing => "installing",
            Self::Installed => "installed",
            Self::Activating => "activating",
            Self::Activated => "activated",
            Self::Redundant => "redundant",
        }
    }
}

/// What the machine calls a worker.
pub(crate) type Id = u64;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// A new worker was evaluated and is about to be installed.
    Install(Id),
    /// The `install` event of the installing worker ended.
    InstallEnded { ok: bool },
    /// The `activate` event of this worker ended, however it did.
    ActivateEnded(Id),
    /// A worker called `skipWaiting`.
    SkipWaiting(Id),
    /// A worker was given an event.
    EventStarted(Id),
    /// An event is no longer active.
    EventEnded(Id),
    /// Whether a client uses the active worker now.
    Used(bool),
    /// This worker has waited for clients for as long as any does.
    WaitedLong(Id),
    /// This worker, which was active before, takes the place of the active one at once, and of one that waits.
    Rollback(Id),
    /// The registration was removed.
    Unregister,
}

/// What to do about it, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// The slots or states changed to these: tell the workers and the clients of each step.
    Announce(Slots),
    /// Write the registration down.
    Save,
    /// Dispatch `activate` to the active worker, after what is to be saved was saved.
    Activate(Id),
    /// Stop this worker; it is redundant.
    Retire(Id),
}

/// One worker in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) id: Id,
    pub(crate) state: WorkerState,
    skips_waiting: bool,
    waited_long: bool,
    events: usize,
}

/// Who is in which slot, and in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Slots {
    pub(crate) installing: Option<(Id, WorkerState)>,
    pub(crate) waiting: Option<(Id, WorkerState)>,
    pub(crate) active: Option<(Id, WorkerState)>,
}

/// The slots of a registration.
#[derive(Debug, Default)]
pub(crate) struct Lifecycle {
    activation: Activation,
    /// Whether a client uses the active worker.
    used: bool,
    pub(crate) installing: Option<Slot>,
    pub(crate) waiting: Option<Slot>,
    pub(crate) active: Option<Slot>,
    /// Set once the registration was removed: its workers end their events and go.
    pub(crate) unregistered: bool,
    /// Called `skipWaiting` before it had a slot.
    early_skips: Vec<Id>,
}

impl Lifecycle {
    /// Without workers.
    pub(crate) fn new(activation: Activation) -> Self {
        Self { activation, ..Self::default() }
    }

    /// The slots as they were kept: no worker is installing, and one that waited is active now
    /// (1.9). The actions finish what was under way.
    pub(crate) fn restored(
        activation: Activation,
        active: Option<(Id, WorkerState)>,
        waiting: Option<Id>,
    ) -> (Self, Vec<Action>) {
        let mut actions = Vec::new();
        let active = match (waiting, active) {
            (Some(id), old) => {
                actions.extend(old.map(|(id, _)| Action::Retire(id)));
                Some((id, WorkerState::Activating))
            }
            (None, Some((id, WorkerState::Activated))) => Some((id, WorkerState::Activated)),
            (None, Some((id, _))) => Some((id, WorkerState::Activating)),
            (None, None) => None,
        };
        if let Some((id, WorkerState::Activating)) = active {
            actions.extend([Action::Save, Action::Activate(id)]);
        }
        let active = active.map(|(id, state)| Slot { state, ..Slot::new(id) });
        (Self { active, ..Self::new(activation) }, actions)
    }

    /// The same registration, made anew once it was removed. Nobody uses it.
    pub(crate) fn anew(&self) -> Self {
        Self::new(self.activation)
    }

    /// Takes note of `input`, and says what to do about it.
    pub(crate) fn apply(&mut self, input: Input) -> Vec<Action> {
        match input {
            Input::Install(id) => {
                let skips_waiting = self.early_skips.contains(&id);
                self.early_skips.clear();
                self.installing = Some(Slot { skips_waiting, ..Slot::new(id) });
                vec![self.announce()]
            }
            Input::InstallEnded { ok } => self.install_ended(ok),
            Input::ActivateEnded(id) => self.activate_ended(id),
            Input::SkipWaiting(id) => {
                let slot = self.slots_mut().find(|slot| slot.id == id);
                let known = slot.map(|slot| slot.skips_waiting = true).is_some();
                if !known && !self.early_skips.contains(&id) {
                    self.early_skips.push(id);
                }
                self.try_activate()
            }
            Input::EventStarted(id) => {
                self.count(id, |events| events + 1);
                Vec::new()
            }
            Input::EventEnded(id) => {
                self.count(id, |events| events.saturating_sub(1));
                if self.unregistered { self.try_clear() } else { self.try_activate() }
            }
            Input::Used(used) => {
                self.used = used;
                self.try_activate()
            }
            Input::WaitedLong(id) => {
                self.waiting.iter_mut().filter(|slot| slot.id == id).for_each(|slot| slot.waited_long = true);
                self.try_activate()
            }
            Input::Rollback(id) => self.rollback(id),
            Input::Unregister => {
                self.unregistered = true;
                self.try_clear()
            }
        }
    }

    /// The state of a worker; one that is in no slot is redundant, or not there yet.
    pub(crate) fn state(&self, id: Id) -> WorkerState {
        let slots = [self.installing, self.waiting, self.active];
        slots.into_iter().flatten().find(|slot| slot.id == id).map_or(WorkerState::Redundant, |slot| slot.state)
    }

    /// The worker that was installed last. Spec: <https://w3c.github.io/ServiceWorker/#get-newest-worker>
    pub(crate) fn newest(&self) -> Option<Id> {
        [self.installing, self.waiting, self.active].into_iter().flatten().next().map(|slot| slot.id)
    }

    /// Who is where.
    pub(crate) fn slots(&self) -> Slots {
        let seen = |slot: Option<Slot>| slot.map(|slot| (slot.id, slot.state));
        Slots { installing: seen(self.installing), waiting: seen(self.waiting), active: seen(self.active) }
    }

    /// Whether clients keep the waiting worker from its turn.
    pub(crate) fn is_held(&self) -> bool {
        let waits = self.waiting.is_some_and(|waiting| !waiting.skips_waiting && !waiting.waited_long);
        self.activation == Activation::Hold && self.used && waits
    }

    /// Whether an event of any worker is under way.
    pub(crate) fn is_busy(&self) -> bool {
        [self.installing, self.waiting, self.active].into_iter().flatten().any(|slot| slot.events > 0)
    }

    fn install_ended(&mut self, ok: bool) -> Vec<Action> {
        let Some(installed) = self.installing.take() else { return Vec::new() };
        if !ok {
            return vec![Action::Retire(installed.id), self.announce()];
        }
        let mut actions: Vec<_> = self.waiting.take().map(|old| Action::Retire(old.id)).into_iter().collect();
        self.waiting = Some(Slot { state: WorkerState::Installed, ..installed });
        // Told also where its turn has come: pages wait for the event that says so.
        actions.push(self.announce());
        let activation = self.try_activate();
        // Activating saves too, with the newer state.
        if activation.is_empty() {
            actions.push(Action::Save);
        }
        actions.extend(activation);
        actions
    }

    /// Spec: <https://w3c.github.io/ServiceWorker/#try-activate-algorithm>. Clients hold a waiting worker only
    /// where the site is set so; else it activates when the events under way end.
    fn try_activate(&mut self) -> Vec<Action> {
        let Some(waiting) = self.waiting else { return Vec::new() };
        let active = self.active;
        let blocked = active.is_some_and(|active| active.state == WorkerState::Activating || active.events > 0);
        if blocked || self.unregistered || (active.is_some() && self.is_held()) {
            return Vec::new();
        }
        let mut actions: Vec<_> = active.map(|old| Action::Retire(old.id)).into_iter().collect();
        self.waiting = None;
        self.active = Some(Slot { state: WorkerState::Activating, ..waiting });
        actions.extend([self.announce(), Action::Save, Action::Activate(waiting.id)]);
        actions
    }

    fn activate_ended(&mut self, id: Id) -> Vec<Action> {
        match &mut self.active {
            Some(active) if active.id == id && active.state == WorkerState::Activating => {
                active.state = WorkerState::Activated;
            }
            _ => return Vec::new(),
        }
        let mut actions = vec![self.announce(), Action::Save];
        actions.extend(self.try_activate());
        actions
    }

    /// Events of the workers that go end where they began; nothing waits for them.
    fn rollback(&mut self, id: Id) -> Vec<Action> {
        let gone = [self.waiting.take(), self.active.take()].into_iter().flatten();
        let mut actions: Vec<_> = gone.map(|slot| Action::Retire(slot.id)).collect();
        self.active = Some(Slot { state: WorkerState::Activated, ..Slot::new(id) });
        actions.extend([self.announce(), Action::Save]);
        actions
    }

    /// Spec: <https://w3c.github.io/ServiceWorker/#try-clear-registration-algorithm>
    fn try_clear(&mut self) -> Vec<Action> {
        if self.is_busy() || self.active.is_some_and(|active| active.state == WorkerState::Activating) {
            return Vec::new();
        }
        let gone = [self.waiting.take(), self.active.take()].into_iter().flatten();
        let mut actions: Vec<_> = gone.map(|slot| Action::Retire(slot.id)).collect();
        actions.push(self.announce());
        actions
    }

    fn announce(&self) -> Action {
        Action::Announce(self.slots())
    }

    fn count(&mut self, id: Id, change: impl Fn(usize) -> usize) {
        if let Some(slot) = self.slots_mut().find(|slot| slot.id == id) {
            slot.events = change(slot.events);
        }
    }

    fn slots_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        [&mut self.installing, &mut self.waiting, &mut self.active].into_iter().flatten()
    }
}

impl Slot {
    fn new(id: Id) -> Self {
        Self { id, state: WorkerState::Installing, skips_waiting: false, waited_long: false, events: 0 }
    }

    /// Whether the worker asked not to wait.
    pub(crate) fn skips_waiting(&self) -> bool {
        self.skips_waiting
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Id, Input, Lifecycle, WorkerState};
    use crate::Activation;

    /// What is to be done, in words: `tell` with who is in the slots then.
    fn words(actions: Vec<Action>) -> Vec<String> {
        let seen = |(id, state): (Id, WorkerState)| format!(" {id} {}", state.as_str());
        let word = |action| match action {
            Action::Announce(slots) => {
                let slots = [slots.installing, slots.waiting, slots.active].into_iter().flatten();
                format!("tell{}", slots.map(seen).collect::<String>())
            }
            Action::Save => "save".to_owned(),
            Action::Activate(id) => format!("activate {id}"),
            Action::Retire(id) => format!("retire {id}"),
        };
        actions.into_iter().map(word).collect()
    }

    fn apply(life: &mut Lifecycle, input: Input) -> Vec<String> {
        words(life.apply(input))
    }

    /// A registration whose worker 1 is active.
    fn with_one(activation: Activation) -> Lifecycle {
        Lifecycle::restored(activation, Some((1, WorkerState::Activated)), None).0
    }

    /// The same, with events under way, after 2 was just installed.
    fn with_two(events_of_1: usize) -> (Lifecycle, Vec<String>) {
        let mut life = with_one(Activation::Rollover);
        for _ in 0..events_of_1 {
            life.apply(Input::EventStarted(1));
        }
        life.apply(Input::Install(2));
        let actions = apply(&mut life, Input::InstallEnded { ok: true });
        (life, actions)
    }

    /// A registration that pages hold: 1 is active and used by one, and 2 was just installed.
    fn held() -> Lifecycle {
        let mut life = with_one(Activation::Hold);
        life.apply(Input::Used(true));
        life.apply(Input::Install(2));
        assert_eq!(apply(&mut life, Input::InstallEnded { ok: true }), ["tell 2 installed 1 activated", "save"]);
        life
    }

    const TURN_OF_2: [&str; 4] = ["retire 1", "tell 2 activating", "save", "activate 2"];

    #[test]
    fn w18_a_failed_first_install_leaves_nothing() {
        let mut life = Lifecycle::default();
        life.apply(Input::Install(1));
        assert_eq!(apply(&mut life, Input::InstallEnded { ok: false }), ["retire 1", "tell"]);
        assert_eq!(life.newest(), None);
    }

    #[test]
    fn w22_a_first_install_activates_at_once_and_every_state_is_told() {
        let mut life = Lifecycle::default();
        assert_eq!(apply(&mut life, Input::Install(1)), ["tell 1 installing"]);
        let installed = apply(&mut life, Input::InstallEnded { ok: true });
        assert_eq!(installed, ["tell 1 installed", "tell 1 activating", "save", "activate 1"]);
        assert_eq!(apply(&mut life, Input::ActivateEnded(1)), ["tell 1 activated", "save"]);
        assert_eq!(life.state(1), WorkerState::Activated);
    }

    #[test]
    fn a_waiting_worker_activates_when_the_events_under_way_end() {
        let (mut life, actions) = with_two(2);
        assert_eq!(actions, ["tell 2 installed 1 activated", "save"]);
        assert!(apply(&mut life, Input::EventEnded(1)).is_empty());
        assert_eq!(apply(&mut life, Input::EventEnded(1)), TURN_OF_2);
    }

    #[test]
    fn w23_a_waiting_worker_that_is_held_activates_when_the_last_client_goes() {
        let mut life = held();
        life.apply(Input::EventStarted(1));
        assert!(apply(&mut life, Input::EventEnded(1)).is_empty());
        assert_eq!(apply(&mut life, Input::Used(false)), TURN_OF_2);
    }

    #[test]
    fn a_held_worker_that_skips_waiting_is_held_no_more() {
        let mut life = held();
        assert!(life.is_held());
        assert_eq!(apply(&mut life, Input::SkipWaiting(2)), TURN_OF_2);
    }

    #[test]
    fn a_worker_is_held_for_so_long_and_no_longer() {
        let mut life = held();
        assert!(apply(&mut life, Input::WaitedLong(1)).is_empty());
        assert_eq!(apply(&mut life, Input::WaitedLong(2)), TURN_OF_2);
    }

    #[test]
    fn clients_hold_nobody_where_new_versions_roll_over() {
        let mut life = with_one(Activation::Rollover);
        life.apply(Input::Used(true));
        life.apply(Input::Install(2));
        assert_eq!(apply(&mut life, Input::InstallEnded { ok: true })[2..], TURN_OF_2[1..]);
    }

    #[test]
    fn a_first_worker_is_held_by_nobody() {
        let mut life = Lifecycle::new(Activation::Hold);
        life.apply(Input::Used(true));
        life.apply(Input::Install(1));
        life.apply(Input::InstallEnded { ok: true });
        assert_eq!(life.state(1), WorkerState::Activating);
    }

    #[test]
    fn w24_skip_waiting_waits_for_the_events_of_the_old_worker() {
        let (mut life, _) = with_two(1);
        assert!(apply(&mut life, Input::SkipWaiting(2)).is_empty());
        assert!(life.waiting.unwrap().skips_waiting());
        assert_eq!(apply(&mut life, Input::EventEnded(1)), TURN_OF_2);
    }

    #[test]
    fn w27_skip_waiting_counts_before_the_worker_has_a_slot() {
        let mut life = with_one(Activation::Rollover);
        life.apply(Input::SkipWaiting(2));
        life.apply(Input::Install(2));
        assert!(life.installing.unwrap().skips_waiting());
    }

    #[test]
    fn w16_a_third_version_takes_the_place_of_a_waiting_second() {
        let (mut life, _) = with_two(1);
        life.apply(Input::Install(3));
        let installed = apply(&mut life, Input::InstallEnded { ok: true });
        assert_eq!(installed, ["retire 2", "tell 3 installed 1 activated", "save"]);
        assert_eq!(life.state(2), WorkerState::Redundant);
        assert_eq!(life.waiting.unwrap().id, 3);
    }

    #[test]
    fn a_worker_that_is_activating_is_not_replaced_before_it_is_active() {
        let mut life = Lifecycle::default();
        life.apply(Input::Install(1));
        life.apply(Input::InstallEnded { ok: true });
        life.apply(Input::Install(2));
        let installed = apply(&mut life, Input::InstallEnded { ok: true });
        assert_eq!(installed, ["tell 2 installed 1 activating", "save"]);
        let activated = apply(&mut life, Input::ActivateEnded(1));
        assert_eq!(activated[..2], ["tell 2 installed 1 activated", "save"]);
        assert_eq!(activated[2..], TURN_OF_2);
    }

    #[test]
    fn w3_a_worker_that_waited_is_activated_after_a_restart() {
        for activation in [Activation::Rollover, Activation::Hold] {
            let (life, actions) = Lifecycle::restored(activation, Some((1, WorkerState::Activated)), Some(2));
            assert_eq!(words(actions), ["retire 1", "save", "activate 2"]);
            assert_eq!(life.state(2), WorkerState::Activating);
        }
    }

    #[test]
    fn a_rollback_replaces_the_active_worker_at_once_and_one_that_waits() {
        let (mut life, _) = with_two(1);
        assert_eq!(apply(&mut life, Input::Rollback(3)), ["retire 2", "retire 1", "tell 3 activated", "save"]);
        assert!(apply(&mut life, Input::EventEnded(1)).is_empty());
    }

    #[test]
    fn an_activation_that_a_rollback_overtook_activates_nobody_else() {
        let mut life = Lifecycle::default();
        life.apply(Input::Install(1));
        life.apply(Input::InstallEnded { ok: true });
        life.apply(Input::Rollback(2));
        life.apply(Input::Install(3));
        life.apply(Input::InstallEnded { ok: true });
        assert_eq!(life.state(3), WorkerState::Activating);
        assert!(apply(&mut life, Input::ActivateEnded(1)).is_empty());
        assert_eq!(life.state(3), WorkerState::Activating);
    }

    #[test]
    fn a_redundant_worker_that_skips_waiting_again_and_again_is_remembered_once() {
        let mut life = Lifecycle::default();
        for _ in 0..3 {
            life.apply(Input::SkipWaiting(9));
        }
        assert_eq!(life.early_skips, [9]);
    }

    #[test]
    fn an_unregistered_worker_ends_its_events_first() {
        let mut life = with_one(Activation::Rollover);
        life.apply(Input::EventStarted(1));
        assert!(apply(&mut life, Input::Unregister).is_empty());
        assert_eq!(apply(&mut life, Input::EventEnded(1)), ["retire 1", "tell"]);
        assert_eq!(life.newest(), None);
    }
}
