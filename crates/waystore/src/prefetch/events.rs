//! What is told while a prefetch runs. Values only.

use serde::{Deserialize, Serialize};

use super::{Outcome, Prefetched};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Event {
    /// URLs that were asked for wait to be fetched. Comes first, once.
    Queued {
        /// Their number.
        urls: usize,
    },
    /// An attempt began.
    Started {
        /// The URL.
        url: String,
        /// 1 for the first one.
        attempt: u32,
    },
    /// More is done, or more bytes came.
    Progress {
        /// URLs whose outcome is known.
        done: usize,
        /// URLs known so far.
        total: usize,
        /// Bytes that came from the network.
        bytes: u64,
    },
    /// A required URL failed and will be tried again.
    Retrying {
        /// The URL.
        url: String,
        /// What went wrong.
        detail: String,
        /// How long it waits, in milliseconds.
        after_ms: u64,
    },
    /// A document named URLs that are new; they wait to be fetched.
    Followed {
        /// The document.
        url: String,
        /// The number of new URLs.
        urls: usize,
    },
    /// It is fetched and stored.
    Stored(Prefetched),
    /// It was left out, or was in the cache already: the row says which.
    Skipped(Prefetched),
    /// It could not be had, or all was aborted before it was done.
    Failed(Prefetched),
    /// Nothing is left to do. Comes last, once.
    Ended(Summary),
}

/// The whole in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// URLs in total.
    pub total: usize,
    /// Fetched and stored.
    pub stored: usize,
    /// In the cache already.
    pub cached: usize,
    /// Left out.
    pub skipped: usize,
    /// Could not be had.
    pub failed: usize,
    /// Aborted before they were done.
    pub aborted: usize,
    /// URLs that were followed, among the total.
    pub followed: usize,
    /// Bytes that came from the network.
    pub bytes: u64,
    /// Required URLs that are not in the cache now because of this: failed, left out or aborted.
    pub missing: usize,
    /// Milliseconds from the start to the end.
    pub elapsed_ms: u64,
}

impl Summary {
    /// Whether everything that is required is in the cache.
    pub fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// Counts one URL in.
    pub(super) fn count(&mut self, outcome: Option<Outcome>, required: bool, followed: bool) {
        self.total += 1;
        self.followed += usize::from(followed);
        match outcome {
            Some(Outcome::Stored) => self.stored += 1,
            Some(Outcome::Cached) => self.cached += 1,
            Some(Outcome::Skipped) => self.skipped += 1,
            Some(Outcome::Failed) => self.failed += 1,
            Some(Outcome::Aborted) => self.aborted += 1,
            None => {}
        }
        let in_cache = matches!(outcome, Some(Outcome::Stored | Outcome::Cached));
        self.missing += usize::from(required && !in_cache);
    }
}
