//! The consents that other origins gave, kept for as long as they said.
//!
//! Bounded in number and in time. Knows no connection; whoever asks brings the answer.
//!
//! Spec: <https://fetch.spec.whatwg.org/#cors-preflight-cache>

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use url::Url;

use super::cors::{Grant, Question};

/// Consents that are kept at a time; the oldest makes room.
const MOST: usize = 1024;
/// The most bytes of one consent and the URL it is for; a longer one is not kept.
const MOST_BYTES: usize = 16 * 1024;

/// What was consented to, by whom, and until when.
#[derive(Debug, Default)]
pub(crate) struct Consents(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_place: HashMap<Place, (Grant, u64)>,
    oldest_first: VecDeque<Place>,
}

/// Whose consent it is, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    origin: String,
    url: String,
    credentials: bool,
}

impl Place {
    fn new(origin: &str, url: &Url, credentials: bool) -> Self {
        Self { origin: origin.to_owned(), url: url[..url::Position::AfterQuery].to_owned(), credentials }
    }
}

impl Consents {
    /// Whether what `origin` asks of `url` was consented to, at a time that still counts.
    pub(super) fn cover(&self, origin: &str, url: &Url, question: &Question, now_ms: u64) -> bool {
        let kept = self.kept();
        // What was said of a request with credentials holds for one without, too.
        [true, false].into_iter().any(|credentials| {
            let found = kept.by_place.get(&Place::new(origin, url, credentials));
            found.is_some_and(|(grant, until_ms)| now_ms < *until_ms && grant.covers(question))
        })
    }

    /// Keeps a consent, in place of the one there was.
    pub(super) fn keep(&self, origin: &str, url: &Url, grant: Grant, now_ms: u64) {
        let place = Place::new(origin, url, grant.credentials);
        let bytes = place.url.len() + grant.methods.iter().chain(&grant.headers).map(String::len).sum::<usize>();
        if bytes > MOST_BYTES || grant.max_age_s == 0 {
            return;
        }
        let mut kept = self.kept();
        let until_ms = now_ms.saturating_add(grant.max_age_s.saturating_mul(1000));
        if kept.by_place.insert(place.clone(), (grant, until_ms)).is_none() {
            kept.oldest_first.push_back(place);
        }
        while kept.by_place.len() > MOST {
            let Some(oldest) = kept.oldest_first.pop_front() else { return };
            kept.by_place.remove(&oldest);
        }
    }

    /// Forgets what was consented to at `url`: it proved wrong.
    pub(super) fn forget(&self, origin: &str, url: &Url) {
        let mut kept = self.kept();
        for credentials in [true, false] {
            let place = Place::new(origin, url, credentials);
            if kept.by_place.remove(&place).is_some() {
                kept.oldest_first.retain(|other| *other != place);
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn question(method: Method, credentials: bool) -> Question {
        Question { credentials, method, headers: Vec::new() }
    }

    fn grant(method: &str, credentials: bool) -> Grant {
        Grant { credentials, methods: vec![method.to_owned()], headers: Vec::new(), max_age_s: 5 }
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_consent_counts_until_its_time_is_over() {
        let consents = Consents::default();
        let (x, put) = (url("https://b.test/x#f"), question(Method::PUT, false));
        consents.keep("https://a.test", &x, grant("PUT", false), 1000);
        assert!(consents.cover("https://a.test", &url("https://b.test/x"), &put, 5999));
        assert!(!consents.cover("https://a.test", &x, &put, 6000));
    }

    #[test]
    fn it_is_for_one_origin_one_url_and_what_was_asked() {
        let consents = Consents::default();
        let (x, put) = (url("https://b.test/x"), question(Method::PUT, false));
        consents.keep("https://a.test", &x, grant("PUT", false), 0);
        assert!(!consents.cover("null", &x, &put, 0));
        assert!(!consents.cover("https://a.test", &url("https://b.test/x?y"), &put, 0));
        assert!(!consents.cover("https://a.test", &x, &question(Method::DELETE, false), 0));
        assert!(!consents.cover("https://a.test", &x, &question(Method::PUT, true), 0));
        consents.keep("https://a.test", &x, grant("DELETE", true), 0);
        assert!(consents.cover("https://a.test", &x, &question(Method::DELETE, false), 0));
        consents.forget("https://a.test", &x);
        assert!(!consents.cover("https://a.test", &x, &put, 0));
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let consents = Consents::default();
        let put = question(Method::PUT, false);
        let place = |number: usize| url(&format!("https://b.test/{number}"));
        for number in 0..=MOST {
            consents.keep("https://a.test", &place(number), grant("PUT", false), 0);
        }
        assert!(!consents.cover("https://a.test", &place(0), &put, 0));
        assert!(consents.cover("https://a.test", &place(1), &put, 0));
        let long = url(&format!("https://b.test/{}", "x".repeat(MOST_BYTES)));
        consents.keep("https://a.test", &long, grant("PUT", false), 0);
        assert!(!consents.cover("https://a.test", &long, &put, 0));
        let kept = consents.kept();
        assert_eq!(kept.oldest_first.len(), kept.by_place.len());
    }
}
