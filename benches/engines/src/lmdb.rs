//! LMDB, through `heed`: heads and body in one value.
//!
//! Three tables. `urls`: both hashes of a URL → the numbers of its rows, so that a look-up is two gets and
//! no cursor, and putting over an entry changes eight bytes in place. `rows`: list and number → value.
//! `catalog`: one value.
//!
//! Relaxed is `MDB_NOSYNC`: survives the end of the process, and may be damaged as a whole after power loss.
//! With `MDB_WRITEMAP` besides, pages are written where they are mapped: no system call a commit, and no
//! protection from a stray pointer of the program.

use std::{fmt, fs, ops::Bound, path::Path};

use bytes::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions, RoTxn, RwTxn, TlsUsage, WithTls, WithoutTls, types};
use waystore::{
    Error, Result,
    store::{EntryId, ListId},
};

use crate::{
    Sync,
    engine::{Engine, ListWrite, NewRow, Row, Write},
    value::{UrlKey, hashes_of},
};

/// As large as it may become; takes address space only.
const MAP_BYTES: usize = 64 << 30;

type Table = Database<types::Bytes, types::Bytes>;

/// By what LMDB knows who reads: its threads ([`WithTls`]), which takes the least time, or each reading ([`WithoutTls`]). By
/// threads it lets go of one that ends, and if the environment is closed in just that moment, of memory that is gone: the
/// process ends with a signal.
pub trait Readers: TlsUsage + fmt::Debug + Send + std::marker::Sync + Sized + 'static {
    /// What such an environment is opened with.
    fn options() -> EnvOpenOptions<Self>;

    /// A reading, whatever it is known by.
    fn any<'a, 'e>(read: &'a RoTxn<'e, Self>) -> &'a RoTxn<'e>;
}

impl Readers for WithTls {
    fn options() -> EnvOpenOptions<Self> {
        EnvOpenOptions::new()
    }

    fn any<'a, 'e>(read: &'a RoTxn<'e, Self>) -> &'a RoTxn<'e> {
        read
    }
}

impl Readers for WithoutTls {
    fn options() -> EnvOpenOptions<Self> {
        EnvOpenOptions::new().read_txn_without_tls()
    }

    fn any<'a, 'e>(read: &'a RoTxn<'e, Self>) -> &'a RoTxn<'e> {
        read
    }
}

/// An LMDB environment.
#[derive(Debug)]
pub struct Lmdb<R = WithTls> {
    env: Env<R>,
    urls: Table,
    rows: Table,
    catalog: Table,
}

impl<R: Readers> Lmdb<R> {
    /// Opens the environment in `dir`, made where it is missing.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`]: LMDB's own.
    pub fn open(dir: &Path, sync: Sync) -> Result<Self> {
        Self::open_with(dir, sync, EnvFlags::empty())
    }

