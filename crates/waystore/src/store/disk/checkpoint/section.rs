//! The entries of one list as they stand in a checkpoint, read where they stand (`docs/format.md`, "Checkpoint").
//!
//! Slots in order, and for each of the two hashes of a URL a table that leads to the slots that have it. Whatever
//! the bytes say, nothing here fails: what does not fit is not found.

use std::{io, ops::Range, sync::Arc};

use bytes::{BufMut, Bytes};

use super::Out;
use crate::{
    checksum::xxh3,
    store::{
        EntryId,
        disk::{
            bodies::BodyFile,
            format::Position,
            map::bring_near,
            slots::{By, Slot, Snapshot, UrlHashes},
        },
    },
};

/// Bytes of a slot.
const SLOT: usize = 41;
/// Bytes of the head of a bucket.
const HEAD: usize = 8;
/// Bytes of a place in a table.
const PLACE: usize = 8;
/// Entries for which a table has one bucket, at most.
const BUCKET: u64 = 4;
/// Places that are put in order in one go.
const GATHERED: usize = 1024 * 1024;

/// The entries of a list as they stand in a checkpoint.
#[derive(Debug, Clone)]
pub(in crate::store::disk) struct Section {
    bytes: Bytes,
    checksum: u64,
    count: u32,
    /// The files of large bodies, which stay while they are here.
    files: Arc<Vec<Option<Arc<BodyFile>>>>,
}

impl Section {
    /// The section of `count` entries in `bytes`. `None`: it is not one, or not what was written, or two are one
    /// entry's: whoever looked for the one would find the other.
    pub(super) fn new(bytes: Bytes, checksum: u64, count: u64, files: Vec<Arc<BodyFile>>) -> Option<Self> {
        let count = u32::try_from(count).ok().filter(|count| length(*count) == bytes.len() as u64)?;
        let section = Self { bytes, checksum, count, files: Arc::new(files.into_iter().map(Some).collect()) };
        let ordered = (0..count).is_sorted_by(|one, two| section.entry(*one) < section.entry(*two));
        (ordered && section.is_whole()).then_some(section)
    }

    /// Whether the bytes are those that were written.
    pub(in crate::store::disk) fn is_whole(&self) -> bool {
        xxh3(&self.bytes, 0) == self.checksum
    }

    /// How many entries there are.
    pub(in crate::store::disk) fn len(&self) -> u32 {
        self.count
    }

    pub(in crate::store::disk) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The files of large bodies that were not released.
    pub(in crate::store::disk) fn files(&self) -> impl Iterator<Item = &Arc<BodyFile>> {
        self.files.iter().flatten()
    }

    pub(in crate::store::disk) fn slot(&self, index: u32) -> Slot {
        let bytes = self.slot_bytes(index);
        let number = u32_at(bytes, 28);
        let file = number.checked_sub(1).and_then(|file| self.files.get(file as usize)?.clone());
        Slot {
            entry: EntryId(u64_at(bytes, 0)),
            at: Position(u64_at(bytes, 8)),
            payload_length: u32_at(bytes, 16),
            hashes: UrlHashes { url: u32_at(bytes, 20), path: u32_at(bytes, 24) },
            file,
            padding: bytes[40],
        }
    }

    pub(in crate::store::disk) fn entry(&self, index: u32) -> EntryId {
        EntryId(u64_at(self.slot_bytes(index), 0))
    }

    /// The uses of an entry, packed: the minute, then the hits.
    pub(in crate::store::disk) fn uses(&self, index: u32) -> u64 {
        u64_at(self.slot_bytes(index), 32)
    }

    /// From now on the slots of `range` have no body's file here.
    pub(in crate::store::disk) fn release_files(&mut self, range: Range<u32>) {
        for index in range {
            if let Some(number) = u32_at(self.slot_bytes(index), 28).checked_sub(1)
                && let Some(file) = Arc::make_mut(&mut self.files).get_mut(number as usize)
            {
                *file = None;
            }
        }
    }

