//! A first look at the segments of the log and the headers in them, before the log is read.

use std::{cmp::Ordering, io, sync::Arc};

use super::{
    bodies::Bodies,
    checkpoint::Checkpoint,
    format::{FIRST_RECORD, Header, Kind, Position},
    io::Access,
    log::Numbers,
    segment::Segment,
};

/// Whether the checkpoint is of this log: every segment is there that it needs, and the one it ends in. Where the store was
/// `closed` with it, it is, whatever became of the segments.
pub(super) fn fits(checkpoint: &Checkpoint, segments: &[SegmentFile], closed: Option<Position>) -> bool {
    let there = |number: u32| segment_of(segments, number).is_some();
    let is_closed = closed == Some(checkpoint.at);
    let ends = match segment_of(segments, checkpoint.at.segment()) {
        Some(end) => checkpoint.at.offset() <= end.header.length,
        None => is_closed || checkpoint.at == Position::default(),
    };
    ends && (is_closed || checkpoint.segments.iter().filter(|state| state.live > 0).all(|state| there(state.number)))
}

/// A file of the log: its number, and the segment where its header can be read.
pub(super) type SegmentFile = (u32, Option<Arc<Segment>>);

pub(super) fn segment_of(segments: &[SegmentFile], number: u32) -> Option<&Arc<Segment>> {
    let at = segments.binary_search_by_key(&number, |(number, _)| *number).ok()?;
    segments[at].1.as_ref()
}

pub(super) fn open_segments(bodies: &Arc<Bodies>, access: Access) -> io::Result<Vec<SegmentFile>> {
    let names = bodies.io.list("log")?;
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| Segment::number_of(name)).collect();
    numbers.sort_unstable();
    let open = |number| Ok((number, Segment::open(&*bodies.io, number, access)?.map(Arc::new)));
    numbers.into_iter().map(open).collect()
}

/// What a first look at all headers tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Survey {
    /// What had been synced for certain.
    pub(super) proven: Position,
    pub(super) next: Numbers,
}

impl Survey {
    /// What is known before the log is read.
    pub(super) fn base(base: Option<&Checkpoint>) -> Self {
        let none = Self { proven: Position::default(), next: Numbers { batch: 1, list: 1, entry: 1 } };
        base.map_or(none, |base| Self { proven: base.at, next: base.next })
    }

    pub(super) fn of(segments: &[SegmentFile], base: Option<&Checkpoint>) -> io::Result<Self> {
        let mut survey = Self::base(base);
        let start = survey.proven;
        for segment in segments.iter().filter_map(|(_, segment)| segment.as_ref()) {
            let Some(mut at) = first_after(segment.number(), start) else { continue };
            while let Some(header) = segment.next_record(at, |_| true)? {
                survey.note(&header);
                at = header.next().unwrap_or(u32::MAX);
            }
        }
        Ok(survey)
    }

    fn note(&mut self, header: &Header) {
        self.proven = self.proven.max(header.synced);
        let next = &mut self.next;
        next.batch = next.batch.max(header.batch.saturating_add(1));
        let (list, entry) = match header.kind {
            Kind::Mark => (header.list, header.entry),
            _ => (header.list.saturating_add(1), header.entry.saturating_add(1)),
        };
        next.list = next.list.max(list);
        next.entry = next.entry.max(entry);
    }
}

/// Where to begin in a segment when everything before `start` is known. `None`: all of it is.
pub(super) fn first_after(segment: u32, start: Position) -> Option<u32> {
    match segment.cmp(&start.segment()) {
        Ordering::Less => None,
        Ordering::Equal => Some(start.offset().max(FIRST_RECORD)),
        Ordering::Greater => Some(FIRST_RECORD),
    }
}
