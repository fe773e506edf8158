//! Fetching ahead: what is wanted, as a value, and what became of it.
//!
//! A [`Prefetch`] says which URLs are to be in a cache, which further ones to pick out of the documents
//! that come, and how much all of it may cost. [`Prefetch::start`] gives a [`Running`] that fetches and
//! stores while it is polled: a stream of [`Event`]s with a [`Prefetched`] row for each URL. The plan, the
//! events, the rows and the [`Progress`] are values that serde reads and writes, in JSON as a page writes it
//! (`docs/prefetch.md`).
//!
//! Knows no network: that is the caller's [`Fetch`](crate::Fetch), which also refuses what must not be
//! reached. Not in the standard.

mod attempt;
mod events;
mod follow;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz;
mod hints;
mod json_path;
mod lanes;
mod limits;
mod links;
mod machine;
mod outcome;
mod plan;
mod policy;
mod progress;
mod run;
mod tap;

pub use self::{
    events::{Event, Summary},
    follow::{Follow, HtmlLinks, JsonPath, JsonPointer, Select, WrongRule},
    hints::{EffectiveType, Hints, WhenSaving},
    limits::PrefetchLimits,
    outcome::{Outcome, Prefetched, Reason, Source},
    plan::{MAX_CONCURRENCY, MAX_RETRIES, MAX_RULES, MAX_URLS, Prefetch, Target},
    progress::Progress,
    run::Running,
};
