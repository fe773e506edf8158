//! The engines called directly, without our `Cache`: what they take for themselves.
//!
//! A look-up by hashes that are at hand, ending with the bytes copied out; a put that knows what it
//! replaces.

use std::path::Path;

use waystore::store::{Entry, EntryId, ListId};
use waystore_engines::{Engine, ListWrite, NewRow, UrlKey, Value, WithTls, Write};

use crate::{
    load,
    measure::{Contender, Prepared, Random, Result},
};

const LIST: ListId = ListId(1);
/// Rows of one transaction while the engine is filled.
const BATCH: usize = 500;

/// An engine, filled, and the row that stands for each number.
pub(crate) struct Raw {
    name: &'static str,
    engine: Box<dyn Engine>,
    rows: Vec<EntryId>,
}

impl Raw {
    pub(crate) fn filled(name: &'static str, engine: impl Engine, size: usize) -> Result<Self> {
        let rows: Vec<_> = (0..size).map(|number| EntryId(number as u64 + 1)).collect();
        for first in (0..size).step_by(BATCH) {
            let numbers: Vec<_> = (first..size.min(first + BATCH)).collect();
            let entries = numbers.iter().map(|number| entry(*number)).collect::<Result<Vec<_>>>()?;
            let bodies: Vec<_> = numbers.iter().map(|number| load::body(*number)).collect();
            let parts = numbers.iter().zip(&entries).zip(&bodies);
            let insert = parts.map(|((number, entry), body)| NewRow {
                id: rows[*number],
                value: Value::inline(LIST, 0, entry, body),
            });
            let list = ListWrite { list: LIST, remove: &[], insert: insert.collect() };
            engine.commit(&Write { lists: vec![list], ..Write::default() })?;
        }
        Ok(Self { name, engine: Box::new(engine), rows })
    }

    pub(crate) fn matching(&self) -> Contender<'_> {
        let prepare = move |count: usize, random: &mut Random| -> Result<Prepared<'_>> {
            let numbers = (0..count).map(|_| random.below(self.rows.len()));
            let keys: Vec<_> = numbers.map(key).collect();
            Ok(Box::new(move |laps| {
                for key in keys {
                    let found = self.engine.search(&[(LIST, key)])?;
                    if found[0].len() != 1 {
                        return Err("an entry is not found".into());
                    }
                    laps.lap();
                }
                Ok(())
            }))
        };
        Contender { name: self.name, prepare: Box::new(prepare) }
    }

    pub(crate) fn putting(&self) -> Contender<'_> {
        let mut rows = self.rows.clone();
        let mut last = rows.len() as u64;
        let prepare = move |count: usize, random: &mut Random| -> Result<Prepared<'_>> {
            let mut steps = Vec::with_capacity(count);
            for _ in 0..count {
                let number = random.below(rows.len());
                last += 1;
                let old = std::mem::replace(&mut rows[number], EntryId(last));
                steps.push((entry(number)?, load::body(number), old, EntryId(last)));
            }
            Ok(Box::new(move |laps| {
                for (entry, body, old, new) in &steps {
                    let insert = vec![NewRow { id: *new, value: Value::inline(LIST, 0, entry, body) }];
                    let list = ListWrite { list: LIST, remove: &[*old], insert };
                    self.engine.commit(&Write { lists: vec![list], ..Write::default() })?;
                    laps.lap();
                }
                Ok(())
            }))
        };
        Contender { name: self.name, prepare: Box::new(prepare) }
    }
}

/// The three engines, filled with `size` entries each, in folders of their own.
pub(crate) fn all(dir: &Path, size: usize) -> Result<[Raw; 3]> {
    use waystore_engines::{Files, Lmdb, Sqlite, Sync::Relaxed};
    Ok([
        Raw::filled("LMDB, raw", Lmdb::<WithTls>::open(&dir.join("raw-lmdb"), Relaxed)?, size)?,
        Raw::filled("SQLite, raw", Sqlite::open(&dir.join("raw-sqlite"), Relaxed)?, size)?,
        Raw::filled("plain files, raw", Files::open(&dir.join("raw-files"), Relaxed)?, size)?,
    ])
}

fn entry(number: usize) -> Result<Entry> {
    Ok(Entry::new(&load::request(number)?.head, &load::response(number).head))
}

fn key(number: usize) -> UrlKey {
    UrlKey::of(LIST, waystore::store::UrlMatch::Exact(&load::url(number)))
}
