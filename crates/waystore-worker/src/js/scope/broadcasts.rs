//! `BroadcastChannel` beyond its context: the way to the other isolates of the site, and to its clients.
//!
//! A context that never made a channel listens to nothing. Listening keeps no worker alive. Knows no
//! values: text goes in and out as it is.

use std::{cell::Cell, rc::Rc};

use rquickjs::Ctx;

use super::{Bridge, ports};
use crate::{
    airwaves::Tuned,
    js::{exception::report, idl::native_operation, kit},
};

pub(super) fn install(ctx: &Ctx<'_>, bridge: &Rc<Bridge>) -> rquickjs::Result<()> {
    let kit = kit(ctx)?;
    let tuned: Rc<Cell<Option<u64>>> = Rc::default();
    let (listening, site) = (Rc::clone(&tuned), Rc::clone(bridge));
    let listen = native_operation(ctx, "listen", 0, move |arguments| {
        if listening.get().is_none() {
            let tuned = site.airwaves.tune();
            listening.set(Some(tuned.id));
            hear(arguments.ctx(), tuned);
        }
        Ok(())
    })?;
    kit.give("tuneBroadcasts", listen)?;
    let (from, site) = (Rc::clone(&tuned), Rc::clone(bridge));
    let heard = native_operation(ctx, "isHeard", 1, move |arguments| {
        let name: String = arguments.get(0).get()?;
        Ok(site.airwaves.reaches(from.get()) || site.link.is_heard(&name))
    })?;
    kit.give("isBroadcastHeard", heard)?;
    let site = Rc::clone(bridge);
    let send = native_operation(ctx, "broadcast", 2, move |arguments| {
        let (name, data) = (arguments.get(0).get::<String>()?, ports::text(arguments, 1)?);
        site.link.broadcast(&name, &data);
        site.airwaves.send(tuned.get(), &name, data);
        Ok(())
    })?;
    kit.give("broadcastOutside", send)
}

/// Gives script what others send, one a turn.
fn hear<'js>(ctx: &Ctx<'js>, mut tuned: Tuned) {
    let later = ctx.clone();
    ctx.spawn(async move {
        let ctx = later;
        while let Some(broadcast) = tuned.next().await {
            let arrived = kit(&ctx).and_then(|kit| kit.function("broadcastArrived"));
            let told = arrived.and_then(|told| told.call::<_, ()>((&*broadcast.name, broadcast.data.as_str())));
            if told.is_err() {
                let thrown = ctx.catch();
                report(&ctx, &thrown);
            }
            tokio::task::yield_now().await;
        }
    });
}
