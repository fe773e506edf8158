//! How much may be stored, and what callers are told of it.
//!
//! The limits are kept by the store, which checks them inside every commit; what is charged is in
//! `store/usage.rs`. Here are also the reservations: room that bodies take up while they stream,
//! before anything is committed.
//!
//! Spec: <https://storage.spec.whatwg.org/#usage-and-quota>

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    Result, StorageKey,
    store::{Store, fits},
};

/// The largest number that script counts exactly: the quota where there is no limit.
pub(crate) const NO_LIMIT: u64 = (1 << 53) - 1;

/// How much may be used, in bytes. What is over a limit already stays and can be read and deleted;
/// only growth fails.
///
/// ```
/// use waystore::{Error, Limits, Response, Waystore};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let store = Waystore::in_memory();
/// store.set_limits(Limits::default().per_key(1 << 20));
/// let cache = store.caches("https://shop.example")?.open("v1").await?;
/// let refused = cache.put("/video", Response::new(vec![0; 2 << 20])).await;
/// assert!(matches!(refused, Err(Error::QuotaExceeded { quota: Some(0x10_0000), .. })));
/// # Ok::<(), waystore::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// For each storage key; `None`: the store's own default, which is half of the volume on disk,
    /// however much of it is free, and no limit in memory.
    pub per_key_bytes: Option<u64>,
    /// For all together.
    pub total_bytes: Option<u64>,
    /// For some keys, in place of the limit for each.
    pub keys: BTreeMap<StorageKey, u64>,
}

impl Limits {
    /// With this limit for each storage key.
    #[must_use]
    pub fn per_key(self, bytes: u64) -> Self {
        Self { per_key_bytes: Some(bytes), ..self }
    }

    /// With this limit for all together.
    #[must_use]
    pub fn total(self, bytes: u64) -> Self {
        Self { total_bytes: Some(bytes), ..self }
    }

    /// With this limit for `key`.
    #[must_use]
    pub fn key(mut self, key: StorageKey, bytes: u64) -> Self {
        self.keys.insert(key, bytes);
        self
    }

    /// The limit for `key`.
    pub fn of_key(&self, key: &StorageKey) -> Option<u64> {
        self.keys.get(key).copied().or(self.per_key_bytes)
    }
}

/// How much an origin uses and may use: see [`CacheStorage::estimate`](crate::CacheStorage::estimate).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// What is used, in bytes, with the padding of opaque responses: the figure for script, and the
    /// one that is held against the quota.
    pub usage_bytes: u64,
    /// What is used without padding. Not for script: it tells the lengths of what is opaque.
    pub real_bytes: u64,
    /// How much may be used.
    pub quota_bytes: u64,
}

/// Room taken by bodies that stream and are not committed yet.
#[derive(Debug, Default)]
pub(crate) struct Reservations(Mutex<Reserved>);

#[derive(Debug, Default)]
struct Reserved {
    of_key: HashMap<StorageKey, u64>,
    /// Rises whenever room is given back, since what took it may count as used from then on.
    returned: u64,
}

impl Reservations {
    fn lock(&self) -> MutexGuard<'_, Reserved> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The room that one body takes. Dropping it gives the room back.
#[derive(Debug)]
pub(crate) struct Reservation {
    all: Arc<Reservations>,
    key: StorageKey,
    bytes: u64,
    /// What is freed by the commit that the body is for.
    replaces: u64,
}

impl Reservation {
    /// No room yet, for a body whose commit will free `replaces` bytes.
    pub(crate) fn new(all: &Arc<Reservations>, key: &StorageKey, replaces: u64) -> Self {
        Self { all: Arc::clone(all), key: key.clone(), bytes: 0, replaces }
    }

    /// What is freed by the commit that the body is for, in bytes.
    pub(crate) fn replaces(&self) -> u64 {
        self.replaces
    }

    /// Takes room for `bytes` in all.
    ///
    /// # Errors
    ///
    /// [`Error::QuotaExceeded`](crate::Error::QuotaExceeded): there is not so much.
    pub(crate) async fn grow_to(&mut self, store: &dyn Store, bytes: u64) -> Result<()> {
        let Some(growth) = bytes.checked_sub(self.bytes).filter(|growth| *growth > 0) else { return Ok(()) };
        if bytes <= self.replaces {
            // What does not grow is always allowed, and takes no room from others.
            return Ok(());
        }
        let limits = store.limits();
        // A body may say any length of itself: without a limit, too, the sums stay far from the largest number.
        let or_any = |limit: Option<u64>| Some(limit.unwrap_or(NO_LIMIT).min(NO_LIMIT));
        let (quota, total_quota) = (or_any(limits.of_key(&self.key)), or_any(limits.total_bytes));
        loop {
            let returned = self.all.lock().returned;
            let (used, total_used) = (store.usage(Some(&self.key)).await?.padded, store.usage(None).await?.padded);
            let mut all = self.all.lock();
            if all.returned != returned {
                // Somebody's room may have become usage after it was read: neither would count it.
                continue;
            }
            let taken = |used: u64, reserved: u64| used.saturating_sub(self.replaces).saturating_add(reserved);
            fits(taken(used, all.of_key.get(&self.key).copied().unwrap_or_default()), growth, quota)?;
            fits(taken(total_used, all.of_key.values().sum()), growth, total_quota)?;
            *all.of_key.entry(self.key.clone()).or_default() += growth;
            self.bytes = bytes;
            return Ok(());
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        all.returned += 1;
        let Some(reserved) = all.of_key.get_mut(&self.key) else { return };
        *reserved = reserved.saturating_sub(self.bytes);
        if *reserved == 0 {
            all.of_key.remove(&self.key);
        }
    }
}
