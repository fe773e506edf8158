//! What an engine is asked for: rows of lists, found by the hashes of their URLs, changed in one transaction.
//!
//! Knows neither names nor handles nor bodies that stream.

use std::fmt;

use bytes::Bytes;
use waystore::{
    Result,
    store::{EntryId, ListId},
};

use crate::value::{UrlKey, Value};

/// A storage engine.
pub trait Engine: fmt::Debug + Send + Sync + 'static {
    /// Returns the catalog that was last written.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](waystore::Error::Unavailable): the engine's own.
    fn catalog(&self) -> Result<Option<Bytes>>;

    /// Returns the rows under each of `reads`, oldest first, all as of one moment.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](waystore::Error::Unavailable): the engine's own.
    fn search(&self, reads: &[(ListId, UrlKey)]) -> Result<Vec<Vec<Row>>>;

    /// Returns up to `limit` rows of `list` after `after`, oldest first.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](waystore::Error::Unavailable): the engine's own.
    fn page(&self, list: ListId, after: Option<EntryId>, limit: usize) -> Result<Vec<Row>>;

    /// Does all of `write` in one transaction; returns `false`, and does nothing, where what must be unchanged
    /// is not. Never called by two threads at a time.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](waystore::Error::Unavailable): the engine's own. Nothing is done.
    fn commit(&self, write: &Write<'_>) -> Result<bool>;

    /// Makes everything committed survive power loss.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](waystore::Error::Unavailable): the engine's own.
    fn sync(&self) -> Result<()>;
}

/// An entry as an engine keeps it.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its number.
    pub id: EntryId,
    /// The encoded [`Value`].
    pub value: Bytes,
}

/// One transaction.
#[derive(Debug, Default)]
pub struct Write<'a> {
    /// What must still be found as it was.
    pub unchanged: Vec<Unchanged<'a>>,
    /// A new catalog.
    pub catalog: Option<Vec<u8>>,
    /// Changes to lists.
    pub lists: Vec<ListWrite<'a>>,
    /// Lists that lose all their rows.
    pub cleared: Vec<ListId>,
}

/// What a search found, to be compared with what it finds now.
#[derive(Debug)]
pub struct Unchanged<'a> {
    /// The list.
    pub list: ListId,
    /// The search.
    pub url: UrlKey,
    /// What was there, oldest first.
    pub entries: &'a [EntryId],
}

/// Changes to one list: removals first, then insertions.
#[derive(Debug)]
pub struct ListWrite<'a> {
    /// The list.
    pub list: ListId,
    /// Rows to remove; ones that are gone already do not count.
    pub remove: &'a [EntryId],
    /// Rows to insert. Their numbers are larger than all before.
    pub insert: Vec<NewRow<'a>>,
}

/// A row to insert.
#[derive(Debug)]
pub struct NewRow<'a> {
    /// Its number.
    pub id: EntryId,
    /// Its value.
    pub value: Value<'a>,
}
