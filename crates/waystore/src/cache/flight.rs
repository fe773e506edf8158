//! A look-up that goes to the network where nothing is found, once for all who ask at the same time.
//!
//! Not in the standard: what every caller of `match` and `put` writes by hand, without the stampede.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::watch;

use super::Cache;
use crate::{
    CacheQueryOptions, Error, Fetch, FetchError, PutLevel, Request, Response, Result,
    info::RequestInfo,
    spec::{batch::check_put, url_key::without_fragment},
    store::ListId,
};

/// The fetches under way. One waits for nothing; those who come later wait for it.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<HashMap<FlightKey, watch::Receiver<()>>>);

/// What makes two requests the same: the cache, the URL, and all that the response may vary by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct FlightKey {
    list: ListId,
    url: String,
    headers: Bytes,
}

/// Held while one fetches for all.
struct Lead {
    flights: Arc<Flights>,
    key: FlightKey,
    _landed: watch::Sender<()>,
}

enum Boarding {
    Lead(Lead),
    Wait(watch::Receiver<()>),
}

impl Cache {
    /// Returns the response that `request` matches; where there is none, fetches it, stores it as
    /// [`PutLevel::Recorded`] and returns it. While one fetches, others who ask for the same in this
    /// process wait for its response, and read the body along with it.
    ///
    /// The same is: the same cache, URL and request headers. Whoever has waited for `wait` in vain, or
    /// for a response that was not stored, fetches alone. A response is given back without being stored
    /// where its status is not 200 to 299 or [`put`](Self::put) would refuse it. Requests of a visitor
    /// ([`Request::visitor`]) never wait for each other.
    ///
    /// ```
    /// use std::time::Duration;
    /// use waystore::{Fetch, FetchError, Request, Response, Waystore};
    ///
    /// #[derive(Debug)]
    /// struct Network;
    ///
    /// #[async_trait::async_trait]
    /// impl Fetch for Network {
    ///     async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
    ///         Ok(Response::new(format!("fetched {}", request.head.url)))
    ///     }
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
    /// let cache = Waystore::in_memory().caches("https://shop.example")?.open("v1").await?;
    /// let first = cache.match_or_fetch(&Network, "/pear", Duration::from_secs(5)).await?;
    /// assert_eq!(first.body.expect("it has a body").collect(1024).await?, "fetched https://shop.example/pear");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`match_`](Self::match_); [`Error::Fetch`] and [`Error::Aborted`]: nothing was stored and
    /// there is no response.
    pub async fn match_or_fetch<'a>(
        &self,
        fetch: &dyn Fetch,
        request: impl Into<RequestInfo<'a>>,
        wait: Duration,
    ) -> Result<Response> {
        let request = request.into().resolve(&self.base)?.into_owned();
        if let Some(hit) = self.match_(&request, CacheQueryOptions::default()).await? {
            return Ok(hit);
        }
        if request.method != http::Method::GET || request.visitor.is_some() {
            return self.fetch_and_record(fetch, request, None).await;
        }
        match self.shared.flights.board(self.list.id(), &request) {
            Boarding::Lead(lead) => self.fetch_and_record(fetch, request, Some(lead)).await,
            Boarding::Wait(mut landed) => {
                // It never changes: it is dropped when the other has its response, or none.
                let _ = tokio::time::timeout(wait, landed.changed()).await;
                match self.match_(&request, CacheQueryOptions::default()).await? {
                    Some(hit) => Ok(hit),
                    None => self.fetch_and_record(fetch, request, None).await,
                }
            }
        }
    }

    async fn fetch_and_record(&self, fetch: &dyn Fetch, request: Request, lead: Option<Lead>) -> Result<Response> {
        let response = fetch_one(fetch, &request).await?;
        let seen_by_who_asks = response.personal.is_none() || request.visitor.is_some();
        if !response.ok() || !seen_by_who_asks || check_put(&request.head, &response.head).is_err() {
            return Ok(response);
        }
        self.put_with(&request, response, PutLevel::Recorded).await?;
        let found = self.match_(&request, CacheQueryOptions::default()).await;
        drop(lead);
        match found? {
            Some(response) => Ok(response),
            // Somebody deleted it in the meantime.
            None => fetch_one(fetch, &request).await,
        }
    }
}

async fn fetch_one(fetch: &dyn Fetch, request: &Request) -> Result<Response> {
    fetch.fetch(request.without_body()).await.map_err(|error| match error {
        FetchError::Aborted => Error::Aborted,
        error => Error::Fetch { url: request.head.url.clone(), reason: error.to_string() },
    })
}

impl Flights {
    fn board(self: &Arc<Self>, list: ListId, request: &Request) -> Boarding {
        let url = without_fragment(request.url.as_str()).to_owned();
        let key = FlightKey { list, url, headers: Bytes::copy_from_slice(request.headers.as_encoded()) };
        let mut flights = self.lock();
        if let Some(landed) = flights.get(&key) {
            return Boarding::Wait(landed.clone());
        }
        let (sender, landed) = watch::channel(());
        flights.insert(key.clone(), landed);
        Boarding::Lead(Lead { flights: Arc::clone(self), key, _landed: sender })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FlightKey, watch::Receiver<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}
