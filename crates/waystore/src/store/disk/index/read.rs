//! What the index is asked: names, places, and the entries that a search may find.
//!
//! Changes nothing.

use std::{
    cell::Cell,
    sync::{Arc, atomic::Ordering},
};

use hashbrown::HashSet;

use super::{Entries, Index};
use crate::{
    CacheName, Place, StorageKey,
    checksum::xxh3,
    spec::url_key::{without_fragment, without_query},
    store::{
        EntryId, ListId, UrlMatch,
        disk::{
            format::{Named, Position},
            segment::Segment,
            slot::{self, AHEAD, Located, Near, Page},
            slots::{By, Found, Slot, UrlHashes},
        },
    },
};

impl Index {
    pub(in crate::store::disk) fn storage_keys(&self) -> Vec<StorageKey> {
        let keys: HashSet<_> = self.places.keys().map(|place| place.key.clone()).collect();
        keys.into_iter().collect()
    }

    pub(in crate::store::disk) fn names(&self, place: &Place) -> impl Iterator<Item = (&CacheName, ListId)> {
        self.places.get(place).into_iter().flatten().map(|(name, list)| (name, *list))
    }

    pub(in crate::store::disk) fn list(&self, place: &Place, name: &CacheName) -> Option<ListId> {
        self.places.get(place)?.get(name).copied()
    }

    /// The place a list is in, doomed or not.
    pub(in crate::store::disk) fn place_of(&self, list: ListId) -> Option<&Place> {
        self.lists.get(&list)?.place.as_ref()
    }

    /// The name of a list. `None`: it has none.
    pub(in crate::store::disk) fn named(&self, list: ListId) -> Option<Named> {
        self.lists.get(&list)?.named()
    }

    /// Where the log has records of the list's name, and of names it had before.
    pub(in crate::store::disk) fn bound_at(&self, list: ListId) -> Vec<Position> {
        let Some(entries) = self.lists.get(&list) else { return Vec::new() };
        let at = entries.former.iter().copied().filter(|at| self.usage.get(at.segment()).is_some());
        at.chain([entries.bound.0]).collect()
    }

    /// The lists whose name's record is in `segment`.
    pub(in crate::store::disk) fn bound_in(&self, segment: u32) -> impl Iterator<Item = (ListId, Named)> {
        let bound = self.lists.iter().filter(move |(_, entries)| entries.bound.0.segment() == segment);
        bound.filter_map(|(list, entries)| Some((*list, entries.named()?)))
    }

    /// Notes that something is looked for in `list` in this minute.
    pub(in crate::store::disk) fn note_use(&self, list: ListId, minute: u32) {
        if let Some(entries) = self.lists.get(&list)
            && entries.last_used.load(Ordering::Relaxed) < minute
        {
            entries.last_used.store(minute, Ordering::Relaxed);
        }
    }

    /// The minute in which something of `key` was last stored or looked for.
    pub(in crate::store::disk) fn last_used(&self, key: &StorageKey) -> Option<u32> {
        let of_key =
            self.lists.values().filter(|entries| entries.place.as_ref().is_some_and(|place| place.key == *key));
        of_key.map(|entries| entries.last_used.load(Ordering::Relaxed)).max().filter(|minute| *minute > 0)
    }

    pub(in crate::store::disk) fn hashes(&self, url: &str) -> UrlHashes {
        UrlHashes { url: self.hash(without_fragment(url)), path: self.hash(without_query(url)) }
    }

    fn hash(&self, part: &str) -> u32 {
        xxh3(part.as_bytes(), self.seed) as u32
    }

    /// The entries of `list` that a search by `url` may find, oldest first, and when they will be read.
    pub(in crate::store::disk) fn find(
        &self,
        list: ListId,
        url: UrlMatch<'_>,
        near: Near,
    ) -> impl Iterator<Item = Found> {
        self.find_by(list, self.by(url), near)
    }

    /// By which hash a search for `url` goes; what it looks at first in `list` is brought near. `None`: it looks at all.
    pub(in crate::store::disk) fn begin(&self, list: ListId, url: UrlMatch<'_>) -> Option<By> {
        let by = self.by(url)?;
        if let Some(slots) = self.lists.get(&list).and_then(Entries::slots) {
            slots.bring_near(by);
        }
        Some(by)
    }

