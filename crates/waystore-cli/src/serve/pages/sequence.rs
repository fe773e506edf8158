//! Frames with numbers, so that a connection that breaks loses nothing and repeats nothing. Pure.
//!
//! Knows numbers and texts; not what a frame means, and not what carries it.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;

/// Frames of the gateway that may wait for one page, sent ones that are not acknowledged included.
pub(crate) const MOST_FRAMES: usize = 256;
/// The same in bytes; one frame may have more.
pub(crate) const MOST_BYTES: usize = 1 << 20;
/// What has to be told though there is no room goes beyond that, up to so many times.
const BEYOND: usize = 2;

/// What the queues of all pages may hold together, in bytes.
#[derive(Debug, Clone)]
pub(crate) struct Memory(Arc<Taken>);

#[derive(Debug)]
struct Taken {
    most: usize,
    bytes: AtomicUsize,
}

impl Memory {
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Taken { most, bytes: AtomicUsize::new(0) }))
    }

    /// Whether there is any room left.
    pub(crate) fn has_room(&self) -> bool {
        self.0.bytes.load(Ordering::Relaxed) < self.0.most
    }

    fn take(&self, bytes: usize) -> Share {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        Share { of: Arc::clone(&self.0), bytes }
    }
}

/// What one frame takes. Dropping it gives it back.
#[derive(Debug)]
struct Share {
    of: Arc<Taken>,
    bytes: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What the gateway says to a page, kept until the page acknowledges it.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// The number of the next frame.
    next: u64,
    kept: VecDeque<Kept>,
    /// How many of those were given to the connection.
    sent: usize,
    bytes: usize,
    memory: Memory,
}

#[derive(Debug)]
struct Kept {
    text: Bytes,
    sent_ms: u64,
    _share: Share,
}

/// There is no room, not even for what has to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overflow;

/// The other side acknowledged what was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotSent;

impl Outbox {
    pub(crate) fn new(memory: Memory) -> Self {
        Self { next: 1, kept: VecDeque::new(), sent: 0, bytes: 0, memory }
    }

    /// Whether more may be taken on that could as well wait elsewhere.
    pub(crate) fn has_room(&self) -> bool {
        self.kept.is_empty() || self.kept.len() < MOST_FRAMES && self.bytes < MOST_BYTES && self.memory.has_room()
    }

    /// Numbers a frame, whose text is a JSON object with members, and keeps it.
    ///
    /// # Errors
    ///
    /// [`Overflow`]: twice as much as may wait waits already.
    pub(crate) fn push(&mut self, frame: &str) -> Result<(), Overflow> {
        if self.kept.len() >= BEYOND * MOST_FRAMES || self.bytes >= BEYOND * MOST_BYTES {
            return Err(Overflow);
        }
        let rest = frame.strip_prefix('{').unwrap_or(frame);
        let text = Bytes::from(format!("{{\"n\":{},{rest}", self.next));
        self.next += 1;
        self.bytes += text.len();
        self.kept.push_back(Kept { _share: self.memory.take(text.len()), text, sent_ms: 0 });
        Ok(())
    }

    /// The next frame for the connection.
    pub(crate) fn send(&mut self, now_ms: u64) -> Option<Bytes> {
        let kept = self.kept.get_mut(self.sent)?;
        self.sent += 1;
        kept.sent_ms = now_ms;
        Some(kept.text.clone())
    }

    /// Forgets what arrived: everything up to this number. Tells how many frames that were.
    pub(crate) fn acknowledged(&mut self, upto: u64) -> Result<usize, NotSent> {
        let first = self.next - self.kept.len() as u64;
        let arrived = upto.saturating_add(1).saturating_sub(first);
        let arrived = usize::try_from(arrived).ok().filter(|arrived| *arrived <= self.sent).ok_or(NotSent)?;
        for kept in self.kept.drain(..arrived) {
            self.bytes -= kept.text.len();
        }
        self.sent -= arrived;
        Ok(arrived)
    }

    /// On a new connection: what did not arrive is to be sent again.
    pub(crate) fn resume(&mut self, received: u64) -> Result<(), NotSent> {
        let first = self.next - self.kept.len() as u64;
        if received.saturating_add(1) < first {
            // It acknowledged what it does not have now.
            return Err(NotSent);
        }
        self.acknowledged(received)?;
        self.sent = 0;
        Ok(())
    }

    /// When the oldest frame was sent that is not acknowledged.
    pub(crate) fn unread_since_ms(&self) -> Option<u64> {
        self.kept.front().filter(|_| self.sent > 0).map(|kept| kept.sent_ms)
    }
}

/// How far the gateway got with what a page says.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    received: u64,
    acknowledged: u64,
    /// When the oldest frame came that is not acknowledged.
    since_ms: Option<u64>,
}

/// What a number says about its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is the next one.
    Next,
    /// It was received already.
    Again,
    /// One before it is missing.
    Gap,
}

impl Inbox {
    /// An acknowledgement is not put off longer.
    const ACK_MS: u64 = 500;
    /// Nor for more frames.
    const ACK_FRAMES: u64 = 16;

