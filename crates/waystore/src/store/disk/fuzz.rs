//! What is done with fuzzed logs and checkpoints: their checksums are put right, so that what they guard is reached,
//! and they are opened as a data directory. See `fuzzing.rs`.
//!
//! Whatever the bytes say: nothing panics, the store opens, works on, and what it says then is what it says after
//! the next start.

use std::{
    fmt::Write,
    sync::{Arc, OnceLock},
};

use futures::StreamExt;

use super::{
    DiskOptions, DiskStore,
    checkpoint::write_closed,
    format::{FIRST_RECORD, FORMAT, HEADER, Kind, Position, RECORD_MAGIC, SegmentHeader, record_length, seal},
    io::{Access, DiskIo},
    segment::Segment,
    sim::SimDisk,
};
use crate::{
    Bottle, Place, RequestHead, ResponseHead, StorageKey,
    checksum::xxh3,
    fuzzing::clock,
    store::{
        Candidate, CandidateBody, Changes, Commit, Entry, ListChange, NameChange, NewBody, NewEntry, OpId, ReadSet,
        Store,
    },
};

/// A segment of a fuzzed log is at most this long, and there are at most so many.
const LONGEST: usize = 64 * 1024;
const SEGMENTS: u32 = 4;
/// Numbers of batches, lists and entries up to this are as good as any that a store comes to in its life.
const SANE: u64 = 1 << 48;
/// Bytes of a checkpoint's header.
const CHECKPOINT_HEADER: usize = 80;

/// A log: segments, each after its length in four bytes, without the zeros at its end.
pub fn records(data: &[u8]) {
    let disk = empty_disk().copy();
    let (mut rest, mut number, mut sane) = (data, 0, true);
    while let (Some((length, after)), true) = (rest.split_first_chunk(), number < SEGMENTS) {
        let length = (u32::from_le_bytes(*length) as usize).min(after.len()).min(LONGEST);
        let (bytes, after) = after.split_at(length);
        number += 1;
        let mut segment = bytes.to_vec();
        segment.resize(LONGEST, 0);
        sane &= fix_segment(&mut segment, number);
        put_file(&disk, &Segment::path(number), segment);
        rest = after;
    }
    open_and_go_on(&disk, sane);
}

/// A checkpoint of a log that is always the same, after a byte that says whether the store was closed.
pub fn checkpoint(data: &[u8]) {
    let Some((closed, bytes)) = data.split_first() else { return };
    let mut bytes = bytes.to_vec();
    fix_checkpoint(&mut bytes);
    let disk = used_disk().copy();
    disk.remove("checkpoint");
    disk.remove("closed");
    if let Some(at) = bytes.get(24..).and_then(|at| at.first_chunk()).filter(|_| closed & 1 == 1) {
        let _ = write_closed(&disk, Position(u64::from_le_bytes(*at)), "tmp/closed");
    }
    put_file(&disk, "checkpoint", bytes);
    // What it says need not be so; that it is said by the right checksum is all that the store can know.
    open_and_go_on(&disk, false);
}

/// Logs that a store wrote.
pub(crate) fn record_seeds() -> Vec<Vec<u8>> {
    let bytes_of = |disk: &SimDisk| {
        let mut log = Vec::new();
        for name in disk.list("log").unwrap_or_default() {
            let mut bytes = read_file(disk, &format!("log/{name}"));
            bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
            log.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            log.extend_from_slice(&bytes);
        }
        log
    };
    vec![bytes_of(used_disk()), bytes_of(compacted_disk()), Vec::new()]
}

/// Checkpoints that a store wrote.
pub(crate) fn checkpoint_seeds() -> Vec<Vec<u8>> {
    let checkpoint = read_file(used_disk(), "checkpoint");
    [0, 1].map(|closed| [&[closed], &checkpoint[..]].concat()).to_vec()
}

/// Opens the directory, looks at everything, and works on. With `exactly`, what there is then is there after the
/// next start too.
fn open_and_go_on(disk: &SimDisk, exactly: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime needs nothing that can lack");
    runtime.block_on(async {
        let store = open(disk);
        let before = everything(&store).await;
        let _ = store.tick();
        let ticked = everything(&store).await;
        if exactly {
            assert_eq!(ticked, before, "the background changes nothing");
        }
        let done = go_on(&store).await;
        let after = everything(&store).await;
        drop(store);
        let store = open(disk);
        let again = everything(&store).await;
        if exactly {
            assert!(done, "nothing keeps the store from being used");
            assert_eq!(again, after, "what there was is there after the next start");
            assert_eq!(store.report().damage, [""; 0], "damage is reported once");
        }
    });
}

fn open(disk: &SimDisk) -> DiskStore {
    let options = DiskOptions::default().sync_every(None).segment_bytes(LONGEST as u32);
    DiskStore::open_on(Arc::new(disk.clone()), clock(), options).expect("a damaged directory can be opened")
}

