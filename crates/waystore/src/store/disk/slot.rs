//! Where in the log an entry is, and how it is read from there.

use std::sync::Arc;

use super::{
    bodies::BodyFile,
    format::{HEADER, Position, RecordBody, Written, parse_insert},
    index::UrlHashes,
    segment::Segment,
};
use crate::store::{Candidate, CandidateBody, Entry, EntryId, ListId};

/// The place of one entry.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) segment: Arc<Segment>,
    pub(super) written: Written,
    pub(super) hashes: UrlHashes,
    /// The body's file, where it has one.
    pub(super) file: Option<Arc<BodyFile>>,
}

impl Slot {
    /// Whether nothing is known to be wrong with the body's file.
    pub(super) fn is_whole(&self) -> bool {
        self.file.as_ref().is_none_or(|file| !file.is_damaged())
    }

    /// Where the entry's record begins.
    pub(super) fn position(&self) -> Position {
        Position::new(self.segment.number(), self.written.payload_at.saturating_sub(HEADER as u32))
    }

    /// Reads the entry. `None`: its bytes are not what was written. They are checked each time,
    /// because the disk may change them at any time.
    pub(super) fn read(&self, list: ListId, id: EntryId) -> Option<Candidate> {
        let payload = self.segment.payload(self.written)?;
        let (stored_at_ms, entry, body) = parse_insert(&payload)?;
        let body = match (body, &self.file) {
            (RecordBody::Null, _) => CandidateBody::Null,
            (RecordBody::Inline(bytes), _) => CandidateBody::Inline(bytes),
            (RecordBody::File { .. }, Some(file)) => CandidateBody::Stored(Arc::<BodyFile>::clone(file)),
            (RecordBody::File { .. }, None) => return None,
        };
        Some(Candidate { id, list, stored_at_ms, entry: Entry::parse(entry).ok()?, body })
    }
}