    /// The same with `MDB_WRITEMAP`.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_mapped(dir: &Path, sync: Sync) -> Result<Self> {
        Self::open_with(dir, sync, EnvFlags::WRITE_MAP)
    }

    fn open_with(dir: &Path, sync: Sync, flags: EnvFlags) -> Result<Self> {
        fs::create_dir_all(dir).map_err(Error::unavailable)?;
        let env = open_env(dir, sync, flags).map_err(Error::unavailable)?;
        let tables = || {
            let mut write = env.write_txn()?;
            let mut table = |name| env.create_database(&mut write, Some(name));
            let tables = (table("urls")?, table("rows")?, table("catalog")?);
            write.commit()?;
            Ok(tables)
        };
        let (urls, rows, catalog) = tables().map_err(unavailable)?;
        Ok(Self { env, urls, rows, catalog })
    }

    fn rows_by(&self, read: &RoTxn<'_>, list: ListId, url: UrlKey) -> heed::Result<Vec<Row>> {
        let row = |id: EntryId| {
            let value = self.rows.get(read, &row_key(list, id))?;
            Ok(value.map(|value| Row { id, value: Bytes::copy_from_slice(value) }))
        };
        match url {
            UrlKey::Any => {
                let all = self.rows.prefix_iter(read, &list.0.to_be_bytes())?;
                all.map(|item| item.map(|(key, value)| to_row(key, value))).collect::<heed::Result<_>>()
            }
            UrlKey::Exact { .. } | UrlKey::Path(_) => {
                self.ids(read, list, url)?.into_iter().filter_map(|id| row(id).transpose()).collect()
            }
        }
    }

    /// The numbers of the rows under `url`, oldest first.
    fn ids(&self, read: &RoTxn<'_>, list: ListId, url: UrlKey) -> heed::Result<Vec<EntryId>> {
        match url {
            UrlKey::Exact { path, url } => Ok(numbers(self.urls.get(read, &url_key(path, url))?.unwrap_or_default())),
            UrlKey::Path(path) => {
                let mut ids = Vec::new();
                for item in self.urls.prefix_iter(read, &path.to_be_bytes())? {
                    ids.extend(numbers(item?.1));
                }
                ids.sort();
                Ok(ids)
            }
            UrlKey::Any => {
                let all = self.rows.prefix_iter(read, &list.0.to_be_bytes())?;
                all.map(|item| item.map(|(key, value)| to_row(key, value).id)).collect()
            }
        }
    }

    /// Returns whether everything that must be unchanged is.
    fn write(&self, txn: &mut RwTxn<'_>, write: &Write<'_>) -> heed::Result<bool> {
        for expected in &write.unchanged {
            if self.ids(txn, expected.list, expected.url)? != expected.entries {
                return Ok(false);
            }
        }
        for change in &write.lists {
            self.write_list(txn, change)?;
        }
        for list in &write.cleared {
            let all = self.ids(txn, *list, UrlKey::Any)?;
            all.iter().try_for_each(|id| self.remove(txn, *list, *id))?;
        }
        if let Some(catalog) = &write.catalog {
            self.catalog.put(txn, &[0], catalog)?;
        }
        Ok(true)
    }

    fn write_list(&self, txn: &mut RwTxn<'_>, change: &ListWrite<'_>) -> heed::Result<()> {
        // One row in place of one other of the same URL, which nearly every put is: the index changes in place.
        if let ([old], [new]) = (change.remove, &change.insert[..]) {
            let (path, url) = new.value.hashes();
            let key = url_key(path, url);
            if self.urls.get(txn, &key)?.is_some_and(|ids| numbers(ids) == [*old]) {
                self.rows.delete(txn, &row_key(change.list, *old))?;
                self.urls.put(txn, &key, &new.id.0.to_le_bytes())?;
                return self.insert_row(txn, change.list, new);
            }
        }
        change.remove.iter().try_for_each(|id| self.remove(txn, change.list, *id))?;
        for new in &change.insert {
            let (path, url) = new.value.hashes();
            let key = url_key(path, url);
            let mut ids = self.urls.get(txn, &key)?.unwrap_or_default().to_vec();
            ids.extend_from_slice(&new.id.0.to_le_bytes());
            self.urls.put(txn, &key, &ids)?;
            self.insert_row(txn, change.list, new)?;
        }
        Ok(())
    }

    fn insert_row(&self, txn: &mut RwTxn<'_>, list: ListId, new: &NewRow<'_>) -> heed::Result<()> {
        // Written into LMDB's page, not into a buffer of ours first.
        self.rows.put_reserved(txn, &row_key(list, new.id), new.value.length(), |space| {
            new.value.parts().iter().try_for_each(|part| std::io::Write::write_all(space, part))
        })
    }

    fn remove(&self, txn: &mut RwTxn<'_>, list: ListId, id: EntryId) -> heed::Result<()> {
        let key = row_key(list, id);
        let Some(value) = self.rows.get(txn, &key)? else { return Ok(()) };
        let hashes = hashes_of(value).ok();
        self.rows.delete(txn, &key)?;
        let Some((path, url)) = hashes else { return Ok(()) };
        let key = url_key(path, url);
        let mut ids = numbers(self.urls.get(txn, &key)?.unwrap_or_default());
        ids.retain(|kept| *kept != id);
        if ids.is_empty() {
            self.urls.delete(txn, &key)?;
        } else {
            let ids: Vec<_> = ids.iter().flat_map(|id| id.0.to_le_bytes()).collect();
            self.urls.put(txn, &key, &ids)?;
        }
        Ok(())
    }
}

