//! `setTimeout`, `setInterval` and `performance`.
//!
//! One driver runs what is due, in the order of its time, and lets the microtasks run in between.
//! Spec: <https://html.spec.whatwg.org/#timers>, <https://w3c.github.io/hr-time/>

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    rc::Rc,
    time::Duration,
};

use rquickjs::{Ctx, Function, JsLifetime, Value, function::Args};
use tokio::{sync::Notify, time::Instant};

use super::{
    exception::{Outcome, Thrown, report},
    idl::{Arguments, Convert, global_operation, native_operation},
    kit::kit,
    realm::{Realm, Working, realm},
};

/// Timers that one script may have running.
const MAX_TIMERS: usize = 65_536;

/// The longest delay: what a 31-bit count of milliseconds holds.
const MAX_DELAY_MS: f64 = 2_147_483_647.0;

/// The shortest interval, so that one with no delay does not occupy the thread.
const MIN_INTERVAL: Duration = Duration::from_millis(1);

/// The timers of one context.
#[derive(Default, JsLifetime)]
struct Timers<'js>(Rc<Running<'js>>);

#[derive(Default, JsLifetime)]
struct Running<'js> {
    last: Cell<i32>,
    /// By the time they are due at, and the order in which they were set.
    queue: RefCell<BTreeMap<Place, Timer<'js>>>,
    places: RefCell<HashMap<i32, Place>>,
    set: Cell<u64>,
    /// The timer whose callback runs, until it is cleared.
    current: Cell<Option<i32>>,
    /// Whether the driver runs: it does while there are timers.
    is_driven: Cell<bool>,
    changed: Notify,
}

/// When a timer is due, and among those due at once, the how many-th it was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsLifetime)]
struct Place {
    due: Instant,
    order: u64,
}

#[derive(JsLifetime)]
struct Timer<'js> {
    id: i32,
    callback: Function<'js>,
    given: Vec<Value<'js>>,
    every: Option<Duration>,
    _working: Working,
}

/// Milliseconds since 1970.
pub(super) fn now(realm: &Realm) -> f64 {
    realm.clock.now_ms() as f64
}

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    ctx.store_userdata(Timers::default())?;
    global_operation(ctx, "setTimeout", 1, |arguments| start(arguments, false))?;
    global_operation(ctx, "setInterval", 1, |arguments| start(arguments, true))?;
    global_operation(ctx, "clearTimeout", 0, stop)?;
    global_operation(ctx, "clearInterval", 0, stop)?;
    let after = native_operation(ctx, "after", 2, |arguments| {
        let (delay, callback) = (delay(&arguments.get(0))?, callback(&arguments.get(1))?);
        let ctx = arguments.ctx().clone();
        // Not counted as work: nobody waits for a time limit to pass.
        arguments.ctx().spawn(async move {
            tokio::time::sleep(delay).await;
            call(&ctx, &callback, &[]);
        });
        Ok(())
    })?;
    kit(ctx)?.give("after", after)?;
    install_performance(ctx)
}

fn install_performance(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let kit = kit(ctx)?;
    kit.set("timeOrigin", Value::new_float(ctx.clone(), realm(ctx)?.clock.now_ms() as f64))?;
    kit.run("performance")
}

fn start<'js>(arguments: &Arguments<'js>, repeats: bool) -> Outcome<'js, i32> {
    let ctx = arguments.ctx();
    let callback = callback(&arguments.get(0))?;
    let delay = delay(&arguments.get(1))?;
    let timers = running(ctx)?;
    if timers.queue.borrow().len() >= MAX_TIMERS {
        return Err(Thrown::Dom("QuotaExceededError", format!("more than {MAX_TIMERS} timers are running")));
    }
    let id = timers.new_id();
    let every = repeats.then(|| delay.max(MIN_INTERVAL));
    let given = arguments.rest(2).to_vec();
    let timer = Timer { id, callback, given, every, _working: realm(ctx)?.work.begin() };
    timers.enqueue(every.unwrap_or(delay), timer);
    if !timers.is_driven.replace(true) {
        ctx.spawn(drive(ctx.clone(), timers));
    }
    Ok(id)
}

