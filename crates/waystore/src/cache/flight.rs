//! A look-up that goes to the network where nothing is found, once for all who ask at the same time.
//!
//! Not in the standard: what every caller of `match` and `put` writes by hand, without the stampede.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::watch;

use super::Cache;
use crate::{
    CacheQueryOptions, Error, Fetch, FetchError, PutLevel, Request, RequestCache, RequestCredentials, RequestMode,
    RequestRedirect, Response, Result,
    info::RequestInfo,
    spec::{batch::check_put, url_key::without_fragment},
    store::ListId,
};

/// The fetches under way. One waits for nothing; those who come later wait for it.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<HashMap<FlightKey, watch::Receiver<Landing>>>);

/// What makes two requests the same: the cache, and all that the response may depend on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct FlightKey {
    list: ListId,
    url: String,
    headers: Bytes,
    modes: (RequestMode, RequestCredentials, RequestCache, RequestRedirect),
    integrity: String,
}

/// How a fetch ended, for those who wait for it. Where its end comes first, it brought nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Landing {
    UnderWay,
    /// There is an entry.
    Stored,
    /// There is a response, and it is not to be stored: nobody else has a use for it.
    NotStored,
}

/// Held while one fetches for all.
pub(crate) struct Lead {
    flights: Arc<Flights>,
    key: FlightKey,
    landing: Landing,
    landed: watch::Sender<Landing>,
}

enum Boarding {
    Lead(Lead),
    Wait(watch::Receiver<Landing>),
}

impl Cache {
    /// Returns the response that `request` matches; where there is none, fetches it, stores it as
    /// [`PutLevel::Recorded`] and returns it. While one fetches, others who ask for the same in this
    /// process wait for its response, and read the body along with it.
    ///
    /// The same is: the same cache, URL, request headers and modes. Where the one who fetches fails or
    /// gives up, one of the others fetches in its place. Whoever has waited for `wait` in vain fetches
    /// alone, and so do all where the response is not to be stored: its status is not 200 to 299, or
    /// [`put`](Self::put) would refuse it, or it is personal. Such a response is given back all the same,
    /// and so is one that there is no room for. Requests of a visitor ([`Request::visitor`]) never wait for
    /// each other.
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
    ///
    /// # Panics
    ///
    /// Where one has to wait on a Tokio runtime that was built without its timer.
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
        let mut waited = pin!(None);
        loop {
            let mut flight = match self.shared.flights.board(self.list.id(), &request) {
                Boarding::Wait(flight) => flight,
                Boarding::Lead(lead) => {
                    // Another may have landed since the look-up.
                    return match self.match_(&request, CacheQueryOptions::default()).await? {
                        Some(hit) => Ok(hit),
                        None => self.fetch_and_record(fetch, request, Some(lead)).await,
                    };
                }
            };
            if waited.is_none() {
                waited.set(Some(tokio::time::sleep(wait)));
            }
            let waited = waited.as_mut().as_pin_mut().expect("it was just set");
            let landing = tokio::select! {
                biased;
                landed = flight.wait_for(|landing| *landing != Landing::UnderWay) => landed.map(|landing| *landing).ok(),
                () = waited => Some(Landing::NotStored),
            };
            if let Some(hit) = self.match_(&request, CacheQueryOptions::default()).await? {
                return Ok(hit);
            }
            if landing == Some(Landing::NotStored) {
                return self.fetch_and_record(fetch, request, None).await;
            }
            // It brought nothing, or what it brought is deleted already: one of those who wait leads now.
        }
    }

    /// Waits for the fetch of the same that is under way, and tells how it ended; `Err` where there is none: whoever
    /// asks fetches for all then, for as long as they hold what they are given.
    pub(crate) async fn turn_to_fetch(&self, request: &Request) -> Result<Option<Landing>, Lead> {
        match self.shared.flights.board(self.list.id(), request) {
            Boarding::Lead(lead) => Err(lead),
            Boarding::Wait(mut flight) => {
                let landed = flight.wait_for(|landing| *landing != Landing::UnderWay).await;
                Ok(landed.ok().map(|landing| *landing))
            }
        }
    }

    async fn fetch_and_record(&self, fetch: &dyn Fetch, request: Request, lead: Option<Lead>) -> Result<Response> {
        let response = fetch_one(fetch, &request).await?;
        let land = |landing| lead.map(|lead| lead.land(landing));
        let seen_by_who_asks = response.personal.is_none() || request.visitor.is_some();
        if !response.ok() || !seen_by_who_asks || check_put(&request.head, &response.head).is_err() {
            land(Landing::NotStored);
            return Ok(response);
        }
        // Who asks gets the response also where it cannot be stored, or is deleted at once.
        let (own, stored) = response.tee(&self.spooler());
        if let Err(error) = self.put_with(&request, stored, PutLevel::Recorded).await {
            tracing::warn!(url = %request.head.url, %error, "a response that was fetched was not stored");
            land(Landing::NotStored);
            return Ok(own);
        }
        land(Landing::Stored);
        Ok(self.match_(&request, CacheQueryOptions::default()).await?.unwrap_or(own))
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
        let key = FlightKey {
            list,
            url,
            headers: Bytes::copy_from_slice(request.headers.as_encoded()),
            modes: (request.mode, request.credentials, request.cache, request.redirect),
            integrity: request.integrity.clone(),
        };
        let mut flights = self.lock();
        if let Some(landing) = flights.get(&key) {
            return Boarding::Wait(landing.clone());
        }
        let (landed, landing) = watch::channel(Landing::UnderWay);
        flights.insert(key.clone(), landing);
        Boarding::Lead(Lead { flights: Arc::clone(self), key, landing: Landing::UnderWay, landed })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FlightKey, watch::Receiver<Landing>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lead {
    /// Tells those who wait how it ended.
    pub(crate) fn land(mut self, landing: Landing) {
        self.landing = landing;
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        // First: who is told, and finds nothing, must not find this flight again.
        self.flights.lock().remove(&self.key);
        self.landed.send_replace(self.landing);
    }
}
