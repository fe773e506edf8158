//! `Blob`: bytes in memory, and their type. `File` adds a name to it, in the prelude. Spec: <https://w3c.github.io/FileAPI/#blob-section>

use bytes::{Bytes, BytesMut};
use rquickjs::{ArrayBuffer, Class, Ctx, JsLifetime, Value};
use waystore::Body;

use super::{
    body::BodySlot,
    exception::{Outcome, Thrown},
    idl::{Arguments, Call, Convert, Interface, interface, native_operation},
    kit::kit,
    values::{bytes_of, is_bytes, uint8_array},
};

/// Bytes that never change, and a type.
#[derive(Debug, Clone, JsLifetime)]
pub(crate) struct Blob {
    bytes: Bytes,
    kind: String,
}

interface!(Blob);

impl Blob {
    /// A blob of `bytes` with this type, empty for none.
    pub(super) fn new(bytes: Bytes, kind: &str) -> Self {
        let plain = kind.chars().all(|character| matches!(character, ' '..='~'));
        Self { bytes, kind: if plain { kind.to_ascii_lowercase() } else { String::new() } }
    }

    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The type, where it has one.
    pub(super) fn content_type(&self) -> Option<String> {
        (!self.kind.is_empty()).then(|| self.kind.clone())
    }
}

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    Interface::constructible(ctx, 0, make)?
        .attribute("size", |call| Ok(call.this.borrow().bytes.len() as f64))?
        .attribute("type", |call| Ok(call.this.borrow().kind.clone()))?
        .operation("slice", 0, slice)?
        .operation("stream", 0, |call| {
            BodySlot::new(Some(Body::from(call.this.borrow().bytes.clone()))).stream(call.ctx())
        })?
        .promise("text", 0, |call| {
            let bytes = call.this.borrow().bytes.clone();
            Ok(async move { Ok(String::from_utf8_lossy(&bytes).into_owned()) })
        })?
        .promise("arrayBuffer", 0, |call| {
            let (ctx, bytes) = (call.ctx().clone(), call.this.borrow().bytes.clone());
            Ok(async move { Ok(ArrayBuffer::new(ctx, bytes)?) })
        })?
        .promise("bytes", 0, |call| {
            let (ctx, bytes) = (call.ctx().clone(), call.this.borrow().bytes.clone());
            Ok(async move { uint8_array(&ctx, bytes) })
        })?;
    kit(ctx)?.give(
        "blobBytes",
        native_operation(ctx, "blobBytes", 1, |arguments| {
            let blob = Class::<Blob>::from_value(&arguments.get(0))?;
            let bytes = blob.borrow().bytes.clone();
            uint8_array(arguments.ctx(), bytes)
        })?,
    )?;
    kit(ctx)?.run("file")
}

fn make<'js>(arguments: &Arguments<'js>) -> Outcome<'js, Blob> {
    let parts = match arguments.optional(0) {
        Some(parts) => parts.to_sequence()?.ok_or_else(|| Thrown::type_error("a Blob's parts must be a sequence"))?,
        None => Vec::new(),
    };
    let options = arguments.get(1).to_dictionary("a Blob's options")?;
    let endings = options.word("endings", |word| match word {
        "transparent" => Some(false),
        "native" => Some(true),
        _ => None,
    })?;
    let kind = options.member("type")?.map_or(Ok(String::new()), |kind| kind.to_usv_string())?;
    // What a file is made of mostly: the bytes are shared.
    if let [part] = &parts[..] {
        return Ok(Blob::new(bytes_of_part(part, endings.unwrap_or(false))?, &kind));
    }
    let mut bytes = BytesMut::new();
    for part in &parts {
        bytes.extend_from_slice(&bytes_of_part(part, endings.unwrap_or(false))?);
    }
    Ok(Blob::new(bytes.freeze(), &kind))
}

fn bytes_of_part<'js>(part: &Value<'js>, native_endings: bool) -> Outcome<'js, Bytes> {
    if is_bytes(part)? {
        return bytes_of(part);
    }
    if let Ok(blob) = Class::<Blob>::from_value(part) {
        return Ok(blob.borrow().bytes.clone());
    }
    let text = part.to_usv_string()?;
    let text = if native_endings { text.replace("\r\n", "\n").replace('\r', "\n") } else { text };
    Ok(text.into())
}

fn slice<'js>(call: &Call<'js, Blob>) -> Outcome<'js, Class<'js, Blob>> {
    let blob = call.this.borrow();
    let length = blob.bytes.len();
    let position = |value: Option<Value<'js>>, default: usize| -> Outcome<'js, usize> {
        let Some(value) = value else { return Ok(default) };
        let number = value.to_double()?.trunc();
        let from_start = if number < 0.0 { length as f64 + number } else { number };
        Ok(from_start.clamp(0.0, length as f64) as usize)
    };
    let start = position(call.arguments.optional(0), 0)?;
    let end = position(call.arguments.optional(1), length)?.max(start);
    let kind = call.arguments.optional(2).map_or(Ok(String::new()), |kind| kind.to_usv_string())?;
    Ok(Class::instance(call.ctx().clone(), Blob::new(blob.bytes.slice(start..end), &kind))?)
}
