//! The store on disk: an append-only log with an index in memory, and files for large bodies.
//!
//! What stands where, byte by byte, is in `docs/format.md`. One process writes to a data directory;
//! others may look. Decides nothing about matching.
//!
//! ```text
//! commit      commit.rs ─► log.rs ─► ahead.rs, fill.rs ─► segment.rs ─► io.rs (format.rs: the bytes)
//! candidates  index.rs ─► slots.rs, checkpoint/section.rs ─► slot.rs ─► segment.rs ─► map.rs  (inline.rs: small bodies)
//! background  durability.rs ─► checkpoint.rs, compact.rs, warm.rs  (usage.rs: what is needed)
//! bodies      body_write.rs ─► bodies.rs ─► body_read.rs  (blocks.rs, piece.rs: the bytes; lane.rs, turns.rs: side by side)
//! open        home.rs ─► begin.rs ─► survey.rs ─► replay.rs ─► inner.rs ─► durability.rs
//! check       check/ ─► replay.rs, checkpoint.rs, body_read.rs     (compact.rs: to repair)
//! ```

mod ahead;
mod begin;
mod blocks;
mod bodies;
mod body_read;
mod body_write;
mod buffers;
mod check;
mod checkpoint;
mod commit;
mod compact;
mod durability;
mod failure;
mod fill;
mod format;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz;
mod hold;
mod home;
mod index;
mod inline;
mod inner;
pub mod io;
mod lane;
mod log;
mod map;
mod piece;
mod replay;
mod report;
mod segment;
#[cfg(any(test, feature = "testing"))]
pub mod sim;
mod slot;
mod slots;
mod spare;
mod survey;
mod turns;
mod usage;
mod warm;

use std::{
    fmt,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use hashbrown::HashSet;

pub use self::{
    check::{CheckProgress, CheckReport, Effect, Finding, LostEntry, RepairReport, Writer},
    report::{LogUsage, OpenReport},
};
use self::{
    durability::Background,
    failure::blocking,
    inner::Inner,
    io::{DiskIo, RealDisk},
    slot::{Near, read_all, read_page},
};
use crate::{
    CacheName, Clock, Error, Limits, Place, Result, StorageKey,
    store::{
        BodyWriter, Candidate, Changes, Commit, EntryId, List, ListId, OpId, Read, ReadSet, Seen, Store, StoredBody,
        Usage, WrittenBody,
    },
};

/// How often a store is looked for that this process itself still has open, and the time between. Its last user
/// may be a task that writes down what was recorded, and is about to end.
const LOOKS: u32 = 200;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// A store in a data directory. Dropping it syncs what was committed, and waits for that.
///
/// ```
/// use waystore::{Bottle, Clock, Place, StorageKey, store::{Changes, NameChange, ReadSet, Store}};
/// use waystore::store::disk::{DiskOptions, DiskStore};
///
/// # let parent = tempfile::tempdir()?;
/// # let dir = parent.path().join("data");
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let key = StorageKey::new("https://shop.example")?;
/// let place = Place::new(key.clone(), Bottle::Caches);
/// let bind = NameChange::Bind(place.clone(), "v1".into());
///
/// let store = DiskStore::open(&dir, DiskOptions::default()).await?;
/// let changes = Changes { names: vec![bind], lists: vec![] };
/// store.commit(&key, Clock::system().op_id(), &ReadSet::default(), &changes).await?;
/// drop(store);
///
/// let store = DiskStore::open_read_only(&dir).await?;
/// assert!(store.list(&place, &"v1".into()).await?.is_some());
/// # Ok::<(), waystore::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DiskStore {
    // Before `inner`: it must have ended when the directory is given up.
    background: Option<Background>,
    inner: Arc<Inner>,
}

/// How a data directory is opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DiskOptions {
    /// What a commit waits for.
    pub durability: Durability,
    /// How often what was committed is synced in the background; `None`: never, until the store is
    /// closed or asked to.
    pub sync_every: Option<Duration>,
    /// The length of a segment of the log in bytes, once the log is long. Room for it is reserved on
    /// the disk.
    pub segment_bytes: u32,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            sync_every: Some(Duration::from_secs(1)),
            segment_bytes: 64 * 1024 * 1024,
        }
    }
}

impl DiskOptions {
    /// With this durability.
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// With a sync in the background as often as this.
    #[must_use]
    pub fn sync_every(self, sync_every: Option<Duration>) -> Self {
        Self { sync_every, ..self }
    }

