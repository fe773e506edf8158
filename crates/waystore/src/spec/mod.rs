//! The rules of the Service Workers standard, as functions from values to values.
//!
//! No I/O, no clock, no randomness, no lock, no `async`. Only this module decides what matches.

pub(crate) mod url_key;
