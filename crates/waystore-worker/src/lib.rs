//! Runs one site's own service worker script, outside the browser.
//!
//! A [`Site`] is one registration of one origin: it fetches the script, installs and activates its
//! versions, keeps them in the store, and turns requests into `fetch` events. Between a site and its
//! host pass only owned values: heads, ids and bodies. This crate opens no socket and no file: the
//! network, and the script's bytes, come from the host's [`Fetch`](waystore::Fetch).

mod event;
mod limits;

pub use self::{
    event::{ConsoleLevel, ConsoleLine, FallbackReason, FetchEvent, FetchOutcome, MessageEvent},
    limits::Limits,
};
