//! Bytes on the disk change: reported or harmless, never served, never a panic.

use rand::{Rng, SeedableRng, rngs::StdRng};
use waystore::{
    BodyError,
    store::{
        Changes, ListChange, NewBody, NewEntry, Read, ReadSet, Store, UrlMatch,
        disk::{DiskOptions, DiskStore, sim::SimDisk},
    },
};

use super::support::{Op, State, after, apply, commit, entry, full, list, open, read, relaxed, state};

/// Something deleted, something replaced, something in a second cache, a cache that is gone.
pub const SMALL: &[Op] = &[
    Op::Open("v1"),
    Op::Open("v2"),
    Op::Open("v3"),
    Op::Put("v1", &[("/kept", 20), ("/replaced", 30), ("/deleted", 40)]),
    Op::Put("v2", &[("/other", 50)]),
    Op::Put("v3", &[("/gone", 60)]),
    Op::Put("v1", &[("/replaced", 70)]),
    Op::Delete("v1", "/deleted"),
    Op::Drop("v3"),
    Op::Put("v1", &[("/last", 80)]),
];

/// A disk with what `script` leaves, closed, and what that is; without a checkpoint, so that the whole log is read.
pub async fn closed(script: &[Op], options: DiskOptions) -> (SimDisk, State) {
    let (disk, expected) = checkpointed(script, options).await;
    disk.remove("checkpoint");
    (disk, expected)
}

/// A disk with what `script` leaves, closed, and what that is.
pub async fn checkpointed(script: &[Op], options: DiskOptions) -> (SimDisk, State) {
    let disk = SimDisk::default();
    let store = open(&disk, options).unwrap();
    let mut expected = State::new();
    for op in script {
        assert!(apply(&store, *op).await, "{op:?}");
        expected = after(&expected, *op);
    }
    drop(store);
    (disk, expected)
}

/// One segment, as short as it can be.
pub fn short() -> DiskOptions {
    relaxed().segment_bytes(8 * 1024)
}

/// Whether nothing is in `found` that is not in `expected`.
pub fn is_part_of(found: &State, expected: &State) -> bool {
    found.iter().all(|(name, entries)| {
        let of_name = expected.iter().find(|(other, _)| other == name);
        of_name.is_some_and(|(_, all)| entries.iter().all(|entry| all.contains(entry)))
    })
}

