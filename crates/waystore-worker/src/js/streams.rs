//! The streams: logic of the prelude, and the native bodies behind those that came from outside.
//!
//! Spec: <https://streams.spec.whatwg.org/>

mod codec;

use std::cell::RefCell;

use futures::StreamExt;
use rquickjs::{
    Class, Ctx, JsLifetime, Object, TypedArray, Value,
    class::{Trace, Tracer},
};
use waystore::Body;

use super::{
    body::Taken,
    exception::{Outcome, Thrown},
    idl::{function, interface, native_operation, promised},
    kit::kit,
    realm::realm,
    values::uint8_array,
};

/// In the order in which each needs what those before it made.
const PRELUDE: [&str; 10] = [
    "streams",
    "streams_readable",
    "streams_readers",
    "streams_bytes",
    "streams_tee",
    "streams_writable",
    "streams_pipe",
    "streams_transform",
    "streams_transfer",
    "streams_bodies",
];

/// The native body behind a stream; script never sees it.
#[derive(JsLifetime)]
pub(super) struct NativeBody<'js> {
    body: RefCell<Option<Body>>,
    signal: Option<Object<'js>>,
}

interface!(NativeBody<'js>);

impl<'js> NativeBody<'js> {
    /// A body that fails with the reason of `signal` when it is aborted.
    pub(super) fn new(body: Body, signal: Option<Object<'js>>) -> Self {
        Self { body: RefCell::new(Some(body)), signal }
    }

    /// The body, unless it was taken or dropped.
    pub(super) fn take(&self) -> Option<Body> {
        self.body.take()
    }
}

impl<'js> Trace<'js> for NativeBody<'js> {
    fn trace<'a>(&self, tracer: Tracer<'a, 'js>) {
        self.signal.trace(tracer);
    }
}

/// Interfaces with a transform inside, which need others than streams.
pub(super) fn install_codecs(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    codec::install(ctx)?;
    kit(ctx)?.run("streams_codecs")
}

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let kit = kit(ctx)?;
    kit.give(
        "readNative",
        function(ctx, "readNative", 1, |params| {
            let native = params.arg(0).map_or_else(|| Err(not_a_body()), |native| native_in(&native));
            Ok(promised::<_, Option<TypedArray<'_, u8>>>(params.ctx(), native.map(read_native))?)
        })?,
    )?;
    let drop_native = native_operation(ctx, "dropNative", 1, |arguments| {
        drop(native_in(&arguments.get(0))?.borrow().take());
        Ok(())
    })?;
    kit.give("dropNative", drop_native)?;
    kit.give("splitNative", native_operation(ctx, "splitNative", 1, |arguments| split(&arguments.get(0)))?)?;
    PRELUDE.iter().try_for_each(|name| kit.run(name))
}

fn native_in<'js>(value: &Value<'js>) -> Outcome<'js, Class<'js, NativeBody<'js>>> {
    Class::from_value(value).map_err(|_| not_a_body())
}

fn not_a_body<'js>() -> Thrown<'js> {
    Thrown::type_error("not a body")
}

/// The next chunk as a `Uint8Array`, `undefined` at the end.
async fn read_native<'js>(native: Class<'js, NativeBody<'js>>) -> Outcome<'js, Option<TypedArray<'js, u8>>> {
    let Some(mut body) = native.borrow().take() else { return Ok(None) };
    match body.next().await {
        Some(Ok(chunk)) => {
            native.borrow().body.replace(Some(body));
            uint8_array(native.ctx(), chunk).map(Some)
        }
        Some(Err(error)) => Err(Taken::failure(native.borrow().signal.as_ref(), error.into())),
        None => Ok(None),
    }
}

/// Two bodies of one; what one of them is ahead of the other is kept where clones are.
fn split<'js>(value: &Value<'js>) -> Outcome<'js, Vec<Class<'js, NativeBody<'js>>>> {
    let native = native_in(value)?;
    let body = native.borrow().take().unwrap_or_default();
    let (one, two) = body.tee(&realm(native.ctx())?.spooler);
    let signal = native.borrow().signal.clone();
    let half = |body| Class::instance(native.ctx().clone(), NativeBody::new(body, signal.clone()));
    Ok(vec![half(one)?, half(two)?])
}
