//! Runs the conformance suite over every store; each case is a test of its own, `store::case`.

use std::{future::Future, sync::Arc};

use libtest_mimic::{Arguments, Trial};
use waystore::{
    Clock, Waystore,
    store::memory::MemoryStore,
    testing::{Case, cases},
};

fn main() {
    let mut trials = Vec::new();
    trials.extend(cases().into_iter().map(|case| trial("memory", case, memory)));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn trial<F: Future<Output = Waystore> + 'static>(store: &str, case: Case, open: fn() -> F) -> Trial {
    Trial::test(format!("{store}::{}", case.name), move || {
        run(async move { (case.run)(open().await).await });
        Ok(())
    })
}

/// Two threads, so that tasks meet.
fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime starts").block_on(case);
}

async fn memory() -> Waystore {
    let clock = Arc::new(Clock::fixed(1_700_000_000_000, 7));
    Waystore::with_store(Arc::new(MemoryStore::new(Arc::clone(&clock))), clock)
}
