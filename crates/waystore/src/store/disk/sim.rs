//! A disk in memory that fails when told to, for tests.
//!
//! The process can be made to end at any operation that changes something; power can be lost, which keeps a
//! random part of what was not synced; whatever changes something, and reads, can be made to fail. Everything
//! random comes from a seed. What power loss leaves is the business of `sim/state.rs`.

mod file;
mod state;

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use rustix::io::Errno;

use self::{
    file::Handle,
    state::{Content, SECTOR},
};
use super::io::{Access, DiskFile, DiskIo, Lock};

/// A simulated disk. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Counts up with every end of a process: open files of earlier ones are dead.
    process: u64,
    content: Content,
    /// Locked files, with the holder; and those that are shared, with the number who do.
    locked: BTreeMap<String, u32>,
    shared: BTreeMap<String, usize>,
    /// Operations that changed something.
    changes: u64,
    syncs: u64,
    faults: Faults,
}

#[derive(Default)]
struct Faults {
    /// The process ends at the operation after this many changes, which is done in part.
    stop_after: Option<u64>,
    stopped: bool,
    seed: u64,
    /// How many more bytes may be written.
    room: Option<u64>,
    /// To how many bytes a file may be lengthened at once.
    longest: Option<usize>,
    /// Every read from a path with this beginning fails.
    unreadable: Option<String>,
    /// Nothing of a file is in memory.
    far: bool,
    /// Sectors of files that cannot be read, wherever these are renamed to.
    bad_sectors: BTreeSet<(usize, usize)>,
    /// Every sync fails.
    syncs_fail: bool,
    /// No file can be opened.
    too_many_open: bool,
    /// The write after this many changes fails with an error of the disk, written in part.
    write_fails_after: Option<u64>,
    /// What comes after this many changes fails so, whatever it is.
    change_fails_after: Option<u64>,
    /// That is what is done now.
    fails_now: bool,
}

impl SimDisk {
    /// The process ends at the operation after `changes` more that change something; of a write,
    /// a part chosen by `seed` is done.
    pub fn stop_after(&self, changes: u64, seed: u64) {
        let mut state = self.state();
        let at = state.changes + changes;
        state.faults.stop_after = Some(at);
        state.faults.seed = seed;
    }

    /// Whether the process has ended.
    pub fn has_stopped(&self) -> bool {
        self.state().faults.stopped
    }

    /// How many operations changed something so far.
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// How many files were synced so far.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// A new process: what was written is there, what was open is not, nothing fails any more.
    pub fn restart(&self) {
        let mut state = self.state();
        state.process += 1;
        state.locked.clear();
        state.shared.clear();
        state.faults = Faults::default();
    }

    /// Power is lost and comes back: of what was not synced, each sector and each name is kept or not.
    pub fn lose_power(&self, seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        // Now and then everything is kept, or nothing.
        let keep = [0.0, 0.1, 0.5, 0.9, 1.0][random.random_range(0..5)];
        self.restart();
        self.state().content.lose_power(&mut random, keep);
    }

    /// Power is lost and comes back, and nothing is kept of what was not synced.
    pub fn lose_all_unsynced(&self) {
        self.restart();
        self.state().content.lose_power(&mut StdRng::seed_from_u64(0), 0.0);
    }