    /// The slots with this hash, oldest first.
    pub(in crate::store::disk) fn find(&self, by: By) -> impl Iterator<Item = u32> {
        let (heads, places) = self.table(by);
        let places = places.get(places_of(heads, by.hash())).unwrap_or_default();
        let found = places.iter().map(hash_and_index).filter(move |(hash, _)| *hash == by.hash());
        found.map(|(_, index)| index).filter(|index| *index < self.count)
    }

    /// The hashes of all URLs and their slots, in the order of the table: by bucket.
    pub(in crate::store::disk) fn by_url(&self) -> impl Iterator<Item = (u32, u32)> {
        self.table(By::Url(0)).1.iter().map(hash_and_index)
    }

    /// Where the record of a slot is. `None`: there is no such slot.
    pub(in crate::store::disk) fn position(&self, index: u32) -> Option<Position> {
        (index < self.count).then(|| Position(u64_at(self.slot_bytes(index), 8)))
    }

    /// Has a slot brought near, where there is one.
    pub(in crate::store::disk) fn bring_near(&self, index: u32) {
        if index < self.count {
            let bytes = self.slot_bytes(index);
            // It may begin at the end of what is brought near at once.
            bring_near(&bytes[..1]);
            bring_near(&bytes[SLOT - 1..]);
        }
    }

    fn table(&self, by: By) -> (&[u8], &[[u8; PLACE]]) {
        let slots = self.count as usize * SLOT;
        let tables = self.bytes.get(slots..).unwrap_or_default();
        let (url, path) = tables.split_at(tables.len() / 2);
        let table = match by {
            By::Url(_) => url,
            By::Path(_) => path,
        };
        let heads = (buckets(self.count) as usize + 1) * HEAD;
        let (heads, places) = table.split_at_checked(heads).unwrap_or_default();
        (heads, places.as_chunks().0)
    }

    fn slot_bytes(&self, index: u32) -> &[u8; SLOT] {
        let (slots, _) = self.bytes.as_chunks::<SLOT>();
        // Every caller stays below `count`, and the length was checked against that.
        &slots[index as usize]
    }
}

/// The length of a section of `count` entries.
fn length(count: u32) -> u64 {
    let table = HEAD as u64 * (buckets(count) + 1) + PLACE as u64 * u64::from(count);
    SLOT as u64 * u64::from(count) + 2 * table
}

/// The buckets of a table of `count` entries: a power of two.
pub(in crate::store::disk) fn buckets(count: u32) -> u64 {
    u64::from(count).div_ceil(BUCKET).max(1).next_power_of_two()
}

/// Which places may have this hash, by the heads of the buckets.
fn places_of(heads: &[u8], hash: u32) -> Range<usize> {
    let (heads, _) = heads.as_chunks::<HEAD>();
    let bucket = bucket_of(hash, heads.len().saturating_sub(1) as u64) as usize;
    // What is not here is told from one place in memory, mostly.
    let head = heads.get(bucket).filter(|head| u32_at(head, 4) & mark_of(hash) != 0);
    head.zip(heads.get(bucket + 1)).map_or(0..0, |(head, next)| u32_at(head, 0) as usize..u32_at(next, 0) as usize)
}

fn hash_and_index(place: &[u8; PLACE]) -> (u32, u32) {
    (u32_at(place, 0), u32_at(place, 4))
}

/// The bucket of a hash: its upper bits.
pub(in crate::store::disk) fn bucket_of(hash: u32, buckets: u64) -> u64 {
    (u64::from(hash) * buckets) >> 32
}

/// What the head of a bucket has where the bucket holds this hash: one of 32 bits, by the hash's lower bits.
pub(in crate::store::disk) fn mark_of(hash: u32) -> u32 {
    1 << (hash % 32)
}

