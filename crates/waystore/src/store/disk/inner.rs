//! An open store: the index, the log, the bodies, and how one is opened.

use std::{
    any::Any,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::{
    DiskOptions, Durability,
    ahead::Ahead,
    bodies::Bodies,
    checkpoint,
    compact::Compaction,
    durability::{Checkpointed, SharedSync},
    fill::Filled,
    format::{Position, Removed},
    hold::Holder,
    home,
    index::{Index, Step},
    io::{Access, DiskIo},
    log::Log,
    replay::{Replayed, replay},
    report::OpenReport,
    segment::Segment,
    slot::Place,
    slots::Slots,
};
use crate::{
    Clock, Error, Result,
    store::{List, ListId, UrlMatch, minute_of},
};

/// What the store, its background thread and its holds share.
///
/// Locks are taken in this order: `compaction`, `checkpointed`, `flushing`, `log`, `ahead`, `index`, those of `bodies`.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) options: DiskOptions,
    pub(super) clock: Arc<Clock>,
    pub(super) bodies: Arc<Bodies>,
    pub(super) report: OpenReport,
    /// `None`: opened to be read only.
    log: Option<Mutex<Log>>,
    pub(super) ahead: Arc<Ahead>,
    index: RwLock<Index>,
    /// How far the log is synced.
    synced: AtomicU64,
    /// Held during a sync, so that there is one at a time.
    pub(super) flushing: Mutex<()>,
    /// The sync for all who wait.
    pub(super) shared_sync: Arc<SharedSync>,
    /// What was last written of what there is.
    pub(super) checkpointed: Mutex<Checkpointed>,
    /// Whether anything was looked up since: uses may have been counted that it does not have.
    pub(super) looked_up: AtomicBool,
    /// What of the log is being rewritten.
    pub(super) compaction: Mutex<Compaction>,
    /// Entries whose bytes in the log were found changed.
    damaged: Mutex<Vec<(ListId, Removed)>>,
    /// How many there were.
    pub(super) damaged_entries: AtomicU64,
    /// Keeps other writers out, or the writer from using segments again; dropped last.
    _claim: Option<Box<dyn Any + Send + Sync>>,
}

impl Inner {
    /// Opens a directory to be changed.
    pub(super) fn open(io: Arc<dyn DiskIo>, clock: Arc<Clock>, options: DiskOptions) -> Result<Arc<Self>> {
        let claim = home::claim(&*io)?;
        Self::open_claimed(claim, io, clock, options)
    }

    /// Opens a directory whose lock is held.
    pub(super) fn open_claimed(
        claim: Box<dyn Any + Send + Sync>,
        io: Arc<dyn DiskIo>,
        clock: Arc<Clock>,
        options: DiskOptions,
    ) -> Result<Arc<Self>> {
        let strict = options.durability == Durability::Strict;
        let bodies = Bodies::new(Arc::clone(&io), Arc::clone(&clock), strict, true);
        let mut replayed = replay(&bodies, Access::Write)?;
        tidy(&*io, &bodies, &mut replayed).map_err(Error::unavailable)?;
        checkpoint::remove_closed(&*io).map_err(Error::unavailable)?;
        let bodiless = replayed.bodiless.clone();
        let log = Log {
            io,
            clock: Arc::clone(&clock),
            segment_bytes: options.segment_bytes,
            live: replayed.index.usage.live(),
            written: replayed.read,
            ahead: Arc::default(),
            maker: None,
            asked: 0,
            tells_at: replayed.read,
            segment: replayed.segment.clone(),
            filled: Filled::default(),
            end: replayed.end,
            marked: if replayed.marked { replayed.end } else { Position::default() },
            next: replayed.next,
            unsynced: replayed.unsynced.clone(),
            failed: None,
            buffer: Vec::new(),
            owner: None,
        };
        bodies.set_log_end(log.end);
        let inner = Self::new(options, clock, bodies, replayed, Some(log), Some(claim));
        inner.remove_for_good(&bodiless)?;
        Ok(inner)
    }

