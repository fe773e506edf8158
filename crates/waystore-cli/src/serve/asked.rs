//! A request that was checked and sorted: whom it is for, what the worker sees of it, and who asks.
//!
//! Takes it in by reference, and waits for nothing: most requests are answered with what is put together here.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, Request as HttpRequest, StatusCode, Uri, header};
use url::Url;
use waystore::{HeaderList, Request, RequestMode, Visitor};
use waystore_worker::{FetchEvent, Site};

use super::{
    handler::{Gateway, Peer},
    inbound::{Bypass, Inbound},
    pages::{self, inject},
    refusal::Refusal,
};
use crate::fetch::hidden::Hidden;

/// A request that was sorted, on its way.
pub(super) struct Asked<'a> {
    /// Without its body. Boxed, since it is large and goes from hand to hand.
    pub(super) event: Box<FetchEvent>,
    pub(super) visitor: Visitor,
    pub(super) aside: Aside,
    pub(super) bypass: Option<Bypass>,
    /// The site, where it has a say in it.
    pub(super) site: Option<&'a Arc<Site>>,
    /// Whether the answer may be a page, which is to load our script.
    pub(super) page: bool,
}

/// What the worker does not see of a request and the upstream gets. Put together when it is needed: where a static
/// route leads to a cache, it never is.
pub(super) struct Aside {
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

impl<'a> Asked<'a> {
    /// # Errors
    ///
    /// The gateway of `peer` is not who to ask.
    pub(super) fn read<B>(peer: &'a Peer, request: &HttpRequest<B>) -> Result<Self, Refusal> {
        let (gateway, ip) = (&*peer.gateway, peer.address.ip());
        let url = check(gateway, request)?;
        let trusted = gateway.config.trusted_proxies.contains(ip);
        let Inbound { mut head, hidden, forwarded_for, bypass } =
            Inbound::read(request.method(), request.headers(), url, trusted, &gateway.config.headers);
        let visitor = gateway.network.parts().personal.visitor(&head.headers, &hidden, gateway.clock.random());
        let is_ours = pages::is_ours(head.url.path());
        let is_tunnel = bypass == Some(Bypass::Upgrade) && gateway.tunnel.is_some();
        let injects = gateway.config.pages.inject && gateway.site.is_some() && !is_ours && !is_tunnel;
        let page = injects && inject::asks_for_page(&head);
        if page {
            inject::ask_for_all(&mut head);
        }
        let site = gateway.site.as_ref().filter(|site| !is_ours && bypass.is_none() && site.covers(&head.url));
        let pages = gateway.pages.as_ref().filter(|_| site.is_some() && head.mode == RequestMode::Navigate);
        let client = pages.map(|pages| pages.reserve(visitor.credentials));
        let event = Box::new(FetchEvent {
            request: Request { visitor: Some(visitor), ..Request::from(head) },
            client_id: String::new(),
            resulting_client_id: client.unwrap_or_default(),
        });
        Ok(Self { event, visitor, aside: Aside { headers: hidden, forwarded_for, peer: ip }, bypass, site, page })
    }

    pub(super) fn navigates(&self) -> bool {
        self.event.request.mode == RequestMode::Navigate
    }

    /// The client that the answer makes, where that is a page.
    pub(super) fn client(&self) -> Option<String> {
        Some(self.event.resulting_client_id.clone()).filter(|client| !client.is_empty())
    }
}

/// The URL that is asked for, unless this gateway is not who to ask.
fn check<B>(gateway: &Gateway, request: &HttpRequest<B>) -> Result<Url, Refusal> {
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
pub(super) fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (uri.authority(), hosts.next(), hosts.next()) {
        (Some(authority), ..) => Some(authority.as_str()),
        (None, Some(host), None) => Some(host.to_str().unwrap_or_default()),
        _ => None,
    }
}
