//! The Cache API of service workers, outside the browser.

mod abort;
mod body;
mod clock;
mod error;
mod fetch;
mod headers;
mod key;
mod name;
mod request;
mod response;
mod spec;
pub mod store;
mod values;
mod visitor;

pub use self::{
    abort::AbortSignal,
    body::{Body, Spooler},
    clock::Clock,
    error::{BodyError, Error, Result, SharedError},
    fetch::{Fetch, FetchError},
    headers::{HeaderList, Iter as HeaderIter},
    key::{Bottle, Place, StorageKey},
    name::CacheName,
    request::{Referrer, Request, RequestBody, RequestHead, parse_request_url},
    response::{Response, ResponseHead},
    values::{
        Destination, ReferrerPolicy, RequestCache, RequestCredentials, RequestMode, RequestRedirect, ResponseType,
    },
    visitor::{CredentialHash, Visitor},
};
