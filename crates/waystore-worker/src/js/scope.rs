//! The global of a service worker, and the native side of its events.
//!
//! The rules of events (how long they live, what `respondWith` may do and when) are JavaScript of our
//! own in `scope/`; here is what they call, and what calls them. Knows one context; what becomes of a
//! registration is behind [`Link`].

mod bridge;
mod broadcasts;
mod clients;
mod imports;
mod modules;
mod page;
mod ports;
mod preload;
mod registration;
mod routes;

use std::{cell::Cell, rc::Rc, sync::Arc};

use rquickjs::{Ctx, Error, FromJs, Function, JsLifetime, Object, Value, context::EvalOptions, function::IntoArgs};
use tokio::time::Instant;

use self::ports::Ports;
pub(crate) use self::{
    bridge::Bridge,
    clients::ClientLink,
    imports::Importer,
    modules::{Modules, OfPage},
    page::install_page,
    registration::{Link, UpdateRefused},
};
use super::{Kit, Realm, describe, idl::native_operation, kit, new_request, realm, timers::now};
use crate::{
    ConsoleLevel, ConsoleLine, WorkerType,
    isolate::{Answer, Event, EventTypes, Message, Pulse, Seen, Ticket, View},
};

/// What the navigator says.
const AGENT: &str = concat!("Waystore/", env!("CARGO_PKG_VERSION"));

/// A context with the global of a service worker.
pub(crate) struct Scope<'js> {
    ctx: Ctx<'js>,
    kit: Kit<'js>,
    realm: Rc<Realm>,
    dispatch_fetch: Function<'js>,
    bridge: Rc<Bridge>,
    ports: Ports,
    rejected: Rejected,
}

/// Whether a promise was rejected since the last turn.
#[derive(Debug, Clone, Default, JsLifetime)]
pub(super) struct Rejected(Rc<Cell<bool>>);

/// What a context's global is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    /// A page's, without a document.
    Page,
    /// A worker's, of no kind in particular.
    #[cfg(test)]
    Worker,
    /// A service worker's.
    ServiceWorker,
}

/// Makes the global of `ctx`, which has the other interfaces already, that of a script at `script`.
pub(super) fn install_worker<'js>(ctx: &Ctx<'js>, script: &url::Url, global: Global) -> rquickjs::Result<Rejected> {
    let kit = kit(ctx)?;
    let report = native_operation(ctx, "reportRejection", 1, |arguments| {
        let words = describe(arguments.ctx(), &arguments.get(0));
        let realm = realm(arguments.ctx())?;
        (realm.console)(ConsoleLine::new(ConsoleLevel::Error, format!("Uncaught (in promise) {words}")));
        (realm.uncaught)(&words);
        Ok(())
    })?;
    kit.give("reportRejection", report)?;
    kit.set("isPage", Value::new_bool(ctx.clone(), global == Global::Page))?;
    kit.run("worker")?;
    if global == Global::ServiceWorker {
        kit.run("packed")?;
        kit.run("events")?;
        kit.run("clients")?;
        kit.run("service_worker")?;
    }
    let interface = if global == Global::ServiceWorker { "ServiceWorkerGlobalScope" } else { "GlobalScope" };
    let start = kit.function("startWorkerScope")?;
    start.call::<_, ()>((kit.get(interface)?, location(ctx, script)?, AGENT))?;
    let rejected = Rejected::default();
    ctx.store_userdata(rejected.clone())?;
    Ok(rejected)
}

/// Makes the global of `ctx`, which is fresh, that of a service worker.
pub(crate) fn install<'js>(
    ctx: &Ctx<'js>,
    realm: Realm,
    bridge: Rc<Bridge>,
    view: &View,
) -> Result<Scope<'js>, String> {
    let install = || {
        super::install(ctx, Rc::new(realm))?;
        install_scope(ctx, bridge, view)
    };
    install().map_err(|error| words_of(ctx, &error))
}

