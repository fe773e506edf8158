//! Prefetching: plans as values, what is fetched and stored, and what people try.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod abuse;
mod flights;
mod form;
mod http;
mod stops;
mod stores;
mod support;
