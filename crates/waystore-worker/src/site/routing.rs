//! What answers a request: static routes first, then the script.
//!
//! Spec: <https://w3c.github.io/ServiceWorker/#handle-fetch>

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use http::Method;
use tokio_util::task::AbortOnDropHandle;
use waystore::{CacheName, MultiCacheQueryOptions, Request, Response};

use super::{Inner, Site, events::fallback};
use crate::{
    FallbackReason, FetchEvent, FetchOutcome, Routed,
    accept::refusal,
    isolate::{Fetching, fetched},
    lifecycle::Id,
    routes::Source,
    worker::Worker,
};

/// How a request came to be the script's.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Way {
    /// The worker whose static routes led there.
    pub(super) ruled: Option<Id>,
    /// Whether the network was asked already.
    pub(super) raced: bool,
}

/// Whom a request goes to.
enum Addressee {
    /// The active worker, activated or about to be.
    Worker(Arc<Worker>),
    /// A worker yet to come, if one comes.
    Nobody,
    /// The upstream: the worker is switched off.
    Upstream,
}

impl Site {
    /// Where a static route of the active worker leads a request past its script: to a cache, to the network.
    ///
    /// Never waits for a worker, and makes no event. `None`: the script is to be asked, or there is none to ask; the
    /// event is for [`fetch`](Self::fetch). For hosts that prepare something for every event: what is routed needs none
    /// of it. The body of the request is not looked at; it may be put in afterwards.
    ///
    /// ```
    /// # use waystore_worker::{FetchEvent, FetchOutcome, Routed, Site};
    /// # async fn example(site: Site, event: FetchEvent) {
    /// match site.fetch_routed(&event).await {
    ///     Some(Routed::Answer { response, .. }) => println!("{}", response.status),
    ///     Some(Routed::Network { .. }) => println!("the network answers {}", event.request.url),
    ///     Some(Routed::Refused { reason, .. }) => println!("nothing answers: {reason}"),
    ///     None => drop(site.fetch(event).await),
    /// }
    /// # }
    /// ```
    pub async fn fetch_routed(&self, event: &FetchEvent) -> Option<Routed> {
        let worker = self.inner.routing_worker()?;
        let source = worker.route(&event.request).filter(|source| !source.needs_script())?;
        self.inner.control(&event.resulting_client_id);
        let found = match source {
            Source::CacheName(name) => self.inner.find_cached(&worker, &event.request, Some(name)).await,
            Source::Cache => self.inner.find_cached(&worker, &event.request, None).await,
            _ => None,
        };
        let version = worker.version.clone();
        let refusal = found.as_ref().and_then(|response| refusal(&event.request, response));
        let routed = match (found, refusal) {
            (None, _) => Routed::Network { version },
            (Some(_), Some(reason)) => Routed::Refused { reason: reason.to_owned(), version },
            (Some(response), None) => Routed::Answer { response: Box::new(response), version },
        };
        self.inner.counts.fetch_events.add();
        self.inner.counts.count_routed(&routed);
        Some(routed)
    }
}

impl Inner {
    pub(super) async fn fetch(self: &Arc<Self>, event: FetchEvent) -> FetchOutcome {
        if self.closed.is_cancelled() {
            return fallback(event.request, FallbackReason::Stopped, None);
        }
        match self.fetch_addressee() {
            Addressee::Upstream => fallback(event.request, FallbackReason::Off, None),
            Addressee::Worker(worker) => {
                self.control(&event.resulting_client_id);
                self.follow_routes(&worker, event).await
            }
            Addressee::Nobody => self.ask_script(event, Way::default()).await,
        }
    }

    /// The worker whose static routes count at this moment.
    fn routing_worker(&self) -> Option<Arc<Worker>> {
        match self.fetch_addressee() {
            Addressee::Worker(worker) if !self.closed.is_cancelled() => Some(worker),
            _ => None,
        }
    }

    /// The active worker has the client that a navigation is about to make, whatever it says to the request.
    pub(super) fn control(&self, resulting_client_id: &str) {
        if !resulting_client_id.is_empty() {
            self.roster.control_reserved(resulting_client_id);
        }
    }

    /// Whom a request goes to at this moment.
    fn fetch_addressee(&self) -> Addressee {
        let life = self.life();
        if life.off {
            return Addressee::Upstream;
        }
        let active = life.cycle.active.filter(|_| !life.cycle.unregistered);
        active.and_then(|active| life.workers.get(&active.id)).cloned().map_or(Addressee::Nobody, Addressee::Worker)
    }