/// Writes the section of `snapshot`. Returns how many entries it has, and the files of their bodies.
pub(super) fn write(out: &mut Out<'_>, snapshot: &Snapshot) -> io::Result<(u32, Vec<Arc<BodyFile>>)> {
    // To be looked at several times: going through the slots again would take longer.
    let (mut hashes, mut files) = (Vec::new(), Vec::new());
    for (slot, uses) in snapshot.iter() {
        hashes.push(slot.hashes);
        files.extend(slot.file.clone());
        let file = slot.file.as_ref().map_or(0, |_| files.len() as u32);
        out.put(&encode_slot(&slot, file, uses))?;
    }
    let count = u32::try_from(hashes.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    write_table(out, count, || hashes.iter().map(|of| of.url))?;
    write_table(out, count, || hashes.iter().map(|of| of.path))?;
    Ok((count, files))
}

fn encode_slot(slot: &Slot, file: u32, uses: u64) -> [u8; SLOT] {
    let mut bytes = [0; SLOT];
    let mut rest = &mut bytes[..];
    rest.put_u64_le(slot.entry.0);
    rest.put_u64_le(slot.at.0);
    rest.put_u32_le(slot.payload_length);
    rest.put_u32_le(slot.hashes.url);
    rest.put_u32_le(slot.hashes.path);
    rest.put_u32_le(file);
    rest.put_u64_le(uses);
    rest.put_u8(slot.padding);
    bytes
}

/// Writes the table of `hashes`, of which there are `count`: a head for each bucket, then the places.
fn write_table<I: Iterator<Item = u32>>(out: &mut Out<'_>, count: u32, hashes: impl Fn() -> I) -> io::Result<()> {
    let buckets = buckets(count);
    let bucket = |hash: u32| bucket_of(hash, buckets) as usize;
    let (mut starts, mut marks) = (vec![0_u32; buckets as usize + 1], vec![0_u32; buckets as usize + 1]);
    hashes().for_each(|hash| {
        starts[bucket(hash) + 1] += 1;
        marks[bucket(hash)] |= mark_of(hash);
    });
    for bucket in 0..buckets as usize {
        starts[bucket + 1] += starts[bucket];
    }
    for (start, marks) in starts.iter().zip(marks) {
        out.put(&(u64::from(*start) | u64::from(marks) << 32).to_le_bytes())?;
    }
    // Some buckets at a time, so that a long list takes time rather than memory.
    let mut first = 0;
    while first < buckets as usize {
        let fits = |end: &u32| (end - starts[first]) as usize <= GATHERED;
        let last = (first + starts[first + 1..].partition_point(fits)).max(first + 1);
        let mut places = vec![(0, 0); (starts[last] - starts[first]) as usize];
        let mut next = starts[first..last].to_vec();
        for (hash, index) in hashes().zip(0_u32..) {
            let Some(next) = bucket(hash).checked_sub(first).and_then(|bucket| next.get_mut(bucket)) else { continue };
            places[(*next - starts[first]) as usize] = (hash, index);
            *next += 1;
        }
        for (hash, index) in places {
            out.put(&(u64::from(hash) | u64::from(index) << 32).to_le_bytes())?;
        }
        first = last;
    }
    Ok(())
}

fn u32_at<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|index| bytes[at + index]))
}

fn u64_at<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]))
}

/// A section of `snapshot`, written and read.
#[cfg(test)]
pub(in crate::store::disk) fn stored(snapshot: &Snapshot) -> Section {
    use crate::store::disk::{io::DiskIo, sim::SimDisk};

    let file = SimDisk::default().create("checkpoint").unwrap();
    let mut out = Out { file: &*file, at: 0, gathered: Vec::new(), hashed: 0, hasher: super::Running::new() };
    let (count, files) = write(&mut out, snapshot).unwrap();
    out.flush().unwrap();
    let checksum = out.take_checksum();
    let bytes = file.map().unwrap().slice(0..out.at as usize).unwrap();
    Section::new(bytes, checksum, count.into(), files).unwrap()
}
