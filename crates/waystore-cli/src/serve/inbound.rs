//! From the head of an HTTP request to the request that a worker sees. Pure.
//!
//! Knows header names and what they say; not the worker, not the network.

use http::{HeaderMap, Method};
use url::Url;
use waystore::{
    Destination, HeaderList, Referrer, RequestCache, RequestCredentials, RequestHead, RequestMode, RequestRedirect,
};

/// Which headers are shown and which are let in, beyond the defaults. Names in lower case.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeaderRules {
    /// Shown to the worker though hidden by default.
    pub(crate) expose: Vec<String>,
    /// Let in though dropped by default.
    pub(crate) forward: Vec<String>,
}

/// A request as it came in, sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inbound {
    /// What the worker sees.
    pub(crate) head: RequestHead,
    /// What it does not see and the upstream still gets: cookies, `Sec-*`, `Accept-Encoding`.
    pub(crate) hidden: HeaderList,
    /// The `X-Forwarded-For` of a trusted proxy.
    pub(crate) forwarded_for: Option<String>,
    /// Why no worker is asked, where none is.
    pub(crate) bypass: Option<Bypass>,
}

/// Why a request goes past the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bypass {
    /// It is for the script itself.
    Script,
    /// It is for an `embed` or an `object`.
    Embedded,
    /// It asks for another protocol.
    Upgrade,
}

impl Inbound {
    /// Sorts the headers of a request for `url`; `trusted` says whether it came from a trusted proxy.
    pub(crate) fn read(method: &Method, headers: &HeaderMap, url: Url, trusted: bool, rules: &HeaderRules) -> Self {
        let said = Said::in_(headers);
        let mut head = RequestHead::get(url);
        head.method = method.clone();
        (head.mode, head.destination) = said.mode_and_destination(method);
        if head.mode == RequestMode::Navigate {
            head.redirect = RequestRedirect::Manual;
            head.credentials = RequestCredentials::Include;
            said.reload(&mut head);
        }
        let referrer = said.referer.and_then(|text| Url::parse(text).ok());
        head.referrer = referrer.map_or(Referrer::NoReferrer, |url| Referrer::Url(Box::new(url)));

        let mut hidden = Vec::new();
        let mut shown = Vec::new();
        for (name, value) in headers {
            let name = name.as_str();
            let listed = |names: &[String]| names.iter().any(|listed| listed == name);
            if is_hop_by_hop(name) || is_ours(name) || said.connection.iter().any(|option| option == name) {
                continue;
            }
            if poisons(name) && !listed(&rules.forward) {
                continue;
            }
            let side = if is_hidden(name) && !listed(&rules.expose) { &mut hidden } else { &mut shown };
            side.push((name, value.as_bytes()));
        }
        head.headers = shown.into_iter().collect();
        Self {
            bypass: said.bypass(head.destination),
            head,
            hidden: hidden.into_iter().collect(),
            forwarded_for: trusted.then(|| said.forwarded_for.join(", ")).filter(|list| !list.is_empty()),
        }
    }
}

/// What a request's headers say about the request itself: the first value of each name that is a text, found in one
/// pass over all of them.
#[derive(Debug, Default)]
struct Said<'a> {
    accept: Option<&'a str>,
    cache_control: Option<&'a str>,
    /// In lower case.
    connection: Vec<String>,
    destination: Option<&'a str>,
    forwarded_for: Vec<&'a str>,
    mode: Option<&'a str>,
    referer: Option<&'a str>,
    service_worker: Option<&'a str>,
    site: Option<&'a str>,
    upgrade: Option<&'a str>,
}

impl<'a> Said<'a> {
    fn in_(headers: &'a HeaderMap) -> Self {
        let mut said = Self::default();
        // Repeated values follow their first one, so what was set before stays.
        for (name, value) in headers {
            let place = match name.as_str() {
                "accept" => &mut said.accept,
                "cache-control" => &mut said.cache_control,
                "referer" => &mut said.referer,
                "sec-fetch-dest" => &mut said.destination,
                "sec-fetch-mode" => &mut said.mode,
                "sec-fetch-site" => &mut said.site,
                "service-worker" => &mut said.service_worker,
                "upgrade" => &mut said.upgrade,
                "connection" => {
                    said.connection.extend(connection_options(std::iter::once(value.as_bytes())));
                    continue;
                }
                "x-forwarded-for" => {
                    said.forwarded_for.extend(value.to_str());
                    continue;
                }
                _ => continue,
            };
            // The first value counts, also where it is no text.
            if place.is_none() {
                *place = Some(value.to_str().unwrap_or_default());
            }
        }
        said
    }

