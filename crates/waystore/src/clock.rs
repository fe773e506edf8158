//! Time and randomness, from one place, so that a failing run is repeated from its seed.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::store::OpId;

/// The only source of time and randomness.
#[derive(Debug)]
pub struct Clock {
    time: Time,
    random: Mutex<StdRng>,
}

#[derive(Debug)]
enum Time {
    System,
    Fixed(AtomicU64),
}

impl Clock {
    /// The machine's time, and randomness nobody can guess.
    pub fn system() -> Self {
        Self { time: Time::System, random: Mutex::new(StdRng::from_os_rng()) }
    }

    /// Time that stands still at `now_ms` until it is [advanced](Self::advance), and the randomness of `seed`: for tests.
    pub fn fixed(now_ms: u64, seed: u64) -> Self {
        Self { time: Time::Fixed(AtomicU64::new(now_ms)), random: Mutex::new(StdRng::seed_from_u64(seed)) }
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        match &self.time {
            Time::Fixed(now) => now.load(Ordering::Acquire),
            Time::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
            }
        }
    }

    /// Sets the time where it stands still; the machine's time is not touched.
    pub fn set(&self, now_ms: u64) {
        if let Time::Fixed(now) = &self.time {
            now.store(now_ms, Ordering::Release);
        }
    }

    /// The same a few milliseconds old at most, for a fraction of the cost where the system has such a clock.
    pub(crate) fn about_now_ms(&self) -> u64 {
        #[cfg(target_os = "linux")]
        if matches!(self.time, Time::System) {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
            let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
            return seconds
                .saturating_mul(1000)
                .saturating_add(u64::try_from(now.tv_nsec).unwrap_or_default() / 1_000_000);
        }
        self.now_ms()
    }

    /// Lets the time of a [`fixed`](Self::fixed) clock go on by `milliseconds`; the machine's goes on by itself.
    ///
    /// ```
    /// let clock = waystore::Clock::fixed(1_000, 7);
    /// clock.advance(500);
    /// assert_eq!(clock.now_ms(), 1_500);
    /// ```
    pub fn advance(&self, milliseconds: u64) {
        if let Time::Fixed(now) = &self.time {
            now.fetch_add(milliseconds, Ordering::AcqRel);
        }
    }

    /// 128 random bits.
    pub fn random(&self) -> u128 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).random()
    }

    /// The name of a new operation.
    pub fn op_id(&self) -> OpId {
        OpId(self.random())
    }
}
