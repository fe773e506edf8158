//! How much a page may do in a second: buckets that fill with time. Pure.

/// How many seconds' worth may be spent at once.
const BURST_SECONDS: u64 = 10;

/// Something that is spent, and comes back at a rate.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    a_second: u64,
    most: u64,
    /// What is there, in thousandths.
    level: u64,
    at_ms: u64,
}

impl Bucket {
    /// A full one. However small the rate, `least` can be spent at once.
    pub(crate) fn new(a_second: u64, least: u64, now_ms: u64) -> Self {
        let most = a_second.saturating_mul(BURST_SECONDS).max(least).max(1);
        Self { a_second, most, level: most.saturating_mul(1000), at_ms: now_ms }
    }

    /// Spends `amount`, or nothing where there is less.
    pub(crate) fn spend(&mut self, amount: u64, now_ms: u64) -> bool {
        let come = now_ms.saturating_sub(self.at_ms).saturating_mul(self.a_second);
        self.at_ms = self.at_ms.max(now_ms);
        self.level = self.level.saturating_add(come).min(self.most.saturating_mul(1000));
        let Some(left) = self.level.checked_sub(amount.saturating_mul(1000)) else { return false };
        self.level = left;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_seconds_worth_can_be_spent_at_once_and_then_the_rate() {
        let mut bucket = Bucket::new(2, 0, 0);
        assert_eq!((0..30).filter(|_| bucket.spend(1, 0)).count(), 20);
        assert!(!bucket.spend(1, 499));
        assert!(bucket.spend(1, 500) && !bucket.spend(1, 500));
        assert_eq!((0..30).filter(|_| bucket.spend(1, 1_000_000)).count(), 20, "it does not fill for ever");
    }

    #[test]
    fn the_least_fits_however_small_the_rate() {
        let mut bucket = Bucket::new(1, 5000, 0);
        assert!(bucket.spend(5000, 0) && !bucket.spend(1, 0));
    }

    #[test]
    fn time_that_goes_back_gives_nothing() {
        let mut bucket = Bucket::new(1, 0, 5000);
        assert!(bucket.spend(10, 5000));
        assert!(!bucket.spend(1, 0) && !bucket.spend(1, 5999) && bucket.spend(1, 6000));
    }
}
