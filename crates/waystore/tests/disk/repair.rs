//! `repair`: whatever was damaged, what is whole is kept, nothing comes back, and a second check finds the store whole.

use rand::{Rng, SeedableRng, rngs::StdRng};
use waystore::{
    Error,
    store::disk::{DiskStore, Effect, RepairReport, sim::SimDisk},
};

use super::{
    check::{LIVED, check, simulated},
    damage::{checkpointed, count, is_part_of},
    support::{Op, State, apply, clock, open, relaxed, state},
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
