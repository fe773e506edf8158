//! What a cache holds, one entry after the other, in bounded memory.
//!
//! Not in the standard, whose `keys()` is all at once. Walks the pages of the list and decides on
//! nothing but the range that was asked for.

use std::{fmt, sync::Arc, time::SystemTime};

use futures::{Stream, stream};
use url::Url;

use super::{Cache, body_of, check_readable, response_of};
use crate::{
    Body, CredentialHash, HeaderList, RequestHead, Response, ResponseType, Result, parse_request_url,
    store::{Candidate, CandidateBody, Entry, EntryId},
};

/// Entries fetched from the store at a time: what bounds the memory of a walk.
const PAGE: usize = 256;

/// Which entries a walk visits: all of them, unless told otherwise.
///
/// ```
/// use waystore::EntryRange;
///
/// let range = EntryRange::all().under("/products/");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntryRange {
    prefix: Option<String>,
    after: Option<EntryId>,
}

impl EntryRange {
    /// Every entry.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only entries whose URLs start like this. A path resolves against the origin's base URL, as in
    /// every other method; what begins with a scheme is compared as it is.
    #[must_use]
    pub fn under(self, prefix: impl Into<String>) -> Self {
        Self { prefix: Some(prefix.into()), ..self }
    }

    /// Only entries that were stored after this one, which may be gone: to go on where an earlier
    /// walk ended.
    #[must_use]
    pub fn after(self, id: EntryId) -> Self {
        Self { after: Some(id), ..self }
    }

    /// The start that URLs must have.
    fn absolute_prefix(&self, base: &Url) -> Result<Option<String>> {
        let Some(prefix) = &self.prefix else { return Ok(None) };
        let scheme = prefix.split_once("://").map(|(scheme, _)| scheme);
        if scheme.is_some_and(|scheme| !scheme.contains(['/', '?', '#'])) {
            return Ok(Some(prefix.clone()));
        }
        Ok(Some(parse_request_url(prefix, Some(base))?.into()))
    }
}

/// A walk over a cache, oldest entry first: see [`Cache::entries`].
pub struct Entries {
    prefix: Option<String>,
    after: Option<EntryId>,
    page: Arc<Page>,
    /// Which of the page comes next.
    next: usize,
    ended: bool,
}

/// Entries that were fetched together.
struct Page {
    cache: Arc<Cache>,
    found: Vec<Candidate>,
}

impl Entries {
    /// Returns the next entry, or `None` after the last.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`](crate::Error::Unavailable): the store. The walk can go on.
    pub async fn next(&mut self) -> Result<Option<StoredEntry>> {
        loop {
            while let Some(found) = self.page.found.get(self.next) {
                let index = self.next;
                (self.after, self.next) = (Some(found.id), index + 1);
                if self.prefix.as_deref().is_none_or(|prefix| found.entry.url().starts_with(prefix)) {
                    return Ok(Some(StoredEntry { page: Arc::clone(&self.page), index }));
                }
            }
            if self.ended {
                return Ok(None);
            }
            let cache = &self.page.cache;
            let found = cache.store.page(&cache.list, self.after, PAGE).await?;
            self.ended = found.len() < PAGE;
            (self.page, self.next) = (Arc::new(Page { cache: Arc::clone(cache), found }), 0);
        }
    }

    /// The same walk as a stream, which ends after the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<StoredEntry>> + Send {
        stream::try_unfold(self, |mut entries| async move { Ok(entries.next().await?.map(|entry| (entry, entries))) })
    }
}

/// Without the entries that wait.
impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Entries");
        shown.field("cache", &self.page.cache).field("after", &self.after).finish_non_exhaustive()
    }
}

/// One entry of a cache, decoded no further than asked. Keeps the heads of those that were fetched with it too, 256 at
/// most.
#[derive(Clone)]
pub struct StoredEntry {
    page: Arc<Page>,
    index: usize,
}

impl StoredEntry {
    fn found(&self) -> &Candidate {
        // Who made it looked there.
        &self.page.found[self.index]
    }

    /// Its number: larger means stored later. See [`EntryRange::after`].
    pub fn id(&self) -> EntryId {
        self.found().id
    }

    /// The serialised URL it is stored under, fragment included.
    pub fn url(&self) -> &str {
        self.found().entry.url()
    }

