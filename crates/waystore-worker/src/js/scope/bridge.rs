//! What the prelude of events calls: the way from script to tickets.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    fmt,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use rquickjs::{Ctx, Value};
use tokio::{sync::Notify, time::Instant};
use url::Url;
use waystore::{Body, BodyError, Fetch, FetchError, Response};

use super::{Link, checkpoint};
use crate::{
    Limits, UpdateViaCache,
    airwaves::Airwaves,
    isolate::{Answer, Event, Launch, Preloaded, Preloading, Shared, Stage, Ticket},
    js::{
        describe,
        idl::{Arguments, native_operation},
        kit, take_response,
    },
    script::ScriptMap,
};

/// Of a value in a reason.
const MOST_CHARS: usize = 120;

/// The events under way on one thread, and what the script's global needs of its worker.
pub(crate) struct Bridge {
    pub(super) version: String,
    pub(super) script: Url,
    pub(super) scope: Url,
    pub(super) update_via_cache: UpdateViaCache,
    pub(super) scripts: Arc<ScriptMap>,
    pub(super) limits: Limits,
    pub(super) link: Arc<dyn Link>,
    pub(super) fetch: Arc<dyn Fetch>,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) shared: Arc<Shared>,
    pub(super) airwaves: Arc<Airwaves>,
    /// The events that are active, and until when they may be.
    events: RefCell<BTreeMap<u64, Instant>>,
    /// What was begun for some of them.
    preloads: RefCell<HashMap<u64, Preloaded>>,
    /// Bodies of answers that are still being read: script may be their source.
    streams: Arc<AtomicUsize>,
    /// Whether an event was over since somebody asked.
    ended: Cell<bool>,
    /// Whether the thread ends with its events, and has to be told of the last.
    ending: Cell<bool>,
    changed: Notify,
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Bridge {
    pub(crate) fn new(launch: Launch, shared: Arc<Shared>) -> Self {
        Self {
            fetch: launch.network(),
            version: launch.version,
            script: launch.script,
            scope: launch.scope,
            update_via_cache: launch.update_via_cache,
            scripts: launch.scripts,
            limits: launch.limits,
            link: launch.link,
            runtime: launch.runtime,
            airwaves: launch.airwaves,
            shared,
            events: RefCell::default(),
            preloads: RefCell::default(),
            streams: Arc::default(),
            ended: Cell::new(false),
            ending: Cell::new(false),
            changed: Notify::new(),
        }
    }

    /// Whether an event is active, or an answer's body is still being read.
    pub(crate) fn is_busy(&self) -> bool {
        !self.events.borrow().is_empty() || self.streams.load(Ordering::Relaxed) > 0
    }

    /// Whether an event was over since the last call.
    pub(crate) fn take_ended(&self) -> bool {
        self.ended.take()
    }

    /// From now on [`changed`](Self::changed) tells of events that are over; before, nobody needs to wake for that.
    pub(crate) fn end_with_events(&self) {
        self.ending.set(true);
    }

    /// Waits until an event is over, when the thread ends with its events.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// When the oldest active event has to be over. Numbers and deadlines grow together.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.events.borrow().first_key_value().map(|(_, deadline)| *deadline)
    }

    /// The active events that have taken too long.
    pub(crate) fn overdue(&self, now: Instant) -> Vec<u64> {
        let events = self.events.borrow();
        events.iter().take_while(|(_, deadline)| **deadline <= now).map(|(id, _)| *id).collect()
    }

    /// Begins an event; `None` where nobody waits for it any more.
    pub(super) fn begin(&self, id: u64) -> Option<(Arc<Ticket>, Event)> {
        let ticket = self.shared.ticket(id)?;
        let event = ticket.claim()?;
        self.events.borrow_mut().insert(id, Instant::now() + self.limits.event);
        Some((ticket, event))
    }

    /// The event is no longer active.
    pub(super) fn end(&self, id: u64, result: Result<(), String>) {
        self.events.borrow_mut().remove(&id);
        self.preloads.borrow_mut().remove(&id);
        if let Some(ticket) = self.shared.take(id) {
            ticket.over(result);
        }
        self.ended.set(true);
        if self.ending.get() {
            self.changed.notify_one();
        }
    }

    /// Keeps a preload until its event is over; whether there is one.
    pub(super) fn keep_preload(&self, id: u64, preload: &Preloading) -> bool {
        let taken = preload.take();
        taken.map(|taken| self.preloads.borrow_mut().insert(id, taken)).is_some()
    }

    /// The response of an event's preload; `None` where the event is over.
    pub(super) fn ask_for_preload(
        &self,
        id: u64,
    ) -> Option<impl Future<Output = Option<Result<Response, FetchError>>> + use<>> {
        self.preloads.borrow_mut().get_mut(&id).map(Preloaded::ask)
    }

    fn answer(&self, id: u64, answer: Answer) {
        if let Some(ticket) = self.shared.ticket(id) {
            ticket.answer(answer);
        }
    }

    /// The answer, counted until its body was read: the script may have to live as long.
    fn counted(&self, mut response: Response) -> Response {
        let streams = response.body.take_if(|body| body.as_bytes().is_none());
        if let Some(body) = streams {
            self.streams.fetch_add(1, Ordering::Relaxed);
            let length = body.length();
            let counted = Counted { body, _guard: Reading(Arc::clone(&self.streams)) };
            response.body = Some(Body::from_stream(counted, length));
        }
        response
    }
}

