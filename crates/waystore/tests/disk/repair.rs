//! `repair`: whatever was damaged, what is whole is kept, nothing comes back, and a second check finds the store whole.

use rand::{Rng, SeedableRng, rngs::StdRng};
use waystore::{
    Error,
    store::disk::{DiskStore, Effect, RepairReport, sim::SimDisk},
};

use super::{
    check::{LIVED, check, simulated},
    damage::{checkpointed, count, is_part_of},
    support::{Op, State, after, apply, clock, open, relaxed, state},
};

fn repair(disk: &SimDisk) -> waystore::Result<RepairReport> {
    DiskStore::repair_on(&simulated(disk), &clock(), &mut |_| {})
}

/// Repairs `disk`, which held `expected` before it was damaged, and looks at what is left.
async fn assert_mended(disk: &SimDisk, expected: &State, what: &str) -> RepairReport {
    let readable = state(&open(&disk.copy(), relaxed()).unwrap()).await;
    let report = repair(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(
        report.after.findings.is_empty(),
        "{what}: {:#?} from {:#?}",
        report.after.findings,
        report.before.findings
    );
    let store = open(disk, relaxed()).unwrap();
    assert!(store.report().is_clean(), "{what}: {:?}", store.report());
    let left = state(&store).await;
    assert_eq!(store.damaged_entries(), 0, "{what}");
    assert!(is_part_of(&left, expected), "{what}: {left:?} was not there, of {:#?}", report.before.findings);
    assert!(is_part_of(&readable, &left), "{what}: of {readable:?} only {left:?} was kept");
    let is_known = !report.before.findings.iter().any(|finding| finding.effect == Effect::Unknown);
    let lost = (count(expected) - count(&left)) as u64;
    assert!(!is_known || lost == report.before.lost_entries, "{what}: {lost} lost, {:#?}", report.before.findings);
    // It works on.
    assert!(apply(&store, Op::Open("new")).await, "{what}");
    assert!(apply(&store, Op::Put("new", &[("/n", 5), ("/large", 80_000)])).await, "{what}");
    drop(store);
    let again = check(disk).unwrap();
    assert!(again.findings.is_empty(), "{what}: {:#?}", again.findings);
    report
}

#[tokio::test]
async fn whatever_happens_to_a_file_the_rest_is_kept() {
    let (disk, expected) = checkpointed(LIVED, relaxed()).await;
    let mut random = StdRng::seed_from_u64(3);
    for (path, length) in disk.files() {
        if matches!(path.as_str(), "lock" | "readers") || path.starts_with("tmp/") {
            continue;
        }
        for kind in 0..7 {
            for _ in 0..6 {
                let disk = disk.copy();
                let (at, other) = (random.random_range(0..length), random.random_range(0..length));
                let mut changed = true;
                disk.edit(&path, |bytes| {
                    let before = bytes.clone();
                    let sector = at / 512 * 512..length.min(at / 512 * 512 + 512);
                    match kind {
                        0 => bytes[at] ^= 1 << random.random_range(0..8),
                        1 => bytes[sector].fill(0),
                        2 => random.fill(&mut bytes[sector]),
                        3 => bytes.truncate(at),
                        4 => bytes.extend_from_slice(&[7; 100]),
                        5 => bytes[at.min(other)..at.max(other)].fill(0),
                        _ => bytes.clear(),
                    }
                    changed = *bytes != before;
                });
                let what = format!("{path}, damage {kind} at {at}, {other}");
                if changed && path != "format" {
                    assert_mended(&disk, &expected, &what).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_is_missing_or_in_the_place_of_another_is_found_and_the_rest_kept() {
    let (disk, expected) = checkpointed(LIVED, relaxed()).await;
    let paths: Vec<String> = disk.files().into_iter().map(|(path, _)| path).filter(|path| path.contains('/')).collect();
    let paths: Vec<String> = paths.into_iter().filter(|path| !path.starts_with("tmp/")).collect();
    for path in &paths {
        let missing = disk.copy();
        missing.remove(path);
        let report = assert_mended(&missing, &expected, &format!("{path} is missing")).await;
        assert!(!report.before.is_whole(), "{path} is missing");
        for other in paths.iter().filter(|other| other > &path) {
            let swapped = disk.copy();
            let (mut one, mut two) = (Vec::new(), Vec::new());
            swapped.edit(path, |bytes| one.clone_from(bytes));
            swapped.edit(other, |bytes| two.clone_from(bytes));
            swapped.edit(path, |bytes| bytes.clone_from(&two));
            swapped.edit(other, |bytes| bytes.clone_from(&one));
            let report = assert_mended(&swapped, &expected, &format!("{path} is {other}")).await;
            assert!(!report.before.is_whole(), "{path} is {other}");
        }
    }
}

/// Turns a bit of the first `needle` in a file.
fn turn_at(disk: &SimDisk, path: &str, needle: &[u8]) {
    disk.edit(path, |bytes| {
        let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
        bytes[at] ^= 1;
    });
}

/// The paths of files that begin so.
fn paths(disk: &SimDisk, beginning: &str) -> Vec<String> {
    disk.files().into_iter().map(|(path, _)| path).filter(|path| path.starts_with(beginning)).collect()
}

#[tokio::test]
async fn several_damaged_places_at_once_lose_no_more_than_what_was_in_them() {
    let (disk, expected) = checkpointed(LIVED, relaxed()).await;
    for seed in 0..40 {
        let disk = disk.copy();
        let mut random = StdRng::seed_from_u64(seed);
        // The checkpoint tells what a removal took away whose copies are both hit.
        let files: Vec<_> = disk
            .files()
            .into_iter()
            .filter(|(path, _)| path.starts_with("log/") || path.starts_with("bodies/"))
            .collect();
        for _ in 0..random.random_range(2..20) {
            let (path, length) = &files[random.random_range(0..files.len())];
            let at = random.random_range(0..*length);
            disk.edit(path, |bytes| bytes[at] ^= 1 << random.random_range(0..8));
        }
        assert_mended(&disk, &expected, &format!("seed {seed}")).await;
    }
}

#[tokio::test]
async fn a_store_that_was_killed_is_repaired_too() {
    let disk = SimDisk::default();
    let store = open(&disk, relaxed()).unwrap();
    let mut expected = State::new();
    for op in LIVED {
        assert!(apply(&store, *op).await, "{op:?}");
        expected = after(&expected, *op);
    }
    store.tick().unwrap();
    let killed = disk.copy();
    for seed in 0..60 {
        let disk = killed.copy();
        let mut random = StdRng::seed_from_u64(seed);
        let files = disk.files();
        let (path, length) = &files[random.random_range(0..files.len())];
        if *length == 0 || path == "format" || path.starts_with("tmp/") {
            continue;
        }
        let at = random.random_range(0..*length);
        disk.edit(path, |bytes| bytes[at] ^= 1 << random.random_range(0..8));
        if !check(&disk).unwrap().is_whole() {
            assert_mended(&disk, &expected, &format!("byte {at} of {path}")).await;
        }
    }
}

#[tokio::test]
async fn wherever_a_repair_ends_early_another_finishes_it() {
    let (disk, expected) = checkpointed(LIVED, relaxed()).await;
    let last = paths(&disk, "log/").pop().unwrap();
    turn_at(&disk, &last, b"https://a.test/last");
    turn_at(&disk, &paths(&disk, "bodies/")[0], &[0; 1]);
    disk.edit("closed", |bytes| bytes[3] ^= 1);
    let readable = state(&open(&disk.copy(), relaxed()).unwrap()).await;
    for changes in 1.. {
        let disk = disk.copy();
        disk.stop_after(changes, changes);
        let done = repair(&disk).is_ok();
        if changes % 2 == 0 {
            disk.restart();
        } else {
            disk.lose_power(changes);
        }
        let what = format!("ended after {changes}");
        let finished = repair(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(finished.after.is_whole(), "{what}: {:#?}", finished.after.findings);
        let store = open(&disk, relaxed()).unwrap();
        let left = state(&store).await;
        // A second one that finds nothing damaged leaves the end of a write that was cut short to the next who opens it.
        assert_eq!((store.report().damage_count, store.damaged_entries()), (0, 0), "{what}: {:?}", store.report());
        assert!(is_part_of(&left, &expected) && is_part_of(&readable, &left), "{what}: {left:?}");
        if done {
            return;
        }
    }
}

#[tokio::test]
async fn where_the_disk_cannot_read_a_place_the_rest_of_the_file_is_kept() {
    let (disk, expected) = checkpointed(LIVED, relaxed()).await;
    let (body, segments) = (paths(&disk, "bodies/").remove(0), paths(&disk, "log/"));
    for path in segments.iter().chain([&body, &"checkpoint".to_owned()]) {
        let disk = disk.copy();
        disk.spoil_sector(path, 20_000.min(disk.files().iter().find(|(other, _)| other == path).unwrap().1 - 1));
        let report = check(&disk).unwrap();
        let finding = report.findings.iter().find(|finding| finding.file == *path).unwrap();
        assert!(finding.detail.contains("the disk cannot read"), "{finding}");
        let report = repair(&disk).unwrap();
        assert!(report.after.is_whole(), "{path}: {:#?}", report.after.findings);
        let left = state(&open(&disk, relaxed()).unwrap()).await;
        assert!(is_part_of(&left, &expected) && left.len() == expected.len(), "{path}: {left:?}");
        assert!(count(&left) + 1 >= count(&expected), "{path}: {left:?}");
    }
}

#[tokio::test]
async fn what_is_taken_out_is_kept_apart_each_time() {
    let (disk, _) = checkpointed(LIVED, relaxed()).await;
    for number in 1..4 {
        let body = paths(&disk, "bodies/").remove(0);
        disk.edit(&body, |bytes| bytes[0] ^= 1);
        let mut damaged = Vec::new();
        disk.edit(&body, |bytes| damaged.clone_from(bytes));
        let report = repair(&disk).unwrap();
        assert_eq!(report.set_aside, Some(format!("damaged/{number}")));
        disk.edit(&format!("damaged/{number}/{body}"), |bytes| assert_eq!(*bytes, damaged));
    }
}

#[tokio::test]
async fn a_damaged_format_is_put_right_and_another_is_left_alone() {
    let (disk, expected) = checkpointed(LIVED, relaxed()).await;
    let damaged = disk.copy();
    damaged.edit("format", |bytes| bytes[0] ^= 1);
    assert!(open(&damaged, relaxed()).is_err());
    assert!(repair(&damaged).unwrap().after.is_whole());
    assert_eq!(state(&open(&damaged, relaxed()).unwrap()).await, expected);
    disk.edit("format", |bytes| *bytes = b"waystore data directory, format 2\n".to_vec());
    let changes = disk.changes();
    assert!(matches!(repair(&disk), Err(Error::NotAStore { reason, .. }) if reason.contains("format 2")));
    assert_eq!(disk.changes(), changes);
}

#[tokio::test]
async fn a_whole_store_is_not_touched() {
    let (disk, _) = checkpointed(LIVED, relaxed()).await;
    let (files, changes) = (disk.files(), disk.changes());
    let report = repair(&disk).unwrap();
    assert_eq!((report.set_aside, report.before), (None, report.after));
    assert_eq!(disk.files(), files);
    // The lock was taken.
    assert_eq!(disk.changes(), changes + 1);
}

#[tokio::test]
async fn who_writes_is_named_and_nothing_is_touched() {
    let (disk, _) = checkpointed(LIVED, relaxed()).await;
    let store = open(&disk, relaxed()).unwrap();
    let changes = disk.changes();
    assert!(matches!(repair(&disk), Err(Error::Locked { pid: Some(pid), .. }) if pid == std::process::id()));
    assert_eq!(disk.changes(), changes);
    drop(store);
}
