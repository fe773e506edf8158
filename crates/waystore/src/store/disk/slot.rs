//! An entry whose place in the log is known, and how it is read from there.

use std::{
    ops::Range,
    sync::{Arc, Weak},
};

use super::{
    bodies::BodyFile,
    format::{BodyPart, InsertParts, Kind, Position, Written},
    inline::{InlineBodies, Unread},
    inner::Inner,
    segment::Segment,
};
use crate::store::{Candidate, CandidateBody, Entry, EntryId, ListId, StoredBody as _, Uses};

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
        let (mut candidate, unread) = self.heads()?;
        if let Some(unread) = unread {
            candidate.body = CandidateBody::Stored(Arc::new(unread.body(home)));
        }
        Some(candidate)
    }

    /// The same, but for an inline body, of which only the place is told.
    fn heads(self) -> Option<(Candidate, Option<Unread>)> {
        let Place { list, entry: id, at } = self.place;
        let header = self.segment.record_at(at.offset())?;
        if (header.kind, header.list, header.entry) != (Kind::Insert, list.0, id.0) {
            return None;
        }
        let written = Written::of(&header)?;
        let parts = InsertParts::of(&self.segment.sealed(written)?)?;
        let payload_at = written.payload_at as usize;
        let in_segment = |part: Range<usize>| payload_at + part.start..payload_at + part.end;
        let entry = Entry::parse(self.segment.bytes(in_segment(parts.entry()))?).ok()?;
        let (body, unread) = match (parts.body, self.file) {
            (BodyPart::Null, _) => (CandidateBody::Null, None),
            (BodyPart::Inline(checksum), _) => {
                let range = in_segment(parts.body_at..written.payload_length as usize);
                let unread = Unread { place: self.place, segment: self.segment, range, checksum };
                (CandidateBody::Null, Some(unread))
            }
            (BodyPart::File { .. }, Some(file)) => (CandidateBody::Stored(file), None),
            (BodyPart::File { .. }, None) => return None,
        };
        let candidate = Candidate { id, list, stored_at_ms: parts.stored_at_ms, entry, body, uses: self.uses };
        Some((candidate, unread))
    }

    /// Whether all of its bytes in the log are what was written.
    pub(super) fn reads_whole(self) -> bool {
        let read = self.heads();
        read.is_some_and(|(_, unread)| unread.is_none_or(|body| body.body(&Weak::new()).at_hand().is_some()))
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
    ahead(all, near).map(|located| {
        let place = located.place;
        located.read(home).ok_or(place)
    })
}

/// Reads many entries, of whose small bodies hardly any will be asked for. Where one is damaged, its place is told instead.
pub(super) fn read_page(all: Vec<Located>, home: &Weak<Inner>) -> Result<Vec<Candidate>, Place> {
    let (mut page, mut unread) = (Vec::with_capacity(all.len()), Vec::with_capacity(all.len()));
    for located in ahead(all, Near::Later) {
        let place = located.place;
        let (candidate, body) = located.heads().ok_or(place)?;
        page.push(candidate);
        unread.push(body);
    }
    let bodies = Arc::new(InlineBodies { home: Weak::clone(home), unread });
    for (index, candidate) in page.iter_mut().enumerate() {
        if bodies.unread[index].is_some() {
            candidate.body = CandidateBody::Among(Arc::clone(&bodies) as _, index);
        }
    }
    Ok(page)
}

/// Has what comes a little later brought near.
fn ahead(all: Vec<Located>, near: Near) -> impl Iterator<Item = Located> {
    if near == Near::Later {
        all.iter().take(AHEAD).for_each(Located::touch);
    }
    let mut all = all.into_iter();
    std::iter::from_fn(move || {
        let located = all.next()?;
        all.as_slice().get(AHEAD - 1).into_iter().for_each(Located::touch);
        Some(located)
    })
}