    /// From now on only so many bytes more can be written.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.state().faults.room = bytes;
    }

    /// From now on whoever runs the process may make no file that is longer than this from the beginning.
    pub fn set_longest(&self, bytes: Option<usize>) {
        self.state().faults.longest = bytes;
    }

    /// From now on no file whose path begins so can be read.
    pub fn set_unreadable(&self, beginning: Option<&str>) {
        self.state().faults.unreadable = beginning.map(str::to_owned);
    }

    /// Whether every read has to wait for the disk from now on.
    pub fn set_far(&self, far: bool) {
        self.state().faults.far = far;
    }

    /// From now on the sector at `offset` of a file cannot be read.
    ///
    /// # Panics
    ///
    /// Where there is no such file.
    pub fn spoil_sector(&self, path: &str, offset: usize) {
        let mut state = self.state();
        let file = state.content.file(path).expect("the path of a file is given");
        state.faults.bad_sectors.insert((file, offset / SECTOR));
    }

    /// Whether syncs fail from now on.
    pub fn set_syncs_fail(&self, fail: bool) {
        self.state().faults.syncs_fail = fail;
    }

    /// Whether the process has too many files open from now on, so that it can open no other.
    pub fn set_too_many_open(&self, too_many: bool) {
        self.state().faults.too_many_open = too_many;
    }

    /// The first write after `changes` more changes fails, done in part.
    pub fn fail_write_after(&self, changes: u64, seed: u64) {
        let mut state = self.state();
        state.faults.write_fails_after = Some(state.changes + changes);
        state.faults.seed = seed;
    }

    /// Whatever is to be changed after `changes` more changes fails, once; a write is done in part.
    pub fn fail_change_after(&self, changes: u64, seed: u64) {
        let mut state = self.state();
        state.faults.change_fails_after = Some(state.changes + changes);
        state.faults.seed = seed;
    }

    /// The paths of all files, with their lengths.
    pub fn files(&self) -> Vec<(String, usize)> {
        self.state().content.paths().map(|(path, file)| (path.clone(), file.bytes.len())).collect()
    }

    /// Changes a file behind the store's back, as if it had been so when last synced.
    ///
    /// # Panics
    ///
    /// Where there is no such file.
    pub fn edit(&self, path: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let file = state.content.file(path).expect("the path of a file is given");
        state.content.file_mut(file).edit(edit);
    }

    /// Takes a file away behind the store's back.
    pub fn remove(&self, path: &str) {
        self.state().content.erase(path);
    }

    /// Another disk with the same content, and nothing open.
    #[must_use]
    pub fn copy(&self) -> Self {
        let content = self.state().content.clone();
        Self(Arc::new(Mutex::new(State { content, ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, process: u64, file: usize, path: &str) -> Arc<dyn DiskFile> {
        Arc::new(Handle { disk: self.clone(), process, file, path: path.to_owned() })
    }
}

impl State {
    fn alive(&self, process: Option<u64>) -> io::Result<()> {
        if self.faults.stopped || process.is_some_and(|process| process != self.process) {
            return Err(io::Error::other("the process has ended"));
        }
        Ok(())
    }

    /// Before every operation that changes something. `false`: the process ends within it.
    fn change(&mut self, process: Option<u64>) -> io::Result<bool> {
        self.alive(process)?;
        if self.faults.stop_after.is_some_and(|at| self.changes >= at) {
            self.faults.stopped = true;
            return Ok(false);
        }
        self.changes += 1;
        if self.faults.change_fails_after.is_some_and(|at| self.changes > at) {
            self.faults.change_fails_after = None;
            self.faults.fails_now = true;
        }
        Ok(true)
    }

    fn change_whole(&mut self, process: Option<u64>) -> io::Result<()> {
        if !self.change(process)? {
            return Err(io::Error::other("the process ends here"));
        }
        if std::mem::take(&mut self.faults.fails_now) { Err(io::Error::other("the disk refuses")) } else { Ok(()) }
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimDisk")
    }
}

impl DiskIo for SimDisk {
    fn root(&self) -> &Path {
        Path::new("simulated")
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        if state.content.has_dir(path) {
            return state.alive(None);
        }
        state.change_whole(None)?;
        state.content.create_dir(path);
        Ok(())
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let state = self.state();
        state.alive(None)?;
        if !state.content.has_dir(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(state.content.list(dir).into_iter().collect())
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.change_whole(None)?;
        if state.content.file(path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.content.find_parent(path)?;
        let (file, process) = (state.content.create(path), state.process);
        drop(state);
        Ok(self.handle(process, file, path))
    }

    fn open(&self, path: &str, _: Access) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state();
        state.alive(None)?;
        if state.faults.too_many_open {
            return Err(Errno::MFILE.into());
        }
        let (file, process) = (state.content.file(path)?, state.process);
        drop(state);
        Ok(self.handle(process, file, path))
    }

    fn length(&self, path: &str) -> io::Result<u64> {
        let state = self.state();
        state.alive(None)?;
        Ok(state.content.bytes_of(state.content.file(path)?).len() as u64)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.change_whole(None)?;
        let file = state.content.file(from)?;
        state.content.find_parent(to)?;
        state.content.set_name(from, None);
        state.content.set_name(to, Some(file));
        Ok(())
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        state.change_whole(None)?;
        state.content.file(path)?;
        state.content.set_name(path, None);
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.state();
        state.change_whole(None)?;
        if state.faults.syncs_fail {
            return Err(io::Error::other("the disk cannot sync"));
        }
        state.content.sync_dir(dir);
        Ok(())
    }

    fn lock(&self, path: &str, pid: u32) -> io::Result<Lock> {
        let mut state = self.state();
        if let Some(holder) = state.locked.get(path) {
            return Ok(Lock::Busy(Some(*holder)));
        }
        if state.shared.contains_key(path) {
            return Ok(Lock::Busy(None));
        }
        state.change_whole(None)?;
        state.locked.insert(path.to_owned(), pid);
        if state.content.file(path).is_err() {
            state.content.create(path);
        }
        let held: Box<dyn Any + Send + Sync> =
            Box::new(Held { disk: self.clone(), process: state.process, path: path.to_owned(), shared: false });
        Ok(Lock::Held(held))
    }

    fn share(&self, path: &str) -> io::Result<Box<dyn Any + Send + Sync>> {
        let mut state = self.state();
        state.alive(None)?;
        state.content.file(path)?;
        // Nobody holds it for longer than a call: what is simulated is one thread.
        *state.shared.entry(path.to_owned()).or_default() += 1;
        Ok(Box::new(Held { disk: self.clone(), process: state.process, path: path.to_owned(), shared: true }))
    }

    fn try_share(&self, path: &str) -> io::Result<Lock> {
        let holder = self.state().locked.get(path).copied();
        match holder {
            Some(holder) => Ok(Lock::Busy(Some(holder))),
            None => self.share(path).map(Lock::Held),
        }
    }
}

struct Held {
    disk: SimDisk,
    process: u64,
    path: String,
    shared: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.process != self.process {
            return;
        }
        if !self.shared {
            state.locked.remove(&self.path);
        } else if let Some(sharing) = state.shared.get_mut(&self.path) {
            *sharing -= 1;
            if *sharing == 0 {
                state.shared.remove(&self.path);
            }
        }
    }
}
