//! The `Vary` half of [Request Matches Cached Item][spec].
//!
//! Compares what two requests said in the headers that a response's `Vary` names. Knows header lists
//! and nothing else: no URL, no body, no store, no clock.
//!
//! [spec]: https://w3c.github.io/ServiceWorker/#request-matches-cached-item-algorithm

use crate::HeaderList;

/// Returns the first header that `response` varies by and `query` and `cached` do not agree on.
///
/// `Vary: *` agrees with nothing. A header missing from both requests agrees; one that is missing
/// from one and empty in the other does not.
///
/// Spec: <https://w3c.github.io/ServiceWorker/#request-matches-cached-item-algorithm>, steps 7-8.
pub(crate) fn differing_header<'a>(
    response: &'a HeaderList,
    query: &HeaderList,
    cached: &HeaderList,
) -> Option<&'a [u8]> {
    field_names(response).find(|name| *name == b"*" || query.get(name) != cached.get(name))
}

/// Returns whether `response` varies by everything, so that it may not be stored.
pub(crate) fn varies_by_everything(response: &HeaderList) -> bool {
    field_names(response).any(|name| name == b"*")
}

/// The names that all `Vary` headers list together; empty items are dropped.
fn field_names(response: &HeaderList) -> impl Iterator<Item = &[u8]> {
    let items = response.values("vary").flat_map(|value| value.split(|byte| *byte == b','));
    items.map(<[u8]>::trim_ascii).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(headers: &[(&str, &str)]) -> HeaderList {
        headers.iter().copied().collect()
    }

    /// Whether a response with this `Vary` matches, for a stored and a querying request.
    fn agree(vary: &[(&str, &str)], cached: &[(&str, &str)], query: &[(&str, &str)]) -> bool {
        differing_header(&headers(vary), &headers(query), &headers(cached)).is_none()
    }

    #[test]
    fn e60_e61_a_listed_header_must_be_the_same() {
        assert!(agree(&[("vary", "x")], &[("x", "1")], &[("x", "1")]));
        assert!(!agree(&[("vary", "x")], &[("x", "1")], &[("x", "2")]));
        assert!(!agree(&[("vary", "x")], &[("x", "1")], &[]));
        assert!(agree(&[("vary", "x")], &[], &[]));
        assert!(!agree(&[("vary", "x")], &[], &[("x", "1")]));
    }

    #[test]
    fn e63_an_empty_value_is_not_absence() {
        assert!(!agree(&[("vary", "x")], &[], &[("x", "")]));
    }

    #[test]
    fn e64_e65_names_ignore_case_and_values_do_not() {
        assert!(agree(&[("Vary", "x-a")], &[("X-A", "1")], &[("x-A", "1")]));
        assert!(!agree(&[("vary", "x")], &[("x", "EN")], &[("x", "en")]));
    }

    #[test]
    fn e66_two_values_match_the_same_two_in_one_field() {
        let stored = [("accept", "a"), ("accept", "b")];
        assert!(agree(&[("vary", "Accept")], &stored, &[("accept", "a, b")]));
        assert!(!agree(&[("vary", "Accept")], &stored, &[("accept", "a,b")]));
    }

    #[test]
    fn e67_several_vary_headers_are_one_list() {
        let vary = [("vary", "x"), ("vary", "y, z")];
        assert!(!agree(&vary, &[("z", "1")], &[("z", "2")]));
        assert!(agree(&vary, &[("z", "1")], &[("z", "1")]));
    }

    #[test]
    fn e68_e69_empty_items_and_repeats_change_nothing() {
        assert!(agree(&[("vary", ",")], &[("x", "1")], &[]));
        assert!(agree(&[("vary", "")], &[("x", "1")], &[]));
        assert!(agree(&[("vary", "x, x")], &[("x", "1")], &[("x", "1")]));
    }

    #[test]
    fn e73_e81_a_star_anywhere_in_the_list_matches_nothing() {
        assert!(!agree(&[("vary", "*")], &[], &[]));
        assert!(varies_by_everything(&headers(&[("vary", "a , *")])));
        assert!(!varies_by_everything(&headers(&[("vary", "a*b")])));
    }

    #[test]
    fn e75_authorization_counts_like_any_other() {
        assert!(!agree(&[("vary", "Authorization")], &[("Authorization", "A")], &[("Authorization", "B")]));
    }
}
