//! `TextEncoder` and `TextDecoder`. The encodings and their labels are those of `encoding_rs`.
//!
//! Spec: <https://encoding.spec.whatwg.org/#api>

use std::cell::RefCell;

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};
use rquickjs::{Ctx, JsLifetime, Object, TypedArray};

use super::{
    exception::{Outcome, Thrown},
    idl::{Arguments, Call, Convert, Interface, interface},
    kit::kit,
    values::{bytes_of, is_bytes, uint8_array},
};

/// Has no state: all it writes is UTF-8.
#[derive(Debug, JsLifetime)]
struct TextEncoder;

interface!(TextEncoder);

/// What a decoder was made with, and what a stream of chunks left it with.
#[derive(JsLifetime)]
struct TextDecoder {
    encoding: &'static Encoding,
    fatal: bool,
    ignore_bom: bool,
    /// Between two chunks of one stream.
    streaming: RefCell<Option<Decoder>>,
}

interface!(TextDecoder);

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    Interface::constructible(ctx, 0, |_| Ok(TextEncoder))?
        .attribute("encoding", |_| Ok("utf-8"))?
        .operation("encode", 0, |call| {
            let text = call.arguments.optional(0).map_or(Ok(String::new()), |text| text.to_usv_string())?;
            uint8_array(call.ctx(), text)
        })?
        .operation("encodeInto", 2, encode_into)?;
    Interface::constructible(ctx, 0, make)?
        .attribute("encoding", |call| Ok(call.this.borrow().encoding.name().to_ascii_lowercase()))?
        .attribute("fatal", |call| Ok(call.this.borrow().fatal))?
        .attribute("ignoreBOM", |call| Ok(call.this.borrow().ignore_bom))?
        .operation("decode", 0, decode)?;
    Ok(())
}

/// Writes as many whole characters as fit.
///
/// Spec: <https://encoding.spec.whatwg.org/#dom-textencoder-encodeinto>
fn encode_into<'js>(call: &Call<'js, TextEncoder>) -> Outcome<'js, Object<'js>> {
    let source = call.arguments.get(0).to_usv_string()?;
    let view = call.arguments.get(1);
    let room = TypedArray::<u8>::from_value(view.clone());
    let room = room.map_err(|_| Thrown::type_error("encodeInto needs a Uint8Array"))?.len();
    let fitting = &source[..source.floor_char_boundary(room)];
    kit(call.ctx())?.function("fill")?.call::<_, ()>((view, uint8_array(call.ctx(), fitting.as_bytes())?))?;
    let result = Object::new(call.ctx().clone())?;
    result.set("read", fitting.encode_utf16().count() as f64)?;
    result.set("written", fitting.len() as f64)?;
    Ok(result)
}

fn make<'js>(arguments: &Arguments<'js>) -> Outcome<'js, TextDecoder> {
    let encoding = match arguments.optional(0) {
        None => UTF_8,
        Some(label) => {
            let label = label.to_usv_string()?;
            let unknown = || Thrown::Range(format!("`{label}` is not the label of an encoding"));
            Encoding::for_label_no_replacement(label.as_bytes()).ok_or_else(unknown)?
        }
    };
    let options = arguments.get(1).to_dictionary("a TextDecoder's options")?;
    let (fatal, ignore_bom) = (options.boolean("fatal")?, options.boolean("ignoreBOM")?);
    Ok(TextDecoder { encoding, fatal, ignore_bom, streaming: RefCell::default() })
}

/// Spec: <https://encoding.spec.whatwg.org/#dom-textdecoder-decode>
fn decode<'js>(call: &Call<'js, TextDecoder>) -> Outcome<'js, String> {
    let bytes = match call.arguments.optional(0) {
        None => Default::default(),
        Some(input) if is_bytes(&input)? => bytes_of(&input)?,
        Some(_) => return Err(Thrown::type_error("decode needs an ArrayBuffer or a view of one")),
    };
    let more = call.arguments.get(1).to_dictionary("the options of decode")?.boolean("stream")?;
    let this = call.this.borrow();
    let mut decoder = this.streaming.take().unwrap_or_else(|| this.new_decoder());
    let decoded = this.decode_chunk(&mut decoder, &bytes, !more);
    if more {
        this.streaming.replace(Some(decoder));
    }
    decoded
}

impl TextDecoder {
    fn new_decoder(&self) -> Decoder {
        if self.ignore_bom {
            self.encoding.new_decoder_without_bom_handling()
        } else {
            self.encoding.new_decoder_with_bom_removal()
        }
    }

    fn decode_chunk<'js>(&self, decoder: &mut Decoder, bytes: &[u8], last: bool) -> Outcome<'js, String> {
        let needed = decoder.max_utf8_buffer_length(bytes.len());
        let mut text = String::with_capacity(needed.ok_or_else(|| Thrown::Range("too much text".to_owned()))?);
        if !self.fatal {
            let _all_fits = decoder.decode_to_string(bytes, &mut text, last);
            return Ok(text);
        }
        match decoder.decode_to_string_without_replacement(bytes, &mut text, last) {
            (DecoderResult::InputEmpty, _) => Ok(text),
            (DecoderResult::OutputFull | DecoderResult::Malformed(..), _) => {
                Err(Thrown::type_error(format!("the bytes are not {}", self.encoding.name())))
            }
        }
    }
}
