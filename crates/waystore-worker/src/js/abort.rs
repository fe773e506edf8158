//! `AbortController` and `AbortSignal`: logic of the prelude, tied to the library's signals.
//!
//! A script's signal has a reason; the native one behind it only tells that it was aborted.

use rquickjs::{Class, Ctx, JsLifetime, Object, Value};
use tokio_util::sync::{CancellationToken, DropGuard};
use waystore::AbortSignal;

use super::{
    exception::{Outcome, Thrown},
    idl::{interface, native_operation},
    kit::kit,
};

/// The native signal behind one of the script's; script never sees it.
#[derive(Debug, Clone, JsLifetime)]
struct Token(AbortSignal);

/// Ends a watcher when the signal that it watches for is collected.
#[derive(Debug, JsLifetime)]
struct Guard(#[expect(dead_code, reason = "it is there to be dropped")] DropGuard);

/// The native signal that is aborted when `signal`, one of the script's, is.
pub(super) fn native_signal<'js>(signal: &Object<'js>) -> Outcome<'js, AbortSignal> {
    let token: Value<'js> = kit(signal.ctx())?.function("tokenOf")?.call((signal.clone(),))?;
    Ok(token_in(&token)?.0)
}

/// One of the script's signals, which is aborted with `signal`.
pub(super) fn script_signal<'js>(ctx: &Ctx<'js>, signal: AbortSignal) -> Outcome<'js, Object<'js>> {
    let token = Class::instance(ctx.clone(), Token(signal))?;
    Ok(kit(ctx)?.function("signalOfToken")?.call((token,))?)
}

/// One of the script's signals, which is aborted with `source`, another one.
pub(super) fn following<'js>(source: &Object<'js>) -> Outcome<'js, Object<'js>> {
    Ok(kit(source.ctx())?.function("followSignal")?.call((source.clone(),))?)
}

/// One of the script's signals that nobody aborts.
pub(super) fn unaborted<'js>(ctx: &Ctx<'js>) -> Outcome<'js, Object<'js>> {
    Ok(kit(ctx)?.function("newSignal")?.call(())?)
}

/// Whether `value` is an `AbortSignal`.
pub(super) fn is_signal<'js>(value: &Value<'js>) -> Outcome<'js, bool> {
    Ok(kit(value.ctx())?.function("isAbortSignal")?.call((value.clone(),))?)
}

/// Why `signal` was aborted, if it was.
pub(super) fn reason<'js>(signal: &Object<'js>) -> Outcome<'js, Option<Thrown<'js>>> {
    let aborted: bool = signal.get("aborted")?;
    Ok(if aborted { Some(Thrown::Value(signal.get("reason")?)) } else { None })
}

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let kit = kit(ctx)?;
    let new_token = native_operation(ctx, "newToken", 0, |arguments| {
        Ok(Class::instance(arguments.ctx().clone(), Token(AbortSignal::new()))?)
    })?;
    kit.give("newToken", new_token)?;
    let cancel_token = native_operation(ctx, "cancelToken", 1, |arguments| {
        token_in(&arguments.get(0))?.0.abort();
        Ok(())
    })?;
    kit.give("cancelToken", cancel_token)?;
    kit.give(
        "watchToken",
        native_operation(ctx, "watchToken", 2, |arguments| {
            let signal = token_in(&arguments.get(0))?.0;
            let aborted = arguments.get(1).into_function().ok_or_else(|| Thrown::type_error("not a function"))?;
            let forgotten = CancellationToken::new();
            let guard = Guard(forgotten.clone().drop_guard());
            let ctx = arguments.ctx().clone();
            // Not counted as work: it waits for somebody else.
            arguments.ctx().spawn(async move {
                let heard = tokio::select! {
                    () = signal.wait() => true,
                    () = forgotten.cancelled() => false,
                };
                if heard && aborted.call::<_, ()>(()).is_err() {
                    ctx.catch();
                }
            });
            Ok(Class::instance(arguments.ctx().clone(), guard)?)
        })?,
    )?;
    kit.run("abort")
}

fn token_in<'js>(value: &Value<'js>) -> Outcome<'js, Token> {
    let token = Class::<Token>::from_value(value).map_err(|_| Thrown::type_error("not a token"))?;
    Ok(token.borrow().clone())
}

interface!(Token);
interface!(Guard);
