//! Reads the checkpoint and the log after it, and tells what there is (`docs/format.md`, "Reading the log").
//!
//! Changes nothing on the disk. Tells damage, which is reported and skipped, from the tail of a
//! write that never ended, where the log ends.

use std::{collections::BTreeSet, io, sync::Arc};

use hashbrown::HashSet;

use super::{
    begin::{begin, settled},
    blocks::BlockError,
    bodies::{Bodies, BodyName},
    checkpoint::Checkpoint,
    durability::Checkpointed,
    format::{
        Header, Kind, Position, RecordBody, Removed, Written, parse_bind, parse_insert, parse_mark, parse_remove,
        parse_unbind, record_length,
    },
    index::{Index, Step},
    io::Access,
    log::Numbers,
    report::{Damage, OpenReport},
    segment::Segment,
    slots::Slot,
    survey::{SegmentFile, Survey, first_after, segment_of},
};
use crate::{
    Result,
    store::{Entry, EntryId, ListId, minute_of},
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
    /// All that the report tells of, place by place.
    pub(super) damage: Vec<Damage>,
    /// Entries whose body or segment is gone, still to be removed from the log.
    pub(super) bodiless: Vec<(ListId, Removed)>,
    /// Segments that were to go when the process ended.
    pub(super) leftover: Vec<u32>,
    pub(super) checkpointed: Checkpointed,
    /// Bytes of the records that were read.
    pub(super) read: u64,
    /// Whether nothing can stand after the end.
    pub(super) ends_at_checkpoint: bool,
}

/// Reads the checkpoint and the log in `bodies.io`.
pub(super) fn replay(bodies: &Arc<Bodies>, access: Access) -> Result<Replayed> {
    let mut replayed = settled(access, |last_look| {
        let beginning = begin(bodies, access, last_look)?;
        let replayed = read_log(bodies, &beginning.segments, beginning.base.as_ref(), beginning.closed)?;
        Ok((replayed, beginning.damage))
    })?;
    if let Some(damage) = &replayed.1 {
        replayed.0.report.damage(damage);
    }
    Ok(replayed.0)
}

/// Reads the log from `base` on, or all of it; `closed` is where it ends, if that is known.
pub(super) fn read_log(
    bodies: &Arc<Bodies>,
    segments: &[SegmentFile],
    base: Option<&Checkpoint>,
    closed: Option<Position>,
) -> io::Result<Replayed> {
    let start = base.map_or(Position::default(), |checkpoint| checkpoint.at);
    // Then the log ends at the checkpoint, and need not be searched for what may come after.
    let ends_there = base.is_some() && closed == Some(start);
    let survey = if ends_there { Survey::base(base) } else { Survey::of(segments, base)? };
    let seed = bodies.clock.random() as u64;
    let mut whole = HashSet::new();
    let mut limit = None;
    let mut replayed = loop {
        let index = match base {
            Some(checkpoint) => Index::of(checkpoint, |number| segment_of(segments, number).cloned()),
            None => Index::new(seed),
        };
        let mut replay = Replay::new(bodies, &survey, limit, index);
        if let Some(checkpoint) = base {
            replay.begin_after(checkpoint);
        }
        if ends_there {
            replay.segment = segment_of(segments, start.segment()).cloned();
            replay.headless =
                segments.iter().filter(|(_, segment)| segment.is_none()).map(|(number, _)| *number).collect();
        } else {
            replay.read(segments, start)?;
        }
        match replay.first_unproven_without_body(&mut whole)? {
            // The entry reached the disk and its body did not: the log ends before that batch.
            Some(position) => limit = Some(position),
            None => break replay.finish(&survey, segments),
        }
    };
    replayed.ends_at_checkpoint = ends_there;
    // One that could not be used is as good as none.
    replayed.checkpointed.at = start;
    Ok(replayed)
}

struct Replay<'a> {
    bodies: &'a Arc<Bodies>,
    proven: Position,
    /// Where the log ends at the latest.
    limit: Option<Position>,
    index: Index,
    report: OpenReport,
    damage: Vec<Damage>,
    /// The last record that counted.
    last: (u64, u32),
    /// What the batch that is being read does, where it began, and whether it ended.
    steps: Vec<Found>,
    batch_start: Position,
    in_batch: bool,
    end: Position,
    /// Whether the last record was a mark of all before it.
    marked: bool,
    segment: Option<Arc<Segment>>,
    /// What the last mark that says so says is needed, and the segment it is in.
    needed: Option<(u32, Vec<u32>)>,
    /// Segments without a readable header.
    headless: Vec<u32>,
    bytes_read: u64,
}

