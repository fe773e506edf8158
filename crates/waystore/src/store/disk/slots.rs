//! The entries of one list in memory: in order, and by two hashes of their URL.
//!
//! A slot says where in the log an entry's record is. Slots stand in the order of their entries'
//! numbers; those with the same hash are chained from the youngest to the oldest. Knows no file and
//! no name.

use std::{collections::BTreeMap, sync::Arc};

use hashbrown::{HashTable, hash_table::Entry};

use super::{
    bodies::BodyFile,
    format::{FILE_REFERENCE, INSERT_FIXED, Position, Removed},
};
use crate::store::{EntryId, Usage};

/// Slots that are copied together when a list changes while it is being written to a checkpoint.
const CHUNK: usize = 1024;
/// The end of a chain.
const NONE: u32 = u32::MAX;
/// Gone slots that are kept at most beside as many live ones.
const GONE: usize = 1024;

/// The place of one entry in the log.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) entry: EntryId,
    /// Where its record is; the default where the entry is gone.
    pub(super) at: Position,
    pub(super) payload_length: u32,
    /// The entry's padding, of which its charge is a part.
    pub(super) padding: u8,
    pub(super) hashes: UrlHashes,
    /// The body's file, where it has one.
    pub(super) file: Option<Arc<BodyFile>>,
    by_url: Link,
    by_path: Link,
}

/// Hashes of a URL: without its fragment, and without its query too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UrlHashes {
    pub(super) url: u32,
    pub(super) path: u32,
}

/// A place in a chain of slots with the same hash.
#[derive(Debug, Clone, Copy)]
struct Link {
    older: u32,
    younger: u32,
}

impl Slot {
    pub(super) fn new(
        entry: EntryId,
        at: Position,
        payload_length: u32,
        padding: u8,
        hashes: UrlHashes,
        file: Option<Arc<BodyFile>>,
    ) -> Self {
        let link = Link { older: NONE, younger: NONE };
        Self { entry, at, payload_length, padding, hashes, file, by_url: link, by_path: link }
    }

    /// What the entry is charged; told from the lengths alone.
    pub(super) fn usage(&self) -> Usage {
        let (rest, body) = match &self.file {
            Some(file) => (INSERT_FIXED + FILE_REFERENCE, file.length),
            None => (INSERT_FIXED, 0),
        };
        // With an inline body, the payload is the entry and the body: both are charged alike.
        Usage::of_parts(u64::from(self.payload_length).saturating_sub(rest as u64), body, self.padding)
    }

    /// Whether nothing is known to be wrong with the body's file.
    pub(super) fn is_whole(&self) -> bool {
        self.file.as_ref().is_none_or(|file| !file.is_damaged())
    }

    fn unlinked(self) -> Self {
        Self::new(self.entry, self.at, self.payload_length, self.padding, self.hashes, self.file)
    }

    /// What a removal of it says.
    pub(super) fn removed(&self) -> Removed {
        Removed { entry: self.entry, at: self.at }
    }

    fn is_there(&self) -> bool {
        self.at != Position::default()
    }
}

/// By which of the two hashes.
#[derive(Debug, Clone, Copy)]
pub(super) enum By {
    Url(u32),
    Path(u32),
}

impl By {
    fn hash(self) -> u32 {
        match self {
            Self::Url(hash) | Self::Path(hash) => hash,
        }
    }

    fn of(self, slot: &Slot) -> u32 {
        match self {
            Self::Url(_) => slot.hashes.url,
            Self::Path(_) => slot.hashes.path,
        }
    }

    fn link(self, slot: &Slot) -> Link {
        match self {
            Self::Url(_) => slot.by_url,
            Self::Path(_) => slot.by_path,
        }
    }

    fn link_mut(self, slot: &mut Slot) -> &mut Link {
        match self {
            Self::Url(_) => &mut slot.by_url,
            Self::Path(_) => &mut slot.by_path,
        }
    }
}

/// All slots of a list.
#[derive(Debug, Default)]
pub(super) struct Slots {
    chunks: Chunks,
    /// The youngest slot of each hash.
    by_url: HashTable<u32>,
    /// Made when it is first asked for: most lists are never searched so.
    by_path: Option<HashTable<u32>>,
    live: usize,
    /// Slots whose turn was earlier, while the log is read: compaction moves records to its end.
    late: BTreeMap<EntryId, Slot>,
}

