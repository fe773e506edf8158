//! Bytes and errors on their way between script and the native side.
//!
//! Reading the engine's memory in place is unsafe, so bytes come out of it as text.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use rquickjs::{Ctx, TypedArray, Value};

use super::{
    exception::{Outcome, Thrown},
    kit::kit,
};

/// Whether `value` is an `ArrayBuffer` or a view of one.
pub(super) fn is_bytes<'js>(value: &Value<'js>) -> Outcome<'js, bool> {
    Ok(value.is_object() && kit(value.ctx())?.function("isBytes")?.call((value.clone(),))?)
}

/// A copy of the bytes of an `ArrayBuffer` or a view of one.
pub(super) fn bytes_of<'js>(value: &Value<'js>) -> Outcome<'js, Bytes> {
    let encoded: rquickjs::String<'js> = kit(value.ctx())?.function("encoded")?.call((value.clone(),))?;
    let encoded = encoded.to_cstring()?;
    let decoded = STANDARD
        .decode(encoded.as_str())
        .map_err(|error| Thrown::type_error(format!("the bytes were lost: {error}")))?;
    Ok(decoded.into())
}

/// A `Uint8Array` of these bytes.
pub(super) fn uint8_array<'js>(ctx: &Ctx<'js>, bytes: impl Into<Vec<u8>>) -> Outcome<'js, TypedArray<'js, u8>> {
    Ok(TypedArray::new(ctx.clone(), bytes)?)
}

/// An error of the script, passing through the native side, which cannot hold values of the engine.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the script's stream failed")]
pub(crate) struct ScriptError(u32);

impl ScriptError {
    /// Keeps `thrown` for [`thrown`](Self::thrown).
    pub(super) fn keep<'js>(thrown: &Value<'js>) -> Outcome<'js, Self> {
        let id: f64 = kit(thrown.ctx())?.function("keepError")?.call((thrown.clone(),))?;
        Ok(Self(id as u32))
    }

    /// What the script threw.
    pub(super) fn thrown<'js>(self, ctx: &Ctx<'js>) -> rquickjs::Result<Value<'js>> {
        kit(ctx)?.function("keptError")?.call((self.0,))
    }
}

/// The script's own error, if the failure of a body is one.
pub(super) fn script_error(error: &waystore::BodyError) -> Option<ScriptError> {
    match error {
        waystore::BodyError::Failed(cause) => cause.downcast_ref().copied(),
        _ => None,
    }
}
