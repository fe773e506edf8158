//! The bytes of the log: positions, segment headers, records (`docs/format.md`); what records say is in the modules below.
//!
//! Turns values into bytes and back. Whatever is read may be damaged: a length or number that does
//! not fit is `None`, never a panic.

mod control;
mod insert;

use bytes::{BufMut, Bytes};

pub(super) use self::{
    control::{
        Named, Removed, encode_bind, encode_mark, encode_remove, encode_unbind, parse_bind, parse_mark, parse_remove,
        parse_unbind,
    },
    insert::{
        BodyPart, FILE_REFERENCE, INSERT_FIXED, InsertParts, RecordBody, body_checksum, encode_insert, parse_insert,
        seal, sealed_length,
    },
};
use crate::{checksum::xxh3, store::OpId};

/// The content of the file `format`.
pub(super) const FORMAT: &str = "waystore data directory, format 1\n";
/// Where the first record of a segment begins.
pub(super) const FIRST_RECORD: u32 = 1024;
/// Where the second copy of a segment's header is.
pub(super) const SECOND_HEADER: usize = 512;
/// Bytes of a segment's header.
pub(super) const SEGMENT_HEADER: usize = 64;
/// Bytes of a record's header.
pub(super) const HEADER: usize = 104;
/// Records begin at multiples of this.
pub(super) const ALIGNMENT: usize = 8;
/// What batches, lists and entries are numbered up to: more than are ever made, so that the next number is always one.
pub(super) const LARGEST_NUMBER: u64 = 1 << 62;
/// The first bytes of a record.
pub(super) const RECORD_MAGIC: [u8; 4] = *b"WSR1";

const SEGMENT_MAGIC: [u8; 8] = *b"waystore";
const VERSION: u32 = 1;
const END: u8 = 1;
/// A place in the log: the segment's number, then the offset in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(pub(super) u64);

impl Position {
    pub(super) fn new(segment: u32, offset: u32) -> Self {
        Self(u64::from(segment) << 32 | u64::from(offset))
    }

    pub(super) fn segment(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(super) fn offset(self) -> u32 {
        self.0 as u32
    }
}

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) number: u32,
    pub(super) length: u32,
    pub(super) seed: u64,
    /// Whether bytes of a former use may stand where nothing was written yet.
    pub(super) recycled: bool,
}

impl SegmentHeader {
    /// The bytes before the first record.
    pub(super) fn encode(self) -> Vec<u8> {
        let mut header = Vec::with_capacity(FIRST_RECORD as usize);
        header.put_slice(&SEGMENT_MAGIC);
        header.put_u32_le(VERSION);
        header.put_u32_le(self.recycled.into());
        header.put_u32_le(self.number);
        header.put_u32_le(self.length);
        header.put_u64_le(self.seed);
        header.put_bytes(0, 24);
        header.put_u64_le(xxh3(&header, 0));
        let mut both = header.clone();
        both.resize(SECOND_HEADER, 0);
        both.extend_from_slice(&header);
        both.resize(FIRST_RECORD as usize, 0);
        both
    }

    /// Reads one of the two copies.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..SEGMENT_HEADER)?;
        let right = header.starts_with(&SEGMENT_MAGIC)
            && u32_at(header, 8)? == VERSION
            && u64_at(header, 56)? == xxh3(&header[..56], 0);
        let recycled = u32_at(header, 12)?;
        let (number, length, seed) = (u32_at(header, 16)?, u32_at(header, 20)?, u64_at(header, 24)?);
        let parsed = Self { number, length, seed, recycled: recycled == 1 };
        (right && recycled <= 1 && parsed.length >= FIRST_RECORD).then_some(parsed)
    }
}

/// What a record does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bind = 1,
    Unbind = 2,
    Insert = 3,
    Remove = 4,
    Mark = 5,
    Seal = 6,
    Rename = 7,
}

impl Kind {
    pub(super) fn from_stored(number: u8) -> Option<Self> {
        [Self::Bind, Self::Unbind, Self::Insert, Self::Remove, Self::Mark, Self::Seal, Self::Rename]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }
}

/// A record's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) end: bool,
    pub(super) index: u32,
    pub(super) payload_length: u32,
    pub(super) batch: u64,
    pub(super) position: Position,
    pub(super) synced: Position,
    pub(super) list: u64,
    pub(super) entry: u64,
    pub(super) key: [u8; 16],
    pub(super) op: OpId,
    pub(super) payload_checksum: u64,
}

