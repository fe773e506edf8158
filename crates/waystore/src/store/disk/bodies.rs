//! Bodies over 64 KiB: files named by their content, shared by the entries of one owner.
//!
//! A [`BodyFile`] is alive while an entry or a reader has it. When the last is gone its file waits
//! until the log that says so is synced, and is unlinked then. How the bytes stand in a file is the business of
//! `blocks.rs`; writing and reading them, that of `body_write.rs` and `body_read.rs`.

use std::{
    fmt, io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use hashbrown::{HashMap, HashSet};

use super::{blocks::file_length, buffers::Buffers, format::Position, io::DiskIo};
use crate::{Clock, StorageKey};

/// What names an owner in the log and in `bodies/`.
pub(super) fn owner_of(key: &StorageKey) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(key.origin().as_bytes());
    if let Some(partition) = key.partition() {
        hasher.update(&[0]);
        hasher.update(partition.as_bytes());
    }
    let mut owner = [0; 16];
    hasher.finalize_xof().fill(&mut owner);
    owner
}

/// What names a body's file: the owner and the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct BodyName {
    pub(super) owner: [u8; 16],
    pub(super) hash: [u8; 32],
}

impl BodyName {
    pub(super) fn new(key: &StorageKey, hash: [u8; 32]) -> Self {
        Self { owner: owner_of(key), hash }
    }

    /// The directory the file is in.
    pub(super) fn dir(&self) -> String {
        format!("bodies/{}", Hex(&self.owner))
    }

    /// The file.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.dir(), Hex(&self.hash))
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The body files of a data directory.
#[derive(Debug)]
pub(super) struct Bodies {
    pub(super) io: Arc<dyn DiskIo>,
    pub(super) clock: Arc<Clock>,
    /// Whether a body is synced before it is committed.
    pub(super) strict: bool,
    /// Whether the store was opened to be changed.
    pub(super) writable: bool,
    pub(super) buffers: Arc<Buffers>,
    /// Where the log ends; a file that is given up waits until this much of it is synced.
    log_end: AtomicU64,
    damage_seen: AtomicBool,
    files: Mutex<HashMap<BodyName, Weak<BodyFile>>>,
    /// Files that nobody has, and where the log ended when they were given up, the last time where that was several times.
    given_up: Mutex<HashMap<BodyName, Position>>,
    unsynced: Mutex<Unsynced>,
}

/// What the next sync has to sync before the log.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    files: HashSet<BodyName>,
    dirs: HashSet<String>,
    /// Owners whose directory is there.
    owners_seen: HashSet<[u8; 16]>,
}

impl Bodies {
    pub(super) fn new(io: Arc<dyn DiskIo>, clock: Arc<Clock>, strict: bool, writable: bool) -> Arc<Self> {
        Arc::new(Self {
            io,
            clock,
            strict,
            writable,
            buffers: Arc::default(),
            log_end: AtomicU64::new(0),
            damage_seen: AtomicBool::new(false),
            files: Mutex::default(),
            given_up: Mutex::default(),
            unsynced: Mutex::default(),
        })
    }

    pub(super) fn set_log_end(&self, end: Position) {
        self.log_end.store(end.0, Ordering::Release);
    }

    /// The file of this name, alive from now on. Whether it is there is not looked at.
    pub(super) fn get(self: &Arc<Self>, name: BodyName, length: u64) -> Arc<BodyFile> {
        let mut files = lock(&self.files);
        if let Some(file) = files.get(&name).and_then(Weak::upgrade) {
            return file;
        }
        let file = Arc::new(BodyFile { name, length, damaged: AtomicBool::new(false), bodies: Arc::clone(self) });
        files.insert(name, Arc::downgrade(&file));
        file
    }

    /// Puts a finished temporary file in its place, or drops it where its content is there already.
    pub(super) fn place(
        self: &Arc<Self>,
        temporary: &str,
        name: BodyName,
        length: u64,
        synced: bool,
    ) -> io::Result<Arc<BodyFile>> {
        let mut files = lock(&self.files);
        let known = files.get(&name).and_then(Weak::upgrade);
        if let Some(file) = known.filter(|file| !file.is_damaged() && file.is_complete()) {
            // What is left of it is removed at the next open.
            let _ = self.io.unlink(temporary);
            return Ok(file);
        }
        let mut unsynced = lock(&self.unsynced);
        let dir = name.dir();
        if !unsynced.owners_seen.contains(&name.owner) {
            self.io.create_dir(&dir)?;
            unsynced.dirs.insert("bodies".into());
            unsynced.owners_seen.insert(name.owner);
        }
        self.io.rename(temporary, &name.path())?;
        unsynced.dirs.insert(dir);
        if !synced {
            unsynced.files.insert(name);
        }
        let file = Arc::new(BodyFile { name, length, damaged: AtomicBool::new(false), bodies: Arc::clone(self) });
        files.insert(name, Arc::downgrade(&file));
        Ok(file)
    }

    /// A file whose entry is in the log, and that may not be synced: the process before did not say.
    pub(super) fn note_unsynced(&self, name: BodyName) {
        let mut unsynced = lock(&self.unsynced);
        unsynced.files.insert(name);
        unsynced.dirs.extend([name.dir(), "bodies".into()]);
    }

