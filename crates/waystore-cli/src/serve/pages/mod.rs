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
mod session;
pub(crate) mod settings;
mod stream;
mod told;
mod websocket;
mod wire;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use hyper::upgrade::OnUpgrade;
use url::Url;
use waystore::{Body, CredentialHash, HeaderList, Response, prefetch::Hints};

use self::{
    closing::FULL_MS,
    desk::{Pages, Who},
    origin::{Place, same_origin},
    told::registration,
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
        return script(pages, ask.parts);
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
fn script(pages: &Pages, parts: &Parts) -> Result<Response, Refusal> {
    if parts.method != Method::GET && parts.method != Method::HEAD {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this takes GET only"));
    }
    let text = client::script(&registration(&pages.site().mirror()));
    let tag = format!("\"{}\"", &blake3::hash(text.as_bytes()).to_hex()[..32]);
    let unchanged = is_known(&parts.headers, &tag);
    let mut response = if unchanged { Response::empty(304) } else { Response::new(text) };
    response.head.headers = [
        ("content-type", "text/javascript; charset=utf-8"),
        ("cache-control", "no-cache"),
        ("etag", &tag),
        ("x-content-type-options", "nosniff"),
    ]
    .into_iter()
    .collect::<HeaderList>();
    Ok(response)
}

/// Whether the client has what this tag names. Spec: RFC 9110, section 13.1.2.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_compared_weakly() {
        let knows = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.append(header::IF_NONE_MATCH, value.parse().unwrap());
            is_known(&headers, "\"a\"")
        };
        assert!(knows("\"a\"") && knows("W/\"a\"") && knows("\"b\", \"a\"") && knows("*"));
        assert!(!knows("\"b\"") && !knows("a"));
    }
}
