//! The JavaScript interfaces: what a script finds on its global, over the library's own types.
//!
//! [`install`] puts them onto one context; a [`Realm`] is what they need from whoever runs it.
//! Native interfaces are installed through [`idl`]; what is pure logic is JavaScript of our own, in
//! `prelude/`. Knows no service worker: the events and the global of one are in `scope/`.

mod abort;
mod console;
mod events;
mod exception;
mod idl;
mod kit;
mod realm;
mod stand_in;
pub(crate) use stand_in::{new_request, take_response};
pub(crate) mod scope;
mod timers;

#[cfg(test)]
mod tests;

pub(crate) use self::{
    events::{Dispatched, dispatch},
    exception::{Outcome, Thrown, describe, report},
    kit::{Kit, kit},
    realm::{Realm, Work, realm},
};

use std::rc::Rc;

use rquickjs::Ctx;

/// Puts every interface onto the global of `ctx`, which is fresh, and `realm` where they find it.
pub(crate) fn install(ctx: &Ctx<'_>, realm: Rc<Realm>) -> rquickjs::Result<()> {
    realm::store(ctx, realm)?;
    kit::install(ctx)?;
    events::install(ctx)?;
    abort::install(ctx)?;
    console::install(ctx)?;
    timers::install(ctx)?;
    Ok(())
}
