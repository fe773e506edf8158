//! Whose turn it is at which piece of a body that is read.
//!
//! Who asks for the body and the threads that help it each take the next piece that nobody has; pieces come out in order. Only
//! so many are taken ahead of who asks. Knows numbers; neither files nor threads.

use std::collections::VecDeque;

/// The pieces of a body, each read to a `T` by whoever took it.
#[derive(Debug)]
pub(super) struct Turns<T> {
    /// How many pieces there are.
    count: u64,
    /// The next one to come out.
    next: u64,
    /// Those that are taken, from the next on. `None`: it is being read.
    taken: VecDeque<Option<T>>,
    /// How many are taken at a time, at most.
    most: usize,
}

impl<T> Turns<T> {
    /// `count` pieces of which nobody has any.
    pub(super) fn new(count: u64, most: usize) -> Self {
        Self { count, next: 0, taken: VecDeque::with_capacity(most), most }
    }

    /// Takes the first piece that nobody has. `None`: there is none, or too many wait for who asks.
    pub(super) fn take(&mut self) -> Option<u64> {
        (self.free() > 0).then(|| {
            self.taken.push_back(None);
            self.next + self.taken.len() as u64 - 1
        })
    }

    /// How many could be taken now.
    pub(super) fn free(&self) -> usize {
        let left = self.count.saturating_sub(self.next).saturating_sub(self.taken.len() as u64);
        usize::try_from(left).unwrap_or(usize::MAX).min(self.most - self.taken.len())
    }

    /// Notes what was read of a piece that was taken. Dropped where nobody asks any more.
    pub(super) fn finish(&mut self, number: u64, piece: T) {
        let place = number.checked_sub(self.next).and_then(|ahead| usize::try_from(ahead).ok());
        if let Some(taken) = place.and_then(|place| self.taken.get_mut(place)) {
            *taken = Some(piece);
        }
    }

    /// The next piece in order, where it is read.
    pub(super) fn next(&mut self) -> Option<T> {
        let piece = self.taken.front_mut()?.take()?;
        self.taken.pop_front();
        self.next += 1;
        Some(piece)
    }

    /// Whether the next piece in order is read.
    pub(super) fn is_next_read(&self) -> bool {
        matches!(self.taken.front(), Some(Some(_)))
    }

    /// Whether every piece came out.
    pub(super) fn is_over(&self) -> bool {
        self.next >= self.count
    }

    /// Nobody asks any more: what was read is dropped, and there is nothing left to take.
    pub(super) fn stop(&mut self) {
        self.next = self.count;
        self.taken.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_taken_once_and_come_out_in_order_whoever_is_done_first() {
        let mut turns = Turns::new(3, 8);
        assert_eq!([turns.take(), turns.take(), turns.take(), turns.take()], [Some(0), Some(1), Some(2), None]);
        turns.finish(2, 'c');
        assert!(!turns.is_next_read());
        turns.finish(0, 'a');
        assert!(turns.is_next_read());
        assert_eq!([turns.next(), turns.next()], [Some('a'), None]);
        turns.finish(1, 'b');
        assert!(!turns.is_over());
        assert_eq!([turns.next(), turns.next(), turns.next()], [Some('b'), Some('c'), None]);
        assert!(turns.is_over());
    }

    #[test]
    fn no_more_than_so_many_are_ahead_of_who_asks() {
        let mut turns = Turns::new(100, 2);
        assert_eq!([turns.take(), turns.take(), turns.take()], [Some(0), Some(1), None]);
        turns.finish(1, ());
        assert_eq!((turns.free(), turns.take()), (0, None));
        turns.finish(0, ());
        assert_eq!(turns.next(), Some(()));
        assert_eq!((turns.free(), turns.take()), (1, Some(2)));
    }

    #[test]
    fn after_the_end_nothing_is_left_to_take_and_what_comes_late_is_dropped() {
        let mut turns = Turns::new(100, 4);
        assert_eq!([turns.take(), turns.take()], [Some(0), Some(1)]);
        turns.finish(0, 'a');
        turns.stop();
        turns.finish(1, 'b');
        assert_eq!((turns.take(), turns.next(), turns.is_over()), (None, None, true));
    }
}
