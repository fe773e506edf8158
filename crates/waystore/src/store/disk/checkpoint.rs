//! What there is at one place of the log, in a file, so that the log before it need not be read
//! (`docs/format.md`, "Checkpoint").
//!
//! Writes and reads the bytes. When one is written is the business of `durability.rs` and
//! `compact.rs`; whether it fits the log, that of `replay.rs`.

mod section;

use std::{collections::BTreeMap, io, sync::Arc};

use bytes::{BufMut, Bytes};

#[cfg(test)]
pub(super) use self::section::stored;
pub(super) use self::section::{Section, bucket_of, buckets, mark_of};
use super::{
    bodies::{Bodies, BodyFile, BodyName},
    format::{LARGEST_NUMBER, Named, Position, encode_bind, parse_bind},
    io::{Access, DiskFile, DiskIo},
    log::Numbers,
    slots::Snapshot,
};
use crate::{
    checksum::{Running, xxh3},
    store::{ListId, Usage},
};

/// The file.
pub(super) const PATH: &str = "checkpoint";

/// The file that is there while the store is closed and its log ends at the checkpoint.
pub(super) const CLOSED: &str = "closed";
/// Its length.
pub(super) const CLOSED_LENGTH: u64 = 16;

const MAGIC: [u8; 8] = *b"waychkpt";
const VERSION: u64 = 2;
const HEADER: usize = 80;
/// What is gathered before it is written.
const GATHERED: usize = 256 * 1024;

/// What there is at one place of the log.
#[derive(Debug)]
pub(super) struct Checkpoint {
    /// What the hashes of URLs are made with.
    pub(super) seed: u64,
    /// Everything before this is in it, and nothing after.
    pub(super) at: Position,
    pub(super) next: Numbers,
    pub(super) segments: Vec<SegmentState>,
    pub(super) lists: Vec<ListState>,
}

/// What is known of a segment.
#[derive(Debug)]
pub(super) struct SegmentState {
    pub(super) number: u32,
    /// Whether it was to go.
    pub(super) leftover: bool,
    pub(super) live: u64,
    pub(super) removals: Vec<(u32, u64)>,
}

/// A list that has a name.
#[derive(Debug)]
pub(super) struct ListState {
    pub(super) list: ListId,
    pub(super) named: Named,
    /// Where the record of its name is, and the bytes of both copies.
    pub(super) bound: (Position, u64),
    /// Where records of names are that it had before.
    pub(super) former: Vec<Position>,
    /// What its entries are charged.
    pub(super) usage: Usage,
    /// The minute in which something in it was last stored or looked for.
    pub(super) last_used: u32,
    /// The bytes of its entries, by segment.
    pub(super) bytes: BTreeMap<u32, u64>,
    pub(super) content: Stored,
}

/// The entries of a list, to be written or as they were read.
#[derive(Debug, Clone)]
pub(super) enum Stored {
    Snapshot(Snapshot),
    Section(Section),
}

impl Checkpoint {
    /// Writes it in place of the one before. Returns its length.
    pub(super) fn write(&self, io: &dyn DiskIo, temporary: &str) -> io::Result<u64> {
        let written = (|| {
            let file = io.create(temporary)?;
            let length = self.write_to(&*file)?;
            // Synced before the rename: otherwise power loss can leave the name on half a file.
            file.sync()?;
            io.rename(temporary, PATH)?;
            io.sync_dir("")?;
            Ok(length)
        })();
        if written.is_err() {
            // Whatever is left of it is removed at the next open.
            let _ = io.unlink(temporary);
        }
        written
    }

    fn write_to(&self, file: &dyn DiskFile) -> io::Result<u64> {
        let mut out = Out { file, at: HEADER as u64, gathered: Vec::new(), hashed: 0, hasher: Running::new() };
        let mut catalogue = self.encode_segments();
        catalogue.put_u64_le(self.lists.len() as u64);
        for list in &self.lists {
            list.write_to(&mut out, &mut catalogue)?;
        }
        out.flush()?;
        let (catalogue_at, checksum) = (out.at, xxh3(&catalogue, 0));
        file.write_at(&catalogue, catalogue_at)?;
        let mut header = Vec::with_capacity(HEADER);
        header.put_slice(&MAGIC);
        let Numbers { batch, list, entry } = self.next;
        for number in [VERSION, self.seed, self.at.0, batch, list, entry, catalogue_at, checksum] {
            header.put_u64_le(number);
        }
        header.put_u64_le(xxh3(&header, 0));
        file.write_at(&header, 0)?;
        Ok(catalogue_at + catalogue.len() as u64)
    }

