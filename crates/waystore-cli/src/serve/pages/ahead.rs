//! A page's prefetches: plans in, events and rows out. `docs/prefetch.md`, "Over the channel".
//!
//! Whether a page may ask at all is decided before; how many at a time, by the desk.

use std::{collections::BTreeMap, future::poll_fn, task::Poll};

use url::Url;
use waystore::prefetch::{Hints, Prefetch};

use super::origin::Place;
use crate::prefetching::{Asker, JobHandle, Jobs, Refused, Told};

/// The prefetches of one page. Those that are not durable end with it.
pub(crate) struct Ahead {
    jobs: Jobs,
    asker: Asker,
    under_way: BTreeMap<u64, JobHandle>,
}

/// Why a plan was not begun.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotBegun {
    /// It is none, in words.
    Plan(String),
    /// The page has to wait, or may not, in words.
    Refused(String),
}

impl Ahead {
    /// `client` is the page's id; `hints` are what its requests say of its connection.
    pub(crate) fn new(jobs: Jobs, client: &str, hints: Hints) -> Self {
        Self { jobs, asker: Asker::Page { client: client.to_owned(), hints }, under_way: BTreeMap::new() }
    }

    pub(crate) fn asker(&self) -> &Asker {
        &self.asker
    }

    /// Begins the plan that `text` is.
    ///
    /// # Errors
    ///
    /// Nothing was begun.
    pub(crate) fn start(&mut self, id: u64, text: &str, place: &Place) -> Result<(), NotBegun> {
        if self.under_way.contains_key(&id) {
            return Err(NotBegun::Plan(format!("there is a prefetch {id} already")));
        }
        let plan: Prefetch = serde_json::from_str(text).map_err(|error| NotBegun::Plan(error.to_string()))?;
        let started = self.jobs.start(at_public(plan, place), &self.asker);
        let job = started.map_err(|refused| match refused {
            Refused::NoCache | Refused::TooManyUrls { .. } => NotBegun::Plan(refused.to_string()),
            _ => NotBegun::Refused(refused.to_string()),
        })?;
        self.under_way.insert(id, job);
        Ok(())
    }

    /// Stops a prefetch; its end is told all the same.
    pub(crate) fn abort(&self, id: u64) {
        if let Some(job) = self.under_way.get(&id) {
            job.abort();
        }
    }

    /// What happens next to any of them. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> (u64, Told) {
        let (id, told) = poll_fn(|cx| {
            let mut ready = self.under_way.iter_mut().filter_map(|(id, job)| match job.poll_next(cx) {
                Poll::Ready(told) => Some((*id, told)),
                Poll::Pending => None,
            });
            ready.next().map_or(Poll::Pending, Poll::Ready)
        })
        .await;
        if matches!(told, Told::Ended(_)) {
            self.under_way.remove(&id);
        }
        (id, told)
    }
}

/// The plan with URLs as the worker knows them, where the page is at an alias of the public origin.
fn at_public(mut plan: Prefetch, place: &Place) -> Prefetch {
    let public = |url: &str| place.public(url);
    plan.base = plan.base.map(|base| public(base.as_str()).unwrap_or(base));
    for target in &mut plan.urls {
        if let Some(url) = public(&target.url) {
            target.url = Url::into(url);
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use waystore::{Clock, Fetch, FetchError, Request, Response, Waystore};

    use super::*;
    use crate::prefetching::JobLimits;

    struct Net;

    #[async_trait]
    impl Fetch for Net {
        async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
            if request.url.path() == "/held" {
                std::future::pending::<()>().await;
            }
            Ok(Response::new("fetched"))
        }
    }

    fn ahead(limits: JobLimits) -> Ahead {
        let caches = Waystore::in_memory().caches("https://a.test").unwrap();
        Ahead::new(Jobs::new(caches, Arc::new(Net), Arc::new(Clock::system()), limits), "one", Hints::default())
    }

    fn place() -> Place {
        let alias = Url::parse("https://alias.test").unwrap();
        Place { seen: alias.origin(), public: Url::parse("https://a.test").unwrap() }
    }

    async fn end(ahead: &mut Ahead) -> (u64, Vec<(String, String)>) {
        loop {
            if let (id, Told::Ended(ended)) = ahead.next().await {
                let (rows, _) = ended.as_ref().as_ref().unwrap();
                let rows = rows.iter().map(|row| (row.url.clone(), format!("{:?}", row.outcome)));
                return (id, rows.collect());
            }
        }
    }

    #[tokio::test]
    async fn urls_at_an_alias_are_those_of_the_public_origin() {
        let mut ahead = ahead(JobLimits::default());
        let plan = r#"{"urls": ["x", "https://alias.test/y"], "base": "https://alias.test/p/", "cache": "v1"}"#;
        ahead.start(7, plan, &place()).unwrap();
        let stored = |url: &str| (url.to_owned(), "Stored".to_owned());
        assert_eq!(end(&mut ahead).await, (7, vec![stored("https://a.test/p/x"), stored("https://a.test/y")]));
    }

    #[tokio::test]
    async fn an_abort_stops_one_and_its_end_is_told() {
        let mut ahead = ahead(JobLimits::default());
        ahead.start(1, r#"{"urls": ["/held"], "cache": "v1"}"#, &place()).unwrap();
        ahead.start(2, r#"{"urls": ["/held"], "cache": "v1"}"#, &place()).unwrap();
        ahead.abort(2);
        assert_eq!(end(&mut ahead).await, (2, vec![("https://a.test/held".into(), "Aborted".into())]));
        assert_eq!(ahead.under_way.len(), 1);
    }

    #[tokio::test]
    async fn what_is_wrong_and_what_is_too_much_is_told_apart() {
        let mut ahead = ahead(JobLimits { of_client: 1, urls: 2, ..JobLimits::default() });
        let held = r#"{"urls": ["/held"], "cache": "v1"}"#;
        ahead.start(1, held, &place()).unwrap();
        let wrong = |result: Result<(), NotBegun>| match result.unwrap_err() {
            NotBegun::Plan(reason) => reason,
            NotBegun::Refused(reason) => format!("refused: {reason}"),
        };
        assert!(wrong(ahead.start(1, held, &place())).contains("already"));
        assert!(wrong(ahead.start(2, held, &place())).starts_with("refused: this client has 1 prefetches"));
        assert!(wrong(ahead.start(2, r#"{"urls": [], "folow": []}"#, &place())).contains("`folow`"));
        assert!(wrong(ahead.start(2, r#"{"urls": []}"#, &place())).contains("no `cache`"));
        let many = r#"{"urls": ["/1", "/2", "/3"], "cache": "v1"}"#;
        assert!(wrong(ahead.start(2, many, &place())).contains("names 3 URLs, and may name 2"));
    }
}
