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
use rquickjs::{Ctx, IntoJs, Value, function::Params};
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
        idl::{Arguments, function},
        kit, take_response,
    },
    script::ScriptMap,
};

/// What `events.js` tells of a fetch event: nobody answered it,
const LEFT: u8 = 1;
/// and a listener threw;
const THREW: u8 = 2;
/// it is no longer active.
const ENDED: u8 = 4;
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
    /// The events that are active.
    events: RefCell<BTreeMap<u64, Active>>,
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

/// An event that is active.
struct Active {
    ticket: Arc<Ticket>,
    /// Until when it may be.
    deadline: Instant,
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
        self.events.borrow().first_key_value().map(|(_, event)| event.deadline)
    }

    /// The active events that have taken too long.
    pub(crate) fn overdue(&self, now: Instant) -> Vec<u64> {
        let events = self.events.borrow();
        events.iter().take_while(|(_, event)| event.deadline <= now).map(|(id, _)| *id).collect()
    }

    /// Begins the event of `ticket`; `None` where nobody waits for it any more.
    pub(super) fn begin(&self, id: u64, ticket: &Arc<Ticket>, now: Instant) -> Option<Event> {
        let event = ticket.claim()?;
        let active = Active { ticket: Arc::clone(ticket), deadline: now + self.limits.event };
        self.events.borrow_mut().insert(id, active);
        Some(event)
    }

    /// Takes what script told of a fetch event at the end of its dispatch.
    pub(super) fn dispatched(&self, id: u64, told: u8) {
        if told & LEFT != 0 {
            self.answer(id, Answer::Left { threw: told & THREW != 0 });
        }
        if told & ENDED != 0 {
            self.end(id, Ok(()));
        }
    }

    /// The event is no longer active.
    pub(super) fn end(&self, id: u64, result: Result<(), String>) {
        let ended = self.events.borrow_mut().remove(&id);
        let mut preloads = self.preloads.borrow_mut();
        if !preloads.is_empty() {
            preloads.remove(&id);
        }
        drop(preloads);
        // It stands there as well, for others to end it.
        drop(self.shared.take(id));
        if let Some(Active { ticket, .. }) = ended {
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

    fn entered(&self, id: u64) {
        if let Some(event) = self.events.borrow().get(&id) {
            event.ticket.reach(Stage::Entered);
        }
    }

    fn answer(&self, id: u64, answer: Answer) {
        if let Some(event) = self.events.borrow().get(&id) {
            event.ticket.answer_through(&self.shared.outbox, answer);
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
    give(ctx, bridge, "checkpoint", |call, bridge| {
        checkpoint(call.ctx(), &bridge.shared.pulse);
        None
    })?;
    give(ctx, bridge, "eventEntered", |call, bridge| {
        bridge.entered(number(call));
        None
    })?;
    give(ctx, bridge, "eventRespond", |call, bridge| {
        let given = argument(call, 1);
        match take_response(call.ctx(), &given) {
            Ok(response) => {
                let response = bridge.counted(response);
                bridge.answer(number(call), Answer::Response(Box::new(response)));
                None
            }
            Err(refused) => {
                let given: String = describe(call.ctx(), &given).chars().take(MOST_CHARS).collect();
                let words = format!("respondWith was given `{given}`: {refused}");
                bridge.answer(number(call), Answer::Failed(words.clone()));
                Some(words)
            }
        }
    })?;
    give(ctx, bridge, "eventRejected", |call, bridge| {
        let words = describe(call.ctx(), &argument(call, 1));
        let words = format!("the promise given to respondWith was rejected: {words}");
        bridge.answer(number(call), Answer::Failed(words));
        None
    })?;
    give(ctx, bridge, "eventPrevented", |call, bridge| {
        let words = "preventDefault was called, and respondWith was not".to_owned();
        bridge.answer(number(call), Answer::Failed(words));
        None
    })?;
    give(ctx, bridge, "eventOver", |call, bridge| {
        let failed = is_true(&argument(call, 1));
        let reason = || describe(call.ctx(), &argument(call, 2));
        bridge.end(number(call), if failed { Err(reason()) } else { Ok(()) });
        None
    })
}

fn give<'js>(
    ctx: &Ctx<'js>,
    bridge: &Rc<Bridge>,
    name: &'static str,
    called: impl Fn(&Params<'_, 'js>, &Bridge) -> Option<String> + 'js,
) -> rquickjs::Result<()> {
    let bridge = Rc::clone(bridge);
    let native = function(ctx, name, 0, move |call| Ok(called(call, &bridge).into_js(call.ctx())?))?;
    kit(ctx)?.give(name, native)
}

fn argument<'js>(call: &Params<'_, 'js>, index: usize) -> Value<'js> {
    call.arg(index).unwrap_or_else(|| Value::new_undefined(call.ctx().clone()))
}

/// The event's number; the prelude passes it first.
fn number(call: &Params<'_, '_>) -> u64 {
    number_in(call.arg(0).as_ref())
}

/// The same, of an operation with more to convert.
pub(super) fn id_of(arguments: &Arguments<'_>) -> u64 {
    number_in(Some(&arguments.get(0)))
}

fn number_in(value: Option<&Value<'_>>) -> u64 {
    value.and_then(Value::as_number).unwrap_or_default() as u64
}

fn is_true(value: &Value<'_>) -> bool {
    value.as_bool().unwrap_or_default()
}
