//! What there is, in memory: names, lists, and where in the log each entry is.
//!
//! Filled by replay and by every commit, with the same [`Step`]s. Reads no file: an entry's place
//! is handed out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use hashbrown::{HashMap, HashSet};
use indexmap::IndexMap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    checkpoint::{Checkpoint, ListState, Section, SegmentState, Stored},
    format::{Position, Removed, record_length},
    hold::{Hold, Holder},
    log::Numbers,
    segment::Segment,
    slot::Located,
    slots::{By, Slot, Slots, UrlHashes},
    usage::Usage,
};
use crate::{
    CacheName, Place, StorageKey,
    spec::url_key::{without_fragment, without_query},
    store::{EntryId, List, ListId, UrlMatch},
};

/// Lists that wait to be dropped, at most.
const TRASH: usize = 16;

/// Names, lists and entries.
#[derive(Debug)]
pub(super) struct Index {
    /// Random, so that nobody can choose URLs that fall together.
    seed: u64,
    places: HashMap<Place, IndexMap<CacheName, ListId>>,
    lists: HashMap<ListId, Entries>,
    pub(super) usage: Usage,
    /// While the log is read: lists that are gone, for one of their records may come again.
    gone: Option<HashSet<ListId>>,
    /// Segments from which records were moved to the end of the log.
    moved: BTreeSet<u32>,
    trash: Vec<Entries>,
}

/// One list.
#[derive(Debug, Default)]
struct Entries {
    /// `None`: while the log is read, the record of its name has not come yet.
    place: Option<Place>,
    /// `None`: the list is doomed.
    name: Option<CacheName>,
    hold: Mutex<Weak<Hold>>,
    /// Where the record of its name is, and the bytes of both copies.
    bound: (Position, u64),
    content: Content,
    /// The bytes of its entries, by segment.
    bytes: BTreeMap<u32, u64>,
    /// Of a doomed list: the segments its entries are in, which may be gone from the log.
    kept: HashMap<u32, Arc<Segment>>,
}

/// The entries of a list.
#[derive(Debug)]
enum Content {
    Loaded(Slots),
    /// Nobody used them yet.
    Stored(Section),
}

impl Default for Content {
    fn default() -> Self {
        Self::Loaded(Slots::default())
    }
}

/// One change to the index.
#[derive(Debug)]
pub(super) enum Step {
    /// One of the two records of a name.
    Bind {
        list: ListId,
        place: Place,
        name: CacheName,
        at: Position,
        bytes: u64,
    },
    Unbind {
        list: ListId,
    },
    Insert {
        list: ListId,
        slot: Slot,
    },
    Remove {
        list: ListId,
        entries: Vec<Removed>,
    },
    /// A record in `segment` took away something in the segments of `targets`.
    Removal {
        segment: u32,
        targets: Vec<u32>,
        bytes: u64,
    },
}

impl Index {
    /// An index to be filled by reading the log.
    pub(super) fn new(seed: u64) -> Self {
        let gone = Some(HashSet::new());
        let (places, lists, usage, moved) = (HashMap::new(), HashMap::new(), Usage::default(), BTreeSet::new());
        Self { seed, places, lists, usage, gone, moved, trash: Vec::new() }
    }

    /// The index of a checkpoint, to be filled with what the log has after it.
    pub(super) fn of(checkpoint: &Checkpoint, segments: impl Fn(u32) -> Option<Arc<Segment>>) -> Self {
        let mut index = Self::new(checkpoint.seed);
        for state in &checkpoint.segments {
            if let Some(segment) = segments(state.number) {
                index.usage.restore(&segment, state.live, &state.removals);
            }
            if state.leftover {
                index.moved.insert(state.number);
            }
        }
        for state in &checkpoint.lists {
            let content = match &state.content {
                Stored::Section(section) => Content::Stored(section.clone()),
                Stored::Snapshot(_) => continue,
            };
            let (place, name) = (Some(state.place.clone()), Some(state.name.clone()));
            let (bound, bytes) = (state.bound, state.bytes.clone());
            index.lists.insert(state.list, Entries { place, name, bound, bytes, content, ..Entries::default() });
            index.places.entry(state.place.clone()).or_default().insert(state.name.clone(), state.list);
        }
        index
    }

