//! What there is, in memory: names, lists, and where in the log each entry is.
//!
//! Filled by replay and by every commit, with the same [`Step`]s. Reads no file: an entry's place
//! is handed out. How it is searched is in `index/read.rs`.

mod read;
mod settle;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use hashbrown::{HashMap, HashSet};

use super::{
    checkpoint::{Checkpoint, ListState, Section, SegmentState, Stored},
    format::{Named, Position, record_length},
    hold::{Hold, Holder},
    log::Numbers,
    segment::Segment,
    slots::{Found, Gone, Slot, Slots},
    usage::Usage as SegmentUsage,
};
use crate::{
    CacheName, Place,
    store::{EntryId, Ledger, List, ListId, Names, Usage, rename},
};

/// Lists that wait to be dropped, at most.
const TRASH: usize = 16;

/// Names, lists and entries.
#[derive(Debug)]
pub(super) struct Index {
    /// Random, so that nobody can choose URLs that fall together.
    seed: u64,
    places: HashMap<Place, Names>,
    lists: HashMap<ListId, Entries>,
    pub(super) usage: SegmentUsage,
    /// Who uses how much; empty while the log is read.
    pub(super) ledger: Ledger,
    /// While the log is read: lists that are gone, for one of their records may come again.
    gone: Option<HashSet<ListId>>,
    /// Segments that are to go: records were moved from there to the end of the log, or that says that nothing needs them.
    to_go: BTreeSet<u32>,
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
    /// Where its name stands among those of its place.
    order: u64,
    /// Where the record of its name is, and the bytes of both copies.
    bound: (Position, u64),
    /// Where records of names are that it had before.
    former: Vec<Position>,
    /// What its entries are charged.
    usage: Usage,
    /// The minute in which something in it was last stored or looked for.
    last_used: AtomicU32,
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
    /// A record of a name: the list's first, another, or a copy of the last.
    Bind {
        list: ListId,
        named: Named,
        at: Position,
        bytes: u64,
    },
    Unbind {
        list: ListId,
    },
    /// Entries are stored in the minute `stored_in`; a copy of an entry that there is changes no more than its place.
    Insert {
        list: ListId,
        slot: Slot,
        stored_in: u32,
    },
    Remove {
        list: ListId,
        entries: Vec<Gone>,
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
        Self {
            seed,
            places: HashMap::new(),
            lists: HashMap::new(),
            usage: SegmentUsage::default(),
            ledger: Ledger::default(),
            gone: Some(HashSet::new()),
            to_go: BTreeSet::new(),
            trash: Vec::new(),
        }
    }

    /// The index of a checkpoint, to be filled with what the log has after it.
    pub(super) fn of(checkpoint: &Checkpoint, segments: impl Fn(u32) -> Option<Arc<Segment>>) -> Self {
        let mut index = Self::new(checkpoint.seed);
        for state in &checkpoint.segments {
            if let Some(segment) = segments(state.number) {
                // What segments had that are gone since needs no removal.
                let needed = state.removals.iter().filter(|(target, _)| segments(*target).is_some()).copied();
                index.usage.restore(&segment, state.live, needed);
            }
            if state.leftover {
                index.to_go.insert(state.number);
            }
        }
        for state in &checkpoint.lists {
            let content = match &state.content {
                Stored::Section(section) => Content::Stored(section.clone()),
                Stored::Snapshot(_) => continue,
            };
            let Named { place, name, order } = state.named.clone();
            let entries = Entries {
                place: Some(place),
                name: Some(name),
                order,
                bound: state.bound,
                former: state.former.clone(),
                usage: state.usage,
                last_used: AtomicU32::new(state.last_used),
                content,
                bytes: state.bytes.clone(),
                ..Entries::default()
            };
            index.lists.insert(state.list, entries);
        }
        index
    }