    /// What the request is for, as the browser says, or else as its method and `Accept` suggest.
    fn mode_and_destination(&self, method: &Method) -> (RequestMode, Destination) {
        let destination = match self.destination.map(str::trim) {
            Some("empty") | None => None,
            Some(word) => Destination::from_word(word),
        };
        if let Some(mode) = self.mode.map(str::trim).and_then(RequestMode::from_word) {
            return (mode, destination.unwrap_or_default());
        }
        let reads = *method == Method::GET || *method == Method::HEAD;
        let wants_html = self.accept.is_some_and(|accept| accept.to_ascii_lowercase().contains("text/html"));
        if reads && wants_html {
            return (RequestMode::Navigate, Destination::Document);
        }
        let own = self.site.is_some_and(|site| site.trim() == "same-origin");
        (if own { RequestMode::SameOrigin } else { RequestMode::Cors }, destination.unwrap_or_default())
    }

    /// Marks a navigation that reloads the page, as its `Cache-Control` shows.
    fn reload(&self, head: &mut RequestHead) {
        let asks = self.cache_control.unwrap_or_default().to_ascii_lowercase();
        let asks = |directive: &str| asks.split(',').any(|listed| listed.trim() == directive);
        if asks("no-cache") {
            head.cache = RequestCache::Reload;
        } else if asks("max-age=0") {
            head.cache = RequestCache::NoCache;
        }
        head.is_reload_navigation = head.cache != RequestCache::Default;
    }

    fn bypass(&self, destination: Destination) -> Option<Bypass> {
        if self.service_worker.is_some_and(|value| value.trim() == "script") {
            return Some(Bypass::Script);
        }
        match destination {
            Destination::ServiceWorker => Some(Bypass::Script),
            Destination::Embed | Destination::Object => Some(Bypass::Embedded),
            _ => self.asks_for_upgrade().then_some(Bypass::Upgrade),
        }
    }

    /// Whether another protocol is asked for; HTTP/2 in clear text, which clients offer by themselves, does not count.
    fn asks_for_upgrade(&self) -> bool {
        let protocol = self.upgrade.unwrap_or_default();
        self.connection.iter().any(|option| option == "upgrade")
            && !protocol.is_empty()
            && !protocol.eq_ignore_ascii_case("h2c")
    }
}

/// The header names that `Connection` lists, in lower case.
pub(crate) fn connection_options<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let options = values.flat_map(|value| value.split(|byte| *byte == b','));
    options.map(|option| String::from_utf8_lossy(option.trim_ascii()).to_ascii_lowercase()).collect()
}

/// Whether a header (in lower case) is about one connection.
pub(crate) fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

/// What the gateway says itself when it sends the request on.
fn is_ours(name: &str) -> bool {
    matches!(name, "host" | "content-length" | "expect")
}

/// What a server may take for the word of a proxy it trusts, so that a client could change what is cached for others.
fn poisons(name: &str) -> bool {
    let exact = [
        "forwarded",
        "x-original-url",
        "x-original-host",
        "x-rewrite-url",
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-host",
        "x-real-ip",
    ];
    name.starts_with("x-forwarded-") || exact.contains(&name)
}

