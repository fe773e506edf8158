//! The entries of one list in memory: in order, and by two hashes of their URL.
//!
//! A slot says where in the log an entry's record is. Slots stand in the order of their entries' numbers. The first of
//! them may be as they stand in the checkpoint, and be found by the tables there; the others are found by tables in
//! memory, where those with the same hash are chained from the youngest to the oldest. Knows no file and no name.

mod chunks;
mod guide;

use std::{collections::BTreeMap, ops::Deref, sync::Arc};

use hashbrown::{HashTable, hash_table::Entry};

use self::{
    chunks::{Chunks, Linked},
    guide::Guide,
};
use super::{
    bodies::BodyFile,
    checkpoint::Section,
    format::{FILE_REFERENCE, INSERT_FIXED, Position, Removed},
};
use crate::store::{EntryId, Usage, Uses};

/// The end of a chain.
const NONE: u32 = u32::MAX;
/// Gone slots that are kept at most beside as many live ones. Few: a short list in which entries come and go is
/// made anew in no time, and there may be many such lists.
const GONE: u32 = 64;

/// The place of one entry in the log.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) entry: EntryId,
    /// Where its record is; the default where the entry is gone.
    pub(super) at: Position,
    pub(super) payload_length: u32,
    pub(super) hashes: UrlHashes,
    /// The body's file, where it has one.
    pub(super) file: Option<Arc<BodyFile>>,
    /// The entry's padding, of which its charge is a part.
    pub(super) padding: u8,
}

/// Hashes of a URL: without its fragment, and without its query too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UrlHashes {
    pub(super) url: u32,
    pub(super) path: u32,
}

/// A slot, and its place in the list.
#[derive(Debug, Clone)]
pub(super) struct Found {
    slot: Slot,
    index: u32,
}

impl Deref for Found {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        &self.slot
    }
}

/// A place in a chain of slots with the same hash.
#[derive(Debug, Clone, Copy)]
struct Link {
    older: u32,
    younger: u32,
}

impl Slot {
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

    /// What a removal of it says.
    pub(super) fn removed(&self) -> Removed {
        Removed { entry: self.entry, at: self.at }
    }

    fn is_there(&self) -> bool {
        self.at != Position::default()
    }
}

/// An entry that is taken away, and where its slot was when somebody last saw it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gone {
    pub(super) removed: Removed,
    seen_at: Option<u32>,
}

impl From<Removed> for Gone {
    fn from(removed: Removed) -> Self {
        Self { removed, seen_at: None }
    }
}

impl Found {
    pub(super) fn into_slot(self) -> Slot {
        self.slot
    }

    pub(super) fn gone(&self) -> Gone {
        Gone { removed: self.removed(), seen_at: Some(self.index) }
    }
}

/// By which of the two hashes.
#[derive(Debug, Clone, Copy)]
pub(super) enum By {
    Url(u32),
    Path(u32),
}

