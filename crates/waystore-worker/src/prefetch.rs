//! Prefetching for scripts: what the global `waystore` asks of the host.
//!
//! Knows no engine and no cache: plans go out, steps come back. Without a host that prefetches, scripts find no such global.

use std::fmt;

use async_trait::async_trait;
use waystore::prefetch::{Prefetch, Prefetched};

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
    /// What happened since the last call; `None` after the end. Steps may be left out, the end is not. Dropping the future loses
    /// nothing.
    async fn next(&mut self) -> Option<PrefetchStep>;
}

/// What happens to a prefetch.
#[derive(Debug, Clone, PartialEq)]
pub enum PrefetchStep {
    /// More is done.
    Progress {
        /// URLs whose outcome is known.
        done: usize,
        /// URLs known so far.
        total: usize,
        /// Bytes that came from the network.
        bytes: u64,
    },
    /// It ended: a row for each URL.
    Ended(Vec<Prefetched>),
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