/// What there is, as text, in any order of names: their ranks may be any. Damaged entries are found and gone by that.
async fn everything(store: &DiskStore) -> Vec<String> {
    let mut names = Vec::new();
    let mut keys = store.storage_keys().await.expect("keys are in memory");
    keys.sort();
    for key in keys {
        for bottle in [Bottle::Caches, Bottle::ServiceWorkerRegistrations] {
            let place = Place::new(key.clone(), bottle);
            for (name, list) in store.names(&place).await.expect("names are in memory") {
                let mut text = format!("{key} {bottle:?} {name:?}:");
                for candidate in store.page(&list, None, usize::MAX).await.unwrap_or_default() {
                    let body = body_of(&candidate).await;
                    let _ = write!(text, " {}={:?}:{body:?}", candidate.id.0, candidate.entry);
                }
                names.push(text);
            }
        }
    }
    names.sort();
    names
}

async fn body_of(candidate: &Candidate) -> Option<u64> {
    match &candidate.body {
        CandidateBody::Null => None,
        CandidateBody::Inline(bytes) => Some(xxh3(bytes, 0)),
        CandidateBody::Stored(_) | CandidateBody::Among(..) => {
            let mut read = 0;
            let mut chunks = candidate.body.stored()?.open();
            while let Some(Ok(chunk)) = chunks.next().await {
                read += chunk.len() as u64;
            }
            Some(read)
        }
    }
}

/// Stores two entries, replaces one and removes a list that was there. Returns whether all was done.
async fn go_on(store: &DiskStore) -> bool {
    let place = place();
    let bind = Changes { names: vec![NameChange::Bind(place.clone(), "fuzzed".into())], lists: vec![] };
    let mut done = store.commit(&place.key, OpId(1), &ReadSet::default(), &bind).await.is_ok();
    for names in store.names(&place).await.into_iter().take(1) {
        let Some((_, list)) = names.last() else { return false };
        let insert = vec![new_entry("/x", 10), new_entry("/y", 3000)];
        let remove = store.page(list, None, 1).await.unwrap_or_default().iter().map(|found| found.id).collect();
        let change = ListChange { list: list.clone(), remove, insert };
        let changes = Changes { names: vec![], lists: vec![change] };
        done &= store.commit(&place.key, OpId(2), &ReadSet::default(), &changes).await.is_ok();
        if names.len() > 1 {
            let unbind = Changes { names: vec![NameChange::Unbind(place.clone(), names[0].0.clone())], lists: vec![] };
            done &=
                matches!(store.commit(&place.key, OpId(3), &ReadSet::default(), &unbind).await, Ok(Commit::Applied));
        }
    }
    done
}

fn place() -> Place {
    Place::new(StorageKey::new("https://a.test").expect("it is an origin"), Bottle::Caches)
}

fn new_entry(path: &str, length: usize) -> NewEntry {
    let url = format!("https://a.test{path}").parse().expect("it is a URL");
    let entry = Entry::new(&RequestHead::get(url), &ResponseHead::with_status(200));
    NewEntry { entry, body: NewBody::Inline(vec![7; length].into()) }
}

/// A directory that nothing was stored in.
fn empty_disk() -> &'static SimDisk {
    static DISK: OnceLock<SimDisk> = OnceLock::new();
    DISK.get_or_init(|| {
        let disk = SimDisk::default();
        put_file(&disk, "format", FORMAT.into());
        drop(open(&disk));
        disk.remove("checkpoint");
        disk.remove("closed");
        disk
    })
}

/// A directory of a store that was used a little.
fn used_disk() -> &'static SimDisk {
    static DISK: OnceLock<SimDisk> = OnceLock::new();
    DISK.get_or_init(|| made_by(1))
}

/// A directory of a store that freed segments.
fn compacted_disk() -> &'static SimDisk {
    static DISK: OnceLock<SimDisk> = OnceLock::new();
    DISK.get_or_init(|| made_by(12))
}

fn made_by(rounds: usize) -> SimDisk {
    let disk = empty_disk().copy();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime needs nothing that can lack");
    runtime.block_on(async {
        let store = open(&disk);
        for _ in 0..rounds {
            for name in ["v1", "v2", "v3"] {
                let bind = vec![NameChange::Bind(place(), name.into())];
                let _ = store
                    .commit(&place().key, OpId(9), &ReadSet::default(), &Changes { names: bind, lists: vec![] })
                    .await;
            }
            let rename = vec![NameChange::Rename { place: place(), from: "v3".into(), to: "v2".into() }];
            let _ = store
                .commit(&place().key, OpId(9), &ReadSet::default(), &Changes { names: rename, lists: vec![] })
                .await;
            let _ = store.tick();
            go_on(&store).await;
        }
    });
    disk
}