    /// The number of the last frame.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Takes a frame's number.
    pub(crate) fn take(&mut self, n: u64, now_ms: u64) -> Turn {
        if n <= self.received {
            // It came again because its acknowledgement did not arrive.
            self.acknowledged = self.acknowledged.min(n.saturating_sub(1));
            self.since_ms.get_or_insert(now_ms);
            return Turn::Again;
        }
        if n != self.received + 1 {
            return Turn::Gap;
        }
        self.received = n;
        self.since_ms.get_or_insert(now_ms);
        Turn::Next
    }

    /// When the next acknowledgement is due.
    pub(crate) fn ack_due_ms(&self) -> Option<u64> {
        let since = self.since_ms?;
        let many = self.received - self.acknowledged >= Self::ACK_FRAMES;
        Some(if many { since } else { since + Self::ACK_MS })
    }

    /// What is acknowledged now.
    pub(crate) fn acknowledge(&mut self) -> u64 {
        self.acknowledged = self.received;
        self.since_ms = None;
        self.received
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox() -> Outbox {
        Outbox::new(Memory::new(1 << 30))
    }

    fn sent(outbox: &mut Outbox) -> Vec<Bytes> {
        std::iter::from_fn(|| outbox.send(0)).collect()
    }

    #[test]
    fn frames_are_numbered_from_one() {
        let mut outbox = outbox();
        outbox.push(r#"{"frame":"a"}"#).unwrap();
        outbox.push(r#"{"frame":"b"}"#).unwrap();
        assert_eq!(sent(&mut outbox), [r#"{"n":1,"frame":"a"}"#, r#"{"n":2,"frame":"b"}"#]);
    }

    #[test]
    fn what_did_not_arrive_is_sent_again_and_nothing_else() {
        let mut outbox = outbox();
        for _ in 0..4 {
            outbox.push(r#"{"f":0}"#).unwrap();
        }
        for _ in 0..3 {
            outbox.send(0).unwrap();
        }
        outbox.resume(2).unwrap();
        assert_eq!(sent(&mut outbox), [r#"{"n":3,"f":0}"#, r#"{"n":4,"f":0}"#]);
        outbox.acknowledged(4).unwrap();
        assert!(outbox.unread_since_ms().is_none());
        outbox.acknowledged(1).unwrap();
        assert_eq!(outbox.resume(3), Err(NotSent), "it was forgotten");
    }

    #[test]
    fn what_was_not_sent_cannot_be_acknowledged() {
        let mut outbox = outbox();
        outbox.push(r#"{"f":0}"#).unwrap();
        assert_eq!(outbox.acknowledged(1), Err(NotSent));
        assert_eq!(outbox.resume(u64::MAX), Err(NotSent));
        outbox.send(0).unwrap();
        assert_eq!(outbox.acknowledged(2), Err(NotSent));
        assert_eq!((outbox.acknowledged(1), outbox.acknowledged(1)), (Ok(1), Ok(0)));
    }

    #[test]
    fn the_queue_of_a_page_has_a_bound() {
        let mut outbox = outbox();
        let pushed = (0..10_000).take_while(|_| outbox.push(r#"{"f":0}"#).is_ok()).count();
        assert_eq!(pushed, BEYOND * MOST_FRAMES);
        assert!(!outbox.has_room());
    }

    #[test]
    fn one_frame_fits_however_long_and_then_none() {
        let mut outbox = outbox();
        assert!(outbox.has_room());
        outbox.push(&format!("{{\"f\":\"{}\"}}", "x".repeat(BEYOND * MOST_BYTES))).unwrap();
        assert!(!outbox.has_room());
        assert_eq!(outbox.push("{}"), Err(Overflow));
    }

    #[test]
    fn all_pages_share_the_memory_and_each_can_hold_one_frame() {
        let memory = Memory::new(10);
        let (mut one, mut other) = (Outbox::new(memory.clone()), Outbox::new(memory.clone()));
        one.push(r#"{"f":0}"#).unwrap();
        assert!(!memory.has_room() && !one.has_room() && other.has_room());
        other.push(r#"{"f":0}"#).unwrap();
        drop((one, other));
        assert!(memory.has_room());
    }

    #[test]
    fn a_frame_is_taken_once() {
        let mut inbox = Inbox::default();
        assert_eq!([1, 2, 2, 1, 3, 5].map(|n| inbox.take(n, 0)), {
            use Turn::{Again, Gap, Next};
            [Next, Next, Again, Again, Next, Gap]
        });
        assert_eq!(inbox.received(), 3);
        assert_eq!(inbox.take(0, 0), Turn::Again);
    }

    #[test]
    fn many_frames_are_acknowledged_at_once_and_few_soon() {
        let mut inbox = Inbox::default();
        assert_eq!(inbox.ack_due_ms(), None);
        inbox.take(1, 100);
        assert_eq!(inbox.ack_due_ms(), Some(600));
        for n in 2..=16 {
            inbox.take(n, 200);
        }
        assert_eq!(inbox.ack_due_ms(), Some(100));
        assert_eq!(inbox.acknowledge(), 16);
        assert_eq!(inbox.ack_due_ms(), None);
        inbox.take(16, 300);
        assert_eq!(inbox.ack_due_ms(), Some(800), "what comes again is acknowledged again");
    }
}
