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
    let url = without_fragment(url);
    // One character at a time: looking for either of two would go through the text character by character,
    // and this is on the way of every look-up.
    url.find('?').map_or(url, |at| &url[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_mark_in_a_fragment_begins_no_query() {
        assert_eq!(without_query("https://a.test/x#f?q"), "https://a.test/x");
        assert_eq!(without_query("https://a.test/x?q#f?r"), "https://a.test/x");
        assert_eq!(without_fragment("https://a.test/x?q#f?r"), "https://a.test/x?q");
        assert_eq!(
            (without_query("https://a.test/"), without_fragment("https://a.test/")),
            ("https://a.test/", "https://a.test/")
        );
    }
}
