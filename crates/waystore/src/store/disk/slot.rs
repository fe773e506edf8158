//! Where in the log an entry is, and how it is read from there.

use std::sync::Arc;

use super::{
    bodies::BodyFile,
    format::{FILE_REFERENCE, HEADER, INSERT_FIXED, Position, RecordBody, Written, parse_insert},
    index::UrlHashes,
    segment::Segment,
};
use crate::store::{Candidate, CandidateBody, Entry, EntryId, ListId, Usage};

/// The place of one entry.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) segment: Arc<Segment>,
    pub(super) written: Written,
    pub(super) hashes: UrlHashes,
    /// The entry's padding, of which its charge is a part.
    pub(super) padding: u8,
    /// The body's file, where it has one.
    pub(super) file: Option<Arc<BodyFile>>,
}

impl Slot {
    /// Whether nothing is known to be wrong with the body's file.
    pub(super) fn is_whole(&self) -> bool {
        self.file.as_ref().is_none_or(|file| !file.is_damaged())
    }

    /// What the entry is charged; told from the lengths alone.
    pub(super) fn usage(&self) -> Usage {
        let (rest, body) = match &self.file {
            Some(file) => (INSERT_FIXED + FILE_REFERENCE, file.length),
            None => (INSERT_FIXED, 0),
        };
        // With an inline body, the payload is the entry and the body: both are charged alike.
        Usage::of_parts(u64::from(self.written.payload_length).saturating_sub(rest as u64), body, self.padding)
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
