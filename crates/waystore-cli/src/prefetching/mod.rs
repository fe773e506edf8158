//! Prefetch jobs: who may start one, which run, where durable ones are kept, what is told.
//!
//! Knows no socket, no terminal and no script: whoever asks has a plan and gets a handle. What a plan means is the
//! library's business ([`waystore::prefetch`]).

mod answers;
mod gather;
mod job;
mod lists;
mod rule;
mod script;
mod seats;
mod shelf;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use waystore::{
    CacheStorage, Clock, Fetch, Waystore,
    prefetch::{Event, Hints, Prefetch, Prefetched, Summary},
};

pub(crate) use self::{
    answers::{Answers, Taken},
    gather::gather,
    lists::{LIST_BYTES, Listed, read as read_list},
    rule::{Rule, RuleText},
    seats::{JobLimits, Refused},
};
use self::{
    job::{Job, Teller},
    seats::{Seat, Seats},
    shelf::{KeptJob, Shelf},
};
use crate::failure::Failure;

/// Events of a job that wait for whoever asked for it.
const READY: usize = 256;

/// Who asks for a job.
#[derive(Debug, Clone)]
pub(crate) enum Asker {
    /// Whoever runs the site: nothing is refused, and nobody is waited for.
    Operator,
    /// The site's own script.
    Script,
    /// A visitor's page, by its client's id.
    Page {
        client: String,
        /// What its requests say of the connection, beside what the plan says.
        hints: Hints,
    },
}

/// What happens to a job.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    /// Something happened. Who does not keep up misses events, the latest ones.
    Event(Box<Event>),
    /// It ended. Comes last, and is never missed.
    Ended(Arc<Ended>),
}

/// A job in numbers, while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Steps {
    /// URLs whose outcome is known.
    pub(crate) done: usize,
    /// URLs known so far.
    pub(crate) total: usize,
    /// Bytes that came from the network.
    pub(crate) bytes: u64,
}

/// How a job ended: a row for each URL, in the order asked for and then as they were found, and the whole in numbers.
pub(crate) type Ended = Result<(Vec<Prefetched>, Summary), Failure>;

/// Runs jobs of one origin. Clones are the same desk.
#[derive(Clone)]
pub(crate) struct Jobs(Arc<Desk>);

struct Desk {
    caches: CacheStorage,
    fetch: Arc<dyn Fetch>,
    clock: Arc<Clock>,
    limits: JobLimits,
    seats: Arc<Seats>,
    /// Of jobs that run.
    turns: Arc<Semaphore>,
    shelf: Option<Shelf>,
    /// The jobs that run or wait.
    under_way: Mutex<BTreeMap<String, Entry>>,
    tasks: TaskTracker,
    stopping: CancellationToken,
    runtime: tokio::runtime::Handle,
}

struct Entry {
    cache: String,
    durable: bool,
    begun_ms: u64,
    steps: watch::Receiver<Steps>,
    signal: waystore::AbortSignal,
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

impl Jobs {
    /// A desk whose jobs fetch with `fetch` and store into `caches`. Called inside a runtime, which is where they run.
    pub(crate) fn new(caches: CacheStorage, fetch: Arc<dyn Fetch>, clock: Arc<Clock>, limits: JobLimits) -> Self {
        Self(Arc::new(Desk {
            caches,
            fetch,
            clock,
            limits,
            seats: Arc::new(Seats::new(limits)),
            turns: Arc::new(Semaphore::new(limits.running.max(1))),
            shelf: None,
            under_way: Mutex::default(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            runtime: tokio::runtime::Handle::current(),
        }))
    }

    /// The same, which keeps durable jobs of `origin` in `store`. Called before the first job.
    ///
    /// # Errors
    ///
    /// `origin` is none.
    pub(crate) fn durable(mut self, store: &Waystore, origin: &str) -> Result<Self, Failure> {
        let shelf = Shelf::new(store, origin)?;
        if let Some(desk) = Arc::get_mut(&mut self.0) {
            desk.shelf = Some(shelf);
        }
        Ok(self)
    }

    /// Begins a job. Dropping its handle aborts it, unless it is durable.
    ///
    /// # Errors
    ///
    /// Nothing was begun, and why.
    pub(crate) fn start(&self, plan: Prefetch, asker: &Asker) -> Result<JobHandle, Refused> {
        let desk = &self.0;
        if desk.stopping.is_cancelled() {
            return Err(Refused::Stopping);
        }
        let plan = self.admitted(plan, asker)?;
        let seat = match asker {
            Asker::Operator => None,
            Asker::Script => Some(desk.seats.take(None)?),
            Asker::Page { client, .. } => Some(desk.seats.take(Some(client))?),
        };
        let id = format!("{:032x}", desk.clock.random());
        let kept = KeptJob { plan, progress: None, begun_ms: desk.clock.now_ms() };
        let waits = !matches!(asker, Asker::Operator);
        Ok(self.begin(id, kept, seat, waits))
    }

    /// The plan within what the asker may.
    fn admitted(&self, mut plan: Prefetch, asker: &Asker) -> Result<Prefetch, Refused> {
        if plan.cache.is_none() {
            return Err(Refused::NoCache);
        }
        // Where nothing is kept, there is nothing to go on with.
        plan.durable &= self.0.shelf.is_some();
        if let Asker::Page { hints, .. } = asker {
            let most = self.0.limits.urls;
            if plan.urls.len() > most {
                return Err(Refused::TooManyUrls { urls: plan.urls.len(), most });
            }
            plan = plan.at_most(&self.0.limits.plan);
            plan.connection = plan.connection.or(*hints);
        }
        Ok(plan)
    }

    fn begin(&self, id: String, kept: KeptJob, seat: Option<Seat>, waits: bool) -> JobHandle {
        let desk = &self.0;
        let (step, steps) = watch::channel(Steps { total: kept.plan.urls.len(), ..Steps::default() });
        let (sender, events) = mpsc::channel(READY);
        let (end, ended) = oneshot::channel();
        let signal = waystore::AbortSignal::new();
        let durable = kept.plan.durable;
        let entry = Entry {
            cache: kept.plan.cache.clone().unwrap_or_default(),
            durable,
            begun_ms: kept.begun_ms,
            steps,
            signal: signal.clone(),
        };
        self.entries().insert(id.clone(), entry);
        let job = Job { id, kept, signal: signal.clone(), waits, teller: Teller { steps: step, events: sender }, end };
        let jobs = self.clone();
        let work = async move {
            jobs.run(job).await;
            drop(seat);
        };
        desk.tasks.spawn_on(work, &desk.runtime);
        JobHandle { events, ended, signal, aborts: !durable }
    }

    /// Begins the durable jobs that the end of the process cut off.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub(crate) async fn resume(&self) -> Result<usize, Failure> {
        let Some(shelf) = &self.0.shelf else { return Ok(0) };
        let kept = shelf.all().await?;
        let number = kept.len();
        for (id, job) in kept {
            tracing::info!(target: "waystore::prefetch", job = id, cache = job.plan.cache, "a durable prefetch goes on");
            // Nobody waits for it, and it is durable: without its handle it goes on.
            drop(self.begin(id, job, Some(self.0.seats.keep()), true));
        }
        Ok(number)
    }

