//! A store in memory: for tests, for scripts without a data directory, and to show the contract.
//!
//! Everything under one lock; nothing survives the process.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};

use super::{
    BodyWriter, Candidate, CandidateBody, Changes, Commit, Entry, EntryId, Growth, Ledger, List, ListHold, ListId,
    NameChange, Names, NewBody, NewEntry, OpId, Read, ReadSet, Seen, Store, StoredBody, UrlMatch, Usage, Uses,
    WrittenBody, check_names, rename,
};
use crate::{
    BodyError, CacheName, Clock, Error, Limits, Place, Result, StorageKey,
    spec::url_key::{without_fragment, without_query},
};

/// A [`Store`] in memory.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    clock: Arc<Clock>,
}

struct Shared(Mutex<State>);

struct State {
    places: HashMap<Place, Names>,
    lists: HashMap<ListId, ListState>,
    last_id: u64,
    ledger: Ledger,
}

struct ListState {
    place: Place,
    usage: Usage,
    entries: BTreeMap<EntryId, Kept>,
    by_url: HashMap<String, Vec<EntryId>>,
    by_url_without_query: HashMap<String, Vec<EntryId>>,
    /// Handles given out and not dropped yet.
    handles: usize,
    doomed: bool,
}

struct Kept {
    stored_at_ms: u64,
    entry: Entry,
    body: CandidateBody,
    uses: Uses,
}

