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
use waystore_engines::{EngineStore, Files, Lmdb, Sqlite, Sync};

/// Cases that fail: these stores have no quota and no usage, so nothing is counted, refused or evicted.
const WITHOUT_QUOTA: &[&str] = &[
    "a_body_of_unknown_length_stops_at_the_quota",
    "a_body_that_says_its_length_is_refused_before_it_is_read",
    "a_body_that_streams_makes_room_as_it_goes",
    "a_doomed_cache_is_charged_until_it_is_let_go",
    "a_full_quota_lets_entries_go_instead_of_failing",
    "a_key_may_have_a_limit_of_its_own",
    "a_recorded_put_over_the_quota_fails_its_readers_and_changes_nothing",
    "an_import_over_the_quota_changes_nothing",
    "e146_a_batch_over_the_quota_stores_nothing",
    "e147_a_refused_replacement_leaves_the_old_entry_in_its_place",
    "e173_a_refused_put_changes_nothing",
    "e174_a_refused_open_makes_no_cache",
    "e175_deleting_makes_room",
    "nothing_goes_for_what_can_never_fit",
    "nothing_is_evicted_for_what_would_not_fit_anyway",
    "nothing_is_evicted_unless_it_was_asked_for",
    "registrations_are_charged_too",
    "s13_usage_is_within_the_quota",
    "s14_s15_an_entry_is_charged_its_bytes_and_little_more_until_it_is_deleted",
    "s17_what_is_replaced_makes_room",
    "s18_puts_at_a_time_never_pass_the_quota_together",
    "s25_s26_s61_beyond_the_quota_all_works_but_growth",
    "s28_usage_is_the_same_after_a_restart",
    "s29_s30_padding_goes_with_its_entry_and_is_for_opaque_ones",
    "s31_a_response_stored_twice_has_one_padding",
    "s37_s41_the_least_recently_used_key_is_emptied_and_the_others_are_not",
    "s38_a_persisted_key_is_spared",
    "s39_a_held_key_is_spared",
    "s40_who_reads_what_is_evicted_reads_on",
    "s51_the_error_names_the_quota",
    "s56_what_two_share_is_charged_to_both",
    "s62_a_raised_quota_is_used_at_once",
    "s69_usage_never_passes_the_quota_while_it_is_written_to",
    "the_books_agree_with_a_recount",
    "the_limit_of_all_together_holds_for_each",
];

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
    Trial::test(format!("{engine}::{case}"), move || match (ends(), WITHOUT_QUOTA.contains(&case)) {
        (Ok(()), true) => Err("it passes, though it is listed as one that needs a quota".into()),
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

fn lmdb(dir: &Path) -> waystore::Result<Arc<dyn Store>> {
    Ok(Arc::new(EngineStore::new(Lmdb::open(dir, Sync::Relaxed)?, dir, Sync::Relaxed, true)?))
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
