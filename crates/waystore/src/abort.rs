//! A signal that somebody no longer wants an answer.
//!
//! Spec: <https://dom.spec.whatwg.org/#aborting-ongoing-activities>. The reason, which may be any
//! value of a script, stays with the script.

use tokio_util::sync::CancellationToken;

/// Tells whether, and when, a request was aborted. Clones are the same signal.
///
/// ```
/// use waystore::AbortSignal;
///
/// let signal = AbortSignal::new();
/// signal.clone().abort();
/// assert!(signal.aborted());
/// ```
#[derive(Debug, Clone, Default)]
pub struct AbortSignal(CancellationToken);

impl AbortSignal {
    /// A signal that nobody has aborted.
    pub fn new() -> Self {
        Self::default()
    }

    /// A signal that is aborted with this one, and can be aborted alone.
    #[must_use]
    pub fn dependent(&self) -> Self {
        Self(self.0.child_token())
    }

    /// Aborts; the first call counts.
    pub fn abort(&self) {
        self.0.cancel();
    }

    /// Whether it was aborted.
    pub fn aborted(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until it is aborted.
    pub async fn wait(&self) {
        self.0.cancelled().await;
    }
}
