//! The thread of an isolate: the engine, one loop, and the events that interleave on it.
//!
//! Evaluates the worker's script, runs its microtasks, says which events it listens to, and then
//! dispatches what comes through the channel until it is idle for long enough, revoked, or nobody
//! can send any more. Knows no lifecycle: whoever sends an event has decided that it may be sent.

use std::{
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};
use url::Url;
use waystore::{CacheStorage, Fetch};

use super::{
    EventTypes, Following, Shared,
    network::{Governed, OnHost},
};
use crate::{
    ConsoleLine, Limits, SiteHost, UpdateViaCache,
    airwaves::Airwaves,
    js::{
        Engine, Realm, Work,
        scope::{self, Bridge, Link, Scope},
    },
    script::ScriptMap,
    trouble::{Trouble, position_of},
};

/// Events that are dispatched in a turn of the loop before it looks at anything else.
const IN_A_ROW: usize = 32;

/// What a thread is started with.
pub(crate) struct Launch {
    pub(crate) version: String,
    pub(crate) script: Url,
    pub(crate) scope: Url,
    pub(crate) update_via_cache: UpdateViaCache,
    pub(crate) scripts: Arc<ScriptMap>,
    pub(crate) caches: CacheStorage,
    pub(crate) host: SiteHost,
    pub(crate) limits: Limits,
    /// What a script can ask of its registration.
    pub(crate) link: Arc<dyn Link>,
    /// Where what went wrong is kept.
    pub(crate) trouble: Arc<Trouble>,
    /// The host's runtime, where the network is.
    pub(crate) runtime: tokio::runtime::Handle,
    /// The broadcasts of the site.
    pub(crate) airwaves: Arc<Airwaves>,
}

impl Launch {
    /// The network as the worker's script may use it.
    pub(crate) fn network(&self) -> Arc<dyn Fetch> {
        let host = OnHost::new(Arc::clone(&self.host.fetch), self.runtime.clone());
        Arc::new(Governed::new(host, self.scripts.policy(), self.script.clone()))
    }
}

impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch").field("version", &self.version).finish_non_exhaustive()
    }
}

type Started = oneshot::Sender<Result<EventTypes, String>>;

/// Runs the isolate to its end.
pub(super) fn main(
    launch: Launch,
    commands: mpsc::Receiver<u64>,
    views: Following,
    started: Started,
    shared: &Arc<Shared>,
) {
    let _ends = Ends(shared);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(run(launch, commands, views, started, shared)),
        Err(error) => drop(started.send(Err(format!("no event loop: {error}")))),
    }
}

/// Ends the isolate when its thread does, a panic included.
struct Ends<'a>(&'a Shared);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.end();
        self.0.set_abandoned(None);
    }
}

async fn run(launch: Launch, commands: mpsc::Receiver<u64>, views: Following, started: Started, shared: &Arc<Shared>) {
    let engine = match Engine::new(&launch.limits, shared.interrupt()).await {
        Ok(engine) => engine,
        Err(error) => return drop(started.send(Err(format!("no script engine: {error}")))),
    };
    // The life of the one context, from its first evaluation on.
    let root = engine.run(async |context| {
        let rests = (launch.limits.idle, launch.limits.event);
        let realm = realm_of(&launch, shared);
        let main = launch.scripts.main().clone();
        let bridge = Rc::new(Bridge::new(launch, Arc::clone(shared)));
        let evaluated = scope::install(&context, realm, Rc::clone(&bridge), &views.first)
            .and_then(|scope| evaluate(&scope, &main, shared).map(|()| scope));
        let scope = match evaluated {
            Ok(scope) => scope,
            Err(words) => return drop(started.send(Err(words))),
        };
        if started.send(scope.end_evaluation()).is_ok() {
            turns(&scope, serve(&scope, &bridge, commands, views, rests, shared), shared).await;
        }
    });
    Sliced::new(shared, root).await;
}

/// Each poll of `serving` is one turn of the event loop, with its microtasks.
async fn turns(scope: &Scope<'_>, serving: impl Future<Output = ()>, shared: &Shared) {
    let mut serving = pin!(serving);
    poll_fn(|cx| {
        shared.pulse.begin();
        let turn = serving.as_mut().poll(cx);
        scope.checkpoint();
        scope.notify_rejections();
        if shared.pulse.tripped() && !shared.revoked.is_cancelled() {
            shared.cut_off("its script ran for too long without a pause");
        }
        if shared.revoked.is_cancelled() { Poll::Ready(()) } else { turn }
    })
    .await;
}

/// Evaluates the script and runs its microtasks; what listens after that is what counts (6.2, 6.3).
fn evaluate(scope: &Scope<'_>, main: &[u8], shared: &Shared) -> Result<(), String> {
    let evaluated = scope.evaluate(main);
    scope.checkpoint();
    if shared.pulse.tripped() || shared.revoked.is_cancelled() {
        return Err("its script ran for too long".to_owned());
    }
    evaluated
}

