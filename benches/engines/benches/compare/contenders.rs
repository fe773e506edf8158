//! The stores that are compared, each with a cache, and the work they do in the same way.

use std::{path::Path, sync::Arc};

use tokio::runtime::Runtime;
use waystore::{
    Cache, CacheQueryOptions, CacheStorage, Clock, Request, Waystore,
    store::{
        Store,
        disk::{DiskOptions, DiskStore, Durability},
    },
};
use waystore_engines::{Engine, EngineStore, Files, Lmdb, Sqlite, Sync, WithTls};

use crate::{
    load::{self, BODY, ORIGIN},
    measure::{Contender, Prepared, Random, Result},
};

/// A cache of one of the stores.
#[derive(Debug, Clone)]
pub(crate) struct Competitor {
    pub(crate) name: &'static str,
    pub(crate) caches: CacheStorage,
    pub(crate) cache: Cache,
}

/// The cache that is compared.
pub(crate) const CACHE: &str = "v1";

/// Ours in `dir`.
pub(crate) async fn ours(dir: &Path, sync: Sync) -> Result<Competitor> {
    let durability = if sync == Sync::Strict { Durability::Strict } else { Durability::Relaxed };
    let store = DiskStore::open(dir.join("waystore"), DiskOptions::default().durability(durability)).await?;
    over("waystore", Arc::new(store)).await
}

/// LMDB in `dir`, and once more without verifying checksums on reading.
pub(crate) async fn lmdb(dir: &Path, sync: Sync) -> Result<[Competitor; 2]> {
    let dir = dir.join("lmdb");
    let store = EngineStore::new(Lmdb::<WithTls>::open(&dir, sync)?, &dir, sync, true)?;
    let unchecked = store.unchecked();
    let checked = over("LMDB", Arc::new(store)).await?;
    Ok([checked, over("LMDB, body not checked", Arc::new(unchecked)).await?])
}

/// SQLite in `dir`.
pub(crate) async fn sqlite(dir: &Path, sync: Sync) -> Result<Competitor> {
    let dir = dir.join("sqlite");
    over_engine("SQLite", Sqlite::open(&dir, sync)?, &dir, sync).await
}

/// LMDB and SQLite in `dir`, as fast as they can be made.
pub(crate) async fn tuned(dir: &Path, sync: Sync) -> Result<[Competitor; 2]> {
    let (lmdb, sqlite) = (dir.join("lmdb-mapped"), dir.join("sqlite-tuned"));
    Ok([
        over_engine("LMDB, MDB_WRITEMAP", Lmdb::<WithTls>::open_mapped(&lmdb, sync)?, &lmdb, sync).await?,
        over_engine("SQLite, tuned", Sqlite::open_tuned(&sqlite, sync)?, &sqlite, sync).await?,
    ])
}

/// Plain files in `dir`.
pub(crate) async fn files(dir: &Path, sync: Sync) -> Result<Competitor> {
    let dir = dir.join("files");
    over_engine("plain files", Files::open(&dir, sync)?, &dir, sync).await
}

async fn over_engine<E: Engine>(name: &'static str, engine: E, dir: &Path, sync: Sync) -> Result<Competitor> {
    over(name, Arc::new(EngineStore::new(engine, dir, sync, true)?)).await
}

async fn over(name: &'static str, store: Arc<dyn Store>) -> Result<Competitor> {
    let store = Waystore::with_store(store, Arc::new(Clock::system()));
    let caches = store.caches(ORIGIN)?;
    Ok(Competitor { name, cache: caches.open(CACHE).await?, caches })
}

/// How far a look-up goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// There is no entry.
    Miss,
    /// The head alone.
    Head,
    /// The body too, compared with what was put.
    Body,
}

impl Competitor {
    /// Looks for random entries of the `size` there are.
    pub(crate) fn matching<'a>(&self, runtime: &'a Runtime, size: usize, depth: Depth) -> Contender<'a> {
        let cache = self.cache.clone();
        let prepare = move |count: usize, random: &mut Random| -> Result<Prepared<'a>> {
            let beyond = if depth == Depth::Miss { size } else { 0 };
            let numbers: Vec<_> = (0..count).map(|_| beyond + random.below(size)).collect();
            let requests = numbers.iter().map(|number| load::request(*number)).collect::<Result<Vec<_>>>()?;
            let cache = cache.clone();
            Ok(Box::new(move |laps| {
                runtime.block_on(async {
                    for (number, request) in numbers.iter().zip(&requests) {
                        look_up(&cache, *number, request, depth).await?;
                        laps.lap();
                    }
                    Ok(())
                })
            }))
        };
        Contender { name: self.name, prepare: Box::new(prepare) }
    }

    /// Puts over random entries of the `size` there are.
    pub(crate) fn putting<'a>(&self, runtime: &'a Runtime, size: usize) -> Contender<'a> {
        let cache = self.cache.clone();
        let prepare = move |count: usize, random: &mut Random| -> Result<Prepared<'a>> {
            let numbers = (0..count).map(|_| random.below(size));
            let pairs = numbers.map(|number| Ok((load::request(number)?, load::response(number))));
            let pairs = pairs.collect::<Result<Vec<_>>>()?;
            let cache = cache.clone();
            Ok(Box::new(move |laps| {
                runtime.block_on(async {
                    for (request, response) in pairs {
                        cache.put(request, response).await?;
                        laps.lap();
                    }
                    Ok(())
                })
            }))
        };
        Contender { name: self.name, prepare: Box::new(prepare) }
    }

    /// Puts batches of `batch` over random entries of the `size` there are.
    pub(crate) fn putting_batches<'a>(&self, runtime: &'a Runtime, size: usize, batch: usize) -> Contender<'a> {
        let cache = self.cache.clone();
        let prepare = move |count: usize, random: &mut Random| -> Result<Prepared<'a>> {
            let mut batches = Vec::with_capacity(count);
            for _ in 0..count {
                // A run of neighbours: no number twice in a batch.
                let first = random.below(size - batch);
                let pairs = (first..first + batch).map(|number| Ok((load::request(number)?, load::response(number))));
                batches.push(pairs.collect::<Result<Vec<_>>>()?);
            }
            let cache = cache.clone();
            Ok(Box::new(move |laps| {
                runtime.block_on(async {
                    for pairs in batches {
                        cache.put_all(pairs).await?;
                        laps.lap();
                    }
                    Ok(())
                })
            }))
        };
        Contender { name: self.name, prepare: Box::new(prepare) }
    }
}

async fn look_up(cache: &Cache, number: usize, request: &Request, depth: Depth) -> Result {
    let found = cache.match_(request, CacheQueryOptions::default()).await?;
    let Some(found) = found else {
        return if depth == Depth::Miss { Ok(()) } else { Err(format!("entry {number} is not found").into()) };
    };
    let right = match depth {
        Depth::Miss => false,
        Depth::Head => found.status == 200,
        Depth::Body => found.body.ok_or("a null body")?.collect(BODY).await? == load::body(number),
    };
    if right { Ok(()) } else { Err(format!("entry {number} is not what was put").into()) }
}