fn install_scope<'js>(ctx: &Ctx<'js>, bridge: Rc<Bridge>, view: &View) -> rquickjs::Result<Scope<'js>> {
    bridge::install(ctx, &bridge)?;
    imports::install(ctx, &bridge)?;
    modules::install(ctx, Rc::new(modules::OfWorker(Rc::clone(&bridge))))?;
    preload::install(ctx, &bridge)?;
    let ports = ports::install(ctx)?;
    broadcasts::install(ctx, &bridge)?;
    clients::install(ctx, &bridge, ports.clone())?;
    registration::install(ctx, &bridge, ports.clone())?;
    routes::install(ctx, &bridge)?;
    let rejected = install_worker(ctx, &bridge.script, Global::ServiceWorker)?;
    let kit = kit(ctx)?;
    let start = kit.function("startServiceWorker")?;
    let (version, script) = (bridge.version.as_str(), bridge.script.as_str());
    start.call::<_, ()>((version, script, bridge.scope.as_str(), bridge.update_via_cache.as_str()))?;
    let dispatch_fetch = kit.function("dispatchFetch")?;
    let scope = Scope { ctx: ctx.clone(), kit, realm: realm(ctx)?, dispatch_fetch, bridge, ports, rejected };
    scope.set_view(view);
    Ok(scope)
}

/// The parts of a URL, as a location shows them.
fn location<'js>(ctx: &Ctx<'js>, url: &url::Url) -> rquickjs::Result<Object<'js>> {
    let place = Object::new(ctx.clone())?;
    let prefixed =
        |sign: &str, part: Option<&str>| part.filter(|part| !part.is_empty()).map(|part| format!("{sign}{part}"));
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| port.to_string()).unwrap_or_default();
    place.set("href", url.as_str())?;
    place.set("origin", url.origin().ascii_serialization())?;
    place.set("protocol", format!("{}:", url.scheme()))?;
    place.set("host", if port.is_empty() { host.to_owned() } else { format!("{host}:{port}") })?;
    place.set("hostname", host)?;
    place.set("port", port)?;
    place.set("pathname", url.path())?;
    place.set("search", prefixed("?", url.query()).unwrap_or_default())?;
    place.set("hash", prefixed("#", url.fragment()).unwrap_or_default())?;
    Ok(place)
}

impl<'js> Scope<'js> {
    /// Evaluates the worker's script.
    pub(crate) fn evaluate(&self, source: &[u8]) -> Result<(), String> {
        let script = &self.bridge.script;
        imports::tell_of_absent(&self.bridge, source, script);
        let evaluated = match self.bridge.scripts.worker_type() {
            WorkerType::Classic => evaluate(&self.ctx, source, script.as_str()),
            WorkerType::Module => {
                modules::evaluate(&self.ctx, source, script).map_err(|thrown| thrown.throw(&self.ctx))
            }
        };
        evaluated.map_err(|error| words_of(&self.ctx, &error))
    }

    /// Runs the microtasks that wait, and those they queue, while the slice lasts.
    pub(crate) fn checkpoint(&self) {
        checkpoint(&self.ctx, &self.bridge.shared.pulse);
    }

    /// Ends the first evaluation: the types of events that are listened to.
    pub(crate) fn end_evaluation(&self) -> Result<EventTypes, String> {
        let types = self.call::<_, Vec<String>>("endEvaluation", ());
        types.map(|types| types.into_iter().collect())
    }

    /// Dispatches the event of `ticket`, unless nobody waits for it any more; its answer goes there.
    pub(crate) fn dispatch(&self, id: u64, ticket: &Arc<Ticket>, now: Instant) {
        let Some(event) = self.bridge.begin(id, ticket, now) else { return };
        // One turn of the loop may take many events; each has a slice of its own.
        self.bridge.shared.pulse.begin_at(now.into_std());
        let is_message = matches!(event, Event::Message { .. });
        let dispatched = self.dispatch_event(id, event);
        if is_message && dispatched.is_ok() {
            ticket.answer(Answer::Left { threw: false });
        }
        // Where the script was interrupted, the isolate's end gives the event its outcome.
        let interrupted = self.bridge.shared.pulse.tripped() || self.bridge.shared.revoked.is_cancelled();
        if let Err(words) = dispatched
            && !interrupted
        {
            tracing::warn!(version = self.bridge.version, event = %ticket.name, error = words, "an event could not be dispatched");
            self.bridge.shared.note(Some(&ticket.name), &words);
            if ticket.name.kind == "fetch" {
                ticket.answer(Answer::Stopped(ticket.stage()));
            }
            self.bridge.end(id, Err(words));
        }
    }

