//! The headers that a request goes out with. Pure.
//!
//! Spec: <https://fetch.spec.whatwg.org/#http-network-or-cache-fetch>

use http::Method;
use waystore::{
    HeaderList, ReferrerPolicy, RequestCache, RequestCredentials, RequestHead, RequestMode, ResponseType, is_same_site,
};

use super::{cors::Question, hidden::Hidden, referrer};
use crate::serve::{inbound::is_hop_by_hop, public::Public};

/// Who asks, where no browser does.
const USER_AGENT: &str = concat!("waystore/", env!("CARGO_PKG_VERSION"));
/// The codings that `fetch` removes.
const CODINGS: &str = "gzip, deflate, br, zstd";

/// One request of a script on its way, among the redirects of a fetch.
#[derive(Debug)]
pub(super) struct Hop<'a> {
    /// The visitor's own headers, where they may go along.
    pub(super) hidden: Option<&'a Hidden>,
    /// Whether it is the request of an event, or one made from it.
    pub(super) event: bool,
    /// Whether no redirect came from another origin.
    pub(super) own_so_far: bool,
    /// What script may see of the response.
    pub(super) tainting: ResponseType,
    /// What `Origin` says, where it is said.
    pub(super) origin: &'a str,
    pub(super) has_body: bool,
}

/// Whether cookies go along, and count that come back.
pub(super) fn includes_credentials(request: &RequestHead, tainting: ResponseType) -> bool {
    match request.credentials {
        RequestCredentials::Omit => false,
        RequestCredentials::SameOrigin => tainting == ResponseType::Basic,
        RequestCredentials::Include => true,
    }
}

/// The headers of a script's request: as a browser would send them, with the visitor's own where they may go.
pub(super) fn of_script(request: &RequestHead, hop: &Hop<'_>, public: &Public) -> HeaderList {
    let own = public.owns(&request.url);
    let mut headers = visible(request);
    let hidden = hop.hidden.filter(|_| own);
    if let Some(hidden) = hidden {
        let credentials = includes_credentials(request, hop.tainting);
        for (name, value) in &hidden.headers {
            if !name.starts_with(b"accept-encoding") && (credentials || !name.starts_with(b"cookie")) {
                headers.append(name, value);
            }
        }
    }
    default(&mut headers, "accept", "*/*");
    default(&mut headers, "user-agent", USER_AGENT);
    headers.set("accept-encoding", if headers.contains("range") { "identity" } else { CODINGS });
    cache_mode(request.cache, !hop.event, &mut headers);
    // What the visitor's browser says of itself is true as long as nothing led away from the public origin.
    let still_its_own = own && hop.own_so_far && hop.event;
    if !(still_its_own && headers.contains("referer")) {
        headers.remove("referer");
        if let Some(referrer) = referrer::of(request) {
            headers.set("referer", referrer);
        }
    }
    let reads = request.method == Method::GET || request.method == Method::HEAD;
    if !still_its_own {
        headers.remove("origin");
    }
    if hop.tainting == ResponseType::Cors {
        headers.set("origin", hop.origin);
    } else if !reads {
        default(&mut headers, "origin", origin_by_policy(request, hop, public));
    }
    if hidden.is_none() {
        about_the_fetch(request, hop, public, &mut headers);
    }
    if !hop.has_body && matches!(request.method, Method::POST | Method::PUT) {
        headers.set("content-length", "0");
    }
    if own {
        forwarded(&mut headers, hidden, public);
    }
    headers
}

/// The headers of the question whether another origin consents to `request`. Without credentials.
///
/// Spec: <https://fetch.spec.whatwg.org/#cors-preflight-fetch>
pub(super) fn of_preflight(request: &RequestHead, asks: &Question, hop: &Hop<'_>, public: &Public) -> HeaderList {
    let mut headers = HeaderList::new();
    headers.append("accept", "*/*");
    headers.append("access-control-request-method", request.method.as_str());
    if !asks.headers.is_empty() {
        headers.append("access-control-request-headers", asks.headers.join(","));
    }
    headers.append("origin", hop.origin);
    if let Some(referrer) = referrer::of(request) {
        headers.append("referer", referrer);
    }
    let browser = request.headers.get("user-agent");
    headers.append("user-agent", browser.as_deref().unwrap_or(USER_AGENT.as_bytes()));
    about_the_fetch(request, hop, public, &mut headers);
    headers
}

/// What `Origin` says in a request that is not of CORS, by the referrer policy.
///
/// Spec: <https://fetch.spec.whatwg.org/#append-a-request-origin-header>
fn origin_by_policy<'a>(request: &RequestHead, hop: &Hop<'a>, public: &Public) -> &'a str {
    let downgrade = public.origin().scheme() == "https" && request.url.scheme() != "https";
    let hides = match request.referrer_policy {
        _ if request.mode == RequestMode::Cors => false,
        ReferrerPolicy::NoReferrer => true,
        ReferrerPolicy::SameOrigin => !public.owns(&request.url),
        ReferrerPolicy::Empty
        | ReferrerPolicy::NoReferrerWhenDowngrade
        | ReferrerPolicy::StrictOrigin
        | ReferrerPolicy::StrictOriginWhenCrossOrigin => downgrade,
        ReferrerPolicy::Origin | ReferrerPolicy::OriginWhenCrossOrigin | ReferrerPolicy::UnsafeUrl => false,
    };
    if hides { "null" } else { hop.origin }
}

