//! The end of the log: where batches are appended, each by one write.
//!
//! Knows segments and records, not what they mean. One thread at a time has it.

use std::{
    io,
    sync::{Arc, mpsc::SyncSender},
};

use super::{
    ahead::{Ahead, Wanted},
    bodies::owner_of,
    failure::disk_error,
    fill::Filled,
    format::{
        BatchHead, Draft, FIRST_RECORD, HEADER, Kind, Position, Written, encode_batch, encode_mark, record_length,
    },
    io::DiskIo,
    segment::Segment,
};
use crate::{Clock, Error, Result, StorageKey, store::OpId};

/// The least length of a segment. The length grows with what is live in the log, up to what is configured,
/// so that a small store takes little room.
const LEAST_SEGMENT_BYTES: u32 = 1024 * 1024;

/// Bytes after which who works in the background is told that there is something new.
const TOLD_EVERY: u64 = 16 * 1024 * 1024;
/// Memory for encoding that is kept from batch to batch, at most.
const KEPT_BYTES: usize = 1024 * 1024;

/// The writing end of the log.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) io: Arc<dyn DiskIo>,
    pub(super) clock: Arc<Clock>,
    /// The length of new segments, at most.
    pub(super) segment_bytes: u32,
    /// Bytes appended since the store was opened.
    pub(super) written: u64,
    /// How many bytes of the log are of entries and names that are there.
    pub(super) live: u64,
    pub(super) ahead: Arc<Ahead>,
    /// Who makes the next segment, drops lists that are gone, and maps what was written, when it is told that there is
    /// something to do.
    pub(super) maker: Option<SyncSender<()>>,
    /// The last segment for which it was told.
    pub(super) asked: u32,
    /// What has been appended when it is told again.
    pub(super) tells_at: u64,
    /// The segment that is written to; `None` before the first.
    pub(super) segment: Option<Arc<Segment>>,
    /// How far its pages are made.
    pub(super) filled: Filled,
    /// Where the next batch goes.
    pub(super) end: Position,
    /// Where the log ended when the last mark was written: nothing came since.
    pub(super) marked: Position,
    pub(super) next: Numbers,
    /// Segments written to since the last sync.
    pub(super) unsynced: Vec<Arc<Segment>>,
    /// Why nothing can be written any more.
    pub(super) failed: Option<String>,
    /// Where batches are encoded, one after the other.
    pub(super) buffer: Vec<u8>,
    /// Who committed last, and what names them: mostly it is the same one again.
    pub(super) owner: Option<(StorageKey, [u8; 16])>,
}

/// The next number of everything that is numbered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub(super) batch: u64,
    pub(super) list: u64,
    pub(super) entry: u64,
}

/// Why a batch was not appended.
#[derive(Debug)]
pub(super) enum AppendError {
    /// The log is as it was.
    NotDone(Error),
    /// The batch may be there or not, and nothing can be written any more.
    Unknown,
}

impl From<AppendError> for Error {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::NotDone(error) => error,
            AppendError::Unknown => Self::unavailable("the disk failed"),
        }
    }
}

impl From<Error> for AppendError {
    fn from(error: Error) -> Self {
        Self::NotDone(error)
    }
}

/// Whose batch it is and what was synced before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch<'a> {
    pub(super) drafts: &'a [&'a Draft],
    pub(super) key: [u8; 16],
    pub(super) op: OpId,
    pub(super) synced: Position,
}

impl Log {
    /// # Errors
    ///
    /// [`Error::Unavailable`]: nothing can be written any more.
    pub(super) fn check(&self) -> Result<()> {
        self.failed.as_ref().map_or(Ok(()), |reason| Err(Error::unavailable(reason.clone())))
    }

    /// Appends a batch. Returns where its payloads are.
    pub(super) fn append(&mut self, batch: Batch<'_>) -> Result<(Arc<Segment>, Vec<Written>), AppendError> {
        self.check()?;
        let length: usize = batch.drafts.iter().map(|draft| record_length(draft.payload_length())).sum();
        let segment = self.segment_with_room(length, batch)?;
        let written = self.write(&segment, batch)?;
        let needs_next = self.asked != segment.number() && self.needs_next_soon();
        if needs_next || self.written >= self.tells_at {
            if needs_next {
                self.asked = segment.number();
            }
            self.tells_at = self.written.saturating_add(TOLD_EVERY);
            self.wake();
        }
        Ok((segment, written))
    }

    /// What names `key` in the log.
    pub(super) fn owner_of(&mut self, key: &StorageKey) -> [u8; 16] {
        match &self.owner {
            Some((last, owner)) if last == key => *owner,
            _ => self.owner.insert((key.clone(), owner_of(key))).1,
        }
    }

    /// Tells who works in the background that there is something to do now.
    pub(super) fn wake(&self) {
        // Full: it was told, and looks when it gets to it.
        let _ = self.maker.as_ref().map(|maker| maker.try_send(()));
    }

    /// The next segment, where it will be needed soon.
    pub(super) fn next_segment(&self) -> Option<Wanted> {
        let number = self.end.segment().checked_add(1).filter(|_| self.needs_next_soon())?;
        Some(self.wanted(number, FIRST_RECORD))
    }

