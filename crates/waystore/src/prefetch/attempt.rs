//! One attempt: from the cache or the network into the cache, and the URLs that the document names.
//!
//! Dropped at any time, it leaves nothing half done.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::Semaphore;
use url::Url;

use super::{
    Outcome, Prefetch, Reason, Source,
    links::{Found, Kind, links_of},
    machine::{Attempted, Task},
    policy::{again_after_ms, refusal},
    progress::Done,
    tap::{Meter, Tap},
};
use crate::{
    AbortSignal, Body, Cache, CacheQueryOptions, Error, Fetch, FetchError, Request, RequestCache, RequestCredentials,
    Response, ResponseHead, ResponseType,
    cache::{Landing, Lead},
};

/// Documents that are searched at a time, of all prefetches of the process: a parsed one takes many times its length.
static SEARCHING: Semaphore = Semaphore::const_new(2);

/// What all attempts of a prefetch share.
pub(super) struct Errand {
    pub(super) plan: Prefetch,
    pub(super) cache: Cache,
    pub(super) fetch: Arc<dyn Fetch>,
    pub(super) meter: Meter,
    pub(super) signal: AbortSignal,
}

impl Errand {
    /// Makes the attempt; `left` is the time that is left for all of them.
    pub(super) async fn attempt(self: Arc<Self>, task: Task, left: Duration) -> Attempted {
        let own = self.plan.limits.attempt_time();
        match tokio::time::timeout(own.min(left), self.get(&task)).await {
            Ok(Ok(attempted)) => attempted,
            Ok(Err(error)) => Done::because(Outcome::Failed, Reason::Store, error.to_string()).into(),
            Err(_) if left < own => {
                let detail = format!("all of it may take {} ms", self.plan.limits.time_ms);
                Done::because(Outcome::Skipped, Reason::Time, detail).into()
            }
            Err(_) => {
                let detail = format!("it took longer than {} ms", own.as_millis());
                again(Done::because(Outcome::Failed, Reason::TimedOut, detail), 0)
            }
        }
    }

    async fn get(&self, task: &Task) -> crate::Result<Attempted> {
        let aborted = AbortOnDrop(self.signal.dependent());
        let request = self.request(&task.url, &aborted.0);
        if !self.plan.refresh
            && let Some(hit) = self.cache.match_(&request, CacheQueryOptions::default()).await?
        {
            return Ok(self.cached(task, hit).await);
        }
        // Whoever wants the same URL waits for it, however they would ask for it: what is stored is for everybody.
        let wanted = Request::from(task.url.clone());
        loop {
            match self.cache.turn_to_fetch(&wanted).await {
                Err(lead) => return Ok(self.lead(task, request, lead).await),
                Ok(landing) => {
                    if let Some(hit) = self.cache.match_(&request, CacheQueryOptions::default()).await? {
                        return Ok(self.cached(task, hit).await);
                    }
                    if landing == Some(Landing::NotStored) {
                        return Ok(self.fetch(task, request).await);
                    }
                }
            }
        }
    }

    /// An anonymous request: what it brings is for everybody.
    fn request(&self, url: &Url, signal: &AbortSignal) -> Request {
        let mut request = Request::from(url.clone());
        request.credentials = RequestCredentials::Omit;
        request.signal = Some(signal.clone());
        if self.plan.refresh {
            request.cache = RequestCache::NoCache;
        }
        request
    }

    async fn lead(&self, task: &Task, request: Request, lead: Lead) -> Attempted {
        // Another may have landed since the look-up.
        if !self.plan.refresh
            && let Ok(Some(hit)) = self.cache.match_(&request, CacheQueryOptions::default()).await
        {
            return self.cached(task, hit).await;
        }
        let attempted = self.fetch(task, request).await;
        match attempted.done.outcome {
            Outcome::Stored => lead.land(Landing::Stored),
            Outcome::Skipped => lead.land(Landing::NotStored),
            // Those who wait try in its place.
            _ => {}
        }
        attempted
    }