impl By {
    pub(super) fn hash(self) -> u32 {
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

    fn link(self, linked: &Linked) -> Link {
        match self {
            Self::Url(_) => linked.by_url,
            Self::Path(_) => linked.by_path,
        }
    }

    fn link_mut(self, linked: &mut Linked) -> &mut Link {
        match self {
            Self::Url(_) => &mut linked.by_url,
            Self::Path(_) => &mut linked.by_path,
        }
    }
}

/// All slots of a list.
#[derive(Debug, Default)]
pub(super) struct Slots {
    chunks: Chunks,
    /// To those of the section, where that is long.
    guide: Option<Guide>,
    /// The youngest slot of each hash, beside those of the section.
    by_url: HashTable<u32>,
    /// Made when it is first asked for: most lists are never searched so.
    by_path: Option<HashTable<u32>>,
    live: u32,
    /// Slots whose turn was earlier, while the log is read: compaction moves records to its end.
    late: BTreeMap<EntryId, Slot>,
}

impl Slots {
    /// The list of a section.
    pub(super) fn stored(section: Section) -> Self {
        let guide = Guide::to(&section);
        Self { live: section.len(), guide, chunks: Chunks::stored(section), ..Self::default() }
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
        let first = self.chunks.base_len();
        self.by_path = Some(HashTable::with_capacity((self.chunks.len() - first) as usize));
        for index in first..self.chunks.len() {
            let slot = self.chunks.get(index);
            if slot.is_there() {
                self.chain(By::Path(slot.hashes.path), index);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.live as usize + self.late.len()
    }

    /// Adds a slot, or moves the entry it is of. Returns what there was before.
    pub(super) fn insert(&mut self, slot: Slot) -> Option<Slot> {
        if self.chunks.last().is_none_or(|last| last < slot.entry) && !self.late.contains_key(&slot.entry) {
            self.push(slot, 0);
            return None;
        }
        match self.index_of(slot.entry) {
            // A copy of its record: nothing but its place is another.
            Some(index) => Some(std::mem::replace(&mut self.chunks.get_mut(index).slot, slot)),
            None => self.late.insert(slot.entry, slot),
        }
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, gone: Gone) -> Option<Slot> {
        let entry = gone.removed.entry;
        let is_still_there = |index: &u32| *index < self.chunks.len() && self.chunks.entry(*index) == entry;
        let seen_at = gone.seen_at.filter(is_still_there).filter(|index| self.chunks.get(*index).is_there());
        let Some(index) = seen_at.or_else(|| self.index_of(entry)) else { return self.late.remove(&entry) };
        if index >= self.chunks.base_len() {
            let hashes = self.chunks.get(index).hashes;
            self.unchain(By::Url(hashes.url), index);
            if self.has_paths() {
                self.unchain(By::Path(hashes.path), index);
            }
        }
        let gone = &mut self.chunks.get_mut(index).slot;
        let slot = gone.clone();
        (gone.at, gone.file) = (Position::default(), None);
        self.live -= 1;
        if self.chunks.len() > self.live.saturating_mul(2).saturating_add(GONE) {
            let late = std::mem::take(&mut self.late);
            self.rebuild(late);
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

    pub(super) fn get(&self, entry: EntryId) -> Option<Found> {
        self.found(self.index_of(entry)?)
    }

    /// Has what a search for this hash looks at first brought near.
    pub(super) fn bring_near(&self, by: By) {
        if let (By::Url(hash), Some(guide)) = (by, &self.guide) {
            guide.bring_near(hash);
        }
    }

    /// The slots with this hash, oldest first. Tells `near` where their records are, as soon as it knows.
    pub(super) fn find(&self, by: By, near: impl Fn(Position)) -> Vec<Found> {
        let there = |index| self.found(index).filter(|found| by.of(found) == by.hash());
        let mut found: Vec<_> = if let (By::Url(hash), Some(guide)) = (by, &self.guide) {
            for sign in guide.find(hash) {
                near(sign.at);
                self.chunks.bring_near(sign.index);
            }
            let stored = guide.find(hash).filter(|sign| sign.index < self.chunks.base_len());
            stored.filter_map(|sign| there(sign.index)).collect()
        } else {
            let stored = self.chunks.base().into_iter().flat_map(|base| base.find(by));
            stored.filter_map(there).inspect(|found| near(found.at)).collect()
        };
        if matches!(by, By::Path(_)) && !self.has_paths() {
            found.extend((self.chunks.base_len()..self.chunks.len()).filter_map(there));
            return found;
        }
        let older = found.len();
        let mut next = self.head(by);
        while let Some(linked) = next.and_then(|index| self.chunks.linked(index)) {
            near(linked.slot.at);
            found.extend(next.and_then(|index| self.found(index)));
            next = Some(by.link(linked).older).filter(|older| *older != NONE);
        }
        found[older..].reverse();
        found
    }

    /// The slots after `after`, in order.
    pub(super) fn after(&self, after: Option<EntryId>) -> impl Iterator<Item = Found> {
        let start = after.map_or(0, |after| self.chunks.first_from(EntryId(after.0.saturating_add(1))));
        // Those that came late are not found before they are settled.
        (start..self.chunks.len()).filter_map(|index| self.found(index))
    }

    /// Every slot, while the log is read too.
    pub(super) fn all(&self) -> impl Iterator<Item = Slot> {
        self.after(None).map(|found| found.slot).chain(self.late.values().cloned())
    }

    /// The counter of the entry's uses.
    pub(super) fn uses(&self, found: &Found) -> Uses {
        self.chunks.uses(found.index)
    }

    /// The slots as they are now; changes to the list do not show.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot(self.chunks.clone())
    }

    fn found(&self, index: u32) -> Option<Found> {
        let slot = self.chunks.get(index);
        slot.is_there().then_some(Found { slot, index })
    }

    fn index_of(&self, entry: EntryId) -> Option<u32> {
        let index = self.chunks.first_from(entry);
        let is_it = index < self.chunks.len() && self.chunks.entry(index) == entry;
        (is_it && self.chunks.get(index).is_there()).then_some(index)
    }

    fn head(&self, by: By) -> Option<u32> {
        let table = match by {
            By::Url(_) => &self.by_url,
            By::Path(_) => self.by_path.as_ref()?,
        };
        table.find(spread(by.hash()), |index| of(&self.chunks, by, *index) == by.hash()).copied()
    }

    fn push(&mut self, slot: Slot, used: u64) {
        let (index, hashes) = (self.chunks.len(), slot.hashes);
        self.chunks.push(slot, used);
        self.chain(By::Url(hashes.url), index);
        if self.has_paths() {
            self.chain(By::Path(hashes.path), index);
        }
        self.live += 1;
    }

    /// Makes a slot the youngest of its hash.
    fn chain(&mut self, by: By, index: u32) {
        let Some((table, chunks)) = self.table(by) else { return };
        let same = |other: &u32| of(chunks, by, *other) == by.hash();
        let older = match table.entry(spread(by.hash()), same, |other| spread(of(chunks, by, *other))) {
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
        let Some(link) = self.chunks.linked(index).map(|linked| by.link(linked)) else { return };
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

    /// Makes the list anew in memory, without the slots that are gone and with `late`.
    fn rebuild(&mut self, late: BTreeMap<EntryId, Slot>) {
        let there = self.after(None).map(|found| (self.chunks.used(found.index), found.slot));
        let mut slots: Vec<(u64, Slot)> = there.chain(late.into_values().map(|slot| (0, slot))).collect();
        slots.sort_by_key(|(_, slot)| slot.entry);
        let has_paths = self.has_paths();
        *self = Self { by_url: HashTable::with_capacity(slots.len()), ..Self::default() };
        slots.into_iter().for_each(|(used, slot)| self.push(slot, used));
        if has_paths {
            self.index_paths();
        }
    }
}

/// The hash of a slot that is in memory.
fn of(chunks: &Chunks, by: By, index: u32) -> u32 {
    chunks.linked(index).map_or_else(|| by.of(&chunks.get(index)), |linked| by.of(&linked.slot))
}

/// Spreads a short hash over all bits, as the table wants them.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The slots of a list at one moment.
#[derive(Debug, Clone)]
pub(super) struct Snapshot(Chunks);

impl Snapshot {
    /// The slots, each with how its entry was used, packed.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, u64)> {
        let all = (0..self.0.len()).map(|index| (self.0.get(index), self.0.used(index)));
        all.filter(|(slot, _)| slot.is_there())
    }
}

#[cfg(test)]
mod tests;
