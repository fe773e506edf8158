//! The rules of the Service Workers standard, as functions from values to values.
//!
//! No I/O, no clock, no randomness, no lock, no `async`. Only this module decides what matches.

pub(crate) mod audience;
pub(crate) mod batch;
pub(crate) mod corp;
pub(crate) mod matching;
pub(crate) mod query;
pub(crate) mod url_key;
pub(crate) mod vary;

pub use self::corp::is_same_site;

/// How a look-up compares. Spec: <https://w3c.github.io/ServiceWorker/#dictdef-cachequeryoptions>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CacheQueryOptions {
    /// Compare URLs without their queries.
    pub ignore_search: bool,
    /// Look up requests of any method, not `GET` only.
    pub ignore_method: bool,
    /// Take no notice of `Vary`.
    pub ignore_vary: bool,
}
