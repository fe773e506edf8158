//! What stored things are charged, and the books of who uses how much.
//!
//! The figures are the same in every store, whatever it takes to keep the bytes: what two entries
//! share is charged to both, so that nobody can tell who else stored it. A store keeps a [`Ledger`]
//! beside its lists, under the same lock, and asks it before it commits.

use std::{
    ops::{AddAssign, SubAssign},
    sync::Arc,
};

use hashbrown::HashMap;

use super::Entry;
use crate::{CacheName, Error, Limits, Place, Result, StorageKey, key::DEFAULT_BUCKET};

/// What every entry and every name is charged beside its bytes.
const OVERHEAD: u64 = 256;
/// Padding comes in steps of this, and so does what is padded.
const PADDING_STEP: u64 = 64 * 1024;

/// An amount of storage in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bodies, heads and a fixed amount for each entry and name.
    pub real: u64,
    /// The same with the padding of opaque entries: what counts towards a quota, and all that may be
    /// shown to script.
    pub padded: u64,
}

impl Usage {
    /// What an entry with a body of `body_length` bytes is charged.
    pub fn of_entry(entry: &Entry, body_length: u64) -> Self {
        Self::of_parts(entry.as_bytes().len() as u64, body_length, entry.padding())
    }

    /// What an entry is charged: its encoded heads, its body, its padding.
    pub(crate) fn of_parts(entry_length: u64, body_length: u64, padding: u8) -> Self {
        let real = body_length.saturating_add(entry_length).saturating_add(OVERHEAD);
        let padded = match u64::from(padding).checked_sub(1) {
            // Whole steps only: what is added must not show the last digits of what it is added to.
            Some(steps) => real.div_ceil(PADDING_STEP).saturating_add(steps).saturating_mul(PADDING_STEP),
            None => real,
        };
        Self { real, padded }
    }

    /// What a name is charged while it is bound.
    pub fn of_name(name: &CacheName) -> Self {
        let real = OVERHEAD + name.as_wtf8().len() as u64;
        Self { real, padded: real }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, more: Self) {
        self.real = self.real.saturating_add(more.real);
        self.padded = self.padded.saturating_add(more.padded);
    }
}

impl SubAssign for Usage {
    fn sub_assign(&mut self, less: Self) {
        self.real = self.real.saturating_sub(less.real);
        self.padded = self.padded.saturating_sub(less.padded);
    }
}

impl std::iter::Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}

/// By how much a commit grows and shrinks what is used, where: for whoever writes a store.
///
/// ```
/// use waystore::{Bottle, Place, StorageKey, store::{Growth, Ledger, Usage}};
///
/// let place = Place::new(StorageKey::new("https://shop.example")?, Bottle::Caches);
/// let mut growth = Growth::default();
/// growth.grow(&place, Usage { real: 500, padded: 500 });
/// assert!(Ledger::new(Some(400)).check(&place.key, &growth).is_err());
/// growth.shrink(&place, Usage { real: 100, padded: 100 });
/// assert!(Ledger::new(Some(400)).check(&place.key, &growth).is_ok());
/// # Ok::<(), waystore::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Growth {
    all: Both,
    /// Of buckets that have a name.
    buckets: Vec<(Arc<str>, Both)>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Both {
    grows: Usage,
    shrinks: Usage,
}

impl Both {
    fn growth(self) -> u64 {
        self.grows.padded.saturating_sub(self.shrinks.padded)
    }
}

impl Growth {
    /// In `place`, this comes.
    pub fn grow(&mut self, place: &Place, usage: Usage) {
        self.each(place, |both| both.grows += usage);
    }

    /// In `place`, this goes.
    pub fn shrink(&mut self, place: &Place, usage: Usage) {
        self.each(place, |both| both.shrinks += usage);
    }

    fn each(&mut self, place: &Place, mut note: impl FnMut(&mut Both)) {
        note(&mut self.all);
        if &*place.bucket == DEFAULT_BUCKET {
            return;
        }
        match self.buckets.iter_mut().find(|(bucket, _)| *bucket == place.bucket) {
            Some((_, both)) => note(both),
            None => {
                let mut both = Both::default();
                note(&mut both);
                self.buckets.push((Arc::clone(&place.bucket), both));
            }
        }
    }
}