/// What the server is told about who asks and what for, where the visitor's browser does not tell.
///
/// Spec: <https://w3c.github.io/webappsec-fetch-metadata/#framework>
fn about_the_fetch(request: &RequestHead, hop: &Hop<'_>, public: &Public, headers: &mut HeaderList) {
    if !referrer::is_trustworthy(&request.url) {
        return;
    }
    let destination = request.destination.as_str();
    headers.set("sec-fetch-dest", if destination.is_empty() { "empty" } else { destination });
    headers.set("sec-fetch-mode", request.mode.as_str());
    let site = if public.owns(&request.url) && hop.own_so_far {
        "same-origin"
    } else if hop.own_so_far && is_same_site(&public.origin().origin(), &request.url.origin()) {
        "same-site"
    } else {
        "cross-site"
    };
    headers.set("sec-fetch-site", site);
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

/// Tells HTTP caches on the way what the request wants of them. A condition of script's own making means that
/// script has a cache of its own; one of the visitor's browser does not.
fn cache_mode(cache: RequestCache, by_script: bool, headers: &mut HeaderList) {
    let conditions = ["if-modified-since", "if-none-match", "if-unmodified-since", "if-match", "if-range"];
    let conditional = by_script && conditions.iter().any(|name| headers.contains(name));
    match cache {
        RequestCache::Default if conditional => cache_mode(RequestCache::NoStore, by_script, headers),
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
    use waystore::Referrer;

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
        let own = public().owns(&request.url);
        let tainting = if own { ResponseType::Basic } else { ResponseType::Cors };
        let hop = Hop {
            hidden,
            event: hidden.is_some(),
            own_so_far: true,
            tainting,
            origin: "https://shop.example",
            has_body: false,
        };
        of_script(request, &hop, &public())
    }

    #[test]
    fn g6_the_events_request_carries_the_visitors_cookies_to_the_public_origin_only() {
        let own = script(&get("https://shop.example/x"), Some(&hidden()));
        assert_eq!(own.get_text("cookie").as_deref(), Some("sid=1"));
        assert_eq!(own.get_text("sec-fetch-dest").as_deref(), Some("image"));
        assert_eq!(own.get_text("x-forwarded-for").as_deref(), Some("203.0.113.9"));
        let other = script(&get("https://cdn.example/x"), Some(&hidden()));
        assert!(!other.contains("cookie") && !other.contains("x-forwarded-for"));
        assert_eq!(other.get_text("sec-fetch-dest").as_deref(), Some("empty"), "of its own, not the visitor's");
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
    fn f72_a_condition_of_script_goes_past_caches_and_one_of_a_browser_does_not() {
        let mut request = get("https://shop.example/x");
        request.headers.append("If-None-Match", "\"e\"");
        assert_eq!(script(&request, None).get_text("cache-control").as_deref(), Some("no-cache"));
        assert_eq!(script(&request, Some(&hidden())).get_text("cache-control"), None);
    }

    #[test]
    fn another_origin_is_told_who_asks_and_no_more() {
        let mut request = get("https://cdn.example/x");
        request.headers.append("Referer", "https://shop.example/private?x");
        request.headers.append("Origin", "https://evil.example");
        request.referrer = Referrer::Url(Box::new(Url::parse("https://shop.example/private?x").unwrap()));
        let sent = script(&request, Some(&hidden()));
        assert_eq!(sent.get_text("origin").as_deref(), Some("https://shop.example"));
        assert_eq!(sent.get_text("referer").as_deref(), Some("https://shop.example/"));
        assert_eq!(sent.get_text("sec-fetch-site").as_deref(), Some("cross-site"));
        assert_eq!(
            script(&get("https://api.shop.example/x"), None).get_text("sec-fetch-site").as_deref(),
            Some("same-site")
        );
    }

    #[test]
    fn a_request_without_cors_names_its_origin_by_the_referrer_policy() {
        let origin = |policy, url, method| {
            let mut request = get(url);
            (request.referrer_policy, request.method, request.mode) = (policy, method, RequestMode::NoCors);
            let hop = Hop {
                hidden: None,
                event: false,
                own_so_far: true,
                tainting: ResponseType::Opaque,
                origin: "https://shop.example",
                has_body: true,
            };
            of_script(&request, &hop, &public()).get_text("origin")
        };
        let (secure, plain) = ("https://cdn.example/", "http://cdn.example/");
        let shop = Some("https://shop.example".to_owned());
        assert_eq!(origin(ReferrerPolicy::Empty, secure, Method::GET), None);
        assert_eq!(origin(ReferrerPolicy::Empty, secure, Method::POST), shop);
        assert_eq!(origin(ReferrerPolicy::Empty, plain, Method::POST).as_deref(), Some("null"));
        assert_eq!(origin(ReferrerPolicy::UnsafeUrl, plain, Method::POST), shop);
        assert_eq!(origin(ReferrerPolicy::NoReferrer, secure, Method::POST).as_deref(), Some("null"));
        assert_eq!(origin(ReferrerPolicy::SameOrigin, secure, Method::POST).as_deref(), Some("null"));
    }

    #[test]
    fn a_range_is_asked_for_without_codings() {
        let mut request = get("https://shop.example/x");
        request.headers.append("Range", "bytes=0-1");
        assert_eq!(script(&request, None).get_text("accept-encoding").as_deref(), Some("identity"));
        assert_eq!(script(&get("https://shop.example/x"), None).get_text("accept-encoding").as_deref(), Some(CODINGS));
    }
}
