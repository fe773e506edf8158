//! How long a thread has been in script without a pause, seen from inside and from outside.
//!
//! The engine's interrupt asks [`Pulse::is_over`]; the watchdog outside asks [`Pulse::slice`], because
//! some built-ins of the engine never ask. Knows no engine.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// Abandoned threads that are still stuck, in this process.
static ABANDONED: AtomicUsize = AtomicUsize::new(0);
/// The most there may be.
pub(crate) const ABANDONED_MOST: usize = 4;

/// The clock of one isolate's slices of script.
#[derive(Debug)]
pub(crate) struct Pulse {
    base: Instant,
    /// When the slice under way began, in microseconds after `base`, plus one; 0 between slices.
    began: AtomicU64,
    limit: Duration,
    tripped: AtomicBool,
}

impl Pulse {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { base: Instant::now(), began: AtomicU64::new(0), limit, tripped: AtomicBool::new(false) }
    }

    /// A slice begins, in the place of the one before.
    pub(crate) fn begin(&self) {
        self.begin_at(Instant::now());
    }

    /// The same, for who knows the time.
    pub(crate) fn begin_at(&self, now: Instant) {
        let now = now.saturating_duration_since(self.base).as_micros();
        self.began.store(u64::try_from(now).unwrap_or(u64::MAX - 1) + 1, Ordering::Relaxed);
    }

    /// The slice ended: the thread waits.
    pub(crate) fn end(&self) {
        self.began.store(0, Ordering::Relaxed);
    }

    /// When the slice under way began: another value for another slice.
    pub(crate) fn began(&self) -> Option<u64> {
        self.began.load(Ordering::Relaxed).checked_sub(1)
    }

    /// How long the slice under way has lasted.
    pub(crate) fn slice(&self) -> Option<Duration> {
        let began = self.began()?;
        Some(self.base.elapsed().saturating_sub(Duration::from_micros(began)))
    }

    /// Whether the slice is over its limit; from then on the isolate counts as misbehaving.
    pub(crate) fn is_over(&self) -> bool {
        if self.slice().is_some_and(|slice| slice > self.limit) {
            self.tripped.store(true, Ordering::Relaxed);
        }
        self.tripped()
    }

    /// Whether a slice was over its limit.
    pub(crate) fn tripped(&self) -> bool {
        self.tripped.load(Ordering::Relaxed)
    }

    /// Whether the thread does not answer the interrupt: nothing in it will end the slice.
    pub(crate) fn is_stuck(&self) -> bool {
        self.slice().is_some_and(|slice| slice > self.limit + self.grace())
    }

    /// How long the interrupt may take to work.
    pub(crate) fn grace(&self) -> Duration {
        (self.limit / 2).clamp(Duration::from_millis(200), Duration::from_secs(2))
    }
}

/// Counts a thread that was given up, for as long as it exists.
#[derive(Debug)]
pub(crate) struct Abandoned(());

impl Abandoned {
    pub(crate) fn count() -> Self {
        ABANDONED.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        ABANDONED.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether so many threads are stuck that no more isolate is started.
pub(crate) fn too_many_abandoned() -> bool {
    ABANDONED.load(Ordering::SeqCst) >= ABANDONED_MOST
}
