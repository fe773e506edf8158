//! What the gateway has for pages, under `/.well-known/waystore/`: the script, and the channel.
//!
//! Reads which of these a request is for, and who asks. The protocol is `docs/channel.md`.

mod ahead;
mod allowed;
mod arrivals;
mod budget;
mod client;
mod closing;
mod conversation;
pub(crate) mod desk;
mod frames;
pub(super) mod inject;
mod origin;
mod ports;
mod reservations;
mod sequence;
mod served;
mod session;
pub(crate) mod settings;
mod stream;
#[cfg(test)]
mod testing;
mod times;
mod told;
mod websocket;
mod wire;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, request::Parts};
use hyper::upgrade::OnUpgrade;
use url::Url;
use waystore::{Body, CredentialHash, HeaderList, Response, prefetch::Hints};

use self::{
    closing::FULL_MS,
    desk::{Pages, Who},
    origin::{Place, same_origin},
};
use super::refusal::Refusal;

/// Everything under it is the gateway's.
const PREFIX: &str = "/.well-known/waystore/";

/// A request for something of ours.
pub(super) struct Ask<'a> {
    pub(super) parts: &'a Parts,
    pub(super) path: &'a str,
    /// Whom it is for.
    pub(super) host: &'a str,
    pub(super) public: &'a Url,
    pub(super) credentials: Option<CredentialHash>,
    pub(super) body: Option<Body>,
    pub(super) upgrade: OnUpgrade,
}

/// Whether the site and its worker have no say in requests for this path.
pub(super) fn is_ours(path: &str) -> bool {
    path.starts_with(PREFIX)
}

/// Tells a page which client it is, before whatever else its `Server-Timing` says.
pub(super) fn tell_client(headers: &mut HeaderMap, id: &str) {
    let name = HeaderName::from_static("server-timing");
    let others: Vec<_> = headers.get_all(&name).iter().cloned().collect();
    let Ok(ours) = HeaderValue::from_str(&format!("waystore;desc=\"{id}\"")) else { return };
    headers.insert(&name, ours);
    for other in others {
        headers.append(&name, other);
    }
}

/// Answers a request for something of ours.
///
/// # Errors
///
/// There is no such thing, or who asks may not have it.
pub(super) async fn answer(pages: Option<&Pages>, ask: Ask<'_>) -> Result<Response, Refusal> {
    let name = ask.path.strip_prefix(PREFIX).unwrap_or_default();
    if !matches!(name, "client.js" | "channel" | "channel/stream" | "channel/frames") {
        let text = "there are `client.js` and `channel` here, and nothing else";
        return Err(Refusal::new(StatusCode::NOT_FOUND, "not-found", text));
    }
    let Some(pages) = pages else {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "no-worker", "this gateway runs no worker"));
    };
    if name == "client.js" {
        return script(pages, ask.parts).await;
    }
    let seen = same_origin(&ask.parts.headers, ask.host, ask.public)?;
    let posts = ask.parts.method == Method::POST;
    if name != "channel" && !posts {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this takes POST only"));
    }
    let body = ask.body.unwrap_or_default();
    if name == "channel/frames" {
        return stream::take(pages, body).await;
    }
    let switch = if name == "channel" { Some(websocket::handshake(ask.parts)?) } else { None };
    let hints = Hints::from_headers(&HeaderList::from(&ask.parts.headers));
    let who = Who { place: Place { seen, public: ask.public.clone() }, credentials: ask.credentials, hints };
    let room = pages.room().ok_or_else(|| {
        let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "pages", "as many pages as may be are connected");
        refusal.retry_after(FULL_MS / 1000)
    })?;
    let Some(switch) = switch else { return stream::open(pages, who, body, room).await };
    pages.spawn(websocket::serve(pages.clone(), who, ask.upgrade, room));
    Ok(switch)
}

/// The script for pages, with the registration as it is now.
async fn script(pages: &Pages, parts: &Parts) -> Result<Response, Refusal> {
    if parts.method != Method::GET && parts.method != Method::HEAD {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this takes GET only"));
    }
    Ok(pages.script().response(&pages.site().mirror(), &parts.headers).await)
}
