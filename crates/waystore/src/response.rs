//! Responses, as the Fetch standard has them: what came, and what script may see of it.
//!
//! Our own types, because `http::StatusCode` refuses the status 0 of errors and opaque responses.
//! Spec: <https://fetch.spec.whatwg.org/#responses>

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use url::{Origin, Url};

use crate::{
    Body, CredentialHash, EmbedderPolicy, HeaderList, ResponseType, Result, Spooler,
    spec::corp::{Reader, may_embed},
};

/// What a response says, without its body: everything that is stored of it.
///
/// The fields are those of the [internal response](https://fetch.spec.whatwg.org/#concept-internal-response);
/// the methods give what its type lets script see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResponseHead {
    /// What script may see.
    pub kind: ResponseType,
    /// The URLs that were fetched, redirects included; empty where script made the response.
    pub url_list: Vec<Url>,
    /// The internal status, 0 for a network error.
    pub status: u16,
    /// The internal status text, bytes as received.
    pub status_text: Bytes,
    /// The internal header list.
    pub headers: HeaderList,
    /// The header names that a CORS response exposes beyond those it always does; none stands for others.
    pub exposed_headers: Vec<String>,
    /// Whether the request asked for a range.
    pub range_requested: bool,
    /// Whether the request went out with credentials.
    pub request_includes_credentials: bool,
    /// Whom the response belongs to, where it is not for everybody.
    pub personal: Option<CredentialHash>,
}

/// The header names a CORS response shows without being asked.
///
/// Spec: <https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name>
const SAFELISTED: [&str; 7] =
    ["cache-control", "content-language", "content-length", "content-type", "expires", "last-modified", "pragma"];

impl ResponseHead {
    /// A response of script's own making with this status.
    pub fn with_status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// A network error.
    pub fn error() -> Self {
        Self { kind: ResponseType::Error, ..Self::default() }
    }

    /// The status that script sees: 0 where the type hides it.
    pub fn visible_status(&self) -> u16 {
        if self.is_hidden() { 0 } else { self.status }
    }

    /// The status text that script sees.
    pub fn visible_status_text(&self) -> &[u8] {
        if self.is_hidden() { b"" } else { &self.status_text }
    }

    /// The header list that script sees.
    ///
    /// Spec: <https://fetch.spec.whatwg.org/#concept-filtered-response>
    pub fn visible_headers(&self) -> HeaderList {
        let mut headers = self.headers.clone();
        headers.retain(|name, _| self.shows_header(name));
        headers
    }

    /// Whether script sees the headers of this name.
    pub fn shows_header(&self, name: &[u8]) -> bool {
        shows_header(self.kind, self.exposed_headers.iter().map(String::as_str), name)
    }

    /// The URL that script sees, without fragment: the last of the list.
    pub fn url(&self) -> Option<Url> {
        if self.kind == ResponseType::Opaque {
            return None;
        }
        let mut url = self.url_list.last()?.clone();
        url.set_fragment(None);
        Some(url)
    }

    /// Whether redirects were followed, as script sees it.
    pub fn redirected(&self) -> bool {
        self.kind != ResponseType::Opaque && self.url_list.len() > 1
    }

    /// Whether the status that script sees is 200 to 299.
    pub fn ok(&self) -> bool {
        (200..=299).contains(&self.visible_status())
    }

    /// Whether a page of `origin` that demands `policy` may use the response. Only an opaque one is ever refused.
    ///
    /// Spec: <https://fetch.spec.whatwg.org/#cross-origin-resource-policy-check>
    pub fn may_be_embedded_by(&self, origin: &Origin, policy: EmbedderPolicy) -> bool {
        may_embed(self, &Reader { origin: origin.clone(), embedder_policy: policy })
    }

    fn is_hidden(&self) -> bool {
        matches!(self.kind, ResponseType::Opaque | ResponseType::OpaqueRedirect | ResponseType::Error)
    }
}

