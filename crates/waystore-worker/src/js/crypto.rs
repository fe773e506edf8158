//! `crypto`: random values from the realm's clock, and [`subtle`].
//!
//! Spec: <https://w3c.github.io/webcrypto/#crypto-interface>

mod subtle;

use rquickjs::{
    Class, Ctx, JsLifetime, Value,
    class::{Trace, Tracer},
    convert::List,
};

use self::subtle::SubtleCrypto;
use super::{
    exception::{Outcome, Thrown},
    idl::{Call, Interface, interface},
    kit::kit,
    realm::{Realm, realm},
    values::uint8_array,
};

/// What one call may ask for.
const MAX_BYTES: u32 = 65_536;

const INTEGERS: [&str; 9] = [
    "Int8Array",
    "Uint8Array",
    "Uint8ClampedArray",
    "Int16Array",
    "Uint16Array",
    "Int32Array",
    "Uint32Array",
    "BigInt64Array",
    "BigUint64Array",
];

/// The one object; the randomness is the realm's.
#[derive(JsLifetime)]
struct Crypto<'js> {
    subtle: Class<'js, SubtleCrypto>,
}

interface!(Crypto<'js>);

impl<'js> Trace<'js> for Crypto<'js> {
    fn trace<'a>(&self, tracer: Tracer<'a, 'js>) {
        self.subtle.trace(tracer);
    }
}

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    kit(ctx)?.run("crypto")?;
    Interface::<Crypto<'_>>::illegal(ctx)?
        .attribute("subtle", |call| Ok(call.this.borrow().subtle.clone()))?
        .operation("getRandomValues", 1, get_random_values)?
        .operation("randomUUID", 0, |call| Ok(uuid(realm(call.ctx())?.clock.random())))?;
    let crypto = Class::instance(ctx.clone(), Crypto { subtle: subtle::install(ctx)? })?;
    kit(ctx)?.function("globalAttribute")?.call(("crypto", crypto))
}

/// Spec: <https://w3c.github.io/webcrypto/#Crypto-method-getRandomValues>
fn get_random_values<'js>(call: &Call<'js, Crypto<'js>>) -> Outcome<'js, Value<'js>> {
    let view = call.arguments.get(0);
    let kit = kit(call.ctx())?;
    let kind: Option<List<(String, u32)>> = kit.function("viewKind")?.call((view.clone(),))?;
    let List((kind, bytes)) = kind.ok_or_else(|| Thrown::type_error("getRandomValues needs a typed array"))?;
    if !INTEGERS.contains(&kind.as_str()) {
        return Err(Thrown::Dom("TypeMismatchError", format!("a {kind} holds no integers")));
    }
    if bytes > MAX_BYTES {
        return Err(Thrown::Quota {
            requested: Some(bytes.into()),
            quota: Some(MAX_BYTES.into()),
            message: format!("{bytes} bytes of randomness in one call, where {MAX_BYTES} are the most"),
        });
    }
    let random = uint8_array(call.ctx(), random_bytes(&*realm(call.ctx())?, bytes as usize))?;
    Ok(kit.function("fill")?.call((view, random))?)
}

fn random_bytes(realm: &Realm, count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count.next_multiple_of(16));
    while bytes.len() < count {
        bytes.extend_from_slice(&realm.clock.random().to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

/// A UUID of version 4 of these bits. Spec: <https://www.rfc-editor.org/rfc/rfc9562#section-5.4>
fn uuid(random: u128) -> String {
    const VERSION: u128 = 0xF << 76;
    const VARIANT: u128 = 0b11 << 62;
    let bits = random & !VERSION & !VARIANT | 4 << 76 | 0b10 << 62;
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
