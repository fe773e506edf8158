//! The control socket: how other commands reach the gateway that holds a data directory.
//!
//! HTTP/1.1 on a Unix socket. Whoever may open the data directory may command its gateway.

mod caches;
pub(crate) mod client;
pub(crate) mod command;
mod place;
pub(crate) mod server;
mod table;
