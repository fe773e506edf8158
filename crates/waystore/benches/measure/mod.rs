//! Times several things in turn, so that what else the machine does falls on all of them alike and
//! their ratios hold though the times do not.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

/// What a run may end with.
pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// How long one round of one contender takes, about.
const ROUND: Duration = Duration::from_millis(25);
/// Rounds of each contender; the median of them counts.
const ROUNDS: usize = 21;

/// Does the measured thing as often as it is told.
pub(crate) type Work<'a> = Box<dyn FnMut(u64, &mut Watch) -> Result + 'a>;

/// The time of one execution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Median {
    /// In the median round.
    pub(crate) wall: Duration,
    /// The least that this thread had of the processor: what else the machine does hardly counts.
    pub(crate) processor: Duration,
}

/// The median time of one execution of each, in the order given. Takes about half a second each.
pub(crate) fn in_turn(contenders: &mut [Work<'_>]) -> Result<Vec<Median>> {
    let mut counts = Vec::new();
    for work in &mut *contenders {
        counts.push(executions_in_a_round(work)?);
    }
    let mut times = vec![(Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS)); contenders.len()];
    for _ in 0..ROUNDS {
        for ((work, count), (wall, processor)) in contenders.iter_mut().zip(&counts).zip(&mut times) {
            let took = time(work, *count)?;
            wall.push(took.wall.div_f64(*count as f64));
            processor.push(took.processor.div_f64(*count as f64));
        }
    }
    let least = |processor: Vec<Duration>| processor.into_iter().min().unwrap_or_default();
    let medians = times.into_iter().map(|(wall, processor)| Median { wall: median(wall), processor: least(processor) });
    Ok(medians.collect())
}

/// The time of doing something once.
#[allow(dead_code, reason = "not every benchmark has such a thing")]
pub(crate) fn once<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Median)> {
    let began = now();
    let done = work()?;
    Ok((done, since(began)))
}

/// Runs while work is done, but for what the work says does not count.
#[derive(Debug)]
pub(crate) struct Watch {
    began: (Instant, Duration),
    paused: Median,
}

impl Watch {
    fn start() -> Self {
        Self { began: now(), paused: Median { wall: Duration::ZERO, processor: Duration::ZERO } }
    }

    /// Does what does not count.
    #[allow(dead_code, reason = "not every benchmark has such a thing")]
    pub(crate) fn paused<T>(&mut self, prepare: impl FnOnce() -> T) -> T {
        let began = now();
        let prepared = prepare();
        let took = since(began);
        self.paused.wall += took.wall;
        self.paused.processor += took.processor;
        prepared
    }

    fn stop(self) -> Median {
        let took = since(self.began);
        Median {
            wall: took.wall.saturating_sub(self.paused.wall),
            processor: took.processor.saturating_sub(self.paused.processor),
        }
    }
}

fn now() -> (Instant, Duration) {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let processor = Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default());
    (Instant::now(), processor)
}

fn since((wall, processor): (Instant, Duration)) -> Median {
    Median { wall: wall.elapsed(), processor: now().1.saturating_sub(processor) }
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
        let took = time(work, count)?.wall;
        if took >= ROUND / 2 {
            return Ok(((count as f64 * ROUND.as_secs_f64() / took.as_secs_f64()) as u64).max(1));
        }
        count *= 2;
    }
}

fn time(work: &mut Work<'_>, count: u64) -> Result<Median> {
    let mut watch = Watch::start();
    work(count, &mut watch)?;
    Ok(watch.stop())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
