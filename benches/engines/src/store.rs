//! A [`Store`] over any [`Engine`]: what all of them need beside rows.
//!
//! Everything runs on the caller's thread. Leaves out how often an entry was used.

use std::{
    collections::HashSet,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use async_trait::async_trait;
use waystore::{
    CacheName, Clock, Error, Limits, Place, Result, StorageKey,
    store::{
        BodyWriter, Candidate, CandidateBody, Changes, Commit, EntryId, List, ListHold, ListId, NameChange, NewBody,
        OpId, Read, ReadSet, Seen, Store, StoredBody, Usage, Uses, WrittenBody,
    },
};

use crate::{
    Sync,
    bodies::Bodies,
    books::Books,
    catalog::{Catalog, Unbound},
    engine::{Engine, ListWrite, NewRow, Row, Unchanged, Write},
    value::{self, BodyRef, ReadBody, UrlKey, Value},
};

/// A store over `E`.
#[derive(Debug)]
pub struct EngineStore<E: Engine> {
    shared: Arc<Shared<E>>,
    clock: Clock,
    verify: bool,
}

#[derive(Debug)]
struct Shared<E> {
    engine: E,
    bodies: Bodies,
    /// Held while a commit runs, so that entries are numbered in the order in which they show.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    catalog: Catalog,
    books: Books,
}

/// Rows read at a time when a store is opened.
const PAGE: usize = 1000;

impl<E: Engine> EngineStore<E> {
    /// A store over `engine`, with long bodies in `dir`. `verify`: whether checksums are verified on reading.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`]: the engine's own, or of the folder of bodies.
    pub fn new(engine: E, dir: &Path, sync: Sync, verify: bool) -> Result<Self> {
        let mut catalog = match engine.catalog()? {
            Some(bytes) => Catalog::decode(&bytes)?,
            None => Catalog::default(),
        };
        let bodies = Bodies::open(&dir.join("bodies"), sync)?;
        let doomed = catalog.to_free();
        if !doomed.is_empty() {
            doomed.iter().for_each(|list| catalog.forget(*list));
            let encoded = catalog.encode();
            let write = Write { catalog: Some(encoded), cleared: doomed, ..Write::default() };
            engine.commit(&write)?;
        }
        let state = State { catalog, books: Books::new() };
        let shared = Arc::new(Shared { engine, bodies, state: Mutex::new(state) });
        let store = Self { shared, clock: Clock::system(), verify };
        store.count()?;
        Ok(store)
    }

    /// Charges everything that is there.
    fn count(&self) -> Result<()> {
        let mut state = self.shared.state();
        let State { catalog, books } = &mut *state;
        books.charge_names(catalog);
        for list in catalog.lists() {
            let mut after = None;
            loop {
                let rows = self.shared.engine.page(list, after, PAGE)?;
                for row in &rows {
                    books.insert(list, row.id, self.candidate(list, row)?.usage());
                }
                if rows.len() < PAGE {
                    break;
                }
                after = rows.last().map(|row| row.id);
            }
        }
        Ok(())
    }

    /// The same store, where checksums are not verified on reading.
    #[must_use]
    pub fn unchecked(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), clock: Clock::system(), verify: false }
    }

    fn held(&self, catalog: &mut Catalog, list: ListId) -> List {
        catalog.hold(list);
        List::new(Arc::new(Hold { list, shared: Arc::downgrade(&self.shared) }))
    }

    fn candidate(&self, list: ListId, row: &Row) -> Result<Candidate> {
        let read = value::Read::parse(&row.value, self.verify)?;
        let body = match read.body {
            ReadBody::Null => CandidateBody::Null,
            ReadBody::Inline(bytes) => CandidateBody::Inline(bytes),
            ReadBody::File(number, length) => {
                CandidateBody::Stored(self.shared.bodies.stored(number, length).map_err(Error::unavailable)?)
            }
        };
        Ok(Candidate {
            id: row.id,
            list,
            stored_at_ms: read.stored_at_ms,
            entry: read.entry,
            body,
            uses: Uses::default(),
        })
    }
}