    /// With segments of this length.
    #[must_use]
    pub fn segment_bytes(self, segment_bytes: u32) -> Self {
        Self { segment_bytes, ..self }
    }
}

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The operating system: what was committed survives the end of the process. After power loss
    /// there is what was committed up to some moment, at most a few seconds before.
    #[default]
    Relaxed,
    /// The disk: what was committed survives power loss.
    Strict,
}

impl DiskStore {
    /// Opens the data directory `dir` to read and write, made where it is missing.
    ///
    /// What is wrong with it is in [`report`](Self::report).
    ///
    /// # Errors
    ///
    /// * [`Error::NotAStore`]: the directory holds something else, or another format.
    /// * [`Error::Locked`]: another process writes to it; or this one still does, after two seconds.
    /// * [`Error::QuotaExceeded`], [`Error::Unavailable`]: the disk refused.
    pub async fn open(dir: impl AsRef<Path>, options: DiskOptions) -> Result<Self> {
        let (io, clock) = (Arc::new(RealDisk::new(dir.as_ref())), Arc::new(Clock::system()));
        let own = |error: &Error| matches!(error, Error::Locked { pid: Some(pid), .. } if *pid == std::process::id());
        blocking(move || {
            for _ in 0..LOOKS {
                match Self::open_on(Arc::clone(&io) as _, Arc::clone(&clock), options.clone()) {
                    Err(error) if own(&error) => std::thread::sleep(BETWEEN_LOOKS),
                    done => return done,
                }
            }
            Self::open_on(io, clock, options)
        })
        .await?
    }

    /// Opens the data directory `dir` to look at, as it is now; also beside a process that writes to
    /// it. Changes nothing.
    ///
    /// # Errors
    ///
    /// * [`Error::NotAStore`]: there is no data directory, or of another format.
    /// * [`Error::Unavailable`]: the disk refused.
    pub async fn open_read_only(dir: impl AsRef<Path>) -> Result<Self> {
        let io = Arc::new(RealDisk::new(dir.as_ref()));
        blocking(move || Self::open_read_only_on(io, Arc::new(Clock::system()))).await?
    }

    /// Like [`open`](Self::open), on any disk and with any clock. Waits for the disk.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_on(io: Arc<dyn DiskIo>, clock: Arc<Clock>, options: DiskOptions) -> Result<Self> {
        let every = options.sync_every;
        let inner = Inner::open(io, clock, options)?;
        let background = every.map(|every| Background::start(&inner, every)).transpose()?;
        Ok(Self { background, inner })
    }

    /// Like [`open_read_only`](Self::open_read_only), on any disk and with any clock. Waits for the
    /// disk.
    ///
    /// # Errors
    ///
    /// As [`open_read_only`](Self::open_read_only).
    pub fn open_read_only_on(io: Arc<dyn DiskIo>, clock: Arc<Clock>) -> Result<Self> {
        Ok(Self { background: None, inner: Inner::open_read_only(io, clock)? })
    }

    /// What was found wrong with the directory when it was opened: with the checkpoint and with the log after it.
    /// What the checkpoint covers is verified when it is read.
    pub fn report(&self) -> &OpenReport {
        &self.inner.report
    }

    /// How many entries were found damaged since the store was opened. They are gone; each was reported in the
    /// program's log.
    pub fn damaged_entries(&self) -> u64 {
        self.inner.damaged_entries.load(Ordering::Relaxed)
    }

    /// How long the log is now, and how much of it is needed.
    pub fn log_usage(&self) -> LogUsage {
        let free_bytes = self.inner.ahead.free_bytes();
        LogUsage { free_bytes, ..self.inner.index().usage.report() }
    }

    /// Does what the background thread does every second, now.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::QuotaExceeded`]: the disk refused.
    pub fn tick(&self) -> Result<()> {
        if self.inner.is_writable() { self.inner.tick() } else { Ok(()) }
    }
}

/// Without what is stored.
impl fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskStore").field("writable", &self.inner.is_writable()).finish_non_exhaustive()
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        self.background = None;
        if self.inner.is_writable()
            && let Err(error) = self.inner.close()
        {
            tracing::warn!(%error, "closing the store failed");
        }
    }
}

#[async_trait]
impl Store for DiskStore {
    async fn storage_keys(&self) -> Result<Vec<StorageKey>> {
        Ok(self.inner.index().storage_keys())
    }

    async fn names(&self, place: &Place) -> Result<Vec<(CacheName, List)>> {
        let index = self.inner.index();
        let held = |(name, list): (&CacheName, _)| Some((name.clone(), self.inner.hold(&index, list)?));
        Ok(index.names(place).filter_map(held).collect())
    }

    async fn list(&self, place: &Place, name: &CacheName) -> Result<Option<List>> {
        let index = self.inner.index();
        Ok(index.list(place, name).and_then(|list| self.inner.hold(&index, list)))
    }

