//! [Request Matches Cached Item][spec]: whether one cached item answers one request.
//!
//! Knows the two requests and the response's visible headers; no list, no store.
//!
//! [spec]: https://w3c.github.io/ServiceWorker/#request-matches-cached-item-algorithm

use bytes::Bytes;

use super::{
    CacheQueryOptions,
    url_key::{without_fragment, without_query},
    vary::differing_header,
};
use crate::{RequestHead, store::Entry};

/// Returns whether the cached item `cached` answers `query`.
///
/// Spec: <https://w3c.github.io/ServiceWorker/#request-matches-cached-item-algorithm>
pub(crate) fn request_matches_cached_item(query: &RequestHead, cached: &Entry, options: CacheQueryOptions) -> bool {
    compare(query, cached, options).is_ok()
}

/// The first rule by which a cached item does not answer a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// The item's request is not a `GET`.
    Method,
    /// The URLs differ, queries aside.
    Url,
    /// The URLs differ in their queries.
    Query,
    /// The response varies by this header, and the requests differ in it.
    Vary(Bytes),
}

/// Compares `query` with the cached item `cached`.
///
/// Spec: <https://w3c.github.io/ServiceWorker/#request-matches-cached-item-algorithm>
///
/// # Errors
///
/// The first rule that is broken.
pub(crate) fn compare(query: &RequestHead, cached: &Entry, options: CacheQueryOptions) -> Result<(), Mismatch> {
    if !options.ignore_method && cached.method() != "GET" {
        return Err(Mismatch::Method);
    }
    let (wanted, stored) = (query.url.as_str(), cached.url());
    // What is equal with its query is equal without it, and most URLs have no fragment: nearly every look-up ends here.
    if wanted != stored && without_fragment(wanted) != without_fragment(stored) {
        if without_query(wanted) != without_query(stored) {
            return Err(Mismatch::Url);
        }
        if !options.ignore_search {
            return Err(Mismatch::Query);
        }
    }
    if options.ignore_vary || !cached.shows_header(b"vary") {
        return Ok(());
    }
    let response = cached.response_headers();
    match differing_header(&response, &query.headers, &cached.request_headers()) {
        Some(name) => Err(Mismatch::Vary(response.as_encoded().slice_ref(name))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::{ResponseHead, ResponseType};

    const BASE: &str = "https://a.test/app/sw.js";

    fn head(url: &str) -> RequestHead {
        RequestHead::get(Url::parse(BASE).unwrap().join(url).unwrap())
    }

    fn matches(cached: &str, query: &str, options: CacheQueryOptions) -> bool {
        let entry = Entry::new(&head(cached), &ResponseHead::with_status(200));
        request_matches_cached_item(&head(query), &entry, options)
    }

    fn hit(cached: &str, query: &str) -> bool {
        matches(cached, query, CacheQueryOptions::default())
    }

    fn hit_ignoring_search(cached: &str, query: &str) -> bool {
        matches(cached, query, CacheQueryOptions { ignore_search: true, ..Default::default() })
    }

    fn varying(kind: ResponseType, vary: &str, query: &[(&str, &str)], options: CacheQueryOptions) -> bool {
        let cached = RequestHead { headers: [("x", "1")].into_iter().collect(), ..head("/c") };
        let headers = [("vary", vary)].into_iter().collect();
        let response = ResponseHead { kind, headers, ..ResponseHead::with_status(200) };
        let query = RequestHead { headers: query.iter().copied().collect(), ..head("/c") };
        request_matches_cached_item(&query, &Entry::new(&cached, &response), options)
    }

    #[test]
    fn e41_the_parser_normalises_host_port_and_dots() {
        assert!(hit("https://a.test/x", "https://A.TEST:443/./y/../x"));
    }

    #[test]
    fn e42_e50_paths_are_compared_exactly() {
        assert!(!hit("/x", "/X") && !hit("/x", "/x/"));
        assert!(!hit("/cat", "/catmandu") && !hit("/cat", "/cat/in/the/hat"));
    }

    #[test]
    fn e43_an_empty_query_is_not_no_query() {
        assert!(!hit("/x", "/x?"));
        assert!(hit_ignoring_search("/x", "/x?"));
    }

    #[test]
    fn e44_parameters_are_not_reordered() {
        assert!(!hit("/x?a=1&b=2", "/x?b=2&a=1"));
    }

    #[test]
    fn e45_e46_e47_escapes_are_what_the_parser_made_them() {
        assert!(!hit("/%7Ejoe", "/~joe"));
        assert!(!hit("/a%2fb", "/a%2Fb"));
        assert!(hit("/é", "/%C3%A9"));
    }

    #[test]
    fn e2_e3_e48_scheme_and_port_count() {
        assert!(!hit("http://a.test/x", "https://a.test/x"));
        assert!(!hit("https://a.test/x", "https://a.test:8443/x"));
    }

    #[test]
    fn e49_e55_fragments_do_not_count() {
        assert!(hit("/cat", "/cat#mouse") && hit("/cat#a", "/cat#b"));
        assert!(hit_ignoring_search("/x?q#f", "/x#g"));
    }

    #[test]
    fn e51_credentials_in_urls_count() {
        assert!(hit("https://u:p@a.test/f", "https://u:p@a.test/f"));
        assert!(!hit("https://u:p@a.test/f", "https://a.test/f"));
        assert!(!hit("https://u:p@a.test/f", "https://v:p@a.test/f"));
    }

    #[test]
    fn e53_e54_ignore_search_compares_without_queries() {
        assert!(hit_ignoring_search("/x?q=r", "/x") && hit_ignoring_search("/x", "/x?zzz"));
        assert!(!hit_ignoring_search("/x", "/y"));
    }

    #[test]
    fn e62_ignore_vary_takes_no_notice_of_it() {
        let ignoring = CacheQueryOptions { ignore_vary: true, ..Default::default() };
        assert!(!varying(ResponseType::Default, "x", &[], CacheQueryOptions::default()));
        assert!(varying(ResponseType::Default, "x", &[], ignoring));
        assert!(varying(ResponseType::Default, "*", &[], ignoring));
    }

    #[test]
    fn e71_e72_a_hidden_vary_does_not_apply() {
        assert!(varying(ResponseType::Opaque, "x", &[("x", "2")], CacheQueryOptions::default()));
        assert!(varying(ResponseType::Cors, "x", &[("x", "2")], CacheQueryOptions::default()));
        assert!(!varying(ResponseType::Basic, "x", &[("x", "2")], CacheQueryOptions::default()));
    }

    #[test]
    fn a_stored_request_of_another_method_matches_only_if_methods_are_ignored() {
        let cached = RequestHead { method: http::Method::HEAD, ..head("/x") };
        let entry = Entry::new(&cached, &ResponseHead::with_status(200));
        let ignoring = CacheQueryOptions { ignore_method: true, ..Default::default() };
        assert!(!request_matches_cached_item(&head("/x"), &entry, CacheQueryOptions::default()));
        assert!(request_matches_cached_item(&head("/x"), &entry, ignoring));
    }
}
