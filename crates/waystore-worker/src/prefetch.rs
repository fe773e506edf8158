//! Prefetching for scripts: what the global `waystore` asks of the host.
//!
//! Knows no engine and no cache: plans go out, steps come back. Without a host that prefetches, scripts find no such global.

use std::fmt;

use async_trait::async_trait;
use waystore::prefetch::{Event, Prefetch, Prefetched, Summary};

/// Runs prefetches for scripts.
pub trait Prefetcher: fmt::Debug + Send + Sync {
    /// Begins to carry out `plan`, in the caches of the script's origin. Called on a thread that runs script: it does not wait.
    ///
    /// # Errors
    ///
    /// Nothing was begun, and why.
    fn start(&self, plan: Prefetch) -> Result<Box<dyn PrefetchJob>, PrefetchRefused>;
}

/// A prefetch that was begun. Dropping it aborts it, unless its plan is durable.
#[async_trait]
pub trait PrefetchJob: fmt::Debug + Send {
    /// What happens next. Events may be left out; the end is not, comes last, and nobody asks after it. Dropping the
    /// future loses nothing.
    async fn next(&mut self) -> PrefetchStep;
}

/// What happens to a prefetch.
#[derive(Debug, Clone, PartialEq)]
pub enum PrefetchStep {
    /// Something happened, which is not the end.
    Event(Box<Event>),
    /// It ended.
    Ended {
        /// What became of each URL: those that were asked for in the order asked, then those that were followed.
        rows: Vec<Prefetched>,
        /// The same in numbers.
        summary: Summary,
    },
    /// It ended without having been carried out, in words.
    Failed(String),
}

/// Why a prefetch was not begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrefetchRefused {
    /// The plan cannot be carried out: the same call always fails.
    #[error("{reason}")]
    Plan {
        /// What is wrong with it.
        reason: String,
    },
    /// There are too many; trying again later may work.
    #[error("{reason}")]
    Busy {
        /// How many there are.
        reason: String,
    },
}
