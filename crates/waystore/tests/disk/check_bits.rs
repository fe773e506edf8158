//! Every bit of a small store, one after the other: a check finds that it was turned, or it makes no difference.

use waystore::{
    Error,
    store::disk::{DiskOptions, sim::SimDisk},
};

use super::{
    check::check,
    damage::{SMALL, checkpointed},
    support::{State, open, relaxed, state},
};

/// One segment, and hardly anything in it that is not used.
fn shortest() -> DiskOptions {
    relaxed().segment_bytes(5 * 1024)
}

/// What a process that opens the directory is served, with the checkpoint and without. `None`: it is told of damage.
async fn served(disk: &SimDisk) -> Vec<Option<State>> {
    let without = disk.copy();
    without.remove("checkpoint");
    without.remove("closed");
    let mut served = Vec::new();
    for disk in [disk.copy(), without] {
        let store = open(&disk, shortest()).unwrap();
        let found = state(&store).await;
        served.push((store.report().damage_count == 0 && store.damaged_entries() == 0).then_some(found));
    }
    served
}

/// Turns `bits` in `path` one by one. Returns how many a check found; the others make no difference.
async fn turn(disk: &SimDisk, path: &str, bits: impl Iterator<Item = usize>, expected: &State) -> usize {
    let mut found = 0;
    let disk = disk.copy();
    for bit in bits {
        let turn = |bytes: &mut Vec<u8>| bytes[bit / 8] ^= 1 << (bit % 8);
        disk.edit(path, turn);
        let is_found = match check(&disk) {
            Ok(report) => !report.is_whole(),
            Err(Error::NotAStore { .. }) => path == "format",
            Err(error) => panic!("bit {bit} of {path}: {error}"),
        };
        found += usize::from(is_found);
        if !is_found {
            let served = served(&disk).await;
            assert!(served.iter().all(|served| served.as_ref() == Some(expected)), "bit {bit} of {path} is not found");
        }
        disk.edit(path, turn);
    }
    found
}

#[tokio::test]
async fn every_bit_of_a_small_store_is_checked_or_makes_no_difference() {
    let (disk, expected) = checkpointed(SMALL, shortest()).await;
    for (path, length) in disk.files() {
        let found = turn(&disk, &path, 0..8 * length, &expected).await;
        // Of a log, what was not written yet and what fills up records to a multiple of 8 bytes has no checksum.
        let least = if path.starts_with("log/") { 8 * length * 7 / 8 } else { 8 * length };
        assert!(found >= least, "only {found} of {} bits of {path} are found", 8 * length);
    }
}
