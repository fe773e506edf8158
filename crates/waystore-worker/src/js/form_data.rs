//! `FormData`: a list of the prelude, and its two ways into a body and out of one.
//!
//! Spec: <https://xhr.spec.whatwg.org/#interface-formdata>,
//! <https://html.spec.whatwg.org/#multipart-form-data>

mod multipart;

use bytes::Bytes;
use rquickjs::{Array, Class, Ctx, Value};
use url::form_urlencoded;

use self::multipart::{Content, Part};
use super::{
    blob::Blob,
    exception::{Outcome, Thrown},
    kit::kit,
    mime::Mime,
    realm::realm,
};

/// A form on its way into a body.
pub(super) struct Encoded {
    pub(super) bytes: Bytes,
    /// With the boundary, which is fixed from here on.
    pub(super) content_type: String,
}

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    kit(ctx)?.run("form_data")
}

/// The body that `value` makes, if it is a `FormData`.
pub(super) fn encoded<'js>(value: &Value<'js>) -> Outcome<'js, Option<Encoded>> {
    if !value.is_object() {
        return Ok(None);
    }
    let kit = kit(value.ctx())?;
    if !kit.function("isFormData")?.call((value.clone(),))? {
        return Ok(None);
    }
    let entries: Vec<Array<'js>> = kit.function("entriesOf")?.call((value.clone(),))?;
    let parts = entries.iter().map(part_of).collect::<Outcome<'js, Vec<_>>>()?;
    let boundary = format!("----WaystoreForm{:032x}", realm(value.ctx())?.clock.random());
    let content_type = format!("multipart/form-data; boundary={boundary}");
    Ok(Some(Encoded { bytes: multipart::encode(&parts, &boundary), content_type }))
}

fn part_of<'js>(entry: &Array<'js>) -> Outcome<'js, Part> {
    let name = entry.get(0)?;
    let value: Value<'js> = entry.get(1)?;
    let content = match Class::<Blob>::from_value(&value) {
        Ok(blob) => {
            let blob = blob.borrow();
            Content::File { name: entry.get(2)?, kind: blob.content_type(), bytes: blob.bytes().clone() }
        }
        Err(_) => Content::Text(value.get()?),
    };
    Ok(Part { name, content })
}

/// The form that a body of type `kind` holds.
///
/// Spec: <https://fetch.spec.whatwg.org/#dom-body-formdata>
pub(super) fn decoded<'js>(ctx: &Ctx<'js>, bytes: &Bytes, kind: Option<&Mime>) -> Outcome<'js, Value<'js>> {
    let text = |(name, text)| Part { name, content: Content::Text(text) };
    let parts = match kind {
        Some(kind) if kind.essence == "application/x-www-form-urlencoded" => {
            form_urlencoded::parse(bytes).into_owned().map(text).collect()
        }
        Some(kind) if kind.essence == "multipart/form-data" => {
            let boundary = kind.parameter("boundary");
            let boundary = boundary.ok_or_else(|| Thrown::type_error("the Content-Type names no boundary"))?;
            let parts = multipart::decode(bytes, boundary);
            parts.ok_or_else(|| Thrown::type_error("the body is not the form that its Content-Type says"))?
        }
        Some(kind) => return Err(Thrown::type_error(format!("a body of type {} is not a form", kind.essence))),
        None => return Err(Thrown::type_error("a body without a Content-Type is not a form")),
    };
    let entries = Array::new(ctx.clone())?;
    for (index, Part { name, content }) in parts.into_iter().enumerate() {
        let entry = Array::new(ctx.clone())?;
        entry.set(0, name)?;
        match content {
            Content::Text(text) => entry.set(1, text)?,
            Content::File { name, kind, bytes } => {
                entry.set(1, Class::instance(ctx.clone(), Blob::new(bytes, &kind.unwrap_or_default()))?)?;
                entry.set(2, name)?;
            }
        }
        entries.set(index, entry)?;
    }
    Ok(kit(ctx)?.function("newFormData")?.call((entries,))?)
}
