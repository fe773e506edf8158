//! One request's way: from the socket to the worker or past it, and its answer back.
//!
//! Reads top-down: check, sort, ask, answer. What each step decides is in a module of its own.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use http::{Method, StatusCode};
use hyper::body::{Body as _, Incoming};
use waystore::{Body, Request, RequestHead, RequestMode, Response, ResponseSource, Visitor};
use waystore_worker::{FallbackReason, FetchEvent, FetchOutcome, Routed, Site};

use super::{
    access::{Record, Route, Tracked},
    asked::{Aside, Asked, host},
    config::Config,
    deadline::Activity,
    inbound::Bypass,
    outbound::{self, About, Coding},
    pages::{self, desk::Pages, inject},
    refusal::Refusal,
    tunnel::Tunnel,
};
use crate::fetch::{
    Network,
    hidden::Hidden,
    stream::{incoming, timed},
};

/// Everything that requests share.
pub(crate) struct Gateway {
    pub(crate) config: Config,
    pub(crate) network: Network,
    pub(crate) site: Option<Arc<Site>>,
    pub(crate) pages: Option<Pages>,
    pub(crate) tunnel: Option<Tunnel>,
    pub(crate) clock: Arc<waystore::Clock>,
    /// When a navigation last led to a look for a new script, in milliseconds since 1970.
    pub(crate) last_update_ms: AtomicU64,
}

/// Who is at the other end of a connection.
pub(crate) struct Peer {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) address: SocketAddr,
    pub(crate) activity: Activity,
}

/// The time from a request's head to the end of its answer, or to when nobody waits for that any more.
pub(crate) struct Turn(Arc<Peer>);

impl Turn {
    pub(crate) fn of(peer: &Arc<Peer>) -> Self {
        peer.activity.begin();
        Self(Arc::clone(peer))
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Turn").field(&self.0.address).finish()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.activity.end();
    }
}

/// A response, and how it is to be sent.
struct Answer {
    response: Box<Response>,
    coding: Coding,
    cookies: bool,
}

impl Answer {
    fn new(response: impl Into<Box<Response>>, coding: Coding, cookies: bool) -> Self {
        Self { response: response.into(), coding, cookies }
    }
}

/// Answers one request. Dropping the future, or the body of the answer, aborts what goes on for it.
pub(crate) async fn handle(turn: Turn, request: http::Request<Incoming>) -> http::Response<Tracked> {
    let method = request.method().clone();
    let mut record = Record::new(&method, request.uri());
    let sent = answer(&turn.0, request, &mut record).await;
    let sent = sent.unwrap_or_else(|refusal| refusal.respond(&method, &mut record));
    record.status = sent.status().as_u16();
    sent.map(|body| Tracked::new(body, record, turn))
}

/// Asks the static routes first. What they answer from a cache waits for nothing else, and is answered out of this
/// future, which is small; the large ones of what has to wait are made where it does.
async fn answer(
    peer: &Peer,
    request: http::Request<Incoming>,
    record: &mut Record,
) -> Result<http::Response<Body>, Refusal> {
    let (gateway, method) = (&*peer.gateway, request.method().clone());
    let asked = Asked::read(peer, &request)?;
    let (page, client) = (asked.page, asked.client());
    let routed = match asked.site {
        Some(site) => {
            // Until it is known better: should the client go away meanwhile, the worker is who was asked.
            record.route = Route::Worker;
            let routed = site.fetch_routed(&asked.event).await;
            if routed.is_some() {
                look_for_update(gateway, site, asked.navigates());
            }
            routed
        }
        None => None,
    };
    let mut answer = match routed {
        Some(Routed::Answer { response, version }) => given(response, version, asked.visitor, record)?,
        Some(Routed::Refused { reason, version }) => return Err(failed(reason, version, record)),
        Some(Routed::Network { version }) => {
            Box::pin(leave(gateway, asked, request.into_body(), version, record)).await?
        }
        None => Box::pin(ask(gateway, asked, request, record)).await?,
    };
    if page {
        inject::inject(&mut answer.response, answer.coding == Coding::AsReceived);
    }
    send(answer, &method, client)
}

/// Leaves a request to the upstream, since a static route leads there.
async fn leave(
    gateway: &Gateway,
    asked: Asked<'_>,
    body: Incoming,
    version: String,
    record: &mut Record,
) -> Result<Answer, Refusal> {
    let request = Request { body: body_of(body, gateway), ..asked.event.request };
    fall_back(FallbackReason::Routed, Some(version), record);
    forward(gateway, request, &asked.aside.into(), record).await
}

