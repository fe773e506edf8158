//! Plain files: one for each URL, with all rows of it, written beside and renamed.
//!
//! ```text
//! DIR/catalog
//! DIR/LIST/XX/PATHHASH-URLHASH     XX: the first byte of PATHHASH
//! ```
//!
//! No index: what is not asked for by URL reads the whole list. No batch is whole after a crash: each file
//! is, and that is all that files give.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs::{self, File},
    io::{self, ErrorKind, Write as _},
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use bytes::Bytes;
use waystore::{
    Error, Result,
    store::{EntryId, ListId},
};

use crate::{
    Sync,
    engine::{Engine, Row, Write},
    value::{UrlKey, hashes_of},
};

/// A folder of files.
#[derive(Debug)]
pub struct Files {
    dir: PathBuf,
    sync: Sync,
    /// Held by readers and by the one writer, so that a batch shows whole or not at all.
    batch: RwLock<()>,
}

/// The rows of a file before a commit, and after it.
struct Change {
    before: Vec<Row>,
    after: Vec<Row>,
}

impl Files {
    /// Opens the folder `dir`, made where it is missing.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`]: the file system's own.
    pub fn open(dir: &Path, sync: Sync) -> Result<Self> {
        fs::create_dir_all(dir).map_err(Error::unavailable)?;
        Ok(Self { dir: dir.to_owned(), sync, batch: RwLock::new(()) })
    }

    fn rows_by(&self, list: ListId, url: UrlKey) -> io::Result<Vec<Row>> {
        let mut rows = Vec::new();
        match url {
            UrlKey::Exact { path, url } => read_rows(&self.file(list, path, url), &mut rows)?,
            UrlKey::Path(path) => self.read_shard(&self.shard(list, path), &format!("{path:016x}-"), &mut rows)?,
            UrlKey::Any => {
                for shard in entries_of(&self.list(list))? {
                    self.read_shard(&shard, "", &mut rows)?;
                }
            }
        }
        rows.sort_by_key(|row| row.id);
        Ok(rows)
    }

    fn read_shard(&self, shard: &Path, prefix: &str, rows: &mut Vec<Row>) -> io::Result<()> {
        for file in entries_of(shard)? {
            let named = file.file_name().and_then(|name| name.to_str());
            if named.is_some_and(|name| name.starts_with(prefix)) {
                read_rows(&file, rows)?;
            }
        }
        Ok(())
    }

    /// `None`: what must be unchanged is not.
    fn changes(&self, write: &Write<'_>) -> io::Result<Option<BTreeMap<PathBuf, Change>>> {
        let mut changes = BTreeMap::new();
        for expected in &write.unchanged {
            let rows = self.rows_by(expected.list, expected.url)?;
            if !rows.iter().map(|row| row.id).eq(expected.entries.iter().copied()) {
                return Ok(None);
            }
            if let UrlKey::Exact { path, url } = expected.url {
                let change = Change { after: rows.clone(), before: rows };
                changes.insert(self.file(expected.list, path, url), change);
            }
        }
        for list in &write.lists {
            for new in &list.insert {
                let (path, url) = new.value.hashes();
                let file = self.file(list.list, path, url);
                if let Entry::Vacant(unknown) = changes.entry(file) {
                    let mut before = Vec::new();
                    read_rows(unknown.key(), &mut before)?;
                    unknown.insert(Change { after: before.clone(), before });
                }
            }
            let known = |id: &EntryId| changes.values().any(|change| change.before.iter().any(|row| row.id == *id));
            if !list.remove.iter().all(known) {
                self.load(list.list, &mut changes)?;
            }
            for change in changes.values_mut() {
                change.after.retain(|row| !list.remove.contains(&row.id));
            }
            for new in &list.insert {
                let (path, url) = new.value.hashes();
                if let Some(change) = changes.get_mut(&self.file(list.list, path, url)) {
                    change.after.push(Row { id: new.id, value: new.value.parts().concat().into() });
                }
            }
        }
        Ok(Some(changes))
    }

    /// Adds every file of `list` that is not in `changes` yet.
    fn load(&self, list: ListId, changes: &mut BTreeMap<PathBuf, Change>) -> io::Result<()> {
        for row in self.rows_by(list, UrlKey::Any)? {
            let Ok((path, url)) = hashes_of(&row.value) else { continue };
            let change = changes.entry(self.file(list, path, url));
            let change = change.or_insert_with(|| Change { before: Vec::new(), after: Vec::new() });
            if !change.before.iter().any(|known| known.id == row.id) {
                change.before.push(row.clone());
                change.after.push(row);
            }
        }
        Ok(())
    }

