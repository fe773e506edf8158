//! SQLite, through `rusqlite`: one table whose row number holds list and number, and one index.
//!
//! Relaxed is a write-ahead log with `synchronous = NORMAL`, strict the same with `FULL`; nothing else is
//! changed. Tuned is what else helps where nobody else has the directory: one connection locks the file once
//! and for all, the log is folded in seldom, pages are kept and read through a mapping.

use std::{
    fs,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use waystore::{
    Error, Result,
    store::{EntryId, ListId},
};

use crate::{
    Sync,
    engine::{Engine, ListWrite, Row, Write},
    value::UrlKey,
};

/// How many bits of a row number are the entry's.
const ENTRY_BITS: u32 = 40;

/// What is set before the first access.
const TUNED: &str = "
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA wal_autocheckpoint = 4000;
    PRAGMA cache_size = -262144;
    PRAGMA mmap_size = 17179869184;
";
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, path INTEGER NOT NULL, url INTEGER NOT NULL, value BLOB NOT NULL);
    CREATE INDEX IF NOT EXISTS entry_by_url ON entry (path, url);
    CREATE TABLE IF NOT EXISTS catalog (id INTEGER PRIMARY KEY, value BLOB NOT NULL);
";
const BY_URL: &str = "SELECT id, value FROM entry WHERE path = ?1 AND url = ?2 ORDER BY id";
const BY_PATH: &str = "SELECT id, value FROM entry WHERE path = ?1 ORDER BY id";
const PAGE: &str = "SELECT id, value FROM entry WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3";
const IDS_BY_URL: &str = "SELECT id FROM entry WHERE path = ?1 AND url = ?2 ORDER BY id";
const IDS_BY_PATH: &str = "SELECT id FROM entry WHERE path = ?1 ORDER BY id";
const IDS: &str = "SELECT id FROM entry WHERE id > ?1 AND id < ?2 ORDER BY id";
const INSERT: &str = "INSERT INTO entry (id, path, url, value) VALUES (?1, ?2, ?3, ?4)";
const DELETE: &str = "DELETE FROM entry WHERE id = ?1";
const CLEAR: &str = "DELETE FROM entry WHERE id > ?1 AND id < ?2";
const CATALOG: &str = "SELECT value FROM catalog WHERE id = 0";
const SET_CATALOG: &str = "INSERT OR REPLACE INTO catalog (id, value) VALUES (0, ?1)";

/// An SQLite database.
#[derive(Debug)]
pub struct Sqlite(Mutex<Connection>);

impl Sqlite {
    /// Opens the database in `dir`, made where it is missing.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`]: SQLite's own.
    pub fn open(dir: &Path, sync: Sync) -> Result<Self> {
        Self::open_with(dir, sync, "")
    }

    /// The same, tuned.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_tuned(dir: &Path, sync: Sync) -> Result<Self> {
        Self::open_with(dir, sync, TUNED)
    }

    fn open_with(dir: &Path, sync: Sync, tuned: &str) -> Result<Self> {
        fs::create_dir_all(dir).map_err(Error::unavailable)?;
        let open = || {
            let connection = Connection::open(dir.join("entries.sqlite"))?;
            connection.execute_batch(tuned)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            let synchronous = if sync == Sync::Strict { "FULL" } else { "NORMAL" };
            connection.pragma_update(None, "synchronous", synchronous)?;
            connection.set_prepared_statement_cache_capacity(16);
            connection.execute_batch(SCHEMA)?;
            Ok(connection)
        };
        Ok(Self(Mutex::new(open().map_err(unavailable)?)))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for Sqlite {
    fn catalog(&self) -> Result<Option<Bytes>> {
        let found = self.connection().query_row(CATALOG, [], |row| row.get::<_, Vec<u8>>(0)).optional();
        Ok(found.map_err(unavailable)?.map(Bytes::from))
    }

    fn search(&self, reads: &[(ListId, UrlKey)]) -> Result<Vec<Vec<Row>>> {
        let connection = self.connection();
        let found = |(list, url): &(ListId, UrlKey)| match *url {
            UrlKey::Exact { path, url } => rows(&connection, BY_URL, params![signed(path), signed(url)]),
            UrlKey::Path(path) => rows(&connection, BY_PATH, params![signed(path)]),
            UrlKey::Any => rows(&connection, PAGE, params![first(*list), end(*list), -1]),
        };
        if let [one] = reads {
            return Ok(vec![found(one).map_err(unavailable)?]);
        }
        // The connection is held, so nothing is written between the searches.
        reads.iter().map(found).collect::<rusqlite::Result<_>>().map_err(unavailable)
    }

    fn page(&self, list: ListId, after: Option<EntryId>, limit: usize) -> Result<Vec<Row>> {
        let after = after.map_or_else(|| first(list), |after| row_id(list, after));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        rows(&self.connection(), PAGE, params![after, end(list), limit]).map_err(unavailable)
    }

    fn commit(&self, write: &Write<'_>) -> Result<bool> {
        let connection = self.connection();
        let run = |statement| connection.prepare_cached(statement)?.execute([]).map(drop);
        let commit = || {
            run("BEGIN IMMEDIATE")?;
            if write_all(&connection, write)? {
                run("COMMIT")?;
                return Ok(true);
            }
            run("ROLLBACK")?;
            Ok(false)
        };
        commit().map_err(|error| {
            // Not begun, or ended by SQLite itself: then there is nothing to take back.
            let _ = run("ROLLBACK");
            unavailable(error)
        })
    }

    fn sync(&self) -> Result<()> {
        let connection = self.connection();
        connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(())).map_err(unavailable)
    }
}

