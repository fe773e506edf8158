//! One registration of one origin, from its first install on: the face of this crate.
//!
//! Carries out what the [lifecycle](crate::lifecycle) decides, keeps it in the store, and sends
//! events to the worker whose turn it is. Decides nothing about states itself.

mod clients;
mod command;
mod events;
mod jobs;
mod line;
mod link;
mod pages;
mod rollover;
mod routing;
mod status;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use url::Url;
use waystore::Waystore;

use self::{jobs::Queued, link::SiteLink, status::Counts};
pub use self::{
    jobs::Updated,
    pages::Page,
    status::{Counters, Off, SiteStatus, WorkerStatus},
};
use crate::{
    Activation, SiteError, SiteHost, SiteOptions, UpdateViaCache, WorkerState,
    airwaves::Airwaves,
    clients::Roster,
    isolate::{Answer, Event, Seen, View, Views},
    lifecycle::{Action, Id, Input, Lifecycle, Slot, Slots},
    registration::{Barred, Kept, KeptWorker, Preload, Registrations},
    worker::{Ground, Taker, Worker},
};

/// A registration and its workers. Clones are the same site.
///
/// ```no_run
/// # async fn example(fetch: std::sync::Arc<dyn waystore::Fetch>, request: waystore::Request) -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use waystore_worker::{FetchEvent, Site, SiteHost, SiteOptions};
///
/// let waystore = waystore::Waystore::in_memory();
/// let console = Arc::new(|line: waystore_worker::ConsoleLine| println!("{}", line.text));
/// let host = SiteHost { fetch, clock: Arc::new(waystore::Clock::system()), console, prefetch: None };
/// let options = SiteOptions::new("https://shop.example/sw.js".parse()?);
/// let site = Site::open(options, &waystore, host).await?;
/// site.ready().await?;
/// let outcome = site.fetch(FetchEvent::of(request)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Site {
    inner: Arc<Inner>,
}

/// What a site's clones, its tasks and its workers share.
struct Inner {
    options: SiteOptions,
    script: Url,
    ground: Ground,
    registrations: Registrations,
    life: Mutex<Life>,
    ready: watch::Sender<Option<Result<(), SiteError>>>,
    /// What is in the store.
    saved: tokio::sync::Mutex<Option<Kept>>,
    /// Held by the job that runs; jobs queue for it in their order.
    turn: tokio::sync::Mutex<()>,
    last_job: Mutex<Option<Queued>>,
    /// Events that wait for a turn, and events under way.
    queue: Arc<Semaphore>,
    slots: Arc<Semaphore>,
    /// Messages of clients under way: so many that they never take all the events there may be.
    page_events: Arc<Semaphore>,
    /// The clients. Its lock is taken under that of the state, never the other way round.
    roster: Roster,
    /// Told when a client came or went.
    changed_hands: Notify,
    counts: Counts,
    /// Told when an event is over.
    over: Notify,
    closed: CancellationToken,
}

/// The state of the registration.
struct Life {
    cycle: Lifecycle,
    workers: HashMap<Id, Arc<Worker>>,
    next_id: Id,
    versions: u64,
    last_check_ms: Option<u64>,
    preload: Preload,
    update_via_cache: UpdateViaCache,
    /// The version that was active before, as long as the next one does not activate.
    previous: Option<KeptWorker>,
    /// What a rollback led away from: update checks do not install it.
    barred: Option<Barred>,
    /// Whether the worker is switched off.
    off: bool,
    /// What is left to do as soon as it is switched on.
    deferred: Vec<Action>,
    /// Why the last job failed, if it did.
    last_failure: Option<String>,
    /// Whether a worker may still come of what is under way: until the first job ended.
    hopeful: bool,
    /// For whom new fetch events wait, so that those under way come to an end.
    holding_for: Option<Id>,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("scope", &self.scope().as_str()).finish_non_exhaustive()
    }
}

