//! `Event`, `EventTarget` and dispatch: logic of the prelude, and the native way to it.

use rquickjs::{Ctx, Object, Value};

use super::{exception::report, idl::native_operation, kit::kit, realm::realm, timers::now};

/// What became of a dispatched event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dispatched {
    /// Whether nobody prevented the default action.
    pub(crate) allowed: bool,
    /// Whether a listener threw; what it threw was reported.
    pub(crate) threw: bool,
}

/// Runs the listeners of `target` for `event`.
///
/// Spec: <https://dom.spec.whatwg.org/#concept-event-dispatch>
pub(crate) fn dispatch<'js>(ctx: &Ctx<'js>, target: Value<'js>, event: Value<'js>) -> rquickjs::Result<Dispatched> {
    let result: Object<'js> = kit(ctx)?.function("dispatch")?.call((target, event))?;
    Ok(Dispatched { allowed: result.get("allowed")?, threw: result.get("threw")? })
}

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let kit = kit(ctx)?;
    kit.give("now", native_operation(ctx, "now", 0, |arguments| Ok(now(&*realm(arguments.ctx())?)))?)?;
    let reported = native_operation(ctx, "report", 1, |arguments| {
        report(arguments.ctx(), &arguments.get(0));
        Ok(())
    })?;
    kit.give("report", reported)?;
    kit.run("event", include_str!("prelude/event.js"))
}
