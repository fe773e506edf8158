//! How far a prefetch is: a line with a bar on a terminal's stderr.

use std::time::{Duration, Instant};

use crate::{
    commands::cache::{
        columns::size,
        progress::{Drawn, bar},
    },
    prefetching::Steps,
};

/// The line, wiped when dropped.
#[derive(Debug)]
pub(super) struct Progress {
    begun: Instant,
    drawn: Drawn,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), drawn: Drawn::new() }
    }

    /// Shows how far it is, now and then.
    pub(super) fn show(&mut self, steps: Steps) {
        let taken = self.begun.elapsed();
        self.drawn.draw(|| text(steps, taken));
    }
}

fn text(steps: Steps, taken: Duration) -> String {
    let Steps { done, total, bytes } = steps;
    let speed = (bytes as f64 / taken.as_secs_f64().max(0.001)) as u64;
    let bar = bar(done as u64, total as u64);
    format!("prefetching {bar}  {done} of {total}  {}/s", size(speed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_urls_and_speed_and_fits_a_terminal_of_80_columns() {
        let line = text(Steps { done: 250, total: 1000, bytes: 2048 }, Duration::from_secs(1));
        assert_eq!(line, "prefetching [######..................]  25 %  250 of 1000  2.0 KiB/s");
        let long = text(Steps { done: 50_000, total: 50_000, bytes: 1 << 40 }, Duration::from_secs(10));
        assert!(long.chars().count() < 80, "{long}");
    }
}
