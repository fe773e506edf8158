//! When the disk is made to keep what was written: group commit, the sync of every second, closing.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::watch;

use super::{
    checkpoint,
    failure::{blocking, disk_error, never_began},
    format::Position,
    inner::Inner,
    log::Log,
    warm::warm,
};
use crate::{Error, Result};

/// What is read again after a kill, about; more where a checkpoint takes more than half of that.
const CHECKPOINT_EVERY: u64 = 64 * 1024 * 1024;

/// The last checkpoint.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Checkpointed {
    pub(super) at: Position,
    /// What had been appended since the store was opened.
    pub(super) written: u64,
    /// How long it is.
    pub(super) length: u64,
}

impl Checkpointed {
    /// How much was appended since, and how long it is. `None`: nothing.
    fn since(&self, log: &Log) -> Option<(u64, u64)> {
        (log.end != self.at).then(|| (log.written.saturating_sub(self.written), self.length))
    }
}

/// The sync that commits wait for together. It runs whether or not they are polled, and its end is told to
/// all at once: nobody is handed a turn that they might not take.
#[derive(Debug, Default)]
pub(super) struct SharedSync {
    runs: AtomicBool,
    ended: watch::Sender<()>,
}

impl SharedSync {
    /// Begins a sync, unless one runs.
    fn begin(self: &Arc<Self>) -> Option<SyncTurn> {
        (!self.runs.swap(true, Ordering::AcqRel)).then(|| SyncTurn(Arc::clone(self)))
    }
}

/// Held while a sync runs.
struct SyncTurn(Arc<SharedSync>);

impl Drop for SyncTurn {
    fn drop(&mut self) {
        self.0.runs.store(false, Ordering::Release);
        self.0.ended.send_replace(());
    }
}

impl Inner {
    /// Waits until the log is synced up to `position`: one sync is for all who wait.
    pub(super) async fn wait_until_synced(self: &Arc<Self>, position: Position) -> Result<()> {
        while self.synced() < position {
            // Before the look whether one runs: its end is not missed.
            let mut ended = self.shared_sync.ended.subscribe();
            let Some(turn) = self.shared_sync.begin() else {
                // Its outcome is seen by what is synced then, or by trying again.
                let _ = ended.changed().await;
                continue;
            };
            let inner = Arc::clone(self);
            // The turn goes along: it ends with the sync, whoever still waits for it.
            blocking(move || {
                let _turn = turn;
                inner.flush()
            })
            .await??;
        }
        Ok(())
    }

    /// Syncs everything committed: bodies first, then the log.
    pub(super) fn flush(&self) -> Result<()> {
        let _one = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        let (segments, end, unsynced) = {
            let mut log = self.log()?;
            log.check()?;
            (std::mem::take(&mut log.unsynced), log.end, self.bodies.take_unsynced())
        };
        let synced = self.bodies.sync(&unsynced).and_then(|()| segments.iter().try_for_each(|segment| segment.sync()));
        if let Err(error) = synced {
            if never_began(&error) {
                self.bodies.keep_unsynced(unsynced);
                let mut log = self.log()?;
                let since = std::mem::replace(&mut log.unsynced, segments);
                since.into_iter().for_each(|segment| log.note_unsynced(&segment));
                return Err(Error::unavailable(error));
            }
            // Asking again would succeed and prove nothing: the disk may have dropped what it could not write.
            self.log()?.fail(&error);
            return Err(Error::unavailable(error));
        }
        self.set_synced(end);
        Ok(())
    }

