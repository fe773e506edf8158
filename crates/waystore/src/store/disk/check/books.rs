//! The books: what is counted is counted again, and the checkpoint is compared with the log.
//!
//! Reads nothing: compares what was read.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::{
    entries::Named,
    look::Look,
    report::{Effect, Finding},
};
use crate::store::{
    ListId, Usage,
    disk::{
        checkpoint::ListState,
        format::{Position, record_length},
        index::Index,
        replay::Replayed,
        slots::{Slot, Slots},
    },
};

/// What was told of a list, and what its entries add up to.
struct Book {
    told: ListState,
    entries: Vec<(u64, Position)>,
    usage: Usage,
    bytes: BTreeMap<u32, u64>,
}

/// Counts again what `opened` counts.
pub(super) fn recount(opened: &Replayed, named: &Named, look: &mut Look) {
    let books = books(opened);
    let mut wrong = |what: String| {
        look.hurt.checkpoint = true;
        look.report.push(Finding::new("checkpoint", what, Effect::Harmless));
    };
    let mut live: BTreeMap<u32, u64> = BTreeMap::new();
    let mut used = Usage::default();
    for (list, book) in &books {
        let name = || named.get(list).map_or_else(|| format!("list {}", list.0), |(_, name)| format!("`{name}`"));
        if book.usage != book.told.usage {
            let (told, counted) = (book.told.usage, book.usage);
            wrong(format!("the usage of {} is {} bytes, and said to be {}", name(), counted.padded, told.padded));
        }
        if book.bytes != book.told.bytes {
            wrong(format!("the bytes of {} in the log are not what they are said to be", name()));
        }
        used += book.usage;
        used += Usage::of_name(&book.told.named.name);
        let (bound, bytes) = book.told.bound;
        *live.entry(bound.segment()).or_default() += bytes;
        book.bytes.iter().for_each(|(segment, bytes)| *live.entry(*segment).or_default() += bytes);
    }
    for (segment, told) in opened.index.usage.iter() {
        let counted = live.get(&segment).copied().unwrap_or_default();
        if told.live != counted {
            wrong(format!("{counted} bytes of segment {segment} are live, and said to be {}", told.live));
        }
    }
    let told = opened.index.ledger.usage(None);
    if told != used {
        wrong(format!("{} bytes are used, and said to be {}", used.padded, told.padded));
    }
}

/// Compares what the checkpoint and the log after it tell with what the log alone tells.
pub(super) fn compare(opened: &Replayed, log: &Replayed, named: &Named, look: &mut Look) {
    let (told, said) = (books(opened), books(log));
    let mut wrong = |what: String| {
        look.hurt.checkpoint = true;
        look.report.push(Finding::new("checkpoint", what, Effect::Unknown));
    };
    if opened.end != log.end {
        wrong("it ends elsewhere than the log".into());
    }
    if told.len() != said.len() {
        wrong(format!("it tells of {} names, and the log of {}", told.len(), said.len()));
    }
    for (list, told) in &told {
        let Some(said) = said.get(list) else { continue };
        let name = || named.get(list).map_or_else(|| format!("list {}", list.0), |(_, name)| format!("`{name}`"));
        if told.told.named != said.told.named {
            wrong(format!("{} has another name in the log", name()));
        }
        if told.entries != said.entries {
            wrong(format!("it tells of other entries in {} than the log", name()));
        }
        if told.told.bound != said.told.bound {
            wrong(format!("it tells of another record for the name {}", name()));
        }
    }
    let there = |count: &HashMap<u32, u64>| -> HashMap<u32, u64> {
        let of_there = count.iter().filter(|(target, _)| log.index.usage.get(**target).is_some());
        of_there.map(|(target, bytes)| (*target, *bytes)).collect()
    };
    for (segment, told) in opened.index.usage.iter() {
        let said = log.index.usage.get(segment).map(|said| &said.removals);
        if said.is_none_or(|said| !about_equal(&there(&told.removals), said)) {
            wrong(format!("it counts other deletions in segment {segment} than the log has"));
        }
    }
    if opened.next.entry < log.next.entry || opened.next.list < log.next.list || opened.next.batch < log.next.batch {
        wrong("its next numbers were given before".into());
    }
}

/// Whether two counts are the same but for rounding: a removal's bytes, at least 16 for each thing removed, are shared out.
fn about_equal(one: &HashMap<u32, u64>, other: &HashMap<u32, u64>) -> bool {
    let of = |counts: &HashMap<u32, u64>, segment: &u32| counts.get(segment).copied().unwrap_or_default();
    let mut segments = one.keys().chain(other.keys());
    segments.all(|segment| {
        let (one, other) = (of(one, segment), of(other, segment));
        one.abs_diff(other) <= one.max(other) / 16
    })
}

