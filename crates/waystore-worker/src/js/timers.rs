//! `setTimeout`, `setInterval`, `queueMicrotask` and `performance`.
//!
//! Spec: <https://html.spec.whatwg.org/#timers>, <https://w3c.github.io/hr-time/>

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    time::Duration,
};

use rquickjs::{Ctx, Function, JsLifetime, Object, Value, function::Args};
use tokio_util::sync::CancellationToken;

use super::{
    exception::{Outcome, Thrown, report},
    idl::{Arguments, Convert, global_operation, native_operation},
    kit::kit,
    realm::{Realm, realm},
};

/// Timers that one script may have running.
const MAX_TIMERS: usize = 65_536;

/// The longest delay: what a 31-bit count of milliseconds holds.
const MAX_DELAY_MS: f64 = 2_147_483_647.0;

/// The shortest interval, so that one with no delay does not occupy the thread.
const MIN_INTERVAL: Duration = Duration::from_millis(1);

#[derive(Debug, Default, JsLifetime)]
struct Timers(Rc<Running>);

#[derive(Debug, Default)]
struct Running {
    last: Cell<i32>,
    stops: RefCell<HashMap<i32, CancellationToken>>,
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
    let performance = Object::new(ctx.clone())?;
    let origin = realm(ctx)?.clock.now_ms();
    let elapsed = move |arguments: &Arguments<'_>| Ok(now(&*realm(arguments.ctx())?) - origin as f64);
    performance.set("now", native_operation(ctx, "now", 0, elapsed)?)?;
    performance.set("timeOrigin", origin as f64)?;
    ctx.globals().set("performance", performance)
}

fn start<'js>(arguments: &Arguments<'js>, repeats: bool) -> Outcome<'js, i32> {
    let ctx = arguments.ctx().clone();
    let callback = callback(&arguments.get(0))?;
    let delay = delay(&arguments.get(1))?;
    let given = arguments.rest(2).to_vec();
    let timers = running(&ctx)?;
    if timers.stops.borrow().len() >= MAX_TIMERS {
        return Err(Thrown::Dom("QuotaExceededError", format!("more than {MAX_TIMERS} timers are running")));
    }
    let (id, stopped) = timers.begin();
    let working = realm(&ctx)?.work.begin();
    arguments.ctx().spawn(async move {
        let delay = if repeats { delay.max(MIN_INTERVAL) } else { delay };
        loop {
            tokio::select! {
                biased;
                () = stopped.cancelled() => break,
                () = tokio::time::sleep(delay) => {}
            }
            if !repeats {
                timers.stops.borrow_mut().remove(&id);
            }
            call(&ctx, &callback, &given);
            if !repeats {
                break;
            }
        }
        drop(working);
    });
    Ok(id)
}

impl Running {
    fn begin(&self) -> (i32, CancellationToken) {
        let mut id = self.last.get();
        loop {
            id = if id == i32::MAX { 1 } else { id + 1 };
            if !self.stops.borrow().contains_key(&id) {
                break;
            }
        }
        self.last.set(id);
        let stop = CancellationToken::new();
        self.stops.borrow_mut().insert(id, stop.clone());
        (id, stop)
    }
}

fn stop<'js>(arguments: &Arguments<'js>) -> Outcome<'js, ()> {
    let id = arguments.get(0).to_double()?;
    let stopped = running(arguments.ctx())?.stops.borrow_mut().remove(&(id as i32));
    if let Some(stopped) = stopped {
        stopped.cancel();
    }
    Ok(())
}

fn running<'js>(ctx: &Ctx<'js>) -> Outcome<'js, Rc<Running>> {
    let timers = ctx.userdata::<Timers>().map(|timers| Rc::clone(&timers.0));
    timers.ok_or_else(|| Thrown::type_error("the timers are not installed"))
}

/// A string of code is refused: it would be an `eval`.
fn callback<'js>(value: &Value<'js>) -> Outcome<'js, Function<'js>> {
    let refused = || Thrown::type_error("a timer's handler must be a function; code in a string is not run");
    value.as_function().cloned().ok_or_else(refused)
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
