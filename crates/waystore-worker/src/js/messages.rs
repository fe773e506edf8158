//! `MessageChannel`, `MessagePort`, `MessageEvent` and `BroadcastChannel`: logic of the prelude.
//!
//! They connect scripts of one context. Spec: <https://html.spec.whatwg.org/#web-messaging>

use rquickjs::Ctx;

use super::{kit::kit, realm::realm};

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let kit = kit(ctx)?;
    kit.run("messages")?;
    kit.run("broadcast")?;
    let origin = realm(ctx)?.base.origin().ascii_serialization();
    kit.function("startBroadcasts")?.call((origin,))
}
