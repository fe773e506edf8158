//! Jobs that a script asks for: the worker crate's words for the desk's.

use async_trait::async_trait;
use waystore::prefetch::Prefetch;
use waystore_worker::{PrefetchJob, PrefetchRefused, PrefetchStep, Prefetcher};

use super::{Asker, JobHandle, Jobs, Refused, Told};

impl Prefetcher for Jobs {
    fn start(&self, plan: Prefetch) -> Result<Box<dyn PrefetchJob>, PrefetchRefused> {
        match Self::start(self, plan, &Asker::Script) {
            Ok(job) => Ok(Box::new(job)),
            Err(refused) => Err(match refused {
                Refused::NoCache | Refused::TooManyUrls { .. } => PrefetchRefused::Plan { reason: refused.to_string() },
                Refused::Busy { .. } | Refused::ClientBusy { .. } | Refused::Stopping => {
                    PrefetchRefused::Busy { reason: refused.to_string() }
                }
            }),
        }
    }
}

#[async_trait]
impl PrefetchJob for JobHandle {
    async fn next(&mut self) -> PrefetchStep {
        match Self::next(self).await {
            Told::Event(event) => PrefetchStep::Event(event),
            Told::Ended(ended) => match &*ended {
                Ok((rows, summary)) => PrefetchStep::Ended { rows: rows.clone(), summary: *summary },
                Err(failure) => PrefetchStep::Failed(failure.to_string()),
            },
        }
    }
}