/// Answers what no static route leads anywhere: what is for the gateway itself, for the upstream alone, or for the
/// script.
async fn ask(
    gateway: &Gateway,
    asked: Asked<'_>,
    mut request: http::Request<Incoming>,
    record: &mut Record,
) -> Result<Answer, Refusal> {
    let Asked { mut event, visitor, aside, bypass, site, .. } = asked;
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    if pages::is_ours(event.request.url.path()) {
        record.route = Route::Gateway;
        let ask = pages::Ask {
            parts: &parts,
            path: event.request.url.path(),
            host: host(&parts.uri, &parts.headers).unwrap_or_default(),
            public: gateway.network.parts().public.origin(),
            credentials: visitor.credentials,
            body: body_of(body, gateway),
            upgrade,
        };
        let response = pages::answer(gateway.pages.as_ref(), ask).await?;
        return Ok(Answer::new(response, Coding::AsReceived, false));
    }
    if let (Some(Bypass::Upgrade), Some(tunnel)) = (bypass, &gateway.tunnel) {
        record.route = Route::Bypass;
        let opened = tunnel.open(&parts, &event.request.head, &aside.into(), upgrade).await;
        return Ok(Answer::new(opened.map_err(Refusal::upstream)?, Coding::AsReceived, true));
    }
    event.request.body = body_of(body, gateway);
    let Some(site) = site else {
        record.route = if gateway.site.is_some() { Route::Bypass } else { Route::Network };
        let request = Request { visitor: None, ..event.request };
        return forward(gateway, request, &aside.into(), record).await;
    };
    ask_script(gateway, site, *event, (visitor, aside), record).await
}

/// The request's body; `None` where its head says there is none.
fn body_of(body: Incoming, gateway: &Gateway) -> Option<Body> {
    if body.is_end_stream() {
        return None;
    }
    let length = body.size_hint().exact();
    Some(Body::from_stream(timed(incoming(body), gateway.config.timeouts.body, "the client"), length))
}

/// Asks the script of the site.
async fn ask_script(
    gateway: &Gateway,
    site: &Site,
    event: FetchEvent,
    (visitor, aside): (Visitor, Aside),
    record: &mut Record,
) -> Result<Answer, Refusal> {
    let hidden = Arc::new(Hidden::from(aside));
    gateway.network.parts().events.hold(visitor.event, Arc::clone(&hidden), Instant::now());
    let head = event.request.head.clone();
    let navigates = head.mode == RequestMode::Navigate;
    let request = Request { signal: Some(record.signal()), ..event.request };
    let outcome = site.fetch(FetchEvent { request, ..event }).await;
    look_for_update(gateway, site, navigates);
    match outcome {
        FetchOutcome::Response { response, version } if !is_for(&response, visitor) => {
            record.version = Some(version);
            past_the_worker(gateway, head, &hidden, record).await
        }
        outcome => settle(gateway, outcome, visitor, &hidden, record).await,
    }
}

/// Makes an answer of what the site said.
async fn settle(
    gateway: &Gateway,
    outcome: FetchOutcome,
    visitor: Visitor,
    hidden: &Hidden,
    record: &mut Record,
) -> Result<Answer, Refusal> {
    match outcome {
        FetchOutcome::Fallback { request, reason, version } => {
            fall_back(reason, version, record);
            forward(gateway, *request, hidden, record).await
        }
        FetchOutcome::Response { response, version } => given(response, version, visitor, record),
        FetchOutcome::NetworkError { reason, version } => Err(failed(reason, version, record)),
        FetchOutcome::TimedOut { version } => {
            record.version = Some(version);
            Err(Refusal::new(
                StatusCode::GATEWAY_TIMEOUT,
                "worker-timeout",
                "the service worker did not answer in time",
            ))
        }
    }
}

/// What the site gave as the answer.
fn given(response: Box<Response>, version: String, visitor: Visitor, record: &mut Record) -> Result<Answer, Refusal> {
    record.version = Some(version);
    record.route = Route::of(response.source);
    if !is_for(&response, visitor) {
        return Err(not_theirs());
    }
    let cookies = response.source == ResponseSource::Network && response.personal == Some(visitor.mark());
    Ok(Answer::new(response, Coding::Removed, cookies))
}