    /// The jobs that run or wait, oldest first.
    pub(crate) fn list(&self) -> Vec<JobStatus> {
        let mut jobs: Vec<_> = self.entries().iter().map(|(id, entry)| entry.status(id)).collect();
        jobs.sort_by_key(|job| job.begun_ms);
        jobs
    }

    /// Aborts a job, and tells whether there is one of this id. One that is durable is forgotten.
    pub(crate) fn abort(&self, id: &str) -> bool {
        let entries = self.entries();
        let entry = entries.get(id);
        entry.inspect(|entry| entry.signal.abort()).is_some()
    }

    /// Aborts all jobs. Durable ones are forgotten.
    pub(crate) fn abort_all(&self) {
        self.entries().values().for_each(|entry| entry.signal.abort());
    }

    /// Ends all jobs, and waits until they have. Durable ones go on when the next process [resumes](Self::resume) them.
    pub(crate) async fn stop(&self) {
        self.0.stopping.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job that runs or waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobStatus {
    pub(crate) id: String,
    pub(crate) cache: String,
    pub(crate) durable: bool,
    pub(crate) begun_ms: u64,
    #[serde(flatten)]
    pub(crate) steps: Steps,
}

impl Entry {
    fn status(&self, id: &str) -> JobStatus {
        JobStatus {
            id: id.to_owned(),
            cache: self.cache.clone(),
            durable: self.durable,
            begun_ms: self.begun_ms,
            steps: *self.steps.borrow(),
        }
    }
}

/// A job, for who asked for it.
#[derive(Debug)]
pub(crate) struct JobHandle {
    events: mpsc::Receiver<Event>,
    ended: oneshot::Receiver<Arc<Ended>>,
    signal: waystore::AbortSignal,
    /// Whether it ends when nobody waits for it.
    aborts: bool,
}

impl JobHandle {
    /// What happens next. Its end comes last; nobody asks after that. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Told {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next), for whoever writes a future.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Told> {
        if let Some(event) = ready!(self.events.poll_recv(cx)) {
            return Poll::Ready(Told::Event(Box::new(event)));
        }
        // It is told before the events end; without it, the task that ran the job has panicked.
        let ended = ready!(Pin::new(&mut self.ended).poll(cx));
        Poll::Ready(Told::Ended(ended.unwrap_or_else(|_| Arc::new(Err(Failure::failed("the prefetch broke off"))))))
    }

    /// How it ends.
    pub(crate) async fn ended(mut self) -> Arc<Ended> {
        loop {
            if let Told::Ended(ended) = self.next().await {
                return ended;
            }
        }
    }

    /// Stops it: what is stored stays, nothing is left half done, and its end is told.
    pub(crate) fn abort(&self) {
        self.signal.abort();
    }
}

impl Drop for JobHandle {
    fn drop(&mut self) {
        if self.aborts {
            self.signal.abort();
        }
    }
}
