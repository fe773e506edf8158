//! `atob` and `btoa`: strings of bytes, to base64 and back.
//!
//! Spec: <https://html.spec.whatwg.org/#atob>, <https://infra.spec.whatwg.org/#forgiving-base64-decode>

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use rquickjs::Ctx;

use super::{
    exception::{Outcome, Thrown},
    idl::{Arguments, ByteString, Convert, DomString, global_operation},
};

/// Takes text without padding, and drops the bits that fill no byte.
const FORGIVING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    global_operation(ctx, "atob", 1, decode)?;
    global_operation(ctx, "btoa", 1, encode)
}

fn decode<'js>(arguments: &Arguments<'js>) -> Outcome<'js, ByteString> {
    let refused = || Thrown::Dom("InvalidCharacterError", "the string is not base64".to_owned());
    let DomString::Text(mut text) = arguments.get(0).to_dom_string()? else { return Err(refused()) };
    text.retain(|character| !matches!(character, '\t' | '\n' | '\x0C' | '\r' | ' '));
    let unpadded = match text.len() % 4 {
        0 => text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(&text),
        _ => &text,
    };
    FORGIVING.decode(unpadded).map(ByteString).map_err(|_| refused())
}

fn encode<'js>(arguments: &Arguments<'js>) -> Outcome<'js, String> {
    let refused = || Thrown::Dom("InvalidCharacterError", "a character of the string is above U+00FF".to_owned());
    let DomString::Text(text) = arguments.get(0).to_dom_string()? else { return Err(refused()) };
    let bytes: Option<Vec<u8>> = text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect();
    bytes.map(|bytes| STANDARD.encode(bytes)).ok_or_else(refused)
}
