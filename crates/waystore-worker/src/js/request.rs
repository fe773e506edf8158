//! `Request`: the object, its attributes, and its way out of script. Its constructor is in [`init`].
//!
//! Spec: <https://fetch.spec.whatwg.org/#request-class>

mod init;

use std::{cell::RefCell, rc::Rc};

use rquickjs::{
    ArrayBuffer, Class, Ctx, JsLifetime, Object, Value,
    class::{Trace, Tracer},
};
use waystore::{AbortSignal, Referrer};

pub(super) use self::init::construct;
use super::{
    abort,
    blob::Blob,
    body::{self, BodySlot},
    exception::{Outcome, Thrown},
    header_rules::Guard,
    headers::Headers,
    idl::{Call, Interface, interface},
    kit::kit,
    mime,
    realm::realm,
    values::uint8_array,
};

/// A request as an object of the script.
#[derive(JsLifetime)]
pub(crate) struct Request<'js> {
    /// All but body and signal. Once script has the headers, theirs are the truth.
    native: RefCell<Rc<waystore::Request>>,
    guard: Guard,
    headers: RefCell<Option<Class<'js, Headers>>>,
    pub(super) body: BodySlot<'js>,
    signal: RefCell<Signal<'js>>,
}

interface!(Request<'js>);

/// Who aborts a request.
#[derive(Debug, Clone, JsLifetime)]
enum Signal<'js> {
    /// Nobody, and nobody asked for the signal.
    None,
    /// A native signal; script has not asked for its own yet.
    Native(AbortSignal),
    /// Another signal of the script; nobody has asked for the request's own yet.
    Follows(Object<'js>),
    /// The request's own.
    Own(Object<'js>),
}

impl<'js> Request<'js> {
    fn new(native: waystore::Request, guard: Guard, body: BodySlot<'js>, signal: Signal<'js>) -> Self {
        Self {
            native: RefCell::new(Rc::new(native)),
            guard,
            headers: RefCell::default(),
            body,
            signal: RefCell::new(signal),
        }
    }

    /// The request without body and signal, as it stands; shared, not copied, where script did not
    /// write its headers.
    pub(super) fn native(&self) -> Rc<waystore::Request> {
        if let Some(headers) = &*self.headers.borrow() {
            let headers = headers.borrow();
            let list = headers.list.borrow();
            if *list != self.native.borrow().head.headers {
                let mut changed = self.native.borrow().without_body();
                changed.head.headers = list.clone();
                self.native.replace(Rc::new(changed));
            }
        }
        Rc::clone(&self.native.borrow())
    }

    /// The headers as an object; the same each time.
    fn headers(&self, ctx: &Ctx<'js>) -> Outcome<'js, Class<'js, Headers>> {
        if let Some(headers) = &*self.headers.borrow() {
            return Ok(headers.clone());
        }
        let list = self.native.borrow().head.headers.clone();
        let headers = Class::instance(ctx.clone(), Headers::new(list, self.guard))?;
        self.headers.replace(Some(headers.clone()));
        Ok(headers)
    }

    /// The signal as an object; the same each time.
    fn signal(&self, ctx: &Ctx<'js>) -> Outcome<'js, Object<'js>> {
        let signal = self.signal.borrow().clone();
        let own = match signal {
            Signal::Own(signal) => return Ok(signal),
            Signal::None => abort::unaborted(ctx)?,
            Signal::Native(signal) => abort::script_signal(ctx, signal)?,
            Signal::Follows(source) => abort::following(&source)?,
        };
        self.signal.replace(Signal::Own(own.clone()));
        Ok(own)
    }

    /// What a request made from this one follows.
    fn signal_to_follow(&self) -> Signal<'js> {
        match &*self.signal.borrow() {
            Signal::None => Signal::None,
            Signal::Native(signal) => Signal::Native(signal.dependent()),
            Signal::Follows(source) | Signal::Own(source) => Signal::Follows(source.clone()),
        }
    }

    /// The script's signal that knows the reason of an abort, where there is one.
    pub(super) fn signal_object(&self) -> Option<Object<'js>> {
        match &*self.signal.borrow() {
            Signal::Follows(signal) | Signal::Own(signal) => Some(signal.clone()),
            Signal::None | Signal::Native(_) => None,
        }
    }

    /// The native signal, where anybody could abort.
    pub(super) fn native_signal(&self) -> Outcome<'js, Option<AbortSignal>> {
        let signal = self.signal.borrow().clone();
        Ok(match signal {
            Signal::None => None,
            Signal::Native(signal) => Some(signal),
            Signal::Follows(signal) | Signal::Own(signal) => Some(abort::native_signal(&signal)?),
        })
    }

    /// Why it was aborted, if it was.
    pub(super) fn abort_reason(&self) -> Outcome<'js, Option<Thrown<'js>>> {
        match self.signal_object() {
            Some(signal) => abort::reason(&signal),
            None => Ok(self.native_signal()?.filter(AbortSignal::aborted).map(|_| Thrown::aborted())),
        }
    }

    /// The request as the library has it: its signal, and its body where `takes_body`.
    pub(super) fn to_native(&self, ctx: &Ctx<'js>, takes_body: bool) -> Outcome<'js, waystore::Request> {
        let mut request = self.native().without_body();
        request.signal = self.native_signal()?;
        if takes_body {
            request.body = self.body.take(ctx)?.into_parts().0;
        }
        Ok(request)
    }
}

