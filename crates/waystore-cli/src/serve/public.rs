//! The public origin: which hosts are it, and the URLs of its paths. Pure.

use url::{Host, Url};

/// The origin that visitors see.
#[derive(Debug, Clone)]
pub(crate) struct Public {
    origin: Url,
    serialized: String,
    /// Values of `Host` that are served as they stand: those that browsers send.
    plain: Vec<String>,
    aliases: Vec<Alias>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Alias {
    host: String,
    /// `None` is any.
    port: Option<u16>,
}

impl Public {
    /// # Errors
    ///
    /// An alias that is not a host with or without a port, in words.
    pub(crate) fn new(origin: Url, aliases: &[String]) -> Result<Self, String> {
        let parse = |text: &String| {
            let (host, port) = split_host(text).ok_or_else(|| format!("`aliases`: `{text}` is not a host"))?;
            Ok(Alias { host, port })
        };
        let aliases = aliases.iter().map(parse).collect::<Result<_, String>>()?;
        let serialized = origin.origin().ascii_serialization();
        let mut public = Self { origin, serialized, plain: Vec::new(), aliases };
        let own = public.host();
        let port = public.origin.port().map(|port| format!(":{port}")).unwrap_or_default();
        let names = ["127.0.0.1", "[::1]", "localhost"].map(|name| format!("{name}{port}"));
        public.plain = std::iter::once(own).chain(names).filter(|name| public.parses_to_own(name)).collect();
        Ok(public)
    }

    /// The origin as a URL, its path `/`.
    pub(crate) fn origin(&self) -> &Url {
        &self.origin
    }

    /// The origin as script spells it, such as `https://shop.example`.
    pub(crate) fn serialized(&self) -> &str {
        &self.serialized
    }

    /// The host, with the port where it is not the scheme's own.
    pub(crate) fn host(&self) -> String {
        let host = self.origin.host_str().unwrap_or_default();
        self.origin.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Whether `url` is at this origin.
    pub(crate) fn owns(&self, url: &Url) -> bool {
        url.scheme() == self.origin.scheme()
            && url.host() == self.origin.host()
            && url.port_or_known_default() == self.origin.port_or_known_default()
    }

    /// Whether a request for `host` (a `Host` header) is for this origin.
    ///
    /// The names of the own machine stand for each other where the origin is one of them.
    pub(crate) fn serves(&self, host: &str) -> bool {
        self.plain.iter().any(|plain| plain == host) || self.parses_to_own(host)
    }

    fn parses_to_own(&self, host: &str) -> bool {
        let Some((name, port)) = split_host(host) else { return false };
        let own = self.origin.host_str().unwrap_or_default();
        let own_port = self.origin.port_or_known_default();
        let default = if self.origin.scheme() == "https" { 443 } else { 80 };
        name == own && port.unwrap_or(default) == own_port.unwrap_or(default)
            || is_loopback(own) && is_loopback(&name)
            || self.aliases.iter().any(|alias| alias.host == name && (alias.port.is_none() || alias.port == port))
    }

    /// The URL of a request target, which begins with `/` and has no fragment.
    pub(crate) fn url(&self, path_and_query: &str) -> Option<Url> {
        if !path_and_query.starts_with('/') {
            return None;
        }
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query, None),
        };
        // The path alone is parsed: as a relative reference, `//other/x` would leave the origin; and the rest is known.
        let mut url = self.origin.clone();
        url.set_path(path);
        // The origin has none.
        if query.is_some() {
            url.set_query(query);
        }
        Some(url)
    }
}

/// The normalised name and the port of a `Host` header's value.
fn split_host(text: &str) -> Option<(String, Option<u16>)> {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, (!port.is_empty()).then_some(port)),
        _ => (text, None),
    };
    let host = Host::parse(name).ok()?;
    Some((host.to_string(), port.map(str::parse).transpose().ok()?))
}

fn is_loopback(host: &str) -> bool {
    match Host::parse(host) {
        Ok(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        Ok(Host::Ipv6(address)) => address.is_loopback(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn public(origin: &str, aliases: &[&str]) -> Public {
        let aliases: Vec<String> = aliases.iter().map(ToString::to_string).collect();
        Public::new(Url::parse(origin).unwrap(), &aliases).unwrap()
    }

    #[test]
    fn g3_only_the_configured_host_and_its_aliases_are_served() {
        let shop = public("https://shop.example", &["www.shop.example", "10.0.0.1:8080"]);
        assert!(shop.serves("shop.example") && shop.serves("SHOP.example:443"));
        assert!(shop.serves("www.shop.example:99") && shop.serves("10.0.0.1:8080"));
        assert!(!shop.serves("evil.example") && !shop.serves("shop.example:80") && !shop.serves("10.0.0.1"));
        assert!(!shop.serves("localhost") && !shop.serves("") && !shop.serves("shop.example@evil"));
    }

    #[test]
    fn names_of_the_own_machine_stand_for_each_other() {
        let local = public("http://localhost:8080", &[]);
        assert!(local.serves("127.0.0.1:8080") && local.serves("[::1]:8080") && local.serves("localhost:1"));
        assert!(!local.serves("localhost.evil.example:8080") && !local.serves("192.168.0.1:8080"));
    }

    #[test]
    fn a_target_never_leaves_the_origin() {
        let shop = public("https://shop.example", &[]);
        assert_eq!(shop.url("//evil.example/x").unwrap().as_str(), "https://shop.example//evil.example/x");
        assert_eq!(shop.url("/a/../b?q").unwrap().as_str(), "https://shop.example/b?q");
        assert!(shop.url("@evil.example/").is_none() && shop.url("*").is_none() && shop.url(":9/").is_none());
    }

    proptest! {
        #[test]
        fn a_target_means_what_it_means_at_the_end_of_a_url(
            target in r"/([!-~]|/|//|\.|\.\.|%2e|%2E|\?|\\){0,24}",
            origin in prop::sample::select(vec!["https://shop.example", "http://localhost:8080", "http://[::1]"]),
        ) {
            prop_assume!(!target.contains('#') && target.parse::<http::uri::PathAndQuery>().is_ok());
            let whole = Url::parse(&format!("{origin}{target}")).unwrap();
            prop_assert_eq!(public(origin, &[]).url(&target), Some(whole));
        }
    }
}
