//! [`Cache::add`] and [`Cache::add_all`]: fetch, check, store together.
//!
//! Knows the order of the checks; the network is the caller's [`Fetch`].

use futures::{StreamExt, TryStreamExt, stream};

use super::{Cache, Prepared, write::unless_aborted};
use crate::{
    Error, Fetch, FetchError, Request, Result,
    info::RequestInfo,
    spec::batch::{check_added, check_storable},
};

/// Fetches of one call that run at a time.
const AT_ONCE: usize = 32;

impl Cache {
    /// Fetches `request` and stores the response under it: [`add_all`](Self::add_all) of one.
    ///
    /// # Errors
    ///
    /// As for [`add_all`](Self::add_all).
    pub async fn add<'a>(&self, fetch: &dyn Fetch, request: impl Into<RequestInfo<'a>> + Send) -> Result<()> {
        self.add_all(fetch, [request]).await
    }

    /// Fetches all `requests` and stores the responses under them, whole or not at all.
    ///
    /// A request is done when its body is; 32 run at a time, and the first failure drops the rest.
    ///
    /// Spec: <https://w3c.github.io/ServiceWorker/#cache-addall>
    ///
    /// # Errors
    ///
    /// * [`Error::Type`]: a URL is not HTTP(S) or a method not `GET` (nothing is fetched then); a
    ///   status is not 200 to 299, or is 206; `Vary` names `*`.
    /// * [`Error::Fetch`]: there is no response.
    /// * [`Error::Aborted`]: a request's signal was aborted before its body ended.
    /// * [`Error::Duplicate`]: a request matches an earlier one.
    /// * Those of [`put`](Self::put).
    pub async fn add_all<'a, R>(&self, fetch: &dyn Fetch, requests: impl IntoIterator<Item = R> + Send) -> Result<()>
    where
        R: Into<RequestInfo<'a>>,
    {
        let resolve = |request: R| Ok(request.into().resolve(&self.base)?.into_owned());
        let requests = requests.into_iter().map(resolve).collect::<Result<Vec<Request>>>()?;
        for request in &requests {
            check_storable(&request.head)?;
        }
        let fetches = requests.into_iter().enumerate().map(|(index, request)| async move {
            let signal = request.signal.clone();
            Ok::<_, Error>((index, unless_aborted(signal.as_ref(), self.add_one(fetch, request)).await?))
        });
        let mut done: Vec<(usize, Prepared)> = stream::iter(fetches).buffer_unordered(AT_ONCE).try_collect().await?;
        done.sort_by_key(|(index, _)| *index);
        let prepared: Vec<_> = done.into_iter().map(|(_, prepared)| prepared).collect();
        if prepared.is_empty() { Ok(()) } else { self.commit(prepared).await.map(drop) }
    }

    async fn add_one(&self, fetch: &dyn Fetch, request: Request) -> Result<Prepared> {
        let response = match fetch.fetch(request.without_body()).await {
            Ok(response) => response,
            Err(FetchError::Aborted) => return Err(Error::Aborted),
            Err(error) => return Err(Error::Fetch { url: request.head.url, reason: error.to_string() }),
        };
        check_added(&request.head, &response.head)?;
        self.prepare_put(request, response).await
    }
}