impl Site {
    /// Opens the registration that the store keeps for the scope, or registers in the background.
    ///
    /// A kept worker answers at once, without the network and without `install`; one that waited is
    /// activated. A check for updates runs in the background. Must be called within a tokio runtime,
    /// which is where the host's [`Fetch`](waystore::Fetch) is called from.
    ///
    /// # Errors
    ///
    /// * [`SiteError::Url`]: the options break a rule.
    /// * [`SiteError::Store`]: the registration could not be read.
    pub async fn open(options: SiteOptions, waystore: &Waystore, host: SiteHost) -> Result<Self, SiteError> {
        let (script, scope) = options.urls()?;
        let store_error = |source| SiteError::Store { scope: Box::new(scope.clone()), source: Arc::new(source) };
        let caches = waystore.caches(script.as_str()).map_err(store_error)?.with_policies(options.policies.clone());
        let registrations = waystore.registrations(script.as_str()).map_err(store_error)?;
        let registrations = Registrations::new(registrations, scope.clone());
        let kept = registrations.load(options.limits.script_bytes).await.map_err(store_error)?;
        let ground = Ground {
            scope: scope.clone(),
            update_via_cache: options.update_via_cache,
            caches,
            host,
            limits: options.limits.clone(),
            runtime: tokio::runtime::Handle::current(),
            views: Arc::new(Views::new()),
            airwaves: Arc::new(Airwaves::new()),
        };
        let mut life = Life::new(options.update_via_cache, options.activation);
        let mut actions = Vec::new();
        let (queue, slots) = (options.limits.waiting_events, options.limits.concurrent_events);
        let inner = Arc::new_cyclic(|inner| {
            if let Some(kept) = &kept {
                actions = life.restore(kept, options.activation, &ground, inner);
            }
            Inner {
                script,
                registrations,
                life: Mutex::new(life),
                ready: watch::Sender::new(None),
                saved: tokio::sync::Mutex::new(kept),
                turn: tokio::sync::Mutex::default(),
                last_job: Mutex::default(),
                queue: Arc::new(Semaphore::new(queue.min(Semaphore::MAX_PERMITS))),
                slots: Arc::new(Semaphore::new(slots.clamp(1, Semaphore::MAX_PERMITS))),
                page_events: Arc::new(Semaphore::new((slots / 4).clamp(1, Semaphore::MAX_PERMITS))),
                roster: Roster::new(&ground.scope, options.update_via_cache, &options.limits),
                changed_hands: Notify::new(),
                counts: Counts::default(),
                over: Notify::new(),
                closed: CancellationToken::new(),
                options,
                ground,
            }
        });
        inner.announce();
        inner.begin(actions);
        Ok(Self { inner })
    }

    /// The requests that the worker answers: those whose URL starts with this one.
    pub fn scope(&self) -> &Url {
        &self.inner.ground.scope
    }

    /// Whether the worker answers requests for `url`: whether that starts with the scope, to the character.
    ///
    /// Spec: <https://w3c.github.io/ServiceWorker/#scope-match-algorithm>
    pub fn covers(&self, url: &Url) -> bool {
        url.as_str().starts_with(self.scope().as_str())
    }

    /// The script's URL.
    pub fn script(&self) -> &Url {
        &self.inner.script
    }

    /// Waits until a worker is active.
    ///
    /// # Errors
    ///
    /// Why there will be none: the first version could not be fetched, evaluated or installed.
    pub async fn ready(&self) -> Result<(), SiteError> {
        let mut ready = self.inner.ready.subscribe();
        let known = tokio::select! {
            known = ready.wait_for(Option::is_some) => known.ok().and_then(|known| known.clone()),
            () = self.inner.closed.cancelled() => None,
        };
        known.unwrap_or(Err(SiteError::Closed))
    }

    /// Takes no more events, lets those under way end within `grace`, and stops the workers.
    pub async fn close(&self, grace: Duration) {
        self.inner.closed.cancel();
        self.inner.roster.close();
        let ended = async {
            loop {
                let over = self.inner.over.notified();
                if !self.inner.life().cycle.is_busy() {
                    return;
                }
                over.await;
            }
        };
        if tokio::time::timeout(grace, ended).await.is_err() {
            tracing::warn!(scope = %self.scope(), "events were still under way when the site was closed");
        }
        let workers: Vec<_> = self.inner.life().workers.values().cloned().collect();
        for worker in workers {
            let running = worker.isolates();
            worker.stop("the site was closed");
            for isolate in running {
                // A thread that is stuck is given up by its watchdog; that takes no longer than this.
                let ended = isolate.shared.ended.cancelled();
                drop(tokio::time::timeout(Duration::from_secs(10), ended).await);
            }
        }
        // What was decided last is written before the store may be closed.
        self.inner.save().await;
    }
}

