//! The network of the gateway: what scripts fetch, and what goes past them.
//!
//! Same-origin URLs lead to the upstream, others to the world. Spec: <https://fetch.spec.whatwg.org/>.
//! Everything runs on the gateway's runtime, whoever waits for it.

pub(crate) mod client;
pub(crate) mod connector;
pub(crate) mod folder;
pub(crate) mod hidden;
mod outgoing;
mod range;
mod redirect;
mod script;
pub(crate) mod stream;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use tokio_util::task::AbortOnDropHandle;
use url::Url;
use waystore::{
    AbortSignal, Body, Destination, Fetch, FetchError, HeaderList, Request, RequestCache, RequestHead, RequestMode,
    RequestRedirect, Response, ResponseHead, ResponseSource, ResponseType,
};

pub(crate) use self::script::LocalScript;
use self::{
    client::{Client, Received, uri},
    folder::Folder,
    hidden::{Events, Hidden},
    redirect::{Step, follow, step},
    stream::{decoded, until_aborted},
};
use crate::serve::{causes::Causes, clear::Clear, personal::Personal, public::Public};

/// What answers for the public origin.
#[derive(Debug)]
pub(crate) enum Origin {
    Server {
        client: Client,
        scheme: String,
        /// The `Host` it is told.
        host: String,
    },
    Folder(Folder),
}

/// What the network is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) public: Arc<Public>,
    pub(crate) origin: Origin,
    pub(crate) world: Client,
    pub(crate) events: Events,
    pub(crate) personal: Personal,
    pub(crate) causes: Causes,
    /// Told of `Clear-Site-Data`, where it is honoured.
    pub(crate) clear: Option<Arc<Clear>>,
    /// The worker's script, where it is a file of this machine.
    pub(crate) script: Option<LocalScript>,
}

/// The network.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    parts: Arc<Parts>,
    runtime: tokio::runtime::Handle,
}

#[async_trait]
impl Fetch for Network {
    async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
        let parts = Arc::clone(&self.parts);
        let task = self.runtime.spawn(async move { parts.fetch(request).await });
        let done = AbortOnDropHandle::new(task).await;
        done.unwrap_or_else(|error| Err(FetchError::Network(format!("the fetch ended early: {error}"))))
    }
}

impl Network {
    /// A network on this runtime. Called inside it.
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts), runtime: tokio::runtime::Handle::current() }
    }

    /// Sends a visitor's request on as it is: no redirect is followed, no coding removed.
    ///
    /// # Errors
    ///
    /// There is no response, or not in time.
    pub(crate) async fn forward(&self, request: Request, hidden: &Hidden) -> Result<Response, FetchError> {
        let headers = outgoing::of_visitor(&request.head, hidden, &self.parts.public);
        let received = self.parts.exchange(&request.head, &headers, request.body).await?;
        self.parts.note_clearing(&received.headers);
        let body = received.body;
        let has_body = !is_bodyless(&request.head.method, received.status);
        let head = ResponseHead {
            kind: ResponseType::Basic,
            url_list: vec![request.head.url],
            status: received.status,
            status_text: received.status_text,
            headers: received.headers,
            ..ResponseHead::default()
        };
        let body = has_body.then(|| Body::from_stream(body, received.length));
        Ok(Response { source: ResponseSource::Network, ..Response::from_parts(head, body) })
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }
}