    fn by(&self, url: UrlMatch<'_>) -> Option<By> {
        match url {
            UrlMatch::Exact(url) => Some(By::Url(self.hash(url))),
            UrlMatch::WithoutQuery(url) => Some(By::Path(self.hash(url))),
            UrlMatch::Any => None,
        }
    }

    /// As [`find`](Self::find), by what the search began with.
    pub(in crate::store::disk) fn find_by(
        &self,
        list: ListId,
        by: Option<By>,
        near: Near,
    ) -> impl Iterator<Item = Found> {
        let left = Cell::new(if near == Near::Now { AHEAD } else { 0 });
        let touch = move |at: Position| {
            // Before anything else is waited for.
            if left.get() > 0
                && let Some(segment) = self.usage.segment(at.segment())
            {
                left.set(left.get() - 1);
                segment.touch(at.offset(), u32::MAX);
            }
        };
        let slots = self.lists.get(&list).and_then(Entries::slots);
        let some = slots.zip(by).map(|(slots, by)| slots.find(by, touch));
        let all = slots.filter(|_| by.is_none()).map(|slots| slots.after(None));
        some.into_iter().flatten().chain(all.into_iter().flatten()).filter(|slot| slot.is_whole())
    }

    /// What is needed to read the first `limit` entries of `list` after `after`.
    pub(in crate::store::disk) fn page(&self, list: ListId, after: Option<EntryId>, limit: usize) -> Page {
        let mut page = Page::default();
        let Some(entries) = self.lists.get(&list) else { return page };
        let Some(slots) = entries.slots() else { return page };
        page.entries.reserve(limit.min(entries.len()));
        for found in slots.after(after).filter(|slot| slot.is_whole()) {
            if page.entries.len() == limit {
                break;
            }
            let number = found.at.segment();
            if page.segments.last().is_none_or(|last| last.number() != number) {
                let Some(segment) = self.segment_of(entries, number) else { continue };
                page.segments.push(Arc::clone(segment));
            }
            let uses = slots.uses(&found);
            let place = slot::Place { list, entry: found.entry, at: found.at };
            let Slot { payload_length, file, .. } = found.into_slot();
            page.entries.push(Located { place, segment: page.segments.len() - 1, payload_length, file, uses });
        }
        page
    }

    pub(in crate::store::disk) fn get(&self, list: ListId, entry: EntryId) -> Option<Found> {
        self.lists.get(&list)?.slots()?.get(entry)
    }

    /// The entry of a list with a name whose record is at `at`.
    pub(in crate::store::disk) fn slot_at(&self, list: ListId, at: Position, entry: u64) -> Option<Found> {
        let entries = self.lists.get(&list).filter(|entries| !entries.is_doomed())?;
        entries.slots()?.get(EntryId(entry)).filter(|slot| slot.at == at)
    }

    /// What is needed to read an entry of `list`.
    pub(in crate::store::disk) fn locate(&self, list: ListId, found: Found) -> Option<Located> {
        let entries = self.lists.get(&list)?;
        let place = slot::Place { list, entry: found.entry, at: found.at };
        let segment = Arc::clone(self.segment_of(entries, found.at.segment())?);
        let uses = entries.slots()?.uses(&found);
        let Slot { payload_length, file, .. } = found.into_slot();
        Some(Located { place, segment, payload_length, file, uses })
    }

    /// The segment of this number, or the one that `entries` keep.
    fn segment_of<'a>(&'a self, entries: &'a Entries, number: u32) -> Option<&'a Arc<Segment>> {
        self.usage.segment(number).or_else(|| entries.kept.get(&number))
    }

    /// Every entry of the lists that are loaded.
    pub(in crate::store::disk) fn all(&self) -> impl Iterator<Item = (ListId, Slot)> {
        let loaded = self.lists.iter().filter_map(|(list, entries)| Some((*list, entries.slots()?)));
        loaded.flat_map(|(list, slots)| slots.all().map(move |slot| (list, slot)))
    }

    /// The entries of lists with a name that are in `segment`.
    pub(in crate::store::disk) fn in_segment(&self, segment: u32) -> impl Iterator<Item = (ListId, Found)> {
        let lists = self.lists.iter().filter(move |(_, entries)| entries.bytes.contains_key(&segment));
        let slots = lists.flat_map(|(list, entries)| entries.after(None).map(|slot| (*list, slot)));
        slots.filter(move |(_, slot)| slot.at.segment() == segment)
    }
}
