//! Slots in order, in pieces that are as they stand in the checkpoint, or in memory and shared with snapshots until
//! they change.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use super::{Link, NONE, Slot};
use crate::store::{
    EntryId, Uses,
    disk::{checkpoint::Section, map::bring_value_near},
};

/// Slots of a piece.
const CHUNK: u32 = 256;
/// How often the place of an entry is guessed by its number before it is looked for by halves.
const GUESSES: u32 = 4;

/// All slots of a list, the gone ones included.
#[derive(Debug, Default, Clone)]
pub(super) struct Chunks {
    /// Where the pieces are that nothing changed in.
    base: Option<Section>,
    chunks: Vec<Chunk>,
    length: u32,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Chunk {
    /// `None`: as in the base.
    own: Option<Arc<Vec<Linked>>>,
    /// The uses of its entries, packed as in a section; made when an entry is first found.
    uses: OnceLock<Arc<[AtomicU64]>>,
}

/// A slot in memory, and its place in the chains of slots with the same hash.
#[derive(Debug, Clone)]
pub(super) struct Linked {
    pub(super) slot: Slot,
    pub(super) by_url: Link,
    pub(super) by_path: Link,
}

impl Linked {
    fn new(slot: Slot) -> Self {
        let link = Link { older: NONE, younger: NONE };
        Self { slot, by_url: link, by_path: link }
    }
}

impl Chunks {
    /// The slots of a section.
    pub(super) fn stored(base: Section) -> Self {
        let length = base.len();
        let chunks = (0..length.div_ceil(CHUNK)).map(|_| Chunk::default()).collect();
        Self { base: Some(base), chunks, length }
    }

    pub(super) fn len(&self) -> u32 {
        self.length
    }

    /// The section that its first slots are, or were, in.
    pub(super) fn base(&self) -> Option<&Section> {
        self.base.as_ref()
    }

    /// How many slots are found by the tables of the section.
    pub(super) fn base_len(&self) -> u32 {
        self.base.as_ref().map_or(0, Section::len)
    }

    pub(super) fn get(&self, index: u32) -> Slot {
        match self.linked(index) {
            Some(linked) => linked.slot.clone(),
            None => self.section().slot(index),
        }
    }

    pub(super) fn entry(&self, index: u32) -> EntryId {
        self.linked(index).map_or_else(|| self.section().entry(index), |linked| linked.slot.entry)
    }

    /// A slot that is in memory. `None`: it is as in the section.
    pub(super) fn linked(&self, index: u32) -> Option<&Linked> {
        let own = self.chunks[(index / CHUNK) as usize].own.as_ref()?;
        Some(&own[(index % CHUNK) as usize])
    }

    /// Has a slot brought near, and the counter of its entry's uses.
    pub(super) fn bring_near(&self, index: u32) {
        let Some(chunk) = self.chunks.get((index / CHUNK) as usize) else { return };
        let within = (index % CHUNK) as usize;
        match (&chunk.own, &self.base) {
            (Some(own), _) => own.get(within).into_iter().for_each(bring_value_near),
            (None, base) => base.iter().for_each(|base| base.bring_near(index)),
        }
        if let Some(counters) = chunk.uses.get() {
            // Who counts those that share them stands beside the first.
            counters.first().into_iter().chain(counters.get(within)).for_each(bring_value_near);
        }
    }

    /// A slot to be changed; it and its neighbours are in memory from then on.
    pub(super) fn get_mut(&mut self, index: u32) -> &mut Linked {
        let own = self.own(index / CHUNK);
        &mut own[(index % CHUNK) as usize]
    }

    pub(super) fn last(&self) -> Option<EntryId> {
        self.length.checked_sub(1).map(|last| self.entry(last))
    }

