//! What of a URL is compared.
//!
//! URLs are equal when their serialisations are, without fragment; `ignoreSearch` leaves the query
//! out as well. Both are prefixes of the serialised URL: `#` and `?` stand there for nothing else.
//! Spec: <https://url.spec.whatwg.org/#concept-url-equals>

/// `url` without its fragment: the key an entry is found by.
pub(crate) fn without_fragment(url: &str) -> &str {
    url.find('#').map_or(url, |at| &url[..at])
}

/// `url` without its fragment and its query: the key for `ignoreSearch`.
pub(crate) fn without_query(url: &str) -> &str {
    url.find(['?', '#']).map_or(url, |at| &url[..at])
}
