//! Reads the log and tells what there is (`docs/format.md`, "Reading the log").
//!
//! Changes nothing on the disk. Tells damage, which is reported and skipped, from the tail of a
//! write that never ended, where the log ends.

use std::sync::Arc;

use hashbrown::HashSet;

use super::{
    blocks::BlockError,
    bodies::{Bodies, BodyName},
    format::{FIRST_RECORD, Header, Kind, Position, RecordBody, Written, parse_bind, parse_insert, parse_remove},
    index::{Index, Step},
    io::Access,
    log::Numbers,
    report::OpenReport,
    segment::Segment,
    slot::Slot,
};
use crate::{
    Error, Result,
    store::{Entry, EntryId, ListId},
};

/// What the log holds.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) index: Index,
    /// The segment the log ends in, and where.
    pub(super) segment: Option<Arc<Segment>>,
    pub(super) end: Position,
    /// Whether a mark at the end says that everything is synced.
    pub(super) marked: bool,
    /// Segments of which that is not known.
    pub(super) unsynced: Vec<Arc<Segment>>,
    pub(super) next: Numbers,
    pub(super) proven: Position,
    pub(super) report: OpenReport,
    /// Entries whose body is gone, still to be removed from the log.
    pub(super) bodiless: Vec<(ListId, EntryId)>,
}

/// Reads the log in `bodies.io`.
pub(super) fn replay(bodies: &Arc<Bodies>, access: Access) -> Result<Replayed> {
    let segments = open_segments(bodies, access)?;
    let survey = Survey::of(&segments)?;
    let seed = bodies.clock.random() as u64;
    let mut whole = HashSet::new();
    let mut limit = None;
    loop {
        let mut replay = Replay::new(bodies, &survey, limit, Index::new(seed));
        replay.read(&segments)?;
        match replay.first_unproven_without_body(&mut whole)? {
            // The entry reached the disk and its body did not: the log ends before that batch.
            Some(position) => limit = Some(position),
            None => return Ok(replay.finish(&survey, &segments)),
        }
    }
}

/// A file of the log: its number, and the segment where its header can be read.
type SegmentFile = (u32, Option<Arc<Segment>>);

fn open_segments(bodies: &Arc<Bodies>, access: Access) -> Result<Vec<SegmentFile>> {
    let names = bodies.io.list("log").map_err(Error::unavailable)?;
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| Segment::number_of(name)).collect();
    numbers.sort_unstable();
    let open = |number| Ok((number, Segment::open(&*bodies.io, number, access)?.map(Arc::new)));
    numbers.into_iter().map(open).collect::<std::io::Result<_>>().map_err(Error::unavailable)
}

/// What a first look at all headers tells.
#[derive(Debug, Clone, Copy)]
struct Survey {
    /// What had been synced for certain.
    proven: Position,
    next: Numbers,
}

