//! One cache: the methods of the [`Cache` interface][spec], carried out on a store.
//!
//! Reads candidates, asks `spec/` what to do, and does it; decides nothing itself.
//!
//! [spec]: https://w3c.github.io/ServiceWorker/#cache-interface

mod add;
mod commit;
mod entries;
mod explain;
mod flight;
mod level;
mod write;

use std::{fmt, sync::Arc};

use url::Url;

pub(crate) use self::{
    commit::{Part, Prepared, commit_parts},
    flight::{Flights, Landing, Lead},
};
pub use self::{
    entries::{Entries, EntryRange, StoredEntry},
    explain::{Considered, Explanation, Verdict},
    level::PutLevel,
};

use crate::{
    Body, CacheName, CachePolicies, CacheQueryOptions, Clock, Error, Request, Response, ResponseHead, ResponseSource,
    ResponseType, Result, Spooler, StorageKey,
    buckets::{Life, places},
    info::{RequestFilter, RequestInfo, Resolved},
    policy::Pin,
    recorded::overlay,
    shared::Shared,
    spec::{
        audience::Audience,
        batch::check_put,
        corp::{Reader, check_readable},
        query::{may_match, query_cache},
        url_key::{without_fragment, without_query},
    },
    store::{Candidate, CandidateBody, List, Read, Store, UrlMatch},
};

/// Entries found by a look-up whose bodies are brought near before one of them is chosen.
pub(crate) const FEW: usize = 2;

/// A handle on one cache. Any number of handles may stand for the same cache; what one writes, all
/// see. A handle keeps working after its cache's name was deleted.
///
/// ```
/// use waystore::{CacheQueryOptions, Response, Waystore};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let caches = Waystore::in_memory().caches("https://shop.example")?;
/// let cache = caches.open("v1").await?;
/// cache.put("/hello", Response::new("hello")).await?;
/// let hit = cache.match_("/hello#top", CacheQueryOptions::default()).await?.expect("it was put");
/// assert_eq!(hit.body.expect("it has a body").collect(1024).await?, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Cache {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) key: StorageKey,
    pub(crate) list: List,
    pub(crate) base: Arc<Url>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) reader: Arc<Reader>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) keeping: Keeping,
    /// The bucket it is in, where that has a name.
    pub(crate) bucket: Option<Arc<Life>>,
}

/// How what a handle stores is kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keeping {
    /// What the entries of a cache that are not pinned may be charged together.
    pub(crate) budget_bytes: Option<u64>,
    /// Whether what is stored is pinned.
    pub(crate) pin: Pin,
    /// When a put resolves.
    pub(crate) level: PutLevel,
    /// How the caches of the origin are kept, where that was said.
    pub(crate) policies: Option<Arc<CachePolicies>>,
}

/// One step of a batch. Spec: [cache batch operation](https://w3c.github.io/ServiceWorker/#dfn-cache-batch-operation)
#[derive(Debug)]
pub enum BatchOperation {
    /// Store the response under the request.
    Put {
        /// The request.
        request: Request,
        /// The response.
        response: Response,
    },
    /// Remove what the request matches.
    Delete {
        /// The request.
        request: Request,
        /// How to compare.
        options: CacheQueryOptions,
    },
}