impl Life {
    fn new(update_via_cache: UpdateViaCache, activation: Activation) -> Self {
        Self {
            cycle: Lifecycle::new(activation),
            workers: HashMap::new(),
            next_id: 1,
            versions: 0,
            last_check_ms: None,
            preload: Preload::default(),
            update_via_cache,
            previous: None,
            barred: None,
            off: false,
            deferred: Vec::new(),
            last_failure: None,
            hopeful: true,
            holding_for: None,
        }
    }

    /// Takes over what was kept; the actions finish what was under way.
    fn restore(&mut self, kept: &Kept, activation: Activation, ground: &Ground, inner: &Weak<Inner>) -> Vec<Action> {
        self.versions = kept.versions;
        self.last_check_ms = kept.last_check_ms;
        self.preload = kept.preload.clone();
        self.update_via_cache = kept.update_via_cache;
        (self.barred, self.off) = (kept.barred.clone(), kept.off);
        // What waited is about to be active.
        let replaced = kept.active.as_ref().filter(|_| kept.waiting.is_some());
        let redundant = |kept: &KeptWorker| KeptWorker { state: WorkerState::Redundant, ..kept.clone() };
        self.previous = replaced.map(redundant).or_else(|| kept.previous.clone());
        let mut worker = |kept: &KeptWorker| {
            let id = self.take_id();
            let link = Arc::new(SiteLink::new(inner.clone(), id));
            self.workers.insert(id, Arc::new(Worker::restored(id, kept.clone(), ground.clone(), link)));
            id
        };
        let active = kept.active.as_ref().map(|kept| (worker(kept), kept.state));
        let waiting = kept.waiting.as_ref().map(&mut worker);
        let (cycle, actions) = Lifecycle::restored(activation, active, waiting);
        self.cycle = cycle;
        actions
    }

    fn take_id(&mut self) -> Id {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// What is to be kept.
    fn kept(&self) -> Kept {
        let keep = |slot: Option<Slot>| slot.and_then(|slot| Some(self.workers.get(&slot.id)?.kept(slot.state)));
        Kept {
            update_via_cache: self.update_via_cache,
            last_check_ms: self.last_check_ms,
            preload: self.preload.clone(),
            versions: self.versions,
            waiting: keep(self.cycle.waiting),
            active: keep(self.cycle.active),
            previous: self.previous.clone(),
            barred: self.barred.clone(),
            off: self.off,
        }
    }

    /// Keeps the version that was active, where another one is now; nothing, where the registration goes.
    fn keep_previous(&mut self, was: Option<Slot>) {
        let replaced = was.filter(|was| self.cycle.active.is_some_and(|active| active.id != was.id));
        if let Some(worker) = replaced.and_then(|was| self.workers.get(&was.id)) {
            self.previous = Some(worker.kept(WorkerState::Redundant));
        }
        if self.cycle.unregistered {
            (self.previous, self.barred) = (None, None);
        }
    }

    /// What the workers and the clients see, where these are the slots.
    fn view(&self, slots: Slots) -> View {
        let see = |slot: Option<(Id, WorkerState)>| {
            let (id, state) = slot?;
            let worker = self.workers.get(&id)?;
            Some(Seen { version: worker.version.clone(), script: worker.script.to_string(), state })
        };
        View { installing: see(slots.installing), waiting: see(slots.waiting), active: see(slots.active) }
    }
}

impl Inner {
    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what happened, and has done what follows from it.
    fn apply(self: &Arc<Self>, input: Input) {
        let actions = self.decide(input);
        if !actions.is_empty() {
            let this = Arc::clone(self);
            self.ground.runtime.spawn(async move { this.carry_out(actions).await });
        }
    }

