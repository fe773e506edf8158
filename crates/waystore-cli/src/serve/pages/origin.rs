//! Whether a request comes from a page of this very origin, and what its URLs are at the public one. Pure.

use http::{HeaderMap, StatusCode, header};
use url::{Origin, Url};

use super::closing::Closing;
use crate::serve::refusal::Refusal;

/// The origin of the page that asks: the public one, or an alias by which the request came here too.
///
/// `host` is whom the request is for, which was checked to be this gateway.
///
/// # Errors
///
/// It is a page of another origin, or no page.
pub(crate) fn same_origin(headers: &HeaderMap, host: &str, public: &Url) -> Result<Origin, Refusal> {
    let refused = |text: &str| Refusal::new(StatusCode::FORBIDDEN, "origin", text);
    let mut values = headers.get_all(header::ORIGIN).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(refused("only a page may ask this, and its browser says in `Origin` where it is"));
    };
    let page = value.to_str().ok().and_then(|text| Url::parse(text).ok()).map(|url| url.origin());
    let own = Url::parse(&format!("{}://{host}", public.scheme())).ok().map(|url| url.origin());
    match (page, own) {
        (Some(page), Some(own)) if page == own && page.is_tuple() => Ok(page),
        _ => Err(refused("only pages of the origin that is asked may ask this")),
    }
}

/// From the origin that a page sees, which may be an alias, to the public one.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) seen: Origin,
    pub(crate) public: Url,
}

impl Place {
    /// A URL of the page as the worker knows it; `None` where it is not at the page's origin.
    pub(crate) fn public(&self, url: &str) -> Option<Url> {
        let url = Url::parse(url).ok()?;
        if url.origin() != self.seen {
            return None;
        }
        let mut public = self.public.clone();
        public.set_path(url.path());
        public.set_query(url.query());
        public.set_fragment(url.fragment());
        Some(public)
    }
}

/// A page says that it is where it cannot be.
pub(crate) fn elsewhere() -> Closing {
    Closing::wrong("the URL is not at the origin of the page")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_same(origins: &[&str], host: &str, public: &str) -> bool {
        let mut headers = HeaderMap::new();
        for origin in origins {
            headers.append("origin", origin.parse().unwrap());
        }
        same_origin(&headers, host, &Url::parse(public).unwrap()).is_ok()
    }

    #[test]
    fn a_page_of_the_origin_that_is_asked_may_ask() {
        assert!(is_same(&["https://shop.example"], "shop.example", "https://shop.example"));
        assert!(is_same(&["https://shop.example"], "shop.example:443", "https://shop.example"));
        assert!(is_same(&["http://127.0.0.1:8080"], "127.0.0.1:8080", "http://localhost:8080"));
    }

    #[test]
    fn nobody_else_may() {
        for origins in [
            &["https://evil.example"][..],
            &["http://shop.example"],
            &["https://shop.example:444"],
            &["https://shop.example.evil.example"],
            &["null"],
            &["https://shop.example", "https://evil.example"],
            &["shop.example"],
            &[],
        ] {
            assert!(!is_same(origins, "shop.example", "https://shop.example"), "{origins:?}");
        }
        assert!(
            !is_same(&["http://localhost:3000"], "localhost:8080", "http://localhost:8080"),
            "another program's page"
        );
    }

    #[test]
    fn a_page_at_an_alias_is_at_the_public_origin_for_the_worker() {
        let public = Url::parse("https://shop.example").unwrap();
        let seen = Url::parse("https://www.shop.example").unwrap().origin();
        let place = Place { seen, public };
        let url = place.public("https://www.shop.example/p/1?q=2#top").unwrap();
        assert_eq!(url.as_str(), "https://shop.example/p/1?q=2#top");
        for elsewhere in ["https://shop.example/", "https://evil.example/", "/p/1", "about:blank"] {
            assert_eq!(place.public(elsewhere), None, "{elsewhere}");
        }
    }
}