    /// Opens a directory to be looked at, also beside one who writes to it.
    pub(super) fn open_read_only(io: Arc<dyn DiskIo>, clock: Arc<Clock>) -> Result<Arc<Self>> {
        let looking = home::look(&*io)?;
        let bodies = Bodies::new(io, Arc::clone(&clock), false, false);
        let replayed = replay(&bodies, Access::Read)?;
        Ok(Self::new(DiskOptions::default(), clock, bodies, replayed, None, Some(looking)))
    }

    fn new(
        options: DiskOptions,
        clock: Arc<Clock>,
        bodies: Arc<Bodies>,
        replayed: Replayed,
        log: Option<Log>,
        claim: Option<Box<dyn Any + Send + Sync>>,
    ) -> Arc<Self> {
        let mut replayed = replayed;
        // However much is free: what is refused must not tell what others store.
        let half = bodies.io.volume_bytes().map(|bytes| bytes / 2);
        replayed.index.ledger.set_default_per_key(half);
        Arc::new(Self {
            options,
            clock,
            bodies,
            report: replayed.report,
            ahead: log.as_ref().map(|log| Arc::clone(&log.ahead)).unwrap_or_default(),
            log: log.map(Mutex::new),
            index: RwLock::new(replayed.index),
            synced: AtomicU64::new(replayed.proven.0),
            flushing: Mutex::new(()),
            shared_sync: Arc::default(),
            checkpointed: Mutex::new(replayed.checkpointed),
            looked_up: AtomicBool::new(false),
            compaction: Mutex::new(Compaction::after(replayed.leftover)),
            damaged: Mutex::default(),
            damaged_entries: AtomicU64::new(0),
            _claim: claim,
        })
    }

    pub(super) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn log(&self) -> Result<MutexGuard<'_, Log>> {
        let log = self.log.as_ref().ok_or_else(|| {
            Error::unavailable(io::Error::new(
                io::ErrorKind::ReadOnlyFilesystem,
                "the store was opened to be read only",
            ))
        })?;
        Ok(log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn is_writable(&self) -> bool {
        self.log.is_some()
    }

    pub(super) fn synced(&self) -> Position {
        Position(self.synced.load(Ordering::Acquire))
    }

    pub(super) fn set_synced(&self, position: Position) {
        self.synced.fetch_max(position.0, Ordering::AcqRel);
    }

    /// Loads lists that were not used before.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`]: the checkpoint changed since it was opened. Opening again reads the log instead.
    pub(super) fn load(&self, lists: impl IntoIterator<Item = ListId>) -> Result<()> {
        for list in lists {
            let Some(section) = self.index().stored(list).cloned() else { continue };
            // It was verified when the store was opened, which may be long ago.
            if !section.is_whole() {
                let detail = "the checkpoint was changed while the store was open; open it again".into();
                return Err(Error::Damaged { detail });
            }
            // Before the lock: of a long list, this takes longer than others should wait.
            let slots = Slots::stored(section);
            self.index_mut().load(list, slots);
        }
        Ok(())
    }

    /// The index, with what searches need loaded.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub(super) fn index_for<'a>(
        &self,
        searches: impl Iterator<Item = (ListId, UrlMatch<'a>)> + Clone,
    ) -> Result<RwLockReadGuard<'_, Index>> {
        let is_ready = |index: &Index, (list, url): (ListId, UrlMatch<'_>)| {
            index.stored(list).is_none() && !(matches!(url, UrlMatch::WithoutQuery(_)) && index.lacks_paths(list))
        };
        let index = self.index();
        if searches.clone().all(|search| is_ready(&index, search)) {
            return Ok(index);
        }
        drop(index);
        self.load(searches.clone().map(|(list, _)| list))?;
        for (list, url) in searches {
            if matches!(url, UrlMatch::WithoutQuery(_)) && self.index().lacks_paths(list) {
                self.index_mut().index_paths(list);
            }
        }
        // A list that is loaded stays so.
        Ok(self.index())
    }

