//! What a simulated disk holds: what the process sees, and what power loss may leave of it.
//!
//! Power loss keeps of each sector and each name that was not synced any of the states it had since: the
//! synced one, the last one, or one in between, whatever became of the others. Knows no faults and no locks.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use rand::{Rng, rngs::StdRng};

/// What a disk writes whole or not at all.
pub(super) const SECTOR: usize = 512;
/// States that are remembered of one sector or name, the synced one included.
const REMEMBERED: usize = 8;

/// Files, their names, and directories.
#[derive(Default, Clone)]
pub(super) struct Content {
    files: Vec<SimFile>,
    /// Names as the process sees them: the files, by path.
    names: BTreeMap<String, usize>,
    /// What names led to since their directory was synced, the synced state first.
    unsynced_names: BTreeMap<String, Vec<Option<usize>>>,
    dirs: BTreeSet<String>,
    unsynced_dirs: BTreeSet<String>,
}

/// A file. Copies share their bytes until one is written to.
#[derive(Default, Clone)]
pub(super) struct SimFile {
    pub(super) bytes: Arc<Vec<u8>>,
    synced_length: usize,
    /// What sectors held since the file was synced, the synced state first.
    unsynced: BTreeMap<usize, Vec<Box<[u8]>>>,
}

impl Content {
    pub(super) fn file(&self, path: &str) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn bytes_of(&self, file: usize) -> &Arc<Vec<u8>> {
        &self.files[file].bytes
    }

    pub(super) fn file_mut(&mut self, file: usize) -> &mut SimFile {
        &mut self.files[file]
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = (&String, &SimFile)> {
        self.names.iter().map(|(path, file)| (path, &self.files[*file]))
    }

    /// Makes an empty file, and gives it a name.
    pub(super) fn create(&mut self, path: &str) -> usize {
        self.files.push(SimFile::default());
        let file = self.files.len() - 1;
        self.set_name(path, Some(file));
        file
    }

    /// Makes a name lead to another file, or to none.
    pub(super) fn set_name(&mut self, path: &str, file: Option<usize>) {
        let before = match file {
            Some(file) => self.names.insert(path.to_owned(), file),
            None => self.names.remove(path),
        };
        remember(self.unsynced_names.entry(path.to_owned()).or_default(), before);
    }

    pub(super) fn has_dir(&self, dir: &str) -> bool {
        dir.is_empty() || self.dirs.contains(dir)
    }

    pub(super) fn find_parent(&self, path: &str) -> io::Result<()> {
        if self.has_dir(parent(path)) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// Makes a directory, and the ones it is in.
    pub(super) fn create_dir(&mut self, dir: &str) {
        let ends = dir.match_indices('/').map(|(at, _)| at).chain([dir.len()]);
        for dir in ends.map(|end| &dir[..end]) {
            if self.dirs.insert(dir.to_owned()) {
                self.unsynced_dirs.insert(dir.to_owned());
            }
        }
    }

    /// The names in a directory.
    pub(super) fn list(&self, dir: &str) -> BTreeSet<String> {
        let within = |path: &String| {
            let rest = if dir.is_empty() { path } else { path.strip_prefix(dir)?.strip_prefix('/')? };
            rest.split('/').next().map(str::to_owned)
        };
        self.names.keys().chain(&self.dirs).filter_map(within).collect()
    }

    pub(super) fn sync_dir(&mut self, dir: &str) {
        self.unsynced_names.retain(|path, _| parent(path) != dir);
        self.unsynced_dirs.retain(|path| parent(path) != dir);
    }

    /// Forgets that a name ever led anywhere.
    pub(super) fn erase(&mut self, path: &str) {
        self.names.remove(path);
        self.unsynced_names.remove(path);
    }

    pub(super) fn lose_power(&mut self, random: &mut StdRng, keep: f64) {
        for file in &mut self.files {
            file.lose_power(random, keep);
        }
        for (path, mut states) in std::mem::take(&mut self.unsynced_names) {
            if random.random_bool(keep) {
                continue;
            }
            match states.swap_remove(older(random, keep, states.len())) {
                Some(file) => drop(self.names.insert(path, file)),
                None => drop(self.names.remove(&path)),
            }
        }
        for dir in std::mem::take(&mut self.unsynced_dirs) {
            if random.random_bool(keep) {
                continue;
            }
            // With a directory goes what is in it, synced or not.
            let within = |path: &String| path.strip_prefix(&dir).is_some_and(|rest| rest.starts_with('/'));
            self.names.retain(|path, _| !within(path));
            self.dirs.retain(|path| *path != dir && !within(path));
        }
    }
}

impl SimFile {
    pub(super) fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        let old = Arc::make_mut(&mut self.bytes);
        if old.len() < end {
            old.resize(end, 0);
        }
        for sector in offset / SECTOR..end.div_ceil(SECTOR) {
            let start = sector * SECTOR;
            let held = &old[start..(start + SECTOR).min(old.len())];
            remember(self.unsynced.entry(sector).or_default(), held.into());
        }
        old[offset..end].copy_from_slice(bytes);
    }

    pub(super) fn grow(&mut self, length: usize) {
        Arc::make_mut(&mut self.bytes).resize(length, 0);
    }

    pub(super) fn sync(&mut self) {
        self.synced_length = self.bytes.len();
        self.unsynced.clear();
    }

    /// Changes the bytes as if they had been so when the file was last synced.
    pub(super) fn edit(&mut self, edit: impl FnOnce(&mut Vec<u8>)) {
        edit(Arc::make_mut(&mut self.bytes));
        self.sync();
    }

    fn lose_power(&mut self, random: &mut StdRng, keep: f64) {
        if self.unsynced.is_empty() && self.synced_length == self.bytes.len() {
            return;
        }
        let bytes = Arc::make_mut(&mut self.bytes);
        for (sector, states) in std::mem::take(&mut self.unsynced) {
            if random.random_bool(keep) {
                continue;
            }
            let kept = &states[older(random, keep, states.len())];
            let start = sector * SECTOR;
            let end = (start + SECTOR).min(bytes.len());
            bytes[start..start + kept.len()].copy_from_slice(kept);
            bytes[start + kept.len()..end].fill(0);
        }
        if bytes.len() != self.synced_length && !random.random_bool(keep) {
            bytes.truncate(self.synced_length);
        }
        self.sync();
    }
}

/// Which of `count` earlier states is kept: the synced one where nothing is to be kept.
fn older(random: &mut StdRng, keep: f64, count: usize) -> usize {
    if keep == 0.0 { 0 } else { random.random_range(0..count) }
}

/// Adds a state, where there is room beside the first.
fn remember<T>(states: &mut Vec<T>, state: T) {
    if states.len() == REMEMBERED {
        states.remove(1);
    }
    states.push(state);
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}
