//! `TextEncoder` and `TextDecoder`. Spec: <https://encoding.spec.whatwg.org/#api>

use std::cell::RefCell;

use encoding_rs::{Decoder, DecoderResult, Encoding};
use rquickjs::{Ctx, JsLifetime, Object, TypedArray, Value};

use super::{
    exception::{Outcome, Thrown},
    idl::{Arguments, Call, Convert, Interface, interface},
    kit::kit,
    values::{bytes_of, is_bytes, uint8_array},
};

/// Encodes UTF-8; it has no state.
#[derive(Debug, JsLifetime)]
pub(crate) struct TextEncoder;

interface!(TextEncoder);

/// Decodes one encoding, a piece at a time where it is asked to.
#[derive(JsLifetime)]
pub(crate) struct TextDecoder {
    encoding: &'static Encoding,
    fatal: bool,
    ignore_bom: bool,
    /// What was begun with `stream: true`.
    begun: RefCell<Option<Decoder>>,
}

interface!(TextDecoder);

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    Interface::constructible(ctx, 0, |_| Ok(TextEncoder))?
        .attribute("encoding", |_| Ok("utf-8"))?
        .operation("encode", 0, encode)?
        .operation("encodeInto", 2, encode_into)?;
    Interface::constructible(ctx, 0, make_decoder)?
        .attribute("encoding", |call| Ok(call.this.borrow().encoding.name().to_ascii_lowercase()))?
        .attribute("fatal", |call| Ok(call.this.borrow().fatal))?
        .attribute("ignoreBOM", |call| Ok(call.this.borrow().ignore_bom))?
        .operation("decode", 0, decode)?;
    Ok(())
}

fn encode<'js>(call: &Call<'js, TextEncoder>) -> Outcome<'js, TypedArray<'js, u8>> {
    let text = call.arguments.optional(0).map_or(Ok(String::new()), |text| text.to_usv_string())?;
    uint8_array(call.ctx(), text)
}

/// Spec: <https://encoding.spec.whatwg.org/#dom-textencoder-encodeinto>
fn encode_into<'js>(call: &Call<'js, TextEncoder>) -> Outcome<'js, Object<'js>> {
    let text = call.arguments.get(0).to_usv_string()?;
    let target = call.arguments.get(1).into_object().filter(|target| target.is_typed_array::<u8>());
    let target = target.ok_or_else(|| Thrown::type_error("encodeInto needs a Uint8Array"))?;
    let room: usize = target.get("byteLength")?;
    let fits = text.char_indices().map(|(at, character)| at + character.len_utf8()).take_while(|end| *end <= room);
    let written = &text[..fits.last().unwrap_or(0)];
    let bytes = uint8_array(call.ctx(), written)?;
    kit(call.ctx())?.function("fill")?.call::<_, Value<'js>>((target, bytes))?;
    let result = Object::new(call.ctx().clone())?;
    result.set("read", written.encode_utf16().count())?;
    result.set("written", written.len())?;
    Ok(result)
}

fn make_decoder<'js>(arguments: &Arguments<'js>) -> Outcome<'js, TextDecoder> {
    let label = arguments.optional(0).map_or(Ok("utf-8".to_owned()), |label| label.to_usv_string())?;
    let options = arguments.get(1).to_dictionary("a TextDecoder's options")?;
    let (fatal, ignore_bom) = (options.boolean("fatal")?, options.boolean("ignoreBOM")?);
    let encoding = Encoding::for_label_no_replacement(label.as_bytes());
    let encoding = encoding.ok_or_else(|| Thrown::Range(format!("`{label}` is not the label of an encoding")))?;
    Ok(TextDecoder { encoding, fatal, ignore_bom, begun: RefCell::default() })
}

/// Spec: <https://encoding.spec.whatwg.org/#dom-textdecoder-decode>
fn decode<'js>(call: &Call<'js, TextDecoder>) -> Outcome<'js, String> {
    let bytes = match call.arguments.optional(0) {
        Some(input) if is_bytes(&input)? => bytes_of(&input)?,
        Some(_) => return Err(Thrown::type_error("decode needs an ArrayBuffer or a view of one")),
        None => bytes::Bytes::new(),
    };
    let stream = call.arguments.get(1).to_dictionary("options")?.boolean("stream")?;
    let this = call.this.borrow();
    let fresh = || {
        if this.ignore_bom {
            this.encoding.new_decoder_without_bom_handling()
        } else {
            this.encoding.new_decoder_with_bom_removal()
        }
    };
    let mut decoder = this.begun.take().unwrap_or_else(fresh);
    let text = decoded(&mut decoder, &bytes, !stream, this.fatal)?;
    if stream {
        this.begun.replace(Some(decoder));
    }
    Ok(text)
}

fn decoded<'js>(decoder: &mut Decoder, bytes: &[u8], last: bool, fatal: bool) -> Outcome<'js, String> {
    let too_long = || Thrown::Range("the bytes are too many to decode".to_owned());
    let mut text = String::new();
    if fatal {
        text.reserve(decoder.max_utf8_buffer_length_without_replacement(bytes.len()).ok_or_else(too_long)?);
        return match decoder.decode_to_string_without_replacement(bytes, &mut text, last).0 {
            DecoderResult::Malformed(..) => Err(Thrown::type_error("the bytes are not valid in this encoding")),
            DecoderResult::InputEmpty | DecoderResult::OutputFull => Ok(text),
        };
    }
    text.reserve(decoder.max_utf8_buffer_length(bytes.len()).ok_or_else(too_long)?);
    let _complete = decoder.decode_to_string(bytes, &mut text, last);
    Ok(text)
}