    /// What is done every second: makes damage known to the log, syncs, says so in the log, unlinks
    /// the bodies that are not needed, and rewrites segments of which little is.
    pub(super) fn tick(&self) -> Result<()> {
        self.drop_trash();
        self.settle()?;
        self.prepare_segment()?;
        self.compact()?;
        let since = self.checkpointed.lock().unwrap_or_else(PoisonError::into_inner).since(&*self.log()?);
        if since.is_some_and(|(written, length)| written >= length.saturating_mul(2).max(CHECKPOINT_EVERY)) {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Drops lists that nobody can reach any more; nobody waits for that.
    fn drop_trash(&self) {
        let trash = self.index_mut().take_trash();
        drop(trash);
    }

    /// What somebody who commits leaves to be done.
    fn do_asked(&self, populated: &mut Position) {
        self.drop_trash();
        let made = self.prepare_segment().and_then(|()| {
            *populated = self.populate_since(*populated)?;
            Ok(())
        });
        if let Err(error) = made {
            tracing::warn!(%error, "making a segment ahead failed");
        }
    }

    /// Makes the next segment, where it will be needed soon.
    pub(super) fn prepare_segment(&self) -> Result<()> {
        let Some(wanted) = self.log()?.next_segment() else { return Ok(()) };
        if let Err(error) = self.ahead.prepare(&*self.bodies.io, &wanted) {
            // Whoever needs it tries again, and is told.
            tracing::debug!(%error, "no segment could be made ahead");
        }
        Ok(())
    }

    /// Has the pages of what was written since `since` at hand for who reads them: nobody waits for that here. Returns
    /// where the log ends.
    fn populate_since(&self, since: Position) -> Result<Position> {
        let end = self.log()?.end;
        for number in since.segment()..=end.segment() {
            let Some(segment) = self.index().usage.segment(number).cloned() else { continue };
            let start = if number == since.segment() { since.offset() } else { 0 };
            segment.populate(start..if number == end.segment() { end.offset() } else { u32::MAX });
        }
        Ok(end)
    }

    /// What is done when the store is closed, so that the next open need not read the log.
    pub(super) fn close(&self) -> Result<()> {
        self.drop_trash();
        self.settle()?;
        self.ahead.discard(&*self.bodies.io).map_err(Error::unavailable)?;
        let since = self.checkpointed.lock().unwrap_or_else(PoisonError::into_inner).since(&*self.log()?);
        let is_empty = self.log()?.end == Position::default();
        // Uses are in the checkpoint only; where nothing was ever stored, nothing was used.
        if since.is_some() || (self.looked_up.load(Ordering::Relaxed) && !is_empty) {
            self.checkpoint()?;
        }
        let at = self.checkpointed.lock().unwrap_or_else(PoisonError::into_inner).at;
        let log = self.log()?;
        if log.failed.is_some() || log.end != at || at == Position::default() {
            return Ok(());
        }
        let temporary = format!("tmp/{:032x}", self.clock.random());
        checkpoint::write_closed(&*self.bodies.io, at, &temporary).map_err(|error| disk_error(error, 0))
    }

    /// Writes what there is now. What is to go may go then.
    pub(super) fn checkpoint(&self) -> Result<()> {
        let mut checkpointed = self.checkpointed.lock().unwrap_or_else(PoisonError::into_inner);
        // First: what is used meanwhile may be in it or not.
        self.looked_up.store(false, Ordering::Relaxed);
        let (checkpoint, written) = {
            let log = self.log()?;
            (self.index().checkpoint(log.end, log.next), log.written)
        };
        // It must not say more than the log does after power loss.
        if self.synced() < checkpoint.at {
            self.flush()?;
        }
        let length = checkpoint.write(&*self.bodies.io, &format!("tmp/{:032x}", self.clock.random()));
        let length = length.map_err(|error| disk_error(error, 0))?;
        *checkpointed = Checkpointed { at: checkpoint.at, written, length };
        Ok(())
    }

    /// Leaves the log at rest: synced, with a mark that says so.
    pub(super) fn settle(&self) -> Result<()> {
        let (end, removed) = {
            let mut log = self.log()?;
            let removed = self.remove_damaged(&mut log);
            ((log.end != log.marked).then_some(log.end), removed)
        };
        if end.is_some_and(|end| self.synced() < end) {
            self.flush()?;
        }
        // Before anything that fails where the disk is full: this gives room back.
        self.bodies.sweep(self.synced());
        removed?;
        if let Some(end) = end {
            let mut log = self.log()?;
            // Only where nothing came since: what comes next says how far the log is synced, too.
            if log.end == end {
                log.append_mark(end)?;
                self.note_segment(&log);
            }
        }
        Ok(())
    }
}

/// Two threads: one syncs now and then, one maps what is in memory, makes segments and drops lists when it is told to. Both end when this is dropped.
#[derive(Debug)]
pub(super) struct Background {
    inner: Weak<Inner>,
    stop: Option<mpsc::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Background {
    pub(super) fn start(inner: &Arc<Inner>, every: Duration) -> Result<Self> {
        let ((stop, stopped), (maker, asked)) = (mpsc::channel(), mpsc::sync_channel(1));
        let weak = Arc::downgrade(inner);
        let mut background = Self { inner: Weak::clone(&weak), stop: Some(stop), threads: Vec::new() };
        let thread = |name: &str| std::thread::Builder::new().name(name.into());
        let (of_sync, end) = (Weak::clone(&weak), inner.log()?.end);
        let started = thread("waystore-sync").spawn(move || sync(&of_sync, every, &stopped));
        background.threads.push(started.map_err(Error::unavailable)?);
        let started = thread("waystore-segment").spawn(move || make_segments(&weak, &asked, end));
        background.threads.push(started.map_err(Error::unavailable)?);
        inner.log()?.maker = Some(maker);
        Ok(background)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(inner) = self.inner.upgrade()
            && let Ok(mut log) = inner.log()
        {
            log.maker = None;
        }
        for thread in self.threads.drain(..) {
            // It can only have panicked, and said so.
            let _ = thread.join();
        }
    }
}

fn sync(inner: &Weak<Inner>, every: Duration, stopped: &mpsc::Receiver<()>) {
    while stopped.recv_timeout(every) == Err(mpsc::RecvTimeoutError::Timeout) {
        let Some(inner) = inner.upgrade() else { return };
        if let Err(error) = inner.tick() {
            tracing::warn!(%error, "syncing in the background failed");
        }
    }
}

fn make_segments(inner: &Weak<Inner>, asked: &mpsc::Receiver<()>, opened_at: Position) {
    let Some(opened) = inner.upgrade() else { return };
    let mut populated = opened_at;
    let warmed = warm(&opened, || match asked.try_recv() {
        Ok(()) => {
            opened.do_asked(&mut populated);
            ControlFlow::Continue(())
        }
        Err(mpsc::TryRecvError::Empty) => ControlFlow::Continue(()),
        // The store is being closed.
        Err(mpsc::TryRecvError::Disconnected) => ControlFlow::Break(()),
    });
    drop(opened);
    while warmed.is_continue() && asked.recv().is_ok() {
        let Some(inner) = inner.upgrade() else { return };
        inner.do_asked(&mut populated);
    }
}