    /// When it was stored, by the clock of the machine that did.
    pub fn stored_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(self.found().stored_at_ms)
    }

    /// When a look-up last answered with it, to the minute. `None`: never, or the store lost it.
    ///
    /// [`Cache::match_`] counts, and [`CacheStorage::match_`](crate::CacheStorage::match_). On disk, what was counted
    /// since the last checkpoint is lost when the process is killed; closing the store keeps it.
    pub fn last_used(&self) -> Option<SystemTime> {
        self.found().uses.last_used_ms().map(|ms| SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(ms))
    }

    /// How many look-ups answered with it, as far as [`last_used`](Self::last_used) knows.
    pub fn hits(&self) -> u64 {
        self.found().uses.hits()
    }

    pub(crate) fn stored_at_ms(&self) -> u64 {
        self.found().stored_at_ms
    }

    pub(crate) fn encoded(&self) -> &Entry {
        &self.found().entry
    }

    /// Its body, whatever a policy says.
    pub(crate) fn body(&self) -> Option<Body> {
        body_of(&self.found().body)
    }

    /// The length of its body in bytes; `None` where the body is null.
    pub fn body_length(&self) -> Option<u64> {
        match &self.found().body {
            CandidateBody::Null => None,
            body => Some(body.length()),
        }
    }

    /// What script may see of the response.
    pub fn kind(&self) -> ResponseType {
        self.found().entry.kind()
    }

    /// The response's internal status.
    pub fn status(&self) -> u16 {
        self.found().entry.status()
    }

    /// The response's internal header list.
    pub fn response_headers(&self) -> HeaderList {
        self.found().entry.response_headers()
    }

    /// Whether no budget evicts it: see [`CacheStorage::pinning`](crate::CacheStorage::pinning).
    pub fn is_pinned(&self) -> bool {
        self.found().entry.is_pinned()
    }

    /// Whom the response belongs to, where it is not for everybody.
    pub fn personal(&self) -> Option<CredentialHash> {
        self.found().entry.personal()
    }

    /// The request it is stored under.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`](crate::Error::Damaged): it cannot be decoded.
    pub fn request(&self) -> Result<RequestHead> {
        self.found().entry.request()
    }

    /// The response, whoever it belongs to. Its body streams, and stays complete whatever happens to
    /// the entry.
    ///
    /// # Errors
    ///
    /// * [`Error::Damaged`](crate::Error::Damaged): it cannot be decoded.
    /// * [`Error::Type`](crate::Error::Type): it is opaque and may not be read from here, see
    ///   [`CacheStorage::with_embedder_policy`](crate::CacheStorage::with_embedder_policy).
    pub fn response(&self) -> Result<Response> {
        let response = response_of(self.found())?;
        check_readable(&response.head, &self.page.cache.reader)?;
        Ok(response)
    }
}

/// Without its headers and its body.
impl fmt::Debug for StoredEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("StoredEntry");
        shown.field("id", &self.id()).field("url", &self.url()).field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Cache {
    /// Walks over the entries of `range`, oldest first, in memory that does not depend on how many
    /// there are.
    ///
    /// Not a snapshot: an entry that is stored during the walk comes at its end, one that is deleted
    /// before the walk reaches it does not come, and none comes twice. Entries that belong to one
    /// visitor come too: this is for whoever manages the cache.
    ///
    /// ```
    /// use waystore::{EntryRange, Response, Waystore};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let cache = Waystore::in_memory().caches("https://shop.example")?.open("v1").await?;
    /// for (url, body) in [("/", "home"), ("/products/1", "pear"), ("/products/2", "plum")] {
    ///     cache.put(url, Response::new(body)).await?;
    /// }
    /// let mut products = cache.entries(&EntryRange::all().under("/products/"))?;
    /// while let Some(entry) = products.next().await? {
    ///     assert_eq!((entry.status(), entry.body_length(), entry.hits()), (200, Some(4), 0));
    /// }
    /// # Ok::<(), waystore::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Type`](crate::Error::Type): the prefix is neither a path nor the start of a URL.
    pub fn entries(&self, range: &EntryRange) -> Result<Entries> {
        Ok(Entries {
            prefix: range.absolute_prefix(&self.base)?,
            after: range.after,
            page: Arc::new(Page { cache: Arc::new(self.clone()), found: Vec::new() }),
            next: 0,
            ended: false,
        })
    }

    /// Returns the entries that are recorded and whose bodies still stream
    /// ([`PutLevel::Recorded`](crate::PutLevel::Recorded)), in the order of their puts. Their lengths are
    /// what has come so far. [`entries`](Self::entries) does not have them yet.
    ///
    /// ```
    /// use waystore::{Body, PutLevel, Response, Waystore};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let cache = Waystore::in_memory().caches("https://shop.example")?.open("v1").await?;
    /// let never_ends = Body::from_stream(futures::stream::pending(), None);
    /// cache.put_with("/live", Response::new(never_ends), PutLevel::Recorded).await?;
    /// assert_eq!(cache.recording()[0].url(), "https://shop.example/live");
    /// # Ok::<(), waystore::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recording(&self) -> Vec<StoredEntry> {
        let of_list = self.shared.recorded.of(self.list.id());
        let found: Vec<_> = of_list.iter().map(|put| put.candidate().clone()).collect();
        let page = Arc::new(Page { cache: Arc::new(self.clone()), found });
        (0..of_list.len()).map(|index| StoredEntry { page: Arc::clone(&page), index }).collect()
    }
}