    /// What a checkpoint of now holds. `to_go` are segments that are there and not needed.
    pub(super) fn checkpoint(&self, at: Position, next: Numbers, to_go: &[u32]) -> Checkpoint {
        let segments = self.usage.iter().map(|(number, used)| SegmentState {
            number,
            leftover: self.moved.contains(&number) || to_go.contains(&number),
            live: used.live,
            removals: used.removals.iter().map(|(target, bytes)| (*target, *bytes)).collect(),
        });
        let lists = self.lists.iter().filter_map(|(list, entries)| entries.state(*list));
        Checkpoint { seed: self.seed, at, next, segments: segments.collect(), lists: lists.collect() }
    }

    /// What a list that is not loaded yet is loaded from.
    pub(super) fn stored(&self, list: ListId) -> Option<&Section> {
        match &self.lists.get(&list)?.content {
            Content::Stored(section) => Some(section),
            Content::Loaded(_) => None,
        }
    }

    /// Loads the lists some of whose bodies are not whole, so that these can be removed.
    pub(super) fn load_where_bodies_are_missing(&mut self) {
        for entries in self.lists.values_mut() {
            if let Content::Stored(section) = &entries.content
                && section.files.iter().any(|file| !file.is_complete())
            {
                entries.slots_mut();
            }
        }
    }

    /// Takes the entries of a list that is not loaded yet.
    pub(super) fn load(&mut self, list: ListId, slots: Slots) {
        if let Some(entries) = self.lists.get_mut(&list).filter(|entries| entries.slots().is_none()) {
            entries.content = Content::Loaded(slots);
        }
    }

    /// Whether a search without the query would have to look at every entry.
    pub(super) fn lacks_paths(&self, list: ListId) -> bool {
        self.lists.get(&list).and_then(Entries::slots).is_some_and(|slots| !slots.has_paths())
    }

    /// Makes searches without the query quick.
    pub(super) fn index_paths(&mut self, list: ListId) {
        if let Some(entries) = self.lists.get_mut(&list) {
            entries.slots_mut().index_paths();
        }
    }

    /// The lists with a name that are not loaded yet and have entries in `segment`.
    pub(super) fn not_loaded(&self, segment: u32) -> Vec<ListId> {
        let wanted = |entries: &Entries| entries.slots().is_none() && entries.bytes.contains_key(&segment);
        self.lists.iter().filter(|(_, entries)| wanted(entries)).map(|(list, _)| *list).collect()
    }

    /// Lists that nobody can reach any more, to be dropped where nobody waits for it.
    pub(super) fn take_trash(&mut self) -> impl Sized + use<> {
        std::mem::take(&mut self.trash)
    }

    /// Applies one change.
    pub(super) fn apply(&mut self, step: Step) {
        match step {
            Step::Bind { list, place, name, at, bytes } => self.bind(list, place, name, at, bytes),
            Step::Unbind { list } => self.unbind(list),
            Step::Insert { list, slot } => self.insert(list, slot),
            Step::Remove { list, entries } => entries.iter().for_each(|removed| self.remove(list, removed.entry)),
            Step::Removal { segment, targets, bytes } => {
                let each = bytes / targets.len().max(1) as u64;
                targets.iter().for_each(|target| self.usage.add_removal(segment, *target, each));
            }
        }
    }