impl<E: Engine> Shared<E> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the rows of doomed lists that nobody holds.
    fn free(&self, state: &mut State) -> Result<()> {
        let mut next = state.catalog.clone();
        let cleared = next.to_free();
        cleared.iter().for_each(|list| next.forget(*list));
        let write = Write { catalog: Some(next.encode()), cleared, ..Write::default() };
        self.engine.commit(&write)?;
        write.cleared.iter().for_each(|list| state.books.free(*list));
        state.catalog = next;
        Ok(())
    }

    /// Whether what was read is still so.
    fn is_unchanged(&self, expected: &[Unchanged<'_>]) -> Result<bool> {
        let searches: Vec<_> = expected.iter().map(|expected| (expected.list, expected.url)).collect();
        let found = self.engine.search(&searches)?;
        let same = |(expected, rows): (&Unchanged<'_>, &Vec<Row>)| {
            rows.iter().map(|row| row.id).eq(expected.entries.iter().copied())
        };
        Ok(expected.iter().zip(&found).all(same))
    }
}

#[async_trait]
impl<E: Engine> Store for EngineStore<E> {
    async fn storage_keys(&self) -> Result<Vec<StorageKey>> {
        Ok(self.shared.state().catalog.keys())
    }

    async fn names(&self, place: &Place) -> Result<Vec<(CacheName, List)>> {
        let catalog = &mut self.shared.state().catalog;
        let names = catalog.names(place).to_vec();
        Ok(names.into_iter().map(|(name, list)| (name, self.held(catalog, list))).collect())
    }

    async fn list(&self, place: &Place, name: &CacheName) -> Result<Option<List>> {
        let catalog = &mut self.shared.state().catalog;
        let list = catalog.list(place, name);
        Ok(list.map(|list| self.held(catalog, list)))
    }

