//! One running copy of a worker's script: a thread of its own, seen from outside.
//!
//! Commands go in through a bounded channel; answers come out through tickets, which also work when
//! the thread does not. A watchdog ends an isolate whose script runs without a pause for too long: by
//! the engine's interrupt, or, where the engine does not ask, by abandoning the thread.

mod network;
mod preload;
mod pulse;
mod thread;
mod ticket;
mod views;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use waystore::Request;

use self::pulse::Abandoned;
pub(crate) use self::{
    network::OnHost,
    preload::{Fetching, Preloaded, Preloading, fetched},
    pulse::{Pulse, too_many_abandoned},
    thread::{Launch, Sliced},
    ticket::{Answer, Stage, Ticket},
    views::{Following, Seen, View, Views},
};
use crate::{Limits, SerializedValue, message::Parcel};

/// What an isolate is told to do.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) id: u64,
    pub(crate) event: Event,
}

/// An event to dispatch.
#[derive(Debug)]
pub(crate) enum Event {
    Install,
    Activate,
    Fetch { request: Box<Request>, client_id: String, resulting_client_id: String, preload: Option<Preloading> },
    Message { data: Message },
}

/// A message on its way to a script.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) data: SerializedValue,
    pub(crate) ports: Parcel,
    /// The version of the worker that posted it, where one did.
    pub(crate) source: Option<String>,
}

/// What the first evaluation of a script found: the types of events it listens to.
pub(crate) type EventTypes = std::collections::BTreeSet<String>;

/// A running isolate. Clones are the same one; when the last is dropped it ends its events and stops.
#[derive(Debug, Clone)]
pub(crate) struct Isolate {
    commands: mpsc::Sender<Command>,
    pub(crate) shared: Arc<Shared>,
}

/// What the thread and the outside share.
pub(crate) struct Shared {
    pub(crate) version: String,
    pub(crate) pulse: Pulse,
    /// Cancelled when the isolate must stop: native calls fail and script is interrupted.
    pub(crate) revoked: CancellationToken,
    /// Cancelled when it has stopped, or was abandoned.
    pub(crate) ended: CancellationToken,
    tickets: Mutex<HashMap<u64, Arc<Ticket>>>,
    next: AtomicU64,
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
        let (sender, commands) = mpsc::channel(limits.concurrent_events.max(1));
        let (started, receiver) = oneshot::channel();
        let shared = Arc::new(Shared::new(launch.version.clone(), limits));
        // Native code between the script's frames needs stack of its own.
        let stack_size = limits.stack_bytes.saturating_add(4 << 20);
        let of_thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("waystore-worker".to_owned())
            .stack_size(stack_size)
            .spawn(move || thread::main(launch, commands, views, started, &of_thread))?;
        host.spawn(watch_over(Arc::clone(&shared)));
        Ok((Self { commands: sender, shared }, receiver))
    }

    /// Gives the isolate an event. The ticket's receiver always answers, whatever becomes of the
    /// isolate; where this future is dropped first, the event never was.
    pub(crate) async fn send(&self, event: Event, ticket: Ticket) -> Sent {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let sent = Sent { id, ticket: Arc::new(ticket), shared: Arc::clone(&self.shared) };
        self.shared.register(id, &sent.ticket);
        let unless_dropped = Unsent(Some(&sent));
        let accepted = tokio::select! {
            biased;
            () = self.shared.ended.cancelled() => false,
            accepted = self.commands.send(Command { id, event }) => accepted.is_ok(),
        };
        if accepted {
            unless_dropped.disarm();
        } else {
            drop(unless_dropped);
        }
        sent
    }

    /// Stops the isolate at once.
    pub(crate) fn revoke(&self, reason: &str) {
        self.shared.revoke(reason);
    }

    /// Whether it has stopped, or is about to.
    pub(crate) fn is_over(&self) -> bool {
        self.shared.revoked.is_cancelled() || self.shared.ended.is_cancelled() || self.commands.is_closed()
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
        if self.stage() == Stage::Queued && self.shared.take(self.id).is_some() {
            self.ticket.stop();
        }
    }
}

/// Takes an event back that did not get through the channel.
struct Unsent<'a>(Option<&'a Sent>);

impl Unsent<'_> {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        if let Some(sent) = self.0 {
            sent.take_back();
        }
    }
}

impl Shared {
    pub(crate) fn new(version: String, limits: &Limits) -> Self {
        Self {
            version,
            pulse: Pulse::new(limits.cpu_slice),
            revoked: CancellationToken::new(),
            ended: CancellationToken::new(),
            tickets: Mutex::default(),
            next: AtomicU64::new(1),
            abandoned: Mutex::default(),
            reason: Mutex::default(),
        }
    }

    /// Whether script has to stop where it is: what the engine asks now and then.
    pub(crate) fn interrupt(self: &Arc<Self>) -> impl Fn() -> bool + Send + 'static {
        let watched = Arc::clone(self);
        move || watched.pulse.is_over() || watched.revoked.is_cancelled()
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

/// Looks at the isolate from outside until it ends, and abandons it if it is stuck.
async fn watch_over(shared: Arc<Shared>) {
    let grace = shared.pulse.grace();
    let period = (grace / 2).max(Duration::from_millis(50));
    let mut revoked_for = Duration::ZERO;
    loop {
        tokio::select! {
            biased;
            () = shared.ended.cancelled() => return,
            () = tokio::time::sleep(period) => {}
        }
        if shared.revoked.is_cancelled() {
            revoked_for += period;
        }
        let deaf = revoked_for > grace && shared.pulse.slice().is_some();
        if shared.pulse.is_stuck() || deaf {
            shared.revoke("it ran for too long and could not be interrupted");
            shared.set_abandoned(Some(Abandoned::count()));
            tracing::error!(
                version = shared.version,
                "worker abandoned: its thread is stuck in script and was given up"
            );
            shared.end();
            return;
        }
    }
}