    /// Takes what has to be synced before the log.
    pub(super) fn take_unsynced(&self) -> Unsynced {
        let mut unsynced = lock(&self.unsynced);
        let (files, dirs) = (std::mem::take(&mut unsynced.files), std::mem::take(&mut unsynced.dirs));
        Unsynced { files, dirs, ..Unsynced::default() }
    }

    /// What was taken could not be synced, and is still to be.
    pub(super) fn keep_unsynced(&self, Unsynced { files, dirs, .. }: Unsynced) {
        let mut unsynced = lock(&self.unsynced);
        unsynced.files.extend(files);
        unsynced.dirs.extend(dirs);
    }

    /// Syncs files, then the directories they were renamed in.
    pub(super) fn sync(&self, unsynced: &Unsynced) -> io::Result<()> {
        for name in &unsynced.files {
            match self.io.open(&name.path(), super::io::Access::Write) {
                Ok(file) => file.sync()?,
                // Somebody removed it: its entry is damaged, the others are not.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        unsynced.dirs.iter().try_for_each(|dir| self.io.sync_dir(dir))
    }

    /// Unlinks the files that nobody has had since before `synced`.
    pub(super) fn sweep(&self, synced: Position) {
        let ready: Vec<_> = lock(&self.given_up).extract_if(|_, since| *since <= synced).collect();
        let mut files = lock(&self.files);
        for (name, _) in ready {
            if files.get(&name).is_some_and(|file| file.strong_count() > 0) {
                continue;
            }
            files.remove(&name);
            if let Err(error) = self.io.unlink(&name.path())
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = name.path(), %error, "an unneeded body stays until the next open");
            }
        }
    }

    /// The files that no entry names.
    pub(super) fn strays(&self) -> io::Result<Vec<String>> {
        let mut strays = Vec::new();
        let files = lock(&self.files);
        let wanted: HashSet<String> =
            files.iter().filter(|(_, file)| file.strong_count() > 0).map(|(name, _)| name.path()).collect();
        for owner in self.io.list("bodies")? {
            let dir = format!("bodies/{owner}");
            let names = match self.io.list(&dir) {
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => continue,
                names => names?,
            };
            for name in names {
                let path = format!("{dir}/{name}");
                if !wanted.contains(&path) {
                    strays.push(path);
                }
            }
        }
        Ok(strays)
    }

    /// Whether a file was found damaged since the last call.
    pub(super) fn take_damage_seen(&self) -> bool {
        self.damage_seen.swap(false, Ordering::AcqRel)
    }
}

/// A body that is in its place.
pub(super) struct BodyFile {
    pub(super) name: BodyName,
    pub(super) length: u64,
    damaged: AtomicBool,
    pub(super) bodies: Arc<Bodies>,
}

impl BodyFile {
    pub(super) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Acquire)
    }

    /// From now on the entries with this body count as absent.
    pub(super) fn set_damaged(&self, detail: &str) {
        tracing::warn!(path = self.name.path(), detail, "a stored body is damaged");
        self.damaged.store(true, Ordering::Release);
        self.bodies.damage_seen.store(true, Ordering::Release);
    }

    /// Whether the file is there with its full length.
    pub(super) fn is_complete(&self) -> bool {
        self.bodies.io.length(&self.name.path()).is_ok_and(|length| file_length(self.length) == Some(length))
    }
}

impl Drop for BodyFile {
    fn drop(&mut self) {
        let since = Position(self.bodies.log_end.load(Ordering::Acquire));
        let mut given_up = lock(&self.bodies.given_up);
        let last = given_up.entry(self.name).or_default();
        *last = since.max(*last);
    }
}

impl fmt::Debug for BodyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodyFile({}, {} bytes)", self.name.path(), self.length)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::sim::SimDisk;

    #[test]
    fn a_file_given_up_stays_until_the_log_that_says_so_is_synced() {
        let disk = SimDisk::default();
        let bodies = Bodies::new(Arc::new(disk.clone()), Arc::new(Clock::fixed(0, 0)), false, true);
        let name = BodyName { owner: [1; 16], hash: [2; 32] };
        disk.create_dir(&name.dir()).unwrap();
        disk.create(&name.path()).unwrap();
        bodies.set_log_end(Position::new(1, 5000));
        drop(bodies.get(name, 0));
        bodies.sweep(Position::new(1, 4999));
        assert_eq!(disk.files().len(), 1);
        bodies.sweep(Position::new(1, 5000));
        assert_eq!(disk.files().len(), 0);
    }

    #[test]
    fn a_file_given_up_twice_stays_until_the_log_that_says_so_last_is_synced() {
        let disk = SimDisk::default();
        let bodies = Bodies::new(Arc::new(disk.clone()), Arc::new(Clock::fixed(0, 0)), false, true);
        let name = BodyName { owner: [1; 16], hash: [2; 32] };
        disk.create_dir(&name.dir()).unwrap();
        disk.create(&name.path()).unwrap();
        // Between the two somebody stored the same body again, and that may be synced.
        for end in [5000, 6000] {
            bodies.set_log_end(Position::new(1, end));
            drop(bodies.get(name, 0));
        }
        bodies.sweep(Position::new(1, 5999));
        assert_eq!(disk.files().len(), 1);
        bodies.sweep(Position::new(1, 6000));
        assert_eq!(disk.files().len(), 0);
    }
}