    /// Appends a slot whose entry was used like this, packed.
    pub(super) fn push(&mut self, slot: Slot, used: u64) {
        let index = self.length;
        self.length = index.checked_add(1).expect("a list of 2^32 entries does not fit in memory");
        if index.is_multiple_of(CHUNK) {
            // Only the first grows step by step: most lists are short.
            let room = if index == 0 { 1 } else { CHUNK as usize };
            self.chunks.push(Chunk { own: Some(Arc::new(Vec::with_capacity(room))), uses: OnceLock::new() });
        }
        self.own(index / CHUNK).push(Linked::new(slot));
        let counted = self.chunks[(index / CHUNK) as usize].uses.get().map_or(0, |counters| counters.len() as u32);
        if used != 0 || (counted > 0 && counted <= index % CHUNK) {
            // Who holds the counters of before counts there, which is lost.
            let first = index - index % CHUNK;
            let known = (first..index).map(|at| self.used(at)).chain([used]);
            let room = counters_for(index - first + 1) as usize;
            let counters = known.chain(std::iter::repeat(0)).take(room).map(AtomicU64::new).collect::<Arc<[_]>>();
            self.chunks[(index / CHUNK) as usize].uses = OnceLock::from(counters);
        }
    }

    /// The counter of an entry's uses.
    pub(super) fn uses(&self, index: u32) -> Uses {
        let (number, within) = (index / CHUNK, index % CHUNK);
        let counters = self.chunks[number as usize].uses.get_or_init(|| {
            let first = number * CHUNK;
            let stored = |at: u32| if at < self.base_len() { self.section().uses(at) } else { 0 };
            let room = counters_for(CHUNK.min(self.length - first));
            (first..first + room).map(|at| AtomicU64::new(stored(at))).collect()
        });
        Uses::one_of(counters, within)
    }

    /// How an entry was used, packed.
    pub(super) fn used(&self, index: u32) -> u64 {
        match self.chunks[(index / CHUNK) as usize].uses.get() {
            Some(counters) => load(counters, index % CHUNK),
            None if index < self.base_len() => self.section().uses(index),
            None => 0,
        }
    }

    /// The first slot of an entry that is not before `entry`; the number of slots where all are.
    pub(super) fn first_from(&self, entry: EntryId) -> u32 {
        let (Some(last), EntryId(wanted)) = (self.length.checked_sub(1), entry) else { return 0 };
        let number = |index| self.entry(index).0;
        // The entry at `low` is before the wanted one, that at `high` is not.
        let (mut low, mut high) = ((0, number(0)), (last, number(last)));
        if low.1 >= wanted || high.1 < wanted {
            return if low.1 >= wanted { 0 } else { self.length };
        }
        for guess in 0.. {
            let between = high.0 - low.0;
            if between == 1 {
                break;
            }
            // Numbers have few gaps, so where an entry is can nearly be told from them; but they may also be far apart.
            let step = if guess < GUESSES { share(between, wanted - low.1, high.1 - low.1) } else { between / 2 };
            let middle = low.0 + step.clamp(1, between - 1);
            match number(middle) {
                found if found == wanted => return middle,
                found if found < wanted => low = (middle, found),
                found => high = (middle, found),
            }
        }
        high.0
    }

    fn section(&self) -> &Section {
        self.base.as_ref().expect("a chunk that is not in memory is in the section")
    }

    fn own(&mut self, number: u32) -> &mut Vec<Linked> {
        let first = number * CHUNK;
        let chunk = &mut self.chunks[number as usize];
        if chunk.own.is_none()
            && let Some(base) = &mut self.base
        {
            let stored = first..base.len().min(first + CHUNK);
            let own = stored.clone().map(|index| Linked::new(base.slot(index))).collect();
            // The slots have their files now; here they would stay for good.
            base.release_files(stored);
            chunk.own = Some(Arc::new(own));
        }
        Arc::make_mut(chunk.own.get_or_insert_default())
    }
}

/// As much of `all` as `part` is of `whole`.
fn share(all: u32, part: u64, whole: u64) -> u32 {
    let share = u128::from(all) * u128::from(part) / u128::from(whole.max(1));
    u32::try_from(share).unwrap_or(all)
}

/// Counters that are made for so many slots.
fn counters_for(slots: u32) -> u32 {
    slots.next_power_of_two().min(CHUNK)
}

fn load(counters: &[AtomicU64], at: u32) -> u64 {
    counters.get(at as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
}