    /// The log is read to its end. Returns the lists whose name was never found, with the number of
    /// their entries; they are not there.
    pub(super) fn settle(&mut self) -> Vec<(ListId, usize)> {
        self.gone = None;
        let nameless = self.lists.extract_if(|_, entries| entries.place.is_none());
        let nameless: Vec<_> = nameless.map(|(list, entries)| (list, entries.len(), entries.bytes)).collect();
        for (_, _, bytes) in &nameless {
            bytes.iter().for_each(|(segment, bytes)| self.usage.take_live(*segment, *bytes));
        }
        self.trash.clear();
        for entries in self.lists.values_mut() {
            if let Content::Loaded(slots) = &mut entries.content {
                slots.settle();
            }
        }
        // Compaction moves names to the end of the log: their order is that of their lists.
        self.places.values_mut().for_each(|names| names.sort_by(|_, one, _, other| one.cmp(other)));
        nameless.into_iter().map(|(list, entries, _)| (list, entries)).collect()
    }

    /// Segments from which records were moved, and in which they are still.
    pub(super) fn moved_from(&self) -> impl Iterator<Item = u32> {
        self.moved.iter().copied()
    }

    /// The segment is not in the log any more, and will not be back.
    pub(super) fn forget_segment(&mut self, segment: u32) {
        self.usage.forget(segment);
        self.moved.remove(&segment);
    }

    fn bind(&mut self, list: ListId, place: Place, name: CacheName, at: Position, bytes: u64) {
        if self.gone.as_ref().is_some_and(|gone| gone.contains(&list)) {
            return;
        }
        let entries = self.lists.entry(list).or_default();
        let (before, known) = entries.bound;
        if before.segment() == at.segment() {
            entries.bound.1 = known + bytes;
        } else {
            if before != Position::default() {
                self.moved.insert(before.segment());
            }
            self.usage.take_live(before.segment(), known);
            entries.bound = (at, bytes);
        }
        self.usage.add_live(at.segment(), bytes);
        if entries.place.is_some() {
            return;
        }
        entries.place = Some(place.clone());
        entries.name = Some(name.clone());
        // Bound already: the record that took the name away was lost to damage.
        match self.list(&place, &name) {
            Some(other) if other > list => self.unbind(list),
            Some(other) => {
                self.unbind(other);
                self.places.entry(place).or_default().insert(name, list);
            }
            None => drop(self.places.entry(place).or_default().insert(name, list)),
        }
    }

    fn unbind(&mut self, list: ListId) {
        if let Some(gone) = &mut self.gone {
            gone.insert(list);
        }
        let Some(entries) = self.lists.get_mut(&list) else { return };
        if let (Some(name), Some(place)) = (entries.name.take(), &entries.place)
            && let Some(names) = self.places.get_mut(place)
            && names.get(&name) == Some(&list)
        {
            names.shift_remove(&name);
            if names.is_empty() {
                self.places.remove(place);
            }
        }
        let (bound, bytes) = std::mem::take(&mut entries.bound);
        self.usage.take_live(bound.segment(), bytes);
        for (segment, bytes) in std::mem::take(&mut entries.bytes) {
            self.usage.take_live(segment, bytes);
            entries.kept.extend(self.usage.segment(segment).map(|kept| (segment, Arc::clone(kept))));
        }
        self.free_if_unheld(list);
    }

    fn insert(&mut self, list: ListId, slot: Slot) {
        let entries = match &self.gone {
            Some(gone) if gone.contains(&list) => return,
            // Its name may come later.
            Some(_) => self.lists.entry(list).or_default(),
            None => match self.lists.get_mut(&list) {
                Some(entries) => entries,
                None => return,
            },
        };
        let (segment, bytes) = (slot.at.segment(), record_bytes(slot.payload_length));
        if entries.is_doomed() {
            entries.kept.extend(self.usage.segment(segment).map(|kept| (segment, Arc::clone(kept))));
            entries.slots_mut().insert(slot);
            return;
        }
        self.usage.add_live(segment, bytes);
        *entries.bytes.entry(segment).or_default() += bytes;
        if let Some(before) = entries.slots_mut().insert(slot) {
            entries.discount(&mut self.usage, &before);
            self.moved.insert(before.at.segment());
        }
    }

    fn remove(&mut self, list: ListId, entry: EntryId) {
        let Some(entries) = self.lists.get_mut(&list) else { return };
        if let Some(slot) = entries.slots_mut().remove(entry)
            && !entries.is_doomed()
        {
            entries.discount(&mut self.usage, &slot);
        }
    }