    fn dispatch_event(&self, id: u64, event: Event) -> Result<(), String> {
        let number = id as f64;
        match event {
            Event::Install => self.call("dispatchInstall", (number,)),
            Event::Activate => self.call("dispatchActivate", (number,)),
            Event::Message { data: Message { data, ports, source } } => {
                let origin = self.bridge.script.origin().ascii_serialization();
                let numbers = self.ports.insert_all(ports.take()).ok_or("the worker has too many message ports")?;
                let source =
                    clients::source(&self.ctx, source.as_ref()).map_err(|error| words_of(&self.ctx, &error))?;
                self.call("dispatchMessage", (number, data.as_str(), numbers, origin, source))
            }
            Event::Fetch { request, client_id, resulting_client_id, preload } => {
                let has_preload = preload.is_some_and(|preload| self.bridge.keep_preload(id, &preload));
                let request = new_request(&self.ctx, *request).map_err(|error| words_of(&self.ctx, &error))?;
                let given = (number, request, client_id, resulting_client_id, has_preload, now(&self.realm));
                let told = self.dispatch_fetch.call(given).map_err(|error| words_of(&self.ctx, &error))?;
                self.bridge.dispatched(id, told);
                Ok(())
            }
        }
    }

    /// The event took too long: it is no longer active.
    pub(crate) fn time_out(&self, id: u64) {
        if let Err(words) = self.call::<_, ()>("timeOutEvent", (id as f64,)) {
            self.bridge.end(id, Err(words));
        }
    }

    /// The registration's slots changed.
    pub(crate) fn set_view(&self, view: &View) {
        let set = || {
            let seen = [&view.installing, &view.waiting, &view.active].map(|seen| self.seen(seen.as_ref()));
            let [installing, waiting, active] = seen;
            self.call::<_, ()>("setSlots", (installing?, waiting?, active?))
        };
        if let Err(words) = set() {
            tracing::warn!(
                version = self.bridge.version,
                error = words,
                "the worker's registration could not be updated"
            );
        }
    }

    fn seen(&self, seen: Option<&Seen>) -> Result<Value<'js>, String> {
        let Some(seen) = seen else { return Ok(Value::new_null(self.ctx.clone())) };
        let make = || {
            let object = Object::new(self.ctx.clone())?;
            object.set("version", seen.version.as_str())?;
            object.set("script", seen.script.as_str())?;
            object.set("state", seen.state.as_str())?;
            Ok(object.into_value())
        };
        make().map_err(|error: Error| words_of(&self.ctx, &error))
    }

    /// Tells of rejections that nobody handled.
    pub(crate) fn notify_rejections(&self) {
        notify(&self.ctx, &self.kit, &self.rejected);
    }

    fn call<A: IntoArgs<'js>, R: FromJs<'js>>(&self, name: &str, args: A) -> Result<R, String> {
        let called = self.kit.function(name).and_then(|function| function.call(args));
        called.map_err(|error| words_of(&self.ctx, &error))
    }
}

fn notify(ctx: &Ctx<'_>, kit: &Kit<'_>, rejected: &Rejected) {
    if rejected.0.replace(false) {
        let told = kit.function("notifyRejections").and_then(|notify| notify.call::<_, ()>(()));
        if told.is_err() {
            ctx.catch();
        }
    }
}

/// The engine's tracker of promises that are rejected, and of those that are handled after all.
#[allow(clippy::needless_pass_by_value, reason = "the engine calls it so")]
pub(crate) fn track_rejection<'js>(ctx: Ctx<'js>, promise: Value<'js>, reason: Value<'js>, handled: bool) {
    let Some(rejected) = ctx.userdata::<Rejected>() else { return };
    rejected.0.set(true);
    let track = kit(&ctx).and_then(|kit| kit.function("trackRejection"));
    if track.and_then(|track| track.call::<_, ()>((promise, reason, handled))).is_err() {
        ctx.catch();
    }
}

/// Evaluates a classic script.
fn evaluate(ctx: &Ctx<'_>, source: &[u8], url: &str) -> rquickjs::Result<()> {
    let mut options = EvalOptions::default();
    options.strict = false;
    options.filename = Some(url.to_owned());
    ctx.eval_with_options::<Value<'_>, _>(text_of(source), options).map(drop)
}

/// The text of a script, without a byte order mark. Spec: <https://encoding.spec.whatwg.org/#utf-8-decode>
fn text_of(source: &[u8]) -> String {
    let source = source.strip_prefix("\u{feff}".as_bytes()).unwrap_or(source);
    String::from_utf8_lossy(source).into_owned()
}

/// Runs the microtasks that wait, and those they queue, while the slice lasts.
fn checkpoint(ctx: &Ctx<'_>, pulse: &Pulse) {
    while !pulse.tripped() && ctx.execute_pending_job() {}
}

/// What the engine failed with, in words and with its position.
fn words_of(ctx: &Ctx<'_>, error: &Error) -> String {
    match error {
        Error::Exception => describe(ctx, &ctx.catch()),
        other => other.to_string(),
    }
}
