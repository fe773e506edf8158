//! `crypto.subtle`: digests, and nothing that needs a key.
//!
//! Spec: <https://w3c.github.io/webcrypto/#SubtleCrypto-method-digest>

use ring::digest::{self, Algorithm};
use rquickjs::{ArrayBuffer, Class, Ctx, JsLifetime, Value};

use crate::js::{
    exception::{Outcome, Thrown},
    idl::{Convert, Interface, interface},
    values::{bytes_of, is_bytes},
};

/// The one object.
#[derive(Debug, JsLifetime)]
pub(super) struct SubtleCrypto;

interface!(SubtleCrypto);

pub(super) fn install<'js>(ctx: &Ctx<'js>) -> rquickjs::Result<Class<'js, SubtleCrypto>> {
    Interface::<SubtleCrypto>::illegal(ctx)?.promise("digest", 2, |call| {
        let algorithm = algorithm(&call.arguments.get(0))?;
        let data = call.arguments.get(1);
        if !is_bytes(&data)? {
            return Err(Thrown::type_error("digest needs an ArrayBuffer or a view of one"));
        }
        let (ctx, bytes) = (call.ctx().clone(), bytes_of(&data)?);
        Ok(async move { Ok(ArrayBuffer::new_copy(ctx, digest::digest(algorithm, &bytes))?) })
    })?;
    Class::instance(ctx.clone(), SubtleCrypto)
}

/// By its name, or an object that has it; in any case.
fn algorithm<'js>(given: &Value<'js>) -> Outcome<'js, &'static Algorithm> {
    let name = match given.as_object() {
        Some(object) => object.get::<_, Value<'js>>("name")?,
        None => given.clone(),
    };
    if name.is_undefined() {
        return Err(Thrown::type_error("the algorithm has no name"));
    }
    let name = name.to_dom_string()?.into_usv();
    Ok(match name.to_ascii_uppercase().as_str() {
        "SHA-1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        "SHA-256" => &digest::SHA256,
        "SHA-384" => &digest::SHA384,
        "SHA-512" => &digest::SHA512,
        _ => return Err(Thrown::Dom("NotSupportedError", format!("`{name}` is not an algorithm of digests"))),
    })
}
