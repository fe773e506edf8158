//! Where durable jobs are kept until they end.
//!
//! In the store, in the bottle of the registrations: always written strictly, counted in the origin's usage, and gone
//! with the origin in the same record; a file beside the store would be none of that. A name of their own keeps them
//! from the registrations, whose names are URLs.

use serde::{Deserialize, Serialize};
use waystore::{
    CacheQueryOptions, CacheStorage, Response, Waystore,
    prefetch::{Prefetch, Progress},
};

use crate::failure::Failure;

/// The name of the list in the bottle.
const NAME: &str = "prefetch";
/// The longest job: a plan and what is done of it.
const JOB_BYTES: usize = 64 * 1024 * 1024;

/// A job as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct KeptJob {
    pub(super) plan: Prefetch,
    /// What was done when it was kept; none at first.
    pub(super) progress: Option<Progress>,
    /// In milliseconds since 1970.
    pub(super) begun_ms: u64,
}

/// The durable jobs of one origin.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    bottle: CacheStorage,
}

impl Shelf {
    /// # Errors
    ///
    /// `origin` is none.
    pub(super) fn new(store: &Waystore, origin: &str) -> Result<Self, Failure> {
        Ok(Self { bottle: store.registrations(origin)? })
    }

    /// Keeps a job, in place of what was kept of it.
    pub(super) async fn keep(&self, id: &str, job: &KeptJob) -> Result<(), Failure> {
        let text = serde_json::to_vec(job).map_err(|error| Failure::failed(format!("the job is not JSON: {error}")))?;
        let response = Response::new(text).header("content-type", "application/json");
        Ok(self.bottle.open(NAME).await?.put(place(id), response).await?)
    }

    /// Forgets a job.
    pub(super) async fn forget(&self, id: &str) -> Result<(), Failure> {
        if self.bottle.has(NAME).await? {
            let jobs = self.bottle.open(NAME).await?;
            jobs.delete(place(id), CacheQueryOptions::default()).await?;
        }
        Ok(())
    }

    /// Every job that is kept, oldest first. One that cannot be read is forgotten, with a line in the log.
    pub(super) async fn all(&self) -> Result<Vec<(String, KeptJob)>, Failure> {
        if !self.bottle.has(NAME).await? {
            return Ok(Vec::new());
        }
        let jobs = self.bottle.open(NAME).await?;
        let mut kept = Vec::new();
        for request in jobs.keys((), CacheQueryOptions::default()).await? {
            let id = request.url.path().trim_start_matches('/').to_owned();
            match self.read(&id).await {
                Ok(Some(job)) => kept.push((id, job)),
                Ok(None) => {}
                Err(reason) => {
                    tracing::error!(target: "waystore::prefetch", job = id, reason, "a durable prefetch cannot be read, and is forgotten");
                    self.forget(&id).await?;
                }
            }
        }
        // Each was put anew when it was kept last.
        kept.sort_by_key(|(_, job)| job.begun_ms);
        Ok(kept)
    }

    async fn read(&self, id: &str) -> Result<Option<KeptJob>, String> {
        let found = async {
            let jobs = self.bottle.open(NAME).await?;
            let Some(found) = jobs.match_(place(id), CacheQueryOptions::default()).await? else { return Ok(None) };
            let text = found.body.unwrap_or_default().collect(JOB_BYTES).await.map_err(waystore::Error::from)?;
            Ok::<_, Failure>(Some(text))
        };
        let Some(text) = found.await.map_err(|failure| failure.to_string())? else { return Ok(None) };
        serde_json::from_slice(&text).map(Some).map_err(|error| error.to_string())
    }
}

/// The URL of a job's entry, at the origin.
fn place(id: &str) -> String {
    format!("/{id}")
}