/// What a record tells.
enum Found {
    Step(Step),
    Needed((u32, Vec<u32>)),
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
            damage: Vec::new(),
            last: (0, 0),
            steps: Vec::new(),
            batch_start: Position::default(),
            in_batch: false,
            end: Position::default(),
            marked: true,
            segment: None,
            needed: None,
            headless: Vec::new(),
            bytes_read: 0,
        }
    }

    /// Begins where the checkpoint is that the index was made of.
    fn begin_after(&mut self, checkpoint: &Checkpoint) {
        self.last = (checkpoint.next.batch.saturating_sub(1), u32::MAX);
        self.end = checkpoint.at;
        let numbers = checkpoint.segments.iter().filter(|state| !state.leftover).map(|state| state.number);
        self.needed = Some((checkpoint.at.segment(), numbers.collect()));
    }

    fn read(&mut self, segments: &[SegmentFile], start: Position) -> io::Result<()> {
        segments.iter().filter_map(|(_, segment)| segment.as_ref()).for_each(|segment| self.index.usage.add(segment));
        for (number, segment) in segments {
            let Some(first) = first_after(*number, start) else { continue };
            let ended = match segment {
                Some(segment) => self.read_segment(segment, first)?,
                None => {
                    // It had a header before it had its name, so this is no write that never ended.
                    self.headless.push(*number);
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

    fn read_segment(&mut self, segment: &Arc<Segment>, first: u32) -> io::Result<Ended> {
        let mut at = first;
        self.end = Position::new(segment.number(), at);
        self.segment = Some(Arc::clone(segment));
        loop {
            let here = Position::new(segment.number(), at);
            let last = self.last;
            let found = segment.next_record(at, |header| header.order() > last)?;
            let gap = found.as_ref().is_none_or(|header| header.position != here);
            if gap && here >= self.proven {
                if found.is_some() || segment.has_bytes_at(at) {
                    self.report.torn(here);
                }
                return Ok(Ended::Tail);
            }
            let Some(header) = found else {
                self.damaged(Damage::Gap { segment: segment.number(), from: at, to: None });
                self.leave_segment(segment.number());
                return Ok(Ended::Sealed);
            };
            if gap {
                let to = Some(header.position.offset());
                self.damaged(Damage::Gap { segment: segment.number(), from: at, to });
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
        self.bytes_read += record_length(header.payload_length as usize) as u64;
        self.marked = header.kind == Kind::Mark && header.synced == header.position;
        match self.step(segment, header) {
            Ok(steps) => self.steps.extend(steps),
            Err(detail) if proven => {
                let Header { kind, batch, list, entry, position: at, .. } = *header;
                self.damaged(Damage::Record { at, kind, batch, list, entry, detail });
            }
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

    fn damaged(&mut self, damage: Damage) {
        self.report.damage(&damage);
        self.damage.push(damage);
    }

    /// Nothing more is written to segment `number`.
    fn leave_segment(&mut self, number: u32) {
        self.end = Position::new(number, u32::MAX);
        self.segment = None;
    }

    fn end_batch(&mut self) {
        self.in_batch = false;
        std::mem::take(&mut self.steps).into_iter().for_each(|step| match step {
            Found::Step(step) => self.index.apply(step),
            Found::Needed(needed) => self.needed = Some(needed),
        });
    }

    /// The first entry after proven whose body did not reach the disk whole.
    fn first_unproven_without_body(&self, whole: &mut HashSet<BodyName>) -> io::Result<Option<Position>> {
        let mut first = None;
        for (_, slot) in self.index.all() {
            let Some(file) = &slot.file else { continue };
            let position = slot.at;
            if position < self.proven || whole.contains(&file.name) || first.is_some_and(|first| first < position) {
                continue;
            }
            match file.verify() {
                Ok(()) => drop(whole.insert(file.name)),
                Err(BlockError::Damaged(detail)) => {
                    tracing::warn!(path = file.name.path(), detail, "a body did not reach the disk");
                    first = Some(position);
                }
                Err(BlockError::Io(error)) => return Err(error),
            }
        }
        Ok(first)
    }

    fn finish(mut self, survey: &Survey, segments: &[SegmentFile]) -> Replayed {
        let (leftover, gone) = self.account_for(segments);
        for (list, entries) in self.index.settle() {
            // Without damage, the name is gone for good: compaction keeps what took it away no longer than the name.
            if entries > 0 && self.report.damage_count > 0 {
                self.damaged(Damage::Nameless { list: list.0, entries });
            }
        }
        self.index.load_where_something_is_missing(&gone);
        let (mut bodiless, reported) = (Vec::new(), self.damage.len());
        for (list, slot) in self.index.all() {
            if gone.contains(&slot.at.segment()) {
                bodiless.push((list, slot.removed()));
                continue;
            }
            if let Some(file) = slot.file.as_ref().filter(|_| slot.at >= self.proven) {
                self.bodies.note_unsynced(file.name);
            }
            if let Some(file) = slot.file.as_ref().filter(|file| !file.is_complete()) {
                self.damage.push(Damage::Body { path: file.name.path(), list: list.0, entry: slot.entry.0 });
                bodiless.push((list, slot.removed()));
            }
        }
        self.damage[reported..].iter().for_each(|damage| self.report.damage(damage));
        if let Some(limit) = self.limit {
            self.report.torn(limit);
        }
        for (list, removed) in &bodiless {
            self.index.apply(Step::Remove { list: *list, entries: vec![(*removed).into()] });
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
            damage: self.damage,
            bodiless,
            leftover,
            checkpointed: Checkpointed::default(),
            read: self.bytes_read,
            ends_at_checkpoint: false,
        }
    }

    /// Reports the segments that should be there and are not. Returns those that are there and need
    /// not be, and those that are lost.
    fn account_for(&mut self, segments: &[SegmentFile]) -> (Vec<u32>, BTreeSet<u32>) {
        let (since, needed) = self.needed.take().unwrap_or((1, Vec::new()));
        let is_needed = |number: u32| number >= since || needed.contains(&number);
        let numbers: BTreeSet<u32> = segments.iter().map(|(number, _)| *number).collect();
        let last = self.end.segment();
        let mut gone = BTreeSet::new();
        for number in needed.iter().copied().filter(|number| *number < since).chain(since.max(1)..=last) {
            if !numbers.contains(&number) {
                self.damaged(Damage::Missing { segment: number });
                gone.insert(number);
            }
        }
        for segment in std::mem::take(&mut self.headless).into_iter().filter(|number| is_needed(*number)) {
            self.damaged(Damage::Headless { segment });
            gone.insert(segment);
        }
        numbers.iter().filter(|number| **number > last).for_each(|number| self.index.forget_segment(*number));
        let unneeded = numbers.iter().copied().filter(|number| !is_needed(*number)).collect::<BTreeSet<u32>>();
        // What was moved out of a segment would be back if what removed it later went before the segment.
        let half_copied = self.index.to_go().filter(|number| *number < last && numbers.contains(number));
        let leftover: BTreeSet<u32> = half_copied.chain(unneeded.iter().copied()).collect();
        (leftover.into_iter().collect(), gone)
    }

    /// What a record tells, or what is wrong with it.
    fn step(&self, segment: &Arc<Segment>, header: &Header) -> Result<Vec<Found>, String> {
        let written = Written::of(header).ok_or("its payload is too long")?;
        let payload = segment.payload(written).ok_or("its payload fails its checksum")?;
        let (list, number) = (ListId(header.list), segment.number());
        let bytes = record_length(payload.len()) as u64;
        let malformed = "its payload is malformed";
        let steps = match header.kind {
            Kind::Bind | Kind::Rename => {
                let named = parse_bind(&payload).ok_or(malformed)?;
                vec![Step::Bind { list, named, at: header.position, bytes }]
            }
            Kind::Unbind => {
                let bound = parse_unbind(&payload).ok_or(malformed)?;
                let targets = bound.iter().map(|at| at.segment()).collect();
                vec![Step::Unbind { list }, Step::Removal { segment: number, targets, bytes }]
            }
            Kind::Remove => {
                let entries = parse_remove(&payload).ok_or(malformed)?;
                let targets = entries.iter().map(|removed| removed.at.segment()).collect();
                let entries = entries.into_iter().map(Into::into).collect();
                vec![Step::Remove { list, entries }, Step::Removal { segment: number, targets, bytes }]
            }
            Kind::Insert => {
                let (stored_at_ms, entry, body) = parse_insert(&payload).ok_or(malformed)?;
                let entry = Entry::parse(entry).map_err(|error| error.to_string())?;
                let (hashes, padding) = (self.index.hashes(entry.url()), entry.padding());
                let file = match body {
                    RecordBody::File { hash, length } => {
                        Some(self.bodies.get(BodyName { owner: header.key, hash }, length))
                    }
                    RecordBody::Null | RecordBody::Inline(_) => None,
                };
                let (entry, at, payload_length) = (EntryId(header.entry), header.position, header.payload_length);
                let slot = Slot { entry, at, payload_length, hashes, file, padding };
                vec![Step::Insert { list, slot, stored_in: minute_of(stored_at_ms) }]
            }
            Kind::Mark if !payload.is_empty() => {
                return Ok(vec![Found::Needed((number, parse_mark(&payload).ok_or(malformed)?))]);
            }
            Kind::Mark | Kind::Seal => Vec::new(),
        };
        Ok(steps.into_iter().map(Found::Step).collect())
    }
}
