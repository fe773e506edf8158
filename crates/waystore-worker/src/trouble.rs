//! What went wrong in a worker last: kept for whoever looks at it.
//!
//! The log has all of it; here is one error, with the event it came of and its place in the script.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;
use url::Url;
use waystore::Clock;

use crate::isolate::EventName;

/// Of an error's words.
const MOST_CHARS: usize = 2000;

/// An error that a worker's script did not catch, or the limit that it reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastError {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The type of the event that it came of, where that can be told: events of one isolate share its thread.
    pub event: Option<&'static str>,
    /// What a `fetch` event asked for.
    pub url: Option<Url>,
    /// Where in the script: URL, line and column.
    pub position: Option<String>,
    /// What it says, with its stack.
    pub text: String,
}

/// Where a worker's last error is kept.
pub(crate) struct Trouble {
    clock: Arc<Clock>,
    last: Mutex<Option<LastError>>,
}

impl fmt::Debug for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trouble").finish_non_exhaustive()
    }
}

impl Trouble {
    pub(crate) fn new(clock: Arc<Clock>) -> Self {
        Self { clock, last: Mutex::default() }
    }

    /// Keeps an error, in the place of the one before.
    pub(crate) fn note(&self, event: Option<&EventName>, words: &str) {
        let error = LastError {
            at_ms: self.clock.now_ms(),
            event: event.map(|event| event.kind),
            url: event.and_then(|event| event.url.clone()),
            position: position_of(words),
            text: words.chars().take(MOST_CHARS).collect(),
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(crate) fn last(&self) -> Option<LastError> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The place in a script that an error's words name first: that of the innermost frame of its stack.
pub(crate) fn position_of(words: &str) -> Option<String> {
    words.lines().filter_map(|line| line.trim_start().strip_prefix("at ")).find_map(|frame| {
        let place = frame.trim_end().trim_end_matches(')');
        let place = place.rsplit(['(', ' ']).next().unwrap_or(place);
        // Frames of our own have no URL.
        let numbered = place.rsplit(':').next().is_some_and(|number| number.parse::<u32>().is_ok());
        (numbered && place.contains("://")).then(|| place.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_is_that_of_the_innermost_frame_in_a_script() {
        let words = "Error: no\n    at respond (prelude:3:4)\n    at go (https://a.test/sw.js:12:7)\n    at https://a.test/sw.js:1:1";
        assert_eq!(position_of(words).as_deref(), Some("https://a.test/sw.js:12:7"));
        assert_eq!(
            position_of("SyntaxError: x\n    at https://a.test/sw.js:2").as_deref(),
            Some("https://a.test/sw.js:2")
        );
        assert_eq!(position_of("look at https://a.test/"), None);
    }
}
