//! Times several things in turn, so that what else the machine does falls on all of them alike and
//! their ratios hold though the times do not.

use std::{
    error::Error,
    time::{Duration, Instant},
};

/// What a run may end with.
pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// How long one round of one contender takes, about.
const ROUND: Duration = Duration::from_millis(25);
/// Rounds of each contender; the median of them counts.
const ROUNDS: usize = 21;

/// Does the measured thing as often as it is told.
pub(crate) type Work<'a> = Box<dyn FnMut(u64) -> Result + 'a>;

/// The median time of one execution of each, in the order given. Takes about half a second each.
pub(crate) fn in_turn(contenders: &mut [Work<'_>]) -> Result<Vec<Duration>> {
    let mut counts = Vec::new();
    for work in &mut *contenders {
        counts.push(executions_in_a_round(work)?);
    }
    let mut times = vec![Vec::with_capacity(ROUNDS); contenders.len()];
    for _ in 0..ROUNDS {
        for ((work, count), times) in contenders.iter_mut().zip(&counts).zip(&mut times) {
            times.push(time(work, *count)?.div_f64(*count as f64));
        }
    }
    Ok(times.into_iter().map(median).collect())
}

/// A time as people read it.
pub(crate) fn shown(time: Duration) -> String {
    match time.as_nanos() {
        0..10_000 => format!("{} ns", time.as_nanos()),
        10_000..10_000_000 => format!("{:.1} µs", time.as_nanos() as f64 / 1e3),
        _ => format!("{:.1} ms", time.as_nanos() as f64 / 1e6),
    }
}

/// Also the warm-up.
fn executions_in_a_round(work: &mut Work<'_>) -> Result<u64> {
    let mut count = 1;
    loop {
        let took = time(work, count)?;
        if took >= ROUND / 2 {
            return Ok(((count as f64 * ROUND.as_secs_f64() / took.as_secs_f64()) as u64).max(1));
        }
        count *= 2;
    }
}

fn time(work: &mut Work<'_>, count: u64) -> Result<Duration> {
    let began = Instant::now();
    work(count)?;
    Ok(began.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