    fn apply(&self, file: &Path, change: &Change) -> io::Result<()> {
        let ids = |rows: &[Row]| rows.iter().map(|row| row.id).collect::<Vec<_>>();
        if ids(&change.before) == ids(&change.after) {
            return Ok(());
        }
        if change.after.is_empty() {
            return fs::remove_file(file);
        }
        let mut bytes = Vec::with_capacity(change.after.iter().map(|row| row.value.len() + 16).sum());
        for row in &change.after {
            bytes.extend_from_slice(&row.id.0.to_le_bytes());
            bytes.extend_from_slice(&(row.value.len() as u64).to_le_bytes());
            bytes.extend_from_slice(&row.value);
        }
        self.replace(file, &bytes)
    }

    fn replace(&self, file: &Path, bytes: &[u8]) -> io::Result<()> {
        // One writer at a time, so one name is enough.
        let beside = self.dir.join("beside");
        let mut written = File::create(&beside)?;
        written.write_all(bytes)?;
        if self.sync == Sync::Strict {
            written.sync_data()?;
        }
        match fs::rename(&beside, file) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let folder = file.parent().unwrap_or(&self.dir);
                fs::create_dir_all(folder)?;
                fs::rename(&beside, file)
            }
            renamed => renamed,
        }
    }

    /// Makes names survive power loss.
    fn sync_folders<'a>(&self, files: impl Iterator<Item = &'a Path>) -> io::Result<()> {
        if self.sync == Sync::Relaxed {
            return Ok(());
        }
        let folders: std::collections::BTreeSet<_> = files.filter_map(Path::parent).collect();
        folders.into_iter().try_for_each(|folder| File::open(folder)?.sync_all())
    }

    fn list(&self, list: ListId) -> PathBuf {
        self.dir.join(list.0.to_string())
    }

    fn shard(&self, list: ListId, path: u64) -> PathBuf {
        self.list(list).join(format!("{:02x}", path >> 56))
    }

    fn file(&self, list: ListId, path: u64, url: u64) -> PathBuf {
        // One string, not one for each part: this is on the way of every look-up.
        let mut file = self.dir.as_os_str().to_owned();
        file.push(format!("/{}/{:02x}/{path:016x}-{url:016x}", list.0, path >> 56));
        file.into()
    }
}

impl Engine for Files {
    fn catalog(&self) -> Result<Option<Bytes>> {
        match fs::read(self.dir.join("catalog")) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::unavailable(error)),
        }
    }

    fn search(&self, reads: &[(ListId, UrlKey)]) -> Result<Vec<Vec<Row>>> {
        let _one = self.batch.read().unwrap_or_else(PoisonError::into_inner);
        reads.iter().map(|(list, url)| self.rows_by(*list, *url)).collect::<io::Result<_>>().map_err(Error::unavailable)
    }

    fn page(&self, list: ListId, after: Option<EntryId>, limit: usize) -> Result<Vec<Row>> {
        let _one = self.batch.read().unwrap_or_else(PoisonError::into_inner);
        let all = self.rows_by(list, UrlKey::Any).map_err(Error::unavailable)?;
        Ok(all.into_iter().filter(|row| Some(row.id) > after).take(limit).collect())
    }

    fn commit(&self, write: &Write<'_>) -> Result<bool> {
        let _one = self.batch.write().unwrap_or_else(PoisonError::into_inner);
        let commit = || {
            let Some(changes) = self.changes(write)? else { return Ok(false) };
            for (file, change) in &changes {
                self.apply(file, change)?;
            }
            self.sync_folders(changes.keys().map(PathBuf::as_path))?;
            if let Some(catalog) = &write.catalog {
                self.replace(&self.dir.join("catalog"), catalog)?;
            }
            for list in &write.cleared {
                match fs::remove_dir_all(self.list(*list)) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            Ok(true)
        };
        commit().map_err(Error::unavailable)
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

/// What is in `folder`; nothing where there is none.
fn entries_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Appends the rows of `file`; none where there is none.
fn read_rows(file: &Path, rows: &mut Vec<Row>) -> io::Result<()> {
    let mut rest = match fs::read(file) {
        Ok(bytes) => Bytes::from(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    while !rest.is_empty() {
        rows.push(split_row(&mut rest).ok_or_else(|| io::Error::other("a file whose lengths do not add up"))?);
    }
    Ok(())
}

fn split_row(rest: &mut Bytes) -> Option<Row> {
    let (id, after) = rest.split_first_chunk()?;
    let (length, after) = after.split_first_chunk()?;
    let (id, length) = (u64::from_le_bytes(*id), usize::try_from(u64::from_le_bytes(*length)).ok()?);
    if length > after.len() {
        return None;
    }
    let mut row = rest.split_to(16 + length);
    Some(Row { id: EntryId(id), value: row.split_off(16) })
}
