//! Puts that were recorded and whose bodies still stream: an overlay in memory over what is committed.
//!
//! This process's handles see such an entry at once, as if it had been committed last; the store
//! gets it when its body is complete. What the overlay hides and shows is decided by `spec/`.

mod growing;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::watch;

pub(crate) use self::growing::{Growing, GrowingWriter};
use crate::{
    RequestHead, Visitor,
    spec::{
        batch::{Step, plan_batch},
        url_key::without_fragment,
    },
    store::{Candidate, CandidateBody, Entry, EntryId, List, ListId, UrlMatch, Uses, url_matches},
};

/// Bodies that stream at a time; a put beyond them resolves when its body is complete.
const MOST: usize = 256;

/// The puts that are recorded and not committed, by list, in the order in which they were recorded.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    count: AtomicUsize,
    lists: Mutex<HashMap<ListId, Vec<Arc<Pending>>>>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Pending {
    request: RequestHead,
    visitor: Option<Visitor>,
    candidate: Candidate,
    phase: watch::Sender<Phase>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Its body streams.
    Open,
    /// It is being committed: too late to call it back.
    Committing,
    /// It is committed, or given up.
    Over,
}

impl Recorded {
    /// Records a put of `entry`, whose body grows. It takes the place of earlier ones, as a commit
    /// would. `None`: there are too many.
    pub(crate) fn add(
        self: &Arc<Self>,
        list: &List,
        request: RequestHead,
        visitor: Option<Visitor>,
        entry: Entry,
        now_ms: u64,
        body: &Arc<Growing>,
    ) -> Option<PendingGuard> {
        let mut lists = self.lists();
        let one_more = |count| (count < MOST).then_some(count + 1);
        self.count.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        let body = Arc::<Growing>::clone(body);
        let of_list = lists.entry(list.id()).or_default();
        // Larger than the number of any entry, and rising: what is recorded later comes later.
        let last = of_list.last().map_or(EntryId(u64::MAX / 2), |last| last.candidate.id);
        let (id, list) = (EntryId(last.0 + 1), list.id());
        let body = CandidateBody::Stored(body);
        let candidate = Candidate { id, list, stored_at_ms: now_ms, entry, body, uses: Uses::default() };
        let pending = Arc::new(Pending { request, visitor, candidate, phase: watch::Sender::new(Phase::Open) });
        of_list.retain(|earlier| !pending.displaces(&earlier.candidate) || !earlier.call_back());
        of_list.push(Arc::clone(&pending));
        drop(lists);
        Some(PendingGuard { all: Arc::clone(self), pending })
    }

    /// The recorded puts of a list, to be laid over what the store says **afterwards**.
    pub(crate) fn of(&self, list: ListId) -> Vec<Arc<Pending>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        self.lists().get(&list).cloned().unwrap_or_default()
    }

    /// Calls back the puts that `step` removes; returns how many there were, and those that are being committed: who
    /// comes after them has to wait for them.
    pub(crate) fn call_back(&self, list: ListId, step: Step<'_>) -> (usize, Vec<Arc<Pending>>) {
        let (mut called_back, mut late) = (0, Vec::new());
        for pending in self.of(list).into_iter().filter(|pending| removes(step, &pending.candidate)) {
            if pending.call_back() {
                called_back += 1;
                self.forget(&pending);
            } else {
                late.push(pending);
            }
        }
        (called_back, late)
    }

    fn forget(&self, pending: &Arc<Pending>) {
        let mut lists = self.lists();
        let list = pending.candidate.list;
        let Some(of_list) = lists.get_mut(&list) else { return };
        of_list.retain(|other| !Arc::ptr_eq(other, pending));
        if of_list.is_empty() {
            lists.remove(&list);
        }
    }

    fn lists(&self) -> MutexGuard<'_, HashMap<ListId, Vec<Arc<Pending>>>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lays recorded puts over what a search by `url` found committed.
pub(crate) fn overlay(mut found: Vec<Candidate>, pending: &[Arc<Pending>], url: UrlMatch<'_>) -> Vec<Candidate> {
    for put in pending.iter().filter(|put| url_matches(without_fragment(put.candidate.entry.url()), url)) {
        found.retain(|candidate| !put.displaces(candidate));
        found.push(put.candidate.clone());
    }
    found
}

fn removes(step: Step<'_>, candidate: &Candidate) -> bool {
    // A single step cannot meet one before it.
    plan_batch(std::iter::once(candidate), &[step]).is_ok_and(|plan| !plan.remove.is_empty())
}

impl Pending {
    /// The entry as it is so far.
    pub(crate) fn candidate(&self) -> &Candidate {
        &self.candidate
    }

    fn displaces(&self, candidate: &Candidate) -> bool {
        let step = Step::Put { request: &self.request, visitor: self.visitor, entry: &self.candidate.entry };
        removes(step, candidate)
    }

    /// Takes the put back; returns whether it was not too late. Readers of its body read on.
    fn call_back(&self) -> bool {
        self.phase.send_if_modified(|phase| {
            let open = *phase == Phase::Open;
            if open {
                *phase = Phase::Over;
            }
            open
        })
    }

    /// Waits until it is committed, or not.
    pub(crate) async fn over(&self) {
        // The sender lives in `self`, so there is always an answer.
        let _ = self.phase.subscribe().wait_for(|phase| *phase == Phase::Over).await;
    }
}

/// Held by whoever reads the body of a recorded put; when it is dropped the put is over.
#[derive(Debug)]
pub(crate) struct PendingGuard {
    all: Arc<Recorded>,
    pending: Arc<Pending>,
}

impl PendingGuard {
    /// Begins the commit; returns whether the put was not called back.
    pub(crate) fn begin_commit(&self) -> bool {
        self.pending.phase.send_if_modified(|phase| {
            let open = *phase == Phase::Open;
            if open {
                *phase = Phase::Committing;
            }
            open
        })
    }
}

impl Drop for PendingGuard {
    fn drop(&mut self) {
        self.all.forget(&self.pending);
        self.all.count.fetch_sub(1, Ordering::AcqRel);
        self.pending.phase.send_replace(Phase::Over);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use url::Url;

    use super::*;
    use crate::{
        Clock, ResponseHead, StorageKey,
        store::{ListHold, memory::MemoryStore},
    };

    struct Hold(u64);

    impl ListHold for Hold {
        fn id(&self) -> ListId {
            ListId(self.0)
        }
    }

    #[test]
    fn puts_that_begin_and_end_at_the_same_time_are_all_counted() {
        let recorded = Arc::<Recorded>::default();
        let store = Arc::new(MemoryStore::new(Arc::new(Clock::fixed(0, 0))));
        let key = StorageKey::new("https://a.test").unwrap();
        let threads = (0..4).map(|number| {
            let (recorded, list) = (Arc::clone(&recorded), List::new(Arc::new(Hold(number))));
            let writer = GrowingWriter::new(Arc::clone(&store) as _, key.clone(), None);
            thread::spawn(move || {
                let head = RequestHead::get(Url::parse("https://a.test/x").unwrap());
                let entry = Entry::new(&head, &ResponseHead::with_status(200));
                for _ in 0..50_000 {
                    drop(recorded.add(&list, head.clone(), None, entry.clone(), 0, writer.body()));
                }
            })
        });
        threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(recorded.count.load(Ordering::Acquire), 0);
    }
}
