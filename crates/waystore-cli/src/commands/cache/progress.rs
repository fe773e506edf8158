//! How far a long body has come, on a terminal's stderr. Nothing where stderr is no terminal.

use std::io::{IsTerminal, Write};

use futures::StreamExt;
use waystore::Body;

use super::columns::size;

/// Bytes between two lines.
const STEP: u64 = 1024 * 1024;

/// `body`, which tells how much of it went by: `verb` is what happens to it.
pub(super) fn watched(body: Body, verb: &'static str) -> Body {
    let length = body.length();
    let Some(mut line) = Line::new(verb, length) else { return body };
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
    shown: u64,
}

impl Line {
    /// A line for `length` bytes. `None`: stderr is no terminal.
    pub(in crate::commands) fn new(verb: &'static str, length: Option<u64>) -> Option<Self> {
        std::io::stderr().is_terminal().then_some(Self { verb, length, bytes: 0, shown: 0 })
    }

    /// So much of `total` bytes is done. It may be less than before: then it begins again.
    pub(in crate::commands) fn set(&mut self, bytes: u64, total: u64) {
        self.length = Some(total);
        if bytes < self.bytes {
            (self.bytes, self.shown) = (0, 0);
        }
        self.advance(bytes - self.bytes);
    }

    fn advance(&mut self, bytes: u64) {
        self.bytes += bytes;
        if self.bytes - self.shown < STEP {
            return;
        }
        self.shown = self.bytes;
        // Nobody may be looking.
        let _ = write!(std::io::stderr(), "\r\x1b[K{}", self.text());
    }

    fn text(&self) -> String {
        match self.length {
            Some(length) if length > 0 => {
                let percent = self.bytes.saturating_mul(100) / length;
                format!("{} {} of {} ({percent} %)", self.verb, size(self.bytes), size(length))
            }
            _ => format!("{} {}", self.verb, size(self.bytes)),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.shown > 0 {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_the_part_where_the_whole_is_known() {
        let line = |length| Line { verb: "importing", length, bytes: 512, shown: 0 }.text();
        assert_eq!(line(Some(2048)), "importing 512 B of 2.0 KiB (25 %)");
        assert_eq!(line(None), "importing 512 B");
    }
}
