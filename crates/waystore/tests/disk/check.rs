//! `check`: what is whole is found whole, whatever the store has lived through; and it changes nothing.

use std::sync::Arc;

use waystore::store::disk::{CheckReport, DiskStore, io::DiskIo, sim::SimDisk};

use super::{
    damage::{SMALL, checkpointed, short},
    support::{Op, apply, clock, open, relaxed, state},
};

/// The disk, as the store has it.
pub fn simulated(disk: &SimDisk) -> Arc<dyn DiskIo> {
    Arc::new(disk.clone())
}

pub fn check(disk: &SimDisk) -> waystore::Result<CheckReport> {
    DiskStore::check_on(&simulated(disk), &clock(), &mut |_| {})
}

/// Names given, taken and changed, entries replaced and deleted, bodies of every length, several segments, compaction.
pub const LIVED: &[Op] = &[
    Op::Open("v1"),
    Op::Open("v2"),
    Op::Open("old"),
    Op::Put("v1", &[("/kept", 20_000), ("/replaced", 30_000), ("/deleted", 40_000), ("/empty", 0)]),
    Op::Put("v2", &[("/big", 70_000), ("/bigger", 200_000)]),
    Op::Put("old", &[("/gone", 60_000), ("/gone-too", 90_000)]),
    Op::Put("v1", &[("/replaced", 50_000)]),
    Op::Rename("v2", "v3"),
    Op::Drop("old"),
    Op::Delete("v1", "/deleted"),
    Op::Put("v1", &[("/x", 60_000), ("/y", 61_000)]),
    Op::Put("v1", &[("/x", 62_000), ("/y", 63_000)]),
    Op::Tick,
    Op::Put("v3", &[("/big", 71_000), ("/same", 70_000)]),
    Op::Open("empty"),
    Op::Tick,
    Op::Put("v1", &[("/last", 80)]),
];

#[tokio::test]
async fn a_store_that_was_closed_is_whole() {
    for (script, options) in [(SMALL, short()), (LIVED, relaxed()), (&[], relaxed())] {
        let (disk, expected) = checkpointed(script, options).await;
        let changes = disk.changes();
        let report = check(&disk).unwrap();
        assert!(report.is_whole() && report.findings.is_empty(), "{:#?}", report.findings);
        assert_eq!(report.caches as usize, expected.len());
        assert_eq!(report.entries as usize, super::damage::count(&expected));
        assert_eq!(disk.changes(), changes, "it changed something");
    }
}

#[tokio::test]
async fn a_store_that_was_killed_after_any_operation_is_whole() {
    for (script, options) in [(SMALL, short()), (LIVED, relaxed())] {
        let disk = SimDisk::default();
        let mut store = open(&disk, options.clone()).unwrap();
        for (number, op) in script.iter().enumerate() {
            assert!(apply(&store, *op).await, "{op:?}");
            let killed = disk.copy();
            let report = check(&killed).unwrap();
            assert!(report.is_whole(), "after {number} {op:?}: {:#?}", report.findings);
            // And goes on well, whether it was closed or not.
            store = if number % 3 == 0 {
                drop(store);
                open(&disk, options.clone()).unwrap()
            } else {
                store
            };
            let report = check(&killed).unwrap();
            assert!(report.is_whole(), "{:#?}", report.findings);
        }
    }
}

#[tokio::test]
async fn beside_a_writer_nothing_is_called_damage_or_stray() {
    let disk = SimDisk::default();
    let store = open(&disk, relaxed()).unwrap();
    for op in LIVED {
        assert!(apply(&store, *op).await, "{op:?}");
        let changes = disk.changes();
        let report = check(&disk).unwrap();
        assert!(report.is_whole() && report.findings.is_empty(), "{op:?}: {:#?}", report.findings);
        assert_eq!(report.writer.unwrap().pid, Some(std::process::id()));
        assert_eq!(disk.changes(), changes, "it changed something");
    }
    let entries = super::damage::count(&state(&store).await) as u64;
    assert_eq!(check(&disk).unwrap().entries, entries);
}
