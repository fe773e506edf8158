//! An entry whose place in the log is known, and how it is read from there.

use std::sync::{Arc, Weak};

use super::{
    bodies::BodyFile,
    format::{Kind, Position, RecordBody, Written, body_checksum, parse_insert},
    inline::InlineBody,
    inner::Inner,
    segment::Segment,
};
use crate::store::{Candidate, CandidateBody, Entry, EntryId, ListId, Uses};

/// Which entry, and where its record is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) list: ListId,
    pub(super) entry: EntryId,
    pub(super) at: Position,
}

/// What is needed to read one entry. The segment stays readable while somebody has this.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) place: Place,
    pub(super) segment: Arc<Segment>,
    pub(super) payload_length: u32,
    /// The body's file, where it has one.
    pub(super) file: Option<Arc<BodyFile>>,
    /// The counter of its uses.
    pub(super) uses: Uses,
}

impl Located {
    /// Has what will be read brought near.
    fn touch(&self) {
        self.segment.touch(self.place.at.offset(), self.payload_length);
    }

    /// Reads the entry. `None`: its bytes are not what was written. They are checked each time,
    /// because the disk may change them at any time; those of the body not before it is read, and `home` is told then.
    pub(super) fn read(self, home: &Weak<Inner>) -> Option<Candidate> {
        let Place { list, entry: id, at } = self.place;
        let header = self.segment.record_at(at.offset())?;
        if (header.kind, header.list, header.entry) != (Kind::Insert, list.0, id.0) {
            return None;
        }
        let (payload, _) = self.segment.sealed(Written::of(&header)?)?;
        let checksum = body_checksum(&payload)?;
        let (stored_at_ms, entry, body) = parse_insert(payload)?;
        let body = match (body, self.file) {
            (RecordBody::Null, _) => CandidateBody::Null,
            (RecordBody::Inline(bytes), _) => CandidateBody::Stored(Arc::new(InlineBody {
                home: Weak::clone(home),
                place: self.place,
                bytes,
                seed: self.segment.header.seed,
                checksum,
            })),
            (RecordBody::File { .. }, Some(file)) => CandidateBody::Stored(file),
            (RecordBody::File { .. }, None) => return None,
        };
        let entry = Entry::parse(entry).ok()?;
        Some(Candidate { id, list, stored_at_ms, entry, body, uses: self.uses })
    }

    /// Whether all of its bytes in the log are what was written.
    pub(super) fn reads_whole(self) -> bool {
        let is_in_file = self.file.is_some();
        self.read(&Weak::new()).is_some_and(|read| match read.body {
            CandidateBody::Stored(body) if !is_in_file => body.at_hand().is_some(),
            CandidateBody::Null | CandidateBody::Inline(_) | CandidateBody::Stored(_) => true,
        })
    }
}

/// When an entry that was located is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Near {
    /// At once.
    Now,
    /// After many others.
    Later,
}

/// How far ahead of the entry that is read others are brought near.
pub(super) const AHEAD: usize = 6;

/// Reads many entries, the first of which are near already if they were to be read now. Where one is damaged, its
/// place is told instead.
pub(super) fn read_all(
    all: Vec<Located>,
    near: Near,
    home: &Weak<Inner>,
) -> impl Iterator<Item = Result<Candidate, Place>> {
    if near == Near::Later {
        all.iter().take(AHEAD).for_each(Located::touch);
    }
    let mut all = all.into_iter();
    std::iter::from_fn(move || {
        let located = all.next()?;
        all.as_slice().get(AHEAD - 1).into_iter().for_each(Located::touch);
        let place = located.place;
        Some(located.read(home).ok_or(place))
    })
}