fn books(replayed: &Replayed) -> HashMap<ListId, Book> {
    let lists = replayed.index.checkpoint(replayed.end, replayed.next).lists;
    let mut books: HashMap<ListId, Book> = HashMap::new();
    for told in lists {
        let book = Book { entries: Vec::new(), usage: Usage::default(), bytes: BTreeMap::new(), told };
        books.insert(book.told.list, book);
    }
    for (list, slot) in replayed.index.all() {
        if let Some(book) = books.get_mut(&list) {
            book.add(&slot);
        }
    }
    books
}

impl Book {
    fn add(&mut self, slot: &Slot) {
        self.entries.push((slot.entry.0, slot.at));
        self.usage += slot.usage();
        let bytes = record_length(slot.payload_length as usize) as u64;
        *self.bytes.entry(slot.at.segment()).or_default() += bytes;
    }
}

/// Loads every list. Returns those whose section cannot be.
pub(super) fn load_all(index: &mut Index, lists: impl IntoIterator<Item = ListId>) -> Vec<ListId> {
    let mut failed = Vec::new();
    for list in lists {
        let Some(section) = index.stored(list).cloned() else { continue };
        if section.is_whole() {
            index.load(list, Slots::stored(section));
        } else {
            failed.push(list);
        }
    }
    failed
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{
        Bottle, Clock, Place, StorageKey,
        store::{
            Changes, NameChange, ReadSet, Store,
            disk::{
                DiskOptions, DiskStore,
                bodies::Bodies,
                checkpoint::{Checkpoint, Found},
                io::DiskIo,
                sim::SimDisk,
            },
        },
    };

    fn clock() -> Arc<Clock> {
        Arc::new(Clock::fixed(0, 7))
    }

    /// A closed store with two empty caches.
    fn closed() -> Arc<dyn DiskIo> {
        let disk: Arc<dyn DiskIo> = Arc::new(SimDisk::default());
        let options = DiskOptions::default().sync_every(None).segment_bytes(8 * 1024);
        let store = DiskStore::open_on(Arc::clone(&disk), clock(), options).unwrap();
        let key = StorageKey::new("https://a.test").unwrap();
        let names = ["v1", "v2"].map(|name| NameChange::Bind(Place::new(key.clone(), Bottle::Caches), name.into()));
        let changes = Changes { names: names.to_vec(), lists: vec![] };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(store.commit(&key, clock().op_id(), &ReadSet::default(), &changes)).unwrap();
        disk
    }

    /// What a check says once `change` was made to the checkpoint, and once that was repaired.
    fn told(change: impl FnOnce(&mut Checkpoint)) -> (Vec<String>, bool) {
        let disk = closed();
        let bodies = Bodies::new(Arc::clone(&disk), clock(), false, false);
        let Found::Whole(mut checkpoint) = Checkpoint::read(&bodies).unwrap() else { panic!("it was just written") };
        change(&mut checkpoint);
        checkpoint.write(&*disk, "tmp/changed").unwrap();
        let report = DiskStore::check_on(&disk, &clock(), &mut |_| {}).unwrap();
        let repaired = DiskStore::repair_on(&disk, &clock(), &mut |_| {}).unwrap();
        assert_eq!(repaired.after.caches, 2);
        (report.findings.iter().map(ToString::to_string).collect(), repaired.after.is_whole())
    }

    #[test]
    fn whatever_the_checkpoint_counts_or_tells_wrongly_is_found_and_repaired() {
        type Change = fn(&mut Checkpoint);
        let changes: [(Change, &str); 7] = [
            (|checkpoint| checkpoint.lists[0].usage.padded += 1, "the usage of"),
            (|checkpoint| checkpoint.lists[0].bytes = [(1, 8)].into(), "the bytes of"),
            (|checkpoint| checkpoint.segments[0].live += 8, "bytes of segment 1 are live"),
            (|checkpoint| checkpoint.lists[0].named.name = "v3".into(), "has another name in the log"),
            (|checkpoint| checkpoint.lists[0].bound.0.0 += 8, "another record for the name"),
            (|checkpoint| checkpoint.lists.truncate(1), "it tells of 1 names, and the log of 2"),
            (|checkpoint| checkpoint.next.list = 1, "next numbers were given before"),
        ];
        assert_eq!(told(|_| {}), (vec![], true));
        for (change, what) in changes {
            let (findings, whole_then) = told(change);
            assert!(findings.iter().any(|finding| finding.contains(what)), "{what}: {findings:?}");
            assert!(whole_then, "{what}");
        }
    }
}
