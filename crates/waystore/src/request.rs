//! Requests, as the Fetch standard has them.
//!
//! Our own types, because `http::Uri` drops the fragment that `keys()` shows. Conversions from and
//! to `http` are one line. Knows no store and no network.
//! Spec: <https://fetch.spec.whatwg.org/#requests>

use http::Method;
use url::Url;

use crate::{
    AbortSignal, Body, Destination, Error, HeaderList, ReferrerPolicy, RequestCache, RequestCredentials, RequestMode,
    RequestRedirect, Result, Visitor,
};

/// What a request says, without its body: everything that is stored of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// The URL with its fragment, which matching leaves out and `keys()` shows.
    pub url: Url,
    /// The method. Only `GET` requests are stored.
    pub method: Method,
    /// The header list.
    pub headers: HeaderList,
    /// What kind of answer the maker can take.
    pub mode: RequestMode,
    /// Whether credentials go along.
    pub credentials: RequestCredentials,
    /// What to do with the HTTP cache.
    pub cache: RequestCache,
    /// What to do with redirects.
    pub redirect: RequestRedirect,
    /// What to say about where the request comes from.
    pub referrer: Referrer,
    /// How much of it to say.
    pub referrer_policy: ReferrerPolicy,
    /// Subresource integrity metadata; empty for none.
    pub integrity: String,
    /// Whether the request outlives its maker.
    pub keepalive: bool,
    /// What the answer is for.
    pub destination: Destination,
    /// Set on navigations that reload the page.
    pub is_reload_navigation: bool,
    /// Set on navigations through the session history.
    pub is_history_navigation: bool,
}

/// A request's [referrer](https://fetch.spec.whatwg.org/#concept-request-referrer).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Referrer {
    /// Nothing is said.
    NoReferrer,
    /// The maker's own URL.
    #[default]
    Client,
    /// This URL.
    Url(Box<Url>),
}

impl RequestHead {
    /// A `GET` for `url` with the defaults of the `Request` constructor.
    pub fn get(url: Url) -> Self {
        Self {
            url,
            method: Method::GET,
            headers: HeaderList::new(),
            mode: RequestMode::Cors,
            credentials: RequestCredentials::SameOrigin,
            cache: RequestCache::Default,
            redirect: RequestRedirect::Follow,
            referrer: Referrer::Client,
            referrer_policy: ReferrerPolicy::Empty,
            integrity: String::new(),
            keepalive: false,
            destination: Destination::Empty,
            is_reload_navigation: false,
            is_history_navigation: false,
        }
    }
}

/// A [request](https://fetch.spec.whatwg.org/#concept-request): what it says, its body, and who asks.
///
/// ```
/// use waystore::Request;
///
/// let request = Request::get("https://a.test/x#top")?.header("accept", "text/html");
/// assert_eq!(request.url.fragment(), Some("top"));
/// let request: Request = http::Request::get("https://a.test/x").body(())?.try_into()?;
/// assert_eq!(request.url.path(), "/x");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Request {
    /// What the request says.
    pub head: RequestHead,
    /// The body; `None` is a null body, which an empty one is not.
    pub body: Option<Body>,
    /// Tells when the maker no longer wants the answer.
    pub signal: Option<AbortSignal>,
    /// For whom the request is made, where entries of the cache may belong to somebody.
    pub visitor: Option<Visitor>,
}

impl Request {
    /// A `GET` for `url` with the defaults of the `Request` constructor.
    ///
    /// # Errors
    ///
    /// [`Error::Type`]: `url` does not parse, or holds a user name or password.
    pub fn get(url: &str) -> Result<Self> {
        Ok(Self::from(parse_request_url(url, None)?))
    }

    /// This request with one more header.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.head.headers.append(name, value);
        self
    }

    /// The same request without its body; what is left when a body cannot be copied.
    pub fn without_body(&self) -> Self {
        Self { head: self.head.clone(), body: None, signal: self.signal.clone(), visitor: self.visitor }
    }
}

/// Parses the URL of a request made from a string, against `base` where there is one.
///
/// Spec: <https://fetch.spec.whatwg.org/#dom-request>, steps 4-5.
///
/// # Errors
///
/// [`Error::Type`]: it does not parse, or holds a user name or password.
pub fn parse_request_url(url: &str, base: Option<&Url>) -> Result<Url> {
    let parsed = Url::options().base_url(base).parse(url);
    let parsed = parsed.map_err(|error| Error::type_error(format!("`{url}` is not a URL: {error}")))?;
    if parsed.username().is_empty() && parsed.password().is_none() {
        Ok(parsed)
    } else {
        Err(Error::type_error(format!("`{url}` holds credentials; a request's URL must not")))
    }
}

impl std::ops::Deref for Request {
    type Target = RequestHead;

    fn deref(&self) -> &RequestHead {
        &self.head
    }
}

impl std::ops::DerefMut for Request {
    fn deref_mut(&mut self) -> &mut RequestHead {
        &mut self.head
    }
}

impl From<RequestHead> for Request {
    fn from(head: RequestHead) -> Self {
        Self { head, body: None, signal: None, visitor: None }
    }
}

impl From<Url> for Request {
    fn from(url: Url) -> Self {
        Self::from(RequestHead::get(url))
    }
}

impl<B: Into<RequestBody>> TryFrom<http::Request<B>> for Request {
    type Error = Error;

    fn try_from(request: http::Request<B>) -> Result<Self> {
        let (parts, body) = request.into_parts();
        let mut head = RequestHead::get(parse_request_url(&parts.uri.to_string(), None)?);
        head.method = parts.method;
        head.headers = HeaderList::from(&parts.headers);
        Ok(Self { body: body.into().0, ..Self::from(head) })
    }
}

impl TryFrom<Request> for http::Request<Body> {
    type Error = http::Error;

    fn try_from(request: Request) -> Result<Self, http::Error> {
        let mut url = request.head.url;
        url.set_fragment(None);
        let mut built = Self::new(request.body.unwrap_or_default());
        *built.method_mut() = request.head.method;
        *built.uri_mut() = url.as_str().parse()?;
        *built.headers_mut() = (&request.head.headers).try_into()?;
        Ok(built)
    }
}

/// The body of an `http::Request` on its way into a [`Request`].
#[derive(Debug)]
pub struct RequestBody(Option<Body>);

impl From<()> for RequestBody {
    fn from((): ()) -> Self {
        Self(None)
    }
}

impl From<Body> for RequestBody {
    fn from(body: Body) -> Self {
        Self(Some(body))
    }
}
