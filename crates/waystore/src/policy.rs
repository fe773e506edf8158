//! How the caches of an origin keep what is put into them: by configuration, cache by cache, since script
//! has no argument for it.
//!
//! Values only; what they mean is carried out by [`Cache`](crate::Cache). Not in the standard.

use std::{fmt, sync::Arc};

use crate::{CacheName, CacheStorage, PutLevel};

/// How one cache keeps what is put into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CachePolicy {
    /// What the entries that are not pinned may be charged together, in bytes, before the least recently used go: see
    /// [`CacheStorage::with_budget`]. `None`: no entry is ever evicted.
    pub budget_bytes: Option<u64>,
    /// When [`Cache::put`](crate::Cache::put) resolves.
    pub put_level: PutLevel,
}

/// The policies of an origin's caches: one for all, and others for some by their names.
///
/// ```
/// use waystore::{CachePolicies, CachePolicy, PutLevel};
///
/// let small = CachePolicy { budget_bytes: Some(1 << 20), ..CachePolicy::default() };
/// let live = CachePolicy { put_level: PutLevel::Recorded, ..CachePolicy::default() };
/// let policies = CachePolicies::new(small).with("live-*", live);
/// assert_eq!(policies.of(&"live-v2".into()), live);
/// assert_eq!(policies.of(&"pages".into()), small);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CachePolicies {
    all: CachePolicy,
    named: Vec<(String, CachePolicy)>,
}

impl CachePolicies {
    /// The same policy for every cache.
    pub fn new(all: CachePolicy) -> Self {
        Self { all, named: Vec::new() }
    }

    /// With another policy for the caches of this name; a trailing `*` stands for any ending. Where several
    /// fit, the first that was added counts.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, policy: CachePolicy) -> Self {
        self.named.push((name.into(), policy));
        self
    }

    /// The policy of the cache of this name.
    pub fn of(&self, name: &CacheName) -> CachePolicy {
        if self.named.is_empty() {
            return self.all;
        }
        let name = name.to_string();
        let fits = |pattern: &str| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        };
        self.named.iter().find(|(pattern, _)| fits(pattern)).map_or(self.all, |(_, policy)| *policy)
    }
}

/// Whether what is stored is pinned.
#[derive(Clone, Default)]
pub(crate) enum Pin {
    #[default]
    Never,
    Always,
    /// While this holds.
    While(Arc<dyn Fn() -> bool + Send + Sync>),
}

impl Pin {
    /// Whether it is now.
    pub(crate) fn holds(&self) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::While(holds) => holds(),
        }
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Never => "Never",
            Self::Always => "Always",
            Self::While(_) => "While(..)",
        })
    }
}

impl CacheStorage {
    /// The same caches, each with the policy that its name has. One without a budget gives up nothing, however full
    /// the others are.
    ///
    /// ```
    /// use waystore::{CachePolicies, CachePolicy, CacheQueryOptions, Response, Waystore};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let small = CachePolicy { budget_bytes: Some(100_000), ..CachePolicy::default() };
    /// let policies = CachePolicies::default().with("images-*", small);
    /// let caches = Waystore::in_memory().caches("https://shop.example")?.with_policies(policies);
    /// let images = caches.open("images-v1").await?;
    /// for image in ["/1", "/2", "/3"] {
    ///     images.put(image, Response::new(vec![0; 40_000])).await?;
    /// }
    /// assert!(images.match_("/1", CacheQueryOptions::default()).await?.is_none());
    /// # Ok::<(), waystore::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_policies(mut self, policies: CachePolicies) -> Self {
        self.keeping.policies = Some(Arc::new(policies));
        self
    }

    /// The same caches, where what is put through these handles is pinned while `holds` says so, which is asked
    /// when the body is there: for a worker that installs. See [`pinning`](Self::pinning).
    ///
    /// ```
    /// use std::sync::{Arc, atomic::{AtomicBool, Ordering}};
    /// use waystore::{EntryRange, Response, Waystore};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let installs = Arc::new(AtomicBool::new(true));
    /// let asked = Arc::clone(&installs);
    /// let caches = Waystore::in_memory().caches("https://shop.example")?;
    /// let cache = caches.pinning_while(move || asked.load(Ordering::Relaxed)).open("v1").await?;
    /// cache.put("/shell", Response::new("stays")).await?;
    /// installs.store(false, Ordering::Relaxed);
    /// cache.put("/page", Response::new("may go")).await?;
    /// let mut entries = cache.entries(&EntryRange::all())?;
    /// assert!(entries.next().await?.is_some_and(|shell| shell.is_pinned()));
    /// assert!(entries.next().await?.is_some_and(|page| !page.is_pinned()));
    /// # Ok::<(), waystore::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn pinning_while(mut self, holds: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.keeping.pin = Pin::While(Arc::new(holds));
        self
    }
}
