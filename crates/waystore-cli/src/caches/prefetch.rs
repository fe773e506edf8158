//! The question for a prefetch: lists are fetched, a job is begun, and told of to its end.

use std::sync::Arc;

use futures::StreamExt;
use url::Url;
use waystore::{
    Body, CacheStorage, EntryRange, Fetch, StorageKey,
    prefetch::{Event, MAX_URLS, Prefetch, Target},
};

use super::{Asked, Desk, Out, Question, Record, look::url_at};
use crate::{
    failure::Failure,
    prefetching::{Asker, JobLimits, Jobs, Steps, Told, gather},
};

impl Desk {
    /// `leash` has no bytes: where it ends, whoever asked wants to stop.
    pub(super) async fn prefetch(&self, asked: Asked, mut leash: Body, out: &Out) -> Result<(), Failure> {
        let Question::Prefetch { plan, lists, required } = &asked.question else {
            return Err(Failure::failed("this question is not one for a prefetch"));
        };
        let first = plan.urls.first().map(|target| &target.url).or(lists.first());
        let owner = self.owner_to_be(&asked, first.map(String::as_str)).await?;
        let fetch = self.fetch(&owner)?;
        let lists = lists.iter().map(|list| url_at(&owner, list)).collect::<Result<Vec<_>, _>>()?;
        let plan = tokio::select! {
            plan = extended(Prefetch::clone(plan), &*fetch, lists, *required) => plan?,
            _ = leash.next() => return Err(Failure::failed("interrupted").hint("nothing was fetched yet")),
        };
        let name = plan.cache.clone().unwrap_or_default();
        let caches = self.caches_of(&owner)?;
        let made = !caches.has(name.as_str()).await?;
        let done = self.run(plan, &owner, fetch, leash, out).await;
        if made {
            take_back(&caches, &name).await;
        }
        self.store.sync().await?;
        done
    }

    /// The prefetches of the gateway.
    pub(super) async fn prefetches(&self, out: &Out) -> Result<(), Failure> {
        for job in self.gateways_jobs()?.list() {
            out.record(Record::Job(job)).await?;
        }
        Ok(())
    }

    /// Stops one of them, durable or not.
    pub(super) async fn stop(&self, job: &str, out: &Out) -> Result<(), Failure> {
        if !self.gateways_jobs()?.abort(job) {
            return Err(Failure::failed(format!("there is no prefetch `{job}`"))
                .hint("`waystore prefetch --jobs` lists those that run or wait"));
        }
        out.record(Record::Stopped(job.to_owned())).await
    }

    fn gateways_jobs(&self) -> Result<&Jobs, Failure> {
        self.jobs.as_ref().ok_or_else(|| {
            Failure::failed("no gateway runs here, so nothing is under way")
                .hint("`waystore serve` starts one; another data directory is given with `--data DIR`")
        })
    }

    async fn run(
        &self,
        plan: Prefetch,
        owner: &StorageKey,
        fetch: Arc<dyn Fetch>,
        mut leash: Body,
        out: &Out,
    ) -> Result<(), Failure> {
        let jobs = match &self.jobs {
            Some(jobs) if self.home.as_deref() == Some(owner.origin()) => jobs.clone(),
            _ => Jobs::new(self.caches_of(owner)?, fetch, Arc::clone(&self.clock), JobLimits::default()),
        };
        let started = jobs.start(plan, &Asker::Operator);
        let mut job = started.map_err(|refused| Failure::usage(refused.to_string()))?;
        let mut held = true;
        let ended = loop {
            tokio::select! {
                told = job.next() => match told {
                    Told::Event(event) => {
                        if let Event::Progress { done, total, bytes } = *event {
                            out.record(Record::Prefetching(Steps { done, total, bytes })).await?;
                        }
                    }
                    Told::Ended(ended) => break ended,
                },
                _ = leash.next(), if held => {
                    held = false;
                    job.abort();
                }
            }
        };
        let (rows, summary) = ended.as_ref().as_ref().map_err(Failure::clone)?;
        for row in rows {
            out.record(Record::Prefetched(row.clone())).await?;
        }
        out.record(Record::Prefetch(*summary)).await
    }
}

/// The plan with the URLs of these lists.
async fn extended(mut plan: Prefetch, fetch: &dyn Fetch, lists: Vec<Url>, required: bool) -> Result<Prefetch, Failure> {
    let most = MAX_URLS.saturating_sub(plan.urls.len());
    let listed = gather(fetch, lists, most).await?;
    plan.urls.extend(listed.into_iter().map(|url| Target { url, required }));
    if plan.urls.is_empty() {
        return Err(Failure::usage("there is nothing to fetch: the lists are empty").hint("look what is in them"));
    }
    Ok(plan)
}

/// Takes a cache away that was made for what came to nothing.
async fn take_back(caches: &CacheStorage, name: &str) {
    let empty = async {
        let cache = caches.open(name).await?;
        Ok::<_, waystore::Error>(
            cache.recording().is_empty()
                && cache.entries(&EntryRange::all())?.next().await.is_ok_and(|first| first.is_none()),
        )
    };
    if empty.await.unwrap_or(false) {
        // The failure that led here is the one to tell.
        let _ = caches.delete(name).await;
    }
}