/// Whether a response of type `kind` that exposes `exposed` shows the header `name` to script.
///
/// Spec: <https://fetch.spec.whatwg.org/#concept-filtered-response>
pub(crate) fn shows_header<'a>(kind: ResponseType, exposed: impl Iterator<Item = &'a str>, name: &[u8]) -> bool {
    let is = |listed: &str| name.eq_ignore_ascii_case(listed.as_bytes());
    let cookie = is("set-cookie") || is("set-cookie2");
    match kind {
        ResponseType::Default => true,
        ResponseType::Basic => !cookie,
        ResponseType::Cors => {
            let mut exposed = exposed;
            !cookie && (SAFELISTED.into_iter().any(is) || exposed.any(is))
        }
        ResponseType::Opaque | ResponseType::OpaqueRedirect | ResponseType::Error => false,
    }
}

/// Where a response came from. Not stored: an entry that was found came from a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ResponseSource {
    /// A program or script made it.
    #[default]
    Made,
    /// The network, in this very call.
    Network,
    /// A cache.
    Cache,
}

/// A [response](https://fetch.spec.whatwg.org/#concept-response): what it says, and its body.
///
/// ```
/// use waystore::{Body, Response};
///
/// let response = Response::new("hello").header("content-type", "text/plain");
/// assert_eq!(response.status, 200);
/// let response = Response::from(http::Response::new(Body::from("hello")));
/// assert!(response.ok());
/// ```
#[derive(Debug)]
pub struct Response {
    /// What the response says.
    pub head: ResponseHead,
    /// The internal body; `None` is a null body, which an empty one is not.
    pub body: Option<Body>,
    /// Where it came from.
    pub source: ResponseSource,
}

impl Response {
    /// A response of these parts, made by a program.
    pub fn from_parts(head: ResponseHead, body: Option<Body>) -> Self {
        Self { head, body, source: ResponseSource::Made }
    }

    /// A response with status 200 and this body.
    pub fn new(body: impl Into<Body>) -> Self {
        Self::from_parts(ResponseHead::with_status(200), Some(body.into()))
    }

    /// A response with this status and a null body.
    pub fn empty(status: u16) -> Self {
        Self::from_parts(ResponseHead::with_status(status), None)
    }

    /// A network error.
    pub fn error() -> Self {
        Self::from_parts(ResponseHead::error(), None)
    }

    /// This response with one more header.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.head.headers.append(name, value);
        self
    }

    /// This response twice: its head copied, its body teed.
    ///
    /// What one side has read and the other has not is held up to 256 KiB and spooled to the store
    /// beyond that, so memory use does not depend on the body's length.
    ///
    /// Spec: <https://fetch.spec.whatwg.org/#concept-response-clone>
    #[must_use]
    pub fn tee(mut self, spooler: &Spooler) -> (Self, Self) {
        let (one, two) = self.body.take().map(|body| body.tee(spooler)).unzip();
        let copy = Self { head: self.head.clone(), body: one, source: self.source };
        (copy, Self { body: two, ..self })
    }
}

impl std::ops::Deref for Response {
    type Target = ResponseHead;

    fn deref(&self) -> &ResponseHead {
        &self.head
    }
}

impl std::ops::DerefMut for Response {
    fn deref_mut(&mut self) -> &mut ResponseHead {
        &mut self.head
    }
}

impl<B: Into<Body>> From<http::Response<B>> for Response {
    fn from(response: http::Response<B>) -> Self {
        let (parts, body) = response.into_parts();
        let mut head = ResponseHead::with_status(parts.status.as_u16());
        head.headers = HeaderList::from(&parts.headers);
        Self::from_parts(head, Some(body.into()))
    }
}

impl TryFrom<Response> for http::Response<Body> {
    type Error = http::Error;

    fn try_from(response: Response) -> Result<Self, http::Error> {
        let mut built = Self::new(response.body.unwrap_or_default());
        *built.status_mut() = StatusCode::from_u16(response.head.status)?;
        *built.headers_mut() = HeaderMap::try_from(&response.head.headers)?;
        Ok(built)
    }
}
