//! A store of many origins: how it is opened, what holds for all of them, and the caches of each.

use std::{fmt, path::Path, sync::Arc};

use url::Url;

use crate::{
    Bottle, CacheStorage, Clock, Error, KeyGuard, Limits, Place, Result, StorageKey,
    shared::Shared,
    store::{
        Store,
        disk::{CheckReport, DiskOptions, DiskStore, RepairReport},
        memory::MemoryStore,
    },
};

/// A store: one directory, or some memory, with the caches of many origins.
#[derive(Clone)]
pub struct Waystore {
    store: Arc<dyn Store>,
    pub(crate) clock: Arc<Clock>,
    shared: Arc<Shared>,
}

impl Waystore {
    /// An empty store in memory. Nothing survives the process.
    pub fn in_memory() -> Self {
        let clock = Arc::new(Clock::system());
        Self::with_store(Arc::new(MemoryStore::new(Arc::clone(&clock))), clock)
    }

    /// Opens the data directory `dir`, made where it is missing, with the default options.
    ///
    /// ```
    /// use waystore::{CacheQueryOptions, Response, Waystore};
    ///
    /// # let parent = tempfile::tempdir()?;
    /// # let dir = parent.path().join("data");
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let store = Waystore::open(&dir).await?;
    /// store.caches("https://shop.example")?.open("v1").await?.put("/x", Response::new("kept")).await?;
    /// drop(store);
    ///
    /// let caches = Waystore::open(&dir).await?.caches("https://shop.example")?;
    /// assert!(caches.match_("/x", CacheQueryOptions::default()).await?.is_some());
    /// # Ok::<(), waystore::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// * [`Error::NotAStore`]: the directory holds something else, or another format.
    /// * [`Error::Locked`]: another process writes to it; or this one still does, after two seconds.
    /// * [`Error::QuotaExceeded`], [`Error::Unavailable`]: the disk refused.
    pub async fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(dir, DiskOptions::default()).await
    }

    /// Opens the data directory `dir`, made where it is missing.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn open_with(dir: impl AsRef<Path>, options: DiskOptions) -> Result<Self> {
        let opened = Self::with_store(Arc::new(DiskStore::open(dir, options).await?), Arc::new(Clock::system()));
        opened.remove_gathered().await;
        Ok(opened)
    }

    /// Opens the data directory `dir` to look at, as it is now; also beside a process that writes to
    /// it. Changes nothing: every write fails.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), but [`Error::Locked`].
    pub async fn open_read_only(dir: impl AsRef<Path>) -> Result<Self> {
        Ok(Self::with_store(Arc::new(DiskStore::open_read_only(dir).await?), Arc::new(Clock::system())))
    }

    /// Verifies the data directory `dir`: every checksum, every reference, every counter. Changes nothing, and works beside a
    /// process that writes to it.
    ///
    /// # Errors
    ///
    /// * [`Error::NotAStore`]: there is no data directory, or of another format.
    /// * [`Error::Unavailable`]: the disk refused. Places that it cannot read are findings.
    pub async fn check(dir: impl AsRef<Path>) -> Result<CheckReport> {
        DiskStore::check(dir, |_| {}).await
    }

    /// Makes the data directory `dir` whole: drops entries that cannot be read and keeps everything else. What is taken out is
    /// moved to a folder of its own in it, `damaged/N`. Where nothing is damaged, nothing is changed.
    ///
    /// # Errors
    ///
    /// * [`Error::NotAStore`]: there is no data directory, or of another format.
    /// * [`Error::Locked`]: another process writes to it.
    /// * [`Error::QuotaExceeded`], [`Error::Unavailable`]: the disk refused. Repairing again goes on from there.
    pub async fn repair(dir: impl AsRef<Path>) -> Result<RepairReport> {
        DiskStore::repair(dir, |_| {}).await
    }

    /// Caches over a store of the caller's own.
    pub fn with_store(store: Arc<dyn Store>, clock: Arc<Clock>) -> Self {
        Self { store, clock, shared: Arc::default() }
    }

    /// Returns the caches of the origin of `url`; relative URLs given to them resolve against it.
    ///
    /// # Errors
    ///
    /// [`Error::Security`]: the origin is opaque.
    pub fn caches(&self, url: &str) -> Result<CacheStorage> {
        let base = Url::parse(url).map_err(|_| Error::Security { origin: url.to_owned() })?;
        Ok(self.storage(StorageKey::of(&base)?, Bottle::Caches, base))
    }

    /// Returns the caches of `key`, which may be a partition of an origin; relative URLs given to them
    /// resolve against the origin.
    ///
    /// ```
    /// use waystore::{Response, StorageKey, Waystore};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let store = Waystore::in_memory();
    /// let embedded = StorageKey::new("https://player.example")?.partitioned("https://shop.example");
    /// store.caches_of(&embedded)?.open("v1").await?.put("/film", Response::new("...")).await?;
    /// assert!(store.caches("https://player.example")?.keys().await?.is_empty());
    /// # Ok::<(), waystore::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Security`]: the key's origin is not the URL of one.
    pub fn caches_of(&self, key: &StorageKey) -> Result<CacheStorage> {
        let base = Url::parse(key.origin()).map_err(|_| Error::Security { origin: key.origin().to_owned() })?;
        Ok(self.storage(key.clone(), Bottle::Caches, base))
    }

    /// Returns the registrations of the origin of `url`: caches that are kept apart, always written
    /// strictly, and hold the scripts and states of service workers.
    ///
    /// # Errors
    ///
    /// [`Error::Security`]: the origin is opaque.
    pub fn registrations(&self, url: &str) -> Result<CacheStorage> {
        let base = Url::parse(url).map_err(|_| Error::Security { origin: url.to_owned() })?;
        Ok(self.storage(StorageKey::of(&base)?, Bottle::ServiceWorkerRegistrations, base))
    }

    /// Returns every storage key that owns something, in order.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`]: the store.
    pub async fn storage_keys(&self) -> Result<Vec<StorageKey>> {
        let mut keys = self.store.storage_keys().await?;
        keys.sort();
        Ok(keys)
    }

    /// Makes everything committed survive power loss, whatever the durability.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`]: the store.
    pub async fn sync(&self) -> Result<()> {
        self.store.sync().await
    }

    /// Sets how much may be used from now on, also by handles that were given out. What is stored
    /// stays, even where it is more: it can be read and deleted, and only growth fails.
    pub fn set_limits(&self, limits: Limits) {
        self.store.set_limits(limits);
    }

    /// From now on opaque responses are charged more than their length, by up to 14 MiB each, so that
    /// usage does not tell a script what it may not know. The padding is kept with the entry.
    ///
    /// Off by default: worth it where scripts that distrust each other share a process.
    pub fn pad_opaque_responses(&self) {
        self.shared.pad_opaque(&self.clock);
    }

    /// From now on, where the limit for all storage keys together would be passed, the key that was
    /// least recently used is emptied: all its caches and registrations, never some of them. Off by
    /// default.
    ///
    /// Keys that are persisted ([`set_persisted`](Self::set_persisted)), held ([`hold`](Self::hold)) or
    /// ask for the room themselves are spared. Uses are counted from this call on; before them come those
    /// that the store knows of, to the minute ([`Store::last_used_ms`]).
    ///
    /// Spec: <https://storage.spec.whatwg.org/#storage-pressure>
    pub fn set_eviction(&self, on: bool) {
        self.shared.set_evicts(on);
    }

    /// Says whether `key` is to be spared by eviction: what
    /// [`CacheStorage::persisted`] tells. A matter of configuration; not stored.
    pub fn set_persisted(&self, key: &StorageKey, persisted: bool) {
        self.shared.set_persisted(key, persisted);
    }

    /// Keeps `key` from eviction while the guard lives: for whoever runs a worker of it.
    #[must_use]
    pub fn hold(&self, key: &StorageKey) -> KeyGuard {
        self.shared.hold(key)
    }

    /// Removes what imports left that a crash ended. Where it cannot, it stays for the next time.
    async fn remove_gathered(&self) {
        for key in self.store.storage_keys().await.unwrap_or_default() {
            let Ok(base) = Url::parse(key.origin()) else { continue };
            if let Err(error) = self.storage(key, Bottle::Caches, base).remove_all_gathered().await {
                tracing::warn!(%error, "what an import left was not removed");
            }
        }
    }

    fn storage(&self, key: StorageKey, bottle: Bottle, base: Url) -> CacheStorage {
        let (store, clock, shared) = (Arc::clone(&self.store), Arc::clone(&self.clock), Arc::clone(&self.shared));
        CacheStorage::new(store, clock, shared, Place::new(key, bottle), base)
    }
}

/// Without what is stored.
impl fmt::Debug for Waystore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waystore").finish_non_exhaustive()
    }
}
