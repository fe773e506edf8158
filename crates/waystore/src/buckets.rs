//! Named buckets of one origin: caches of their own, with a quota and an end of their own.
//!
//! A bucket goes with all its caches in one commit. Where it is kept what buckets there are is the business of
//! `kept.rs`. Spec: <https://wicg.github.io/storage-buckets/>

mod kept;
mod life;
mod turns;

use std::sync::Arc;

use self::{
    kept::{bucket_of, kept_name, load, names_in, place_of, place_of_kept, save},
    turns::Turns,
};
pub(crate) use self::{
    kept::{evictable, places},
    life::{Life, Lives},
};
use crate::{
    CacheStorage, Error, Estimate, Result, StorageKey,
    key::DEFAULT_BUCKET,
    quota::NO_LIMIT,
    store::{Changes, Commit, NameChange, ReadSet},
};

/// Of one storage key.
const MOST_BUCKETS: usize = 1024;
const MOST_NAME_BYTES: usize = 64;

/// How a bucket is to be kept: the options of [`StorageBuckets::open`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BucketOptions {
    /// Whether it is to be spared by eviction. Once it is, it stays so.
    pub persisted: bool,
    /// What it may hold; counts when the bucket is made. The limit of the whole storage key counts too.
    pub quota_bytes: Option<u64>,
    /// When it is gone, in milliseconds since 1970; each call of `open` sets this anew.
    pub expires_ms: Option<u64>,
}

/// The named buckets of one origin: see [`CacheStorage::buckets`].
///
/// ```
/// use waystore::{BucketOptions, Response, Waystore};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let caches = Waystore::in_memory().caches("https://mail.example")?;
/// let drafts = caches.buckets().open("drafts", BucketOptions::default()).await?;
/// drafts.caches().open("v1").await?.put("/1", Response::new("Dear")).await?;
/// assert!(!caches.has("v1").await?);
/// assert_eq!(caches.buckets().keys().await?, ["drafts"]);
/// assert!(caches.buckets().delete("drafts").await?);
/// # Ok::<(), waystore::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct StorageBuckets {
    origin: CacheStorage,
}

/// One named bucket. Clones are the same bucket; all of them end when it is deleted or expires.
#[derive(Debug, Clone)]
pub struct StorageBucket {
    origin: CacheStorage,
    caches: CacheStorage,
    life: Arc<Life>,
}

/// Whether a bucket may be called so: 1 to 64 lower-case letters, digits, `_` and `-`, the first one a
/// letter or digit. `default` is the standard's own.
///
/// ```
/// assert!(waystore::is_bucket_name("inbox-2"));
/// assert!(!waystore::is_bucket_name("Inbox") && !waystore::is_bucket_name("_a"));
/// ```
pub fn is_bucket_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    (1..=MOST_NAME_BYTES).contains(&name.len())
        && name.bytes().all(fits)
        && !name.starts_with(['_', '-'])
        && name != DEFAULT_BUCKET
}

impl CacheStorage {
    /// The named buckets of this origin.
    pub fn buckets(&self) -> StorageBuckets {
        StorageBuckets { origin: self.clone() }
    }