impl Slots {
    /// Makes the list of `slots`, which are in order.
    pub(super) fn of(slots: impl ExactSizeIterator<Item = Slot>) -> Self {
        let mut made = Self { by_url: HashTable::with_capacity(slots.len()), ..Self::default() };
        made.live = slots.len();
        made.chunks = Chunks::of(slots);
        for index in 0..made.chunks.len() as u32 {
            made.chain(By::Url(made.chunks.get(index).hashes.url), index);
        }
        made
    }

    /// Whether [`find`](Self::find) by path is quick.
    pub(super) fn has_paths(&self) -> bool {
        self.by_path.is_some()
    }

    /// Makes [`find`](Self::find) by path quick.
    pub(super) fn index_paths(&mut self) {
        if self.by_path.is_some() {
            return;
        }
        self.by_path = Some(HashTable::with_capacity(self.live));
        for index in 0..self.chunks.len() as u32 {
            let slot = self.chunks.get(index);
            if slot.is_there() {
                self.chain(By::Path(slot.hashes.path), index);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.live + self.late.len()
    }

    /// Adds a slot, or moves the entry it is of. Returns what there was before.
    pub(super) fn insert(&mut self, slot: Slot) -> Option<Slot> {
        if let Some(known) = self.get_mut(slot.entry) {
            let before = known.clone();
            (known.at, known.payload_length, known.padding) = (slot.at, slot.payload_length, slot.padding);
            known.file = slot.file;
            return Some(before);
        }
        if self.chunks.last().is_some_and(|last| last.entry > slot.entry) {
            self.late.insert(slot.entry, slot);
        } else {
            self.push(slot);
        }
        None
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, entry: EntryId) -> Option<Slot> {
        let Some(index) = self.index_of(entry) else { return self.late.remove(&entry) };
        let slot = self.chunks.get(index).clone();
        self.unchain(By::Url(slot.hashes.url), index);
        if self.has_paths() {
            self.unchain(By::Path(slot.hashes.path), index);
        }
        let gone = self.chunks.get_mut(index);
        (gone.at, gone.file) = (Position::default(), None);
        self.live -= 1;
        if self.chunks.len() > 2 * self.live + GONE {
            self.rebuild(BTreeMap::new());
        }
        Some(slot)
    }

    /// Puts slots that came late where they belong. Before it, nothing is found.
    pub(super) fn settle(&mut self) {
        if !self.late.is_empty() {
            let late = std::mem::take(&mut self.late);
            self.rebuild(late);
        }
    }

    pub(super) fn get(&self, entry: EntryId) -> Option<&Slot> {
        self.index_of(entry).map(|index| self.chunks.get(index)).or_else(|| self.late.get(&entry))
    }

    /// The slots with this hash, oldest first.
    pub(super) fn find(&self, by: By) -> Vec<&Slot> {
        if matches!(by, By::Path(_)) && !self.has_paths() {
            return self.after(None).filter(|slot| by.of(slot) == by.hash()).collect();
        }
        let mut found = Vec::new();
        let mut next = self.head(by).unwrap_or(NONE);
        while next != NONE {
            let slot = self.chunks.get(next);
            found.push(slot);
            next = by.link(slot).older;
        }
        found.reverse();
        found
    }

    /// The slots after `after`, in order.
    pub(super) fn after(&self, after: Option<EntryId>) -> impl Iterator<Item = &Slot> {
        let start = after.map_or(0, |after| self.chunks.partition_point(|entry| entry <= after));
        self.chunks.iter_from(start).filter(|slot| slot.is_there()).chain(self.late.values())
    }

    /// The slots as they are now; changes to the list do not show.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot { chunks: self.chunks.0.clone() }
    }

    fn get_mut(&mut self, entry: EntryId) -> Option<&mut Slot> {
        match self.index_of(entry) {
            Some(index) => Some(self.chunks.get_mut(index)),
            None => self.late.get_mut(&entry),
        }
    }

    fn index_of(&self, entry: EntryId) -> Option<u32> {
        let index = self.chunks.partition_point(|other| other < entry);
        let found = index < self.chunks.len() && self.chunks.get(index as u32).entry == entry;
        (found && self.chunks.get(index as u32).is_there()).then_some(index as u32)
    }

    fn head(&self, by: By) -> Option<u32> {
        let table = match by {
            By::Url(_) => &self.by_url,
            By::Path(_) => self.by_path.as_ref()?,
        };
        table.find(spread(by.hash()), |index| by.of(self.chunks.get(*index)) == by.hash()).copied()
    }

    fn push(&mut self, slot: Slot) {
        let index = u32::try_from(self.chunks.len()).expect("a list of 2^32 entries does not fit in memory");
        let hashes = slot.hashes;
        self.chunks.push(slot);
        self.chain(By::Url(hashes.url), index);
        if self.has_paths() {
            self.chain(By::Path(hashes.path), index);
        }
        self.live += 1;
    }

    /// Makes a slot the youngest of its hash.
    fn chain(&mut self, by: By, index: u32) {
        let Some((table, chunks)) = self.table(by) else { return };
        let same = |other: &u32| by.of(chunks.get(*other)) == by.hash();
        let older = match table.entry(spread(by.hash()), same, |other| spread(by.of(chunks.get(*other)))) {
            Entry::Occupied(mut head) => std::mem::replace(head.get_mut(), index),
            Entry::Vacant(none) => {
                none.insert(index);
                NONE
            }
        };
        if older != NONE {
            by.link_mut(self.chunks.get_mut(older)).younger = index;
            by.link_mut(self.chunks.get_mut(index)).older = older;
        }
    }

    fn unchain(&mut self, by: By, index: u32) {
        let link = by.link(self.chunks.get(index));
        if link.older != NONE {
            by.link_mut(self.chunks.get_mut(link.older)).younger = link.younger;
        }
        if link.younger != NONE {
            by.link_mut(self.chunks.get_mut(link.younger)).older = link.older;
            return;
        }
        // It was the youngest.
        let Some((table, _)) = self.table(by) else { return };
        if let Ok(mut head) = table.find_entry(spread(by.hash()), |head| *head == index) {
            if link.older == NONE {
                head.remove();
            } else {
                *head.get_mut() = link.older;
            }
        }
    }

    fn table(&mut self, by: By) -> Option<(&mut HashTable<u32>, &Chunks)> {
        match by {
            By::Url(_) => Some((&mut self.by_url, &self.chunks)),
            By::Path(_) => Some((self.by_path.as_mut()?, &self.chunks)),
        }
    }

    /// Makes the list anew, without the slots that are gone and with `late`.
    fn rebuild(&mut self, late: BTreeMap<EntryId, Slot>) {
        let mut slots: Vec<Slot> = self.chunks.iter_from(0).filter(|slot| slot.is_there()).cloned().collect();
        slots.extend(late.into_values());
        slots.sort_by_key(|slot| slot.entry);
        let has_paths = self.has_paths();
        // Links are to places that are not the same any more.
        *self = Self::of(slots.into_iter().map(Slot::unlinked));
        if has_paths {
            self.index_paths();
        }
    }
}

/// Spreads a short hash over all bits, as the table wants them.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Slots in order, in pieces that are shared with snapshots until they change.
#[derive(Debug, Default, Clone)]
struct Chunks(Vec<Arc<Vec<Slot>>>);

impl Chunks {
    fn of(mut slots: impl ExactSizeIterator<Item = Slot>) -> Self {
        let chunks = slots.len().div_ceil(CHUNK);
        Self((0..chunks).map(|_| Arc::new(slots.by_ref().take(CHUNK).collect())).collect())
    }

