//! The Cache API of service workers, outside the browser.

mod abort;
mod body;
mod cache;
mod clock;
mod error;
mod fetch;
mod headers;
mod info;
mod key;
mod name;
mod request;
mod response;
mod spec;
mod storage;
pub mod store;
#[cfg(any(test, feature = "testing"))]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a case of the suite fails by panicking")]
pub mod testing;
mod values;
mod visitor;

pub use self::{
    abort::AbortSignal,
    body::{Body, Spooler},
    cache::{BatchOperation, Cache},
    clock::Clock,
    error::{BodyError, Error, Result, SharedError},
    fetch::{Fetch, FetchError},
    headers::{HeaderList, Iter as HeaderIter},
    info::{RequestFilter, RequestInfo},
    key::{Bottle, Place, StorageKey},
    name::CacheName,
    request::{Referrer, Request, RequestBody, RequestHead, parse_request_url},
    response::{Response, ResponseHead, ResponseSource},
    spec::CacheQueryOptions,
    storage::{CacheStorage, MultiCacheQueryOptions, Waystore},
    values::{
        Destination, ReferrerPolicy, RequestCache, RequestCredentials, RequestMode, RequestRedirect, ResponseType,
    },
    visitor::{CredentialHash, Visitor},
};