impl Cache {
    /// Returns the first response stored under a request that `request` matches.
    ///
    /// Resolves when the entry is found; the body streams afterwards, and stays complete whatever
    /// happens to the entry.
    ///
    /// Spec: <https://w3c.github.io/ServiceWorker/#cache-match>
    ///
    /// # Errors
    ///
    /// * [`Error::Type`]: `request` is text that is not a URL, or a URL with credentials; or one of the
    ///   matches is an opaque response that may not be read from here
    ///   ([`CacheStorage::with_embedder_policy`](crate::CacheStorage::with_embedder_policy)).
    /// * [`Error::Unavailable`], [`Error::Damaged`]: the store.
    pub async fn match_<'a>(
        &self,
        request: impl Into<RequestInfo<'a>>,
        options: CacheQueryOptions,
    ) -> Result<Option<Response>> {
        let request = request.into().resolve(&self.base)?;
        let candidates = self.candidates(&request, options).await?;
        // While it is decided which of them matches.
        candidates.iter().take(FEW).for_each(Candidate::bring_near);
        let found = query_cache(&candidates, &request.head, options, Audience::of(request.visitor));
        if let Some(first) = found.first() {
            self.shared.note_use(first, &self.clock);
        }
        first_readable(&found, &request.url, &self.reader)
    }

    /// Returns the responses stored under the requests that `request` matches, oldest first; with
    /// `()`, all of them.
    ///
    /// Spec: <https://w3c.github.io/ServiceWorker/#cache-matchall>
    ///
    /// # Errors
    ///
    /// As for [`match_`](Self::match_).
    pub async fn match_all<'a>(
        &self,
        request: impl Into<RequestFilter<'a>>,
        options: CacheQueryOptions,
    ) -> Result<Vec<Response>> {
        let Some(request) = request.into().0 else {
            let all = self.all().await?;
            let shared = all.iter().filter(|candidate| Audience::Anyone.admits(candidate.entry.personal()));
            return readable(shared, &self.reader);
        };
        let request = request.resolve(&self.base)?;
        let candidates = self.candidates(&request, options).await?;
        let found = query_cache(&candidates, &request.head, options, Audience::of(request.visitor));
        readable(found, &self.reader)
    }

    /// Returns the stored requests that `request` matches, oldest first; with `()`, all of them.
    ///
    /// Spec: <https://w3c.github.io/ServiceWorker/#cache-keys>
    ///
    /// # Errors
    ///
    /// As for [`match_`](Self::match_).
    pub async fn keys<'a>(
        &self,
        request: impl Into<RequestFilter<'a>>,
        options: CacheQueryOptions,
    ) -> Result<Vec<Request>> {
        let request_of = |candidate: &Candidate| Ok(Request::from(candidate.entry.request()?));
        let Some(request) = request.into().0 else {
            return self.all().await?.iter().map(request_of).collect();
        };
        let request = request.resolve(&self.base)?;
        let candidates = self.candidates(&request, options).await?;
        let found = query_cache(&candidates, &request.head, options, Audience::Owner);
        found.into_iter().map(request_of).collect()
    }

    /// Stores `response` under `request`, in place of every entry that `request` matches.
    ///
    /// The body is read to its end and stored first; the entry becomes visible to others at once
    /// and whole, or not at all, unless the handle is of another level
    /// ([`CacheStorage::with_put_level`](crate::CacheStorage::with_put_level)). Memory use does not
    /// depend on the body's length. `Set-Cookie` is never stored.
    ///
    /// Spec: <https://w3c.github.io/ServiceWorker/#cache-put>
    ///
    /// # Errors
    ///
    /// * [`Error::Type`]: the URL is not HTTP(S), the method not `GET`, the status 206, or `Vary`
    ///   names `*`.
    /// * [`Error::Body`], [`Error::Aborted`]: the body failed before its end.
    /// * [`Error::QuotaExceeded`]: there is no room. What was stored before stays.
    pub async fn put<'a>(&self, request: impl Into<RequestInfo<'a>>, response: Response) -> Result<()> {
        self.put_with(request, response, self.keeping.level).await
    }

    /// Checks what [`put`](Self::put) checks before it reads the body: for callers that must not
    /// touch the body of a response that is refused.
    ///
    /// # Errors
    ///
    /// [`Error::Type`]: as for [`put`](Self::put).
    pub fn check_put<'a>(&self, request: impl Into<RequestInfo<'a>>, response: &ResponseHead) -> Result<()> {
        check_put(&request.into().resolve(&self.base)?.head, response)
    }

    /// Stores all pairs at once, or none: see [`batch`](Self::batch).
    ///
    /// # Errors
    ///
    /// As for [`put`](Self::put), and [`Error::Duplicate`] where one request matches an earlier one.
    pub async fn put_all(&self, pairs: impl IntoIterator<Item = (Request, Response)> + Send) -> Result<()> {
        let operations = pairs.into_iter().map(|(request, response)| BatchOperation::Put { request, response });
        self.batch(operations.collect()).await.map(drop)
    }

    /// Removes every entry that `request` matches, and tells whether there was one.
    ///
    /// Spec: <https://w3c.github.io/ServiceWorker/#cache-delete>
    ///
    /// # Errors
    ///
    /// As for [`match_`](Self::match_).
    pub async fn delete<'a>(&self, request: impl Into<RequestInfo<'a>>, options: CacheQueryOptions) -> Result<bool> {
        let request = request.into().resolve(&self.base)?;
        if !may_match(&request.head, options) {
            return Ok(false);
        }
        let removed = self.commit(vec![Prepared::Delete { request: request.into_owned(), options }]).await?;
        Ok(removed.iter().any(|count| *count > 0))
    }

    /// Applies `operations` in order, whole or not at all, and returns how many entries each one
    /// removed. All bodies are read to their ends before anything changes.
    ///
    /// Spec: <https://w3c.github.io/ServiceWorker/#batch-cache-operations-algorithm>
    ///
    /// # Errors
    ///
    /// As for [`put`](Self::put), and [`Error::Duplicate`] where an operation's request matches
    /// what an earlier one of the batch stores.
    pub async fn batch(&self, operations: Vec<BatchOperation>) -> Result<Vec<usize>> {
        check_all(&operations)?;
        self.commit(self.prepare(operations).await?).await
    }

    /// Reads the bodies of checked operations to their ends, one after the other.
    pub(crate) async fn prepare(&self, operations: Vec<BatchOperation>) -> Result<Vec<Prepared>> {
        let mut prepared = Vec::with_capacity(operations.len());
        for operation in operations {
            prepared.push(match operation {
                BatchOperation::Put { request, response } => self.prepare_put(request, response).await?,
                BatchOperation::Delete { request, options } => Prepared::Delete { request, options },
            });
        }
        Ok(prepared)
    }

    /// The same cache, where what is put is pinned.
    pub(crate) fn pinning(&self) -> Self {
        Self { keeping: Keeping { pin: Pin::Always, ..self.keeping.clone() }, ..self.clone() }
    }

    /// Where a tee of a response of this cache's origin puts what it cannot hold.
    pub fn spooler(&self) -> Spooler {
        Spooler::new(Arc::clone(&self.store), self.key.clone())
    }

    /// Commits steps whose bodies are in place; returns how many entries each removed.
    async fn commit(&self, prepared: Vec<Prepared>) -> Result<Vec<usize>> {
        let parts = [Part { list: self.list.clone(), steps: prepared }];
        let removed = loop {
            match commit_parts(&*self.store, &self.shared, &self.clock, &self.key, &parts).await {
                Err(error) if self.evict_for(&error).await? => {}
                done => break done?,
            }
        };
        self.keep_within_budget().await?;
        Ok(removed.into_iter().flatten().collect())
    }

    /// Where a budget evicts entries of this cache, lets those go that make up for `error`, of any cache that has a
    /// budget: of the same bucket, where that is full, or else of the same key. Returns whether it is worth trying again.
    pub(crate) async fn evict_for(&self, error: &Error) -> Result<bool> {
        let Keeping { budget_bytes, policies, .. } = &self.keeping;
        let has_budget =
            |name: &CacheName| policies.as_ref().is_none_or(|policies| policies.of(name).budget_bytes.is_some());
        if budget_bytes.is_none() || !matches!(error, Error::QuotaExceeded { .. }) {
            return Ok(false);
        }
        let places = match self.bucket.as_ref().filter(|bucket| bucket.is_full_by(error)) {
            Some(full) => vec![full.place()],
            None => places(&*self.store, &self.key).await?,
        };
        let budgets = &self.shared.budgets;
        budgets.make_room(&*self.store, &self.clock, (&self.key, &places), &self.list, has_budget, error).await
    }

    pub(crate) async fn keep_within_budget(&self) -> Result<()> {
        let Some(budget) = self.keeping.budget_bytes else { return Ok(()) };
        self.shared.budgets.keep_within(&*self.store, &self.clock, &self.key, &self.list, budget).await
    }

    async fn candidates(&self, request: &Resolved<'_>, options: CacheQueryOptions) -> Result<Vec<Candidate>> {
        if !may_match(&request.head, options) {
            return Ok(Vec::new());
        }
        self.shared.touch(&self.key);
        self.search(url_match(request.url.as_str(), options)).await
    }

    async fn all(&self) -> Result<Vec<Candidate>> {
        self.shared.touch(&self.key);
        self.search(UrlMatch::Any).await
    }

    /// What is stored, with what is recorded laid over it.
    async fn search(&self, url: UrlMatch<'_>) -> Result<Vec<Candidate>> {
        // First: what is committed meanwhile is in what the store says.
        let recorded = self.shared.recorded.of(self.list.id());
        let (_, found) = self.store.candidates(&[Read { list: &self.list, url }]).await?;
        Ok(overlay(found, &recorded, url))
    }
}