/// Who uses how much, and how much they may: for whoever writes a store.
#[derive(Debug, Default)]
pub struct Ledger {
    keys: HashMap<StorageKey, Usage>,
    /// What is in buckets that have a name; the rest of a key's is in its default one.
    buckets: HashMap<(StorageKey, Arc<str>), Usage>,
    /// What they may hold, where that is limited.
    bucket_limits: HashMap<(StorageKey, Arc<str>), u64>,
    total: Usage,
    limits: Limits,
    default_per_key: Option<u64>,
}

impl Ledger {
    /// Empty books, with a quota for keys where none is configured.
    pub fn new(default_per_key: Option<u64>) -> Self {
        let mut ledger = Self { default_per_key, ..Self::default() };
        ledger.set_limits(Limits::default());
        ledger
    }

    /// Sets the quota for keys where none is configured.
    pub(crate) fn set_default_per_key(&mut self, default_per_key: Option<u64>) {
        self.default_per_key = default_per_key;
        self.set_limits(Limits::default());
    }

    /// Checks whether `key` and its buckets may grow and shrink by `growth` at once. What does not grow
    /// is always allowed.
    ///
    /// # Errors
    ///
    /// [`Error::QuotaExceeded`]: it may not.
    pub fn check(&self, key: &StorageKey, growth: &Growth) -> Result<()> {
        for (bucket, both) in growth.buckets.iter().filter(|(_, both)| both.growth() > 0) {
            let of_bucket = (key.clone(), Arc::clone(bucket));
            let used = self.buckets.get(&of_bucket).copied().unwrap_or_default().padded;
            fits(used, both.growth(), self.bucket_limits.get(&of_bucket).copied())?;
        }
        let growth = growth.all.growth();
        if growth == 0 {
            return Ok(());
        }
        fits(self.usage(Some(key)).padded, growth, self.limits.of_key(key))?;
        fits(self.total.padded, growth, self.limits.total_bytes)
    }

    /// Sets what a bucket of `key` may hold from now on; `None`: as much as its key.
    pub fn set_bucket_limit(&mut self, key: &StorageKey, bucket: &str, bytes: Option<u64>) {
        let of_bucket = (key.clone(), bucket.into());
        match bytes {
            Some(bytes) => drop(self.bucket_limits.insert(of_bucket, bytes)),
            None => drop(self.bucket_limits.remove(&of_bucket)),
        }
    }

    /// Charges the key and bucket of `place`.
    pub fn charge(&mut self, place: &Place, usage: Usage) {
        if usage == Usage::default() {
            return;
        }
        self.total += usage;
        match self.keys.get_mut(&place.key) {
            Some(of_key) => *of_key += usage,
            None => drop(self.keys.insert(place.key.clone(), usage)),
        }
        if &*place.bucket != DEFAULT_BUCKET {
            *self.buckets.entry((place.key.clone(), Arc::clone(&place.bucket))).or_default() += usage;
        }
    }

    /// Takes back what `place` was charged.
    pub fn discharge(&mut self, place: &Place, usage: Usage) {
        if usage == Usage::default() {
            return;
        }
        self.total -= usage;
        if let Some(of_key) = self.keys.get_mut(&place.key) {
            *of_key -= usage;
            if *of_key == Usage::default() {
                self.keys.remove(&place.key);
            }
        }
        if &*place.bucket == DEFAULT_BUCKET {
            return;
        }
        let bucket = (place.key.clone(), Arc::clone(&place.bucket));
        if let Some(of_bucket) = self.buckets.get_mut(&bucket) {
            *of_bucket -= usage;
            if *of_bucket == Usage::default() {
                self.buckets.remove(&bucket);
            }
        }
    }

    /// What a bucket of `key` uses, the default one excepted.
    pub fn bucket_usage(&self, key: &StorageKey, bucket: &str) -> Usage {
        self.buckets.get(&(key.clone(), bucket.into())).copied().unwrap_or_default()
    }