impl Survey {
    fn of(segments: &[SegmentFile]) -> Result<Self> {
        let mut survey = Self { proven: Position::default(), next: Numbers { batch: 1, list: 1, entry: 1 } };
        for segment in segments.iter().filter_map(|(_, segment)| segment.as_ref()) {
            let mut at = FIRST_RECORD;
            while let Some(header) = next_record(segment, at, |_| true)? {
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

/// The record at `at`, or else the next that `counts`.
fn next_record(segment: &Segment, at: u32, counts: impl Fn(&Header) -> bool) -> Result<Option<Header>> {
    match segment.record_at(at).filter(&counts) {
        Some(header) => Ok(Some(header)),
        None => segment.find_record(at, counts).map_err(Error::unavailable),
    }
}

struct Replay<'a> {
    bodies: &'a Arc<Bodies>,
    proven: Position,
    /// Where the log ends at the latest.
    limit: Option<Position>,
    index: Index,
    report: OpenReport,
    /// The last record that counted.
    last: (u64, u32),
    /// What the batch that is being read does, where it began, and whether it ended.
    steps: Vec<Step>,
    batch_start: Position,
    in_batch: bool,
    end: Position,
    /// Whether the last record was a mark of all before it.
    marked: bool,
    segment: Option<Arc<Segment>>,
}

/// How a segment ended.
enum Ended {
    /// The log goes on in the next one.
    Sealed,
    /// The log ends here.
    Tail,
}

impl<'a> Replay<'a> {
    fn new(bodies: &'a Arc<Bodies>, survey: &Survey, limit: Option<Position>, index: Index) -> Self {
        Self {
            bodies,
            proven: survey.proven,
            limit,
            index,
            report: OpenReport::default(),
            last: (0, 0),
            steps: Vec::new(),
            batch_start: Position::default(),
            in_batch: false,
            end: Position::default(),
            marked: true,
            segment: None,
        }
    }

    fn read(&mut self, segments: &[SegmentFile]) -> Result<()> {
        let mut expected = 1;
        for (number, segment) in segments {
            if *number != expected {
                self.report.damage(format!("segments {expected} to {} of the log are missing", number - 1));
            }
            expected = number.saturating_add(1);
            let ended = match segment {
                Some(segment) => self.read_segment(segment)?,
                None => {
                    // It had a header before it had its name, so this is no write that never ended.
                    self.report.damage(format!("{}: neither header can be read", Segment::path(*number)));
                    self.leave_segment(*number);
                    Ended::Sealed
                }
            };
            if let Ended::Tail = ended {
                break;
            }
        }
        if self.in_batch && self.batch_start < self.proven {
            self.end_batch();
        }
        Ok(())
    }

    fn read_segment(&mut self, segment: &Arc<Segment>) -> Result<Ended> {
        let mut at = FIRST_RECORD;
        self.end = Position::new(segment.number(), at);
        self.segment = Some(Arc::clone(segment));
        loop {
            let here = Position::new(segment.number(), at);
            let last = self.last;
            let found = next_record(segment, at, |header| header.order() > last)?;
            let gap = found.as_ref().is_none_or(|header| header.position != here);
            if gap && here >= self.proven {
                if found.is_some() || segment.has_bytes_at(at) {
                    self.report.torn(here);
                }
                return Ok(Ended::Tail);
            }
            let Some(header) = found else {
                self.report.damage(format!("{}: unreadable from byte {at} on", Segment::path(segment.number())));
                self.leave_segment(segment.number());
                return Ok(Ended::Sealed);
            };
            if gap {
                let to = header.position.offset();
                self.report.damage(format!("{}: bytes {at} to {to} are unreadable", Segment::path(segment.number())));
            }
            if let Some(ended) = self.read_record(segment, &header) {
                return Ok(ended);
            }
            at = header.next().expect("records that do not fit are not found");
        }
    }

    /// Takes one record. Returns how the segment ended, where it did.
    fn read_record(&mut self, segment: &Arc<Segment>, header: &Header) -> Option<Ended> {
        let proven = header.position < self.proven;
        if self.in_batch && self.last.0 != header.batch {
            if self.batch_start >= self.proven {
                return Some(Ended::Tail);
            }
            self.end_batch();
        }
        if self.limit.is_some_and(|limit| header.position >= limit) {
            return Some(Ended::Tail);
        }
        if !self.in_batch {
            self.in_batch = true;
            self.batch_start = header.position;
        }
        self.last = header.order();
        self.marked = header.kind == Kind::Mark && header.synced == header.position;
        match self.step(segment, header) {
            Ok(step) => self.steps.extend(step),
            Err(detail) if proven => self.report.damage(describe(header, &detail)),
            Err(_) => {
                self.report.torn(header.position);
                return Some(Ended::Tail);
            }
        }
        if header.end {
            self.end_batch();
        }
        if header.kind == Kind::Seal {
            self.leave_segment(segment.number());
            return Some(Ended::Sealed);
        }
        if !self.in_batch {
            self.end = Position::new(segment.number(), header.next().unwrap_or(u32::MAX));
        }
        None
    }

    /// Nothing more is written to segment `number`.
    fn leave_segment(&mut self, number: u32) {
        self.end = Position::new(number, u32::MAX);
        self.segment = None;
    }

    fn end_batch(&mut self) {
        self.in_batch = false;
        for step in std::mem::take(&mut self.steps) {
            let what = if let Step::Insert { list, entry, .. } = &step { Some((list.0, entry.0)) } else { None };
            if !self.index.apply(step)
                && let Some((list, entry)) = what
            {
                self.report.damage(format!("entry {entry} is of list {list}, whose name is lost"));
            }
        }
    }

    /// The first entry after proven whose body did not reach the disk whole.
    fn first_unproven_without_body(&self, whole: &mut HashSet<BodyName>) -> Result<Option<Position>> {
        let mut first = None;
        for (_, _, slot) in self.index.all() {
            let Some(file) = &slot.file else { continue };
            let position = slot.position();
            if position < self.proven || whole.contains(&file.name) || first.is_some_and(|first| first < position) {
                continue;
            }
            match file.verify() {
                Ok(()) => drop(whole.insert(file.name)),
                Err(BlockError::Damaged(detail)) => {
                    tracing::warn!(path = file.name.path(), detail, "a body did not reach the disk");
                    first = Some(position);
                }
                Err(BlockError::Io(error)) => return Err(Error::unavailable(error)),
            }
        }
        Ok(first)
    }

    fn finish(mut self, survey: &Survey, segments: &[SegmentFile]) -> Replayed {
        let mut bodiless = Vec::new();
        for (list, entry, slot) in self.index.all() {
            if let Some(file) = slot.file.as_ref().filter(|_| slot.position() >= self.proven) {
                self.bodies.note_unsynced(file.name);
            }
            if let Some(file) = slot.file.as_ref().filter(|file| !file.is_complete()) {
                let path = file.name.path();
                self.report.damage(format!("{path}: missing or cut; entry {} of list {} is lost", entry.0, list.0));
                bodiless.push((list, entry));
            }
        }
        if let Some(limit) = self.limit {
            self.report.torn(limit);
        }
        for (list, entry) in &bodiless {
            self.index.apply(Step::Remove { list: *list, entries: vec![*entry] });
        }
        let unsynced = segments.iter().filter_map(|(_, segment)| segment.as_ref());
        let unsynced = unsynced.filter(|segment| segment.number() >= self.proven.segment()).cloned().collect();
        Replayed {
            index: self.index,
            segment: self.segment,
            end: self.end,
            marked: self.marked,
            unsynced,
            next: survey.next,
            proven: self.proven,
            report: self.report,
            bodiless,
        }
    }

    /// What a record does, or what is wrong with it.
    fn step(&self, segment: &Arc<Segment>, header: &Header) -> Result<Option<Step>, String> {
        let written = Written {
            payload_at: header.payload().and_then(|range| u32::try_from(range.start).ok()).unwrap_or(u32::MAX),
            payload_length: header.payload_length,
            checksum: header.payload_checksum,
        };
        let payload = segment.payload(written).ok_or("its payload fails its checksum")?;
        let list = ListId(header.list);
        let malformed = "its payload is malformed";
        Ok(match header.kind {
            Kind::Bind => {
                let (place, name) = parse_bind(&payload).ok_or(malformed)?;
                Some(Step::Bind { list, place, name })
            }
            Kind::Rename => {
                let (place, name) = parse_bind(&payload).ok_or(malformed)?;
                Some(Step::Rename { list, place, name })
            }
            Kind::Unbind => Some(Step::Unbind { list }),
            Kind::Remove => {
                let entries = parse_remove(&payload).ok_or(malformed)?.into_iter().map(EntryId).collect();
                Some(Step::Remove { list, entries })
            }
            Kind::Insert => {
                let (_, entry, body) = parse_insert(&payload).ok_or(malformed)?;
                let entry = Entry::parse(entry).map_err(|error| error.to_string())?;
                let (hashes, padding) = (self.index.hashes(entry.url()), entry.padding());
                let file = match body {
                    RecordBody::File { hash, length } => {
                        Some(self.bodies.get(BodyName { owner: header.key, hash }, length))
                    }
                    RecordBody::Null | RecordBody::Inline(_) => None,
                };
                let slot = Slot { segment: Arc::clone(segment), written, hashes, padding, file };
                Some(Step::Insert { list, entry: EntryId(header.entry), slot })
            }
            Kind::Mark | Kind::Seal => None,
        })
    }
}

fn describe(header: &Header, detail: &str) -> String {
    let at = format!("{}, byte {}", Segment::path(header.position.segment()), header.position.offset());
    format!("{at}: {:?} of list {}, entry {}: {detail}", header.kind, header.list, header.entry)
}
