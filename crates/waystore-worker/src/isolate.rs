//! One running copy of a worker's script: a thread of its own, seen from outside.
//!
//! Commands go in through a bounded channel; answers come out through tickets, which also work when
//! the thread does not. A watchdog ends an isolate whose script runs without a pause for too long: by
//! the engine's interrupt, or, where the engine does not ask, by abandoning the thread.

mod network;
mod outbox;
mod preload;
mod pulse;
mod revocation;
mod thread;
mod ticket;
mod views;
mod watch;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use waystore::Request;

pub(crate) use self::{
    network::OnHost,
    outbox::Outbox,
    preload::{Fetching, Preloaded, Preloading, fetched},
    pulse::{Pulse, too_many_abandoned},
    revocation::Revocation,
    thread::{Launch, Sliced},
    ticket::{Answer, EventName, Stage, Ticket},
    views::{Following, Seen, View, Views},
};
use self::{pulse::Abandoned, watch::watch_over};
use crate::{ClientInfo, Limits, SerializedValue, message::Parcel, trouble::Trouble};

/// An event to dispatch.
#[derive(Debug)]
pub(crate) enum Event {
    Install,
    Activate,
    Fetch { request: Box<Request>, client_id: String, resulting_client_id: String, preload: Option<Preloading> },
    Message { data: Message },
}

impl Event {
    fn name(&self) -> EventName {
        let (kind, url) = match self {
            Self::Install => ("install", None),
            Self::Activate => ("activate", None),
            Self::Fetch { request, .. } => ("fetch", Some(request.url.clone())),
            Self::Message { .. } => ("message", None),
        };
        EventName { kind, url }
    }
}

/// A message on its way to a script.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) data: SerializedValue,
    pub(crate) ports: Parcel,
    /// Who posted it; `None` is the host.
    pub(crate) source: Option<Source>,
}

/// Who posted a message.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The worker of this version.
    Worker(String),
    /// A client, as it was then.
    Client(Box<ClientInfo>),
}

/// What the engine says where the script's heap is full.
const OUT_OF_MEMORY: &str = "out of memory";
/// The most numbers of events that wait for a thread to come to them.
const COMMANDS_MOST: usize = 1 << 20;

/// What the first evaluation of a script found: the types of events it listens to.
pub(crate) type EventTypes = std::collections::BTreeSet<String>;

/// A running isolate. Clones are the same one; when the last is dropped it ends its events and stops.
#[derive(Debug, Clone)]
pub(crate) struct Isolate {
    /// The numbers of events; what they are is with their tickets.
    commands: mpsc::Sender<u64>,
    pub(crate) shared: Arc<Shared>,
}

/// What the thread and the outside share.
pub(crate) struct Shared {
    pub(crate) version: String,
    pub(crate) pulse: Pulse,
    /// Cancelled when the isolate must stop: native calls fail and script is interrupted.
    pub(crate) revoked: Revocation,
    /// Cancelled when it has stopped, or was abandoned.
    pub(crate) ended: CancellationToken,
    tickets: Mutex<HashMap<u64, Arc<Ticket>>>,
    /// What script answered in this turn.
    pub(crate) outbox: Outbox,
    next: AtomicU64,
    /// The event whose dispatch is under way.
    task: Mutex<Option<Arc<Ticket>>>,
    /// Whether it has been in script for so long that its other events should not wait for it.
    busy: AtomicBool,
    /// Whether it takes no more events: it ends those it has, and another one takes its place.
    spent: AtomicBool,
    trouble: Option<Arc<Trouble>>,
    abandoned: Mutex<Option<Abandoned>>,
    reason: Mutex<Option<String>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Isolate").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Isolate {
    /// Starts a thread. What its script's first evaluation found, or why it failed, comes through the receiver.
    pub(crate) fn start(
        launch: Launch,
        host: &tokio::runtime::Handle,
        views: Following,
    ) -> std::io::Result<(Self, oneshot::Receiver<Result<EventTypes, String>>)> {
        let limits = &launch.limits;
        // Those under way, and those that were taken back while the thread did not come to them.
        let (sender, commands) = mpsc::channel(limits.concurrent_events.saturating_mul(2).clamp(16, COMMANDS_MOST));
        let (started, receiver) = oneshot::channel();
        let shared = Shared::new(launch.version.clone(), limits);
        let shared = Arc::new(Shared { trouble: Some(Arc::clone(&launch.trouble)), ..shared });
        // Native code between the script's frames needs stack of its own.
        let stack_size = limits.stack_bytes.saturating_add(4 << 20);
        let (of_thread, patience) = (Arc::clone(&shared), limits.patience);
        std::thread::Builder::new()
            .name("waystore-worker".to_owned())
            .stack_size(stack_size)
            .spawn(move || thread::main(launch, commands, views, started, &of_thread))?;
        host.spawn(watch_over(Arc::clone(&shared), patience));
        Ok((Self { commands: sender, shared }, receiver))
    }

    /// Gives the isolate an event. The ticket's receiver always answers, whatever becomes of the isolate.
    pub(crate) fn send(&self, ticket: Ticket) -> Sent {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let sent = Sent { id, ticket: Arc::new(ticket), shared: Arc::clone(&self.shared) };
        self.shared.register(id, &sent.ticket);
        // An isolate that ends right after this finds the ticket; one that ended before does not.
        if self.shared.ended.is_cancelled() || self.commands.try_send(id).is_err() {
            sent.take_back();
        }
        sent
    }

    /// Stops the isolate at once.
    pub(crate) fn revoke(&self, reason: &str) {
        self.shared.revoke(reason);
    }

