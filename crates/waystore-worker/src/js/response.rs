//! `Response`: what came or was made, and what script may see of it.
//!
//! Holds the internal response; a filter decides what the attributes show.
//! Spec: <https://fetch.spec.whatwg.org/#response-class>

mod init;

use std::cell::RefCell;

use rquickjs::{
    ArrayBuffer, Class, Ctx, JsLifetime, Object, Value,
    class::{Trace, Tracer},
};
use waystore::{HeaderList, ResponseHead, ResponseSource, ResponseType};

use super::{
    blob::Blob,
    body::{self, BodySlot, Taken},
    exception::{Outcome, Thrown},
    header_rules::Guard,
    headers::Headers,
    idl::{ByteString, Call, Interface, interface},
    kit::kit,
    mime,
    realm::realm,
    values::uint8_array,
};

/// A response as an object of the script.
#[derive(JsLifetime)]
pub(crate) struct Response<'js> {
    /// The internal head. Once script has headers that it may write, theirs are the truth.
    head: RefCell<ResponseHead>,
    guard: Guard,
    headers: RefCell<Option<Class<'js, Headers>>>,
    /// The internal body; the visible one is null where the type hides it.
    body: BodySlot<'js>,
    source: ResponseSource,
}

interface!(Response<'js>);

/// Why a value is not an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAResponse {
    /// It is something else.
    #[error("it is not a Response")]
    Other,
    /// Its body is disturbed or locked.
    #[error("its body was read already, or is being read")]
    Used,
}

impl<'js> Response<'js> {
    fn new(head: ResponseHead, guard: Guard, body: BodySlot<'js>, source: ResponseSource) -> Self {
        Self { head: RefCell::new(head), guard, headers: RefCell::default(), body, source }
    }

    /// The internal head, as it stands.
    pub(super) fn head(&self) -> ResponseHead {
        let mut head = self.head.borrow().clone();
        if let Some(headers) = &*self.headers.borrow()
            && self.guard != Guard::Immutable
        {
            head.headers = headers.borrow().list.borrow().clone();
        }
        head
    }

    /// The headers as an object; the same each time.
    fn headers(&self, ctx: &Ctx<'js>) -> Outcome<'js, Class<'js, Headers>> {
        if let Some(headers) = &*self.headers.borrow() {
            return Ok(headers.clone());
        }
        let list = self.head.borrow().visible_headers();
        let headers = Class::instance(ctx.clone(), Headers::new(list, self.guard))?;
        self.headers.replace(Some(headers.clone()));
        Ok(headers)
    }

    /// The headers that script sees.
    fn visible_headers(&self) -> HeaderList {
        match &*self.headers.borrow() {
            Some(headers) => headers.borrow().list.borrow().clone(),
            None => self.head.borrow().visible_headers(),
        }
    }

    /// Whether the type hides the body.
    fn hides_body(&self) -> bool {
        use ResponseType::{Error, Opaque, OpaqueRedirect};
        matches!(self.head.borrow().kind, Opaque | OpaqueRedirect | Error)
    }

    /// The body that script sees, taken out.
    fn take_visible_body(&self, ctx: &Ctx<'js>) -> Outcome<'js, Taken<'js>> {
        if self.hides_body() { BodySlot::default().take(ctx) } else { self.body.take(ctx) }
    }

    /// The internal response to store, and the signal whose reason its body may fail with. A hidden
    /// body is copied, since script does not see it used.
    pub(super) fn to_store(&self, ctx: &Ctx<'js>) -> Outcome<'js, (waystore::Response, Option<Object<'js>>)> {
        let taken = if self.hides_body() {
            self.body.tee(ctx, &realm(ctx)?.spooler)?.take(ctx)?
        } else {
            self.body.take(ctx)?
        };
        let (body, signal) = taken.into_parts();
        Ok((waystore::Response { head: self.head(), body, source: self.source }, signal))
    }
}

impl<'js> Trace<'js> for Response<'js> {
    fn trace<'a>(&self, tracer: Tracer<'a, 'js>) {
        self.body.trace(tracer);
        if let Ok(headers) = self.headers.try_borrow() {
            headers.trace(tracer);
        }
    }
}

/// The object of a response that came from the network or a cache: its headers are immutable, and
/// its body, when aborted, fails with the reason of `signal`.
pub(super) fn new_response<'js>(
    ctx: &Ctx<'js>,
    response: waystore::Response,
    signal: Option<Object<'js>>,
) -> Outcome<'js, Class<'js, Response<'js>>> {
    let body = BodySlot::new(response.body).aborted_by(signal);
    let made = Response::new(response.head, Guard::Immutable, body, response.source);
    Ok(Class::instance(ctx.clone(), made)?)
}

