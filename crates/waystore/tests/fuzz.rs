//! A short run of the fuzz targets: what fuzzing starts from, inputs that failed once, and mutations of both.
//!
//! `scripts/fuzz` is the long one. `WAYSTORE_TEST_FUZZ=100000 cargo test -p waystore --test fuzz` does so many
//! mutations of each target.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::{fs, panic, path::Path};

use rand::{Rng, SeedableRng, rngs::StdRng};
use waystore::fuzzing::{TARGETS, Target, seeds};

/// Mutations of each target, unless told otherwise.
const MUTATIONS: [(&str, u64); 7] = [
    ("records", 250),
    ("checkpoint", 250),
    ("headers", 20_000),
    ("vary", 20_000),
    ("entry", 20_000),
    ("links", 5_000),
    ("plan", 5_000),
];

#[test]
fn the_log_holds_against_mutations() {
    run("records");
}

#[test]
fn the_checkpoint_holds_against_mutations() {
    run("checkpoint");
}

#[test]
fn header_lists_hold_against_mutations() {
    run("headers");
}

#[test]
fn variants_are_told_apart_by_two_readings_of_the_rule_alike() {
    run("vary");
}

#[test]
fn entries_hold_against_mutations() {
    run("entry");
}

#[test]
fn rules_to_follow_and_what_they_are_applied_to_hold_against_mutations() {
    run("links");
}

#[test]
fn plans_and_progress_hold_against_mutations() {
    run("plan");
}

#[test]
fn every_target_has_what_it_starts_from() {
    let seeds = seeds();
    for (name, _) in TARGETS {
        assert!(seeds[name].iter().any(|seed| seed.len() > 20), "{name}");
    }
}

fn run(name: &str) {
    let target = TARGETS.into_iter().find(|(other, _)| *other == name).unwrap().1;
    let mut inputs = seeds().remove(name).unwrap();
    inputs.extend(regressions(name));
    for input in &inputs {
        check(target, input, "an input that fuzzing starts from");
    }
    let default = MUTATIONS.into_iter().find(|(other, _)| *other == name).unwrap().1;
    let mutations = std::env::var("WAYSTORE_TEST_FUZZ").ok().and_then(|count| count.parse().ok()).unwrap_or(default);
    for seed in 0..mutations {
        let mut random = StdRng::seed_from_u64(seed);
        let mut input = inputs[random.random_range(0..inputs.len())].clone();
        for _ in 0..random.random_range(1..6) {
            mutate(&mut input, &mut random);
        }
        check(target, &input, &format!("mutation {seed}"));
    }
}

fn regressions(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/regressions").join(name);
    let Ok(files) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

fn check(target: Target, input: &[u8], what: &str) {
    if panic::catch_unwind(|| target(input)).is_err() {
        panic!("{what} failed, {} bytes: {}", input.len(), hex(input));
    }
}

/// Changes a few bytes, takes some away, or puts some of it elsewhere.
fn mutate(input: &mut Vec<u8>, random: &mut StdRng) {
    let length = input.len();
    let at = random.random_range(0..=length);
    let few = random.random_range(0..=(length - at).min(24));
    match random.random_range(0..7) {
        0 if at < length => input[at] ^= 1 << random.random_range(0..8),
        1 if at < length => input[at] = random.random(),
        2 => {
            let number = [0, 1, u64::MAX, u64::MAX >> 1, 1 << 32, length as u64][random.random_range(0..6)];
            for (byte, new) in input[at..].iter_mut().zip(&number.to_le_bytes()[..[1, 2, 4, 8][few % 4]]) {
                *byte = *new;
            }
        }
        3 => drop(input.drain(at..at + few)),
        4 => {
            let from = random.random_range(0..=length - few);
            let copied = input[from..from + few].to_vec();
            input.splice(at..at, copied);
        }
        5 => {
            let from = random.random_range(0..=length - few);
            input.copy_within(from..from + few, at.min(length - few));
        }
        _ => input.truncate(at.max(length / 2)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(4096).map(|byte| format!("{byte:02x}")).collect()
}
