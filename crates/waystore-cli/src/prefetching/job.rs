//! One job from its turn to its end.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use tokio::{
    sync::{SemaphorePermit, mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior},
};
use waystore::{
    AbortSignal,
    prefetch::{Event, Progress},
};

use super::{
    Ended, Jobs, Steps,
    shelf::{KeptJob, Shelf},
};
use crate::failure::Failure;

/// Between two times at which what is done of a durable job is kept. What was done since is found in the cache when it goes on.
const KEEP_EVERY: Duration = Duration::from_secs(2);

/// A job, and who is told of it.
pub(super) struct Job {
    pub(super) id: String,
    pub(super) kept: KeptJob,
    pub(super) signal: AbortSignal,
    /// Whether it waits for its turn.
    pub(super) waits: bool,
    pub(super) teller: Teller,
    pub(super) end: oneshot::Sender<Arc<Ended>>,
}

/// Who is told what happens.
pub(super) struct Teller {
    pub(super) steps: watch::Sender<Steps>,
    pub(super) events: mpsc::Sender<Event>,
}

impl Teller {
    fn tell(&self, event: Event) {
        if let Event::Progress { done, total, bytes } = event {
            self.steps.send_replace(Steps { done, total, bytes });
        }
        // Nobody may be listening, or too slowly: the end says it all.
        let _ = self.events.try_send(event);
    }
}

impl Jobs {
    /// Runs a job to its end, or until the desk stops.
    pub(super) async fn run(&self, job: Job) {
        let Job { id, kept, signal, waits, teller, end } = job;
        let shelf = self.0.shelf.as_ref().filter(|_| kept.plan.durable);
        let work = Work { jobs: self, id: &id, shelf, signal: &signal, teller: &teller };
        let ended = work.carry_out(kept, waits).await;
        if let (Some(shelf), false) = (shelf, self.0.stopping.is_cancelled() && !signal.aborted())
            && let Err(failure) = shelf.forget(&id).await
        {
            tracing::error!(target: "waystore::prefetch", job = id, %failure, "a durable prefetch that ended could not be forgotten");
        }
        log(&id, &ended);
        self.entries().remove(&id);
        // Whoever asked may have gone.
        let _ = end.send(Arc::new(ended));
        drop(teller);
    }
}

fn log(id: &str, ended: &Ended) {
    match ended {
        Ok((_, summary)) => tracing::info!(
            target: "waystore::prefetch",
            job = id, stored = summary.stored, cached = summary.cached, skipped = summary.skipped, failed = summary.failed,
            aborted = summary.aborted, bytes = summary.bytes, ms = summary.elapsed_ms, "prefetched"
        ),
        Err(failure) => tracing::warn!(target: "waystore::prefetch", job = id, %failure, "a prefetch failed"),
    }
}

struct Work<'a> {
    jobs: &'a Jobs,
    id: &'a str,
    shelf: Option<&'a Shelf>,
    signal: &'a AbortSignal,
    teller: &'a Teller,
}

impl Work<'_> {
    async fn carry_out(&self, mut kept: KeptJob, waits: bool) -> Ended {
        if kept.progress.is_none() {
            self.keep(&kept).await?;
        }
        let desk = &self.jobs.0;
        let _turn = if waits { self.turn().await? } else { None };
        let name = kept.plan.cache.clone().unwrap_or_default();
        let cache = desk.caches.open(name.as_str()).await?;
        let (plan, fetch) = (kept.plan.clone(), Arc::clone(&desk.fetch));
        let running = match kept.progress.take() {
            Some(progress) => plan.resume(cache, fetch, progress)?,
            None => plan.start(cache, fetch)?,
        };
        let mut running = running.with_signal(self.signal.clone());
        let mut keeping = tokio::time::interval_at(Instant::now() + KEEP_EVERY, KEEP_EVERY);
        keeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = running.next() => match event {
                    Some(Event::Ended(summary)) => return Ok((running.rows(), summary)),
                    Some(event) => self.teller.tell(event),
                    None => return Err(Failure::failed("the prefetch ended early")),
                },
                _ = keeping.tick(), if self.shelf.is_some() => {
                    let progress = running.progress();
                    let steps = |progress: &Progress| (progress.done(), progress.total());
                    // A job that only waits has nothing new to keep.
                    if kept.progress.as_ref().map(steps) != Some(steps(&progress)) {
                        kept.progress = Some(progress);
                        self.keep(&kept).await?;
                    }
                }
                () = desk.stopping.cancelled() => {
                    kept.progress = Some(running.progress());
                    self.keep(&kept).await?;
                    return Err(stopped());
                }
            }
        }
    }

    /// Waits for a turn. A job that is aborted meanwhile needs none: it ends at its first step, with its rows.
    async fn turn(&self) -> Result<Option<SemaphorePermit<'_>>, Failure> {
        let desk = &self.jobs.0;
        tokio::select! {
            turn = desk.turns.acquire() => Ok(turn.ok()),
            () = self.signal.wait() => Ok(None),
            () = desk.stopping.cancelled() => Err(stopped()),
        }
    }

    async fn keep(&self, kept: &KeptJob) -> Result<(), Failure> {
        match self.shelf {
            Some(shelf) => shelf.keep(self.id, kept).await,
            None => Ok(()),
        }
    }
}

fn stopped() -> Failure {
    Failure::failed("the gateway stops")
        .hint("a durable prefetch goes on when it runs again; another is asked for again")
}
