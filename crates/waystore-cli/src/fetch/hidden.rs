//! What a visitor's requests carry beside what the worker sees, held while their events go on.
//!
//! Bounded in number, bytes and time. An event whose headers are gone goes on as an anonymous one.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use waystore::{CredentialHash, HeaderList};

/// Events whose headers are held at a time.
const MOST_EVENTS: usize = 65_536;
/// Bytes of headers held at a time.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// What one visitor's request carries that the worker does not see.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Hidden {
    /// Cookies, `Sec-*`, `Accept-Encoding`.
    pub(crate) headers: HeaderList,
    /// For `X-Forwarded-For`: who asked, and whom trusted proxies asked for.
    pub(crate) forwarded_for: String,
}

impl Hidden {
    fn bytes(&self) -> usize {
        self.headers.as_encoded().len() + self.forwarded_for.len()
    }
}

/// The hidden headers of the events under way, by the hash of the event.
#[derive(Debug)]
pub(crate) struct Events {
    lifetime: Duration,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    by_event: HashMap<CredentialHash, Arc<Hidden>>,
    oldest_first: VecDeque<(Instant, CredentialHash)>,
    bytes: usize,
}

impl Events {
    /// Holds headers for `lifetime` at most: as long as an event may go on.
    pub(crate) fn new(lifetime: Duration) -> Self {
        Self { lifetime, held: Mutex::default() }
    }

    pub(crate) fn hold(&self, event: CredentialHash, hidden: Arc<Hidden>, now: Instant) {
        let mut held = self.held();
        held.bytes += hidden.bytes();
        held.oldest_first.push_back((now, event));
        if let Some(old) = held.by_event.insert(event, hidden) {
            held.bytes -= old.bytes();
        }
        while let Some(&(since, event)) = held.oldest_first.front() {
            let expired = now.saturating_duration_since(since) > self.lifetime;
            if !expired && held.by_event.len() <= MOST_EVENTS && held.bytes <= MOST_BYTES {
                break;
            }
            held.oldest_first.pop_front();
            if let Some(gone) = held.by_event.remove(&event) {
                held.bytes -= gone.bytes();
            }
        }
    }

    pub(crate) fn of(&self, event: CredentialHash) -> Option<Arc<Hidden>> {
        self.held().by_event.get(&event).cloned()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u32) -> CredentialHash {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        CredentialHash(bytes)
    }

    fn hidden(bytes: usize) -> Arc<Hidden> {
        Arc::new(Hidden { headers: HeaderList::new(), forwarded_for: "x".repeat(bytes) })
    }

    #[test]
    fn headers_are_held_for_the_life_of_an_event() {
        let events = Events::new(Duration::from_secs(10));
        let start = Instant::now();
        events.hold(hash(1), hidden(1), start);
        events.hold(hash(2), hidden(1), start + Duration::from_secs(10));
        assert!(events.of(hash(1)).is_some());
        events.hold(hash(3), hidden(1), start + Duration::from_secs(11));
        assert!(events.of(hash(1)).is_none() && events.of(hash(2)).is_some());
        assert_eq!(events.held().bytes, 2);
    }

    #[test]
    fn what_is_held_has_a_bound() {
        let events = Events::new(Duration::from_secs(10));
        for number in 0..70 {
            events.hold(hash(number), hidden(1 << 20), Instant::now());
        }
        assert!(events.held().bytes <= MOST_BYTES);
        assert!(events.of(hash(0)).is_none() && events.of(hash(69)).is_some());
    }
}
