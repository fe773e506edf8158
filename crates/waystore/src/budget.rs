//! Which entries of a cache were used when, and which go when it holds more than it should.
//!
//! Kept in memory for the caches that have a budget, from the first look at them on; what was before that, the
//! store tells to the minute.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::{
    CacheName, Clock, Error, Place, Result, StorageKey,
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
    time: Arc<Time>,
    lists: Mutex<HashMap<ListId, Arc<Uses>>>,
}

/// The uses of the entries of one list.
///
/// Nobody has a turn to look or to evict: one who is not polled any more would keep it. Those who evict at
/// the same time choose the same entries, and what is gone already is not removed again.
#[derive(Debug, Default)]
struct Uses {
    time: Arc<Time>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The last entry that was looked at.
    seen: Option<EntryId>,
    /// What the entries are charged that may go.
    total: u64,
    entries: HashMap<EntryId, Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    charge: u64,
    last_use: LastUse,
}

/// When an entry was last used or stored; earlier ones are less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct LastUse {
    /// The minute, in milliseconds since 1970: what the store keeps over a restart.
    minute: u64,
    /// The place among all uses that this process saw.
    tick: u64,
}

/// The order of all uses, so that those in different lists can be compared.
#[derive(Debug, Default)]
struct Time {
    ticks: AtomicU64,
    /// The latest minute that was seen: a clock that was set back makes nothing older than it is.
    minute: AtomicU64,
}

impl Time {
    /// A use that happens, at `ms` by some clock: later than all that were seen.
    fn now(&self, ms: u64) -> LastUse {
        let LastUse { minute, tick } = self.before(ms);
        LastUse { minute: minute.max(self.minute.load(Ordering::Relaxed)), tick }
    }

    /// A use that was, as the store knows it.
    fn before(&self, ms: u64) -> LastUse {
        let minute = ms - ms % 60_000;
        self.minute.fetch_max(minute, Ordering::Relaxed);
        LastUse { minute, tick: self.ticks.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Budgets {
    /// Notes that an entry was used now, at `now_ms`.
    pub(crate) fn note_use(&self, list: ListId, entry: EntryId, now_ms: u64) {
        let Some(uses) = self.of(list) else { return };
        let now = uses.time.now(now_ms);
        let mut state = uses.state();
        if let Some(known) = state.entries.get_mut(&entry) {
            known.last_use = now;
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
        let all = [(Arc::clone(&uses), list.clone())];
        evict(store, clock, key, &all, excess.saturating_add(budget / 32)).await.map(drop)
    }

    /// Where `error` says that there is no room, removes the least recently used entries of `list` and of
    /// all caches in some places of a key that `may_give` that make up for it, and for a little more, so that it is not done anew
    /// for each put. Returns whether it is worth trying again.
    pub(crate) async fn make_room(
        &self,
        store: &dyn Store,
        clock: &Clock,
        (key, places): (&StorageKey, &[Place]),
        list: &List,
        may_give: impl Fn(&CacheName) -> bool + Send,
        error: &Error,
    ) -> Result<bool> {
        let Error::QuotaExceeded { requested: Some(requested), quota: Some(quota) } = *error else { return Ok(false) };
        let mut named = Vec::new();
        for place in places {
            named.extend(store.names(place).await?);
        }
        let named = named.into_iter().filter(|(name, _)| may_give(name));
        let mut lists: Vec<_> = named.map(|(_, list)| list).chain([list.clone()]).collect();
        lists.sort_unstable_by_key(List::id);
        lists.dedup();
        let all: Vec<_> = lists.into_iter().map(|list| (self.of_or_new(list.id()), list)).collect();
        for (uses, list) in &all {
            uses.look_at_new(store, list).await?;
        }
        let missing = requested.saturating_sub(quota);
        if all.iter().map(|(uses, _)| uses.state().total).sum::<u64>() < missing {
            // It would not fit though all of them were gone.
            return Ok(false);
        }
        evict(store, clock, key, &all, missing.saturating_add(quota / 128)).await
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
        let uses = || Arc::new(Uses { time: Arc::clone(&self.time), ..Uses::default() });
        Arc::clone(lists.entry(list).or_insert_with(uses))
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
            new.for_each(|found| {
                state.take_in(found, |ms| if is_first { self.time.before(ms) } else { self.time.now(ms) });
            });
            if page.len() < PAGE {
                return Ok(());
            }
        }
    }
}

/// Removes the least recently used entries of `lists` that are charged `bytes` together. Returns whether any
/// was removed.
async fn evict(
    store: &dyn Store,
    clock: &Clock,
    key: &StorageKey,
    lists: &[(Arc<Uses>, List)],
    bytes: u64,
) -> Result<bool> {
    let mut changes = Changes::default();
    for ((_, list), remove) in lists.iter().zip(least_recently_used(lists, bytes)) {
        if !remove.is_empty() {
            tracing::debug!(list = list.id().0, entries = remove.len(), "evicting entries");
            changes.lists.push(ListChange { list: list.clone(), remove, insert: Vec::new() });
        }
    }
    if changes.lists.is_empty() {
        return Ok(false);
    }
    let op = clock.op_id();
    if store.commit(key, op, &ReadSet::default(), &changes).await? == Commit::OutcomeUnknown {
        return Err(Error::OutcomeUnknown { op });
    }
    for change in changes.lists {
        let Some((uses, _)) = lists.iter().find(|(_, list)| *list == change.list) else { continue };
        let mut state = uses.state();
        change.remove.into_iter().for_each(|entry| state.forget(entry));
    }
    Ok(true)
}

/// For each of `lists`, those of its entries that are to go.
fn least_recently_used(lists: &[(Arc<Uses>, List)], bytes: u64) -> Vec<Vec<EntryId>> {
    let mut by_use = Vec::new();
    for (at, (uses, _)) in lists.iter().enumerate() {
        by_use.extend(uses.state().entries.iter().map(|(entry, known)| (known.last_use, at, *entry, known.charge)));
    }
    by_use.sort_unstable();
    let mut remove = vec![Vec::new(); lists.len()];
    let mut freed = 0_u64;
    for (_, at, entry, charge) in by_use {
        if freed >= bytes {
            break;
        }
        freed = freed.saturating_add(charge);
        remove[at].push(entry);
    }
    remove
}

impl State {
    fn take_in(&mut self, found: &Candidate, last_use: impl Fn(u64) -> LastUse) {
        self.seen = Some(found.id);
        if found.entry.is_pinned() {
            return;
        }
        let ms = found.uses.last_used_ms().unwrap_or_default().max(found.stored_at_ms);
        let known = Known { charge: found.usage().padded, last_use: last_use(ms) };
        self.total += known.charge;
        self.entries.insert(found.id, known);
    }

    fn forget(&mut self, entry: EntryId) {
        if let Some(known) = self.entries.remove(&entry) {
            self.total = self.total.saturating_sub(known.charge);
        }
    }
}
