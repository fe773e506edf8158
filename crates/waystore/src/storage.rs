//! A store of many origins, and the named caches of one: the [`CacheStorage` interface][spec].
//!
//! [spec]: https://w3c.github.io/ServiceWorker/#cachestorage-interface

use std::{path::Path, sync::Arc};

use url::Url;

use crate::{
    BatchOperation, Bottle, Cache, CacheName, CacheQueryOptions, Clock, EmbedderPolicy, Error, Estimate, KeyGuard,
    Limits, Place, PutLevel, Response, Result, Spooler, StorageKey,
    buckets::Life,
    cache::{Keeping, Part, check_all, commit_parts, first_readable, url_match},
    info::RequestInfo,
    policy::Pin,
    quota::NO_LIMIT,
    recorded::overlay,
    shared::Shared,
    spec::{
        audience::Audience,
        corp::Reader,
        query::{may_match, query_cache},
    },
    store::{
        Changes, Commit, List, NameChange, OpId, Read, ReadSet, Store,
        disk::{CheckReport, DiskOptions, DiskStore, RepairReport},
        memory::MemoryStore,
    },
    transfer::gathering::is_gathering,
};

/// A store: one directory, or some memory, with the caches of many origins.
#[derive(Debug, Clone)]
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
            if let Err(error) = self.storage(key, Bottle::Caches, base).remove_gathered().await {
                tracing::warn!(%error, "what an import left was not removed");
            }
        }
    }

    fn storage(&self, key: StorageKey, bottle: Bottle, base: Url) -> CacheStorage {
        CacheStorage {
            store: Arc::clone(&self.store),
            reader: Arc::new(Reader { origin: base.origin(), embedder_policy: EmbedderPolicy::default() }),
            shared: Arc::clone(&self.shared),
            keeping: Keeping::default(),
            bucket: None,
            place: Place::new(key, bottle),
            base: Arc::new(base),
            clock: Arc::clone(&self.clock),
        }
    }
}

/// The named caches of one origin. Clones are the same storage.
///
/// Spec: <https://w3c.github.io/ServiceWorker/#cachestorage-interface>
#[derive(Debug, Clone)]
pub struct CacheStorage {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) place: Place,
    base: Arc<Url>,
    pub(crate) clock: Arc<Clock>,
    reader: Arc<Reader>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) keeping: Keeping,
    /// The bucket they are in, where it has a name.
    pub(crate) bucket: Option<Arc<Life>>,
}

/// How [`CacheStorage::match_`] compares, and where it looks.
///
/// Spec: <https://w3c.github.io/ServiceWorker/#dictdef-multicachequeryoptions>
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MultiCacheQueryOptions {
    /// How to compare.
    pub query: CacheQueryOptions,
    /// The only cache to look in; `None` for all.
    pub cache_name: Option<CacheName>,
}

impl From<CacheQueryOptions> for MultiCacheQueryOptions {
    fn from(query: CacheQueryOptions) -> Self {
        Self { query, cache_name: None }
    }
}

impl CacheStorage {
    /// Returns the cache of this name; a new, empty one, last in order, where there is none.
    ///
    /// Spec: <https://w3c.github.io/ServiceWorker/#cache-storage-open>
    ///
    /// # Errors
    ///
    /// [`Error::QuotaExceeded`]: there is no room for a new one. [`Error::Unavailable`]: the store.
    pub async fn open(&self, name: impl Into<CacheName>) -> Result<Cache> {
        self.check_bucket()?;
        let name = name.into();
        self.shared.touch(&self.place.key);
        loop {
            if let Some(list) = self.store.list(&self.place, &name).await? {
                return Ok(self.cache(&name, list));
            }
            self.change_name(NameChange::Bind(self.place.clone(), name.clone())).await?;
        }
    }