    async fn candidates(&self, reads: &[Read<'_>]) -> Result<(ReadSet, Vec<Candidate>)> {
        let mut found = Vec::with_capacity(reads.len());
        {
            // One look at all of them: a commit shows in every read or in none.
            let index = self.inner.index_for(reads.iter().map(|read| (read.list.id(), read.url)))?;
            for read in reads {
                // First: what it leads to is far.
                let by = index.begin(read.list.id(), read.url);
                let minute = self.inner.note_look_up();
                index.place_of(read.list.id()).ok_or_else(|| unknown_list(read.list.id()))?;
                index.note_use(read.list.id(), minute);
                let near = if by.is_none() { Near::Later } else { Near::Now };
                let slots = index.find_by(read.list.id(), by, near);
                let located = slots.filter_map(|slot| index.locate(read.list.id(), slot)).collect::<Vec<_>>();
                found.push((near, located));
            }
        }
        let home = Arc::downgrade(&self.inner);
        let mut seen = Vec::with_capacity(reads.len());
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut given = HashSet::new();
        for (read, (near, mut slots)) in reads.iter().zip(found) {
            let mut entries: Vec<EntryId> = slots.iter().map(|slot| slot.place.entry).collect();
            slots.retain(|slot| reads.len() == 1 || given.insert(slot.place.entry));
            candidates.reserve(slots.len());
            let mut damaged = HashSet::new();
            for read in read_all(slots, near, &home) {
                match read {
                    Ok(candidate) => candidates.push(candidate),
                    Err(place) => {
                        damaged.insert(place.entry);
                        self.inner.note_damaged(place);
                    }
                }
            }
            entries.retain(|entry| !damaged.contains(entry));
            seen.push(Seen { list: read.list.id(), url: read.url.into(), entries });
        }
        Ok((ReadSet(seen), candidates))
    }

    async fn page(&self, list: &List, after: Option<EntryId>, limit: usize) -> Result<Vec<Candidate>> {
        let list = list.id();
        self.inner.load([list])?;
        let home = Arc::downgrade(&self.inner);
        loop {
            let located = {
                let index = self.inner.index();
                index.place_of(list).ok_or_else(|| unknown_list(list))?;
                index.page(list, after, limit)
            };
            match read_page(located, &home) {
                Ok(page) => return Ok(page),
                // Without it the page would be too short: that means the end.
                Err(damaged) => self.inner.note_damaged(damaged),
            }
        }
    }

    async fn commit(&self, key: &StorageKey, op: OpId, read: &ReadSet, changes: &Changes) -> Result<Commit> {
        let committed = self.inner.commit(key, op, read, changes)?;
        if let Some(position) = committed.wait_for
            && let Err(error) = self.inner.wait_until_synced(position).await
        {
            tracing::warn!(%op, %error, "it is unknown whether an operation is on the disk");
            return Ok(Commit::OutcomeUnknown);
        }
        Ok(committed.outcome)
    }

    fn write_body(&self, key: &StorageKey) -> Box<dyn BodyWriter> {
        Box::new(body_write::Writer::new(&self.inner.bodies, key))
    }

    fn written(&self, body: &WrittenBody) -> Result<Arc<dyn StoredBody>> {
        Ok(self.inner.place(body)?)
    }

    async fn usage(&self, key: Option<&StorageKey>) -> Result<Usage> {
        Ok(self.inner.index().ledger.usage(key))
    }

    async fn last_used_ms(&self, key: &StorageKey) -> Result<Option<u64>> {
        Ok(self.inner.index().last_used(key).map(|minute| u64::from(minute) * 60_000))
    }

    async fn bucket_usage(&self, key: &StorageKey, bucket: &str) -> Result<Usage> {
        Ok(self.inner.index().ledger.bucket_usage(key, bucket))
    }

    fn set_limits(&self, limits: Limits) {
        self.inner.index_mut().ledger.set_limits(limits);
    }

    fn set_bucket_limit(&self, key: &StorageKey, bucket: &str, bytes: Option<u64>) {
        self.inner.index_mut().ledger.set_bucket_limit(key, bucket, bytes);
    }

    fn limits(&self) -> Limits {
        self.inner.index().ledger.limits().clone()
    }

    async fn sync(&self) -> Result<()> {
        if !self.inner.is_writable() {
            return Ok(());
        }
        let end = self.inner.log()?.end;
        self.inner.wait_until_synced(end).await
    }
}

fn unknown_list(list: ListId) -> Error {
    Error::unavailable(format!("list {} is not of this store", list.0))
}