    /// Frees a doomed list that nobody holds.
    fn free_if_unheld(&mut self, list: ListId) {
        let Some(entries) = self.lists.get(&list) else { return };
        let held = entries.hold.lock().unwrap_or_else(PoisonError::into_inner).strong_count() > 0;
        if entries.name.is_none() && !held {
            // Dropping a long list takes longer than who deletes it should wait.
            if self.trash.len() == TRASH {
                self.trash.clear();
            }
            self.trash.extend(self.lists.remove(&list));
        }
    }

    pub(super) fn storage_keys(&self) -> Vec<StorageKey> {
        let keys: HashSet<_> = self.places.keys().map(|place| place.key.clone()).collect();
        keys.into_iter().collect()
    }

    pub(super) fn names(&self, place: &Place) -> impl Iterator<Item = (&CacheName, ListId)> {
        self.places.get(place).into_iter().flatten().map(|(name, list)| (name, *list))
    }

    pub(super) fn list(&self, place: &Place, name: &CacheName) -> Option<ListId> {
        self.places.get(place)?.get(name).copied()
    }

    /// The place a list is in, doomed or not.
    pub(super) fn place_of(&self, list: ListId) -> Option<&Place> {
        self.lists.get(&list)?.place.as_ref()
    }

    /// The name of a list, and where the record of it is. `None`: it has none.
    pub(super) fn bound(&self, list: ListId) -> Option<(&Place, &CacheName, Position)> {
        let entries = self.lists.get(&list)?;
        Some((entries.place.as_ref()?, entries.name.as_ref()?, entries.bound.0))
    }

    /// The lists whose name's record is in `segment`.
    pub(super) fn bound_in(&self, segment: u32) -> impl Iterator<Item = (ListId, &Place, &CacheName)> {
        let bound = move |(list, entries): (&ListId, &'_ Entries)| {
            (entries.name.is_some() && entries.bound.0.segment() == segment).then_some(*list)
        };
        let lists = self.lists.iter().filter_map(bound);
        lists.filter_map(|list| self.bound(list).map(|(place, name, _)| (list, place, name)))
    }

    /// A handle on a list. `home` is where the hold finds the index when it is dropped.
    pub(super) fn hold(&self, list: ListId, home: &Weak<dyn Holder>) -> Option<List> {
        let mut hold = self.lists.get(&list)?.hold.lock().unwrap_or_else(PoisonError::into_inner);
        let held = hold.upgrade().unwrap_or_else(|| Arc::new(Hold::new(list, home)));
        *hold = Arc::downgrade(&held);
        Some(List::new(held))
    }

    /// Called when the last handle on `list` is gone.
    pub(super) fn released(&mut self, list: ListId) {
        self.free_if_unheld(list);
    }

    pub(super) fn hashes(&self, url: &str) -> UrlHashes {
        UrlHashes { url: self.hash(without_fragment(url)), path: self.hash(without_query(url)) }
    }

    fn hash(&self, part: &str) -> u32 {
        xxh3_64_with_seed(part.as_bytes(), self.seed) as u32
    }

    /// The entries of `list` that a search by `url` may find, oldest first.
    pub(super) fn find(&self, list: ListId, url: UrlMatch<'_>) -> impl Iterator<Item = &Slot> {
        let slots = self.lists.get(&list).and_then(Entries::slots);
        let by = match url {
            UrlMatch::Exact(url) => Some(By::Url(self.hash(url))),
            UrlMatch::WithoutQuery(url) => Some(By::Path(self.hash(url))),
            UrlMatch::Any => None,
        };
        let some = slots.zip(by).map(|(slots, by)| slots.find(by));
        let all = slots.filter(|_| by.is_none()).map(|slots| slots.after(None));
        some.into_iter().flatten().chain(all.into_iter().flatten()).filter(|slot| slot.is_whole())
    }