    fn len(&self) -> usize {
        self.0.last().map_or(0, |last| (self.0.len() - 1) * CHUNK + last.len())
    }

    fn get(&self, index: u32) -> &Slot {
        &self.0[index as usize / CHUNK][index as usize % CHUNK]
    }

    fn get_mut(&mut self, index: u32) -> &mut Slot {
        &mut Arc::make_mut(&mut self.0[index as usize / CHUNK])[index as usize % CHUNK]
    }

    fn last(&self) -> Option<&Slot> {
        self.0.last()?.last()
    }

    fn push(&mut self, slot: Slot) {
        match self.0.last_mut() {
            Some(last) if last.len() < CHUNK => Arc::make_mut(last).push(slot),
            // Only the first grows step by step: most lists are short.
            Some(_) => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(slot);
                self.0.push(Arc::new(chunk));
            }
            None => self.0.push(Arc::new(vec![slot])),
        }
    }

    /// How many slots from the first on are of entries that are `before`.
    fn partition_point(&self, before: impl Fn(EntryId) -> bool) -> usize {
        let chunk = self.0.partition_point(|chunk| chunk.last().is_some_and(|slot| before(slot.entry)));
        let within = self.0.get(chunk).map_or(0, |chunk| chunk.partition_point(|slot| before(slot.entry)));
        chunk * CHUNK + within
    }

