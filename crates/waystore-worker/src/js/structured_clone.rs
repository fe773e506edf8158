//! `structuredClone`: logic of the prelude, and what only the engine can tell of a value.
//!
//! Spec: <https://html.spec.whatwg.org/#structured-cloning>

use rquickjs::Ctx;

use super::{idl::native_operation, kit::kit};

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let kit = kit(ctx)?;
    kit.give("isProxy", native_operation(ctx, "isProxy", 1, |arguments| Ok(arguments.get(0).is_proxy()))?)?;
    kit.give("isError", native_operation(ctx, "isError", 1, |arguments| Ok(arguments.get(0).is_error()))?)?;
    kit.run("structured_clone")
}
