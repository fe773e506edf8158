//! Runs the conformance suite over every store; each case is a test of its own, `store::case`.

use std::{future::Future, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Trial};
use tempfile::TempDir;
use waystore::{
    Clock, Waystore,
    store::{
        disk::{DiskOptions, DiskStore, Durability, sim::SimDisk},
        memory::MemoryStore,
    },
    testing::{Case, DurableCase, Reopen, cases, durable_cases},
};

fn main() {
    let mut trials = Vec::new();
    trials.extend(cases().into_iter().map(|case| trial("memory", case, memory)));
    for case in cases() {
        trials.push(trial_in("disk", case, OnDisk::default));
        trials.push(trial_in("disk_strict", case, OnDisk::strict));
        trials.push(trial_in("simulated", case, Simulated::default));
    }
    for case in durable_cases() {
        trials.push(durable_trial("disk", case, OnDisk::default));
        trials.push(durable_trial("simulated", case, Simulated::default));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn trial<F: Future<Output = Waystore> + 'static>(store: &str, case: Case, open: fn() -> F) -> Trial {
    Trial::test(format!("{store}::{}", case.name), move || {
        run(async move { (case.run)(open().await).await });
        Ok(())
    })
}

fn trial_in<P: Reopen + 'static>(store: &str, case: Case, place: fn() -> P) -> Trial {
    Trial::test(format!("{store}::{}", case.name), move || {
        let place = place();
        run(async { (case.run)(place.open().await).await });
        Ok(())
    })
}

fn durable_trial<P: Reopen + 'static>(store: &str, case: DurableCase, place: fn() -> P) -> Trial {
    Trial::test(format!("{store}::{}", case.name), move || {
        run((case.run)(Arc::new(place())));
        Ok(())
    })
}

/// Two threads, so that tasks meet.
fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    // A case that hangs is named, and does not take the others with it.
    let case = async { tokio::time::timeout(Duration::from_secs(120), case).await };
    runtime.expect("a runtime starts").block_on(case).expect("the case ends in two minutes");
}

async fn memory() -> Waystore {
    let clock = Arc::new(Clock::fixed(1_700_000_000_000, 7));
    Waystore::with_store(Arc::new(MemoryStore::new(Arc::clone(&clock))), clock)
}

/// A directory of its own.
struct OnDisk {
    dir: Arc<TempDir>,
    durability: Durability,
}

impl OnDisk {
    fn strict() -> Self {
        Self { durability: Durability::Strict, ..Self::default() }
    }
}

impl Default for OnDisk {
    fn default() -> Self {
        let dir = tempfile::tempdir().expect("the machine has a directory for temporary files");
        Self { dir: Arc::new(dir), durability: Durability::Relaxed }
    }
}

impl Reopen for OnDisk {
    fn open(&self) -> BoxFuture<'static, Waystore> {
        let (dir, durability) = (Arc::clone(&self.dir), self.durability);
        Box::pin(async move {
            let options = DiskOptions::default().durability(durability).segment_bytes(4 << 20);
            let store = DiskStore::open(dir.path(), options).await.expect("the directory can be opened");
            Waystore::with_store(Arc::new(store), Arc::new(Clock::fixed(1_700_000_000_000, 7)))
        })
    }
}

#[derive(Default)]
struct Simulated(SimDisk);

impl Reopen for Simulated {
    fn open(&self) -> BoxFuture<'static, Waystore> {
        let disk = self.0.clone();
        Box::pin(async move {
            let clock = Arc::new(Clock::fixed(1_700_000_000_000, 7));
            let options = DiskOptions::default().segment_bytes(1 << 20).sync_every(None);
            let store = DiskStore::open_on(Arc::new(disk), Arc::clone(&clock), options);
            Waystore::with_store(Arc::new(store.expect("the simulated disk can be opened")), clock)
        })
    }
}