    fn iter_from(&self, start: usize) -> impl Iterator<Item = &Slot> {
        let rest = self.0.get(start / CHUNK..).unwrap_or_default();
        rest.iter().flat_map(|chunk| chunk.iter()).skip(start % CHUNK)
    }
}

/// The slots of a list at one moment.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    chunks: Vec<Arc<Vec<Slot>>>,
}

impl Snapshot {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).filter(|slot| slot.is_there())
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    fn slot(entry: u64, url: u32, path: u32) -> Slot {
        Slot::new(EntryId(entry), Position::new(1, entry as u32 + 1), 0, 0, UrlHashes { url, path }, None)
    }

    fn numbers<'a>(slots: impl IntoIterator<Item = &'a Slot>) -> Vec<u64> {
        slots.into_iter().map(|slot| slot.entry.0).collect()
    }

    #[test]
    fn after_any_changes_the_list_holds_what_a_plain_list_would() {
        let mut random = StdRng::seed_from_u64(1);
        let (mut slots, mut plain) = (Slots::default(), BTreeMap::new());
        for entry in 1..20_000_u64 {
            let (url, path) = (random.random_range(0..200), random.random_range(0..5));
            slots.insert(slot(entry, url, path));
            plain.insert(entry, (url, path));
            while plain.len() > 300 || (!plain.is_empty() && random.random_bool(0.3)) {
                let at = random.random_range(0..plain.len());
                let entry = *plain.keys().nth(at).unwrap();
                plain.remove(&entry);
                assert!(slots.remove(EntryId(entry)).is_some());
                assert!(slots.remove(EntryId(entry)).is_none());
            }
            if entry == 5000 {
                slots.index_paths();
            }
            if entry % 97 == 0 {
                let (url, path) = (random.random_range(0..200), random.random_range(0..5));
                let of_url: Vec<_> =
                    plain.iter().filter(|(_, hashes)| hashes.0 == url).map(|(entry, _)| *entry).collect();
                assert_eq!(numbers(slots.find(By::Url(url))), of_url);
                let of_path: Vec<_> =
                    plain.iter().filter(|(_, hashes)| hashes.1 == path).map(|(entry, _)| *entry).collect();
                assert_eq!(numbers(slots.find(By::Path(path))), of_path);
                let after = random.random_range(0..entry);
                let rest: Vec<_> = plain.range(after + 1..).map(|(entry, _)| *entry).collect();
                assert_eq!(numbers(slots.after(Some(EntryId(after)))), rest);
                assert_eq!(slots.len(), plain.len());
                assert!(slots.chunks.len() <= 2 * plain.len() + GONE);
            }
        }
    }

    #[test]
    fn what_comes_late_is_in_its_place_once_settled() {
        let mut slots = Slots::default();
        for entry in [5, 6, 2, 9, 1] {
            slots.insert(slot(entry, 7, 7));
        }
        assert!(slots.remove(EntryId(2)).is_some());
        slots.insert(slot(3, 7, 8));
        slots.settle();
        assert_eq!(numbers(slots.after(None)), [1, 3, 5, 6, 9]);
        assert_eq!(numbers(slots.find(By::Path(7))), [1, 5, 6, 9]);
    }

    #[test]
    fn a_snapshot_stays_as_it_was() {
        let mut slots = Slots::default();
        (0..3000).for_each(|entry| drop(slots.insert(slot(entry, 1, 1))));
        let snapshot = slots.snapshot();
        (0..3000).step_by(2).for_each(|entry| drop(slots.remove(EntryId(entry))));
        slots.insert(slot(4000, 1, 1));
        assert_eq!(snapshot.iter().count(), 3000);
    }

    #[test]
    fn an_entry_takes_at_most_96_bytes() {
        // Two tables of numbers, at worst just grown: 16/7 places of 5 bytes for each.
        assert!(size_of::<Slot>() as f64 + 2.0 * 5.0 * 16.0 / 7.0 <= 96.0);
    }
}
