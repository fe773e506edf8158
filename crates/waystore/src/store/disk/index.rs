//! What there is, in memory: names, lists, and where in the log each entry is.
//!
//! Filled by replay and by every commit, with the same [`Step`]s. Knows no file: an entry's place
//! is handed out, not read.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use hashbrown::{HashMap, HashSet};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::slot::Slot;
use crate::{
    CacheName, Place, StorageKey,
    spec::url_key::{without_fragment, without_query},
    store::{EntryId, Ledger, List, ListHold, ListId, Names, UrlMatch, Usage, rename},
};

/// Names, lists and entries.
#[derive(Debug)]
pub(super) struct Index {
    /// Random, so that nobody can choose URLs that fall together.
    seed: u64,
    places: HashMap<Place, Names>,
    lists: HashMap<ListId, Entries>,
    /// Lists that are gone: one record of a list's name may come again after it.
    gone: HashSet<ListId>,
    pub(super) ledger: Ledger,
}

/// One list.
#[derive(Debug)]
struct Entries {
    place: Place,
    /// `None`: the list is doomed.
    name: Option<CacheName>,
    hold: Mutex<Weak<Hold>>,
    /// The sum over the slots.
    usage: Usage,
    slots: BTreeMap<EntryId, Slot>,
    by_url: HashMap<u64, Ids>,
    by_path: HashMap<u64, Ids>,
}

/// One change to the index.
#[derive(Debug)]
pub(super) enum Step {
    Bind { list: ListId, place: Place, name: CacheName },
    Unbind { list: ListId },
    Rename { list: ListId, place: Place, name: CacheName },
    Insert { list: ListId, entry: EntryId, slot: Slot },
    Remove { list: ListId, entries: Vec<EntryId> },
}

/// Hashes of a URL: without its fragment, and without its query too.
#[derive(Debug, Clone, Copy)]
pub(super) struct UrlHashes {
    url: u64,
    path: u64,
}

impl Index {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, places: HashMap::new(), lists: HashMap::new(), gone: HashSet::new(), ledger: Ledger::default() }
    }

    /// Applies one change. Returns whether it named a list that is known, now or formerly.
    pub(super) fn apply(&mut self, step: Step) -> bool {
        match step {
            Step::Bind { list, place, name } => {
                if !self.gone.contains(&list) && !self.lists.contains_key(&list) {
                    // Bound already: the record that took the name away was lost to damage.
                    if let Some(before) = self.list(&place, &name) {
                        self.unbind(before);
                    }
                    self.ledger.charge(&place.key, Usage::of_name(&name));
                    self.places.entry(place.clone()).or_default().insert(name.clone(), list);
                    self.lists.insert(list, Entries::new(place, name));
                }
                true
            }
            Step::Unbind { list } => {
                self.unbind(list);
                true
            }
            // Where the record of the list's first name was lost, this one says as much.
            Step::Rename { list, place, name } if !self.lists.contains_key(&list) => {
                self.apply(Step::Bind { list, place, name })
            }
            Step::Rename { list, name, .. } => {
                self.rename(list, &name);
                true
            }
            Step::Insert { list, entry, slot } => match self.lists.get_mut(&list) {
                Some(entries) => {
                    let charged = entries.insert(entry, slot);
                    self.ledger.charge(&entries.place.key, charged);
                    true
                }
                None => self.gone.contains(&list),
            },
            Step::Remove { list, entries: removed } => {
                if let Some(entries) = self.lists.get_mut(&list) {
                    let freed = removed.into_iter().map(|entry| entries.remove(entry)).sum();
                    self.ledger.discharge(&entries.place.key, freed);
                }
                true
            }
        }
    }

    fn rename(&mut self, list: ListId, name: &CacheName) {
        let Some(entries) = self.lists.get_mut(&list) else { return };
        let Some(from) = entries.name.replace(name.clone()) else {
            entries.name = None;
            return;
        };
        self.ledger.discharge(&entries.place.key, Usage::of_name(&from));
        self.ledger.charge(&entries.place.key, Usage::of_name(name));
        let displaced = self.places.get_mut(&entries.place).and_then(|names| rename(names, &from, name));
        let Some(displaced) = displaced else { return };
        if let Some(entries) = self.lists.get_mut(&displaced) {
            entries.name = None;
            self.ledger.discharge(&entries.place.key, Usage::of_name(name));
        }
        self.unbind(displaced);
    }

    fn unbind(&mut self, list: ListId) {
        self.gone.insert(list);
        let Some(entries) = self.lists.get_mut(&list) else { return };
        if let Some(name) = entries.name.take()
            && let Some(names) = self.places.get_mut(&entries.place)
        {
            names.shift_remove(&name);
            self.ledger.discharge(&entries.place.key, Usage::of_name(&name));
            if names.is_empty() {
                self.places.remove(&entries.place);
            }
        }
        self.free_if_unheld(list);
    }

    /// Frees a doomed list that nobody holds.
    fn free_if_unheld(&mut self, list: ListId) {
        let Some(entries) = self.lists.get(&list) else { return };
        let held = entries.hold.lock().unwrap_or_else(PoisonError::into_inner).strong_count() > 0;
        if entries.name.is_none() && !held {
            self.ledger.discharge(&entries.place.key, entries.usage);
            self.lists.remove(&list);
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
        Some(&self.lists.get(&list)?.place)
    }

    /// A handle on a list. `home` is where the hold finds the index when it is dropped.
    pub(super) fn hold(&self, list: ListId, home: &Weak<dyn Holder>) -> Option<List> {
        let mut hold = self.lists.get(&list)?.hold.lock().unwrap_or_else(PoisonError::into_inner);
        let held = hold.upgrade().unwrap_or_else(|| Arc::new(Hold { list, home: Weak::clone(home) }));
        *hold = Arc::downgrade(&held);
        Some(List::new(held))
    }

    /// Called when the last handle on `list` is gone.
    pub(super) fn released(&mut self, list: ListId) {
        self.free_if_unheld(list);
    }

    pub(super) fn hashes(&self, url: &str) -> UrlHashes {
        let hash = |part: &str| xxh3_64_with_seed(part.as_bytes(), self.seed);
        UrlHashes { url: hash(without_fragment(url)), path: hash(without_query(url)) }
    }

    /// The entries of `list` that a search by `url` may find, oldest first.
    pub(super) fn find(&self, list: ListId, url: UrlMatch<'_>) -> Vec<(EntryId, &Slot)> {
        let Some(entries) = self.lists.get(&list) else { return Vec::new() };
        let by_hash = |map: &'_ HashMap<u64, Ids>, part: &str| {
            let ids = map.get(&xxh3_64_with_seed(part.as_bytes(), self.seed)).map_or(&[][..], Ids::as_slice);
            ids.to_vec()
        };
        let ids = match url {
            UrlMatch::Exact(url) => by_hash(&entries.by_url, url),
            UrlMatch::WithoutQuery(url) => by_hash(&entries.by_path, url),
            UrlMatch::Any => return entries.live(..).collect(),
        };
        ids.into_iter()
            .filter_map(|id| Some((id, entries.slots.get(&id)?)))
            .filter(|(_, slot)| slot.is_whole())
            .collect()
    }

    /// The first `limit` entries of `list` after `after`.
    pub(super) fn page(&self, list: ListId, after: Option<EntryId>, limit: usize) -> Vec<(EntryId, &Slot)> {
        let start = after.map_or(EntryId(0), |after| EntryId(after.0.saturating_add(1)));
        self.lists.get(&list).map_or_else(Vec::new, |entries| entries.live(start..).take(limit).collect())
    }

    /// What an entry is charged, where it is there.
    pub(super) fn usage_of(&self, list: ListId, entry: EntryId) -> Usage {
        self.lists.get(&list).and_then(|entries| entries.slots.get(&entry)).map(Slot::usage).unwrap_or_default()
    }

    pub(super) fn contains(&self, list: ListId, entry: EntryId) -> bool {
        self.lists.get(&list).is_some_and(|entries| entries.slots.contains_key(&entry))
    }

    /// Every entry there is.
    pub(super) fn all(&self) -> impl Iterator<Item = (ListId, EntryId, &Slot)> {
        self.lists.iter().flat_map(|(list, entries)| entries.slots.iter().map(|(id, slot)| (*list, *id, slot)))
    }
}

