//! The headers that a request goes out with. Pure.
//!
//! Spec: <https://fetch.spec.whatwg.org/#http-network-or-cache-fetch>

use http::Method;
use waystore::{HeaderList, RequestCache, RequestCredentials, RequestHead, RequestMode};

use super::hidden::Hidden;
use crate::serve::{inbound::is_hop_by_hop, public::Public};

/// The codings that `fetch` removes.
const CODINGS: &str = "gzip, deflate, br, zstd";

/// The headers of a script's request: as a browser would send them, with the visitor's own where they may go.
pub(super) fn of_script(request: &RequestHead, hidden: Option<&Hidden>, public: &Public, has_body: bool) -> HeaderList {
    let own = public.owns(&request.url);
    let mut headers = visible(request);
    if let Some(hidden) = hidden.filter(|_| own) {
        let credentials = request.credentials != RequestCredentials::Omit;
        for (name, value) in &hidden.headers {
            if !name.starts_with(b"accept-encoding") && (credentials || !name.starts_with(b"cookie")) {
                headers.append(name, value);
            }
        }
    }
    default(&mut headers, "accept", "*/*");
    default(&mut headers, "user-agent", concat!("waystore/", env!("CARGO_PKG_VERSION")));
    headers.set("accept-encoding", if headers.contains("range") { "identity" } else { CODINGS });
    cache_mode(request.cache, &mut headers);
    let reads = request.method == Method::GET || request.method == Method::HEAD;
    if !own {
        if let Some(referrer) = headers.get_text("referer") {
            let origin = url::Url::parse(&referrer).map(|url| url.origin().ascii_serialization() + "/");
            headers.set("referer", origin.unwrap_or_default());
        }
        if request.mode == RequestMode::Cors || !reads {
            headers.set("origin", public.serialized());
        }
    } else if !reads {
        default(&mut headers, "origin", public.serialized());
    }
    if !has_body && matches!(request.method, Method::POST | Method::PUT) {
        headers.set("content-length", "0");
    }
    if own {
        forwarded(&mut headers, hidden, public);
    }
    headers
}

/// The headers of a visitor's request that no worker changes.
pub(super) fn of_visitor(request: &RequestHead, hidden: &Hidden, public: &Public) -> HeaderList {
    let mut headers = visible(request);
    for (name, value) in &hidden.headers {
        headers.append(name, value);
    }
    forwarded(&mut headers, Some(hidden), public);
    headers
}

fn visible(request: &RequestHead) -> HeaderList {
    let mut headers = request.headers.clone();
    headers.retain(|name, _| {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        !is_hop_by_hop(&name) && name != "host" && name != "content-length"
    });
    headers
}

fn default(headers: &mut HeaderList, name: &str, value: &str) {
    if !headers.contains(name) {
        headers.append(name, value);
    }
}

fn cache_mode(cache: RequestCache, headers: &mut HeaderList) {
    match cache {
        RequestCache::NoStore | RequestCache::Reload => {
            default(headers, "pragma", "no-cache");
            default(headers, "cache-control", "no-cache");
        }
        RequestCache::NoCache => default(headers, "cache-control", "max-age=0"),
        RequestCache::Default | RequestCache::ForceCache | RequestCache::OnlyIfCached => {}
    }
}

fn forwarded(headers: &mut HeaderList, hidden: Option<&Hidden>, public: &Public) {
    headers.retain(|name, _| !name.to_ascii_lowercase().starts_with(b"x-forwarded-"));
    if let Some(hidden) = hidden.filter(|hidden| !hidden.forwarded_for.is_empty()) {
        headers.set("x-forwarded-for", &hidden.forwarded_for);
    }
    headers.set("x-forwarded-host", public.host());
    headers.set("x-forwarded-proto", public.origin().scheme());
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn public() -> Public {
        Public::new(Url::parse("https://shop.example").unwrap(), &[]).unwrap()
    }

    fn hidden() -> Hidden {
        let headers = [("cookie", "sid=1"), ("accept-encoding", "gzip"), ("sec-fetch-dest", "image")];
        Hidden { headers: headers.into_iter().collect(), forwarded_for: "203.0.113.9".into() }
    }

    fn get(url: &str) -> RequestHead {
        RequestHead::get(Url::parse(url).unwrap())
    }

    fn script(request: &RequestHead, hidden: Option<&Hidden>) -> HeaderList {
        of_script(request, hidden, &public(), false)
    }

    #[test]
    fn g6_the_events_request_carries_the_visitors_cookies_to_the_public_origin_only() {
        let own = script(&get("https://shop.example/x"), Some(&hidden()));
        assert_eq!(own.get_text("cookie").as_deref(), Some("sid=1"));
        assert_eq!(own.get_text("sec-fetch-dest").as_deref(), Some("image"));
        assert_eq!(own.get_text("x-forwarded-for").as_deref(), Some("203.0.113.9"));
        let other = script(&get("https://cdn.example/x"), Some(&hidden()));
        assert!(!other.contains("cookie") && !other.contains("sec-fetch-dest") && !other.contains("x-forwarded-for"));
        assert!(!other.contains("x-forwarded-host"));
    }

    #[test]
    fn a_request_by_string_is_anonymous() {
        let own = script(&get("https://shop.example/x"), None);
        assert!(!own.contains("cookie") && !own.contains("x-forwarded-for"));
        assert_eq!(own.get_text("x-forwarded-proto").as_deref(), Some("https"));
    }

    #[test]
    fn credentials_that_script_leaves_out_are_left_out() {
        let mut request = get("https://shop.example/x");
        request.credentials = RequestCredentials::Omit;
        assert!(!script(&request, Some(&hidden())).contains("cookie"));
    }

    #[test]
    fn the_gateways_word_about_the_client_replaces_every_other() {
        let mut request = get("https://shop.example/x");
        request.headers.append("X-Forwarded-Host", "evil.example");
        let sent = of_visitor(&request, &hidden(), &public());
        assert_eq!(sent.get_text("x-forwarded-host").as_deref(), Some("shop.example"));
        assert_eq!(sent.get_text("accept-encoding").as_deref(), Some("gzip"));
    }

    #[test]
    fn f72_cache_modes_show_in_headers() {
        let sent = |cache| {
            let mut request = get("https://shop.example/x");
            request.cache = cache;
            let sent = script(&request, None);
            (sent.get_text("pragma"), sent.get_text("cache-control"))
        };
        assert_eq!(sent(RequestCache::NoStore), (Some("no-cache".into()), Some("no-cache".into())));
        assert_eq!(sent(RequestCache::NoCache), (None, Some("max-age=0".into())));
        assert_eq!(sent(RequestCache::Default), (None, None));
    }

    #[test]
    fn a_range_is_asked_for_without_codings() {
        let mut request = get("https://shop.example/x");
        request.headers.append("Range", "bytes=0-1");
        assert_eq!(script(&request, None).get_text("accept-encoding").as_deref(), Some("identity"));
        assert_eq!(script(&get("https://shop.example/x"), None).get_text("accept-encoding").as_deref(), Some(CODINGS));
    }
}