    async fn fetch(&self, task: &Task, request: Request) -> Attempted {
        let response = match self.fetch.fetch(request.without_body()).await {
            Ok(response) => response,
            Err(error) => return unfetched(&error),
        };
        let status = shown_status(&response.head);
        let from_network = |done: Done| Done { status, source: Some(Source::Network), ..done };
        if let Some(refused) = refusal(&request, &response, self.plan.override_no_cache) {
            return match again_after_ms(&response) {
                Some(wait) => again(from_network(refused), wait),
                None => from_network(refused).into(),
            };
        }
        let head = response.head.clone();
        let kind = self.kind_of(task, &head);
        let (tap, response) = match self.watched(response, kind) {
            Ok(watched) => watched,
            Err(refused) => return from_network(refused).into(),
        };
        let put = self.cache.put_whole(request, response).await;
        let received = tap.bytes();
        let attempted = match (put, kind) {
            (Err(error), _) => self.unstored(&error, tap.over()),
            (Ok(()), None) => stored(received).into(),
            (Ok(()), Some(kind)) => {
                self.searched(stored(received).into(), kind, tap.take_kept(), base_of(&head, task)).await
            }
        };
        Attempted { done: Done { bytes: received, ..from_network(attempted.done) }, ..attempted }
    }

    fn watched(&self, mut response: Response, kind: Option<Kind>) -> Result<(Tap, Response), Done> {
        let limits = self.plan.limits;
        let Some(body) = response.body.take() else { return Ok((Tap::default(), response)) };
        if body.length().is_some_and(|length| length > limits.response_bytes) {
            return Err(self.over(Reason::ResponseBytes));
        }
        let keep = if kind.is_some() { limits.document_bytes.saturating_add(1) } else { 0 };
        let (tap, body) = Tap::watch(body, limits, self.meter.clone(), keep);
        response.body = Some(body);
        Ok((tap, response))
    }

    /// What is in the cache already.
    async fn cached(&self, task: &Task, hit: Response) -> Attempted {
        let status = shown_status(&hit.head);
        let kind = self.kind_of(task, &hit.head);
        let base = base_of(&hit.head, task);
        let body = match hit.head.kind {
            // Nobody may learn anything of it, not even its length.
            ResponseType::Opaque => Body::empty(),
            _ => hit.body.unwrap_or_default(),
        };
        let keep = if kind.is_some() { self.plan.limits.document_bytes.saturating_add(1) } else { 0 };
        let (bytes, kept) = match beginning(body, keep).await {
            Ok(read) => read,
            Err(error) => {
                let done = Done::because(Outcome::Failed, Reason::Body, error.to_string());
                return again(Done { status, source: Some(Source::Cache), ..done }, 0);
            }
        };
        let done = Done { outcome: Outcome::Cached, status, source: Some(Source::Cache), ..stored(bytes) };
        match kind {
            Some(kind) => self.searched(done.into(), kind, kept, base).await,
            None => done.into(),
        }
    }

    /// Adds what the document names.
    async fn searched(&self, attempted: Attempted, kind: Kind, document: Bytes, base: Url) -> Attempted {
        let Found { links, stopped } = self.search(kind, document, base).await;
        let mut done = attempted.done;
        if let Some(detail) = stopped {
            done.reason = Some(Reason::Document);
            done.detail = Some(detail);
        }
        Attempted { done, links, ..attempted }
    }

