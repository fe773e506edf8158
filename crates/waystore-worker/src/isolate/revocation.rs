//! Whether an isolate has to stop: waited for by few, and asked with every call of a native function.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// Told once that an isolate has to stop. Clones are told together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Revocation {
    /// What the token says, without its lock.
    told: Arc<AtomicBool>,
    token: CancellationToken,
}

impl Revocation {
    /// Tells.
    pub(crate) fn cancel(&self) {
        self.told.store(true, Ordering::Release);
        self.token.cancel();
    }

    /// Whether it was told.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.told.load(Ordering::Acquire)
    }

    /// Waits until it is told.
    pub(crate) fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_and_who_asks_are_told_together() {
        let revocation = Revocation::default();
        assert!(!revocation.is_cancelled());
        revocation.clone().cancel();
        assert!(revocation.is_cancelled());
        revocation.cancelled().await;
    }
}