impl Entries {
    fn new(place: Place, name: CacheName) -> Self {
        Self {
            place,
            name: Some(name),
            hold: Mutex::new(Weak::new()),
            usage: Usage::default(),
            slots: BTreeMap::new(),
            by_url: HashMap::new(),
            by_path: HashMap::new(),
        }
    }

    /// Takes an entry in, and returns what it is charged.
    fn insert(&mut self, entry: EntryId, slot: Slot) -> Usage {
        let (hashes, mut charged) = (slot.hashes, slot.usage());
        self.usage += charged;
        if let Some(before) = self.slots.insert(entry, slot) {
            self.usage -= before.usage();
            charged -= before.usage();
        } else {
            self.by_url.entry(hashes.url).and_modify(|ids| ids.push(entry)).or_insert(Ids::One(entry));
            self.by_path.entry(hashes.path).and_modify(|ids| ids.push(entry)).or_insert(Ids::One(entry));
        }
        charged
    }

    /// Takes an entry out, and returns what it was charged.
    fn remove(&mut self, entry: EntryId) -> Usage {
        let Some(slot) = self.slots.remove(&entry) else { return Usage::default() };
        self.usage -= slot.usage();
        for (map, hash) in [(&mut self.by_url, slot.hashes.url), (&mut self.by_path, slot.hashes.path)] {
            if let Some(ids) = map.get_mut(&hash)
                && ids.remove(entry)
            {
                map.remove(&hash);
            }
        }
        slot.usage()
    }

    fn live(&self, range: impl std::ops::RangeBounds<EntryId>) -> impl Iterator<Item = (EntryId, &Slot)> {
        self.slots.range(range).map(|(id, slot)| (*id, slot)).filter(|(_, slot)| slot.is_whole())
    }
}

/// The entries under one hash: nearly always one.
#[derive(Debug)]
enum Ids {
    One(EntryId),
    Many(Vec<EntryId>),
}

impl Ids {
    fn as_slice(&self) -> &[EntryId] {
        match self {
            Self::One(id) => std::slice::from_ref(id),
            Self::Many(ids) => ids,
        }
    }

    fn push(&mut self, id: EntryId) {
        match self {
            Self::One(first) => *self = Self::Many(vec![*first, id]),
            Self::Many(ids) => ids.push(id),
        }
    }

    /// Takes `id` out; returns whether none is left.
    fn remove(&mut self, id: EntryId) -> bool {
        match self {
            Self::One(one) => *one == id,
            Self::Many(ids) => {
                ids.retain(|other| *other != id);
                ids.is_empty()
            }
        }
    }
}

/// Whom a hold tells that it is gone.
pub(super) trait Holder: Send + Sync {
    /// The last handle on `list` is gone.
    fn release(&self, list: ListId);
}

/// What keeps a doomed list alive.
pub(super) struct Hold {
    list: ListId,
    home: Weak<dyn Holder>,
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hold({})", self.list.0)
    }
}

impl ListHold for Hold {
    fn id(&self) -> ListId {
        self.list
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(home) = self.home.upgrade() {
            home.release(self.list);
        }
    }
}