fn stop<'js>(arguments: &Arguments<'js>) -> Outcome<'js, ()> {
    let id = arguments.get(0).to_double()? as i32;
    running(arguments.ctx())?.stop(id);
    Ok(())
}

/// Runs timers as they come due, until there are none.
async fn drive<'js>(ctx: Ctx<'js>, timers: Rc<Running<'js>>) {
    loop {
        let changed = timers.changed.notified();
        let Some(due) = timers.queue.borrow().first_key_value().map(|(place, _)| place.due) else { break };
        if due > Instant::now() {
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = changed => {}
            }
            continue;
        }
        let Some(timer) = timers.pop() else { continue };
        timers.current.set(Some(timer.id));
        call(&ctx, &timer.callback, &timer.given);
        if timers.current.take().is_some()
            && let Some(every) = timer.every
        {
            timers.enqueue(every, timer);
        }
        // The microtasks have their turn before the next timer.
        tokio::task::yield_now().await;
    }
    timers.is_driven.set(false);
}

impl<'js> Running<'js> {
    fn new_id(&self) -> i32 {
        let mut id = self.last.get();
        loop {
            id = if id == i32::MAX { 1 } else { id + 1 };
            if !self.places.borrow().contains_key(&id) && self.current.get() != Some(id) {
                break;
            }
        }
        self.last.set(id);
        id
    }

    fn enqueue(&self, delay: Duration, timer: Timer<'js>) {
        let place = Place { due: Instant::now() + delay, order: self.set.get() };
        self.set.set(place.order + 1);
        self.places.borrow_mut().insert(timer.id, place);
        self.queue.borrow_mut().insert(place, timer);
        self.changed.notify_waiters();
    }

    /// The timer that is due first.
    fn pop(&self) -> Option<Timer<'js>> {
        let (_, timer) = self.queue.borrow_mut().pop_first()?;
        self.places.borrow_mut().remove(&timer.id);
        Some(timer)
    }

    fn stop(&self, id: i32) {
        if self.current.get() == Some(id) {
            self.current.set(None);
        }
        let place = self.places.borrow_mut().remove(&id);
        // Dropped when nothing is borrowed: it may be the last to hold values of the script.
        let stopped = place.and_then(|place| self.queue.borrow_mut().remove(&place));
        self.changed.notify_waiters();
        drop(stopped);
    }
}

fn running<'js>(ctx: &Ctx<'js>) -> Outcome<'js, Rc<Running<'js>>> {
    let timers = ctx.userdata::<Timers<'js>>().map(|timers| Rc::clone(&timers.0));
    timers.ok_or_else(|| Thrown::type_error("the timers are not installed"))
}

/// What is no function is code, run as a script of its own when its time has come.
fn callback<'js>(value: &Value<'js>) -> Outcome<'js, Function<'js>> {
    match value.as_function() {
        Some(function) => Ok(function.clone()),
        None => Ok(kit(value.ctx())?.function("handlerOf")?.call((value.clone(),))?),
    }
}

fn delay<'js>(value: &Value<'js>) -> Outcome<'js, Duration> {
    let milliseconds = value.to_double()?;
    let bounded = if milliseconds.is_finite() { milliseconds.trunc().clamp(0.0, MAX_DELAY_MS) } else { 0.0 };
    Ok(Duration::from_millis(bounded as u64))
}

fn call<'js>(ctx: &Ctx<'js>, callback: &Function<'js>, given: &[Value<'js>]) {
    let called = || {
        let mut args = Args::new(ctx.clone(), given.len());
        args.push_args(given.iter().cloned())?;
        callback.call_arg::<Value<'js>>(args)
    };
    if called().is_err() {
        let thrown = ctx.catch();
        report(ctx, &thrown);
    }
}
