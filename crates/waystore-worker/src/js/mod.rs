//! The JavaScript interfaces: what a script finds on its global, over the library's own types.
//!
//! [`install`] puts them onto one context; a [`Realm`] is what they need from whoever runs it.
//! Native interfaces are installed through [`idl`]; what is pure logic is JavaScript of our own, in
//! `prelude/`. Knows no service worker: the events and the global of one are in `scope/`.

#![allow(elided_lifetimes_in_paths, reason = "what `derive(JsLifetime)` makes names types without their lifetimes")]

mod abort;
mod base64;
mod blob;
mod body;
mod cache;
mod cache_storage;
mod console;
mod crypto;
mod encoding;
mod engine;
mod events;
mod exception;
mod fetch;
mod file_reader;
mod form_data;
mod header_rules;
mod headers;
mod idl;
mod kit;
mod messages;
mod mime;
mod prefetch;
mod realm;
mod request;
mod response;
pub(crate) mod scope;
mod storage;
mod streams;
mod structured_clone;
mod timers;
mod url;
mod url_pattern;
mod url_search_params;
mod values;

#[cfg(test)]
mod tests;

use std::rc::Rc;

use rquickjs::Ctx;

pub(crate) use self::{
    engine::Engine,
    exception::{Outcome, Thrown, describe},
    kit::{Kit, kit},
    realm::{Realm, Work, realm},
    request::{request_of, request_prototype},
    response::take_response,
};

/// Puts every interface onto the global of `ctx`, which is fresh, and `realm` where they find it.
pub(crate) fn install(ctx: &Ctx<'_>, realm: Rc<Realm>) -> rquickjs::Result<()> {
    realm::store(ctx, realm)?;
    kit::install(ctx)?;
    events::install(ctx)?;
    abort::install(ctx)?;
    console::install(ctx)?;
    timers::install(ctx)?;
    blob::install(ctx)?;
    url::install(ctx)?;
    url_search_params::install(ctx)?;
    url_pattern::install(ctx)?;
    encoding::install(ctx)?;
    base64::install(ctx)?;
    crypto::install(ctx)?;
    structured_clone::install(ctx)?;
    streams::install(ctx)?;
    streams::install_codecs(ctx)?;
    messages::install(ctx)?;
    form_data::install(ctx)?;
    file_reader::install(ctx)?;
    headers::install(ctx)?;
    request::install(ctx)?;
    response::install(ctx)?;
    fetch::install(ctx)?;
    cache::install(ctx)?;
    cache_storage::install(ctx)?;
    storage::install(ctx)?;
    prefetch::install(ctx)
}