    async fn search(&self, kind: Kind, mut document: Bytes, base: Url) -> Found {
        let limits = self.plan.limits;
        let too_long = document.len() > limits.document_bytes;
        let told = || Some(format!("it is longer than the {} bytes that are searched", limits.document_bytes));
        if too_long && kind == Kind::Json {
            return Found { stopped: told(), ..Found::default() };
        }
        document.truncate(limits.document_bytes);
        let _turn = SEARCHING.acquire().await;
        let rules = self.plan.follow.clone();
        let search = move || links_of(kind, &document, &base, &rules, limits.document_urls);
        let found = tokio::task::spawn_blocking(search).await;
        let mut found = found.unwrap_or_else(|error| Found { stopped: Some(error.to_string()), ..Found::default() });
        if too_long && found.stopped.is_none() {
            found.stopped = told();
        }
        found
    }

    /// The kind of the document, if it is to be searched.
    fn kind_of(&self, task: &Task, head: &ResponseHead) -> Option<Kind> {
        if !task.follow || !head.shows_header(b"content-type") {
            return None;
        }
        let content_type = head.headers.get_text("content-type")?;
        Kind::of(&content_type).filter(|kind| kind.has_rule(&self.plan.follow))
    }

    fn unstored(&self, error: &Error, over: Option<Reason>) -> Attempted {
        match (over, error) {
            (Some(reason), _) => self.over(reason).into(),
            (None, Error::QuotaExceeded { .. }) => {
                Done::because(Outcome::Skipped, Reason::Quota, error.to_string()).into()
            }
            (None, Error::Body(cause)) => again(Done::because(Outcome::Failed, Reason::Body, cause.to_string()), 0),
            (None, Error::Type { .. }) => Done::because(Outcome::Skipped, Reason::Unstorable, error.to_string()).into(),
            (None, Error::Aborted) => Done::because(Outcome::Aborted, Reason::Aborted, "it was aborted").into(),
            (None, _) => Done::because(Outcome::Failed, Reason::Store, error.to_string()).into(),
        }
    }

    fn over(&self, reason: Reason) -> Done {
        let limits = &self.plan.limits;
        let detail = match reason {
            Reason::Bytes => format!("all of it may have {} bytes", limits.bytes),
            _ => format!("its body is longer than {} bytes", limits.response_bytes),
        };
        Done::because(Outcome::Skipped, reason, detail)
    }
}

/// Aborts the fetch where the attempt is dropped, since what fetches may be a task of its own.
struct AbortOnDrop(AbortSignal);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn unfetched(error: &FetchError) -> Attempted {
    let reason = match error {
        FetchError::Aborted => return Done::because(Outcome::Aborted, Reason::Aborted, "it was aborted").into(),
        FetchError::Refused(words) => return Done::because(Outcome::Failed, Reason::Network, words.clone()).into(),
        FetchError::TimedOut(_) => Reason::TimedOut,
        FetchError::Network(_) => Reason::Network,
    };
    again(Done::because(Outcome::Failed, reason, error.to_string()), 0)
}

fn again(done: Done, after_ms: u64) -> Attempted {
    Attempted { again_after_ms: Some(after_ms), ..Attempted::from(done) }
}

fn stored(bytes: u64) -> Done {
    Done { outcome: Outcome::Stored, status: None, bytes, source: None, reason: None, detail: None, followed: None }
}

/// The status that script may see.
fn shown_status(head: &ResponseHead) -> Option<u16> {
    Some(head.visible_status()).filter(|status| *status > 0)
}

/// What the URLs of a document are relative to: where it came from, redirects included.
fn base_of(head: &ResponseHead, task: &Task) -> Url {
    head.url_list.last().unwrap_or(&task.url).clone()
}

/// The length of a body and its first `keep` bytes. It is read no further than that where its length is known.
async fn beginning(mut body: Body, keep: usize) -> crate::Result<(u64, Bytes)> {
    let length = body.length();
    let mut read = 0;
    let mut kept = Vec::new();
    while length.is_none() || kept.len() < keep {
        let Some(chunk) = body.next().await else { break };
        let chunk = chunk?;
        read += chunk.len() as u64;
        kept.extend_from_slice(&chunk[..chunk.len().min(keep - kept.len())]);
    }
    Ok((length.unwrap_or(read), kept.into()))
}
