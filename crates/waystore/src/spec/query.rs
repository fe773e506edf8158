//! [Query Cache][spec]: the items of a list that answer a request, in the order they are given out.
//!
//! [spec]: https://w3c.github.io/ServiceWorker/#query-cache-algorithm

use super::{CacheQueryOptions, audience::Audience, matching::request_matches_cached_item};
use crate::{RequestHead, store::Candidate};

/// Returns the candidates that answer `request` on behalf of `audience`, in list order.
///
/// For a visitor, entries of their own come before those for everybody: theirs is the later word,
/// since storing it left the shared one in place.
///
/// Spec: <https://w3c.github.io/ServiceWorker/#query-cache-algorithm>
pub(crate) fn query_cache<'a>(
    candidates: &'a [Candidate],
    request: &RequestHead,
    options: CacheQueryOptions,
    audience: Audience,
) -> Vec<&'a Candidate> {
    let found = candidates.iter().filter(|candidate| audience.admits(candidate.entry.personal()));
    let mut found: Vec<_> = found.filter(|found| request_matches_cached_item(request, &found.entry, options)).collect();
    if matches!(audience, Audience::Visitor(_)) {
        found.sort_by_key(|candidate| candidate.entry.personal().is_none());
    }
    found
}

/// Returns whether a look-up with `request` can find anything at all: only `GET` is ever stored.
///
/// Spec: <https://w3c.github.io/ServiceWorker/#cache-matchAll>, step 2.
pub(crate) fn may_match(request: &RequestHead, options: CacheQueryOptions) -> bool {
    options.ignore_method || request.method == http::Method::GET
}
