//! Segments of which little is needed are rewritten and freed (`docs/format.md`, "Compaction").
//!
//! Goes round by round: what is needed of some segments is copied to the end of the log, the log
//! says that they are not needed any more, and once that is synced they go. The next round begins when they are gone.
//! Readers never wait for it; who commits waits for one small batch at most.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError},
};

use bytes::Bytes;

use super::{
    commit::Plan,
    format::{FIRST_RECORD, Header, Kind, Position, Removed, Written, parse_remove, parse_unbind},
    home,
    index::Index,
    inner::Inner,
    segment::Segment,
    slot::Located,
    spare::Spares,
};
use crate::{Error, Result, store::ListId};

/// Payloads that are copied in one batch.
const BATCH_BYTES: usize = 512 * 1024;
/// What is copied in one round at most, so that space is given back before more is taken.
const ROUND_BYTES: u64 = 64 * 1024 * 1024;
/// What is copied in one go at least; more where more was committed since the last.
const GO_BYTES: u64 = 64 * 1024 * 1024;

/// Where compaction stands.
#[derive(Debug, Default)]
pub(super) struct Compaction {
    round: Option<Round>,
    /// What had been appended when it was last here.
    seen: u64,
}

#[derive(Debug)]
struct Round {
    /// The segments that are to go.
    victims: Vec<u32>,
    /// How many of them are copied, and how far the next is.
    copied: usize,
    at: Scan,
    /// Set once the log says that they are not needed: what has to be synced before they go.
    said_at: Option<Position>,
}

/// How far a segment is read.
#[derive(Debug, Clone, Copy)]
struct Scan {
    offset: u32,
    last: (u64, u32),
}

impl Scan {
    const START: Self = Self { offset: FIRST_RECORD, last: (0, 0) };
}

impl Compaction {
    /// Begins with what an interrupted round left. Nothing of that is needed, unless a copy was damaged.
    pub(super) fn after(leftover: Vec<u32>) -> Self {
        Self { round: Round::of(leftover), seen: 0 }
    }
}

impl Round {
    fn of(victims: Vec<u32>) -> Option<Self> {
        (!victims.is_empty()).then_some(Self { victims, copied: 0, at: Scan::START, said_at: None })
    }
}

impl Inner {
    /// Frees what is worth it, as far as that goes within what is copied in one go.
    pub(super) fn compact(&self) -> Result<()> {
        let mut compaction = self.compaction.lock().unwrap_or_else(PoisonError::into_inner);
        let written = self.log()?.written;
        let mut left = (2 * written.saturating_sub(compaction.seen)).max(GO_BYTES);
        compaction.seen = written;
        loop {
            if compaction.round.is_none() {
                compaction.round = Round::of(self.victims()?);
            }
            let Some(round) = &mut compaction.round else { return Ok(()) };
            if let Some(said_at) = round.said_at {
                self.free(&round.victims, said_at)?;
                compaction.round = None;
            } else if let Some(victim) = round.victims.get(round.copied).copied() {
                if left == 0 {
                    return Ok(());
                }
                let (bytes, next) = self.copy_some(victim, round.at)?;
                left = left.saturating_sub(bytes);
                (round.copied, round.at) = next.map_or((round.copied + 1, Scan::START), |next| (round.copied, next));
            } else {
                round.said_at = Some(self.say_unneeded(&round.victims)?);
            }
        }
    }

    /// Frees these segments and what an interrupted round left, however much of them is needed. Some may be gone already.
    /// `before_they_go` is called when nothing needs them any more.
    pub(super) fn rewrite(
        &self,
        segments: &BTreeSet<u32>,
        before_they_go: impl FnOnce() -> std::io::Result<()>,
    ) -> Result<()> {
        let mut compaction = self.compaction.lock().unwrap_or_else(PoisonError::into_inner);
        let left = compaction.round.take().map(|round| round.victims).unwrap_or_default();
        let victims: BTreeSet<u32> = segments.iter().copied().chain(left).collect();
        {
            let mut log = self.log()?;
            if log.segment.as_ref().is_none_or(|last| victims.contains(&last.number())) {
                log.turn_over(self.synced())?;
                self.note_segment(&log);
            }
        }
        for victim in &victims {
            self.give_names_again(*victim)?;
            let mut from = Scan::START;
            while let (_, Some(next)) = self.copy_some(*victim, from)? {
                from = next;
            }
        }
        let victims: Vec<u32> = victims.into_iter().collect();
        let said_at = self.say_unneeded(&victims)?;
        self.flush()?;
        self.checkpoint()?;
        before_they_go().map_err(Error::unavailable)?;
        self.free(&victims, said_at)
    }

