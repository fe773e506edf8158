//! What the benchmarks of the worker and the gateway share: targets, medians, and what a process says of itself.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::{error::Error, fs, time::Duration};

/// What a run may end with.
pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The name of the threads that script runs on.
const WORKER_THREAD: &str = "waystore-worker";

/// Prints a row: what was measured, and whether it is what it has to be.
pub(crate) fn verdict(what: &str, measured: f64, unit: &str, target: Target) {
    let (sign, limit, met) = match target {
        Target::AtMost(limit) => ("<=", limit, measured <= limit),
        Target::AtLeast(limit) => (">=", limit, measured >= limit),
    };
    let met = if met { "met" } else { "missed" };
    println!("{what:<58} {measured:>9.2} {unit:<5} target {sign} {limit:<6} {met}");
}

/// A bound in the unit of the measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

/// The one in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The processor time that all threads with script in them have used so far.
///
/// # Errors
///
/// The system does not tell; Linux does.
pub(crate) fn worker_cpu() -> Result<Duration> {
    cpu_of("self", |thread| thread == WORKER_THREAD)
}

/// The processor time that those threads of a process have used so far of which `counts` says so by their names.
///
/// # Errors
///
/// The system does not tell; Linux does.
pub(crate) fn cpu_of(process: &str, counts: impl Fn(&str) -> bool) -> Result<Duration> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let thread = thread?.path();
        // One may end while it is looked at.
        let Ok(name) = fs::read_to_string(thread.join("comm")) else { continue };
        if !counts(name.trim_end()) {
            continue;
        }
        let Ok(used) = fs::read_to_string(thread.join("schedstat")) else { continue };
        nanoseconds += used.split_whitespace().next().ok_or("an empty schedstat")?.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// The resident memory of a process that is its own, in KiB.
///
/// # Errors
///
/// The system does not tell; Linux does.
pub(crate) fn own_memory_kib(process: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon in the status")?;
    Ok(line.split_whitespace().next().ok_or("an empty RssAnon")?.parse()?)
}