/// Flips a bit of every byte of every file, each time in a fresh copy, and gives what opens then to `check`, with the file
/// and the byte.
async fn with_each_byte_changed(disk: &SimDisk, check: impl AsyncFn(&str, usize, DiskStore)) {
    for (path, length) in disk.files() {
        for at in 0..length {
            let disk = disk.copy();
            disk.edit(&path, |bytes| bytes[at] ^= 1 << (at % 8));
            match open(&disk, short()) {
                Ok(store) => check(&path, at, store).await,
                Err(_) => assert_eq!(path, "format", "byte {at} of {path} shuts out everything else"),
            }
        }
    }
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_a_closed_store_is_reported_or_harmless() {
    let (disk, expected) = closed(SMALL, short()).await;
    with_each_byte_changed(&disk, async |path, at, store| {
        let found = state(&store).await;
        assert!(is_part_of(&found, &expected), "byte {at} of {path} brings back {found:?}");
        let lost = count(&expected) - count(&found);
        assert!(lost <= 1, "byte {at} of {path} loses {lost} entries");
        assert!(lost == 0 || store.report().damage_count > 0, "byte {at} of {path}: a loss that is not reported");
        assert_eq!(found.len(), expected.len(), "byte {at} of {path} loses a cache");
    })
    .await;
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_a_closed_store_with_a_checkpoint_is_reported_or_harmless() {
    let (disk, expected) = checkpointed(SMALL, short()).await;
    with_each_byte_changed(&disk, async |path, at, store| {
        let found = state(&store).await;
        if path == "checkpoint" {
            assert_eq!(found, expected, "byte {at} of the checkpoint");
            assert_eq!(store.report().damage_count, 1, "byte {at} of the checkpoint is not reported");
            return;
        }
        assert!(is_part_of(&found, &expected), "byte {at} of {path} brings back {found:?}");
        let lost = count(&expected) - count(&found);
        let reported = store.damaged_entries() as usize + store.report().damage_count as usize;
        assert!(lost <= reported, "byte {at} of {path}: a loss that is not reported");
        assert!(lost <= 1, "byte {at} of {path} loses {lost} entries");
        assert_eq!(found.len(), expected.len(), "byte {at} of {path} loses a cache");
    })
    .await;
}

#[tokio::test]
async fn a_checkpoint_cut_anywhere_or_of_another_log_is_not_used() {
    let (disk, expected) = checkpointed(SMALL, short()).await;
    let length = disk.files().iter().find(|(path, _)| path == "checkpoint").unwrap().1;
    for cut in 0..length {
        let disk = disk.copy();
        disk.edit("checkpoint", |bytes| bytes.truncate(cut));
        let store = open(&disk, short()).unwrap();
        assert_eq!(state(&store).await, expected, "cut to {cut}");
        assert_eq!(store.report().damage_count, 1, "cut to {cut}");
        drop(store);
        assert!(open(&disk, short()).unwrap().report().is_clean(), "cut to {cut}: it is reported once");
    }
    // A longer log was here, and was put back to a shorter one.
    let before = disk.copy();
    let store = open(&disk, short()).unwrap();
    for number in 0..4 {
        assert!(apply(&store, Op::Put("v1", &[("/x", 5000), ("/y", 2000)])).await, "{number}");
    }
    drop(store);
    let mut newer = Vec::new();
    disk.edit("checkpoint", |bytes| newer.clone_from(bytes));
    before.edit("checkpoint", |bytes| *bytes = newer);
    let store = open(&before, short()).unwrap();
    assert_eq!(state(&store).await, expected);
    assert_eq!(store.report().damage_count, 1);
}

pub fn count(state: &State) -> usize {
    state.iter().map(|(_, entries)| entries.len()).sum()
}

#[tokio::test]
async fn whatever_a_damaged_sector_holds_nothing_wrong_is_served_and_the_store_works_on() {
    let script =
        [SMALL, &[Op::Put("v2", &[("/x", 10_000), ("/y", 70_000), ("/z", 60_000)]), Op::Put("v2", &[("/x", 11_000)])]]
            .concat();
    let (disk, expected) = closed(&script, relaxed()).await;
    let mut random = StdRng::seed_from_u64(1);
    for (path, length) in disk.files().into_iter().filter(|(path, _)| path.contains('/')) {
        for sector in 0..length / 512 {
            let disk = disk.copy();
            let garbage: [u8; 512] = if sector % 2 == 0 { [0; 512] } else { std::array::from_fn(|_| random.random()) };
            let mut changed = false;
            disk.edit(&path, |bytes| {
                let bytes = &mut bytes[sector * 512..][..512];
                changed = bytes != garbage;
                bytes.copy_from_slice(&garbage);
            });
            let store = open(&disk, relaxed()).unwrap();
            let found = state(&store).await;
            let reported = !store.report().is_clean();
            assert!(
                !changed || found == expected || reported || path.starts_with("bodies/"),
                "{path}, sector {sector}"
            );
            assert!(apply(&store, Op::Open("new")).await);
            assert!(apply(&store, Op::Put("new", &[("/n", 5)])).await);
            let now = state(&store).await;
            drop(store);
            assert_eq!(state(&open(&disk, relaxed()).unwrap()).await, now, "{path}, sector {sector}");
        }
    }
}

/// How far the second copy helps: `docs/format.md`, "Batches".
#[tokio::test]
async fn a_deletion_lost_with_both_copies_is_reported_and_undone_only_where_no_checkpoint_tells_of_it() {
    const LOG: &str = "log/0000000001.seg";
    const SCRIPT: &[Op] = &[
        Op::Open("v1"),
        Op::Put("v1", &[("/deleted", 40), ("/kept", 2000)]),
        Op::Delete("v1", "/deleted"),
        Op::Put("v1", &[("/last", 2000)]),
    ];
    let (disk, _) = checkpointed(SCRIPT, short()).await;
    let mut came_back = 0;
    for at in (0..8 * 1024).step_by(64) {
        let disk = disk.copy();
        disk.edit(LOG, |bytes| bytes[at..at + 512.min(8 * 1024 - at)].fill(0));
        let with_checkpoint = open(&disk.copy(), short()).unwrap();
        disk.remove("checkpoint");
        let without = open(&disk, short()).unwrap();
        let is_back =
            async |store| state(store).await.iter().flat_map(|(_, all)| all).any(|(url, _)| url == "/deleted");
        assert!(!is_back(&with_checkpoint).await, "512 bytes at {at}");
        if is_back(&without).await {
            came_back += 1;
            let told = &without.report().damage;
            assert!(told.iter().any(|finding| finding.contains("may be back")), "512 bytes at {at}: {told:?}");
        }
    }
    assert!(came_back > 0, "the limit is gone: docs/format.md need not name it any more");
}

#[tokio::test]
async fn a_log_of_noise_is_opened_without_a_panic() {
    let (disk, _) = closed(SMALL, short()).await;
    for seed in 0..300 {
        let disk = disk.copy();
        let mut random = StdRng::seed_from_u64(seed);
        disk.edit("log/0000000001.seg", |bytes| {
            for _ in 0..random.random_range(1..200) {
                let at = random.random_range(0..bytes.len());
                bytes[at] = random.random();
            }
            let cut = random.random_range(0..bytes.len() * 2);
            bytes.truncate(cut);
        });
        let store = open(&disk, short()).unwrap();
        state(&store).await;
        assert!(apply(&store, Op::Open("new")).await, "seed {seed}");
    }
}

#[tokio::test]
async fn s36_a_damaged_entry_takes_nothing_with_it_and_brings_nothing_back() {
    let script = [
        Op::Open("c"),
        Op::Put("c", &[("/a", 30)]),
        Op::Put("c", &[("/b", 31), ("/a", 40), ("/c", 32)]),
        Op::Put("c", &[("/d", 33)]),
    ];
    let (disk, _) = closed(&script, short()).await;
    let needle = super::support::content(40);
    disk.edit("log/0000000001.seg", |bytes| {
        let at = bytes.windows(40).position(|window| window == needle).unwrap();
        bytes[at] ^= 1;
    });
    let store = open(&disk, short()).unwrap();
    assert_eq!(state(&store).await, [("c".into(), vec![("/b".into(), 31), ("/c".into(), 32), ("/d".into(), 33)])]);
    assert_eq!(store.report().damage_count, 1);
    assert!(store.report().damage[0].contains("entry 3"), "{:?}", store.report());
}

/// Changes a byte in the record of the one entry with a body of 30 bytes: the first of the body, or the last before it.
pub fn turn_a_bit(disk: &SimDisk, of_body: bool) {
    let content = super::support::content(30);
    disk.edit(LOG, |bytes| {
        let at = bytes.windows(29).position(|window| window == &content[1..]).unwrap();
        bytes[at - if of_body { 1 } else { 2 }] ^= 1;
    });
}

#[tokio::test]
async fn an_entry_damaged_while_the_store_is_open_is_not_served_and_stays_away() {
    let (disk, _) = closed(&[Op::Open("c"), Op::Put("c", &[("/a", 30), ("/b", 40)])], short()).await;
    let store = open(&disk, short()).unwrap();
    turn_a_bit(&disk, false);
    let held = list(&store, "c").await;
    let url = full("/a");
    let reads = [Read { list: &held, url: UrlMatch::Exact(&url) }];
    assert!(store.candidates(&reads).await.unwrap().1.is_empty());
    assert_eq!(store.page(&held, None, 1).await.unwrap()[0].entry.url(), full("/b"));
    assert!(apply(&store, Op::Put("c", &[("/a", 50)])).await);
    let now = state(&store).await;
    assert_eq!(now, [("c".into(), vec![("/b".into(), 40), ("/a".into(), 50)])]);
    drop((held, store));
    // The disk may give the old bytes again: what was replaced stays away all the same.
    turn_a_bit(&disk, false);
    assert_eq!(state(&open(&disk, short()).unwrap()).await, now);
}

const LOG: &str = "log/0000000001.seg";

/// The bytes of the first segment, and where its last record ends.
fn log_of(disk: &SimDisk) -> (Vec<u8>, usize) {
    let mut log = Vec::new();
    disk.copy().edit(LOG, |bytes| log.clone_from(bytes));
    let used = log.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    (log, used.next_multiple_of(8))
}

#[tokio::test]
async fn bytes_of_a_lost_batch_that_come_back_do_not_count() {
    let (base, _) = closed(&[Op::Open("c")], short()).await;
    let lost = base.copy();
    let store = open(&lost, short()).unwrap();
    for put in [&[("/a", 10)], &[("/b", 10)]] {
        assert!(apply(&store, Op::Put("c", put)).await);
    }
    let (lost, _) = log_of(&lost);
    // Another run writes over the first of the two.
    let disk = base.copy();
    let store = open(&disk, short()).unwrap();
    for _ in 0..2 {
        disk.fail_write_after(0, 1);
        assert!(!apply(&store, Op::Put("c", &[("/a", 10)])).await);
    }
    assert!(apply(&store, Op::Put("c", &[("/x", 10)])).await);
    let (_, end) = log_of(&disk);
    let disk = disk.copy();
    disk.edit(LOG, |bytes| bytes[end..].copy_from_slice(&lost[end..]));
    let store = open(&disk, short()).unwrap();
    assert_eq!(state(&store).await, [("c".into(), vec![("/x".into(), 10)])]);
}

#[tokio::test]
async fn a_record_in_another_place_does_not_count() {
    let puts = [Op::Open("c"), Op::Put("c", &[("/a", 10)]), Op::Put("c", &[("/b", 20)]), Op::Put("c", &[("/c", 10)])];
    let (disk, _) = closed(&puts, short()).await;
    let find = |log: &[u8], needle: &str| log.windows(needle.len()).position(|at| at == needle.as_bytes()).unwrap();
    disk.edit(LOG, |log| {
        let (a, c) = (find(log, "https://a.test/a"), find(log, "https://a.test/c"));
        let before = 104 + 24 + 64;
        log.copy_within(c - before..c + 16, a - before);
    });
    let store = open(&disk, short()).unwrap();
    assert_eq!(state(&store).await, [("c".into(), vec![("/b".into(), 20), ("/c".into(), 10)])]);
    assert!(store.report().damage_count > 0);
}

#[tokio::test]
async fn s60_what_was_put_into_a_deleted_cache_is_no_damage() {
    let disk = SimDisk::default();
    let store = open(&disk, relaxed()).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    let held = list(&store, "c").await;
    assert!(apply(&store, Op::Drop("c")).await);
    let insert = vec![NewEntry { entry: entry("/x"), body: NewBody::Null }];
    let change = ListChange { list: held.clone(), remove: vec![], insert };
    let changes = Changes { names: vec![], lists: vec![change] };
    commit(&store, &ReadSet::default(), changes).await.unwrap();
    assert_eq!(store.page(&held, None, 10).await.unwrap().len(), 1);
    drop((held, store));
    let store = open(&disk, relaxed()).unwrap();
    assert!(store.report().is_clean(), "{:?}", store.report());
    assert!(state(&store).await.is_empty());
}

#[tokio::test]
async fn a_closed_store_that_loses_a_segment_loses_what_was_in_it_and_nothing_comes_back() {
    let (disk, expected) = checkpointed(super::check::LIVED, relaxed()).await;
    let segments = disk.files().into_iter().map(|(path, _)| path).filter(|path| path.starts_with("log/"));
    for path in segments {
        for headless in [false, true] {
            let disk = disk.copy();
            if headless {
                disk.edit(&path, |bytes| bytes[..1024].fill(1));
            } else {
                disk.remove(&path);
            }
            let store = open(&disk, relaxed()).unwrap();
            assert!(store.report().damage_count > 0, "{path}");
            let found = state(&store).await;
            assert!(is_part_of(&found, &expected), "{path}: {found:?}");
            assert_eq!(found.len(), expected.len(), "{path}: {found:?}");
            super::support::assert_counted(&store, &path).await;
        }
    }
}

#[tokio::test]
async fn a_body_in_the_place_of_another_of_the_same_length_is_not_served() {
    let disk = SimDisk::default();
    let store = open(&disk, relaxed()).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    let held = list(&store, "c").await;
    let mut insert = Vec::new();
    for (url, byte) in [("/a", 1), ("/b", 2)] {
        let mut writer = store.write_body(&super::support::key());
        for _ in 0..6 {
            writer.write(vec![byte; 50_000].into()).await.unwrap();
        }
        insert.push(NewEntry { entry: entry(url), body: NewBody::Written(writer.finish().await.unwrap()) });
    }
    let change = ListChange { list: held.clone(), remove: vec![], insert };
    commit(&store, &ReadSet::default(), Changes { names: vec![], lists: vec![change] }).await.unwrap();
    for (candidate, byte) in store.page(&held, None, 10).await.unwrap().iter().zip([1, 2]) {
        assert_eq!(read(candidate).await.unwrap(), vec![byte; 300_000]);
    }
    drop((held, store));
    let bodies: Vec<_> =
        disk.files().into_iter().map(|(path, _)| path).filter(|path| path.starts_with("bodies/")).collect();
    let (mut one, mut other) = (Vec::new(), Vec::new());
    disk.edit(&bodies[0], |bytes| one.clone_from(bytes));
    disk.edit(&bodies[1], |bytes| std::mem::swap(bytes, &mut one));
    disk.edit(&bodies[0], |bytes| std::mem::swap(bytes, &mut one));
    disk.edit(&bodies[0], |bytes| other.clone_from(bytes));
    assert_ne!(one, other);
    let store = open(&disk, relaxed()).unwrap();
    let held = list(&store, "c").await;
    for candidate in store.page(&held, None, 10).await.unwrap() {
        assert!(matches!(read(&candidate).await, Err(BodyError::Damaged(_))), "{}", candidate.entry.url());
    }
}
