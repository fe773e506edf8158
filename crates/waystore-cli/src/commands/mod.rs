//! The commands that are done when they return.

pub(crate) mod cache;
pub(crate) mod check;
mod json;
pub(crate) mod prefetch;
pub(crate) mod run;