    /// Whether the default bucket is spared by eviction: by configuration
    /// ([`Waystore::set_persisted`](crate::Waystore::set_persisted)), or because it was asked for and is kept so.
    ///
    /// Spec: <https://storage.spec.whatwg.org/#dom-storagemanager-persisted>
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`]: the store.
    pub async fn is_persistent(&self) -> Result<bool> {
        Ok(self.persisted() || self.buckets().load(DEFAULT_BUCKET).await?.is_some_and(|kept| kept.persisted))
    }

    /// Has the default bucket spared by eviction, or no longer. Unlike what is configured, this is stored.
    ///
    /// Spec: <https://storage.spec.whatwg.org/#dom-storagemanager-persist>
    ///
    /// # Errors
    ///
    /// [`Error::QuotaExceeded`]: there is no room to keep that. [`Error::Unavailable`]: the store.
    pub async fn set_persistent(&self, persisted: bool) -> Result<()> {
        let origin = self.clone();
        let options = BucketOptions { persisted, ..BucketOptions::default() };
        let saved = async move { save(&origin, DEFAULT_BUCKET, options).await.map(drop) };
        self.shared.buckets.turns.take(saved).await
    }
}

impl StorageBuckets {
    /// Returns the bucket of this name; a new, empty one where there is none.
    ///
    /// # Errors
    ///
    /// * [`Error::Type`]: the name is none ([`is_bucket_name`]), the quota is 0, or the end has come.
    /// * [`Error::QuotaExceeded`]: there is no room for a new one, or there are 1024.
    /// * [`Error::Unavailable`]: the store.
    pub async fn open(&self, name: &str, options: BucketOptions) -> Result<StorageBucket> {
        check_name(name)?;
        if options.quota_bytes == Some(0) {
            return Err(Error::type_error("a bucket with a quota of 0 can hold nothing"));
        }
        self.check_end(options.expires_ms)?;
        let (buckets, name) = (self.clone(), name.to_owned());
        self.turns().take(async move { buckets.open_in_turn(&name, options).await }).await
    }

    async fn open_in_turn(&self, name: &str, options: BucketOptions) -> Result<StorageBucket> {
        let kept = match self.load_live(name).await? {
            Some(kept) => BucketOptions {
                persisted: kept.persisted || options.persisted,
                quota_bytes: kept.quota_bytes,
                expires_ms: options.expires_ms,
            },
            None if self.names().await?.len() >= MOST_BUCKETS => {
                return Err(Error::QuotaExceeded { requested: None, quota: None });
            }
            None => {
                // What a kill left of one that was never finished.
                self.remove(name).await?;
                options
            }
        };
        let list = save(&self.origin, name, kept).await?;
        let life = self.origin.shared.buckets.of(self.key(), name, kept.quota_bytes, list);
        self.origin.store.set_bucket_limit(self.key(), name, kept.quota_bytes);
        let caches = self.origin.in_place(place_of(self.key(), name), Some(Arc::clone(&life)));
        Ok(StorageBucket { origin: self.origin.clone(), caches, life })
    }

    /// Returns the names of the buckets, in order.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`]: the store.
    pub async fn keys(&self) -> Result<Vec<String>> {
        let buckets = self.clone();
        self.turns().take(async move { buckets.keys_in_turn().await }).await
    }

    async fn keys_in_turn(&self) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        for name in self.names().await? {
            if self.load_live(&name).await?.is_some() {
                keys.push(name);
            }
        }
        keys.sort_unstable();
        Ok(keys)
    }

    /// Removes a bucket with all it holds, and tells whether there was one. Handles on it end; handles on
    /// its caches work on.
    ///
    /// # Errors
    ///
    /// [`Error::Type`]: the name is none. [`Error::Unavailable`]: the store.
    pub async fn delete(&self, name: &str) -> Result<bool> {
        check_name(name)?;
        let (buckets, name) = (self.clone(), name.to_owned());
        let removed = async move {
            let known = buckets.load(&name).await?.is_some();
            buckets.remove(&name).await?;
            Ok(known)
        };
        self.turns().take(removed).await
    }

    fn turns(&self) -> &Turns {
        &self.origin.shared.buckets.turns
    }

    fn key(&self) -> &StorageKey {
        &self.origin.place.key
    }

    /// The caches of every named bucket, also of those whose end has come.
    pub(crate) async fn all_caches(&self) -> Result<Vec<CacheStorage>> {
        let names = self.names().await?;
        Ok(names.iter().map(|name| self.origin.in_place(place_of(self.key(), name), None)).collect())
    }

    async fn names(&self) -> Result<Vec<String>> {
        let names = self.origin.store.names(&place_of_kept(self.key())).await?;
        Ok(names.iter().filter_map(|(name, _)| bucket_of(name)).filter(|name| name != DEFAULT_BUCKET).collect())
    }

    /// How the bucket is kept; `None` where there is none, or its end has come: then it is removed.
    async fn load_live(&self, name: &str) -> Result<Option<BucketOptions>> {
        let Some(kept) = self.load(name).await? else { return Ok(None) };
        if self.check_end(kept.expires_ms).is_ok() {
            return Ok(Some(kept));
        }
        self.remove(name).await?;
        Ok(None)
    }

    async fn load(&self, name: &str) -> Result<Option<BucketOptions>> {
        load(&*self.origin.store, self.key(), name).await
    }

    /// Takes the bucket, and every cache in it, away in one commit.
    async fn remove(&self, name: &str) -> Result<()> {
        let (store, key) = (&*self.origin.store, self.key());
        loop {
            let mut names = names_in(store, &place_of(key, name)).await?;
            let (kept_place, kept_name) = (place_of_kept(key), kept_name(name));
            if store.list(&kept_place, &kept_name).await?.is_some() {
                names.push(NameChange::Unbind(kept_place, kept_name));
            }
            self.origin.shared.buckets.end(key, name);
            if !names.iter().any(|change| matches!(change, NameChange::Unbind(..))) {
                return Ok(());
            }
            let op = self.origin.new_op();
            let changes = Changes { names, ..Changes::default() };
            match store.commit(key, op, &ReadSet::default(), &changes).await? {
                Commit::Applied => {
                    store.set_bucket_limit(key, name, None);
                    return Ok(());
                }
                Commit::Stale => tokio::task::yield_now().await,
                Commit::OutcomeUnknown => return Err(Error::OutcomeUnknown { op }),
            }
        }
    }

    fn check_end(&self, expires_ms: Option<u64>) -> Result<()> {
        match expires_ms {
            Some(end) if end <= self.origin.clock.now_ms() => Err(Error::type_error("the end of the bucket has come")),
            _ => Ok(()),
        }
    }
}

