//! `crypto`: `getRandomValues` and `randomUUID`. Spec: <https://w3c.github.io/webcrypto/#Crypto-interface>

use rquickjs::{Ctx, Object, Value};
use waystore::Clock;

use super::{
    exception::{Outcome, Thrown},
    idl::{Arguments, native_operation},
    kit::kit,
    realm::realm,
    values::uint8_array,
};

/// What one call may ask for.
const MAX_BYTES: usize = 65_536;

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let kit = kit(ctx)?;
    kit.give("randomBytes", native_operation(ctx, "randomBytes", 2, random_bytes)?)?;
    kit.give("randomUUID", native_operation(ctx, "randomUUID", 0, random_uuid)?)?;
    kit.run("crypto", include_str!("prelude/crypto.js"))
}

/// Fills a view, which the prelude has checked.
fn random_bytes<'js>(arguments: &Arguments<'js>) -> Outcome<'js, Value<'js>> {
    let view: Object<'js> = arguments.get(0).into_object().ok_or_else(|| Thrown::type_error("it is not a view"))?;
    let length: usize = view.get("byteLength")?;
    if length > MAX_BYTES {
        let message = format!("{length} bytes were asked for; one call gives up to {MAX_BYTES}");
        return Err(Thrown::Quota { requested: Some(length as u64), quota: Some(MAX_BYTES as u64), message });
    }
    let realm = realm(arguments.ctx())?;
    let mut bytes = Vec::with_capacity(length + 16);
    while bytes.len() < length {
        bytes.extend_from_slice(&realm.clock.random().to_le_bytes());
    }
    bytes.truncate(length);
    let bytes = uint8_array(arguments.ctx(), bytes)?;
    Ok(kit(arguments.ctx())?.function("fill")?.call((view, bytes))?)
}

fn random_uuid<'js>(arguments: &Arguments<'js>) -> Outcome<'js, String> {
    Ok(uuid(&realm(arguments.ctx())?.clock))
}

/// A random UUID, version 4. Spec: <https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-4>
fn uuid(clock: &Clock) -> String {
    let variant = clock.random() & !(0xF << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let text = format!("{variant:032x}");
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}
