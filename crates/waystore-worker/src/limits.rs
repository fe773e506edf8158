//! What a worker may use. Every wait and every buffer of this crate ends at one of these.

use std::time::Duration;

/// Bounds on one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// From the start of a thread to the end of the script's first evaluation.
    pub start: Duration,
    /// From the dispatch of a fetch event to the head of its answer.
    pub response: Duration,
    /// From the dispatch of any event to the end of what it waits for.
    pub event: Duration,
    /// Without an event, until the worker is stopped.
    pub idle: Duration,
    /// Of uninterrupted script.
    pub cpu_slice: Duration,
    /// Of uninterrupted script, until other events no longer wait for it: another isolate takes them.
    pub patience: Duration,
    /// Isolates that share a worker's fetch events, each with globals of its own. They are started as
    /// there is work for them. Two more stand in where these are busy in script.
    pub isolates: usize,
    /// Of the script's heap in each isolate, in bytes.
    pub memory_bytes: usize,
    /// Of the script's stack, in bytes.
    pub stack_bytes: usize,
    /// Events under way at a time; more wait.
    pub concurrent_events: usize,
    /// Events that wait for their turn; more are refused.
    pub waiting_events: usize,
    /// Of one script, main or imported, in bytes.
    pub script_bytes: usize,
    /// Clients that are connected at a time; more are refused.
    pub clients: usize,
    /// From a navigation until the page that it makes has to be connected, to be its client.
    pub binding: Duration,
    /// The longest that connected pages keep an installed version waiting, under
    /// [`Activation::Hold`](crate::Activation::Hold).
    pub hold: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(10),
            response: Duration::from_secs(30),
            event: Duration::from_secs(300),
            idle: Duration::from_secs(30),
            cpu_slice: Duration::from_secs(5),
            patience: Duration::from_millis(100),
            isolates: 1,
            memory_bytes: 128 * 1024 * 1024,
            stack_bytes: 512 * 1024,
            concurrent_events: 1024,
            waiting_events: 8192,
            script_bytes: 32 * 1024 * 1024,
            clients: 10_000,
            binding: Duration::from_secs(60),
            hold: Duration::from_secs(24 * 60 * 60),
        }
    }
}
