//! One request's way: from the socket to the worker or past it, and its answer back.
//!
//! Reads top-down: check, sort, ask, answer. What each step decides is in a module of its own.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use http::{HeaderMap, Method, StatusCode, Uri, header};
use hyper::body::{Body as _, Incoming};
use url::Url;
use waystore::{Body, HeaderList, Request, RequestHead, RequestMode, Response, ResponseSource, Visitor};
use waystore_worker::{FetchEvent, FetchOutcome, Site};

use super::{
    access::{Record, Route, Tracked},
    config::Config,
    inbound::{Bypass, Inbound},
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
}

/// A request that was sorted, on its way.
struct Asked {
    head: RequestHead,
    body: Option<Body>,
    aside: Aside,
    visitor: Visitor,
}

/// What the worker does not see of a request and the upstream gets. Put together when it is needed: where a static
/// route leads to a cache, it never is.
struct Aside {
    headers: HeaderList,
    /// The `X-Forwarded-For` of a trusted proxy.
    forwarded_for: Option<String>,
    peer: IpAddr,
}

impl From<Aside> for Hidden {
    fn from(aside: Aside) -> Self {
        let peer = aside.peer.to_canonical();
        let forwarded_for = aside.forwarded_for.map_or_else(|| peer.to_string(), |list| format!("{list}, {peer}"));
        Self { headers: aside.headers, forwarded_for }
    }
}

/// A response, and how it is to be sent.
struct Answer {
    response: Response,
    coding: Coding,
    cookies: bool,
    /// The client that a navigation makes.
    client: Option<String>,
}

impl Answer {
    fn new(response: Response, coding: Coding, cookies: bool) -> Self {
        Self { response, coding, cookies, client: None }
    }
}

/// Answers one request. Dropping the future, or the body of the answer, aborts what goes on for it.
pub(crate) async fn handle(peer: &Peer, request: http::Request<Incoming>) -> http::Response<Tracked> {
    let method = request.method().clone();
    let mut record = Record::new(&method, request.uri(), Instant::now());
    let answered = answer(&peer.gateway, peer.address.ip(), request, &mut record).await;
    let sent = answered.and_then(|answer| send(answer, &method));
    let sent = sent.unwrap_or_else(|refusal| refusal.respond(&method, &mut record));
    record.status = sent.status().as_u16();
    sent.map(|body| Tracked::new(body, record))
}

async fn answer(
    gateway: &Gateway,
    peer: IpAddr,
    mut request: http::Request<Incoming>,
    record: &mut Record,
) -> Result<Answer, Refusal> {
    let url = check(gateway, &request)?;
    let trusted = gateway.config.trusted_proxies.contains(peer);
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let Inbound { mut head, hidden, forwarded_for, bypass } =
        Inbound::read(&parts, url, trusted, &gateway.config.headers);
    let visitor = gateway.network.parts().personal.visitor(&head.headers, &hidden, gateway.clock.random());
    if pages::is_ours(head.url.path()) {
        record.route = Route::Gateway;
        let ask = pages::Ask {
            parts: &parts,
            path: head.url.path(),
            host: host(&parts.uri, &parts.headers).unwrap_or_default(),
            public: gateway.network.parts().public.origin(),
            credentials: visitor.credentials,
            body: body_of(body, gateway),
            upgrade,
        };
        let response = pages::answer(gateway.pages.as_ref(), ask).await?;
        return Ok(Answer::new(response, Coding::AsReceived, false));
    }
    let page = gateway.config.pages.inject && gateway.site.is_some() && inject::asks_for_page(&head);
    if page {
        inject::ask_for_all(&mut head);
    }
    let aside = Aside { headers: hidden, forwarded_for, peer };

    if let (Some(Bypass::Upgrade), Some(tunnel)) = (bypass, &gateway.tunnel) {
        record.route = Route::Bypass;
        let response = tunnel.open(&parts, &head, &aside.into(), upgrade).await.map_err(Refusal::upstream)?;
        return Ok(Answer::new(response, Coding::AsReceived, true));
    }
    let site = gateway.site.as_ref().filter(|site| bypass.is_none() && site.covers(&head.url));
    let body = body_of(body, gateway);
    let mut answer = match site {
        Some(site) => {
            let pages = gateway.pages.as_ref().filter(|_| head.mode == RequestMode::Navigate);
            let client = pages.map(|pages| pages.reserve(visitor.credentials));
            let asked = Asked { head, body, aside, visitor };
            Answer { client: client.clone(), ..ask_site(gateway, site, asked, client, record).await? }
        }
        None => {
            record.route = if gateway.site.is_some() { Route::Bypass } else { Route::Network };
            forward(gateway, Request { body, ..Request::from(head) }, &aside.into(), record).await?
        }
    };
    if page {
        inject::inject(&mut answer.response, answer.coding == Coding::AsReceived);
    }
    Ok(answer)
}

