//! How long things may take on the channel: `docs/channel.md`. Values only.

use std::time::Duration;

/// The times of the channel. The default is what the protocol says; tests have less.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// From a connection to its page's first frame.
    pub(crate) hello: Duration,
    /// How often a connection is tried.
    pub(crate) ping_ms: u64,
    /// Nothing was heard: two pings, and time for the answer.
    pub(crate) silence_ms: u64,
    /// How long a frame may stay without an acknowledgement.
    pub(crate) unread_ms: u64,
    /// How long a client stays without a connection.
    pub(crate) grace: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            hello: Duration::from_secs(10),
            ping_ms: 20_000,
            silence_ms: 50_000,
            unread_ms: 30_000,
            grace: Duration::from_secs(30),
        }
    }
}