    /// What `key` uses, or all keys together.
    pub fn usage(&self, key: Option<&StorageKey>) -> Usage {
        key.map_or(self.total, |key| self.keys.get(key).copied().unwrap_or_default())
    }

    /// Sets how much may be used; for keys without a limit the default stays.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = Limits { per_key_bytes: limits.per_key_bytes.or(self.default_per_key), ..limits };
    }

    /// How much may be used.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// Checks whether `growth` fits on top of `used`.
pub(crate) fn fits(used: u64, growth: u64, quota: Option<u64>) -> Result<()> {
    let requested = used.saturating_add(growth);
    match quota {
        Some(quota) if requested > quota => {
            Err(Error::QuotaExceeded { requested: Some(requested), quota: Some(quota) })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_hides_the_length_below_a_step_and_leaves_the_real_usage() {
        let lengths = [0, 1, 5_000, 60_000];
        let padded = lengths.map(|length| Usage::of_parts(300, length, 3).padded);
        assert_eq!(padded, [3 * PADDING_STEP; 4]);
        assert_eq!(Usage::of_parts(300, 1000, 3).real, 1556);
        assert_eq!(Usage::of_parts(300, 1000, 0), Usage { real: 1556, padded: 1556 });
    }

    #[test]
    fn the_books_forget_who_uses_nothing() {
        let mut ledger = Ledger::new(None);
        let key = StorageKey::new("https://a.test").unwrap();
        let usage = Usage { real: 5, padded: 7 };
        let mut place = Place::new(key.clone(), crate::Bottle::Caches);
        for bucket in [DEFAULT_BUCKET, "named"] {
            place.bucket = bucket.into();
            ledger.charge(&place, usage);
            assert_eq!((ledger.usage(Some(&key)), ledger.usage(None)), (usage, usage));
            assert_eq!(ledger.bucket_usage(&key, "named") == usage, bucket == "named");
            ledger.discharge(&place, usage);
            assert_eq!((ledger.usage(None), ledger.keys.len(), ledger.buckets.len()), (Usage::default(), 0, 0));
        }
    }

    fn growth(place: &Place, grows: u64, shrinks: u64) -> Growth {
        let one = |bytes| Usage { real: bytes, padded: bytes };
        let mut growth = Growth::default();
        growth.grow(place, one(grows));
        growth.shrink(place, one(shrinks));
        growth
    }

    #[test]
    fn a_bucket_keeps_to_its_limit_whatever_its_key_may_hold() {
        let mut ledger = Ledger::new(None);
        let key = StorageKey::new("https://a.test").unwrap();
        let place = Place { bucket: "named".into(), ..Place::new(key.clone(), crate::Bottle::Caches) };
        ledger.set_bucket_limit(&key, "named", Some(100));
        ledger.charge(&place, Usage { real: 60, padded: 60 });
        let check = |ledger: &Ledger, grows, shrinks| ledger.check(&key, &growth(&place, grows, shrinks)).is_ok();
        assert!(check(&ledger, 40, 0) && !check(&ledger, 41, 0) && check(&ledger, 91, 51));
        let other = Place { bucket: "other".into(), ..place.clone() };
        assert!(ledger.check(&key, &growth(&other, 1000, 0)).is_ok());
        ledger.set_bucket_limit(&key, "named", None);
        assert!(check(&ledger, 1000, 0));
    }

    #[test]
    fn a_default_holds_until_something_is_configured_in_its_place() {
        let key = StorageKey::new("https://a.test").unwrap();
        let mut ledger = Ledger::new(Some(100));
        let place = Place::new(key.clone(), crate::Bottle::Caches);
        let by = |grows, shrinks| growth(&place, grows, shrinks);
        assert!(ledger.check(&key, &by(101, 0)).is_err() && ledger.check(&key, &by(101, 1)).is_ok());
        ledger.set_limits(Limits::default().per_key(200));
        assert!(ledger.check(&key, &by(101, 0)).is_ok());
        ledger.set_limits(Limits::default().key(key.clone(), 50).total(1000));
        assert!(ledger.check(&key, &by(51, 0)).is_err());
        ledger.set_limits(Limits::default());
        assert_eq!(ledger.limits().of_key(&key), Some(100));
    }
}
