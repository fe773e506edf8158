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
    /// Bytes of removals, by the segment in which the record is that they took away: while that is
    /// there, they are needed.
    pub(super) removals: HashMap<u32, u64>,
}

impl Usage {
    /// Makes a segment known.
    pub(super) fn add(&mut self, segment: &Arc<Segment>) {
        let unused = || Used { segment: Arc::clone(segment), live: 0, removals: HashMap::new() };
        self.segments.entry(segment.number()).or_insert_with(unused);
    }

    /// Makes a segment known, and what a checkpoint said of it.
    pub(super) fn restore(&mut self, segment: &Arc<Segment>, live: u64, removals: impl Iterator<Item = (u32, u64)>) {
        // Whatever it said: no segment holds more than its length.
        let most = u64::from(segment.header.length);
        let live = live.min(most);
        let removals = removals.map(|(target, bytes)| (target, bytes.min(most))).collect();
        let used = Used { segment: Arc::clone(segment), live, removals };
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

    pub(super) fn report(&self) -> LogUsage {
        let bytes = self.segments.values().map(|used| u64::from(used.segment.header.length)).sum();
        LogUsage { segments: self.segments.len(), bytes, live_bytes: self.live, free_bytes: 0 }
    }

    /// Bytes of a segment that would have to be copied before it can go.
    pub(super) fn needed(&self, segment: u32) -> u64 {
        self.segments.get(&segment).map_or(0, |used| used.live + used.removals.values().sum::<u64>())
    }
}
