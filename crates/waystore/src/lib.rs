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
//! * [`Request`] and [`Response`] are Fetch's; `http`'s types are one conversion away, and
//!   [`Body::from_http`] takes the body of any HTTP library.
//! * [`Body`] streams: no body is ever whole in memory, unless it is small.
//! * [`Fetch`] is the network that [`Cache::add`] and [`Cache::match_or_fetch`] are given: the library
//!   knows none.
//! * [`prefetch::Prefetch`] fetches ahead what somebody will need: a plan, with rules to follow and limits.
//! * [`store::Store`] is the seam for a store of one's own; `testing` (feature `testing`) checks it.
//!
//! # What to know
//!
//! **Nothing expires.** `Cache-Control` and its kin are kept and not obeyed. An entry goes when it is deleted
//! or replaced, or when a limit was set that evicts it ([`CacheStorage::with_budget`],
//! [`Waystore::set_eviction`]).
//!
//! **All or nothing.** A batch, an `add_all`, an import is seen whole or not at all, by everybody, also after
//! a crash. On an error the cache is as it was.
//!
//! **What is acknowledged is there.** A put that returned survives the end of the process. Power loss takes
//! the last second or so unless the store is [strict](store::disk::Durability::Strict), or the put
//! [`PutLevel::Durable`]; never does it leave half of anything.
//!
//! **One process writes.** A second one that opens the directory is refused with [`Error::Locked`];
//! [`Waystore::open_read_only`] looks at it as it is.
//!
//! **Dropping is safe.** A future that is dropped, or not polled any more, leaves no half entry and holds up
//! nobody else.
//!
//! [spec]: https://w3c.github.io/ServiceWorker/

mod abort;
mod body;
mod buckets;
mod budget;
mod cache;
mod checksum;
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
mod policy;
pub mod prefetch;
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
mod waystore;

pub use self::{
    abort::AbortSignal,
    body::{Body, Spooler},
    buckets::{BucketOptions, StorageBucket, StorageBuckets, is_bucket_name},
    cache::{BatchOperation, Cache, Considered, Entries, EntryRange, Explanation, PutLevel, StoredEntry, Verdict},
    clock::Clock,
    error::{BodyError, Error, Result, SharedError},
    fetch::{Fetch, FetchError},
    headers::{HeaderList, Iter as HeaderIter},
    info::{RequestFilter, RequestInfo},
    key::{Bottle, Place, StorageKey},
    name::CacheName,
    policy::{CachePolicies, CachePolicy},
    quota::{Estimate, Limits},
    request::{Referrer, Request, RequestBody, RequestHead, parse_request_url},
    response::{Response, ResponseHead, ResponseSource},
    shared::KeyGuard,
    spec::{CacheQueryOptions, is_same_site},
    storage::{CacheStorage, MultiCacheQueryOptions},
    values::{
        Destination, EmbedderPolicy, ReferrerPolicy, RequestCache, RequestCredentials, RequestMode, RequestRedirect,
        ResponseType,
    },
    visitor::{CredentialHash, Visitor},
    waystore::Waystore,
};

/// The README's example runs with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
