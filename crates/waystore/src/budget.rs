//! Which entries of a cache were used when, and which go when it holds more than it should.
//!
//! Kept in memory for the caches that have a budget, from the first look at them on; what was before that, the
//! store tells to the minute.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    Clock, Error, Result, StorageKey,
    store::{Candidate, Changes, Commit, EntryId, List, ListChange, ListId, ReadSet, Store},
};

/// Entries looked at at a time.
const PAGE: usize = 1024;
/// Caches whose uses are remembered; beyond, some are forgotten, which only costs their order.
const MOST_LISTS: usize = 1024;

/// The uses of entries in all caches with a budget.
#[derive(Debug, Default)]
pub(crate) struct Budgets {
    any: AtomicBool,
    lists: Mutex<HashMap<ListId, Arc<Uses>>>,
}

/// The uses of the entries of one list.
///
/// Nobody has a turn to look or to evict: one who is not polled any more would keep it. Those who evict at
/// the same time choose the same entries, and what is gone already is not removed again.
#[derive(Debug, Default)]
struct Uses {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The last entry that was looked at.
    seen: Option<EntryId>,
    /// What the entries are charged that may go.
    total: u64,
    /// Rises with every use.
    uses: u64,
    entries: HashMap<EntryId, Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    charge: u64,
    last_use: LastUse,
}

/// When an entry was last used or stored. Earlier ones are less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum LastUse {
    /// Before the first look at its list: the minute in milliseconds since 1970, and its place among all.
    Before(u64, u64),
    Since(u64),
}

impl Budgets {
    /// Notes that an entry was used now.
    pub(crate) fn note_use(&self, list: ListId, entry: EntryId) {
        let Some(uses) = self.of(list) else { return };
        let mut state = uses.state();
        state.uses += 1;
        let now = state.uses;
        if let Some(known) = state.entries.get_mut(&entry) {
            known.last_use = LastUse::Since(now);
        }
    }

    /// Notes that entries are gone.
    pub(crate) fn note_removed(&self, list: ListId, entries: &[EntryId]) {
        let Some(uses) = self.of(list) else { return };
        let mut state = uses.state();
        entries.iter().for_each(|entry| state.forget(*entry));
    }

    /// Removes the least recently used entries of `list` until those that may go are charged no more
    /// than `budget`, and some room is left for what comes next.
    pub(crate) async fn keep_within(
        &self,
        store: &dyn Store,
        clock: &Clock,
        key: &StorageKey,
        list: &List,
        budget: u64,
    ) -> Result<()> {
        let uses = self.of_or_new(list.id());
        uses.look_at_new(store, list).await?;
        let excess = uses.state().total.saturating_sub(budget);
        if excess == 0 {
            return Ok(());
        }
        uses.evict(store, clock, key, list, excess.saturating_add(budget / 32)).await.map(drop)
    }

    /// Where `error` says that there is no room, removes the least recently used entries of `list`
    /// that make up for it. Returns whether it is worth trying again.
    pub(crate) async fn make_room(
        &self,
        store: &dyn Store,
        clock: &Clock,
        key: &StorageKey,
        list: &List,
        error: &Error,
    ) -> Result<bool> {
        let Error::QuotaExceeded { requested: Some(requested), quota: Some(quota) } = *error else { return Ok(false) };
        let uses = self.of_or_new(list.id());
        uses.look_at_new(store, list).await?;
        let missing = requested.saturating_sub(quota);
        if uses.state().total < missing {
            // It would not fit though all of them were gone.
            return Ok(false);
        }
        uses.evict(store, clock, key, list, missing).await
    }

    fn of(&self, list: ListId) -> Option<Arc<Uses>> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        self.lists().get(&list).cloned()
    }

    fn of_or_new(&self, list: ListId) -> Arc<Uses> {
        self.any.store(true, Ordering::Release);
        let mut lists = self.lists();
        if lists.len() >= MOST_LISTS && !lists.contains_key(&list) {
            let some = lists.keys().next().copied();
            some.and_then(|some| lists.remove(&some));
        }
        Arc::clone(lists.entry(list).or_default())
    }

    fn lists(&self) -> MutexGuard<'_, HashMap<ListId, Arc<Uses>>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Uses {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what was stored since the last look.
    async fn look_at_new(&self, store: &dyn Store, list: &List) -> Result<()> {
        let is_first = self.state().seen.is_none();
        loop {
            let after = self.state().seen;
            let page = store.page(list, after, PAGE).await?;
            let mut state = self.state();
            // Another may have looked at the same time.
            let seen = state.seen;
            let new = page.iter().filter(|found| Some(found.id) > seen);
            new.for_each(|found| state.take_in(found, is_first));
            if page.len() < PAGE {
                return Ok(());
            }
        }
    }

    /// Removes the least recently used entries that are charged `bytes` together. Returns whether any
    /// was removed.
    async fn evict(&self, store: &dyn Store, clock: &Clock, key: &StorageKey, list: &List, bytes: u64) -> Result<bool> {
        let remove = self.state().least_recently_used(bytes);
        if remove.is_empty() {
            return Ok(false);
        }
        tracing::debug!(list = list.id().0, entries = remove.len(), "evicting entries");
        let op = clock.op_id();
        let change = ListChange { list: list.clone(), remove: remove.clone(), insert: Vec::new() };
        let changes = Changes { lists: vec![change], ..Changes::default() };
        if store.commit(key, op, &ReadSet::default(), &changes).await? == Commit::OutcomeUnknown {
            return Err(Error::OutcomeUnknown { op });
        }
        let mut state = self.state();
        remove.into_iter().for_each(|entry| state.forget(entry));
        Ok(true)
    }
}

impl State {
    fn take_in(&mut self, found: &Candidate, is_first: bool) {
        self.seen = Some(found.id);
        if found.entry.is_pinned() {
            return;
        }
        self.uses += 1;
        let minute = |ms: u64| ms - ms % 60_000;
        let before = found.uses.last_used_ms().unwrap_or_default().max(minute(found.stored_at_ms));
        let last_use = if is_first { LastUse::Before(before, self.uses) } else { LastUse::Since(self.uses) };
        let known = Known { charge: found.usage().padded, last_use };
        self.total += known.charge;
        self.entries.insert(found.id, known);
    }

    fn forget(&mut self, entry: EntryId) {
        if let Some(known) = self.entries.remove(&entry) {
            self.total = self.total.saturating_sub(known.charge);
        }
    }

    fn least_recently_used(&self, bytes: u64) -> Vec<EntryId> {
        let mut by_use: Vec<_> = self.entries.iter().collect();
        by_use.sort_unstable_by_key(|(_, known)| known.last_use);
        let mut freed = 0_u64;
        let needed = by_use.into_iter().take_while(|(_, known)| {
            let more = freed < bytes;
            freed = freed.saturating_add(known.charge);
            more
        });
        needed.map(|(entry, _)| *entry).collect()
    }
}