/// The URL that is asked for, unless this gateway is not who to ask.
fn check(gateway: &Gateway, request: &http::Request<Incoming>) -> Result<Url, Refusal> {
    let public = &gateway.network.parts().public;
    let host = host(request.uri(), request.headers())
        .ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "host", "a request names one host"))?;
    if !public.serves(host) {
        let text = format!("this server answers for {} only", public.serialized());
        return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, "host", text));
    }
    if matches!(request.method().as_str(), "CONNECT" | "TRACE" | "TRACK") {
        let text = format!("{} is not served", request.method());
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method", text));
    }
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    public
        .url(target)
        .ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "target", "the path is not one of this site"))
}

/// Whom a request is for; `None` unless it says so once.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (uri.authority(), hosts.next(), hosts.next()) {
        (Some(authority), ..) => Some(authority.as_str()),
        (None, Some(host), None) => Some(host.to_str().unwrap_or_default()),
        _ => None,
    }
}

/// The request's body; `None` where its head says there is none.
fn body_of(body: Incoming, gateway: &Gateway) -> Option<Body> {
    if body.is_end_stream() {
        return None;
    }
    let length = body.size_hint().exact();
    Some(Body::from_stream(timed(incoming(body), gateway.config.timeouts.body, "the client"), length))
}

/// Asks the site: its static routes, and where these do not lead past it, its script.
async fn ask_site(
    gateway: &Gateway,
    site: &Arc<Site>,
    asked: Asked,
    client: Option<String>,
    record: &mut Record,
) -> Result<Answer, Refusal> {
    let Asked { head, body, aside, visitor } = asked;
    let navigates = head.mode == RequestMode::Navigate;
    let event = FetchEvent {
        request: Request { body, visitor: Some(visitor), ..Request::from(head) },
        client_id: String::new(),
        resulting_client_id: client.unwrap_or_default(),
    };
    // Until it is known better: should the client go away meanwhile, the worker is who was asked.
    record.route = Route::Worker;
    let event = match site.fetch_routed(event).await {
        Ok(outcome) => {
            look_for_update(gateway, site, navigates);
            return settle(gateway, outcome, visitor, || Arc::new(aside.into()), record).await;
        }
        Err(event) => *event,
    };
    let hidden = Arc::new(Hidden::from(aside));
    gateway.network.parts().events.hold(visitor.event, Arc::clone(&hidden), Instant::now());
    let head = event.request.head.clone();
    let request = Request { signal: Some(record.signal()), ..event.request };
    let outcome = site.fetch(FetchEvent { request, ..event }).await;
    look_for_update(gateway, site, navigates);
    match outcome {
        FetchOutcome::Response { response, version } if !is_for(&response, visitor) => {
            record.version = Some(version);
            past_the_worker(gateway, head, &hidden, record).await
        }
        outcome => settle(gateway, outcome, visitor, || hidden, record).await,
    }
}

/// Makes an answer of what the site said.
async fn settle(
    gateway: &Gateway,
    outcome: FetchOutcome,
    visitor: Visitor,
    hidden: impl FnOnce() -> Arc<Hidden>,
    record: &mut Record,
) -> Result<Answer, Refusal> {
    match outcome {
        FetchOutcome::Fallback { request, reason, version } => {
            record.route = Route::Network;
            record.version = version;
            record.note = Some(format!("{reason:?}"));
            forward(gateway, *request, &hidden(), record).await
        }
        FetchOutcome::Response { response, version } => {
            record.version = Some(version);
            record.route = Route::of(response.source);
            if !is_for(&response, visitor) {
                return Err(not_theirs());
            }
            let cookies = response.source == ResponseSource::Network && response.personal == Some(visitor.mark());
            Ok(Answer::new(*response, Coding::Removed, cookies))
        }
        FetchOutcome::NetworkError { reason, version } => {
            record.version = Some(version);
            Err(Refusal::worker("worker-network-error", reason))
        }
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

fn send(answer: Answer, method: &Method) -> Result<http::Response<Body>, Refusal> {
    let Answer { response, coding, cookies, client } = answer;
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
    let body = if bodyless { Body::empty() } else { response.body.unwrap_or_default() };
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