    /// Whether half of the segment is written that is written to.
    fn needs_next_soon(&self) -> bool {
        let half = |segment: &Arc<Segment>| self.end.offset() > segment.header.length / 2;
        self.failed.is_none() && self.segment.as_ref().is_some_and(half)
    }

    fn wanted(&self, number: u32, shortest: u32) -> Wanted {
        let half = u32::try_from((self.live / 2).next_power_of_two()).unwrap_or(u32::MAX);
        let length = half.max(LEAST_SEGMENT_BYTES).min(self.segment_bytes).max(shortest);
        let (seed, temporary) = (self.clock.random() as u64, format!("tmp/{:032x}", self.clock.random()));
        Wanted { number, length, shortest, seed, temporary }
    }

    /// A mark says how much of the log is synced; nothing else changes.
    pub(super) fn append_mark(&mut self, synced: Position) -> Result<(), AppendError> {
        let mark = Draft::new(Kind::Mark, self.next.list, self.next.entry, Vec::new());
        self.append(Batch { drafts: &[&mark], key: [0; 16], op: OpId(0), synced })?;
        self.marked = self.end;
        Ok(())
    }

    /// From now on these segments and the later ones are needed, no others. Said twice: one damaged
    /// place must not make freed segments look lost.
    pub(super) fn append_needed(&mut self, segments: &[u32], synced: Position) -> Result<(), AppendError> {
        let mark = Draft::new(Kind::Mark, self.next.list, self.next.entry, encode_mark(segments));
        self.append(Batch { drafts: &[&mark, &mark], key: [0; 16], op: OpId(0), synced })?;
        Ok(())
    }

    /// Goes on in a new segment, whatever room there is in the last.
    pub(super) fn turn_over(&mut self, synced: Position) -> Result<(), AppendError> {
        let length = self.segment.as_ref().map_or(0, |segment| segment.header.length);
        let room = length.saturating_sub(self.end.offset());
        self.segment_with_room(room as usize, Batch { drafts: &[], key: [0; 16], op: OpId(0), synced })?;
        Ok(())
    }

    /// Gives up: after a failed sync nobody knows what is on the disk.
    pub(super) fn fail(&mut self, error: &io::Error) {
        tracing::error!(%error, "the disk failed; nothing can be written until the store is opened again");
        self.failed.get_or_insert_with(|| format!("the disk failed before: {error}"));
    }

    /// The segment to write `length` bytes to: the last, or a new one.
    fn segment_with_room(&mut self, length: usize, batch: Batch<'_>) -> Result<Arc<Segment>, AppendError> {
        // There is always room for a seal.
        let needed = length.saturating_add(HEADER);
        if let Some(segment) = &self.segment {
            let free = segment.header.length.saturating_sub(self.end.offset());
            if needed <= free as usize {
                return Ok(Arc::clone(segment));
            }
        }
        let too_long = || Error::QuotaExceeded { requested: Some(length as u64), quota: Some(u32::MAX.into()) };
        let shortest = u32::try_from(needed.saturating_add(FIRST_RECORD as usize)).map_err(|_| too_long())?;
        let number = self.end.segment().checked_add(1).ok_or_else(too_long)?;
        let made = self.ahead.take(&*self.io, &self.wanted(number, shortest));
        let made = made.map_err(|error| disk_error(error, needed as u64))?;
        if let Some(full) = self.segment.clone() {
            let seal = Draft::new(Kind::Seal, 0, 0, Vec::new());
            self.write(&full, Batch { drafts: &[&seal], ..batch })?;
        }
        self.segment = Some(Arc::clone(&made));
        self.filled = Filled::default();
        self.end = Position::new(number, FIRST_RECORD);
        Ok(made)
    }

    fn write(&mut self, segment: &Arc<Segment>, batch: Batch<'_>) -> Result<Vec<Written>, AppendError> {
        let head = BatchHead { number: self.next.batch, synced: batch.synced, key: batch.key, op: batch.op };
        // Never used again, whether the write succeeds or not: what a failed write leaves behind
        // must not pass for a part of a later batch.
        self.next.batch += 1;
        let written = encode_batch(batch.drafts, head, self.end, segment.header.seed, &mut self.buffer)
            .expect("a segment with room for the batch was chosen");
        let (offset, length) = (self.end.offset(), self.buffer.len());
        let done = self.filled.write(segment, &self.buffer, offset);
        if self.buffer.capacity() > KEPT_BYTES {
            self.buffer = Vec::new();
        }
        if let Err(error) = done {
            // However much of it was written: without its first header the batch is not there.
            let undone = segment.write(&vec![0; length], offset).and_then(|()| segment.sync());
            return Err(match undone {
                Ok(()) => AppendError::NotDone(disk_error(error, length as u64)),
                Err(_) => {
                    self.fail(&error);
                    AppendError::Unknown
                }
            });
        }
        let after = offset as usize + length;
        self.written += length as u64;
        self.end = Position::new(segment.number(), u32::try_from(after).expect("the batch fits in its segment"));
        self.note_unsynced(segment);
        Ok(written)
    }

    /// The next sync has to sync this segment, too.
    pub(super) fn note_unsynced(&mut self, segment: &Arc<Segment>) {
        if !self.unsynced.iter().any(|other| Arc::ptr_eq(other, segment)) {
            self.unsynced.push(Arc::clone(segment));
        }
    }
}
