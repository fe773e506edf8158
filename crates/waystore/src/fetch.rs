//! How `add` gets its responses: the network is the caller's.

use async_trait::async_trait;

use crate::{Request, Response};

/// Fetches. The library knows no network; who calls [`Cache::add`](crate::Cache::add) brings one.
///
/// ```
/// use waystore::{Fetch, FetchError, Request, Response, Waystore};
///
/// struct Network;
///
/// #[async_trait::async_trait]
/// impl Fetch for Network {
///     async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
///         match request.url.path() {
///             "/pear" => Ok(Response::new("sweet")),
///             _ => Err(FetchError::Network("connection refused".into())),
///         }
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let cache = Waystore::in_memory().caches("https://shop.example")?.open("v1").await?;
/// cache.add(&Network, "/pear").await?;
/// assert!(cache.add(&Network, "/plum").await.is_err());
/// # Ok::<(), waystore::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[async_trait]
pub trait Fetch: Send + Sync {
    /// Fetches `request`: redirects followed by its mode, content codings removed from the body,
    /// resolved when the head is there. A network error is an `Err`; a status is not.
    ///
    /// Spec: <https://fetch.spec.whatwg.org/#fetching>
    async fn fetch(&self, request: Request) -> Result<Response, FetchError>;
}

/// Why there is no response.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The request's signal was aborted.
    #[error("aborted")]
    Aborted,
    /// A [network error](https://fetch.spec.whatwg.org/#concept-network-error), in words.
    #[error("{0}")]
    Network(String),
    /// A network error because whoever fetches does not go there, in words: trying again is of no use.
    #[error("{0}")]
    Refused(String),
    /// Nothing was heard for too long.
    #[error("timed out: {0}")]
    TimedOut(String),
}