    /// Sends a request where the static routes of `worker` lead, without script if they do not lead there.
    pub(super) async fn follow_routes(self: &Arc<Self>, worker: &Arc<Worker>, event: FetchEvent) -> FetchOutcome {
        match worker.route(&event.request) {
            None | Some(Source::FetchEvent) => {
                self.ask_script(event, Way { ruled: Some(worker.id), raced: false }).await
            }
            Some(Source::Network) => fallback(event.request, FallbackReason::Routed, Some(worker.version.clone())),
            Some(Source::Cache) => self.cached_answer(worker, event.request, None).await,
            Some(Source::CacheName(name)) => self.cached_answer(worker, event.request, Some(name)).await,
            Some(Source::Race) if event.request.method == Method::GET && event.request.body.is_none() => {
                self.race(worker, event).await
            }
            Some(Source::Race) => self.ask_script(event, Way { ruled: Some(worker.id), raced: false }).await,
        }
    }

    /// The same, for a worker that took the place of the one whose routes came first.
    pub(super) fn follow_other_routes(
        self: Arc<Self>,
        worker: Arc<Worker>,
        event: FetchEvent,
    ) -> BoxFuture<'static, FetchOutcome> {
        async move { self.follow_routes(&worker, event).await }.boxed()
    }

    /// The answer of one cache, or of the first that has one; the network's where none has.
    async fn cached_answer(&self, worker: &Worker, request: Request, cache_name: Option<CacheName>) -> FetchOutcome {
        let version = worker.version.clone();
        match self.find_cached(worker, &request, cache_name).await {
            Some(response) => answered(&request, response, version),
            None => fallback(request, FallbackReason::Routed, Some(version)),
        }
    }

    /// What one cache has, or the first that has something.
    async fn find_cached(&self, worker: &Worker, request: &Request, cache_name: Option<CacheName>) -> Option<Response> {
        let options = MultiCacheQueryOptions { cache_name, ..MultiCacheQueryOptions::default() };
        self.ground.caches.match_(request, options).await.unwrap_or_else(|error| {
            tracing::error!(
                version = worker.version, url = %request.url, %error,
                "a cache that a route leads to cannot be read; the network answers"
            );
            None
        })
    }

    /// Asks script and network at once: the network's answer counts first if it is ok, the script's
    /// whatever it is. A script that leaves the request leaves it to the answer that is on its way.
    async fn race(self: &Arc<Self>, worker: &Arc<Worker>, event: FetchEvent) -> FetchOutcome {
        let (request, version) = (event.request.without_body(), worker.version.clone());
        let mut network = self.begin_fetch(request.without_body());
        // In a task of its own: the event takes its course whoever wins.
        let (this, way) = (Arc::clone(self), Way { ruled: Some(worker.id), raced: true });
        let mut script = self.ground.runtime.spawn(async move { this.ask_script(event, way).await });
        let mut came = None;
        let asked = loop {
            tokio::select! {
                biased;
                response = &mut network, if came.is_none() => match fetched(response) {
                    Ok(response) if response.ok() => return answered(&request, response, version),
                    other => came = Some(other),
                },
                outcome = &mut script => break outcome,
            }
        };
        let fails = |reason: String| FetchOutcome::NetworkError { reason, version: version.clone() };
        match asked {
            Ok(FetchOutcome::Fallback { .. }) => {
                let came = match came {
                    Some(came) => came,
                    None => fetched(network.await),
                };
                match came {
                    Ok(response) => answered(&request, response, version),
                    Err(error) => fails(error.to_string()),
                }
            }
            Ok(outcome) => outcome,
            Err(error) => fails(format!("the event ended early: {error}")),
        }
    }

    /// A fetch past the worker, which is aborted where nobody waits for it any more.
    pub(super) fn begin_fetch(&self, request: Request) -> Fetching {
        let fetch = Arc::clone(&self.ground.host.fetch);
        AbortOnDropHandle::new(self.ground.runtime.spawn(async move { fetch.fetch(request).await }))
    }
}

/// What answers in the place of the script answers by the same rules.
fn answered(request: &Request, response: Response, version: String) -> FetchOutcome {
    match refusal(request, &response) {
        None => FetchOutcome::Response { response: Box::new(response), version },
        Some(reason) => FetchOutcome::NetworkError { reason: reason.to_owned(), version },
    }
}
