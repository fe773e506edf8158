//! [Batch Cache Operations][spec]: what a batch does to a list, all of it or nothing.
//!
//! Plans only: values in, a list of removals and the insertions' order out. Knows no store.
//!
//! [spec]: https://w3c.github.io/ServiceWorker/#batch-cache-operations-algorithm

use std::collections::{HashMap, HashSet};

use http::Method;

use super::{
    CacheQueryOptions,
    audience::{Audience, displaces},
    matching::request_matches_cached_item,
    query::may_match,
    url_key::without_query,
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
    // A step matches nothing but what has its path. Alone it was given nothing else; among many, looking at
    // everything for each of them would take the square of their number.
    let by_path = (steps.len() > 1).then(|| by_path(&cached));
    let mut added: HashMap<&str, Vec<&Entry>> = HashMap::new();
    let mut gone: HashSet<EntryId> = HashSet::new();
    let mut plan = Plan::default();
    for step in steps {
        let (request, options) = step.query();
        let path = without_query(request.url.as_str());
        let mut earlier = added.get(path).into_iter().flatten();
        if earlier.any(|earlier| request_matches_cached_item(request, earlier, options)) {
            return Err(Error::Duplicate { url: request.url.clone() });
        }
        let before = plan.remove.len();
        let candidates = by_path.as_ref().map_or(Some(&cached), |by_path| by_path.get(path));
        for candidate in candidates.into_iter().flatten() {
            // One step sees each candidate once.
            if step.removes(&candidate.entry) && (steps.len() == 1 || gone.insert(candidate.id)) {
                plan.remove.push(candidate.id);
            }
        }
        plan.removed.push(plan.remove.len() - before);
        if let Step::Put { entry, .. } = step
            && steps.len() > 1
        {
            added.entry(without_query(entry.url())).or_default().push(entry);
        }
    }
    Ok(plan)
}

/// The entries by their URLs without query, in the order given.
fn by_path<'a>(cached: &[&'a Candidate]) -> HashMap<&'a str, Vec<&'a Candidate>> {
    let mut by_path: HashMap<_, Vec<_>> = HashMap::new();
    for candidate in cached {
        by_path.entry(without_query(candidate.entry.url())).or_default().push(*candidate);
    }
    by_path
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

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::store::{CandidateBody, ListId, Uses};

    fn head(path: &str) -> RequestHead {
        RequestHead::get(Url::parse("https://a.test/").unwrap().join(path).unwrap())
    }

    fn cached(id: u64, path: &str) -> Candidate {
        let entry = Entry::new(&head(path), &ResponseHead::with_status(200));
        let (body, uses) = (CandidateBody::Null, Uses::default());
        Candidate { id: EntryId(id), list: ListId(1), stored_at_ms: 0, entry, body, uses }
    }

    #[test]
    fn a_step_among_many_finds_what_it_would_find_alone() {
        let list = [cached(1, "/x?a#f"), cached(2, "/y"), cached(3, "/x?b"), cached(4, "/x")];
        let (x, y) = (head("/x"), head("/y#g"));
        let options = CacheQueryOptions { ignore_search: true, ..CacheQueryOptions::default() };
        let steps = [
            Step::Delete { request: &y, options: CacheQueryOptions::default() },
            Step::Delete { request: &x, options },
            Step::Delete { request: &x, options },
        ];
        let plan = plan_batch(list.iter(), &steps).unwrap();
        assert_eq!(plan.remove, [2, 1, 3, 4].map(EntryId));
        assert_eq!(plan.removed, [1, 3, 0]);
        assert_eq!(plan_batch(list.iter(), &steps[1..2]).unwrap().remove, [1, 3, 4].map(EntryId));
    }

    #[test]
    fn a_step_that_matches_an_earlier_put_whatever_its_query_is_refused() {
        let (put, delete) = (head("/x?a"), head("/x?b"));
        let entry = Entry::new(&put, &ResponseHead::with_status(200));
        let steps = |options| {
            [Step::Put { request: &put, visitor: None, entry: &entry }, Step::Delete { request: &delete, options }]
        };
        let ignoring = CacheQueryOptions { ignore_search: true, ..CacheQueryOptions::default() };
        assert!(plan_batch([].into_iter(), &steps(CacheQueryOptions::default())).is_ok());
        assert!(matches!(plan_batch([].into_iter(), &steps(ignoring)), Err(Error::Duplicate { .. })));
    }
}
