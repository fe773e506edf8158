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

/// Whether anybody sees it.
pub(super) fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}

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

/// How many bytes of something are done.
#[derive(Debug)]
pub(in crate::commands) struct Line {
    verb: &'static str,
    length: Option<u64>,
    bytes: u64,
    begun: Instant,
    drawn: Drawn,
}

impl Line {
    /// `verb` is what happens, to `length` bytes in all where that is known.
    pub(in crate::commands) fn new(verb: &'static str, length: Option<u64>) -> Self {
        Self { verb, length, bytes: 0, begun: Instant::now(), drawn: Drawn::new() }
    }

    /// There are so many bytes in all.
    pub(super) fn expect(&mut self, length: u64) {
        self.length = Some(length);
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
        let Self { verb, length, bytes, begun, ref mut drawn } = *self;
        drawn.draw(|| text(verb, bytes, length, begun.elapsed()));
    }
}

fn text(verb: &str, bytes: u64, length: Option<u64>, taken: Duration) -> String {
    let speed = (bytes as f64 / taken.as_secs_f64().max(0.001)) as u64;
    let speed = format!("{}/s", size(speed));
    match length {
        Some(length) if length > 0 => {
            format!("{verb} {}  {} of {}  {speed}", bar(bytes, length), size(bytes), size(length))
        }
        _ => format!("{verb} {}  {speed}", size(bytes)),
    }
}

/// A bar, and how many of a hundred it stands for. What grew beyond the whole counts as the whole.
pub(in crate::commands) fn bar(done: u64, whole: u64) -> String {
    let part = |of: u64| (u128::from(done) * u128::from(of) / u128::from(whole.max(1))).min(of.into());
    let (signs, percent) = (usize::try_from(part(WIDTH)).unwrap_or_default(), part(100));
    format!("[{}{}] {percent:>3} %", "#".repeat(signs), ".".repeat(WIDTH as usize - signs))
}

/// A line on stderr that is written over and over, and wiped at the end. Only where that is a terminal.
#[derive(Debug)]
pub(in crate::commands) struct Drawn {
    next: Instant,
    shown: bool,
    visible: bool,
}

impl Drawn {
    pub(in crate::commands) fn new() -> Self {
        Self { next: Instant::now() + FIRST, shown: false, visible: is_watched() }
    }

    /// Writes what `text` is now, unless it is too early.
    pub(in crate::commands) fn draw(&mut self, text: impl FnOnce() -> String) {
        let now = Instant::now();
        if !self.visible || now < self.next {
            return;
        }
        self.next = now + STEP;
        self.shown = true;
        // Nobody may be looking.
        let _ = write!(std::io::stderr(), "\r\x1b[K{}", text());
    }
}

impl Drop for Drawn {
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
        let line = |length| text("importing", 512, length, Duration::from_secs(1));
        assert_eq!(line(Some(2048)), "importing [######..................]  25 %  512 B of 2.0 KiB  512 B/s");
        assert_eq!(line(Some(100)), "importing [########################] 100 %  512 B of 100 B  512 B/s", "it grew");
        assert_eq!(line(None), "importing 512 B  512 B/s");
    }

    #[test]
    fn a_line_fits_a_terminal_of_80_columns() {
        let text = text("importing", 1 << 40, Some(1 << 40), Duration::from_secs(100));
        assert!(text.chars().count() < 80, "{text}");
    }
}