impl<R: Readers> Engine for Lmdb<R> {
    fn catalog(&self) -> Result<Option<Bytes>> {
        let read = || {
            let read = self.env.read_txn()?;
            Ok(self.catalog.get(R::any(&read), &[0])?.map(Bytes::copy_from_slice))
        };
        read().map_err(unavailable)
    }

    fn search(&self, reads: &[(ListId, UrlKey)]) -> Result<Vec<Vec<Row>>> {
        let search = || {
            let read = self.env.read_txn()?;
            reads.iter().map(|(list, url)| self.rows_by(R::any(&read), *list, *url)).collect::<heed::Result<_>>()
        };
        search().map_err(unavailable)
    }

    fn page(&self, list: ListId, after: Option<EntryId>, limit: usize) -> Result<Vec<Row>> {
        let page = || {
            let read = self.env.read_txn()?;
            let from = row_key(list, EntryId(after.map_or(0, |after| after.0 + 1)));
            let to = row_key(list, EntryId(u64::MAX));
            let range = self.rows.range(R::any(&read), &(Bound::Included(&from[..]), Bound::Included(&to[..])))?;
            range.take(limit).map(|item| item.map(|(key, value)| to_row(key, value))).collect::<heed::Result<_>>()
        };
        page().map_err(unavailable)
    }

    fn commit(&self, write: &Write<'_>) -> Result<bool> {
        let commit = || {
            let mut txn = self.env.write_txn()?;
            if !self.write(&mut txn, write)? {
                return Ok(false);
            }
            txn.commit()?;
            Ok(true)
        };
        commit().map_err(unavailable)
    }

    fn sync(&self) -> Result<()> {
        self.env.force_sync().map_err(unavailable)
    }
}

#[allow(unsafe_code, reason = "heed leaves it to the caller that nobody else changes the file it maps")]
fn open_env<R: Readers>(dir: &Path, sync: Sync, flags: EnvFlags) -> heed::Result<Env<R>> {
    let mut options = R::options();
    options.map_size(MAP_BYTES).max_dbs(3);
    // Pages need not be zeroed before they are written to a file that nobody else reads.
    let base = match sync {
        Sync::Relaxed => EnvFlags::NO_SYNC | EnvFlags::NO_MEM_INIT,
        Sync::Strict => EnvFlags::NO_MEM_INIT,
    };
    // SAFETY: the directory is one that this program made for itself, and no other process opens it.
    unsafe { options.flags(flags | base).open(dir) }
}

fn unavailable(error: heed::Error) -> Error {
    Error::unavailable(error)
}

fn row_key(list: ListId, id: EntryId) -> [u8; 16] {
    joined(list.0, id.0)
}

fn url_key(path: u64, url: u64) -> [u8; 16] {
    joined(path, url)
}

/// Two numbers in an order that bytes show.
fn joined(first: u64, second: u64) -> [u8; 16] {
    ((u128::from(first) << 64) | u128::from(second)).to_be_bytes()
}

fn to_row(key: &[u8], value: &[u8]) -> Row {
    let id = key.last_chunk().map_or(0, |id| u64::from_be_bytes(*id));
    Row { id: EntryId(id), value: Bytes::copy_from_slice(value) }
}

fn numbers(ids: &[u8]) -> Vec<EntryId> {
    ids.as_chunks().0.iter().map(|id| EntryId(u64::from_le_bytes(*id))).collect()
}