/// A body that is counted while it is read.
struct Counted {
    body: Body,
    _guard: Reading,
}

impl Stream for Counted {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.body.poll_next_unpin(cx)
    }
}

struct Reading(Arc<AtomicUsize>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Gives the prelude what its events call.
pub(super) fn install(ctx: &Ctx<'_>, bridge: &Rc<Bridge>) -> rquickjs::Result<()> {
    give(ctx, bridge, "checkpoint", |arguments, bridge| {
        checkpoint(arguments.ctx(), &bridge.shared.pulse);
        None
    })?;
    give(ctx, bridge, "eventEntered", |arguments, bridge| {
        if let Some(ticket) = bridge.shared.ticket(id_of(arguments)) {
            ticket.reach(Stage::Entered);
        }
        None
    })?;
    give(ctx, bridge, "eventRespond", |arguments, bridge| {
        let given = arguments.get(1);
        match take_response(arguments.ctx(), &given) {
            Ok(response) => {
                let response = bridge.counted(response);
                bridge.answer(id_of(arguments), Answer::Response(Box::new(response)));
                None
            }
            Err(refused) => {
                let given: String = describe(arguments.ctx(), &given).chars().take(MOST_CHARS).collect();
                let words = format!("respondWith was given `{given}`: {refused}");
                bridge.answer(id_of(arguments), Answer::Failed(words.clone()));
                Some(words)
            }
        }
    })?;
    give(ctx, bridge, "eventRejected", |arguments, bridge| {
        let words = describe(arguments.ctx(), &arguments.get(1));
        let words = format!("the promise given to respondWith was rejected: {words}");
        bridge.answer(id_of(arguments), Answer::Failed(words));
        None
    })?;
    give(ctx, bridge, "eventPrevented", |arguments, bridge| {
        let words = "preventDefault was called, and respondWith was not".to_owned();
        bridge.answer(id_of(arguments), Answer::Failed(words));
        None
    })?;
    give(ctx, bridge, "eventLeft", |arguments, bridge| {
        bridge.answer(id_of(arguments), Answer::Left { threw: is_true(&arguments.get(1)) });
        None
    })?;
    give(ctx, bridge, "eventOver", |arguments, bridge| {
        let failed = is_true(&arguments.get(1));
        let reason = || describe(arguments.ctx(), &arguments.get(2));
        bridge.end(id_of(arguments), if failed { Err(reason()) } else { Ok(()) });
        None
    })
}

fn give<'js>(
    ctx: &Ctx<'js>,
    bridge: &Rc<Bridge>,
    name: &'static str,
    called: impl Fn(&Arguments<'js>, &Bridge) -> Option<String> + 'js,
) -> rquickjs::Result<()> {
    let bridge = Rc::clone(bridge);
    let native = native_operation(ctx, name, 0, move |arguments| Ok(called(arguments, &bridge)))?;
    kit(ctx)?.give(name, native)
}

/// The event's number; the prelude passes it first.
pub(super) fn id_of(arguments: &Arguments<'_>) -> u64 {
    arguments.get(0).as_number().unwrap_or_default() as u64
}

fn is_true(value: &Value<'_>) -> bool {
    value.as_bool().unwrap_or_default()
}
