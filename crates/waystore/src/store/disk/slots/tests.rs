//! Lists in memory and lists that begin in a checkpoint hold what a plain list would.

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;
use crate::store::disk::checkpoint::stored;

fn slot(entry: u64, url: u32, path: u32) -> Slot {
    let (entry, at) = (EntryId(entry), Position::new(1, entry as u32 + 1));
    Slot { entry, at, payload_length: 0, hashes: UrlHashes { url, path }, file: None, padding: 0 }
}

fn gone(entry: u64) -> Gone {
    Removed { entry: EntryId(entry), at: Position::default() }.into()
}

fn numbers(slots: impl IntoIterator<Item = Found>) -> Vec<u64> {
    slots.into_iter().map(|slot| slot.entry.0).collect()
}

/// Entries, each with its hashes and how often it was used.
type Plain = BTreeMap<u64, (u32, u32, u64)>;

fn assert_same(slots: &Slots, plain: &Plain, random: &mut StdRng) {
    let (url, path) = (random.random_range(0..200), random.random_range(0..5));
    let of_url: Vec<_> = plain.iter().filter(|(_, known)| known.0 == url).map(|(entry, _)| *entry).collect();
    assert_eq!(numbers(slots.find(By::Url(url), |_| ())), of_url);
    let of_path: Vec<_> = plain.iter().filter(|(_, known)| known.1 == path).map(|(entry, _)| *entry).collect();
    assert_eq!(numbers(slots.find(By::Path(path), |_| ())), of_path);
    let after = random.random_range(0..=plain.keys().next_back().copied().unwrap_or_default());
    let rest: Vec<_> = plain.range(after + 1..).map(|(entry, _)| *entry).collect();
    assert_eq!(numbers(slots.after(Some(EntryId(after)))), rest);
    let used: Vec<_> = slots.snapshot().iter().map(|(slot, used)| (slot.entry.0, used & 0xFFFF_FFFF)).collect();
    assert_eq!(used, plain.iter().map(|(entry, known)| (*entry, known.2)).collect::<Vec<_>>());
    assert_eq!(slots.len(), plain.len());
    assert!(slots.chunks.len() as usize <= 2 * plain.len() + GONE as usize);
}

#[test]
fn after_any_changes_the_list_holds_what_a_plain_list_would() {
    for seed in 0..4 {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut slots, mut plain) = (Slots::default(), Plain::new());
        let mut seen = None;
        for entry in 1..10_000_u64 {
            let (url, path) = (random.random_range(0..200), random.random_range(0..5));
            assert!(slots.insert(slot(entry, url, path)).is_none());
            plain.insert(entry, (url, path, 0));
            while plain.len() > 700 || (!plain.is_empty() && random.random_bool(0.3)) {
                let at = random.random_range(0..plain.len());
                let entry = *plain.keys().nth(at).unwrap();
                plain.remove(&entry);
                // Seen just now, seen at some time before the list changed, or not at all.
                let found = slots.get(EntryId(entry)).map(|found| found.gone());
                let stale = seen.replace(found.unwrap().seen_at).flatten().filter(|_| random.random_bool(0.5));
                let gone =
                    if random.random_bool(0.5) { found.unwrap() } else { Gone { seen_at: stale, ..gone(entry) } };
                assert_eq!(slots.remove(gone).map(|slot| slot.entry), Some(EntryId(entry)));
                assert!(slots.remove(gone).is_none());
            }
            if let Some(known) = plain.get_mut(&entry) {
                let found = slots.get(EntryId(entry)).unwrap();
                slots.uses(&found).note(60_000);
                known.2 += 1;
            }
            match random.random_range(0..2000) {
                // The store was closed and opened again.
                0 | 1 => slots = Slots::stored(stored(&slots.snapshot())),
                2 => slots.index_paths(),
                // Compaction moved an entry.
                3..300 => {
                    if let Some((entry, (url, path, _))) = plain.iter().nth(random.random_range(0..700)) {
                        assert!(slots.insert(slot(*entry, *url, *path)).is_some());
                    }
                }
                300..340 => assert_same(&slots, &plain, &mut random),
                _ => {}
            }
        }
    }
}

#[test]
fn entries_that_came_late_stay_though_many_others_go_before_the_log_ends() {
    let mut slots = Slots::default();
    (100..300).for_each(|entry| drop(slots.insert(slot(entry, 1, 1))));
    // Compaction moved their records past those of the others.
    (1..=10).for_each(|entry| drop(slots.insert(slot(entry, 1, 1))));
    (100..300).for_each(|entry| drop(slots.remove(gone(entry))));
    assert_eq!(slots.len(), 10);
    slots.settle();
    assert_eq!(numbers(slots.after(None)), (1..=10).collect::<Vec<_>>());
}

#[test]
fn an_entry_is_found_by_its_number_however_far_apart_the_numbers_are() {
    let steps: [fn(u64) -> u64; 4] =
        [|at| at + 1, |at| at * at + 7, |at| if at < 500 { at } else { (1 << 61) + at * 3 }, |at| 2 << (at % 60)];
    for step in steps {
        let known: std::collections::BTreeSet<_> = (0..1000).map(step).collect();
        let mut slots = Slots::default();
        known.iter().for_each(|entry| drop(slots.insert(slot(*entry, 1, 1))));
        for wanted in known.iter().flat_map(|entry| [entry.saturating_sub(1), *entry, entry + 1]).chain([0, u64::MAX]) {
            let before = known.range(..wanted).count() as u32;
            assert_eq!(slots.chunks.first_from(EntryId(wanted)), before, "{wanted}");
        }
    }
}