    fn encode_segments(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_u64_le(self.segments.len() as u64);
        for segment in &self.segments {
            bytes.put_u32_le(segment.number);
            bytes.put_u32_le(segment.leftover.into());
            bytes.put_u64_le(segment.live);
            put_pairs(&mut bytes, segment.removals.len(), segment.removals.iter().copied());
        }
        bytes
    }

    /// Reads the checkpoint, where there is one.
    pub(super) fn read(bodies: &Arc<Bodies>) -> io::Result<Found> {
        let file = match bodies.io.open(PATH, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::None),
            file => file?,
        };
        if file.length()? < HEADER as u64 {
            return Ok(Found::Damaged);
        }
        let map = file.map()?;
        let parsed = map.slice(0..map.length()).and_then(|bytes| Self::parse(&bytes, bodies));
        Ok(parsed.map_or(Found::Damaged, Found::Whole))
    }

    fn parse(bytes: &Bytes, bodies: &Arc<Bodies>) -> Option<Self> {
        let mut header = Rest(bytes.get(..HEADER)?);
        let right = header.take(8)? == MAGIC && header.long()? == VERSION;
        let (seed, at) = (header.long()?, Position(header.long()?));
        let next = Numbers { batch: header.long()?, list: header.long()?, entry: header.long()? };
        let reachable = [next.batch, next.list, next.entry].iter().all(|number| *number <= LARGEST_NUMBER);
        let (catalogue_at, checksum) = (usize::try_from(header.long()?).ok()?, header.long()?);
        if !right || !reachable || header.long()? != xxh3(&bytes[..HEADER - 8], 0) {
            return None;
        }
        let catalogue = bytes.get(catalogue_at..).filter(|catalogue| xxh3(catalogue, 0) == checksum)?;
        let mut rest = Rest(catalogue);
        let segments = (0..rest.long()?).map(|_| rest.segment()).collect::<Option<_>>()?;
        let sections = (catalogue_at >= HEADER).then(|| bytes.slice(HEADER..catalogue_at))?;
        let lists = (0..rest.long()?).map(|_| rest.list(&sections, bodies)).collect::<Option<_>>()?;
        Some(Self { seed, at, next, segments, lists })
    }
}

/// Says that the store was closed with the log ending at `at`, where its checkpoint is.
pub(super) fn write_closed(io: &dyn DiskIo, at: Position, temporary: &str) -> io::Result<()> {
    let file = io.create(temporary)?;
    let at = at.0.to_le_bytes();
    file.write_at(&[at, xxh3(&at, 0).to_le_bytes()].concat(), 0)?;
    file.sync()?;
    io.rename(temporary, CLOSED)?;
    io.sync_dir("")
}

/// Where the log ended when the store was closed, if nothing was written since.
pub(super) fn read_closed(io: &dyn DiskIo) -> io::Result<Option<Position>> {
    let mut bytes = [0; 16];
    let read = match io.open(CLOSED, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?.read_at(&mut bytes, 0)?,
    };
    let mut rest = Rest(&bytes);
    let (at, checksum) = (rest.long().unwrap_or_default(), rest.long().unwrap_or_default());
    Ok((read == bytes.len() && xxh3(&at.to_le_bytes(), 0) == checksum).then_some(Position(at)))
}

/// From now on something may be written.
pub(super) fn remove_closed(io: &dyn DiskIo) -> io::Result<()> {
    match io.unlink(CLOSED) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => io.sync_dir(""),
    }
}

/// What was found in place of a checkpoint.
pub(super) enum Found {
    None,
    Damaged,
    Whole(Checkpoint),
}

