//! Times several contenders in turn, in short rounds, so that what else the machine does falls on all of
//! them alike: ratios within one run hold though the times do not.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// What a run may end with.
pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Something to be measured: makes the input of so many operations, which is not timed, and gives back
/// what does them.
pub(crate) struct Contender<'a> {
    pub(crate) name: &'static str,
    pub(crate) prepare: Prepare<'a>,
}

type Prepare<'a> = Box<dyn FnMut(usize, &mut Random) -> Result<Prepared<'a>> + 'a>;

/// Does the operations; says after each one that it is done.
pub(crate) type Prepared<'a> = Box<dyn FnOnce(&mut Laps) -> Result + 'a>;

/// How long and how often is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// A round of one contender.
    pub(crate) round: Duration,
    /// Rounds of each; the median counts.
    pub(crate) rounds: usize,
    /// Operations of a round, at most: their input is in memory at once.
    pub(crate) most: usize,
}

/// What was measured of one contender.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    /// One operation, by the median round.
    pub(crate) each: Duration,
    /// The same, in time of the processor for the thread that waits: what else the machine does hardly counts.
    pub(crate) processor: Duration,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// Where each operation ended, in rounds that measure each one.
pub(crate) struct Laps {
    last: Option<Instant>,
    each: Vec<Duration>,
}

impl Laps {
    /// An operation ended.
    pub(crate) fn lap(&mut self) {
        if let Some(last) = &mut self.last {
            let now = Instant::now();
            self.each.push(now - *last);
            *last = now;
        }
    }
}

/// Measures all of them. Every second round times each operation, which costs some itself: those give the
/// percentiles, the others the median.
pub(crate) fn in_turn(contenders: &mut [Contender<'_>], effort: Effort) -> Result<Vec<Measured>> {
    let mut random = Random(0x5EED);
    let mut counts = Vec::new();
    for contender in &mut *contenders {
        counts.push(operations_in_a_round(contender, effort, &mut random)?);
    }
    let mut rounds = vec![Vec::new(); contenders.len()];
    let mut processor = rounds.clone();
    let mut each = vec![Vec::new(); contenders.len()];
    for round in 0..effort.rounds * 2 {
        for (at, contender) in contenders.iter_mut().enumerate() {
            let (took, laps) = run(contender, counts[at], round % 2 == 1, &mut random)?;
            if laps.is_empty() {
                rounds[at].push(took.wall.div_f64(counts[at] as f64));
                processor[at].push(took.processor.div_f64(counts[at] as f64));
            }
            each[at].extend(laps);
        }
    }
    let measured = contenders.iter().zip(rounds.into_iter().zip(processor)).zip(each);
    let measured = measured.map(|((contender, (rounds, processor)), each)| Measured {
        name: contender.name,
        each: percentile(rounds, 0.5),
        processor: percentile(processor, 0.5),
        p50: percentile(each.clone(), 0.5),
        p99: percentile(each, 0.99),
    });
    Ok(measured.collect())
}

/// The time that `work` takes.
pub(crate) fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let began = Instant::now();
    let done = work()?;
    Ok((done, began.elapsed()))
}

/// The value below which this part of `times` is.
pub(crate) fn percentile(mut times: Vec<Duration>, part: f64) -> Duration {
    times.sort_unstable();
    let at = (times.len() as f64 * part) as usize;
    times.get(at.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Also the warm-up. The first operation of all may load a list, which takes as long as thousands of the others.
fn operations_in_a_round(contender: &mut Contender<'_>, effort: Effort, random: &mut Random) -> Result<usize> {
    run(contender, 1, false, random)?;
    let mut count = 1;
    loop {
        let took = run(contender, count, false, random)?.0.wall;
        if took >= effort.round / 2 || count >= effort.most {
            let fitting = count as f64 * effort.round.as_secs_f64() / took.as_secs_f64();
            return Ok((fitting as usize).clamp(1, effort.most));
        }
        count *= 2;
    }
}

/// How long a round took.
struct Took {
    wall: Duration,
    processor: Duration,
}

fn run(contender: &mut Contender<'_>, count: usize, laps: bool, random: &mut Random) -> Result<(Took, Vec<Duration>)> {
    let work = (contender.prepare)(count, random)?;
    let mut laps = Laps { last: None, each: Vec::with_capacity(if laps { count } else { 0 }) };
    let (processor, began) = (processor_time(), Instant::now());
    laps.last = (laps.each.capacity() > 0).then_some(began);
    work(&mut laps)?;
    let wall = began.elapsed();
    Ok((Took { wall, processor: processor_time().saturating_sub(processor) }, laps.each))
}

/// What this thread had of the processor so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Numbers that are hard to foresee and the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}
