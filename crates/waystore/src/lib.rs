//! The Cache API of service workers, outside the browser.
//!
//! Named caches per origin hold responses under requests, by rule and not by header: what is put
//! stays until it is deleted, `Vary` keeps variants apart, and nothing ever expires. The methods are
//! those of the [Service Workers standard][spec], so what is known of `caches` in a browser holds
//! here, and the cases of its conformance suite run over every store ([`store`]).
//!
//! ```
//! use waystore::{CacheQueryOptions, Request, Response, Waystore};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Waystore::in_memory(); // or `Waystore::open("data").await?`
//! let caches = store.caches("https://shop.example")?;
//! let cache = caches.open("v1").await?;
//!
//! let request = Request::get("https://shop.example/bananas")?.header("accept-language", "en");
//! let response = Response::new("Bananas").header("vary", "accept-language");
//! cache.put(&request, response).await?;
//!
//! let hit = cache.match_(&request, CacheQueryOptions::default()).await?.expect("it was put");
//! assert_eq!(hit.body.expect("it has a body").collect(1024).await?, "Bananas");
//!
//! let german = Request::get("https://shop.example/bananas")?.header("accept-language", "de");
//! assert!(caches.match_(&german, CacheQueryOptions::default()).await?.is_none());
//! # Ok(())
//! # }
//! ```
//!
//! # Where to start
//!
//! * [`Waystore`] is a store of many origins, [`CacheStorage`] the caches of one, [`Cache`] one of them.
//! * [`Request`] and [`Response`] are Fetch's; `http`'s types are one conversion away.
//! * [`Body`] streams: no body is ever whole in memory, unless it is small.
//! * [`Fetch`] is the network that [`Cache::add`] is given: the library knows none.
//! * [`store::Store`] is the seam for a store of one's own; `testing` (feature `testing`) checks it.
//!
//! [spec]: https://w3c.github.io/ServiceWorker/

mod abort;
mod body;
mod budget;
mod cache;
mod clock;
mod error;
mod fetch;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod headers;
mod info;
mod key;
mod name;
mod quota;
mod recorded;
mod request;
mod response;
mod shared;
mod spec;
mod storage;
pub mod store;
#[cfg(any(test, feature = "testing"))]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a case of the suite fails by panicking")]
pub mod testing;
mod transfer;
mod values;
mod visitor;

pub use self::{
    abort::AbortSignal,
    body::{Body, Spooler},
    cache::{BatchOperation, Cache, Considered, Entries, EntryRange, Explanation, PutLevel, StoredEntry, Verdict},
    clock::Clock,
    error::{BodyError, Error, Result, SharedError},
    fetch::{Fetch, FetchError},
    headers::{HeaderList, Iter as HeaderIter},
    info::{RequestFilter, RequestInfo},
    key::{Bottle, Place, StorageKey},
    name::CacheName,
    quota::{Estimate, Limits},
    request::{Referrer, Request, RequestBody, RequestHead, parse_request_url},
    response::{Response, ResponseHead, ResponseSource},
    shared::KeyGuard,
    spec::CacheQueryOptions,
    storage::{CacheStorage, MultiCacheQueryOptions, Waystore},
    values::{
        Destination, EmbedderPolicy, ReferrerPolicy, RequestCache, RequestCredentials, RequestMode, RequestRedirect,
        ResponseType,
    },
    visitor::{CredentialHash, Visitor},
};

/// The README's example runs with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