    async fn candidates(&self, reads: &[Read<'_>]) -> Result<(ReadSet, Vec<Candidate>)> {
        let searches: Vec<_> =
            reads.iter().map(|read| (read.list.id(), UrlKey::of(read.list.id(), read.url))).collect();
        let found = self.shared.engine.search(&searches)?;
        let mut seen = Vec::with_capacity(reads.len());
        let mut candidates = Vec::with_capacity(reads.len());
        let mut given = HashSet::new();
        for (read, rows) in reads.iter().zip(&found) {
            let list = read.list.id();
            for row in rows {
                if reads.len() == 1 || given.insert(row.id) {
                    candidates.push(self.candidate(list, row)?);
                }
            }
            seen.push(Seen { list, url: read.url.into(), entries: rows.iter().map(|row| row.id).collect() });
        }
        Ok((ReadSet(seen), candidates))
    }

    async fn page(&self, list: &List, after: Option<EntryId>, limit: usize) -> Result<Vec<Candidate>> {
        let rows = self.shared.engine.page(list.id(), after, limit)?;
        rows.iter().map(|row| self.candidate(list.id(), row)).collect()
    }

    async fn commit(&self, key: &StorageKey, _: OpId, read: &ReadSet, changes: &Changes) -> Result<Commit> {
        if changes.names.len() > 1 && changes.names.iter().any(|change| matches!(change, NameChange::Rename { .. })) {
            return Err(Error::type_error("a renaming is the only change to names in its commit"));
        }
        let mut state = self.shared.state();
        let State { catalog, books } = &mut *state;
        if let Some(unknown) = changes.lists.iter().find(|change| !catalog.knows(change.list.id())) {
            return Err(Error::unavailable(format!("list {} is not of this store", unknown.list.id().0)));
        }
        let mut renamed = None;
        if !changes.names.is_empty() || catalog.must_be_written() {
            let next = renamed.insert(catalog.clone());
            for change in &changes.names {
                if let Err(Unbound) = next.change(change) {
                    return Ok(Commit::Stale);
                }
            }
        }
        let mut write = Write { unchanged: read.0.iter().map(unchanged).collect(), ..Write::default() };
        if let Err(refused) = books.check(key, changes, catalog, renamed.as_ref()) {
            // What changed meanwhile may have made room, and is to be looked at first.
            return if self.shared.is_unchanged(&write.unchanged)? { Err(refused) } else { Ok(Commit::Stale) };
        }
        let stored_at_ms = self.clock.now_ms();
        let numbers = renamed.as_mut().unwrap_or(&mut *catalog);
        for change in &changes.lists {
            let list = change.list.id();
            let mut insert = Vec::with_capacity(change.insert.len());
            for new in &change.insert {
                let body = match &new.body {
                    NewBody::Null => BodyRef::Null,
                    NewBody::Inline(bytes) => BodyRef::Inline(bytes),
                    NewBody::Written(written) => BodyRef::File(Bodies::number_of(written)?, written.length()),
                };
                let value = Value::new(list, stored_at_ms, &new.entry, body);
                insert.push(NewRow { id: numbers.next_entry(), value });
            }
            write.lists.push(ListWrite { list, remove: &change.remove, insert });
        }
        write.catalog = renamed.as_mut().map(Catalog::encode);
        if !self.shared.engine.commit(&write)? {
            return Ok(Commit::Stale);
        }
        if let Some(renamed) = renamed {
            if !changes.names.is_empty() {
                books.rename(catalog, &renamed);
            }
            *catalog = renamed;
        }
        for (change, written) in changes.lists.iter().zip(&write.lists) {
            change.remove.iter().for_each(|id| books.remove(written.list, *id));
            for (new, row) in change.insert.iter().zip(&written.insert) {
                books.insert(written.list, row.id, new.usage());
                if let NewBody::Written(body) = &new.body {
                    Bodies::name(body);
                }
            }
        }
        if !changes.names.is_empty() && !catalog.to_free().is_empty() {
            self.shared.free(&mut state)?;
        }
        Ok(Commit::Applied)
    }

    fn write_body(&self, _: &StorageKey) -> Box<dyn BodyWriter> {
        self.shared.bodies.writer()
    }

    fn written(&self, body: &WrittenBody) -> Result<Arc<dyn StoredBody>> {
        self.shared.bodies.stored(Bodies::number_of(body)?, body.length()).map_err(Error::unavailable)
    }

    async fn usage(&self, key: Option<&StorageKey>) -> Result<Usage> {
        Ok(self.shared.state().books.usage(key))
    }

    async fn bucket_usage(&self, key: &StorageKey, bucket: &str) -> Result<Usage> {
        Ok(self.shared.state().books.bucket_usage(key, bucket))
    }

    fn set_limits(&self, limits: Limits) {
        self.shared.state().books.set_limits(limits);
    }

    fn set_bucket_limit(&self, key: &StorageKey, bucket: &str, bytes: Option<u64>) {
        self.shared.state().books.set_bucket_limit(key, bucket, bytes);
    }

    fn limits(&self) -> Limits {
        self.shared.state().books.limits().clone()
    }

    async fn sync(&self) -> Result<()> {
        self.shared.engine.sync()
    }
}

fn unchanged(seen: &Seen) -> Unchanged<'_> {
    Unchanged { list: seen.list, url: UrlKey::of(seen.list, seen.url.as_match()), entries: &seen.entries }
}

struct Hold<E: Engine> {
    list: ListId,
    shared: Weak<Shared<E>>,
}

impl<E: Engine> ListHold for Hold<E> {
    fn id(&self) -> ListId {
        self.list
    }
}

impl<E: Engine> Drop for Hold<E> {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else { return };
        let mut state = shared.state();
        if state.catalog.release(self.list) {
            // What stays is freed when the store is opened again.
            let _ = shared.free(&mut state);
        }
    }
}