    /// Writes the names whose records were in a segment that is not there any more.
    fn give_names_again(&self, segment: u32) -> Result<()> {
        let mut log = self.log()?;
        let mut plan = Plan::default();
        {
            let index = self.index();
            let lost = index.usage.get(segment).is_none();
            let bound = index.bound_in(segment).filter(|_| lost);
            bound.for_each(|(list, named)| plan.name(Kind::Bind, list, named));
        }
        if !plan.is_empty() {
            self.carry_out(&mut log, plan, [0; 16], self.clock.op_id())?;
        }
        Ok(())
    }

    /// The segments of which little is needed, the emptiest first.
    fn victims(&self) -> Result<Vec<u32>> {
        let checkpoint = self.checkpointed.lock().unwrap_or_else(PoisonError::into_inner).length;
        let active = self.log()?.end.segment();
        let mut sparse = self.index().usage.sparse(active);
        sparse.sort_unstable();
        // A round costs a checkpoint: it should give back more than that takes.
        let free: u64 = sparse.iter().map(|(needed, _, length)| u64::from(*length) - needed).sum();
        if free < checkpoint {
            return Ok(Vec::new());
        }
        let mut sum = 0;
        let first = sparse.into_iter().take_while(|(needed, ..)| {
            let fits = sum == 0 || sum + needed <= ROUND_BYTES;
            sum += needed;
            fits
        });
        Ok(first.map(|(_, number, _)| number).collect())
    }

    /// Copies a batch of what is needed of `victim`. Returns the bytes, and where to go on, or `None` at the
    /// end.
    fn copy_some(&self, victim: u32, from: Scan) -> Result<(u64, Option<Scan>)> {
        let Some(segment) = self.index().usage.segment(victim).cloned() else { return Ok((0, None)) };
        let lists = self.index().not_loaded(victim);
        self.load(lists)?;
        let (found, next) = self.gather(&segment, from).map_err(Error::unavailable)?;
        let mut log = self.log()?;
        let plan = {
            let index = self.index();
            let mut plan = Plan::default();
            for record in &found {
                record.plan(&index, victim, &mut plan);
            }
            if next.is_none() {
                index.bound_in(victim).for_each(|(list, named)| plan.name(Kind::Bind, list, named));
            }
            plan
        };
        let before = log.written;
        if !plan.is_empty() {
            self.carry_out(&mut log, plan, [0; 16], self.clock.op_id())?;
        }
        if next.is_none() {
            self.give_up_unreadable(victim);
        }
        Ok((log.written.saturating_sub(before).max(1), next))
    }

    /// Reads records that may be needed, until they fill a batch.
    fn gather(&self, segment: &Arc<Segment>, from: Scan) -> std::io::Result<(Vec<Record>, Option<Scan>)> {
        let (mut found, mut bytes, mut at) = (Vec::new(), 0, from);
        while bytes < BATCH_BYTES {
            let last = at.last;
            let Some(header) = segment.next_record(at.offset, |header| header.order() > last)? else {
                return Ok((found, None));
            };
            at = Scan { offset: header.next().unwrap_or(u32::MAX), last: header.order() };
            let list = ListId(header.list);
            let located = match header.kind {
                Kind::Seal => return Ok((found, None)),
                Kind::Unbind | Kind::Remove => None,
                Kind::Insert => {
                    let index = self.index();
                    let slot = index.slot_at(list, header.position, header.entry);
                    let Some(located) = slot.and_then(|slot| index.locate(list, slot)) else { continue };
                    Some(located)
                }
                Kind::Bind | Kind::Rename | Kind::Mark => continue,
            };
            match (Written::of(&header).and_then(|written| segment.payload(written)), located) {
                (Some(payload), _) => {
                    bytes += payload.len();
                    found.push(Record { header, payload });
                }
                (None, Some(located)) => self.note_damaged(located.place),
                // It was damaged when the log was last read, too, or its other copy did its work.
                (None, None) => {}
            }
        }
        Ok((found, Some(at)))
    }

