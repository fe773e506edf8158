//! `FetchEvent.preloadResponse`: the response of a fetch that was begun before the event.
//!
//! Spec: <https://w3c.github.io/ServiceWorker/#fetch-event-preloadresponse>

use std::rc::Rc;

use rquickjs::Ctx;
use waystore::ResponseType;

use super::{Bridge, bridge::id_of};
use crate::js::{
    Thrown,
    idl::{native_operation, promised},
    kit,
    response::new_response,
};

pub(super) fn install(ctx: &Ctx<'_>, bridge: &Rc<Bridge>) -> rquickjs::Result<()> {
    let bridge = Rc::clone(bridge);
    let ask = native_operation(ctx, "askForPreload", 1, move |arguments| {
        let asked = bridge.ask_for_preload(id_of(arguments));
        let ctx = arguments.ctx().clone();
        let response = async move {
            let over = || Thrown::Dom("AbortError", "the event was over before the preload came".to_owned());
            let response = match asked {
                Some(asked) => asked.await.ok_or_else(over)??,
                None => return Err(over()),
            };
            if response.kind == ResponseType::Error {
                return Err(Thrown::type_error("the preload failed: the response is a network error"));
            }
            new_response(&ctx, response, None)
        };
        Ok(promised(arguments.ctx(), Ok(response))?)
    })?;
    kit(ctx)?.give("askForPreload", ask)
}
