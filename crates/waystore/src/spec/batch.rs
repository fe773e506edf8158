//! [Batch Cache Operations][spec]: what a batch does to a list, all of it or nothing.
//!
//! Plans only: values in, a list of removals and the insertions' order out. Knows no store.
//!
//! [spec]: https://w3c.github.io/ServiceWorker/#batch-cache-operations-algorithm

use std::collections::HashSet;

use http::Method;

use super::{
    CacheQueryOptions,
    audience::{Audience, displaces},
    matching::request_matches_cached_item,
    query::may_match,
    vary::varies_by_everything,
};
use crate::{
    Error, RequestHead, ResponseHead, Result, Visitor,
    store::{Candidate, Entry, EntryId},
};

/// One step of a batch, ready to be planned.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'a> {
    Put { request: &'a RequestHead, visitor: Option<Visitor>, entry: &'a Entry },
    Delete { request: &'a RequestHead, options: CacheQueryOptions },
}

/// What a batch does: the entries that go, and how many of them each step removed. Every put's entry
/// is appended, in the order of the steps.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) remove: Vec<EntryId>,
    pub(crate) removed: Vec<usize>,
}

/// Plans `steps` on a list of which `cached` are the entries that could matter, oldest first.
///
/// # Errors
///
/// [`Error::Duplicate`]: a step's request matches an entry that an earlier step added. The list
/// stays as it was.
///
/// Spec: <https://w3c.github.io/ServiceWorker/#batch-cache-operations-algorithm>
pub(crate) fn plan_batch<'a>(cached: impl Iterator<Item = &'a Candidate>, steps: &[Step<'_>]) -> Result<Plan> {
    let cached: Vec<_> = cached.collect();
    let mut added: Vec<&Entry> = Vec::new();
    let mut gone: HashSet<EntryId> = HashSet::new();
    let mut plan = Plan::default();
    for step in steps {
        let (request, options) = step.query();
        if added.iter().any(|earlier| request_matches_cached_item(request, earlier, options)) {
            return Err(Error::Duplicate { url: request.url.clone() });
        }
        let before = plan.remove.len();
        for candidate in &cached {
            if step.removes(&candidate.entry) && gone.insert(candidate.id) {
                plan.remove.push(candidate.id);
            }
        }
        plan.removed.push(plan.remove.len() - before);
        if let Step::Put { entry, .. } = step {
            added.push(entry);
        }
    }
    Ok(plan)
}

impl Step<'_> {
    fn query(&self) -> (&RequestHead, CacheQueryOptions) {
        match self {
            Self::Put { request, .. } => (request, CacheQueryOptions::default()),
            Self::Delete { request, options } => (request, *options),
        }
    }

    fn removes(&self, old: &Entry) -> bool {
        let (request, options) = self.query();
        let allowed = match self {
            Self::Delete { .. } => may_match(request, options),
            Self::Put { visitor, entry, .. } => {
                let seen = Audience::of(*visitor).admits(old.personal());
                let own = old.personal().is_some() && old.personal() == entry.personal();
                (seen || own) && displaces(entry.personal(), old.personal())
            }
        };
        allowed && request_matches_cached_item(request, old, options)
    }
}

/// Checks what `put` checks before it reads the body: the first rule that is broken.
///
/// Spec: <https://w3c.github.io/ServiceWorker/#cache-put>, steps 2-7.
///
/// # Errors
///
/// [`Error::Type`]: see there.
pub(crate) fn check_put(request: &RequestHead, response: &ResponseHead) -> Result<()> {
    check_storable(request)?;
    if response.visible_status() == 206 {
        return Err(Error::type_error("a response with status 206 (partial content) cannot be stored"));
    }
    check_vary(response)
}

/// Checks the request of `put` and `add`: its scheme and method.
///
/// # Errors
///
/// [`Error::Type`]: the scheme is not HTTP(S), or the method not `GET`.
pub(crate) fn check_storable(request: &RequestHead) -> Result<()> {
    if !matches!(request.url.scheme(), "http" | "https") {
        return Err(Error::type_error(format!("`{}` cannot be stored: only http and https URLs can", request.url)));
    }
    if request.method != Method::GET {
        return Err(Error::type_error(format!("a {} request cannot be stored: only GET can", request.method)));
    }
    Ok(())
}

/// Checks that a response does not vary by everything.
///
/// # Errors
///
/// [`Error::Type`]: its visible `Vary` lists `*`.
pub(crate) fn check_vary(response: &ResponseHead) -> Result<()> {
    if response.shows_header(b"vary") && varies_by_everything(&response.headers) {
        return Err(Error::type_error("a response with `Vary: *` cannot be stored"));
    }
    Ok(())
}

/// Checks what `add` checks of a response when its head arrives.
///
/// Spec: <https://w3c.github.io/ServiceWorker/#cache-addAll>, step 8.
///
/// # Errors
///
/// [`Error::Type`]: an error, a status outside 200 to 299, 206, or `Vary: *`.
pub(crate) fn check_added(request: &RequestHead, response: &ResponseHead) -> Result<()> {
    let status = response.visible_status();
    if !response.ok() || status == 206 {
        return Err(Error::type_error(format!("`{}` answered with status {status}, which add refuses", request.url)));
    }
    check_vary(response)
}
