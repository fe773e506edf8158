//! What callers may give as a request: a URL as text, a URL, or a request.
//!
//! Spec: <https://fetch.spec.whatwg.org/#requestinfo>

use std::{borrow::Cow, ops::Deref};

use url::Url;

use crate::{Request, Result, parse_request_url};

/// A request, or what one is made of. Text is resolved against the origin's base URL.
#[derive(Debug)]
pub struct RequestInfo<'a>(Given<'a>);

#[derive(Debug)]
enum Given<'a> {
    Text(Cow<'a, str>),
    Url(Url),
    Borrowed(&'a Request),
    Owned(Box<Request>),
}

/// A request, or everything: what `match_all` and `keys` may be given.
#[derive(Debug)]
pub struct RequestFilter<'a>(pub(crate) Option<RequestInfo<'a>>);

impl<'a> RequestInfo<'a> {
    /// The request this stands for, made with the defaults of the `Request` constructor if need be.
    pub(crate) fn resolve(self, base: &Url) -> Result<Resolved<'a>> {
        Ok(match self.0 {
            Given::Text(url) => Resolved::Owned(Box::new(parse_request_url(&url, Some(base))?.into())),
            Given::Url(url) => Resolved::Owned(Box::new(parse_request_url(url.as_str(), None)?.into())),
            Given::Borrowed(request) => Resolved::Borrowed(request),
            Given::Owned(request) => Resolved::Owned(request),
        })
    }
}

/// A request that was given or made.
#[derive(Debug)]
pub(crate) enum Resolved<'a> {
    Borrowed(&'a Request),
    Owned(Box<Request>),
}

impl Resolved<'_> {
    /// The request itself; a borrowed one is copied without its body, which a `GET` has not.
    pub(crate) fn into_owned(self) -> Request {
        match self {
            Self::Borrowed(request) => request.without_body(),
            Self::Owned(request) => *request,
        }
    }
}

impl Deref for Resolved<'_> {
    type Target = Request;

    fn deref(&self) -> &Request {
        match self {
            Self::Borrowed(request) => request,
            Self::Owned(request) => request,
        }
    }
}

impl<'a> From<&'a str> for RequestInfo<'a> {
    fn from(url: &'a str) -> Self {
        Self(Given::Text(url.into()))
    }
}

impl From<String> for RequestInfo<'_> {
    fn from(url: String) -> Self {
        Self(Given::Text(url.into()))
    }
}

impl From<Url> for RequestInfo<'_> {
    fn from(url: Url) -> Self {
        Self(Given::Url(url))
    }
}

impl From<&Url> for RequestInfo<'_> {
    fn from(url: &Url) -> Self {
        Self(Given::Url(url.clone()))
    }
}

impl<'a> From<&'a Request> for RequestInfo<'a> {
    fn from(request: &'a Request) -> Self {
        Self(Given::Borrowed(request))
    }
}

impl From<Request> for RequestInfo<'_> {
    fn from(request: Request) -> Self {
        Self(Given::Owned(Box::new(request)))
    }
}

impl From<()> for RequestFilter<'_> {
    fn from((): ()) -> Self {
        Self(None)
    }
}

impl<'a, T: Into<RequestInfo<'a>>> From<T> for RequestFilter<'a> {
    fn from(request: T) -> Self {
        Self(Some(request.into()))
    }
}
