//! What a script asks of its registration: the native side of `registration` and `skipWaiting`.

use std::{rc::Rc, sync::Arc};

use futures::future::BoxFuture;
use rquickjs::{Ctx, Object};

use super::{
    Bridge, ClientLink,
    ports::{self, Ports},
};
use crate::{
    PortMessage,
    js::{
        Thrown,
        idl::{native_operation, promised},
        kit,
    },
    registration::Preload,
    routes::Rule,
};

/// A worker's way to its registration. Calls return at once; nothing here waits for the worker.
pub(crate) trait Link: ClientLink + Send + Sync {
    /// The worker need not wait for its turn.
    fn skip_waiting(&self);

    /// Checks for an update; ends when the install of a new version begins.
    fn update(&self) -> BoxFuture<'static, Result<(), UpdateRefused>>;

    /// Removes the registration; whether there was one.
    fn unregister(&self) -> BoxFuture<'static, bool>;

    /// The state of navigation preload.
    fn preload(&self) -> Preload;

    /// Changes it.
    fn set_preload(&self, preload: Preload);

    /// Sends what the worker posts to the one of this version; dropped where that is gone.
    fn post(&self, version: String, message: PortMessage);

    /// Adds static routes to the worker; or says which rule they break.
    fn add_routes(&self, rules: Vec<Rule>) -> Result<(), String>;
}

/// Why a script cannot have its registration updated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UpdateRefused {
    /// An `InvalidStateError`.
    State(String),
    /// A `SecurityError`.
    Security(String),
    /// A `TypeError`.
    Failed(String),
}

pub(super) fn install(ctx: &Ctx<'_>, bridge: &Rc<Bridge>, held: Ports) -> rquickjs::Result<()> {
    let kit = kit(ctx)?;
    let link = Arc::clone(&bridge.link);
    let skip = native_operation(ctx, "skipWaiting", 0, move |_| {
        link.skip_waiting();
        Ok(())
    })?;
    kit.give("skipWaiting", skip)?;
    let link = Arc::clone(&bridge.link);
    let post = native_operation(ctx, "postMessage", 3, move |arguments| {
        let (data, sent) = (ports::text(arguments, 1)?, ports::numbers(arguments, 2)?);
        link.post(arguments.get(0).get()?, PortMessage { data, ports: held.take_all(&sent) });
        Ok(())
    })?;
    kit.give("postMessage", post)?;
    let link = Arc::clone(&bridge.link);
    let update = native_operation(ctx, "update", 0, move |arguments| {
        let updated = link.update();
        let update = async move {
            let updated = updated.await;
            // The slots were told before; the loop gets its turn to show them.
            tokio::task::yield_now().await;
            updated.map_err(|refused| match refused {
                UpdateRefused::State(words) => Thrown::Dom("InvalidStateError", words),
                UpdateRefused::Security(words) => Thrown::Dom("SecurityError", words),
                UpdateRefused::Failed(words) => Thrown::Type(words),
            })
        };
        Ok(promised(arguments.ctx(), Ok(update))?)
    })?;
    kit.give("updateRegistration", update)?;
    let link = Arc::clone(&bridge.link);
    let unregister = native_operation(ctx, "unregister", 0, move |arguments| {
        let unregistered = link.unregister();
        Ok(promised(arguments.ctx(), Ok(async move { Ok(unregistered.await) }))?)
    })?;
    kit.give("unregisterRegistration", unregister)?;
    let link = Arc::clone(&bridge.link);
    let get = native_operation(ctx, "getState", 0, move |arguments| {
        let Preload { enabled, header_value } = link.preload();
        let state = Object::new(arguments.ctx().clone())?;
        state.set("enabled", enabled)?;
        state.set("headerValue", header_value)?;
        Ok(state)
    })?;
    kit.give("getPreload", get)?;
    let link = Arc::clone(&bridge.link);
    let set = native_operation(ctx, "setState", 2, move |arguments| {
        let enabled = arguments.get(0).as_bool().unwrap_or_default();
        link.set_preload(Preload { enabled, header_value: arguments.get(1).get()? });
        Ok(())
    })?;
    kit.give("setPreload", set)
}
