//! Which of those who wait is next: by turns among the origins, a limited number of each at a time.
//!
//! Knows rows by their numbers, and nothing of what they are.

use std::collections::{HashMap, VecDeque};

/// Queues, one for each origin.
#[derive(Debug)]
pub(super) struct Lanes {
    at_once: usize,
    numbers: HashMap<String, usize>,
    lanes: Vec<Lane>,
    /// Lanes that have somebody waiting and room for one more, in the order of their turns.
    ready: VecDeque<usize>,
    waiting: usize,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<usize>,
    running: usize,
    /// It is among those that are ready.
    listed: bool,
}

impl Lanes {
    /// Lanes of which each lets `at_once` run at a time, at least one.
    pub(super) fn new(at_once: usize) -> Self {
        let at_once = at_once.max(1);
        Self { at_once, numbers: HashMap::new(), lanes: Vec::new(), ready: VecDeque::new(), waiting: 0 }
    }

    /// Puts `row` at the end of the lane of `origin`.
    pub(super) fn push(&mut self, origin: &str, row: usize) {
        let number = match self.numbers.get(origin) {
            Some(number) => *number,
            None => {
                self.numbers.insert(origin.to_owned(), self.lanes.len());
                self.lanes.push(Lane::default());
                self.lanes.len() - 1
            }
        };
        self.lanes[number].waiting.push_back(row);
        self.waiting += 1;
        self.list(number);
    }

    /// Takes who is next: its lane and its row. It runs from now on.
    pub(super) fn pop(&mut self) -> Option<(usize, usize)> {
        let number = self.ready.pop_front()?;
        let lane = &mut self.lanes[number];
        lane.listed = false;
        let row = lane.waiting.pop_front()?;
        lane.running += 1;
        self.waiting -= 1;
        self.list(number);
        Some((number, row))
    }

    /// One of the lane `number` runs no longer.
    pub(super) fn release(&mut self, number: usize) {
        self.lanes[number].running -= 1;
        self.list(number);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Takes all who wait.
    pub(super) fn drain(&mut self) -> Vec<usize> {
        self.ready.clear();
        self.waiting = 0;
        let lanes = self.lanes.iter_mut();
        let emptied = lanes.map(|lane| {
            lane.listed = false;
            std::mem::take(&mut lane.waiting)
        });
        emptied.flatten().collect()
    }

    fn list(&mut self, number: usize) {
        let lane = &mut self.lanes[number];
        if !lane.listed && !lane.waiting.is_empty() && lane.running < self.at_once {
            lane.listed = true;
            self.ready.push_back(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lanes: &mut Lanes) -> Vec<usize> {
        std::iter::from_fn(|| lanes.pop()).map(|(_, row)| row).collect()
    }

    #[test]
    fn origins_take_turns_and_each_keeps_its_order() {
        let mut lanes = Lanes::new(10);
        for (row, origin) in ["a", "a", "a", "b", "b", "c"].iter().enumerate() {
            lanes.push(origin, row);
        }
        assert_eq!(all(&mut lanes), [0, 3, 5, 1, 4, 2]);
        assert!(lanes.is_empty());
    }

    #[test]
    fn an_origin_has_no_more_at_a_time_than_it_may_and_holds_up_no_other() {
        let mut lanes = Lanes::new(2);
        for row in 0..5 {
            lanes.push("a", row);
        }
        lanes.push("b", 5);
        assert_eq!(all(&mut lanes), [0, 5, 1]);
        lanes.release(1);
        assert!(all(&mut lanes).is_empty());
        lanes.release(0);
        assert_eq!(all(&mut lanes), [2]);
        assert_eq!(lanes.drain(), [3, 4]);
        lanes.release(0);
        assert!(lanes.is_empty() && lanes.pop().is_none());
    }
}
