//! One fetch of a script: from its request, over redirects, to the response that it may see.
//!
//! Knows tainting, consent and whose response it is; not how requests go out.
//!
//! Spec: <https://fetch.spec.whatwg.org/#concept-main-fetch>

use bytes::Bytes;
use http::Method;
use url::Url;
use waystore::{
    AbortSignal, Body, EmbedderPolicy, FetchError, HeaderList, Request, RequestCache, RequestHead, RequestMode,
    RequestRedirect, Response, ResponseHead, ResponseSource, ResponseType, Visitor,
};

use super::{
    Parts,
    client::Received,
    cors::{self, Question},
    is_bodyless,
    outgoing::{self, Hop},
    ports,
    redirect::{Step, follow, step},
    referrer,
    stream::{decoded, until_aborted},
};
use crate::serve::{personal::Cause, public::Public};

impl Parts {
    /// Fetches until `request` is aborted.
    pub(super) async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
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
        let mut way = Way::new(&head.url, visitor.is_some());
        loop {
            let tainting = taint(&head, &self.public, way.own)?;
            let origin = if way.from_elsewhere { "null".to_owned() } else { self.public.serialized().to_owned() };
            let hop = Hop {
                hidden: hidden.as_deref().filter(|_| way.own),
                event: way.event,
                own_so_far: way.own,
                tainting,
                origin: &origin,
                has_body: body.is_some(),
            };
            self.ask_consent(&head, &hop).await?;
            let headers = outgoing::of_script(&head, &hop, &self.public);
            let again = body.as_ref().and_then(|body| body.as_bytes().cloned());
            let had_body = body.is_some();
            let mut received = self.exchange(&head, &headers, body.take()).await?;
            self.note(&mut way, &head, tainting, &headers, &mut received);
            self.check_consent(&head, &hop, &received)?;
            let location = location(&received.headers);
            let tainting = match step(&head, received.status, location.as_deref(), &self.public, &way.taken(tainting)) {
                Step::Done => tainting,
                Step::Opaque => ResponseType::OpaqueRedirect,
                Step::Error(reason) => return Err(FetchError::Network(reason)),
                Step::Follow(url) => {
                    head.referrer_policy = referrer::set_by(&received.headers).unwrap_or(head.referrer_policy);
                    way.go(&head.url, &url, &self.public);
                    let keeps = follow(&mut head, *url, received.status);
                    // A visitor's body has a source, in the browser; it is lost only where it has to be sent again.
                    let needs_source = keeps || !way.event && received.status != 303;
                    if had_body && again.is_none() && needs_source {
                        let reason = format!("a streamed body cannot be sent again, to `{}`", head.url);
                        return Err(FetchError::Network(reason));
                    }
                    body = again.filter(|_| keeps).map(Body::from);
                    continue;
                }
            };
            let personal = self.personal_to(visitor, &way, &headers, &head.url);
            let exposed_headers = match tainting {
                ResponseType::Cors if self.trust_all => cors::all_names(&received.headers),
                ResponseType::Cors => cors::exposed(&received.headers, head.credentials),
                _ => Vec::new(),
            };
            let mut response = respond(&head, tainting, way, received, signal);
            response.head.exposed_headers = exposed_headers;
            response.head.personal = personal;
            response.head.request_includes_credentials =
                headers.contains("cookie") || headers.contains("authorization");
            return self.unless_forbidden(response);
        }
    }

    /// Asks another origin whether `request` may be sent at all, where that is not certain beforehand.
    ///
    /// Spec: <https://fetch.spec.whatwg.org/#cors-preflight-fetch>
    async fn ask_consent(&self, request: &RequestHead, hop: &Hop<'_>) -> Result<(), FetchError> {
        if hop.tainting != ResponseType::Cors || self.trust_all {
            return Ok(());
        }
        let Some(question) = Question::of(request, hop.event) else { return Ok(()) };
        if self.consents.cover(hop.origin, &request.url, &question, self.clock.now_ms()) {
            return Ok(());
        }
        let headers = outgoing::of_preflight(request, &question, hop, &self.public);
        let asked = RequestHead { method: Method::OPTIONS, ..request.clone() };
        let received = self.exchange(&asked, &headers, None).await?;
        let granted = cors::check(&received.headers, hop.origin, request.credentials)
            .and_then(|()| question.granted(received.status, &received.headers));
        let grant = granted.map_err(|reason| no_consent(request, &reason))?;
        self.consents.keep(hop.origin, &request.url, grant, self.clock.now_ms());
        Ok(())
    }

    /// Checks that what came from another origin may be read.
    fn check_consent(&self, request: &RequestHead, hop: &Hop<'_>, received: &Received) -> Result<(), FetchError> {
        if hop.tainting != ResponseType::Cors || self.trust_all {
            return Ok(());
        }
        cors::check(&received.headers, hop.origin, request.credentials).map_err(|reason| {
            self.consents.forget(hop.origin, &request.url);
            no_consent(request, &reason)
        })
    }

    /// Refuses an opaque response that does not want to be embedded here.
    ///
    /// Spec: <https://fetch.spec.whatwg.org/#cross-origin-resource-policy-check>
    fn unless_forbidden(&self, response: Response) -> Result<Response, FetchError> {
        if response.head.may_be_embedded_by(&self.public.origin().origin(), EmbedderPolicy::UnsafeNone) {
            return Ok(response);
        }
        let url = response.head.url_list.last().map_or("", Url::as_str);
        Err(FetchError::Network(format!(
            "`{url}` may not be used by {}: its `Cross-Origin-Resource-Policy` forbids it",
            self.public.serialized().to_owned()
        )))
    }

    /// Notes what a response says about whose it is, and takes out the cookies.
    fn note(
        &self,
        way: &mut Way,
        request: &RequestHead,
        tainting: ResponseType,
        sent: &HeaderList,
        received: &mut Received,
    ) {
        if self.public.owns(&request.url) {
            way.cause = way.cause.take().or_else(|| self.personal.cause(&request.url, sent, &received.headers));
            if way.own && outgoing::includes_credentials(request, tainting) {
                way.cookies.extend(received.headers.values("set-cookie").map(Bytes::copy_from_slice));
            }
            // What the worker fetches for itself, its script above all, clears nothing: it would begin anew for ever.
            if way.event {
                self.note_clearing(&received.headers);
            }
        }
        // Another origin's cookies are none of this one's visitors' business.
        received.headers.remove("set-cookie");
        received.headers.remove("set-cookie2");
    }

    /// Whose the response is, where it is not everybody's. Without a visitor it is everybody's, unless
    /// script itself said who asks.
    fn personal_to(
        &self,
        visitor: Option<Visitor>,
        way: &Way,
        sent: &HeaderList,
        url: &Url,
    ) -> Option<waystore::CredentialHash> {
        let cause = way.cause.as_ref()?;
        let personal = match visitor {
            Some(visitor) => Some(visitor.mark()),
            None => self.personal.credentials([sent]),
        };
        if personal.is_some() {
            self.causes.count(cause, url);
        }
        personal
    }
}

