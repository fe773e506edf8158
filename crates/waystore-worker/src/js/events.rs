//! `Event`, `EventTarget` and dispatch: logic of the prelude, given the time and a place for reports.

use rquickjs::Ctx;

use super::{
    exception::report,
    idl::{global_operation, native_operation},
    kit::kit,
    realm::realm,
    timers::now,
};

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let kit = kit(ctx)?;
    kit.give("now", native_operation(ctx, "now", 0, |arguments| Ok(now(&*realm(arguments.ctx())?)))?)?;
    let reported = native_operation(ctx, "report", 1, |arguments| {
        report(arguments.ctx(), &arguments.get(0));
        Ok(())
    })?;
    kit.give("report", reported)?;
    global_operation(ctx, "reportError", 1, |arguments| {
        report(arguments.ctx(), &arguments.get(0));
        Ok(())
    })?;
    kit.run("event")
}
