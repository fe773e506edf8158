//! Random operations on a store against plain lists that follow the standard literally (`list.rs`).
//!
//! The lists share no code with the library. What both say must be the same after every step: in memory, on a real
//! disk that is closed and opened in between, and on a simulated one that fails, is killed and loses power.
//! `WAYSTORE_TEST_CASES=50 cargo test -p waystore --test model` tries 50 times as many runs.

#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub, reason = "a step fails by panicking")]

mod list;
mod place;
mod run;
mod steps;
mod world;

use proptest::{prelude::*, test_runner::TestRunner};
use waystore::store::disk::Durability;

use self::{place::Where, run::Run, steps::actions};

#[test]
fn a_store_in_memory_says_what_the_lists_of_the_standard_say() {
    check(512, 60, Where::memory);
}

#[test]
fn a_store_on_disk_says_the_same_however_often_it_is_opened() {
    check(48, 60, Where::real);
}

#[test]
fn a_relaxed_store_says_the_same_though_its_disk_fails_and_it_is_killed() {
    check(400, 60, || Where::simulated(Durability::Relaxed));
}

#[test]
fn a_strict_store_says_the_same_though_power_is_lost_too() {
    check(400, 60, || Where::simulated(Durability::Strict));
}

/// Runs so many random lists of steps, each of them somewhere new.
fn check(cases: u32, longest: usize, place: impl Fn() -> Where) {
    let times = std::env::var("WAYSTORE_TEST_CASES").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases * times) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let run = |actions: Vec<_>| {
        runtime.block_on(async {
            let mut run = Run::new(place()).await;
            for action in actions {
                run.step(action).await;
            }
            run.end().await;
        });
        Ok(())
    };
    // The same cases each time, unless there are to be more of them.
    let mut runner = if times == 1 { TestRunner::new_with_rng(config, fixed()) } else { TestRunner::new(config) };
    if let Err(error) = runner.run(&actions(longest), run) {
        panic!("{error}");
    }
}

fn fixed() -> prop::test_runner::TestRng {
    prop::test_runner::TestRng::deterministic_rng(prop::test_runner::RngAlgorithm::ChaCha)
}
