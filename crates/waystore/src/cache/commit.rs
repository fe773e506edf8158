//! Steps whose bodies are in place, planned and committed: in one cache, or in several at once.

use super::url_match;
use crate::{
    CacheQueryOptions, Clock, Error, Request, Result, StorageKey,
    quota::Reservation,
    recorded::Recall,
    shared::Shared,
    spec::batch::{Plan, Step, plan_batch},
    store::{Candidate, Changes, Commit, Entry, List, ListChange, NewBody, NewEntry, Read, Store},
};

/// A step whose body, if it has one, is in place.
#[derive(Debug)]
pub(crate) enum Prepared {
    Put {
        request: Request,
        entry: Entry,
        body: NewBody,
        /// The room the body takes until it is committed.
        _room: Option<Reservation>,
        /// How often the owner had been evicted when the body began.
        evictions: u64,
        /// Whether it was recorded before: then it displaced others that were at that time.
        recorded: bool,
    },
    Delete {
        request: Request,
        options: CacheQueryOptions,
    },
}

/// The steps of a batch that are for one list. No two parts of a batch are for the same one.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) list: List,
    pub(crate) steps: Vec<Prepared>,
}

/// Commits all `parts` together, or none; returns how many entries each step of each part removed.
pub(crate) async fn commit_parts(
    store: &dyn Store,
    shared: &Shared,
    clock: &Clock,
    key: &StorageKey,
    parts: &[Part],
) -> Result<Vec<Vec<usize>>> {
    shared.touch(key);
    parts.iter().flat_map(|part| &part.steps).try_for_each(|step| step.check_not_evicted(shared, key))?;
    let op = clock.op_id();
    let reads: Vec<_> = parts.iter().flat_map(Part::reads).collect();
    loop {
        let (read, candidates) = store.candidates(&reads).await?;
        let plans = parts.iter().map(|part| part.plan(&candidates)).collect::<Result<Vec<_>>>()?;
        // A batch that is refused for what it says recalls nobody.
        let mut recalled = Vec::with_capacity(parts.len());
        for part in parts {
            recalled.push(part.recall(shared).await);
        }
        let lists = parts.iter().zip(&plans).map(|(part, plan)| part.change(plan));
        let changes = Changes { lists: lists.collect(), ..Changes::default() };
        let committed = match store.commit(key, op, &read, &changes).await {
            Err(error) if shared.make_room(store, clock, key, &error).await? => continue,
            committed => committed?,
        };
        match committed {
            Commit::Applied => {
                // Before what was put calls back the same: who deletes counts it.
                let removed = plans.iter().zip(recalled).map(|(plan, recalled)| counted(&plan.removed, recalled));
                let removed = removed.collect();
                for (part, plan) in parts.iter().zip(&plans) {
                    part.note_applied(shared, plan);
                }
                return Ok(removed);
            }
            // Another batch touched the same URLs first, so someone made progress: plan again.
            Commit::Stale => tokio::task::yield_now().await,
            Commit::OutcomeUnknown => return Err(Error::OutcomeUnknown { op }),
        }
    }
}

/// Calls back what each step recalled. Returns how many entries each removed: so many stored ones, and these.
fn counted(stored: &[usize], recalled: Vec<Vec<Recall>>) -> Vec<usize> {
    let called_back = |of_step: Vec<Recall>| of_step.into_iter().map(|put| usize::from(put.confirm())).sum::<usize>();
    stored.iter().zip(recalled).map(|(stored, of_step)| stored + called_back(of_step)).collect()
}

impl Part {
    fn reads(&self) -> impl Iterator<Item = Read<'_>> {
        self.steps.iter().map(|step| step.read(&self.list))
    }

    fn plan(&self, candidates: &[Candidate]) -> Result<Plan> {
        let of_list = candidates.iter().filter(|candidate| candidate.list == self.list.id());
        let steps: Vec<_> = self.steps.iter().map(Prepared::step).collect();
        plan_batch(of_list, &steps)
    }

    /// Recalls the recorded puts that each step deletes, and waits for those that are being committed: they are found
    /// then, since they change what was read. Who is recalled goes on where this is not committed.
    async fn recall(&self, shared: &Shared) -> Vec<Vec<Recall>> {
        let mut all = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let Prepared::Delete { .. } = step else {
                all.push(Vec::new());
                continue;
            };
            let (recalled, late) = shared.recorded.recall(self.list.id(), step.step());
            for put in late {
                put.over().await;
            }
            all.push(recalled);
        }
        all
    }

    fn note_applied(&self, shared: &Shared, plan: &Plan) {
        shared.budgets.note_removed(self.list.id(), &plan.remove);
        // One that was recorded took the place of others then.
        for put in self.steps.iter().filter(|step| matches!(step, Prepared::Put { recorded: false, .. })) {
            shared.recorded.call_back(self.list.id(), put.step());
        }
    }

    fn change(&self, plan: &Plan) -> ListChange {
        let insert = self.steps.iter().filter_map(|step| match step {
            Prepared::Put { entry, body, .. } => Some(NewEntry { entry: entry.clone(), body: body.clone() }),
            Prepared::Delete { .. } => None,
        });
        ListChange { list: self.list.clone(), remove: plan.remove.clone(), insert: insert.collect() }
    }
}

impl Prepared {
    /// What is evicted goes whole: a body that streamed meanwhile does not bring some of it back.
    fn check_not_evicted(&self, shared: &Shared, key: &StorageKey) -> Result<()> {
        match self {
            Self::Put { evictions, .. } if *evictions != shared.evictions_of(key) => {
                Err(Error::unavailable(format!("all that `{key}` stored was evicted while a body was read")))
            }
            Self::Put { .. } | Self::Delete { .. } => Ok(()),
        }
    }

    fn step(&self) -> Step<'_> {
        match self {
            Self::Put { request, entry, .. } => Step::Put { request: &request.head, visitor: request.visitor, entry },
            Self::Delete { request, options } => Step::Delete { request: &request.head, options: *options },
        }
    }

    fn read<'a>(&'a self, list: &'a List) -> Read<'a> {
        let url = match self {
            Self::Put { request, .. } => url_match(request.url.as_str(), CacheQueryOptions::default()),
            Self::Delete { request, options } => url_match(request.url.as_str(), *options),
        };
        Read { list, url }
    }
}