/// What a browser adds after the worker was asked, or hides from script.
fn is_hidden(name: &str) -> bool {
    matches!(name, "cookie" | "cookie2" | "accept-encoding") || name.starts_with("sec-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(method: &str, headers: &[(&str, &str)], trusted: bool, rules: &HeaderRules) -> Inbound {
        let mut request = http::Request::builder().method(method).uri("/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Inbound::read(&parts.method, &parts.headers, Url::parse("https://shop.example/x").unwrap(), trusted, rules)
    }

    fn read(headers: &[(&str, &str)]) -> Inbound {
        read_as("GET", headers, false, &HeaderRules::default())
    }

    #[test]
    fn g5_mode_and_destination_are_what_the_browser_says() {
        let image = read(&[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image"), ("accept", "text/html")]).head;
        assert_eq!((image.mode, image.destination), (RequestMode::NoCors, Destination::Image));
        assert_eq!((image.redirect, image.credentials), (RequestRedirect::Follow, RequestCredentials::SameOrigin));
        let page = read(&[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")]).head;
        assert_eq!((page.mode, page.destination), (RequestMode::Navigate, Destination::Iframe));
        assert_eq!((page.redirect, page.credentials), (RequestRedirect::Manual, RequestCredentials::Include));
        let call = read(&[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")]).head;
        assert_eq!((call.mode, call.destination), (RequestMode::Cors, Destination::Empty));
    }

    #[test]
    fn g5_without_a_word_a_request_for_html_is_a_navigation() {
        let page = read(&[("accept", "text/html,*/*")]).head;
        assert_eq!((page.mode, page.destination), (RequestMode::Navigate, Destination::Document));
        let form = read_as("POST", &[("accept", "text/html")], false, &HeaderRules::default()).head;
        assert_eq!(form.mode, RequestMode::Cors);
        assert_eq!(read(&[("accept", "*/*")]).head.mode, RequestMode::Cors);
        assert_eq!(read(&[("sec-fetch-site", "same-origin")]).head.mode, RequestMode::SameOrigin);
    }

    #[test]
    fn g6_what_browsers_hide_is_kept_aside() {
        let inbound = read(&[
            ("host", "shop.example"),
            ("cookie", "a=1"),
            ("accept-encoding", "gzip"),
            ("sec-fetch-site", "none"),
            ("sec-ch-ua", "x"),
            ("content-length", "0"),
            ("accept", "*/*"),
            ("range", "bytes=0-1"),
        ]);
        let names = |list: &HeaderList| {
            list.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&inbound.head.headers), ["accept", "range"]);
        assert_eq!(names(&inbound.hidden), ["cookie", "accept-encoding", "sec-fetch-site", "sec-ch-ua"]);
    }

    #[test]
    fn g6_what_is_exposed_by_option_is_shown() {
        let rules = HeaderRules { expose: vec!["sec-ch-ua-mobile".into()], ..HeaderRules::default() };
        let inbound = read_as("GET", &[("Sec-CH-UA-Mobile", "?1"), ("cookie", "a=1")], false, &rules);
        assert_eq!(inbound.head.headers.get_text("sec-ch-ua-mobile").as_deref(), Some("?1"));
        assert!(!inbound.head.headers.contains("cookie") && !inbound.hidden.contains("sec-ch-ua-mobile"));
    }

    #[test]
    fn headers_about_the_connection_end_here() {
        let inbound =
            read(&[("connection", "x-once, close"), ("x-once", "1"), ("te", "trailers"), ("keep-alive", "5")]);
        assert!(inbound.head.headers.is_empty() && inbound.hidden.is_empty(), "{inbound:?}");
    }

    #[test]
    fn headers_that_poison_a_shared_store_are_dropped() {
        let poison = [
            ("forwarded", "host=evil"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-original-url", "/admin"),
            ("x-rewrite-url", "/admin"),
            ("x-http-method-override", "DELETE"),
        ];
        let inbound = read(&poison);
        assert!(inbound.head.headers.is_empty() && inbound.hidden.is_empty() && inbound.forwarded_for.is_none());
        let rules = HeaderRules { forward: vec!["x-http-method-override".into()], ..HeaderRules::default() };
        let inbound = read_as("GET", &poison, true, &rules);
        assert_eq!(inbound.head.headers.iter().count(), 1);
        assert_eq!(inbound.forwarded_for.as_deref(), Some("1.2.3.4"));
    }

    #[test]
    fn what_no_worker_sees_is_known_by_its_head() {
        assert_eq!(read(&[("service-worker", "script")]).bypass, Some(Bypass::Script));
        let embed = [("sec-fetch-dest", "embed"), ("sec-fetch-mode", "navigate")];
        assert_eq!(read(&embed).bypass, Some(Bypass::Embedded));
        assert_eq!(read(&[("connection", "Upgrade"), ("upgrade", "websocket")]).bypass, Some(Bypass::Upgrade));
        assert_eq!(read(&[("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c")]).bypass, None);
        assert_eq!(read(&[]).bypass, None);
    }

    #[test]
    fn a_reload_shows_in_the_cache_mode() {
        let reload = read(&[("accept", "text/html"), ("cache-control", "max-age=0")]).head;
        assert!(reload.is_reload_navigation && reload.cache == RequestCache::NoCache);
        let forced = read(&[("accept", "text/html"), ("cache-control", "no-cache")]).head;
        assert!(forced.is_reload_navigation && forced.cache == RequestCache::Reload);
        assert!(!read(&[("cache-control", "max-age=0")]).head.is_reload_navigation, "not a navigation");
    }
}
