//! How often an entry was used, and when last.
//!
//! Counted in memory, without a lock; who keeps the numbers beyond that is the store.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The bits that count, below those of the minute.
const HIT_BITS: u32 = 32;
/// Hits are counted up to this; what is left above is for those who count at the same instant.
const MOST_HITS: u64 = u32::MAX as u64 - (1 << 16);
const MINUTE_MS: u64 = 60_000;

/// The uses of one entry, as its store counts them; by default they are not counted.
///
/// A store that counts gives each [`Candidate`](super::Candidate) the counter of its entry, and a look-up that
/// answers with a candidate notes that there. Clones share the counter, also when the entry is gone. Uses are for
/// telling what is worth keeping: a store may lose some when the process ends.
#[derive(Debug, Clone, Default)]
pub struct Uses(Option<(Arc<[AtomicU64]>, u32)>);

impl Uses {
    /// The counter of an entry that nobody used yet.
    pub fn counted() -> Self {
        Self(Some((Arc::new([AtomicU64::new(0)]), 0)))
    }

    /// Notes a use at `now_ms`, in milliseconds since 1970.
    pub fn note(&self, now_ms: u64) {
        let Some(counter) = self.counter() else { return };
        let minute = (now_ms / MINUTE_MS).min(u32::MAX.into());
        let seen = counter.load(Ordering::Relaxed);
        if seen >> HIT_BITS >= minute {
            if seen & u64::from(u32::MAX) < MOST_HITS {
                counter.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        // Once a minute. Whoever is first moves the minute on; nobody's hit is lost.
        let later = |seen: u64| {
            let hits = (seen & u64::from(u32::MAX)).min(MOST_HITS);
            Some(minute.max(seen >> HIT_BITS) << HIT_BITS | (hits + 1))
        };
        let _ = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }

    /// How often the entry was used.
    pub fn hits(&self) -> u64 {
        self.packed() & u64::from(u32::MAX)
    }

    /// When the entry was last used, in milliseconds since 1970, to the minute. `None`: never, or nobody knows.
    pub fn last_used_ms(&self) -> Option<u64> {
        let minute = self.packed() >> HIT_BITS;
        (minute > 0).then_some(minute * MINUTE_MS)
    }

    /// The counter `index` of several that are kept together.
    pub(crate) fn one_of(counters: &Arc<[AtomicU64]>, index: u32) -> Self {
        Self(Some((Arc::clone(counters), index)))
    }

    fn counter(&self) -> Option<&AtomicU64> {
        let (counters, index) = self.0.as_ref()?;
        counters.get(*index as usize)
    }

    fn packed(&self) -> u64 {
        self.counter().map_or(0, |counter| counter.load(Ordering::Relaxed))
    }
}

/// The minute of a time in milliseconds since 1970.
pub(crate) fn minute_of(ms: u64) -> u32 {
    u32::try_from(ms / MINUTE_MS).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_counts_and_moves_the_minute_only_forward() {
        let uses = Uses::counted();
        assert_eq!((uses.hits(), uses.last_used_ms()), (0, None));
        uses.note(10 * MINUTE_MS + 59_999);
        uses.note(10 * MINUTE_MS);
        assert_eq!((uses.hits(), uses.last_used_ms()), (2, Some(10 * MINUTE_MS)));
        let same = uses.clone();
        uses.note(12 * MINUTE_MS);
        same.note(11 * MINUTE_MS);
        assert_eq!((same.hits(), same.last_used_ms()), (4, Some(12 * MINUTE_MS)));
        assert_eq!(uses.hits(), 4);
    }

    #[test]
    fn hits_stop_where_they_would_run_into_the_minute() {
        let full = (5 << HIT_BITS) | MOST_HITS;
        let uses = Uses(Some((Arc::new([AtomicU64::new(full)]), 0)));
        uses.note(5 * MINUTE_MS);
        assert_eq!((uses.hits(), uses.last_used_ms()), (MOST_HITS, Some(5 * MINUTE_MS)));
        uses.note(6 * MINUTE_MS);
        uses.note(7 * MINUTE_MS);
        assert_eq!((uses.hits(), uses.last_used_ms()), (MOST_HITS + 1, Some(7 * MINUTE_MS)));
    }

    #[test]
    fn uses_that_are_not_counted_are_none() {
        let uses = Uses::default();
        uses.note(MINUTE_MS);
        assert_eq!((uses.hits(), uses.last_used_ms()), (0, None));
    }
}