    /// The first `limit` entries of `list` after `after`.
    pub(super) fn page(&self, list: ListId, after: Option<EntryId>, limit: usize) -> impl Iterator<Item = &Slot> {
        let slots = self.lists.get(&list).into_iter().flat_map(move |entries| entries.after(after));
        slots.filter(|slot| slot.is_whole()).take(limit)
    }

    pub(super) fn get(&self, list: ListId, entry: EntryId) -> Option<&Slot> {
        self.lists.get(&list)?.slots()?.get(entry)
    }

    /// The entry of a list with a name whose record is at `at`.
    pub(super) fn slot_at(&self, list: ListId, at: Position, entry: u64) -> Option<&Slot> {
        let entries = self.lists.get(&list).filter(|entries| !entries.is_doomed())?;
        entries.slots()?.get(EntryId(entry)).filter(|slot| slot.at == at)
    }

    /// What is needed to read an entry of `list`.
    pub(super) fn locate(&self, list: ListId, slot: &Slot) -> Option<Located> {
        let kept = || self.lists.get(&list)?.kept.get(&slot.at.segment());
        let segment = self.usage.segment(slot.at.segment()).or_else(kept)?;
        Some(Located { list, entry: slot.entry, segment: Arc::clone(segment), at: slot.at, file: slot.file.clone() })
    }

    /// Every entry of the lists that are loaded.
    pub(super) fn all(&self) -> impl Iterator<Item = (ListId, &Slot)> {
        self.lists.iter().flat_map(|(list, entries)| entries.after(None).map(|slot| (*list, slot)))
    }

    /// The entries of lists with a name that are in `segment`.
    pub(super) fn in_segment(&self, segment: u32) -> impl Iterator<Item = (ListId, &Slot)> {
        let lists = self.lists.iter().filter(move |(_, entries)| entries.bytes.contains_key(&segment));
        let slots = lists.flat_map(|(list, entries)| entries.after(None).map(|slot| (*list, slot)));
        slots.filter(move |(_, slot)| slot.at.segment() == segment)
    }
}

impl Entries {
    fn slots(&self) -> Option<&Slots> {
        match &self.content {
            Content::Loaded(slots) => Some(slots),
            Content::Stored(_) => None,
        }
    }

    fn slots_mut(&mut self) -> &mut Slots {
        if let Content::Stored(section) = &self.content {
            // While the log is read, the checkpoint was verified just before; later, lists are loaded before they are changed.
            self.content = Content::Loaded(section.load().unwrap_or_default());
        }
        match &mut self.content {
            Content::Loaded(slots) => slots,
            Content::Stored(_) => unreachable!("it was loaded above"),
        }
    }

    fn after(&self, after: Option<EntryId>) -> impl Iterator<Item = &Slot> {
        self.slots().into_iter().flat_map(move |slots| slots.after(after))
    }

    fn len(&self) -> usize {
        match &self.content {
            Content::Loaded(slots) => slots.len(),
            Content::Stored(section) => section.len(),
        }
    }

    /// What a checkpoint holds of it. `None`: it has no name.
    fn state(&self, list: ListId) -> Option<ListState> {
        let content = match &self.content {
            Content::Loaded(slots) => Stored::Snapshot(slots.snapshot()),
            Content::Stored(section) => Stored::Section(section.clone()),
        };
        let (place, name) = (self.place.clone()?, self.name.clone()?);
        Some(ListState { list, place, name, bound: self.bound, bytes: self.bytes.clone(), content })
    }

    fn is_doomed(&self) -> bool {
        self.place.is_some() && self.name.is_none()
    }

    fn discount(&mut self, usage: &mut Usage, slot: &Slot) {
        let (segment, bytes) = (slot.at.segment(), record_bytes(slot.payload_length));
        usage.take_live(segment, bytes);
        if let Some(left) = self.bytes.get_mut(&segment) {
            *left = left.saturating_sub(bytes);
            if *left == 0 {
                self.bytes.remove(&segment);
            }
        }
    }
}

/// The bytes of a record in the log.
fn record_bytes(payload_length: u32) -> u64 {
    record_length(payload_length as usize) as u64
}