/// Takes the internal response out of `value`, body and all: an answer on its way out of script.
///
/// # Errors
///
/// It is not a `Response`, or its body is disturbed or locked.
pub(crate) fn take_response<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> Result<waystore::Response, NotAResponse> {
    let response = Class::<Response<'js>>::from_value(value).map_err(|_| NotAResponse::Other)?;
    let response = response.borrow();
    let taken = response.body.take(ctx).map_err(|thrown| {
        drop(thrown.into_value(ctx));
        NotAResponse::Used
    })?;
    Ok(waystore::Response { head: response.head(), body: taken.into_parts().0, source: response.source })
}

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let interface = Interface::<Response<'_>>::constructible(ctx, 0, init::construct)?;
    interface
        .static_operation("error", 0, init::error)?
        .static_operation("json", 1, init::json)?
        .static_operation("redirect", 1, init::redirect)?
        .attribute("type", |call| Ok(call.this.borrow().head.borrow().kind.as_str()))?
        .attribute("url", |call| Ok(call.this.borrow().head.borrow().url().map_or(String::new(), String::from)))?
        .attribute("redirected", |call| Ok(call.this.borrow().head.borrow().redirected()))?
        .attribute("status", |call| Ok(call.this.borrow().head.borrow().visible_status()))?
        .attribute("ok", |call| Ok(call.this.borrow().head.borrow().ok()))?
        .attribute("statusText", |call| {
            Ok(ByteString(call.this.borrow().head.borrow().visible_status_text().to_vec()))
        })?
        .attribute("headers", |call| call.this.borrow().headers(call.ctx()))?
        .attribute("body", |call| {
            let this = call.this.borrow();
            if this.hides_body() { Ok(Value::new_null(call.ctx().clone())) } else { this.body.stream(call.ctx()) }
        })?
        .attribute("bodyUsed", |call| {
            let this = call.this.borrow();
            if this.hides_body() { Ok(false) } else { this.body.is_disturbed() }
        })?
        .operation("clone", 0, clone)?
        .promise("arrayBuffer", 0, |call| {
            let (ctx, bytes) = (call.ctx().clone(), body::bytes(taken(call)?));
            Ok(async move { Ok(ArrayBuffer::new(ctx, bytes.await?)?) })
        })?
        .promise("blob", 0, |call| {
            let (ctx, this, bytes) = (call.ctx().clone(), call.this.clone(), body::bytes(taken(call)?));
            Ok(async move {
                let bytes = bytes.await?;
                let kind = mime::extracted(&this.borrow().visible_headers()).map(|mime| mime.serialize());
                Ok(Class::instance(ctx, Blob::new(bytes.into(), &kind.unwrap_or_default()))?)
            })
        })?
        .promise("bytes", 0, |call| {
            let (ctx, bytes) = (call.ctx().clone(), body::bytes(taken(call)?));
            Ok(async move { uint8_array(&ctx, bytes.await?) })
        })?
        .promise("formData", 0, |call| {
            let this = call.this.clone();
            Ok(body::form(call.ctx().clone(), taken(call)?, move || mime::extracted(&this.borrow().visible_headers())))
        })?
        .promise("json", 0, |call| Ok(body::json(call.ctx().clone(), taken(call)?)))?
        .promise("text", 0, |call| Ok(body::text(taken(call)?)))?;
    kit(ctx)?.function("addTextStream")?.call((interface.object().clone(),))
}

fn taken<'js>(call: &Call<'js, Response<'js>>) -> Outcome<'js, Taken<'js>> {
    call.this.borrow().take_visible_body(call.ctx())
}

/// Spec: <https://fetch.spec.whatwg.org/#dom-response-clone>
fn clone<'js>(call: &Call<'js, Response<'js>>) -> Outcome<'js, Class<'js, Response<'js>>> {
    let this = call.this.borrow();
    let body = this.body.tee(call.ctx(), &realm(call.ctx())?.spooler)?;
    let copy = Response::new(this.head(), this.guard, body, this.source);
    Ok(Class::instance(call.ctx().clone(), copy)?)
}

/// An error where `value` is not a `Response`: what `put` is given.
pub(super) fn response_in<'js>(value: &Value<'js>) -> Outcome<'js, Class<'js, Response<'js>>> {
    Class::from_value(value).map_err(|_| Thrown::type_error("it is not a Response"))
}