    /// What a checkpoint of now holds.
    pub(super) fn checkpoint(&self, at: Position, next: Numbers) -> Checkpoint {
        let segments = self.usage.iter().map(|(number, used)| SegmentState {
            number,
            leftover: self.to_go.contains(&number),
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

    /// Loads the lists some of whose bodies are not whole, or some of whose entries are in the segments `gone`, so that these
    /// can be removed.
    pub(super) fn load_where_something_is_missing(&mut self, gone: &BTreeSet<u32>) {
        for entries in self.lists.values_mut() {
            if let Content::Stored(section) = &entries.content
                && (section.files().any(|file| !file.is_complete())
                    || gone.iter().any(|segment| entries.bytes.contains_key(segment)))
            {
                entries.slots_mut();
            }
        }
    }

    /// From now on a list that was not used yet has these slots: those of its section, which the caller verified.
    pub(super) fn load(&mut self, list: ListId, slots: Slots) {
        if let Some(entries) = self.lists.get_mut(&list)
            && matches!(entries.content, Content::Stored(_))
        {
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

    /// Whether there is anything to be dropped.
    pub(super) fn has_trash(&self) -> bool {
        !self.trash.is_empty()
    }

    /// Lists that nobody can reach any more, to be dropped where nobody waits for it.
    pub(super) fn take_trash(&mut self) -> impl Sized + use<> {
        std::mem::take(&mut self.trash)
    }

    /// Applies one change.
    pub(super) fn apply(&mut self, step: Step) {
        match step {
            Step::Bind { list, named, at, bytes } => self.bind(list, named, at, bytes),
            Step::Unbind { list } => self.unbind(list),
            Step::Insert { list, slot, stored_in } => self.insert(list, slot, stored_in),
            Step::Remove { list, entries } => entries.iter().for_each(|gone| self.remove(list, *gone)),
            Step::Removal { segment, targets, bytes } => {
                let each = bytes / targets.len().max(1) as u64;
                targets.iter().for_each(|target| self.usage.add_removal(segment, *target, each));
            }
        }
    }

    /// Segments that are to go and were not forgotten.
    pub(super) fn to_go(&self) -> impl Iterator<Item = u32> {
        self.to_go.iter().copied()
    }

    /// The log says that nothing needs these segments.
    pub(super) fn note_unneeded(&mut self, segments: &[u32]) {
        self.to_go.extend(segments);
    }

    /// The segment is not in the log any more, and will not be back.
    pub(super) fn forget_segment(&mut self, segment: u32) {
        self.usage.forget(segment);
        self.to_go.remove(&segment);
    }

    fn bind(&mut self, list: ListId, named: Named, at: Position, bytes: u64) {
        if self.gone.as_ref().is_some_and(|gone| gone.contains(&list)) {
            return;
        }
        let Named { place, name, order } = named;
        let entries = self.lists.entry(list).or_default();
        let is_copy = entries.name.as_ref() == Some(&name);
        let (before, known) = entries.bound;
        if is_copy && before.segment() == at.segment() {
            entries.bound.1 = known + bytes;
        } else {
            if before != Position::default() && before.segment() != at.segment() {
                if is_copy {
                    self.to_go.insert(before.segment());
                } else {
                    entries
                        .former
                        .retain(|at| at.segment() != before.segment() && self.usage.get(at.segment()).is_some());
                    entries.former.push(before);
                }
            }
            self.usage.take_live(before.segment(), known);
            entries.bound = (at, bytes);
        }
        self.usage.add_live(at.segment(), bytes);
        let from = entries.name.replace(name.clone());
        entries.place = Some(place.clone());
        entries.order = order;
        if is_copy || self.gone.is_some() {
            return;
        }
        self.ledger.charge(&place, Usage::of_name(&name));
        let names = self.places.entry(place.clone()).or_default();
        let displaced = match from {
            Some(from) => {
                self.ledger.discharge(&place, Usage::of_name(&from));
                rename(names, &from, &name)
            }
            None => names.insert(name, list),
        };
        if let Some(displaced) = displaced {
            self.unbind(displaced);
        }
    }

    fn unbind(&mut self, list: ListId) {
        if let Some(gone) = &mut self.gone {
            gone.insert(list);
        }
        let Some(entries) = self.lists.get_mut(&list) else { return };
        if let (Some(name), Some(place)) = (entries.name.take(), &entries.place)
            && self.gone.is_none()
        {
            self.ledger.discharge(place, Usage::of_name(&name));
            if let Some(names) = self.places.get_mut(place).filter(|names| names.get(&name) == Some(&list)) {
                names.shift_remove(&name);
                if names.is_empty() {
                    self.places.remove(place);
                }
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

    fn insert(&mut self, list: ListId, slot: Slot, stored_in: u32) {
        let entries = match &self.gone {
            Some(gone) if gone.contains(&list) => return,
            // Its name may come later.
            Some(_) => self.lists.entry(list).or_default(),
            None => match self.lists.get_mut(&list) {
                Some(entries) => entries,
                None => return,
            },
        };
        entries.last_used.fetch_max(stored_in, Ordering::Relaxed);
        let (segment, bytes, usage) = (slot.at.segment(), record_bytes(slot.payload_length), slot.usage());
        let doomed = entries.is_doomed();
        if doomed {
            entries.kept.extend(self.usage.segment(segment).map(|kept| (segment, Arc::clone(kept))));
        } else {
            self.usage.add_live(segment, bytes);
            *entries.bytes.entry(segment).or_default() += bytes;
        }
        let before = entries.slots_mut().insert(slot);
        if let Some(before) = before.as_ref().filter(|_| !doomed) {
            entries.discount(&mut self.usage, before);
            self.to_go.insert(before.at.segment());
        }
        let known = before.map(|before| before.usage()).unwrap_or_default();
        entries.usage += usage;
        entries.usage -= known;
        if let Some(place) = entries.place.as_ref().filter(|_| self.gone.is_none()) {
            self.ledger.charge(place, usage);
            self.ledger.discharge(place, known);
        }
    }

    fn remove(&mut self, list: ListId, gone: Gone) {
        let Some(entries) = self.lists.get_mut(&list) else { return };
        let Some(slot) = entries.slots_mut().remove(gone) else { return };
        if !entries.is_doomed() {
            entries.discount(&mut self.usage, &slot);
        }
        entries.usage -= slot.usage();
        if let Some(place) = entries.place.as_ref().filter(|_| self.gone.is_none()) {
            self.ledger.discharge(place, slot.usage());
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
            let freed = self.lists.remove(&list);
            if let Some(Entries { place: Some(place), usage, .. }) = freed.as_ref().filter(|_| self.gone.is_none()) {
                self.ledger.discharge(place, *usage);
            }
            self.trash.extend(freed);
        }
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
            self.content = Content::Loaded(Slots::stored(section.clone()));
        }
        match &mut self.content {
            Content::Loaded(slots) => slots,
            Content::Stored(_) => unreachable!("it was loaded above"),
        }
    }

    fn after(&self, after: Option<EntryId>) -> impl Iterator<Item = Found> {
        self.slots().into_iter().flat_map(move |slots| slots.after(after))
    }

    fn len(&self) -> usize {
        match &self.content {
            Content::Loaded(slots) => slots.len(),
            Content::Stored(section) => section.len() as usize,
        }
    }

    /// What a checkpoint holds of it. `None`: it has no name.
    fn state(&self, list: ListId) -> Option<ListState> {
        let content = match &self.content {
            Content::Loaded(slots) => Stored::Snapshot(slots.snapshot()),
            Content::Stored(section) => Stored::Section(section.clone()),
        };
        Some(ListState {
            list,
            named: self.named()?,
            bound: self.bound,
            former: self.former.clone(),
            usage: self.usage,
            last_used: self.last_used.load(Ordering::Relaxed),
            bytes: self.bytes.clone(),
            content,
        })
    }

    fn named(&self) -> Option<Named> {
        Some(Named { place: self.place.clone()?, name: self.name.clone()?, order: self.order })
    }

    fn is_doomed(&self) -> bool {
        self.place.is_some() && self.name.is_none()
    }

    fn discount(&mut self, usage: &mut SegmentUsage, slot: &Slot) {
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