/// The way a request went.
struct Way {
    urls: Vec<Url>,
    /// Whether it is the request of an event, or one made from it.
    event: bool,
    /// Whether no redirect came from another origin.
    own: bool,
    /// Whether another origin sent it on to a third, which then is not told where it began.
    from_elsewhere: bool,
    /// What the public origin set on the way.
    cookies: Vec<Bytes>,
    /// Why the response belongs to one visitor, if it does.
    cause: Option<Cause>,
}

/// As much of the way as decides on a redirect.
pub(super) struct Taken {
    pub(super) redirects: usize,
    pub(super) tainting: ResponseType,
}

impl Way {
    fn new(url: &Url, event: bool) -> Self {
        Self { urls: vec![url.clone()], event, own: true, from_elsewhere: false, cookies: Vec::new(), cause: None }
    }

    fn taken(&self, tainting: ResponseType) -> Taken {
        Taken { redirects: self.urls.len() - 1, tainting }
    }

    /// Goes on from one URL to the next.
    ///
    /// Spec: <https://fetch.spec.whatwg.org/#concept-request-tainted-origin>
    fn go(&mut self, from: &Url, to: &Url, public: &Public) {
        self.from_elsewhere |= from.origin() != to.origin() && !public.owns(from);
        self.own &= public.owns(from);
        self.urls.push(to.clone());
    }
}

fn no_consent(request: &RequestHead, reason: &str) -> FetchError {
    FetchError::Network(format!("`{}` does not consent to this request: {reason}", request.url))
}

fn location(headers: &HeaderList) -> Option<String> {
    headers.values("location").next().map(|value| value.iter().copied().map(char::from).collect())
}