/// Without what is stored.
impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("key", &self.key).field("list", &self.list).finish_non_exhaustive()
    }
}

/// Checks what can be checked of operations before a body is read.
pub(crate) fn check_all(operations: &[BatchOperation]) -> Result<()> {
    operations.iter().try_for_each(|operation| match operation {
        BatchOperation::Put { request, response } => check_put(&request.head, &response.head),
        BatchOperation::Delete { .. } => Ok(()),
    })
}

/// How a store narrows a search for `url`.
pub(crate) fn url_match(url: &str, options: CacheQueryOptions) -> UrlMatch<'_> {
    if options.ignore_search {
        UrlMatch::WithoutQuery(without_query(url))
    } else {
        UrlMatch::Exact(without_fragment(url))
    }
}

/// The first of the responses found for `asked`, provided that `reader` may be given all of them.
pub(crate) fn first_readable(found: &[&Candidate], asked: &Url, reader: &Reader) -> Result<Option<Response>> {
    let opaque = found.iter().filter(|candidate| candidate.entry.kind() == ResponseType::Opaque);
    for candidate in opaque {
        check_readable(&candidate.entry.response()?, reader)?;
    }
    let first = found.first();
    first.map(|first| Ok(response_with(first, first.entry.response_to(asked)?))).transpose()
}

/// The responses found, provided that `reader` may be given all of them.
fn readable<'a>(found: impl IntoIterator<Item = &'a Candidate>, reader: &Reader) -> Result<Vec<Response>> {
    let responses = found.into_iter().map(response_of).collect::<Result<Vec<_>>>()?;
    responses.iter().try_for_each(|response| check_readable(&response.head, reader))?;
    Ok(responses)
}

/// The response that a found entry holds.
fn response_of(candidate: &Candidate) -> Result<Response> {
    Ok(response_with(candidate, candidate.entry.response()?))
}

fn response_with(candidate: &Candidate, head: ResponseHead) -> Response {
    Response { head, body: body_of(&candidate.body), source: ResponseSource::Cache }
}

fn body_of(body: &CandidateBody) -> Option<Body> {
    match body {
        CandidateBody::Null => None,
        CandidateBody::Inline(bytes) => Some(Body::from(bytes.clone())),
        CandidateBody::Stored(_) | CandidateBody::Among(..) => body.stored().map(Body::stored),
    }
}
