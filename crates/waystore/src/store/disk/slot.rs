//! An entry whose place in the log is known, and how it is read from there.

use std::sync::Arc;

use super::{
    bodies::BodyFile,
    format::{Kind, Position, RecordBody, Written, parse_insert},
    segment::Segment,
};
use crate::store::{Candidate, CandidateBody, Entry, EntryId, ListId, Uses};

/// What is needed to read one entry. The segment stays readable while somebody has this.
#[derive(Debug, Clone)]
pub(super) struct Located {
    pub(super) list: ListId,
    pub(super) entry: EntryId,
    pub(super) segment: Arc<Segment>,
    pub(super) at: Position,
    /// The body's file, where it has one.
    pub(super) file: Option<Arc<BodyFile>>,
    /// The counter of its uses.
    pub(super) uses: Uses,
}

impl Located {
    /// Reads the entry. `None`: its bytes are not what was written. They are checked each time,
    /// because the disk may change them at any time.
    pub(super) fn read(&self) -> Option<Candidate> {
        let header = self.segment.record_at(self.at.offset())?;
        if (header.kind, header.list, header.entry) != (Kind::Insert, self.list.0, self.entry.0) {
            return None;
        }
        let payload = self.segment.payload(Written::of(&header)?)?;
        let (stored_at_ms, entry, body) = parse_insert(&payload)?;
        let body = match (body, &self.file) {
            (RecordBody::Null, _) => CandidateBody::Null,
            (RecordBody::Inline(bytes), _) => CandidateBody::Inline(bytes),
            (RecordBody::File { .. }, Some(file)) => CandidateBody::Stored(Arc::<BodyFile>::clone(file)),
            (RecordBody::File { .. }, None) => return None,
        };
        let (entry, uses) = (Entry::parse(entry).ok()?, self.uses.clone());
        Some(Candidate { id: self.entry, list: self.list, stored_at_ms, entry, body, uses })
    }
}