fn realm_of(launch: &Launch, shared: &Arc<Shared>) -> Realm {
    let (console, version) = (Arc::clone(&launch.host.console), launch.version.clone());
    let (writing, failing) = (Arc::clone(shared), Arc::clone(shared));
    let write = move |line: ConsoleLine| {
        let event = writing.running_for();
        let position = position_of(&line.text);
        console(ConsoleLine {
            version: Some(version.clone()),
            event: event.as_ref().map(|event| event.kind),
            url: event.and_then(|event| event.url),
            position,
            ..line
        });
    };
    Realm {
        caches: launch.caches.clone(),
        fetch: launch.network(),
        prefetch: launch.host.prefetch.clone(),
        base: launch.script.clone(),
        persistence: None,
        spooler: launch.caches.spooler(),
        console: Rc::new(write),
        uncaught: Rc::new(move |words| failing.note(failing.running_for().as_ref(), words)),
        clock: Arc::clone(&launch.host.clock),
        revoked: shared.revoked.clone(),
        work: Work::default(),
    }
}

/// The event loop.
async fn serve(
    scope: &Scope<'_>,
    bridge: &Bridge,
    mut commands: mpsc::Receiver<u64>,
    mut views: Following,
    (idle, longest): (Duration, Duration),
    shared: &Shared,
) {
    let mut open = true;
    let mut closed_at = None;
    let mut busy_at = Instant::now();
    // Set anew only where it has to ring earlier, or rang: most events come and go without.
    let mut alarm = pin!(sleep_until(busy_at + idle));
    loop {
        let now = Instant::now();
        for id in bridge.overdue(now) {
            scope.time_out(id);
        }
        let (is_busy, ended) = (bridge.is_busy(), bridge.take_ended());
        if !is_busy && !open {
            return;
        }
        if is_busy || ended {
            busy_at = now;
        }
        // A client that never reads its answer to the end does not keep the thread for ever.
        if closed_at.is_some_and(|time: Instant| now >= time + longest) {
            return;
        }
        let rest_at = busy_at + idle;
        let wake_at = bridge.next_deadline().unwrap_or(rest_at).min(rest_at.max(now + Duration::from_millis(1)));
        if wake_at < alarm.deadline() || alarm.is_elapsed() {
            alarm.as_mut().reset(wake_at);
        }
        tokio::select! {
            biased;
            () = shared.revoked.cancelled() => return,
            view = views.next() => scope.set_view(&view),
            command = commands.recv(), if open => match command {
                Some(id) => {
                    // Those that came meanwhile are next: to ask for all else costs as much as a small event.
                    let mut next = Some(id);
                    for left in (0..IN_A_ROW).rev() {
                        let Some(id) = next else { break };
                        busy_at = Instant::now();
                        // Both may have come since the changes were looked at, and the event builds on them.
                        while let Some(view) = views.told() {
                            shared.set_task(None);
                            scope.set_view(&view);
                        }
                        dispatch(scope, id, busy_at, shared);
                        if shared.pulse.tripped() || shared.revoked.is_cancelled() {
                            // What comes after it is for another isolate.
                            return shared.set_task(None);
                        }
                        next = if left > 0 { commands.try_recv().ok() } else { None };
                    }
                    shared.set_task(None);
                }
                None => {
                    open = false;
                    bridge.end_with_events();
                    closed_at = Some(Instant::now());
                }
            },
            () = bridge.changed() => {}
            () = &mut alarm => {
                if bridge.is_busy() || bridge.take_ended() {
                    busy_at = Instant::now();
                } else if Instant::now() >= rest_at {
                    tracing::debug!(version = shared.version, "worker stopped: it was idle");
                    return;
                }
            }
        }
    }
}

/// A task of the event loop: what its microtasks leave behind is this event's, until the next one.
fn dispatch(scope: &Scope<'_>, id: u64, now: Instant, shared: &Shared) {
    let Some(ticket) = shared.ticket(id) else { return };
    shared.set_task(Some(Arc::clone(&ticket)));
    scope.dispatch(id, &ticket, now);
    scope.checkpoint();
    scope.notify_rejections();
}

/// A future whose polls are slices of script. What was answered in one is handed over at its end.
pub(crate) struct Sliced<'a, F> {
    shared: &'a Shared,
    inner: Pin<Box<F>>,
}

impl<'a, F> Sliced<'a, F> {
    pub(crate) fn new(shared: &'a Shared, inner: F) -> Self {
        Self { shared, inner: Box::pin(inner) }
    }
}

impl<F: Future> Future for Sliced<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.shared.pulse.begin();
        let polled = self.inner.as_mut().poll(cx);
        self.shared.pulse.end();
        self.shared.outbox.empty();
        polled
    }
}