/// Makes the segment's header right, and the checksums of the records in it. Those that do not begin as a record
/// does stay damaged. Returns whether no number in it is beyond what a store comes to.
fn fix_segment(bytes: &mut [u8], number: u32) -> bool {
    let seed = u64_at(bytes, 24);
    let header = SegmentHeader { number, length: bytes.len() as u32, seed, recycled: bytes[12] & 1 == 1 };
    bytes[..FIRST_RECORD as usize].copy_from_slice(&header.encode());
    let (mut at, mut sane) = (FIRST_RECORD as usize, true);
    while at + HEADER <= bytes.len() {
        let room = bytes.len() - at - HEADER;
        let wanted = u32::from_le_bytes(std::array::from_fn(|index| bytes[at + 12 + index])) as usize;
        let length = wanted.min(room);
        if bytes[at..].starts_with(&RECORD_MAGIC) {
            bytes[at + 12..at + 16].copy_from_slice(&(length as u32).to_le_bytes());
            put_u64(bytes, at + 24, Position::new(number, at as u32).0);
            let kind = Kind::from_stored(bytes[at + 4]).unwrap_or(Kind::Seal);
            if let Some(checksum) = seal(kind, &mut bytes[at + HEADER..at + HEADER + length], seed) {
                put_u64(bytes, at + 88, checksum);
            }
            let checksum = xxh3(&bytes[at..at + 96], seed);
            put_u64(bytes, at + 96, checksum);
            sane &= [16, 40, 48].iter().all(|field| u64_at(bytes, at + field) < SANE);
        } else if bytes[at..at + HEADER].iter().all(|byte| *byte == 0) {
            break;
        }
        at += record_length(length);
    }
    sane
}

/// Makes the checksums of a checkpoint right, those of its sections as far as the catalogue can be followed.
fn fix_checkpoint(bytes: &mut Vec<u8>) {
    if bytes.len() < CHECKPOINT_HEADER {
        return;
    }
    let catalogue = usize::try_from(u64_at(bytes, 56)).unwrap_or(usize::MAX).clamp(CHECKPOINT_HEADER, bytes.len());
    let _ = Walk { bytes: &mut *bytes, at: catalogue }.fix_sections();
    let checksum = xxh3(&bytes[catalogue..], 0);
    put_u64(bytes, 64, checksum);
    let checksum = xxh3(&bytes[..72], 0);
    put_u64(bytes, 72, checksum);
}

/// Goes through a catalogue. `None`: it ends before that.
struct Walk<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Walk<'_> {
    fn fix_sections(&mut self) -> Option<()> {
        for _ in 0..self.long()? {
            self.skip(16)?;
            self.skip_items(12)?;
        }
        for _ in 0..self.long()? {
            self.skip(24)?;
            self.skip_items(8)?;
            self.skip_items(1)?;
            self.skip(20)?;
            self.skip_items(12)?;
            self.skip(8)?;
            let (start, length) = (usize::try_from(self.long()?).ok()?, usize::try_from(self.long()?).ok()?);
            let start = start.checked_add(CHECKPOINT_HEADER)?;
            if let Some(section) = self.bytes.get(start..start.checked_add(length)?) {
                let checksum = xxh3(section, 0);
                put_u64(self.bytes.get_mut(self.at..self.at.checked_add(8)?)?, 0, checksum);
            }
            self.skip(8)?;
            self.skip_items(56)?;
        }
        Some(())
    }

    fn long(&mut self) -> Option<u64> {
        let found = self.bytes.get(self.at..)?.first_chunk()?;
        self.at += 8;
        Some(u64::from_le_bytes(*found))
    }

    /// Skips a number and as many items.
    fn skip_items(&mut self, length: usize) -> Option<()> {
        let count = usize::try_from(self.long()?).ok()?;
        self.skip(count.checked_mul(length)?)
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        self.at = self.at.checked_add(length).filter(|at| *at <= self.bytes.len())?;
        Some(())
    }
}

fn put_file(disk: &SimDisk, path: &str, bytes: Vec<u8>) {
    for (at, _) in path.match_indices('/') {
        disk.create_dir(&path[..at]).expect("a disk without faults");
    }
    disk.create(path).expect("a disk without faults");
    disk.edit(path, |content| *content = bytes);
}

fn read_file(disk: &SimDisk, path: &str) -> Vec<u8> {
    let file = disk.open(path, Access::Read).expect("the file is there");
    let mut bytes = vec![0; file.length().expect("a disk without faults") as usize];
    file.read_at(&mut bytes, 0).expect("a disk without faults");
    bytes
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]))
}

fn put_u64(bytes: &mut [u8], at: usize, number: u64) {
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_that_was_changed_gets_a_checksum_that_is_right() {
        let mut bytes = read_file(used_disk(), "checkpoint");
        // The padding of the first slot.
        bytes[CHECKPOINT_HEADER + 40] ^= 1;
        fix_checkpoint(&mut bytes);
        let disk = used_disk().copy();
        disk.edit("checkpoint", |content| *content = bytes);
        assert_eq!(open(&disk).report().damage, [""; 0]);
    }
}