impl Parts {
    async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
        match request.signal.clone() {
            None => self.follow(request).await,
            Some(signal) => tokio::select! {
                biased;
                () = signal.wait() => Err(FetchError::Aborted),
                response = self.follow(request) => response,
            },
        }
    }

    /// Asks, and asks again where the response redirects.
    async fn follow(&self, request: Request) -> Result<Response, FetchError> {
        if let Some(script) = self.script.as_ref().filter(|script| script.is_asked_for(&request.head)) {
            return script.read().await;
        }
        let Request { mut head, mut body, signal, visitor } = request;
        let hidden = visitor.and_then(|visitor| self.events.of(visitor.event));
        let mut chain = Chain::new(&head.url);
        let mut cause = None;
        loop {
            let kind = taint(&head, chain.own)?;
            let headers = outgoing::of_script(&head, hidden.as_deref(), &self.public, body.is_some());
            let again = body.as_ref().and_then(|body| body.as_bytes().cloned());
            let had_body = body.is_some();
            let mut received = self.exchange(&head, &headers, body.take()).await?;
            if self.public.owns(&head.url) {
                cause = cause.or_else(|| self.personal.cause(&head.url, &headers, &received.headers));
                chain.cookies.extend(received.headers.values("set-cookie").map(Bytes::copy_from_slice));
                // What the worker fetches for itself, its script above all, clears nothing: it would begin anew for ever.
                if visitor.is_some() {
                    self.note_clearing(&received.headers);
                }
            }
            // Another origin's cookies are none of this one's visitors' business.
            received.headers.remove("set-cookie");
            received.headers.remove("set-cookie2");
            let location = received
                .headers
                .values("location")
                .next()
                .map(|value| value.iter().copied().map(char::from).collect::<String>());
            let kind = match step(&head, received.status, location.as_deref(), chain.urls.len() - 1) {
                Step::Done => kind,
                Step::Opaque => ResponseType::OpaqueRedirect,
                Step::Error(reason) => return Err(FetchError::Network(reason)),
                Step::Follow(url) => {
                    if head.mode == RequestMode::SameOrigin && !self.public.owns(&url) {
                        return Err(FetchError::Network(format!("`{}` redirects to another origin", head.url)));
                    }
                    let keeps = follow(&mut head, *url, received.status);
                    if keeps && had_body && again.is_none() {
                        return Err(FetchError::Network(format!(
                            "`{}`: a streamed body cannot be sent again",
                            head.url
                        )));
                    }
                    body = again.filter(|_| keeps).map(Body::from);
                    chain.own &= self.public.owns(&head.url);
                    chain.urls.push(head.url.clone());
                    continue;
                }
            };
            // Without a visitor it is for everybody, unless script itself said who asks.
            let personal = match (&cause, visitor) {
                (None, _) => None,
                (Some(_), Some(visitor)) => Some(visitor.mark()),
                (Some(_), None) => self.personal.credentials([&headers]),
            };
            if let Some(cause) = cause.filter(|_| personal.is_some()) {
                self.causes.count(&cause, &head.url);
            }
            let mut response = respond(&head, kind, chain, received, signal);
            response.head.personal = personal;
            response.head.request_includes_credentials =
                headers.contains("cookie") || headers.contains("authorization");
            return Ok(response);
        }
    }

    fn note_clearing(&self, headers: &HeaderList) {
        if let Some(clear) = &self.clear {
            clear.note(headers);
        }
    }

    /// One request and the head of its response.
    async fn exchange(
        &self,
        head: &RequestHead,
        headers: &HeaderList,
        body: Option<Body>,
    ) -> Result<Received, FetchError> {
        if !self.public.owns(&head.url) {
            let uri = uri(head.url.scheme(), head.url.authority(), &head.url)?;
            return self.world.send(head.method.clone(), uri, headers, body).await;
        }
        match &self.origin {
            Origin::Server { client, scheme, host } => {
                client.send(head.method.clone(), uri(scheme, host, &head.url)?, headers, body).await
            }
            Origin::Folder(folder) => {
                let answer = folder.answer(&head.method, &head.url, headers).await?;
                let body = answer.body.unwrap_or_default();
                Ok(Received {
                    status: answer.status.as_u16(),
                    status_text: answer.status.canonical_reason().unwrap_or_default().into(),
                    headers: answer.headers,
                    length: body.length(),
                    body: Box::pin(body),
                })
            }
        }
    }
}

/// The way a request went.
struct Chain {
    urls: Vec<Url>,
    /// Whether it never left the public origin.
    own: bool,
    /// What the public origin set on the way.
    cookies: Vec<Bytes>,
}

impl Chain {
    fn new(url: &Url) -> Self {
        Self { urls: vec![url.clone()], own: true, cookies: Vec::new() }
    }
}