impl Header {
    fn encode(&self, seed: u64) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let mut rest = &mut bytes[..];
        rest.put_slice(&RECORD_MAGIC);
        rest.put_u8(self.kind as u8);
        rest.put_u8(if self.end { END } else { 0 });
        rest.put_u16_le(0);
        rest.put_u32_le(self.index);
        rest.put_u32_le(self.payload_length);
        rest.put_u64_le(self.batch);
        rest.put_u64_le(self.position.0);
        rest.put_u64_le(self.synced.0);
        rest.put_u64_le(self.list);
        rest.put_u64_le(self.entry);
        rest.put_slice(&self.key);
        rest.put_u128_le(self.op.0);
        rest.put_u64_le(self.payload_checksum);
        let (before, checksum) = bytes.split_at_mut(HEADER - 8);
        checksum.copy_from_slice(&xxh3(before, seed).to_le_bytes());
        bytes
    }

    /// Reads the header of a record, or `None` where there is none at `position`.
    pub(super) fn parse(bytes: &[u8], position: Position, seed: u64) -> Option<Self> {
        let header = bytes.get(..HEADER)?;
        if !header.starts_with(&RECORD_MAGIC) || u64_at(header, 96)? != xxh3(&header[..96], seed) {
            return None;
        }
        let mut key = [0; 16];
        key.copy_from_slice(&header[56..72]);
        let parsed = Self {
            kind: Kind::from_stored(header[4])?,
            end: header[5] & END != 0,
            index: u32_at(header, 8)?,
            payload_length: u32_at(header, 12)?,
            batch: u64_at(header, 16)?,
            position: Position(u64_at(header, 24)?),
            synced: Position(u64_at(header, 32)?),
            list: u64_at(header, 40)?,
            entry: u64_at(header, 48)?,
            key,
            op: OpId(u128::from(u64_at(header, 72)?) | u128::from(u64_at(header, 80)?) << 64),
            payload_checksum: u64_at(header, 88)?,
        };
        let reachable = [parsed.batch, parsed.list, parsed.entry].iter().all(|number| *number <= LARGEST_NUMBER);
        (reachable && parsed.position == position && header[5] & !END == 0).then_some(parsed)
    }

    /// Where the record after this one begins.
    pub(super) fn next(&self) -> Option<u32> {
        let length = record_length(self.payload_length as usize);
        self.position.offset().checked_add(u32::try_from(length).ok()?)
    }

    /// Where the payload is in the segment.
    pub(super) fn payload(&self) -> Option<std::ops::Range<usize>> {
        let start = (self.position.offset() as usize).checked_add(HEADER)?;
        Some(start..start.checked_add(self.payload_length as usize)?)
    }

    /// The record's place in the order of all records ever written.
    pub(super) fn order(&self) -> (u64, u32) {
        (self.batch, self.index)
    }
}

/// The bytes of a record with a payload of `payload` bytes.
pub(super) const fn record_length(payload: usize) -> usize {
    HEADER + payload.next_multiple_of(ALIGNMENT)
}

/// A record to be written: what is not known before its place in the log is.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) kind: Kind,
    pub(super) list: u64,
    pub(super) entry: u64,
    /// The owner's, where it is not the batch's.
    pub(super) key: Option<[u8; 16]>,
    /// The payload, in parts so that bodies are copied once.
    pub(super) payload: [Bytes; 3],
}

impl Draft {
    pub(super) fn new(kind: Kind, list: u64, entry: u64, payload: Vec<u8>) -> Self {
        Self { kind, list, entry, key: None, payload: [payload.into(), Bytes::new(), Bytes::new()] }
    }

    pub(super) fn payload_length(&self) -> usize {
        self.payload.iter().map(Bytes::len).sum()
    }
}

/// What every record of a batch has in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchHead {
    pub(super) number: u64,
    pub(super) synced: Position,
    pub(super) key: [u8; 16],
    pub(super) op: OpId,
}

/// Where a written record's payload is, and the checksum of its sealed part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub(super) kind: Kind,
    pub(super) payload_at: u32,
    pub(super) payload_length: u32,
    pub(super) checksum: u64,
}

impl Written {
    /// Where the payload of the record with this header is.
    pub(super) fn of(header: &Header) -> Option<Self> {
        let payload_at = u32::try_from(header.payload()?.start).ok()?;
        let Header { kind, payload_length, payload_checksum: checksum, .. } = *header;
        Some(Self { kind, payload_at, payload_length, checksum })
    }

    /// Where the record begins.
    pub(super) fn offset(&self) -> u32 {
        self.payload_at.saturating_sub(HEADER as u32)
    }
}

/// Encodes a batch that will stand at `start` into `bytes`, in place of what is in there. The caller made sure that it fits
/// in its segment.
pub(super) fn encode_batch(
    drafts: &[&Draft],
    head: BatchHead,
    start: Position,
    seed: u64,
    bytes: &mut Vec<u8>,
) -> Option<Vec<Written>> {
    bytes.clear();
    bytes.reserve(drafts.iter().map(|draft| record_length(draft.payload_length())).sum());
    let mut written = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.iter().enumerate() {
        let header_at = bytes.len();
        let offset = start.offset().checked_add(u32::try_from(header_at).ok()?)?;
        bytes.resize(header_at + HEADER, 0);
        draft.payload.iter().for_each(|part| bytes.extend_from_slice(part));
        let payload_checksum = seal(draft.kind, &mut bytes[header_at + HEADER..], seed)?;
        let header = Header {
            kind: draft.kind,
            end: index + 1 == drafts.len(),
            index: u32::try_from(index).ok()?,
            payload_length: u32::try_from(bytes.len() - header_at - HEADER).ok()?,
            batch: head.number,
            position: Position::new(start.segment(), offset),
            synced: head.synced,
            list: draft.list,
            entry: draft.entry,
            key: draft.key.unwrap_or(head.key),
            op: head.op,
            payload_checksum,
        };
        bytes[header_at..header_at + HEADER].copy_from_slice(&header.encode(seed));
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        written.push(Written {
            kind: header.kind,
            payload_at: offset.checked_add(HEADER as u32)?,
            payload_length: header.payload_length,
            checksum: header.payload_checksum,
        });
    }
    Some(written)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