impl StorageBucket {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.life.name
    }

    /// Its caches. Once the bucket was removed, whatever asks for one by name fails with
    /// [`Error::BucketRemoved`].
    pub fn caches(&self) -> CacheStorage {
        self.caches.clone()
    }

    /// Returns how much it holds, and how much it may.
    ///
    /// # Errors
    ///
    /// [`Error::BucketRemoved`]: it is gone. [`Error::Unavailable`]: the store.
    pub async fn estimate(&self) -> Result<Estimate> {
        self.life.check()?;
        let of_key = self.origin.estimate().await?;
        let usage = self.origin.store.bucket_usage(&self.life.key, &self.life.name).await?;
        let quota_bytes = self.life.quota_bytes.unwrap_or(of_key.quota_bytes.min(NO_LIMIT));
        Ok(Estimate { usage_bytes: usage.padded, real_bytes: usage.real, quota_bytes })
    }

    /// Whether it is spared by eviction.
    ///
    /// # Errors
    ///
    /// As for [`estimate`](Self::estimate).
    pub async fn persisted(&self) -> Result<bool> {
        Ok(self.options().await?.persisted)
    }

    /// Has it spared by eviction from now on.
    ///
    /// # Errors
    ///
    /// As for [`estimate`](Self::estimate).
    pub async fn persist(&self) -> Result<()> {
        self.change(|kept| kept.persisted = true).await
    }

    /// When it is gone, in milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// As for [`estimate`](Self::estimate).
    pub async fn expires_ms(&self) -> Result<Option<u64>> {
        Ok(self.options().await?.expires_ms)
    }

    /// Sets when it is gone.
    ///
    /// # Errors
    ///
    /// As for [`estimate`](Self::estimate); [`Error::Type`] where that time has come.
    pub async fn set_expires_ms(&self, expires_ms: u64) -> Result<()> {
        self.origin.buckets().check_end(Some(expires_ms))?;
        self.change(move |kept| kept.expires_ms = Some(expires_ms)).await
    }

    async fn options(&self) -> Result<BucketOptions> {
        self.life.check()?;
        self.origin.buckets().load(&self.life.name).await?.ok_or_else(|| self.life.error())
    }

    async fn change(&self, change: impl FnOnce(&mut BucketOptions) + Send + 'static) -> Result<()> {
        let bucket = self.clone();
        let changed = async move {
            let mut kept = bucket.options().await?;
            change(&mut kept);
            save(&bucket.origin, &bucket.life.name, kept).await.map(drop)
        };
        self.origin.shared.buckets.turns.take(changed).await
    }
}

fn check_name(name: &str) -> Result<()> {
    if is_bucket_name(name) {
        return Ok(());
    }
    Err(Error::type_error(format!("`{name}` is not the name of a bucket")))
}
