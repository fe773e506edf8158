//! Runs the library's conformance suite over the other engines, so that what is measured is a cache.
//!
//! Each case is a test of its own, `engine::case`. Cases that need what these stores leave out are listed;
//! one that passes though it is listed fails.

use std::{future::Future, panic::AssertUnwindSafe, path::Path, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use libtest_mimic::{Arguments, Failed, Trial};
use tempfile::TempDir;
use waystore::{
    Clock, Waystore,
    store::Store,
    testing::{Reopen, cases, durable_cases},
};
use waystore_engines::{EngineStore, Files, Lmdb, Sqlite, Sync, WithoutTls};

/// Cases that fail, because these stores do not count how often an entry was used.
const USES_NOT_COUNTED: &[&str] = &["an_entry_tells_how_often_look_ups_answered_with_it_and_when_last"];

type Open = fn(&Path) -> waystore::Result<Arc<dyn Store>>;

const ENGINES: [(&str, Open); 3] = [("lmdb", lmdb), ("sqlite", sqlite), ("files", files)];

fn main() {
    // Most panics are those of cases that are listed. The others say what they have to say at the end.
    std::panic::set_hook(Box::new(|_| {}));
    let mut trials = Vec::new();
    for (engine, open) in ENGINES {
        for case in cases() {
            trials.push(trial(engine, case.name, move || {
                let place = Place::new(open);
                run(async { (case.run)(place.open().await).await })
            }));
        }
        for case in durable_cases() {
            trials.push(trial(engine, case.name, move || run((case.run)(Arc::new(Place::new(open))))));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn trial(engine: &str, case: &'static str, ends: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    Trial::test(format!("{engine}::{case}"), move || match (ends(), USES_NOT_COUNTED.contains(&case)) {
        (Ok(()), true) => Err("it passes, though it is listed as one that needs uses to be counted".into()),
        (Err(_), true) => Ok(()),
        (ended, false) => ended,
    })
}

/// Runs a case to its end, or says how it failed. Two threads, so that tasks meet.
fn run(case: impl Future<Output = ()>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let in_time = async { tokio::time::timeout(Duration::from_secs(60), case).await };
    match runtime.expect("a runtime starts").block_on(AssertUnwindSafe(in_time).catch_unwind()) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err("it does not end in a minute".into()),
        Err(panic) => Err(match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
            (Some(message), _) => message.into(),
            (_, Some(message)) => (*message).into(),
            _ => "it panicked".into(),
        }),
    }
}

/// Here threads end and environments are closed all the time.
fn lmdb(dir: &Path) -> waystore::Result<Arc<dyn Store>> {
    let lmdb = Lmdb::<WithoutTls>::open(dir, Sync::Relaxed)?;
    Ok(Arc::new(EngineStore::new(lmdb, dir, Sync::Relaxed, true)?))
}

fn sqlite(dir: &Path) -> waystore::Result<Arc<dyn Store>> {
    Ok(Arc::new(EngineStore::new(Sqlite::open(dir, Sync::Relaxed)?, dir, Sync::Relaxed, true)?))
}

fn files(dir: &Path) -> waystore::Result<Arc<dyn Store>> {
    Ok(Arc::new(EngineStore::new(Files::open(dir, Sync::Relaxed)?, dir, Sync::Relaxed, true)?))
}

/// A directory of its own.
struct Place {
    dir: Arc<TempDir>,
    open: Open,
}

impl Place {
    fn new(open: Open) -> Self {
        Self { dir: Arc::new(tempfile::tempdir().expect("the machine has a directory for temporary files")), open }
    }
}

impl Reopen for Place {
    fn open(&self) -> BoxFuture<'static, Waystore> {
        let (dir, open) = (Arc::clone(&self.dir), self.open);
        Box::pin(async move {
            let store = open(dir.path()).expect("the directory can be opened");
            Waystore::with_store(store, Arc::new(Clock::fixed(1_700_000_000_000, 7)))
        })
    }
}
