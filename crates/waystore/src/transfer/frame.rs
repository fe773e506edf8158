//! The bytes of a cache in a file: a line that says what it is, then frames, each with its checksum.
//!
//! Whatever is read may be damaged or hostile: lengths are bounded before room is made for them, and
//! nothing panics.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::StreamExt;

use crate::{Body, Error, Result, checksum::xxh3};

/// The file's first bytes.
const MAGIC: &[u8] = b"waystore cache, format 1\n";
/// Bytes of a frame before its payload: kind, flags, two zeros, length.
const HEADER: usize = 8;
const CHECKSUM: usize = 8;
/// A frame without a payload.
const EMPTY: u64 = (HEADER + CHECKSUM) as u64;
/// What stands before the heads of an entry: when it was stored.
const STORED_AT: usize = 8;
/// The longest payload of a frame that holds the heads of an entry.
const LONGEST_ENTRY: usize = 64 * 1024 * 1024;
/// The longest heads of an entry.
pub(super) const LONGEST_HEADS: usize = LONGEST_ENTRY - STORED_AT;
/// The longest payload of any other frame.
const LONGEST_CHUNK: usize = 64 * 1024;

const ENTRY: u8 = 1;
const BODY: u8 = 2;
const BODY_END: u8 = 3;
const END: u8 = 4;

/// A part of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// An entry; where it has a body, that follows.
    Entry { stored_at_ms: u64, has_body: bool, heads: Bytes },
    /// A part of a body.
    Body(Bytes),
    /// The body ends.
    BodyEnd,
    /// The file ends.
    End { entries: u64 },
}

/// What stands before the first frame.
pub(super) fn start() -> Bytes {
    Bytes::from_static(MAGIC)
}

pub(super) fn damaged(detail: impl std::fmt::Display) -> Error {
    Error::Damaged { detail: format!("the file of a cache: {detail}") }
}

/// How long the frames of an entry are, whose body comes in parts as long as they may be.
pub(super) fn length_of_entry(heads: u64, body: Option<u64>) -> u64 {
    let parts = body.map_or(0, |length| length.div_ceil(LONGEST_CHUNK as u64));
    let frames = 1 + parts + u64::from(body.is_some());
    frames * EMPTY + STORED_AT as u64 + heads + body.unwrap_or(0)
}

/// How long is what stands before the first entry and after the last.
pub(super) fn length_of_ends() -> u64 {
    let count = 8;
    MAGIC.len() as u64 + EMPTY + count
}

/// Numbers frames, so that none can go missing or change places.
#[derive(Debug, Default)]
pub(super) struct FrameWriter {
    next: u64,
}

impl FrameWriter {
    pub(super) fn frame(&mut self, frame: &Frame) -> Bytes {
        let (kind, flags, payload) = match frame {
            Frame::Entry { stored_at_ms, has_body, heads } => {
                (ENTRY, u8::from(*has_body), [&stored_at_ms.to_le_bytes()[..], heads].concat())
            }
            Frame::Body(chunk) => (BODY, 0, chunk.to_vec()),
            Frame::BodyEnd => (BODY_END, 0, Vec::new()),
            Frame::End { entries } => (END, 0, entries.to_le_bytes().to_vec()),
        };
        let mut bytes = BytesMut::with_capacity(HEADER + payload.len() + CHECKSUM);
        bytes.put_slice(&[kind, flags, 0, 0]);
        bytes.put_u32_le(u32::try_from(payload.len()).expect("heads and chunks are shorter"));
        bytes.put_slice(&payload);
        bytes.put_u64_le(xxh3(&bytes, self.next));
        self.next += 1;
        bytes.freeze()
    }

    /// A part of a body, in frames that are short enough.
    pub(super) fn chunks(&mut self, chunk: &Bytes) -> Vec<Bytes> {
        chunk.chunks(LONGEST_CHUNK).map(|part| self.frame(&Frame::Body(chunk.slice_ref(part)))).collect()
    }
}

/// Reads what [`FrameWriter`] wrote, from a stream cut anywhere.
pub(super) struct FrameReader {
    file: Body,
    read: BytesMut,
    next: u64,
}

impl FrameReader {
    pub(super) fn new(file: Body) -> Self {
        Self { file, read: BytesMut::new(), next: 0 }
    }

    /// Reads what stands before the first frame.
    pub(super) async fn start(&mut self) -> Result<()> {
        self.fill(MAGIC.len()).await?;
        if !self.read.starts_with(MAGIC) {
            return Err(damaged("it is not one, or of another version"));
        }
        self.read.advance(MAGIC.len());
        Ok(())
    }

    pub(super) async fn next(&mut self) -> Result<Frame> {
        self.fill(HEADER).await?;
        let (kind, flags) = (self.read[0], self.read[1]);
        let length = u32::from_le_bytes([self.read[4], self.read[5], self.read[6], self.read[7]]) as usize;
        let longest = if kind == ENTRY { LONGEST_ENTRY } else { LONGEST_CHUNK };
        if length > longest {
            return Err(damaged(format!("frame {} is too long", self.next)));
        }
        self.fill(HEADER + length + CHECKSUM).await?;
        let sealed = self.read.split_to(HEADER + length);
        if self.read.get_u64_le() != xxh3(&sealed, self.next) {
            return Err(damaged(format!("frame {} fails its checksum", self.next)));
        }
        let number = self.next;
        self.next += 1;
        let payload = sealed.freeze().slice(HEADER..);
        parse(kind, flags, payload).ok_or_else(|| damaged(format!("frame {number} is malformed")))
    }

    /// Checks that nothing follows.
    pub(super) async fn end(&mut self) -> Result<()> {
        if self.read.is_empty() && self.file.next().await.transpose()?.is_none_or(|more| more.is_empty()) {
            return Ok(());
        }
        Err(damaged("something follows its end"))
    }

    /// Reads until `length` bytes are there.
    async fn fill(&mut self, length: usize) -> Result<()> {
        while self.read.len() < length {
            match self.file.next().await.transpose()? {
                Some(chunk) => self.read.extend_from_slice(&chunk),
                None => return Err(damaged(format!("it ends early, after frame {}", self.next))),
            }
        }
        Ok(())
    }
}

fn parse(kind: u8, flags: u8, mut payload: Bytes) -> Option<Frame> {
    Some(match (kind, flags) {
        (ENTRY, 0 | 1) => {
            let stored_at_ms = payload.try_get_u64_le().ok()?;
            Frame::Entry { stored_at_ms, has_body: flags == 1, heads: payload }
        }
        (BODY, 0) => Frame::Body(payload),
        (BODY_END, 0) if payload.is_empty() => Frame::BodyEnd,
        (END, 0) if payload.len() == 8 => Frame::End { entries: payload.get_u64_le() },
        _ => return None,
    })
}