#[test]
fn a_stored_list_finds_by_both_hashes_whatever_their_number() {
    for count in [0, 1, 2, 255, 256, 257, 5000, 20_000] {
        let mut slots = Slots::default();
        (1..=count).for_each(|entry| drop(slots.insert(slot(entry, (entry as u32 / 2).wrapping_mul(0x9E37_79B9), !0))));
        let stored = Slots::stored(stored(&slots.snapshot()));
        assert_eq!(numbers(stored.after(None)), (1..=count).collect::<Vec<_>>());
        assert_eq!(numbers(stored.find(By::Path(!0), |_| ())), (1..=count).collect::<Vec<_>>());
        for entry in 1..=count {
            let hash = (entry as u32 / 2).wrapping_mul(0x9E37_79B9);
            let same = [entry & !1, entry | 1].into_iter().filter(|entry| (1..=count).contains(entry));
            assert_eq!(numbers(stored.find(By::Url(hash), |_| ())), same.collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_search_tells_where_the_records_are_before_it_looks_at_slots() {
    let mut slots = Slots::default();
    (1..=20_000).for_each(|entry| drop(slots.insert(slot(entry, entry as u32 / 2, !0))));
    let stored = Slots::stored(stored(&slots.snapshot()));
    assert!(stored.guide.is_some());
    let young = slot(20_001, 50, !0);
    for mut slots in [slots, stored] {
        slots.insert(young.clone());
        let told = std::cell::RefCell::new(Vec::new());
        let found: Vec<_> = slots.find(By::Url(50), |at| told.borrow_mut().push(at));
        let at: Vec<_> = found.iter().map(|found| found.at).collect();
        let mut told = told.into_inner();
        told.sort_unstable();
        assert_eq!((told, found.len()), (at, 3));
    }
}

#[test]
fn a_long_stored_list_finds_an_entry_where_it_was_moved_and_no_entry_that_is_gone() {
    let mut slots = Slots::default();
    (1..=20_000).for_each(|entry| drop(slots.insert(slot(entry, entry as u32, !0))));
    let mut slots = Slots::stored(stored(&slots.snapshot()));
    let moved = Slot { at: Position::new(7, 70), ..slot(300, 300, !0) };
    assert!(slots.insert(moved).is_some());
    assert!(slots.remove(gone(301)).is_some());
    let at = |hash| slots.find(By::Url(hash), |_| ()).iter().map(|found| found.at).collect::<Vec<_>>();
    assert_eq!(at(299), [Position::new(1, 300)]);
    assert_eq!(at(300), [Position::new(7, 70)]);
    assert_eq!((at(301), at(20_001)), (vec![], vec![]));
}

#[test]
fn what_comes_late_is_in_its_place_once_settled() {
    let mut slots = Slots::default();
    for entry in [5, 6, 2, 9, 1] {
        slots.insert(slot(entry, 7, 7));
    }
    assert!(slots.remove(gone(2)).is_some());
    slots.insert(slot(3, 7, 8));
    assert_eq!(slots.all().count(), 5);
    slots.settle();
    assert_eq!(numbers(slots.after(None)), [1, 3, 5, 6, 9]);
    assert_eq!(numbers(slots.find(By::Path(7), |_| ())), [1, 5, 6, 9]);
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let mut slots = Slots::default();
    (0..3000).for_each(|entry| drop(slots.insert(slot(entry, 1, 1))));
    let snapshot = slots.snapshot();
    (0..3000).step_by(2).for_each(|entry| drop(slots.remove(gone(entry))));
    slots.insert(slot(4000, 1, 1));
    assert_eq!(snapshot.iter().count(), 3000);
}

#[test]
fn an_entry_takes_at_most_96_bytes() {
    // Two tables of numbers, at worst just grown: 16/7 places of 5 bytes for each; and a counter.
    let chunk = size_of::<chunks::Chunk>() as f64 / 256.0;
    assert!(size_of::<Linked>() as f64 + chunk + 2.0 * 5.0 * 16.0 / 7.0 + 8.0 <= 96.0);
}

#[test]
fn a_stored_entry_takes_at_most_96_bytes_with_its_way_there() {
    // The latter has as many buckets as there can be for its number.
    for count in [20_000, 32_769] {
        let mut slots = Slots::default();
        let hash = |entry: u64| (entry as u32).wrapping_mul(0x9E37_79B9);
        (1..=count).for_each(|entry| drop(slots.insert(slot(entry, hash(entry), !0))));
        let section = stored(&slots.snapshot());
        let guide = Guide::to(&section).expect("the list is long");
        let mapped = section.bytes().len() + guide.length();
        let chunk = size_of::<chunks::Chunk>() as f64 / 256.0;
        assert!(mapped as f64 / count as f64 + chunk + 8.0 <= 96.0, "{count}: {mapped}");
    }
}