    /// Whether it has stopped, or is about to.
    pub(crate) fn is_over(&self) -> bool {
        let shared = &self.shared;
        shared.spent.load(Ordering::Relaxed)
            || shared.revoked.is_cancelled()
            || shared.ended.is_cancelled()
            || self.commands.is_closed()
    }

    /// Whether its thread has not come back from script for longer than others should wait.
    pub(crate) fn is_busy(&self) -> bool {
        self.shared.busy.load(Ordering::Relaxed)
    }

    /// How many events it has.
    pub(crate) fn load(&self) -> usize {
        self.shared.lock().len()
    }
}

/// An event that an isolate was given.
#[derive(Debug)]
pub(crate) struct Sent {
    id: u64,
    ticket: Arc<Ticket>,
    shared: Arc<Shared>,
}

impl Sent {
    /// How far the event came.
    pub(crate) fn stage(&self) -> Stage {
        self.ticket.stage()
    }

    /// Takes the event back, if no script has seen it yet.
    pub(crate) fn take_back(&self) {
        if self.ticket.withdraw() {
            self.shared.take(self.id);
        }
    }
}

impl Shared {
    pub(crate) fn new(version: String, limits: &Limits) -> Self {
        Self {
            version,
            pulse: Pulse::new(limits.cpu_slice),
            revoked: Revocation::default(),
            ended: CancellationToken::new(),
            tickets: Mutex::default(),
            outbox: Outbox::default(),
            next: AtomicU64::new(1),
            task: Mutex::default(),
            busy: AtomicBool::new(false),
            spent: AtomicBool::new(false),
            trouble: None,
            abandoned: Mutex::default(),
            reason: Mutex::default(),
        }
    }

    /// Whether script has to stop where it is: what the engine asks now and then.
    pub(crate) fn interrupt(self: &Arc<Self>) -> impl Fn() -> bool + Send + 'static {
        let watched = Arc::clone(self);
        move || {
            // Script that takes this long does not keep others from their answers.
            watched.outbox.empty();
            watched.pulse.is_over() || watched.revoked.is_cancelled()
        }
    }

    fn register(&self, id: u64, ticket: &Arc<Ticket>) {
        self.lock().insert(id, Arc::clone(ticket));
    }

    /// The ticket of an event under way.
    pub(crate) fn ticket(&self, id: u64) -> Option<Arc<Ticket>> {
        self.lock().get(&id).cloned()
    }

    /// The ticket of an event that is over.
    pub(crate) fn take(&self, id: u64) -> Option<Arc<Ticket>> {
        self.lock().remove(&id)
    }

    /// The thread dispatches this event until the next call, which is with none.
    fn set_task(&self, ticket: Option<Arc<Ticket>>) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = ticket;
    }

    /// The event that script runs for, as far as that can be told: the one that is dispatched, or the
    /// only one that is under way.
    pub(crate) fn running_for(&self) -> Option<EventName> {
        if let Some(ticket) = &*self.task.lock().unwrap_or_else(PoisonError::into_inner) {
            return Some(ticket.name.clone());
        }
        let tickets = self.lock();
        let mut begun = tickets.values().filter(|ticket| ticket.stage() != Stage::Queued);
        begun.next().filter(|_| begun.next().is_none()).map(|ticket| ticket.name.clone())
    }

    /// Keeps what went wrong for whoever looks at the worker.
    pub(crate) fn note(&self, event: Option<&EventName>, words: &str) {
        if let Some(trouble) = &self.trouble {
            trouble.note(event, words);
        }
        if words.contains(OUT_OF_MEMORY) && !self.spent.swap(true, Ordering::Relaxed) {
            let event = event.map(tracing::field::display);
            tracing::warn!(
                version = self.version,
                event,
                "worker replaced: its script reached the memory limit; it ends the events it has"
            );
        }
    }

    /// Stops the isolate on account of what its script does, and says so.
    fn cut_off(&self, reason: &str) {
        if self.revoked.is_cancelled() {
            return;
        }
        let event = self.running_for();
        self.note(event.as_ref(), &format!("the worker was stopped: {reason}"));
        tracing::warn!(version = self.version, event = event.map(tracing::field::display), "worker stopped: {reason}");
        self.revoke(reason);
    }

    /// Takes back what no script has seen yet, for another isolate to do.
    fn hand_back(&self) {
        let mut handed = Vec::new();
        self.lock().retain(|_, ticket| {
            let Some(event) = ticket.take_event() else { return true };
            handed.push((Arc::clone(ticket), event));
            false
        });
        // Whoever waits is told without the lock.
        for (ticket, event) in handed {
            drop(event);
            ticket.end_unseen();
        }
    }

    /// Stops the isolate; the first reason counts.
    pub(crate) fn revoke(&self, reason: &str) {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| reason.to_owned());
        self.revoked.cancel();
    }

    /// Why the isolate was stopped.
    pub(crate) fn reason(&self) -> String {
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone();
        reason.unwrap_or_else(|| "it was stopped".to_owned())
    }

    /// The thread ended, or does not count any more: every event under way has its outcome.
    fn end(&self) {
        self.revoked.cancel();
        self.ended.cancel();
        self.outbox.empty();
        let tickets = std::mem::take(&mut *self.lock());
        for ticket in tickets.into_values() {
            ticket.stop();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Ticket>>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_abandoned(&self, abandoned: Option<Abandoned>) {
        *self.abandoned.lock().unwrap_or_else(PoisonError::into_inner) = abandoned;
    }
}
