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
    /// So many batches take it away, should they be committed. Until that is known, its own commit waits.
    Recalled(u32),
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

    /// Calls back the puts that `step` removes, which is committed.
    pub(crate) fn call_back(&self, list: ListId, step: Step<'_>) {
        for pending in self.removed_by(list, step).filter(|pending| pending.call_back()) {
            self.forget(&pending);
        }
    }

    /// Recalls the puts that `step` removes, which is to be committed. Returns them, and those that are being committed
    /// themselves: who comes after them has to wait for them.
    pub(crate) fn recall(self: &Arc<Self>, list: ListId, step: Step<'_>) -> (Vec<Recall>, Vec<Arc<Pending>>) {
        let (recalled, late): (Vec<_>, _) = self.removed_by(list, step).partition(|pending| pending.recall());
        (recalled.into_iter().map(|pending| Recall { all: Arc::clone(self), pending }).collect(), late)
    }

    fn removed_by(&self, list: ListId, step: Step<'_>) -> impl Iterator<Item = Arc<Pending>> {
        self.of(list).into_iter().filter(move |pending| removes(step, &pending.candidate))
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
        self.change_to(|phase| match phase {
            Phase::Open | Phase::Recalled(_) => Some(Phase::Over),
            Phase::Committing | Phase::Over => None,
        })
    }

    /// Has its commit wait until it is known whether it is taken back; returns whether it was not too late.
    fn recall(&self) -> bool {
        self.change_to(|phase| match phase {
            Phase::Open => Some(Phase::Recalled(1)),
            Phase::Recalled(batches) => Some(Phase::Recalled(batches + 1)),
            Phase::Committing | Phase::Over => None,
        })
    }

    /// Returns whether there was a change.
    fn change_to(&self, next: impl FnOnce(Phase) -> Option<Phase>) -> bool {
        self.phase.send_if_modified(|phase| next(*phase).map(|next| *phase = next).is_some())
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
    /// Begins the commit, once no batch recalls the put; returns whether it was not called back.
    pub(crate) async fn begin_commit(&self) -> bool {
        let phase = &self.pending.phase;
        loop {
            if self.pending.change_to(|phase| (phase == Phase::Open).then_some(Phase::Committing)) {
                return true;
            }
            let settled = |phase: &Phase| !matches!(phase, Phase::Recalled(_));
            // The sender lives in `self`, so there is always an answer.
            if phase.subscribe().wait_for(settled).await.is_ok_and(|phase| *phase == Phase::Over) {
                return false;
            }
        }
    }
}

/// A recorded put that a batch takes away, once it is committed. Dropped before that, the put goes on.
#[derive(Debug)]
pub(crate) struct Recall {
    all: Arc<Recorded>,
    pending: Arc<Pending>,
}

impl Recall {
    /// The batch is committed; returns whether the put was not over before.
    pub(crate) fn confirm(self) -> bool {
        let called_back = self.pending.call_back();
        if called_back {
            self.all.forget(&self.pending);
        }
        called_back
    }
}

impl Drop for Recall {
    fn drop(&mut self) {
        self.pending.change_to(|phase| match phase {
            Phase::Recalled(1) => Some(Phase::Open),
            Phase::Recalled(batches) => Some(Phase::Recalled(batches - 1)),
            Phase::Open | Phase::Committing | Phase::Over => None,
        });
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
    use std::{pin::pin, thread};

    use futures::FutureExt;
    use url::Url;

    use super::*;
    use crate::{
        CacheQueryOptions, Clock, ResponseHead, StorageKey,
        store::{ListHold, memory::MemoryStore},
    };

    /// A put of `/x` in list 1, recorded.
    fn recorded() -> (Arc<Recorded>, PendingGuard) {
        let (recorded, list) = (Arc::<Recorded>::default(), List::new(Arc::new(Hold(1))));
        let store = Arc::new(MemoryStore::new(Arc::new(Clock::fixed(0, 0))));
        let writer = GrowingWriter::new(store, StorageKey::new("https://a.test").unwrap(), None);
        let head = RequestHead::get(Url::parse("https://a.test/x").unwrap());
        let entry = Entry::new(&head, &ResponseHead::with_status(200));
        let guard = recorded.add(&list, head, None, entry, 0, writer.body()).unwrap();
        (recorded, guard)
    }

    fn recall(recorded: &Arc<Recorded>) -> Vec<Recall> {
        let request = RequestHead::get(Url::parse("https://a.test/x").unwrap());
        let (recalled, late) =
            recorded.recall(ListId(1), Step::Delete { request: &request, options: CacheQueryOptions::default() });
        assert!(late.is_empty());
        recalled
    }

    #[test]
    fn a_recalled_put_waits_with_its_commit_until_no_batch_may_take_it_away() {
        let (recorded, guard) = recorded();
        let (one, other) = (recall(&recorded), recall(&recorded));
        let mut commit = pin!(guard.begin_commit());
        assert_eq!(commit.as_mut().now_or_never(), None);
        assert_eq!(recorded.of(ListId(1)).len(), 1);
        drop(one);
        assert_eq!(commit.as_mut().now_or_never(), None);
        drop(other);
        assert_eq!(commit.now_or_never(), Some(true));
    }

    #[test]
    fn a_recalled_put_is_over_with_the_first_batch_that_is_committed() {
        let (recorded, guard) = recorded();
        let (one, other) = (recall(&recorded), recall(&recorded));
        let mut commit = pin!(guard.begin_commit());
        assert_eq!(commit.as_mut().now_or_never(), None);
        assert_eq!(one.into_iter().map(Recall::confirm).collect::<Vec<_>>(), [true]);
        assert_eq!(commit.now_or_never(), Some(false));
        assert!(recorded.of(ListId(1)).is_empty());
        assert_eq!(other.into_iter().map(Recall::confirm).collect::<Vec<_>>(), [false]);
    }

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