/// The site took the request, and gave what is no answer.
fn failed(reason: String, version: String, record: &mut Record) -> Refusal {
    record.version = Some(version);
    Refusal::worker("worker-network-error", reason)
}

/// Notes that the site leaves a request to the upstream.
fn fall_back(reason: FallbackReason, version: Option<String>, record: &mut Record) {
    record.route = Route::Network;
    record.version = version;
    record.note = Some(format!("{reason:?}"));
}

/// Whether a response may be given to `visitor`: a script can keep one visitor's in a variable and hand it to another.
fn is_for(response: &Response, visitor: Visitor) -> bool {
    response.personal.is_none_or(|owner| Some(owner) == visitor.credentials || owner == visitor.event)
}

/// Asks the upstream in place of the worker, which answered with what belongs to somebody else.
async fn past_the_worker(
    gateway: &Gateway,
    head: RequestHead,
    hidden: &Hidden,
    record: &mut Record,
) -> Result<Answer, Refusal> {
    record.note = Some("the worker answered with another visitor's response".to_owned());
    if head.method != Method::GET && head.method != Method::HEAD {
        return Err(not_theirs());
    }
    record.route = Route::Network;
    forward(gateway, Request::from(head), hidden, record).await
}

fn not_theirs() -> Refusal {
    Refusal::worker("worker-personal", "the service worker answered with another visitor's response")
}

async fn forward(gateway: &Gateway, request: Request, hidden: &Hidden, record: &mut Record) -> Result<Answer, Refusal> {
    let request = Request { signal: Some(record.signal()), ..request };
    let response = gateway.network.forward(request, hidden).await.map_err(Refusal::upstream)?;
    Ok(Answer::new(response, Coding::AsReceived, true))
}

/// After a navigation: looks for a new script, if that is due.
fn look_for_update(gateway: &Gateway, site: &Site, navigated: bool) {
    use std::sync::atomic::Ordering::Relaxed;
    if !navigated {
        return;
    }
    let now = gateway.clock.now_ms();
    let interval = u64::try_from(gateway.config.update_interval.as_millis()).unwrap_or(u64::MAX);
    let due = |last: u64| (now.saturating_sub(last) >= interval).then_some(now);
    if gateway.last_update_ms.fetch_update(Relaxed, Relaxed, due).is_ok() {
        site.soft_update();
    }
}

/// The answer to a client, told which one it is where that is known.
fn send(answer: Answer, method: &Method, client: Option<String>) -> Result<http::Response<Body>, Refusal> {
    let Answer { mut response, coding, cookies } = answer;
    let about = About {
        method,
        coding,
        length: response.body.as_ref().and_then(Body::length),
        has_body: response.body.is_some(),
        cookies,
    };
    let upgrade = response.status == 101;
    let head = if upgrade { switch(&response) } else { outbound::head(&response.head, about) };
    let mut head = head.map_err(|reason| Refusal::worker("worker-answer", reason))?;
    if let Some(client) =
        client.filter(|_| !head.status().is_redirection() || head.status() == StatusCode::NOT_MODIFIED)
    {
        pages::tell_client(head.headers_mut(), &client);
    }
    let bodyless = method == Method::HEAD || upgrade || matches!(response.status, 204 | 304);
    let body = if bodyless { Body::empty() } else { response.body.take().unwrap_or_default() };
    Ok(head.map(|()| body))
}

/// The head that tells the client that its connection is a tunnel now: the upstream's, as it is.
fn switch(response: &Response) -> Result<http::Response<()>, &'static str> {
    let mut head = http::Response::new(());
    *head.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *head.headers_mut() = (&response.headers).try_into().map_err(|_| "the upstream's headers cannot be sent on")?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use waystore::CredentialHash;

    use super::*;

    #[test]
    fn a_response_of_another_visitor_is_not_given() {
        let (anna, ben, event) = (CredentialHash([1; 16]), CredentialHash([2; 16]), CredentialHash([3; 16]));
        let visitor = Visitor { credentials: Some(anna), event };
        let mut response = Response::new("hello");
        assert!(is_for(&response, visitor));
        response.head.personal = Some(ben);
        assert!(!is_for(&response, visitor));
        response.head.personal = Some(anna);
        assert!(is_for(&response, visitor));
    }
}
