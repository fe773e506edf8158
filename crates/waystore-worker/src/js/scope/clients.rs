//! `clients`, the native side: what a script asks of its site's clients, and says to them.
//!
//! Knows one context. Who the clients are is behind [`ClientLink`].

use std::{rc::Rc, sync::Arc};

use futures::future::BoxFuture;
use rquickjs::{Array, Ctx, Object, Value};

use super::{
    Bridge,
    ports::{self, Ports},
};
use crate::{
    ClientInfo, ClientKind, PortMessage, SerializedValue,
    clients::{Type, Wanted},
    isolate::Source,
    js::{
        Thrown,
        idl::{native_operation, promised},
        kit,
    },
};

/// A worker's way to its clients. Calls return at once; nothing here waits for a client.
pub(crate) trait ClientLink {
    /// The client of this id, once it is there.
    fn client(&self, id: String) -> BoxFuture<'static, Option<ClientInfo>>;

    /// Those that are wanted, in the standard's order.
    fn clients(&self, wanted: Wanted) -> Vec<ClientInfo>;

    /// Whether the worker controls this client.
    fn controls(&self, id: &str) -> bool;

    /// Takes over the clients in the scope; `false` where the worker is not active.
    fn claim(&self) -> bool;

    /// Posts to a client what the version of this name and script says; dropped where the client is gone.
    fn post_to_client(&self, id: &str, source: (&str, &str), message: PortMessage);

    /// Whether a client hears broadcasts of this name.
    fn is_heard(&self, name: &str) -> bool;

    /// Tells the clients that hear this name.
    fn broadcast(&self, name: &str, data: &SerializedValue);
}

pub(super) fn install(ctx: &Ctx<'_>, bridge: &Rc<Bridge>, held: Ports) -> rquickjs::Result<()> {
    let kit = kit(ctx)?;
    let link = Arc::clone(&bridge.link);
    let get = native_operation(ctx, "get", 1, move |arguments| {
        let found = link.client(arguments.get(0).get()?);
        let ctx = arguments.ctx().clone();
        let client = async move {
            match found.await {
                Some(info) => Ok(object(&ctx, &info)?.into_value()),
                None => Ok(Value::new_undefined(ctx)),
            }
        };
        Ok(promised(arguments.ctx(), Ok(client))?)
    })?;
    kit.give("getClient", get)?;
    let link = Arc::clone(&bridge.link);
    let match_all = native_operation(ctx, "matchAll", 2, move |arguments| {
        let kind: String = arguments.get(0).get()?;
        let controlled_only = !arguments.get(1).as_bool().unwrap_or_default();
        let kind = match kind.as_str() {
            "window" => Type::Of(ClientKind::Window),
            "worker" => Type::Of(ClientKind::Worker),
            "sharedworker" => Type::Of(ClientKind::SharedWorker),
            "all" => Type::All,
            other => return Err(Thrown::type_error(format!("`{other}` is not a type of clients"))),
        };
        let list = Array::new(arguments.ctx().clone())?;
        for (place, info) in link.clients(Wanted { kind, controlled_only }).iter().enumerate() {
            list.set(place, object(arguments.ctx(), info)?)?;
        }
        Ok(list)
    })?;
    kit.give("matchClients", match_all)?;
    let link = Arc::clone(&bridge.link);
    let controls = native_operation(ctx, "controls", 1, move |arguments| {
        let id: String = arguments.get(0).get()?;
        Ok(link.controls(&id))
    })?;
    kit.give("controlsClient", controls)?;
    let link = Arc::clone(&bridge.link);
    kit.give("claimClients", native_operation(ctx, "claim", 0, move |_| Ok(link.claim()))?)?;
    let bridge = Rc::clone(bridge);
    let post = native_operation(ctx, "postMessage", 3, move |arguments| {
        let id: String = arguments.get(0).get()?;
        let (data, sent) = (ports::text(arguments, 1)?, ports::numbers(arguments, 2)?);
        let source = (bridge.version.as_str(), bridge.script.as_str());
        bridge.link.post_to_client(&id, source, PortMessage { data, ports: held.take_all(&sent) });
        Ok(())
    })?;
    kit.give("postToClient", post)
}

/// Who posted a message, as the prelude is told: a version's name, a client's parts, or `null`.
pub(super) fn source<'js>(ctx: &Ctx<'js>, source: Option<&Source>) -> rquickjs::Result<Value<'js>> {
    match source {
        None => Ok(Value::new_null(ctx.clone())),
        Some(Source::Worker(version)) => Ok(rquickjs::String::from_str(ctx.clone(), version)?.into_value()),
        Some(Source::Client(info)) => Ok(object(ctx, info)?.into_value()),
    }
}

/// The parts of a client.
fn object<'js>(ctx: &Ctx<'js>, info: &ClientInfo) -> rquickjs::Result<Object<'js>> {
    let object = Object::new(ctx.clone())?;
    object.set("id", info.id.as_str())?;
    object.set("url", info.url.as_str())?;
    object.set("type", info.kind.as_str())?;
    object.set("frameType", info.frame.as_str())?;
    object.set("visible", info.visible)?;
    object.set("focused", info.focused)?;
    Ok(object)
}