/// What script may see of the response to `request`, or why there can be none. `own_so_far`: no redirect
/// came from another origin.
fn taint(request: &RequestHead, public: &Public, own_so_far: bool) -> Result<ResponseType, FetchError> {
    let refuse = |reason: &str| Err(FetchError::Network(format!("`{}` {reason}", request.url)));
    let own = public.owns(&request.url);
    if request.cache == RequestCache::OnlyIfCached {
        return refuse("is asked for only if cached, and there is no HTTP cache");
    }
    if !matches!(request.url.scheme(), "http" | "https") {
        return refuse("is not an HTTP URL");
    }
    if !own && ports::is_blocked(&request.url) {
        return refuse("has a port of another protocol");
    }
    if own && own_so_far || request.mode == RequestMode::Navigate {
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

fn respond(
    request: &RequestHead,
    kind: ResponseType,
    way: Way,
    received: Received,
    signal: Option<AbortSignal>,
) -> Response {
    let mut headers = received.headers;
    for cookie in way.cookies {
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
        url_list: way.urls,
        status: received.status,
        status_text: received.status_text,
        range_requested: request.headers.contains("range"),
        headers,
        ..ResponseHead::default()
    };
    Response { source: ResponseSource::Network, ..Response::from_parts(head, body) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public() -> Public {
        Public::new(Url::parse("https://shop.example").unwrap(), &[]).unwrap()
    }

    fn request(mode: RequestMode, redirect: RequestRedirect) -> RequestHead {
        let url = Url::parse("https://cdn.example/x").unwrap();
        RequestHead { mode, redirect, ..RequestHead::get(url) }
    }

    #[test]
    fn f78_what_another_origin_may_answer_depends_on_the_mode() {
        use RequestMode::{Cors, Navigate, NoCors, SameOrigin};
        use RequestRedirect::{Follow, Manual};
        let taint = |request: &RequestHead| taint(request, &public(), true);
        assert!(taint(&request(SameOrigin, Follow)).is_err());
        assert!(taint(&request(NoCors, Manual)).is_err());
        assert_eq!(taint(&request(NoCors, Follow)).unwrap(), ResponseType::Opaque);
        assert_eq!(taint(&request(Cors, Follow)).unwrap(), ResponseType::Cors);
        assert_eq!(taint(&request(Navigate, Manual)).unwrap(), ResponseType::Basic);
    }

    #[test]
    fn what_came_by_another_origin_stays_tainted_at_home() {
        let home = RequestHead::get(Url::parse("https://shop.example/x").unwrap());
        assert_eq!(taint(&home, &public(), true).unwrap(), ResponseType::Basic);
        assert_eq!(taint(&home, &public(), false).unwrap(), ResponseType::Cors);
        let no_cors = RequestHead { mode: RequestMode::NoCors, ..home };
        assert_eq!(taint(&no_cors, &public(), false).unwrap(), ResponseType::Opaque);
    }

    #[test]
    fn a_third_origin_is_not_told_where_a_redirect_began() {
        let url = |text| Url::parse(text).unwrap();
        let (own, cdn, third) = (url("https://shop.example/"), url("https://cdn.example/"), url("https://c.example/"));
        let from_elsewhere = |stops: &[&Url]| {
            let mut way = Way::new(stops[0], false);
            stops.windows(2).for_each(|hop| way.go(hop[0], hop[1], &public()));
            way.from_elsewhere
        };
        assert!(!from_elsewhere(&[&own, &cdn]) && !from_elsewhere(&[&own, &cdn, &cdn]));
        assert!(from_elsewhere(&[&cdn, &third]) && from_elsewhere(&[&own, &cdn, &own]));
    }

    #[test]
    fn ports_of_other_protocols_are_refused_but_at_the_own_origin() {
        let mut mail = request(RequestMode::NoCors, RequestRedirect::Follow);
        mail.url.set_port(Some(25)).unwrap();
        assert!(taint(&mail, &public(), true).is_err());
        let public = Public::new(Url::parse("https://cdn.example:25").unwrap(), &[]).unwrap();
        assert!(taint(&mail, &public, true).is_ok());
    }

    #[test]
    fn g28_only_if_cached_finds_no_http_cache() {
        let mut head = RequestHead::get(Url::parse("https://shop.example/x").unwrap());
        head.cache = RequestCache::OnlyIfCached;
        assert!(taint(&head, &public(), true).is_err());
    }

    #[test]
    fn f71_statuses_without_a_body_have_none() {
        assert!(is_bodyless(&Method::GET, 304) && is_bodyless(&Method::HEAD, 200) && !is_bodyless(&Method::GET, 200));
    }
}