    /// Returns whether there is a cache of this name.
    ///
    /// Spec: <https://w3c.github.io/ServiceWorker/#cache-storage-has>
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`]: the store.
    pub async fn has(&self, name: impl Into<CacheName>) -> Result<bool> {
        self.check_bucket()?;
        Ok(self.store.list(&self.place, &name.into()).await?.is_some())
    }

    /// Takes the name away, and tells whether it was there. Handles on the cache work on.
    ///
    /// Spec: <https://w3c.github.io/ServiceWorker/#cache-storage-delete>
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`]: the store.
    pub async fn delete(&self, name: impl Into<CacheName>) -> Result<bool> {
        let name = name.into();
        let unbound = self.change_name(NameChange::Unbind(self.place.clone(), name)).await?;
        Ok(unbound == Commit::Applied)
    }

    /// Gives the cache `from` the name `to`, and tells whether there was one. A cache that was called
    /// `to` loses its name in the same instant, as by [`delete`](Self::delete): nobody ever finds
    /// neither, or half of one. Handles follow their caches, whatever these are called.
    ///
    /// In the order of names, the cache takes the place of the one it displaces, if there is one.
    /// Not in the standard.
    ///
    /// ```
    /// use waystore::{CacheQueryOptions, Response, Waystore};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let caches = Waystore::in_memory().caches("https://shop.example")?;
    /// caches.open("site").await?.put("/", Response::new("old")).await?;
    /// caches.open("site-next").await?.put("/", Response::new("new")).await?;
    ///
    /// assert!(caches.rename("site-next", "site").await?);
    /// let hit = caches.match_("/", CacheQueryOptions::default()).await?.expect("one of the two is always there");
    /// assert_eq!(hit.body.expect("it has a body").collect(1024).await?, "new");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`]: the store.
    pub async fn rename(&self, from: impl Into<CacheName>, to: impl Into<CacheName>) -> Result<bool> {
        let (place, from, to) = (self.place.clone(), from.into(), to.into());
        let renamed = self.change_name(NameChange::Rename { place, from, to }).await?;
        Ok(renamed == Commit::Applied)
    }

    /// Applies batches to several caches of this origin, all of them or none: nobody ever sees one
    /// cache changed and another not yet. Returns how many entries each operation removed.
    ///
    /// In each cache the operations are a [`Cache::batch`]; all bodies are read to their ends before
    /// anything changes. Not in the standard.
    ///
    /// ```
    /// use waystore::{BatchOperation, Request, Response, Waystore};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let caches = Waystore::in_memory().caches("https://shop.example")?;
    /// let (pages, data) = (caches.open("pages").await?, caches.open("data").await?);
    /// let put = |url: &str, body: &'static str| -> waystore::Result<BatchOperation> {
    ///     Ok(BatchOperation::Put { request: Request::get(url)?, response: Response::new(body) })
    /// };
    /// caches
    ///     .batch(vec![
    ///         (pages.clone(), vec![put("https://shop.example/", "page 2")?]),
    ///         (data.clone(), vec![put("https://shop.example/stock.json", "{}")?]),
    ///     ])
    ///     .await?;
    /// # Ok::<(), waystore::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Cache::batch`]; [`Error::Type`] also where a cache is not of this storage key and store.
    pub async fn batch(&self, batches: Vec<(Cache, Vec<BatchOperation>)>) -> Result<Vec<Vec<usize>>> {
        for (cache, operations) in &batches {
            if cache.key != self.place.key || !Arc::ptr_eq(&cache.store, &self.store) {
                return Err(Error::type_error(format!("a batch for `{}` names a cache of another", self.place.key)));
            }
            check_all(operations)?;
        }
        let mut parts: Vec<Part> = Vec::with_capacity(batches.len());
        // Where the steps of each batch went: two handles may stand for one cache.
        let mut placed = Vec::with_capacity(batches.len());
        let caches: Vec<_> = batches.iter().map(|(cache, _)| cache.clone()).collect();
        for (cache, operations) in batches {
            let steps = cache.prepare(operations).await?;
            let at = parts.iter().position(|part| part.list == cache.list).unwrap_or_else(|| {
                parts.push(Part { list: cache.list.clone(), steps: Vec::new() });
                parts.len() - 1
            });
            placed.push((at, parts[at].steps.len()..parts[at].steps.len() + steps.len()));
            parts[at].steps.extend(steps);
        }
        let removed = commit_parts(&*self.store, &self.shared, &self.clock, &self.place.key, &parts).await?;
        for cache in &caches {
            cache.keep_within_budget().await?;
        }
        Ok(placed.into_iter().map(|(at, steps)| removed[at][steps].to_vec()).collect())
    }

    /// Returns the names in the order in which they were created.
    ///
    /// Spec: <https://w3c.github.io/ServiceWorker/#cache-storage-keys>
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`]: the store.
    pub async fn keys(&self) -> Result<Vec<CacheName>> {
        let mut names = self.all_names().await?;
        names.retain(|name| !is_gathering(name));
        Ok(names)
    }

    /// The names, those of caches that are being imported included.
    pub(crate) async fn all_names(&self) -> Result<Vec<CacheName>> {
        self.check_bucket()?;
        Ok(self.store.names(&self.place).await?.into_iter().map(|(name, _)| name).collect())
    }

    /// Returns the first response that `request` matches, in the order of the caches; a cache that
    /// does not exist is not created.
    ///
    /// Spec: <https://w3c.github.io/ServiceWorker/#cache-storage-match>
    ///
    /// # Errors
    ///
    /// As for [`Cache::match_`].
    pub async fn match_<'a>(
        &self,
        request: impl Into<RequestInfo<'a>>,
        options: impl Into<MultiCacheQueryOptions>,
    ) -> Result<Option<Response>> {
        let request = request.into().resolve(&self.base)?;
        let options = options.into();
        if !may_match(&request.head, options.query) {
            return Ok(None);
        }
        self.shared.touch(&self.place.key);
        let lists = self.lists(options.cache_name.as_ref()).await?;
        let url = url_match(request.url.as_str(), options.query);
        // First: what is committed meanwhile is in what the store says.
        let recorded: Vec<_> = lists.iter().map(|list| self.shared.recorded.of(list.id())).collect();
        let reads: Vec<_> = lists.iter().map(|list| Read { list, url }).collect();
        let (_, mut candidates) = self.store.candidates(&reads).await?;
        for (list, recorded) in lists.iter().zip(&recorded) {
            let (of_list, others) = candidates.into_iter().partition(|found| found.list == list.id());
            candidates = others;
            let of_list = overlay(of_list, recorded, url);
            let found = query_cache(&of_list, &request.head, options.query, Audience::of(request.visitor));
            if let Some(first) = found.first() {
                self.shared.note_use(first, &self.clock);
                return first_readable(&found, &request.url, &self.reader);
            }
        }
        Ok(None)
    }

    /// Returns how much this storage key uses, and how much it may use: all its caches and
    /// registrations together.
    ///
    /// What is used is the sum over entries and names, not the room on the disk: each entry counts
    /// its body in full, though equal bodies are kept once.
    ///
    /// ```
    /// use waystore::{Response, Waystore};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let caches = Waystore::in_memory().caches("https://shop.example")?;
    /// caches.open("v1").await?.put("/pear", Response::new(vec![0; 100_000])).await?;
    /// let estimate = caches.estimate().await?;
    /// assert!((100_000..102_000).contains(&estimate.usage_bytes));
    /// assert!(estimate.quota_bytes > estimate.usage_bytes);
    /// # Ok::<(), waystore::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Spec: <https://storage.spec.whatwg.org/#dom-storagemanager-estimate>
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`]: the store.
    pub async fn estimate(&self) -> Result<Estimate> {
        let usage = self.store.usage(Some(&self.place.key)).await?;
        let limits = self.store.limits();
        let quota = limits.of_key(&self.place.key).into_iter().chain(limits.total_bytes).min();
        let quota_bytes = quota.unwrap_or(NO_LIMIT);
        Ok(Estimate { usage_bytes: usage.padded, real_bytes: usage.real, quota_bytes })
    }

    /// Whether this storage key is spared by eviction: see [`Waystore::set_persisted`].
    ///
    /// Spec: <https://storage.spec.whatwg.org/#dom-storagemanager-persisted>
    pub fn persisted(&self) -> bool {
        self.shared.is_persisted(&self.place.key)
    }

    /// The storage key whose caches these are.
    pub fn storage_key(&self) -> &StorageKey {
        &self.place.key
    }

    /// The same caches, with `base` as what relative URLs resolve against.
    #[must_use]
    pub fn with_base(self, base: Url) -> Self {
        Self { base: Arc::new(base), ..self }
    }

    /// The same caches, as a context with this embedder policy reads them; the default is
    /// [`EmbedderPolicy::UnsafeNone`].
    ///
    /// A look-up that finds an opaque response which the policy, or the response's own
    /// `Cross-Origin-Resource-Policy`, keeps from this origin fails as a whole.
    ///
    /// ```
    /// use waystore::{CacheQueryOptions, EmbedderPolicy, Error, ResponseHead, Response, ResponseType, Waystore};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let head = ResponseHead {
    ///     kind: ResponseType::Opaque,
    ///     url_list: vec!["https://cdn.example/logo".parse()?],
    ///     ..ResponseHead::with_status(200)
    /// };
    /// let caches = Waystore::in_memory().caches("https://shop.example")?;
    /// caches.open("v1").await?.put("/logo", Response::from_parts(head, None)).await?;
    /// assert!(caches.match_("/logo", CacheQueryOptions::default()).await?.is_some());
    ///
    /// let strict = caches.with_embedder_policy(EmbedderPolicy::RequireCorp);
    /// let refused = strict.match_("/logo", CacheQueryOptions::default()).await;
    /// assert!(matches!(refused, Err(Error::Type { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_embedder_policy(self, embedder_policy: EmbedderPolicy) -> Self {
        let origin = self.reader.origin.clone();
        Self { reader: Arc::new(Reader { origin, embedder_policy }), ..self }
    }

    /// The same caches, where each one gives up the entries that were least recently used when it is
    /// charged more than `bytes` after something was put in it through these handles. Where there is no room
    /// for what is put, the least recently used entries of all caches of the origin go. Entries that are pinned ([`pinning`](Self::pinning)) stay and do not
    /// count. Without this, and so by default, no entry is ever evicted.
    ///
    /// An entry is used when it is stored and when `match_` answers with it. After a restart the order is
    /// that of what the store kept, to the minute ([`StoredEntry::last_used`](crate::StoredEntry::last_used)).
    /// Not in the standard, where only whole storage keys go.
    ///
    /// ```
    /// use waystore::{CacheQueryOptions, Response, Waystore};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let caches = Waystore::in_memory().caches("https://shop.example")?.with_budget(100_000);
    /// let cache = caches.open("images").await?;
    /// for image in ["/1", "/2", "/3"] {
    ///     cache.put(image, Response::new(vec![0; 40_000])).await?;
    ///     cache.match_("/1", CacheQueryOptions::default()).await?;
    /// }
    /// assert!(cache.match_("/1", CacheQueryOptions::default()).await?.is_some());
    /// assert!(cache.match_("/2", CacheQueryOptions::default()).await?.is_none());
    /// # Ok::<(), waystore::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_budget(self, bytes: u64) -> Self {
        Self { keeping: Keeping { budget_bytes: Some(bytes), ..self.keeping }, ..self }
    }

    /// The same caches, where what is put through these handles is pinned: no budget evicts it, now or
    /// after a restart, until it is deleted or replaced.
    #[must_use]
    pub fn pinning(self) -> Self {
        Self { keeping: Keeping { pin: Pin::Always, ..self.keeping }, ..self }
    }

    /// The same caches, where [`Cache::put`] resolves as `level` says; the default is
    /// [`PutLevel::Complete`].
    #[must_use]
    pub fn with_put_level(self, level: PutLevel) -> Self {
        Self { keeping: Keeping { level, ..self.keeping }, ..self }
    }

    /// Where a tee of a response of this origin puts what it cannot hold.
    pub fn spooler(&self) -> Spooler {
        Spooler::new(Arc::clone(&self.store), self.place.key.clone())
    }

    /// What is in another place of the same origin; `bucket` where that is one with a name.
    pub(crate) fn in_place(&self, place: Place, bucket: Option<Arc<Life>>) -> Self {
        Self { place, bucket, ..self.clone() }
    }

    /// # Errors
    ///
    /// [`Error::BucketRemoved`]: the bucket they are in is gone.
    fn check_bucket(&self) -> Result<()> {
        self.bucket.as_ref().map_or(Ok(()), |bucket| bucket.check())
    }

    pub(crate) fn new_op(&self) -> OpId {
        self.clock.op_id()
    }

    async fn lists(&self, name: Option<&CacheName>) -> Result<Vec<List>> {
        self.check_bucket()?;
        Ok(match name {
            Some(name) => self.store.list(&self.place, name).await?.into_iter().collect(),
            None => {
                let names = self.store.names(&self.place).await?.into_iter();
                names.filter(|(name, _)| !is_gathering(name)).map(|(_, list)| list).collect()
            }
        })
    }

    async fn change_name(&self, change: NameChange) -> Result<Commit> {
        self.check_bucket()?;
        let op = self.clock.op_id();
        let changes = Changes { names: vec![change], ..Changes::default() };
        loop {
            return match self.store.commit(&self.place.key, op, &ReadSet::default(), &changes).await {
                Ok(Commit::OutcomeUnknown) => Err(Error::OutcomeUnknown { op }),
                Err(error) if self.shared.make_room(&*self.store, &self.clock, &self.place.key, &error).await? => {
                    continue;
                }
                done => done,
            };
        }
    }

    fn cache(&self, name: &CacheName, list: List) -> Cache {
        let mut keeping = self.keeping.clone();
        if let Some(policies) = &keeping.policies {
            let policy = policies.of(name);
            (keeping.budget_bytes, keeping.level) = (policy.budget_bytes, policy.put_level);
        }
        Cache {
            store: Arc::clone(&self.store),
            key: self.place.key.clone(),
            list,
            base: Arc::clone(&self.base),
            clock: Arc::clone(&self.clock),
            reader: Arc::clone(&self.reader),
            shared: Arc::clone(&self.shared),
            keeping,
            bucket: self.bucket.clone(),
        }
    }
}