    /// Notes that somebody looks for something. Returns the minute.
    pub(super) fn note_look_up(&self) -> u32 {
        if !self.looked_up.load(Ordering::Relaxed) {
            self.looked_up.store(true, Ordering::Relaxed);
        }
        minute_of(self.clock.about_now_ms())
    }

    /// Makes the segment that is written to known.
    pub(super) fn note_segment(&self, log: &Log) {
        if let Some(segment) = &log.segment {
            self.index_mut().usage.add(segment);
        }
    }

    /// A handle on a list that is in `index`.
    pub(super) fn hold(self: &Arc<Self>, index: &Index, list: ListId) -> Option<List> {
        let weak: Weak<Self> = Arc::downgrade(self);
        let home: Weak<dyn Holder> = weak;
        index.hold(list, &home)
    }

    /// From now on the entry counts as absent: its bytes are not what was written.
    pub(super) fn note_damaged(&self, place: Place) {
        let list = place.list;
        let mut index = self.index_mut();
        // It may have been moved since, and be whole where it is now.
        let Some(removed) = index.get(list, place.entry).map(|slot| slot.removed()).filter(|now| now.at == place.at)
        else {
            return;
        };
        tracing::warn!(list = list.0, entry = removed.entry.0, "a stored entry is damaged");
        index.apply(Step::Remove { list, entries: vec![removed.into()] });
        self.damaged_entries.fetch_add(1, Ordering::Relaxed);
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).push((list, removed));
    }

    /// The entries found damaged since the last call, taken out of the index.
    pub(super) fn take_damaged(&self) -> Vec<(ListId, Removed)> {
        let mut damaged = std::mem::take(&mut *self.damaged.lock().unwrap_or_else(PoisonError::into_inner));
        if self.bodies.take_damage_seen() {
            let mut index = self.index_mut();
            let all = index.all().filter(|(_, slot)| !slot.is_whole());
            let found: Vec<_> = all.map(|(list, slot)| (list, slot.removed())).collect();
            for (list, removed) in found {
                index.apply(Step::Remove { list, entries: vec![removed.into()] });
                damaged.push((list, removed));
                self.damaged_entries.fetch_add(1, Ordering::Relaxed);
            }
        }
        damaged
    }

    /// What [`take_damaged`](Self::take_damaged) told, where the log could not be told yet.
    pub(super) fn keep_damaged(&self, damaged: Vec<(ListId, Removed)>) {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).extend(damaged);
    }
}

impl Holder for Inner {
    fn release(&self, list: ListId) {
        self.index_mut().released(list);
    }
}

/// Removes what a crash may have left: unfinished files, what stands after the end of the log, bodies
/// that no entry names.
fn tidy(io: &dyn DiskIo, bodies: &Bodies, replayed: &mut Replayed) -> io::Result<()> {
    // First, and synced: a batch given up for want of a body must not count when the same body is
    // stored again.
    if let Some(segment) = replayed.segment.as_ref().filter(|_| !replayed.ends_at_checkpoint)
        && segment.clear_from(replayed.end.offset())?
    {
        replayed.report.torn(replayed.end);
    }
    for name in io.list("tmp")? {
        io.unlink(&format!("tmp/{name}"))?;
    }
    let mut stale: Vec<u32> = io.list("log")?.iter().filter_map(|name| Segment::number_of(name)).collect();
    stale.retain(|number| *number > replayed.end.segment());
    stale.sort_unstable();
    for number in stale.iter().rev() {
        io.unlink(&Segment::path(*number))?;
    }
    if !stale.is_empty() || !replayed.ends_at_checkpoint {
        // The process before may have ended before it synced the name of the segment that is written to now.
        io.sync_dir("log")?;
    }
    let strays = bodies.strays()?;
    if !strays.is_empty() {
        // What took their entries away may not be synced: with the power it would go, and the entries be back.
        // So would it if a body before it did not reach the disk: there the log would end.
        bodies.sync(&bodies.take_unsynced())?;
        replayed.unsynced.iter().try_for_each(|segment| segment.sync())?;
    }
    strays.iter().try_for_each(|path| {
        tracing::info!(path, "removing a body that no entry names");
        io.unlink(path)
    })
}