impl ListState {
    /// Writes its entries, and describes it in the catalogue.
    fn write_to(&self, out: &mut Out<'_>, catalogue: &mut Vec<u8>) -> io::Result<()> {
        let start = out.position();
        let (count, files) = match &self.content {
            Stored::Section(section) => {
                section.bytes().chunks(GATHERED).try_for_each(|bytes| out.put(bytes))?;
                (section.len(), section.files().cloned().collect())
            }
            Stored::Snapshot(snapshot) => section::write(out, snapshot)?,
        };
        let bound = encode_bind(&self.named);
        catalogue.put_u64_le(self.list.0);
        catalogue.put_u64_le(self.bound.0.0);
        catalogue.put_u64_le(self.bound.1);
        catalogue.put_u64_le(self.former.len() as u64);
        self.former.iter().for_each(|at| catalogue.put_u64_le(at.0));
        catalogue.put_u64_le(bound.len() as u64);
        catalogue.put_slice(&bound);
        catalogue.put_u64_le(self.usage.real);
        catalogue.put_u64_le(self.usage.padded);
        catalogue.put_u32_le(self.last_used);
        put_pairs(catalogue, self.bytes.len(), self.bytes.iter().map(|(segment, bytes)| (*segment, *bytes)));
        catalogue.put_u64_le(count.into());
        catalogue.put_u64_le(start - HEADER as u64);
        catalogue.put_u64_le(out.position() - start);
        catalogue.put_u64_le(out.take_checksum());
        catalogue.put_u64_le(files.len() as u64);
        for file in files {
            catalogue.put_slice(&file.name.owner);
            catalogue.put_slice(&file.name.hash);
            catalogue.put_u64_le(file.length);
        }
        Ok(())
    }
}

fn put_pairs(bytes: &mut Vec<u8>, count: usize, pairs: impl Iterator<Item = (u32, u64)>) {
    bytes.put_u64_le(count as u64);
    for (segment, count) in pairs {
        bytes.put_u32_le(segment);
        bytes.put_u64_le(count);
    }
}

/// Writes one piece after the other.
struct Out<'a> {
    file: &'a dyn DiskFile,
    at: u64,
    gathered: Vec<u8>,
    /// How much of that the hasher has: it is given much at once.
    hashed: usize,
    hasher: Running,
}

impl Out<'_> {
    fn position(&self) -> u64 {
        self.at + self.gathered.len() as u64
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= GATHERED { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hash();
        self.file.write_at(&self.gathered, self.at)?;
        self.at += self.gathered.len() as u64;
        self.gathered.clear();
        self.hashed = 0;
        Ok(())
    }

    /// The checksum of what was put since the last call.
    fn take_checksum(&mut self) -> u64 {
        self.hash();
        self.hasher.take()
    }

    fn hash(&mut self) {
        self.hasher.update(&self.gathered[self.hashed..]);
        self.hashed = self.gathered.len();
    }
}

/// What is left to be read. Whatever does not fit is `None`.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn short(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn long(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.long()?).ok()
    }

    fn pairs<C: FromIterator<(u32, u64)>>(&mut self) -> Option<C> {
        (0..self.long()?).map(|_| Some((self.short()?, self.long()?))).collect()
    }

    fn segment(&mut self) -> Option<SegmentState> {
        let (number, leftover, live) = (self.short()?, self.short()? != 0, self.long()?);
        Some(SegmentState { number, leftover, live, removals: self.pairs()? })
    }

    fn list(&mut self, sections: &Bytes, bodies: &Arc<Bodies>) -> Option<ListState> {
        let list = ListId(self.long()?);
        let bound = (Position(self.long()?), self.long()?);
        let former = (0..self.long()?).map(|_| self.long().map(Position)).collect::<Option<_>>()?;
        let length = self.length()?;
        let named = parse_bind(self.take(length)?)?;
        let usage = Usage { real: self.long()?, padded: self.long()? };
        let last_used = self.short()?;
        let bytes = self.pairs()?;
        let count = self.long()?;
        let (start, length, checksum) = (self.length()?, self.length()?, self.long()?);
        let end = start.checked_add(length).filter(|end| *end <= sections.len())?;
        let files = (0..self.long()?).map(|_| self.file(bodies)).collect::<Option<_>>()?;
        let content = Stored::Section(Section::new(sections.slice(start..end), checksum, count, files)?);
        Some(ListState { list, named, bound, former, usage, last_used, bytes, content })
    }

    fn file(&mut self, bodies: &Arc<Bodies>) -> Option<Arc<BodyFile>> {
        let name = BodyName { owner: self.take(16)?.try_into().ok()?, hash: self.take(32)?.try_into().ok()? };
        Some(bodies.get(name, self.long()?))
    }
}