/// Without what is stored.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lists", self.lock().lists.len())
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new(clock: Arc<Clock>) -> Self {
        let state = State { places: HashMap::new(), lists: HashMap::new(), last_id: 0, ledger: Ledger::new(None) };
        Self { shared: Arc::new(Shared(Mutex::new(state))), clock }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn storage_keys(&self) -> Result<Vec<StorageKey>> {
        let state = self.shared.lock();
        let bound = state.places.iter().filter(|(_, names)| !names.is_empty());
        let mut keys: Vec<_> = bound.map(|(place, _)| place.key.clone()).collect();
        keys.sort();
        keys.dedup();
        Ok(keys)
    }

    async fn names(&self, place: &Place) -> Result<Vec<(CacheName, List)>> {
        let mut state = self.shared.lock();
        let bound: Vec<_> =
            state.places.get(place).into_iter().flatten().map(|(name, id)| (name.clone(), *id)).collect();
        Ok(bound.into_iter().map(|(name, id)| (name, self.shared.hand_out(&mut state, id))).collect())
    }

    async fn list(&self, place: &Place, name: &CacheName) -> Result<Option<List>> {
        let mut state = self.shared.lock();
        let id = state.places.get(place).and_then(|names| names.get(name)).copied();
        Ok(id.map(|id| self.shared.hand_out(&mut state, id)))
    }

    async fn candidates(&self, reads: &[Read<'_>]) -> Result<(ReadSet, Vec<Candidate>)> {
        let state = self.shared.lock();
        let mut seen = Vec::with_capacity(reads.len());
        let (mut found, mut given) = (Vec::new(), HashSet::new());
        for read in reads {
            let list = state.lists.get(&read.list.id()).ok_or_else(unknown_list)?;
            let entries = list.find(read.url);
            for id in &entries {
                if reads.len() == 1 || given.insert(*id) {
                    found.extend(list.candidate(read.list.id(), *id));
                }
            }
            seen.push(Seen { list: read.list.id(), url: read.url.into(), entries });
        }
        Ok((ReadSet(seen), found))
    }

    async fn page(&self, list: &List, after: Option<EntryId>, limit: usize) -> Result<Vec<Candidate>> {
        let state = self.shared.lock();
        let kept = state.lists.get(&list.id()).ok_or_else(unknown_list)?;
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let ids = kept.entries.range((start, Bound::Unbounded)).map(|(id, _)| *id).take(limit);
        Ok(ids.filter_map(|id| kept.candidate(list.id(), id)).collect())
    }

    async fn commit(&self, key: &StorageKey, _: OpId, read: &ReadSet, changes: &Changes) -> Result<Commit> {
        check_names(&changes.names)?;
        let mut state = self.shared.lock();
        let unchanged = |seen: &Seen| {
            let now = state.lists.get(&seen.list).map(|list| list.find(seen.url.as_match()));
            now.as_ref() == Some(&seen.entries)
        };
        let bound = |change: &NameChange| match change {
            NameChange::Bind(..) => true,
            NameChange::Unbind(place, name) | NameChange::Rename { place, from: name, .. } => {
                state.places.get(place).is_some_and(|names| names.contains_key(name))
            }
            NameChange::Expect { place, names } => {
                let bound = state.places.get(place).into_iter().flatten();
                bound.map(|(name, list)| (name, *list)).eq(names.iter().map(|(name, list)| (name, *list)))
            }
        };
        if !read.0.iter().all(unchanged) || !changes.names.iter().all(bound) {
            return Ok(Commit::Stale);
        }
        state.ledger.check(key, &state.growth(changes))?;
        // Everything that can fail comes before anything is changed: whole or not at all.
        if !changes.lists.iter().all(|change| state.lists.contains_key(&change.list.id())) {
            return Err(unknown_list());
        }
        let bodies = changes.lists.iter().flat_map(|change| &change.insert).map(kept_body);
        let mut bodies = bodies.collect::<Result<Vec<_>>>()?.into_iter();
        for change in &changes.names {
            state.change_names(change);
        }
        let stored_at_ms = self.clock.now_ms();
        for change in &changes.lists {
            for (new, body) in change.insert.iter().zip(&mut bodies) {
                let id = EntryId(state.next_id());
                let kept = Kept { stored_at_ms, entry: new.entry.clone(), body, uses: Uses::counted() };
                state.insert(change.list.id(), id, kept);
            }
            change.remove.iter().for_each(|id| state.remove(change.list.id(), *id));
        }
        Ok(Commit::Applied)
    }

    fn write_body(&self, _: &StorageKey) -> Box<dyn BodyWriter> {
        Box::new(MemoryBody::default())
    }

    fn written(&self, body: &WrittenBody) -> Result<Arc<dyn StoredBody>> {
        Ok(memory_body(body)?)
    }

    async fn usage(&self, key: Option<&StorageKey>) -> Result<Usage> {
        Ok(self.shared.lock().ledger.usage(key))
    }

    async fn bucket_usage(&self, key: &StorageKey, bucket: &str) -> Result<Usage> {
        Ok(self.shared.lock().ledger.bucket_usage(key, bucket))
    }

    fn set_limits(&self, limits: Limits) {
        self.shared.lock().ledger.set_limits(limits);
    }

    fn set_bucket_limit(&self, key: &StorageKey, bucket: &str, bytes: Option<u64>) {
        self.shared.lock().ledger.set_bucket_limit(key, bucket, bytes);
    }

    fn limits(&self) -> Limits {
        self.shared.lock().ledger.limits().clone()
    }

    async fn sync(&self) -> Result<()> {
        Ok(())
    }
}

fn unknown_list() -> Error {
    Error::unavailable("the list is of another store")
}

fn kept_body(new: &NewEntry) -> Result<CandidateBody> {
    Ok(match &new.body {
        NewBody::Null => CandidateBody::Null,
        NewBody::Inline(bytes) => CandidateBody::Inline(bytes.clone()),
        NewBody::Written(written) => CandidateBody::Stored(memory_body(written)?),
    })
}

fn memory_body(written: &WrittenBody) -> Result<Arc<MemoryBody>> {
    written.hold().ok_or_else(|| Error::unavailable("the body is of another store"))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_out(self: &Arc<Self>, state: &mut State, id: ListId) -> List {
        if let Some(list) = state.lists.get_mut(&id) {
            list.handles += 1;
        }
        List::new(Arc::new(Hold { id, shared: Arc::downgrade(self) }))
    }
}

impl State {
    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn change_names(&mut self, change: &NameChange) {
        match change {
            NameChange::Bind(place, name) => {
                let id = ListId(self.next_id());
                let names = self.places.entry(place.clone()).or_default();
                if !names.contains_key(name) {
                    names.insert(name.clone(), id);
                    self.lists.insert(id, ListState::new(place.clone()));
                    self.ledger.charge(place, Usage::of_name(name));
                }
            }
            NameChange::Unbind(place, name) => {
                let unbound = self.places.get_mut(place).and_then(|names| names.shift_remove(name));
                self.ledger.discharge(place, Usage::of_name(name));
                self.doom(unbound);
            }
            NameChange::Rename { place, from, to } => {
                let displaced = self.places.get_mut(place).and_then(|names| rename(names, from, to));
                self.ledger.discharge(place, Usage::of_name(from));
                if displaced.is_none() {
                    self.ledger.charge(place, Usage::of_name(to));
                }
                self.doom(displaced);
            }
            NameChange::Expect { .. } => {}
        }
    }

    fn doom(&mut self, unbound: Option<ListId>) {
        let Some(id) = unbound else { return };
        if let Some(list) = self.lists.get_mut(&id) {
            list.doomed = true;
        }
        self.free_if_unused(id);
    }

    fn free_if_unused(&mut self, id: ListId) {
        if self.lists.get(&id).is_some_and(|list| list.doomed && list.handles == 0)
            && let Some(freed) = self.lists.remove(&id)
        {
            self.ledger.discharge(&freed.place, freed.usage);
        }
    }

    fn insert(&mut self, list: ListId, id: EntryId, kept: Kept) {
        let Some(list) = self.lists.get_mut(&list) else { return };
        let usage = kept.usage();
        list.insert(id, kept);
        list.usage += usage;
        self.ledger.charge(&list.place, usage);
    }

    fn remove(&mut self, list: ListId, id: EntryId) {
        let Some(list) = self.lists.get_mut(&list) else { return };
        let Some(kept) = list.remove(id) else { return };
        list.usage -= kept.usage();
        self.ledger.discharge(&list.place, kept.usage());
    }

    /// What `changes` add and what they take away.
    fn growth(&self, changes: &Changes) -> Growth {
        let mut growth = Growth::default();
        let bound = |place, name| self.places.get(place).is_some_and(|names: &Names| names.contains_key(name));
        for change in &changes.names {
            match change {
                NameChange::Bind(place, name) if !bound(place, name) => growth.grow(place, Usage::of_name(name)),
                NameChange::Bind(..) | NameChange::Expect { .. } => {}
                NameChange::Unbind(place, name) => growth.shrink(place, Usage::of_name(name)),
                NameChange::Rename { place, from, to } => {
                    growth.shrink(place, Usage::of_name(from));
                    if from == to || !bound(place, to) {
                        growth.grow(place, Usage::of_name(to));
                    }
                }
            }
        }
        for change in &changes.lists {
            let Some(list) = self.lists.get(&change.list.id()) else { continue };
            growth.grow(&list.place, change.insert.iter().map(NewEntry::usage).sum());
            let removed = change.remove.iter().filter_map(|id| list.entries.get(id));
            growth.shrink(&list.place, removed.map(Kept::usage).sum());
        }
        growth
    }
}

impl Kept {
    fn usage(&self) -> Usage {
        Usage::of_entry(&self.entry, self.body.length())
    }
}

impl ListState {
    fn new(place: Place) -> Self {
        let (by_url, by_url_without_query) = (HashMap::new(), HashMap::new());
        let (entries, usage) = (BTreeMap::new(), Usage::default());
        Self { place, usage, entries, by_url, by_url_without_query, handles: 0, doomed: false }
    }

    fn find(&self, url: UrlMatch<'_>) -> Vec<EntryId> {
        match url {
            UrlMatch::Exact(url) => self.by_url.get(url).cloned().unwrap_or_default(),
            UrlMatch::WithoutQuery(url) => self.by_url_without_query.get(url).cloned().unwrap_or_default(),
            UrlMatch::Any => self.entries.keys().copied().collect(),
        }
    }

    fn candidate(&self, list: ListId, id: EntryId) -> Option<Candidate> {
        let Kept { stored_at_ms, entry, body, uses } = self.entries.get(&id)?;
        let (entry, body, uses) = (entry.clone(), body.clone(), uses.clone());
        Some(Candidate { id, list, stored_at_ms: *stored_at_ms, entry, body, uses })
    }

    fn insert(&mut self, id: EntryId, kept: Kept) {
        let url = kept.entry.url();
        self.by_url.entry(without_fragment(url).to_owned()).or_default().push(id);
        self.by_url_without_query.entry(without_query(url).to_owned()).or_default().push(id);
        self.entries.insert(id, kept);
    }

    fn remove(&mut self, id: EntryId) -> Option<Kept> {
        let kept = self.entries.remove(&id)?;
        forget(&mut self.by_url, without_fragment(kept.entry.url()), id);
        forget(&mut self.by_url_without_query, without_query(kept.entry.url()), id);
        Some(kept)
    }
}

fn forget(index: &mut HashMap<String, Vec<EntryId>>, key: &str, id: EntryId) {
    if let Some(ids) = index.get_mut(key) {
        ids.retain(|kept| *kept != id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

struct Hold {
    id: ListId,
    shared: Weak<Shared>,
}

impl ListHold for Hold {
    fn id(&self) -> ListId {
        self.id
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else { return };
        let mut state = shared.lock();
        if let Some(list) = state.lists.get_mut(&self.id) {
            list.handles -= 1;
        }
        state.free_if_unused(self.id);
    }
}

/// A body in memory, being written and later read: its chunks, with where each ends.
#[derive(Debug, Default, Clone)]
struct MemoryBody {
    chunks: Vec<(u64, Bytes)>,
}

impl MemoryBody {
    fn end(&self) -> u64 {
        self.chunks.last().map_or(0, |(end, _)| *end)
    }
}

#[async_trait]
impl BodyWriter for MemoryBody {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        if !chunk.is_empty() {
            self.chunks.push((self.end() + chunk.len() as u64, chunk));
        }
        Ok(())
    }

    async fn read_back(&mut self, offset: u64) -> Result<Bytes> {
        let index = self.chunks.partition_point(|(end, _)| *end <= offset);
        let Some((end, chunk)) = self.chunks.get(index) else { return Ok(Bytes::new()) };
        let left = usize::try_from(end - offset).unwrap_or(chunk.len()).min(chunk.len());
        let tail = chunk.slice(chunk.len() - left..);
        Ok(tail.slice(..left.min(super::INLINE_BYTES)))
    }

    async fn finish(self: Box<Self>) -> Result<WrittenBody> {
        Ok(WrittenBody::new(self.end(), Arc::new(*self)))
    }
}

impl StoredBody for MemoryBody {
    fn length(&self) -> u64 {
        self.end()
    }

    fn open(self: Arc<Self>) -> BoxStream<'static, Result<Bytes, BodyError>> {
        let chunk = move |index| self.chunks.get(index).map(|(_, chunk): &(u64, Bytes)| (Ok(chunk.clone()), index + 1));
        stream::unfold(0, move |index| std::future::ready(chunk(index))).boxed()
    }
}
