//! The named caches of one origin: the [`CacheStorage` interface][spec].
//!
//! [spec]: https://w3c.github.io/ServiceWorker/#cachestorage-interface

use std::{fmt, sync::Arc};

use url::Url;

use crate::{
    BatchOperation, Cache, CacheName, CacheQueryOptions, Clock, EmbedderPolicy, Error, Estimate, Place, PutLevel,
    Request, Response, Result, Spooler, StorageKey,
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
    store::{Changes, Commit, List, NameChange, OpId, Read, ReadSet, Store},
    transfer::gathering::is_gathering,
};

/// The named caches of one origin. Clones are the same storage.
///
/// Spec: <https://w3c.github.io/ServiceWorker/#cachestorage-interface>
#[derive(Clone)]
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
    /// The caches in `place`, for a context at `base`.
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<Clock>, shared: Arc<Shared>, place: Place, base: Url) -> Self {
        let reader = Reader { origin: base.origin(), embedder_policy: EmbedderPolicy::default() };
        let (base, reader, keeping) = (Arc::new(base), Arc::new(reader), Keeping::default());
        Self { store, place, base, clock, reader, shared, keeping, bucket: None }
    }

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
            self.bind(&name).await?;
        }
    }

    /// Binds a name, in a bucket that is there. Where that may have changed meanwhile, nothing is done.
    async fn bind(&self, name: &CacheName) -> Result<()> {
        let mut changes = Vec::with_capacity(2);
        if let Some(bucket) = &self.bucket {
            // The look alone would not do: the bucket may go before the name comes, which would outlive it.
            changes.push(bucket.expect_there(&*self.store).await?);
        }
        changes.push(NameChange::Bind(self.place.clone(), name.clone()));
        self.change_names(changes).await.map(drop)
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
        let removed = loop {
            match commit_parts(&*self.store, &self.shared, &self.clock, &self.place.key, &parts).await {
                Err(error) if evict_for(&caches, &error).await? => {}
                done => break done?,
            }
        };
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
        if let Some(name) = &options.cache_name {
            self.check_bucket()?;
            return match self.store.list(&self.place, name).await? {
                Some(list) => self.match_in(&list, &request, options.query).await,
                None => Ok(None),
            };
        }
        let lists = self.lists().await?;
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

    /// Whether this storage key is spared by eviction: see [`Waystore::set_persisted`](crate::Waystore::set_persisted).
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

    /// What one list has. The steps of [`match_`](Self::match_), without what several lists need.
    async fn match_in(&self, list: &List, request: &Request, options: CacheQueryOptions) -> Result<Option<Response>> {
        let url = url_match(request.url.as_str(), options);
        // First: what is committed meanwhile is in what the store says.
        let recorded = self.shared.recorded.of(list.id());
        let (_, found) = self.store.candidates(&[Read { list, url }]).await?;
        let candidates = overlay(found, &recorded, url);
        let found = query_cache(&candidates, &request.head, options, Audience::of(request.visitor));
        if let Some(first) = found.first() {
            self.shared.note_use(first, &self.clock);
        }
        first_readable(&found, &request.url, &self.reader)
    }

    /// The lists of all caches, in the order of their names.
    async fn lists(&self) -> Result<Vec<List>> {
        self.check_bucket()?;
        let names = self.store.names(&self.place).await?.into_iter();
        Ok(names.filter(|(name, _)| !is_gathering(name)).map(|(_, list)| list).collect())
    }

    async fn change_name(&self, change: NameChange) -> Result<Commit> {
        self.change_names(vec![change]).await
    }

    async fn change_names(&self, names: Vec<NameChange>) -> Result<Commit> {
        self.check_bucket()?;
        let op = self.clock.op_id();
        let changes = Changes { names, ..Changes::default() };
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

/// Without what is stored.
impl fmt::Debug for CacheStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { key, bucket, bottle } = &self.place;
        let mut shown = f.debug_struct("CacheStorage");
        shown.field("key", key).field("bucket", bucket).field("bottle", bottle).finish_non_exhaustive()
    }
}

/// Lets entries go that make up for `error`, where a budget of one of `caches` allows that. Returns whether it is worth
/// trying again.
async fn evict_for(caches: &[Cache], error: &Error) -> Result<bool> {
    for cache in caches {
        if cache.evict_for(error).await? {
            return Ok(true);
        }
    }
    Ok(false)
}
