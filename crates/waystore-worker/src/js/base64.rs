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
    let DomString::Text(text) = arguments.get(0).to_dom_string()? else { return Err(refused()) };
    forgiving(text.as_bytes()).map(ByteString).ok_or_else(refused)
}

/// What base64 stands for, as the web reads it; `None` where it is none.
///
/// Spec: <https://infra.spec.whatwg.org/#forgiving-base64-decode>
pub(super) fn forgiving(text: &[u8]) -> Option<Vec<u8>> {
    let text: Vec<u8> = text.iter().copied().filter(|byte| !b"\t\n\x0C\r ".contains(byte)).collect();
    let unpadded = match text.len() % 4 {
        0 => text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(&text),
        _ => &text,
    };
    FORGIVING.decode(unpadded).ok()
}

fn encode<'js>(arguments: &Arguments<'js>) -> Outcome<'js, String> {
    let refused = || Thrown::Dom("InvalidCharacterError", "a character of the string is above U+00FF".to_owned());
    let DomString::Text(text) = arguments.get(0).to_dom_string()? else { return Err(refused()) };
    let bytes: Option<Vec<u8>> = text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect();
    bytes.map(|bytes| STANDARD.encode(bytes)).ok_or_else(refused)
}