/// Returns whether everything that must be unchanged is.
fn write_all(connection: &Connection, write: &Write<'_>) -> rusqlite::Result<bool> {
    for expected in &write.unchanged {
        if ids(connection, expected.list, expected.url)? != expected.entries {
            return Ok(false);
        }
    }
    for change in &write.lists {
        write_list(connection, change)?;
    }
    for list in &write.cleared {
        connection.prepare_cached(CLEAR)?.execute(params![first(*list), end(*list)])?;
    }
    if let Some(catalog) = &write.catalog {
        connection.prepare_cached(SET_CATALOG)?.execute(params![catalog])?;
    }
    Ok(true)
}

fn write_list(connection: &Connection, change: &ListWrite<'_>) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached(DELETE)?;
    for id in change.remove {
        delete.execute([row_id(change.list, *id)])?;
    }
    let mut insert = connection.prepare_cached(INSERT)?;
    let mut value = Vec::new();
    for new in &change.insert {
        value.clear();
        new.value.parts().iter().for_each(|part| value.extend_from_slice(part));
        let (path, url) = new.value.hashes();
        insert.execute(params![row_id(change.list, new.id), signed(path), signed(url), value])?;
    }
    Ok(())
}

fn ids(connection: &Connection, list: ListId, url: UrlKey) -> rusqlite::Result<Vec<EntryId>> {
    let (query, arguments) = match url {
        UrlKey::Exact { path, url } => (IDS_BY_URL, vec![signed(path), signed(url)]),
        UrlKey::Path(path) => (IDS_BY_PATH, vec![signed(path)]),
        UrlKey::Any => (IDS, vec![first(list), end(list)]),
    };
    let mut query = connection.prepare_cached(query)?;
    let found = query.query_map(rusqlite::params_from_iter(arguments), |row| Ok(entry_id(row.get(0)?)))?;
    found.collect()
}

fn rows(connection: &Connection, query: &str, arguments: impl rusqlite::Params) -> rusqlite::Result<Vec<Row>> {
    let mut query = connection.prepare_cached(query)?;
    let found = query.query_map(arguments, |row| {
        let value = Bytes::copy_from_slice(row.get_ref(1)?.as_blob()?);
        Ok(Row { id: entry_id(row.get(0)?), value })
    })?;
    found.collect()
}

fn unavailable(error: rusqlite::Error) -> Error {
    Error::unavailable(error)
}

/// SQLite's integers have a sign; the bits are what counts.
fn signed(hash: u64) -> i64 {
    hash.cast_signed()
}

fn row_id(list: ListId, entry: EntryId) -> i64 {
    ((list.0 << ENTRY_BITS) | entry.0).cast_signed()
}

fn entry_id(row: i64) -> EntryId {
    EntryId(row.cast_unsigned() & ((1 << ENTRY_BITS) - 1))
}

/// Before all rows of `list`.
fn first(list: ListId) -> i64 {
    row_id(list, EntryId(0))
}

/// After all rows of `list`.
fn end(list: ListId) -> i64 {
    row_id(ListId(list.0 + 1), EntryId(0))
}
