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

/// What is needed to read one entry, in the segment that `S` says. That stays readable while somebody has it.
#[derive(Debug)]
pub(super) struct Located<S = Arc<Segment>> {
    pub(super) place: Place,
    pub(super) segment: S,
    pub(super) payload_length: u32,
    /// The body's file, where it has one.
    pub(super) file: Option<Arc<BodyFile>>,
    /// The counter of its uses.
    pub(super) uses: Uses,
}

/// What is needed to read many entries of a list. Neighbours are in the same segment, mostly: it is counted once that they
/// need it.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) segments: Vec<Arc<Segment>>,
    /// Each with the place of its segment.
    pub(super) entries: Vec<Located<usize>>,
}

impl Located {
    /// Reads the entry. `None`: its bytes are not what was written. They are checked each time,
    /// because the disk may change them at any time; those of the body not before it is read, and `home` is told then.
    pub(super) fn read(self, home: &Weak<Inner>) -> Option<Candidate> {
        let (segment, located) = self.split();
        located.heads(&segment, |mut candidate, unread| {
            if let Some(unread) = unread {
                candidate.body = CandidateBody::Stored(Arc::new(unread.body(&segment, home)));
            }
            candidate
        })
    }

    /// Whether all of its bytes in the log are what was written.
    pub(super) fn reads_whole(self) -> bool {
        let (segment, located) = self.split();
        let is_whole = |body: Unread| body.body(&segment, &Weak::new()).at_hand().is_some();
        located.heads(&segment, |_, unread| unread.is_none_or(is_whole)) == Some(true)
    }
}

impl<S> Located<S> {
    /// Has what will be read brought near.
    fn touch(&self, segment: &Segment) {
        segment.touch(self.place.at.offset(), self.payload_length);
    }

    fn split(self) -> (S, Located<()>) {
        let Self { place, segment, payload_length, file, uses } = self;
        (segment, Located { place, segment: (), payload_length, file, uses })
    }
}

impl Located<()> {
    /// Reads the entry but for an inline body, of which the place is told, and gives it to `take`: it is large, so nobody
    /// hands it on. `None`: its bytes are not what was written.
    fn heads<T>(self, segment: &Segment, take: impl FnOnce(Candidate, Option<Unread>) -> T) -> Option<T> {
        let Place { list, entry: id, at } = self.place;
        let header = segment.record_at(at.offset())?;
        if (header.kind, header.list, header.entry) != (Kind::Insert, list.0, id.0) {
            return None;
        }
        let written = Written::of(&header)?;
        let parts = InsertParts::of(&segment.sealed(written)?)?;
        let payload_at = written.payload_at as usize;
        let in_segment = |part: Range<usize>| payload_at + part.start..payload_at + part.end;
        let entry = Entry::parse(segment.bytes(in_segment(parts.entry()))?).ok()?;
        let (body, unread) = match (parts.body, self.file) {
            (BodyPart::Null, _) => (CandidateBody::Null, None),
            (BodyPart::Inline(checksum), _) => {
                let range = in_segment(parts.body_at..written.payload_length as usize);
                (CandidateBody::Null, Some(Unread { place: self.place, range, checksum }))
            }
            (BodyPart::File { .. }, Some(file)) => (CandidateBody::Stored(file), None),
            (BodyPart::File { .. }, None) => return None,
        };
        let candidate = Candidate { id, list, stored_at_ms: parts.stored_at_ms, entry, body, uses: self.uses };
        Some(take(candidate, unread))
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
    ahead(all, near, |located| located.touch(&located.segment)).map(|located| {
        let place = located.place;
        located.read(home).ok_or(place)
    })
}

/// Reads a page of entries, of whose small bodies hardly any will be asked for. Where one is damaged, its place is told
/// instead.
pub(super) fn read_page(page: Page, home: &Weak<Inner>) -> Result<Vec<Candidate>, Place> {
    let Page { segments, entries } = page;
    let (mut read, mut unread) = (Vec::with_capacity(entries.len()), Vec::with_capacity(entries.len()));
    for located in ahead(entries, Near::Later, |located| located.touch(&segments[located.segment])) {
        let place = located.place;
        let (segment, located) = located.split();
        let read = located.heads(&segments[segment], |candidate, body| {
            read.push(candidate);
            unread.push(body.map(|body| (segment, body)));
        });
        read.ok_or(place)?;
    }
    let bodies = Arc::new(InlineBodies { home: Weak::clone(home), segments, unread });
    for (index, candidate) in read.iter_mut().enumerate() {
        if bodies.unread[index].is_some() {
            candidate.body = CandidateBody::Among(Arc::clone(&bodies) as _, index);
        }
    }
    Ok(read)
}

/// Has what comes a little later brought near, by `touch`.
fn ahead<S>(all: Vec<Located<S>>, near: Near, touch: impl Fn(&Located<S>)) -> impl Iterator<Item = Located<S>> {
    if near == Near::Later {
        all.iter().take(AHEAD).for_each(&touch);
    }
    let mut all = all.into_iter();
    std::iter::from_fn(move || {
        let located = all.next()?;
        all.as_slice().get(AHEAD - 1).into_iter().for_each(&touch);
        Some(located)
    })
}
