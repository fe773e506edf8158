//! How far something long has come: a line with a bar on a terminal's stderr. Nothing where stderr is no
//! terminal, and nothing for what is quickly done.

use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

use futures::StreamExt;
use waystore::Body;

use super::columns::size;

/// Nothing is shown before this, so that short work does not flicker.
const FIRST: Duration = Duration::from_millis(400);
/// Between two lines.
const STEP: Duration = Duration::from_millis(100);
/// Of the bar, in characters.
const WIDTH: u64 = 24;

/// `body`, which tells how much of it went by: `verb` is what happens to it.
pub(super) fn watched(body: Body, verb: &'static str) -> Body {
    let length = body.length();
    let mut line = Line::new(verb, length);
    let chunks = body.inspect(move |chunk| {
        if let Ok(chunk) = chunk {
            line.advance(chunk.len() as u64);
        }
    });
    Body::from_stream(chunks, length)
}

/// The line that is written over and over, and wiped at the end.
#[derive(Debug)]
pub(in crate::commands) struct Line {
    verb: &'static str,
    length: Option<u64>,
    bytes: u64,
    begun: Instant,
    next: Instant,
    shown: bool,
    visible: bool,
}

impl Line {
    /// `verb` is what happens, to `length` bytes in all where that is known.
    pub(in crate::commands) fn new(verb: &'static str, length: Option<u64>) -> Self {
        let begun = Instant::now();
        let visible = std::io::stderr().is_terminal();
        Self { verb, length, bytes: 0, begun, next: begun + FIRST, shown: false, visible }
    }

    /// So much of `total` bytes is done. It may be less than before: then it begins again.
    pub(in crate::commands) fn set(&mut self, bytes: u64, total: u64) {
        self.length = Some(total);
        if bytes < self.bytes {
            (self.bytes, self.begun) = (0, Instant::now());
        }
        self.advance(bytes - self.bytes);
    }

    /// Tells that `bytes` more are done.
    pub(in crate::commands) fn advance(&mut self, bytes: u64) {
        self.bytes += bytes;
        if !self.visible {
            return;
        }
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + STEP;
        self.shown = true;
        // Nobody may be looking.
        let _ = write!(std::io::stderr(), "\r\x1b[K{}", self.text(now - self.begun));
    }

    fn text(&self, taken: Duration) -> String {
        let speed = (self.bytes as f64 / taken.as_secs_f64().max(0.001)) as u64;
        let speed = format!("{}/s", size(speed));
        match self.length {
            Some(length) if length > 0 => {
                let part = |of: u64| (u128::from(self.bytes) * u128::from(of) / u128::from(length)).min(of.into());
                let (done, percent) = (usize::try_from(part(WIDTH)).unwrap_or_default(), part(100));
                let bar = format!("{}{}", "#".repeat(done), ".".repeat(WIDTH as usize - done));
                format!("{} [{bar}] {percent:>3} %  {} of {}  {speed}", self.verb, size(self.bytes), size(length))
            }
            _ => format!("{} {}  {speed}", self.verb, size(self.bytes)),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_the_part_where_the_whole_is_known() {
        let line = |length| Line { bytes: 512, ..Line::new("importing", length) }.text(Duration::from_secs(1));
        assert_eq!(line(Some(2048)), "importing [######..................]  25 %  512 B of 2.0 KiB  512 B/s");
        assert_eq!(line(Some(100)), "importing [########################] 100 %  512 B of 100 B  512 B/s", "it grew");
        assert_eq!(line(None), "importing 512 B  512 B/s");
    }

    #[test]
    fn a_line_fits_a_terminal_of_80_columns() {
        let line = Line { bytes: 1 << 40, ..Line::new("importing", Some(1 << 40)) };
        let text = line.text(Duration::from_secs(100));
        assert!(text.chars().count() < 80, "{text}");
    }
}
