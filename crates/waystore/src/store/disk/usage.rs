//! How much of each segment is still needed.
//!
//! Counts bytes of records; which records those are is the business of `index.rs`. What is counted
//! here decides what is rewritten (`compact.rs`), never what is there.

use std::{collections::BTreeMap, sync::Arc};

use hashbrown::HashMap;

use super::{report::LogUsage, segment::Segment};

/// The segments of the log, and what of them is needed.
#[derive(Debug, Default)]
pub(super) struct Usage {
    segments: BTreeMap<u32, Used>,
    live: u64,
}

/// What is needed of one segment.
#[derive(Debug, Clone)]
pub(super) struct Used {
    pub(super) segment: Arc<Segment>,
    /// Bytes of entries and names that are there.
    pub(super) live: u64,
    /// The most that was, since the store was opened.
    most: u64,
    /// Bytes of removals, by the segment in which the record is that they took away: while that is
    /// there, they are needed.
    pub(super) removals: HashMap<u32, u64>,
}

impl Used {
    fn length(&self) -> u64 {
        self.segment.header.length.into()
    }
}

impl Usage {
    /// Makes a segment known.
    pub(super) fn add(&mut self, segment: &Arc<Segment>) {
        let unused = || Used { segment: Arc::clone(segment), live: 0, most: 0, removals: HashMap::new() };
        self.segments.entry(segment.number()).or_insert_with(unused);
    }

    /// Makes a segment known, and what a checkpoint said of it.
    pub(super) fn restore(&mut self, segment: &Arc<Segment>, live: u64, removals: impl Iterator<Item = (u32, u64)>) {
        // Whatever it said: no segment holds more than its length.
        let most = u64::from(segment.header.length);
        let live = live.min(most);
        let removals = removals.map(|(target, bytes)| (target, bytes.min(most))).collect();
        let used = Used { segment: Arc::clone(segment), live, most: live, removals };
        self.live += live;
        self.segments.insert(segment.number(), used);
    }

    /// The segment is not in the log any more, and will not be back.
    pub(super) fn forget(&mut self, segment: u32) {
        let gone = self.segments.remove(&segment);
        self.live = self.live.saturating_sub(gone.map_or(0, |gone| gone.live));
        for used in self.segments.values_mut() {
            used.removals.remove(&segment);
        }
    }

    pub(super) fn get(&self, segment: u32) -> Option<&Used> {
        self.segments.get(&segment)
    }

    pub(super) fn segment(&self, segment: u32) -> Option<&Arc<Segment>> {
        Some(&self.segments.get(&segment)?.segment)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Used)> {
        self.segments.iter().map(|(number, used)| (*number, used))
    }

    pub(super) fn add_live(&mut self, segment: u32, bytes: u64) {
        if let Some(used) = self.segments.get_mut(&segment) {
            used.live += bytes;
            used.most = used.most.max(used.live);
            self.live += bytes;
        }
    }

    pub(super) fn take_live(&mut self, segment: u32, bytes: u64) {
        if let Some(used) = self.segments.get_mut(&segment) {
            // A checkpoint may have said too little; that costs a rewrite, and nothing more.
            used.live = used.live.saturating_sub(bytes);
            self.live = self.live.saturating_sub(bytes);
        }
    }

    /// A removal in `segment` took away a record in `target`.
    pub(super) fn add_removal(&mut self, segment: u32, target: u32, bytes: u64) {
        // With the one goes the other.
        if segment != target
            && self.segments.contains_key(&target)
            && let Some(used) = self.segments.get_mut(&segment)
        {
            *used.removals.entry(target).or_default() += bytes;
        }
    }

    /// Bytes of all entries and names that are there.
    pub(super) fn live(&self) -> u64 {
        self.live
    }

    /// The segments before `active` of which little is needed: the bytes that are, the number, the length. Little is less than
    /// half; where half as much again is taken as is needed, also what a third is gone of that was there. What is put in
    /// place of random entries leaves all segments equally empty: otherwise all were to be freed at once, when twice as much is
    /// taken soon.
    pub(super) fn sparse(&self, active: u32) -> Vec<(u64, u32, u32)> {
        let sealed = || self.segments.range(..active).map(|(number, used)| (self.needed(*number), *number, used));
        let sum = |(needed, taken), (more, _, used): (u64, u32, &Used)| (needed + more, taken + used.length());
        let (needed, taken) = sealed().fold((0, 0), sum);
        let is_crowded = 2 * taken > 3 * needed;
        let is_sparse = |needed, used: &Used| needed < used.length() / 2 || (is_crowded && 3 * needed < 2 * used.most);
        let sparse = sealed().filter(|(needed, _, used)| is_sparse(*needed, used));
        sparse.map(|(needed, number, used)| (needed, number, used.segment.header.length)).collect()
    }

    pub(super) fn report(&self) -> LogUsage {
        let bytes = self.segments.values().map(|used| u64::from(used.segment.header.length)).sum();
        LogUsage { segments: self.segments.len(), bytes, live_bytes: self.live, free_bytes: 0 }
    }

    /// Bytes of a segment that would have to be copied before it can go.
    pub(super) fn needed(&self, segment: u32) -> u64 {
        self.segments.get(&segment).map_or(0, |used| used.live + used.removals.values().sum::<u64>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::{format::SegmentHeader, io::DiskIo, sim::SimDisk};

    const LENGTH: u32 = 10_000;
    const ACTIVE: u32 = 5;

    /// Four segments of which each had this much that was live, and of which this much is gone.
    fn usage(had: u64, gone: [u64; 4]) -> Usage {
        let disk = SimDisk::default();
        ["tmp", "log"].iter().for_each(|dir| disk.create_dir(dir).unwrap());
        let mut usage = Usage::default();
        for (number, gone) in (1..ACTIVE).zip(gone) {
            let header = SegmentHeader { number, length: LENGTH, seed: 0, recycled: false };
            usage.add(&Arc::new(Segment::create(&disk, header, "tmp/1").unwrap()));
            usage.add_live(number, had);
            usage.take_live(number, gone);
        }
        usage
    }

    fn sparse(usage: &Usage) -> Vec<u32> {
        usage.sparse(ACTIVE).into_iter().map(|(_, number, _)| number).collect()
    }

    #[test]
    fn a_segment_of_which_less_than_half_is_needed_is_sparse() {
        assert_eq!(sparse(&usage(9000, [4001, 4000, 0, 0])), [1]);
    }

    #[test]
    fn where_all_take_half_as_much_again_as_is_needed_one_of_which_a_third_is_gone_is_sparse() {
        assert_eq!(sparse(&usage(9000, [3001; 4])), [1, 2, 3, 4]);
        assert_eq!(sparse(&usage(9000, [3001, 3001, 3001, 3000])), [1, 2, 3]);
        // The others make up for it.
        assert!(sparse(&usage(9000, [3001, 0, 0, 0])).is_empty());
    }

    #[test]
    fn what_was_never_in_a_segment_is_not_gone() {
        assert!(sparse(&usage(5500, [0; 4])).is_empty());
        assert!(sparse(&usage(5500, [400; 4])).is_empty());
    }

    #[test]
    fn the_segment_that_is_written_to_is_left_alone() {
        let usage = usage(9000, [5000; 4]);
        let before: Vec<_> = usage.sparse(3).into_iter().map(|(_, number, _)| number).collect();
        assert_eq!(before, [1, 2]);
    }
}
