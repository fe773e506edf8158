//! What a prefetch may cost at most. Values only.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Limits of a [`Prefetch`](super::Prefetch). What does not fit is left out, and its row says which limit it was.
///
/// ```
/// use waystore::prefetch::{Prefetch, PrefetchLimits};
///
/// let limits = PrefetchLimits { depth: 2, count: 50, ..PrefetchLimits::default() };
/// let plan = Prefetch::new(["/menu.json"]).with_limits(limits);
/// # assert_eq!(plan.limits.count, 50);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct PrefetchLimits {
    /// How far to follow: 0 is what was asked for alone, 1 also what that names. Default: 3.
    pub depth: u32,
    /// URLs in total, followed ones included. Default: 1,000.
    pub count: usize,
    /// Bytes of bodies in total, as they come from the network, without content coding. Default: 64 MiB.
    pub bytes: u64,
    /// Bytes of one body. Default: 16 MiB.
    pub response_bytes: u64,
    /// Bytes of a document that is searched for URLs; a longer one is stored and not searched. Default: 1 MiB.
    pub document_bytes: usize,
    /// URLs that are taken out of one document. Default: 500.
    pub document_urls: usize,
    /// Milliseconds that all of it may take. Default: 5 minutes.
    pub time_ms: u64,
    /// Milliseconds that one attempt may take, to the end of its body. Default: 30 seconds.
    pub attempt_ms: u64,
}

impl Default for PrefetchLimits {
    fn default() -> Self {
        Self {
            depth: 3,
            count: 1000,
            bytes: 64 << 20,
            response_bytes: 16 << 20,
            document_bytes: 1 << 20,
            document_urls: 500,
            time_ms: 300_000,
            attempt_ms: 30_000,
        }
    }
}

impl PrefetchLimits {
    /// The smaller of each.
    #[must_use]
    pub fn at_most(&self, other: &Self) -> Self {
        Self {
            depth: self.depth.min(other.depth),
            count: self.count.min(other.count),
            bytes: self.bytes.min(other.bytes),
            response_bytes: self.response_bytes.min(other.response_bytes),
            document_bytes: self.document_bytes.min(other.document_bytes),
            document_urls: self.document_urls.min(other.document_urls),
            time_ms: self.time_ms.min(other.time_ms),
            attempt_ms: self.attempt_ms.min(other.attempt_ms),
        }
    }

    /// How long all of it may take.
    pub fn time(&self) -> Duration {
        Duration::from_millis(self.time_ms)
    }

    /// How long one attempt may take.
    pub fn attempt_time(&self) -> Duration {
        Duration::from_millis(self.attempt_ms)
    }
}
