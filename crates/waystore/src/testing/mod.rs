//! The conformance suite that every store runs.
//!
//! A case is an async function that is given a fresh [`Waystore`] and panics where a rule does not
//! hold; its name is the sentence that is true, with the numbers of the examples it shows. Who
//! writes a store runs all [`cases`] over it, and [`durable_cases`] if it survives the process.

mod add;
mod batch;
mod buckets;
mod budget;
mod contract;
mod corp;
mod doomed;
mod durable;
mod entries;
mod evict;
mod flight;
mod held;
mod kept;
mod matching;
mod padding;
mod put;
mod quota;
mod reading;
mod recorded;
mod several;
mod storage;
mod support;
mod transfer;

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;

use crate::Waystore;

pub use self::support::Canned;

/// A case of the suite, to be run on a fresh store.
#[derive(Clone, Copy)]
pub struct Case {
    /// The sentence that is true when it passes.
    pub name: &'static str,
    /// Runs it; panics where it fails.
    pub run: fn(Waystore) -> BoxFuture<'static, ()>,
}

/// A case that closes the store and opens it again.
#[derive(Clone, Copy)]
pub struct DurableCase {
    /// The sentence that is true when it passes.
    pub name: &'static str,
    /// Runs it; panics where it fails.
    pub run: fn(Arc<dyn Reopen>) -> BoxFuture<'static, ()>,
}

/// A place that holds one store, opened again and again.
pub trait Reopen: Send + Sync {
    /// Opens the store. The one opened before was dropped.
    fn open(&self) -> BoxFuture<'static, Waystore>;
}

/// All cases for any store.
pub fn cases() -> Vec<Case> {
    [
        storage::CASES,
        matching::CASES,
        put::CASES,
        add::CASES,
        reading::CASES,
        batch::CASES,
        kept::CASES,
        doomed::CASES,
        contract::CASES,
        corp::CASES,
        entries::CASES,
        several::CASES,
        quota::CASES,
        padding::CASES,
        evict::CASES,
        buckets::CASES,
        budget::CASES,
        recorded::CASES,
        flight::CASES,
        transfer::CASES,
    ]
    .concat()
}

/// All cases for a store that survives the process.
pub fn durable_cases() -> Vec<DurableCase> {
    durable::CASES.to_vec()
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for DurableCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Lists the functions of a file as its cases.
macro_rules! case_list {
    ($kind:ident: $($name:ident),+ $(,)?) => {
        pub(super) const CASES: &[super::$kind] = &[$(super::$kind {
            name: stringify!($name),
            run: |store| Box::pin($name(store)),
        },)+];
    };
}
use case_list;