    /// Takes note of what happened, and returns what is to be done about it.
    fn decide(&self, input: Input) -> Vec<Action> {
        let actions = self.decide_on(|| input);
        if matches!(input, Input::EventEnded(_)) {
            self.over.notify_waiters();
        }
        actions
    }

    /// The same, for what is found out under the lock of the state.
    fn decide_on(&self, input: impl FnOnce() -> Input) -> Vec<Action> {
        let mut life = self.life();
        let was = life.cycle.active;
        let actions = life.cycle.apply(input());
        life.keep_previous(was);
        for action in &actions {
            if let Action::Announce(slots) = action {
                self.tell(&life, *slots);
            }
        }
        actions
    }

    /// Tells what the slots are now.
    fn announce(&self) {
        let life = self.life();
        self.tell(&life, life.cycle.slots());
    }

    /// Tells the workers, the clients, and whoever waits, what the slots are. Under the lock of the state, so
    /// that an older view never follows a newer one.
    fn tell(&self, life: &Life, slots: Slots) {
        let view = life.view(slots);
        self.roster.tell(&view, life.update_via_cache);
        self.ground.views.tell(view);
        if slots.active.is_some_and(|(_, state)| state == WorkerState::Activated) {
            self.ready.send_replace(Some(Ok(())));
        }
    }

    async fn carry_out(self: &Arc<Self>, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Announce(_) => {}
                Action::Save => self.save().await,
                Action::Retire(id) => {
                    let worker = self.life().workers.remove(&id);
                    if let Some(worker) = worker {
                        tracing::info!(version = worker.version, "worker is redundant");
                        worker.retire().await;
                    }
                }
                Action::Activate(id) => {
                    let activated: BoxFuture<'static, ()> = Arc::clone(self).activate(id).boxed();
                    self.ground.runtime.spawn(activated);
                }
            }
        }
    }

    /// Dispatches `activate`. Nothing can fail it. Spec: <https://w3c.github.io/ServiceWorker/#activate>
    async fn activate(self: Arc<Self>, id: Id) {
        let Some(worker) = self.life().workers.get(&id).cloned() else { return };
        if worker.listens("activate") {
            let result = self.dispatch(&worker, || Event::Activate).await;
            if let Err(reason) = result {
                tracing::warn!(
                    version = worker.version,
                    reason,
                    "the activate event failed; the worker is active all the same"
                );
            }
        }
        tracing::info!(version = worker.version, scope = %self.ground.scope, "worker activated");
        self.apply(Input::ActivateEnded(id));
    }

    /// Dispatches `install` or `activate`, and waits until the event is over.
    async fn dispatch(&self, worker: &Arc<Worker>, event: impl Fn() -> Event) -> Result<(), String> {
        match self.deliver(worker, Taker::First, event, Arc::new(())).await? {
            Answer::Over(result) => result,
            _ => Ok(()),
        }
    }

    /// Writes the registration down as it is now; where that fails, the log says so.
    async fn save(&self) {
        if let Err(error) = self.try_save().await {
            tracing::error!(scope = %self.ground.scope, %error, "the registration could not be written; after a restart it is as it was before");
        }
    }

    async fn try_save(&self) -> waystore::Result<()> {
        let mut saved = self.saved.lock().await;
        let kept = {
            let life = self.life();
            let kept = life.kept();
            let worth_it = kept.waiting.is_some() || kept.active.is_some() || kept.off || saved.is_some();
            (!life.cycle.unregistered && worth_it).then_some(kept)
        };
        let Some(kept) = kept else { return Ok(()) };
        if saved.as_ref() == Some(&kept) {
            return Ok(());
        }
        self.registrations.save(saved.as_ref(), &kept).await?;
        *saved = Some(kept);
        Ok(())
    }

    /// Removes the registration from the store.
    async fn forget(&self) {
        let mut saved = self.saved.lock().await;
        match self.registrations.remove().await {
            Ok(_) => *saved = None,
            Err(error) => tracing::error!(scope = %self.ground.scope, %error, "the registration could not be removed"),
        }
    }
}
