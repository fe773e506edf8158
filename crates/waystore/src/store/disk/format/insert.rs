//! The payload of an insertion: when the entry was stored, the entry, its body or where that is (`docs/format.md`, "Record").
//!
//! All of it is sealed by the checksum in the record's header, but for a body that stands in it: that has one of its own, so
//! that who wants heads alone need not read it.

use bytes::{BufMut, Bytes};

use super::{Kind, u32_at, u64_at};
use crate::checksum::xxh3;

/// Bytes of an insertion's payload before the entry.
pub(in crate::store::disk) const INSERT_FIXED: usize = 24;
/// Where the checksum of an inline body is among them.
const BODY_CHECKSUM: usize = 16;
/// Bytes of an insertion's payload that stand for a body in a file.
pub(in crate::store::disk) const FILE_REFERENCE: usize = 40;
/// What an insertion's payload says of a body that comes after the entry.
const INLINE: u8 = 1;

/// A body as an insertion's record has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::disk) enum RecordBody {
    Null,
    Inline(Bytes),
    File { hash: [u8; 32], length: u64 },
}

/// The payload of an insertion, in parts.
pub(in crate::store::disk) fn encode_insert(stored_at_ms: u64, entry: &Bytes, body: RecordBody) -> [Bytes; 3] {
    let mut fixed = Vec::with_capacity(INSERT_FIXED);
    fixed.put_u64_le(stored_at_ms);
    fixed.put_u32_le(u32::try_from(entry.len()).expect("heads are bounded by who parsed them"));
    let (kind, body) = match body {
        RecordBody::Null => (0, Bytes::new()),
        RecordBody::Inline(bytes) => (INLINE, bytes),
        RecordBody::File { hash, length } => (2, [&hash[..], &length.to_le_bytes()].concat().into()),
    };
    fixed.put_slice(&[kind, 0, 0, 0]);
    // The checksum of an inline body comes with the place in the log.
    fixed.put_u64_le(0);
    [fixed.into(), entry.clone(), body]
}

/// What the payload of an insertion consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::disk) struct InsertParts {
    pub(in crate::store::disk) stored_at_ms: u64,
    /// Where the entry ends, and the body begins.
    pub(in crate::store::disk) body_at: usize,
    pub(in crate::store::disk) body: BodyPart,
}

/// What stands behind an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::disk) enum BodyPart {
    Null,
    /// The body, with this checksum.
    Inline(u64),
    File {
        hash: [u8; 32],
        length: u64,
    },
}

impl InsertParts {
    /// Looks at the payload of an insertion. `None`: it is none.
    pub(in crate::store::disk) fn of(payload: &[u8]) -> Option<Self> {
        let body_at = body_at(payload)?;
        let body = match *payload.get(12)? {
            0 if body_at == payload.len() => BodyPart::Null,
            INLINE => BodyPart::Inline(body_checksum(payload)?),
            2 => {
                let (hash, length) = payload[body_at..].split_first_chunk()?;
                BodyPart::File { hash: *hash, length: u64::from_le_bytes(length.try_into().ok()?) }
            }
            _ => return None,
        };
        Some(Self { stored_at_ms: u64_at(payload, 0)?, body_at, body })
    }

    /// Where the entry stands.
    pub(in crate::store::disk) fn entry(&self) -> std::ops::Range<usize> {
        INSERT_FIXED..self.body_at
    }
}

/// Splits the payload of an insertion: when it was stored, the entry, the body.
pub(in crate::store::disk) fn parse_insert(payload: &Bytes) -> Option<(u64, Bytes, RecordBody)> {
    let parts = InsertParts::of(payload)?;
    let body = match parts.body {
        BodyPart::Null => RecordBody::Null,
        BodyPart::Inline(_) => RecordBody::Inline(payload.slice(parts.body_at..)),
        BodyPart::File { hash, length } => RecordBody::File { hash, length },
    };
    Some((parts.stored_at_ms, payload.slice(parts.entry()), body))
}

/// Puts the checksum of an inline body into the payload. Returns that of the sealed part.
pub(in crate::store::disk) fn seal(kind: Kind, payload: &mut [u8], seed: u64) -> Option<u64> {
    let sealed = sealed_length(kind, payload)?;
    if is_inline(kind, payload) {
        let checksum = xxh3(&payload[sealed..], seed);
        payload[BODY_CHECKSUM..INSERT_FIXED].copy_from_slice(&checksum.to_le_bytes());
    }
    Some(xxh3(&payload[..sealed], seed))
}

/// How long the sealed part of a payload is, of which its record's header has the checksum: all but an inline body. `None`:
/// the payload is none.
pub(in crate::store::disk) fn sealed_length(kind: Kind, payload: &[u8]) -> Option<usize> {
    if is_inline(kind, payload) { body_at(payload) } else { Some(payload.len()) }
}

/// What a sealed part says the checksum of the inline body after it is.
pub(in crate::store::disk) fn body_checksum(payload: &[u8]) -> Option<u64> {
    u64_at(payload, BODY_CHECKSUM)
}

fn is_inline(kind: Kind, payload: &[u8]) -> bool {
    kind == Kind::Insert && payload.get(12) == Some(&INLINE)
}

/// Where the entry ends in the payload of an insertion.
fn body_at(payload: &[u8]) -> Option<usize> {
    let entry_length = usize::try_from(u32_at(payload, 8)?).ok()?;
    INSERT_FIXED.checked_add(entry_length).filter(|at| *at <= payload.len())
}