impl<'js> Trace<'js> for Request<'js> {
    fn trace<'a>(&self, tracer: Tracer<'a, 'js>) {
        self.body.trace(tracer);
        if let Ok(headers) = self.headers.try_borrow() {
            headers.trace(tracer);
        }
        if let Ok(signal) = self.signal.try_borrow()
            && let Signal::Follows(signal) | Signal::Own(signal) = &*signal
        {
            signal.trace(tracer);
        }
    }
}

/// The object of a request that came from outside: its headers are immutable, its `signal` follows
/// the request's own.
pub(crate) fn new_request<'js>(ctx: &Ctx<'js>, mut request: waystore::Request) -> rquickjs::Result<Value<'js>> {
    let body = BodySlot::new(request.body.take());
    let signal = request.signal.take().map_or(Signal::None, Signal::Native);
    Ok(Class::instance(ctx.clone(), Request::new(request, Guard::Immutable, body, signal))?.into_value())
}

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let interface = Interface::<Request<'_>>::constructible(ctx, 1, |arguments| {
        construct(arguments.ctx(), &arguments.get(0), &arguments.get(1))
    })?;
    interface
        .attribute("method", |call| Ok(native(call).method.as_str().to_owned()))?
        .attribute("url", |call| Ok(native(call).url.as_str().to_owned()))?
        .attribute("headers", |call| call.this.borrow().headers(call.ctx()))?
        .attribute("destination", |call| Ok(native(call).destination.as_str()))?
        .attribute("referrer", |call| Ok(referrer(&native(call).referrer)))?
        .attribute("referrerPolicy", |call| Ok(native(call).referrer_policy.as_str()))?
        .attribute("mode", |call| Ok(native(call).mode.as_str()))?
        .attribute("credentials", |call| Ok(native(call).credentials.as_str()))?
        .attribute("cache", |call| Ok(native(call).cache.as_str()))?
        .attribute("redirect", |call| Ok(native(call).redirect.as_str()))?
        .attribute("integrity", |call| Ok(native(call).integrity.clone()))?
        .attribute("keepalive", |call| Ok(native(call).keepalive))?
        .attribute("isReloadNavigation", |call| Ok(native(call).is_reload_navigation))?
        .attribute("isHistoryNavigation", |call| Ok(native(call).is_history_navigation))?
        .attribute("duplex", |_| Ok("half"))?
        .attribute("signal", |call| call.this.borrow().signal(call.ctx()))?
        .attribute("body", |call| call.this.borrow().body.stream(call.ctx()))?
        .attribute("bodyUsed", |call| call.this.borrow().body.is_disturbed())?
        .operation("clone", 0, clone)?
        .promise("arrayBuffer", 0, |call| {
            let (ctx, bytes) = (call.ctx().clone(), body::bytes(call.this.borrow().body.take(call.ctx())?));
            Ok(async move { Ok(ArrayBuffer::new(ctx, bytes.await?)?) })
        })?
        .promise("blob", 0, |call| {
            let bytes = body::bytes(call.this.borrow().body.take(call.ctx())?);
            let this = call.this.clone();
            let ctx = call.ctx().clone();
            Ok(async move {
                let bytes = bytes.await?;
                let kind = mime::extracted(&this.borrow().native().headers).map(|mime| mime.serialize());
                Ok(Class::instance(ctx, Blob::new(bytes.into(), &kind.unwrap_or_default()))?)
            })
        })?
        .promise("bytes", 0, |call| {
            let (ctx, bytes) = (call.ctx().clone(), body::bytes(call.this.borrow().body.take(call.ctx())?));
            Ok(async move { uint8_array(&ctx, bytes.await?) })
        })?
        .promise("formData", 0, |call| {
            let this = call.this.clone();
            Ok(body::form(call.ctx().clone(), call.this.borrow().body.take(call.ctx())?, move || {
                mime::extracted(&this.borrow().native().headers)
            }))
        })?
        .promise("json", 0, |call| Ok(body::json(call.ctx().clone(), call.this.borrow().body.take(call.ctx())?)))?
        .promise("text", 0, |call| Ok(body::text(call.this.borrow().body.take(call.ctx())?)))?;
    kit(ctx)?.function("addTextStream")?.call((interface.object().clone(),))
}

fn native<'js>(call: &Call<'js, Request<'js>>) -> Rc<waystore::Request> {
    Rc::clone(&call.this.borrow().native.borrow())
}

fn referrer(referrer: &Referrer) -> String {
    match referrer {
        Referrer::NoReferrer => String::new(),
        Referrer::Client => "about:client".to_owned(),
        Referrer::Url(url) => url.to_string(),
    }
}

/// Spec: <https://fetch.spec.whatwg.org/#dom-request-clone>
fn clone<'js>(call: &Call<'js, Request<'js>>) -> Outcome<'js, Class<'js, Request<'js>>> {
    let this = call.this.borrow();
    let body = this.body.tee(call.ctx(), &realm(call.ctx())?.spooler)?;
    let copy = Request::new(this.native().without_body(), this.guard, body, this.signal_to_follow());
    Ok(Class::instance(call.ctx().clone(), copy)?)
}