    /// Entries of a segment that was read to its end and that are still in it cannot be read.
    fn give_up_unreadable(&self, victim: u32) {
        let lost: Vec<Located> = {
            let index = self.index();
            index.in_segment(victim).filter_map(|(list, slot)| index.locate(list, slot)).collect()
        };
        lost.iter().for_each(|located| self.note_damaged(located.place));
    }

    /// Says in the log that `victims` are not needed. Returns where the log ends then.
    fn say_unneeded(&self, victims: &[u32]) -> Result<Position> {
        let mut log = self.log()?;
        self.remove_damaged(&mut log)?;
        let needed: Vec<u32> = {
            let index = self.index();
            index.usage.iter().map(|(number, _)| number).filter(|number| !victims.contains(number)).collect()
        };
        log.append_needed(&needed, self.synced())?;
        // Before anything is freed: a checkpoint that comes between must not miss what is gone by then.
        self.index_mut().note_unneeded(victims);
        self.note_segment(&log);
        Ok(log.end)
    }

    /// Gives the space of `victims` back.
    fn free(&self, victims: &[u32], said_at: Position) -> Result<()> {
        // Only what no checkpoint needs may go.
        if self.synced() < said_at {
            self.flush()?;
        }
        self.checkpoint()?;
        let io = &*self.bodies.io;
        let room = self.ahead.make_room(io).map_err(Error::unavailable)?;
        // Another process would see a segment's bytes change.
        let nobody_looks = home::exclude_readers(io).map_err(Error::unavailable)?;
        let mut kept = Vec::new();
        for victim in victims {
            let path = Segment::path(*victim);
            let freed = self.index().usage.segment(*victim).map(|freed| (freed.header.length, freed.readers()));
            let gone = match freed.filter(|_| nobody_looks.is_some() && kept.len() < room) {
                Some((length, readers)) => {
                    kept.push((*victim, length, readers));
                    io.rename(&path, &Spares::path(*victim))
                }
                None => io.unlink(&path),
            };
            match gone {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => kept.retain(|(kept, ..)| kept != victim),
                Err(error) => return Err(Error::unavailable(error)),
                Ok(()) => {}
            }
        }
        drop(nobody_looks);
        // Before removals of what was in them are dropped: a segment must not come back without these. And before
        // one is written to.
        io.sync_dir("log").map_err(Error::unavailable)?;
        {
            let mut index = self.index_mut();
            victims.iter().for_each(|victim| index.forget_segment(*victim));
        }
        self.ahead.keep(kept.into_iter());
        Ok(())
    }
}

/// A record that may be needed.
struct Record {
    header: Header,
    payload: Bytes,
}

impl Record {
    /// Adds what is needed of it to `plan`.
    fn plan(&self, index: &Index, victim: u32, plan: &mut Plan) {
        let list = ListId(self.header.list);
        // As long as what was taken away is there, so is what took it away.
        let is_there = |at: Position| at.segment() != victim && index.usage.get(at.segment()).is_some();
        match self.header.kind {
            Kind::Insert => {
                if let Some(slot) = index.slot_at(list, self.header.position, self.header.entry) {
                    plan.copy(&self.header, self.payload.clone(), &slot);
                }
            }
            Kind::Unbind => {
                let mut bound = parse_unbind(&self.payload).unwrap_or_default();
                bound.retain(|at| is_there(*at));
                if !bound.is_empty() {
                    plan.unbind(list, bound);
                }
            }
            Kind::Remove => {
                let mut removed: Vec<Removed> = parse_remove(&self.payload).unwrap_or_default();
                removed.retain(|removed| is_there(removed.at));
                if !removed.is_empty() {
                    plan.remove(list, removed.into_iter().map(Into::into).collect());
                }
            }
            Kind::Bind | Kind::Rename | Kind::Mark | Kind::Seal => {}
        }
    }
}