/// What script may see of the response to `request`, or why there can be none.
///
/// Spec: <https://fetch.spec.whatwg.org/#concept-main-fetch>
fn taint(request: &RequestHead, own_so_far: bool) -> Result<ResponseType, FetchError> {
    let refuse = |reason: &str| Err(FetchError::Network(format!("`{}` {reason}", request.url)));
    if request.cache == RequestCache::OnlyIfCached {
        return refuse("is asked for only if cached, and there is no HTTP cache");
    }
    if !matches!(request.url.scheme(), "http" | "https") {
        return refuse("is not an HTTP URL");
    }
    if own_so_far || request.mode == RequestMode::Navigate {
        return Ok(ResponseType::Basic);
    }
    match request.mode {
        RequestMode::SameOrigin => refuse("is of another origin, which this request forbids"),
        RequestMode::NoCors if request.redirect != RequestRedirect::Follow => {
            refuse("is of another origin: a no-cors request must follow redirects")
        }
        RequestMode::NoCors => Ok(ResponseType::Opaque),
        _ => Ok(ResponseType::Cors),
    }
}

/// Whether a response has no body whatever it says.
fn is_bodyless(method: &Method, status: u16) -> bool {
    method == Method::HEAD || matches!(status, 101 | 103 | 204 | 205 | 304)
}

fn respond(
    request: &RequestHead,
    kind: ResponseType,
    chain: Chain,
    received: Received,
    signal: Option<AbortSignal>,
) -> Response {
    let mut headers = received.headers;
    for cookie in chain.cookies {
        headers.append("set-cookie", cookie);
    }
    let body = (!is_bodyless(&request.method, received.status)).then(|| {
        let coding = headers.get_text("content-encoding").filter(|_| received.length != Some(0));
        let (body, was_coded) = decoded(received.body, coding.as_deref());
        let body = match signal {
            Some(signal) => until_aborted(body, signal),
            None => body,
        };
        Body::from_stream(body, received.length.filter(|_| !was_coded))
    });
    let head = ResponseHead {
        kind,
        url_list: chain.urls,
        status: received.status,
        status_text: received.status_text,
        // Every server's consent is taken for given, for now: see the deviations.
        exposed_headers: if kind == ResponseType::Cors { vec!["*".to_owned()] } else { Vec::new() },
        range_requested: request.headers.contains("range"),
        headers,
        ..ResponseHead::default()
    };
    Response { source: ResponseSource::Network, ..Response::from_parts(head, body) }
}

/// Whether a request is one for a service worker's main script.
fn is_for_worker(request: &RequestHead) -> bool {
    request.destination == Destination::ServiceWorker
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(mode: RequestMode, redirect: RequestRedirect) -> RequestHead {
        let url = Url::parse("https://cdn.example/x").unwrap();
        RequestHead { mode, redirect, ..RequestHead::get(url) }
    }

    #[test]
    fn f78_what_another_origin_may_answer_depends_on_the_mode() {
        use RequestMode::{Cors, Navigate, NoCors, SameOrigin};
        use RequestRedirect::{Follow, Manual};
        assert!(taint(&request(SameOrigin, Follow), false).is_err());
        assert!(taint(&request(NoCors, Manual), false).is_err());
        assert_eq!(taint(&request(NoCors, Follow), false).unwrap(), ResponseType::Opaque);
        assert_eq!(taint(&request(Cors, Follow), false).unwrap(), ResponseType::Cors);
        assert_eq!(taint(&request(Navigate, Manual), false).unwrap(), ResponseType::Basic);
        assert_eq!(taint(&request(SameOrigin, Follow), true).unwrap(), ResponseType::Basic);
    }

    #[test]
    fn g28_only_if_cached_finds_no_http_cache() {
        let mut head = request(RequestMode::SameOrigin, RequestRedirect::Follow);
        head.cache = RequestCache::OnlyIfCached;
        assert!(taint(&head, true).is_err());
    }

    #[test]
    fn f71_statuses_without_a_body_have_none() {
        assert!(is_bodyless(&Method::GET, 304) && is_bodyless(&Method::HEAD, 200) && !is_bodyless(&Method::GET, 200));
    }
}
