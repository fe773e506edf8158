//! What opening a data directory found wrong with it.

use super::format::Position;

/// How many findings are kept in words; beyond that they are only counted.
const KEPT: usize = 1000;

/// What was found when the log was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenReport {
    /// Places that had been written and synced and cannot be read: what was there is lost, and nothing else.
    pub damage_count: u64,
    /// The first thousand of them, in words.
    pub damage: Vec<String>,
    /// Whether the log ended in a write that never did: a crash, not damage.
    pub torn_tail: bool,
}

/// How long the log is, and how much of it is needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogUsage {
    /// The segments.
    pub segments: usize,
    /// Their bytes on the disk.
    pub bytes: u64,
    /// The bytes of entries and names that are there.
    pub live_bytes: u64,
    /// The bytes of segments with nothing in them, which are not among the above: freed ones that wait to be used
    /// again, and one that is made before it is needed.
    pub free_bytes: u64,
}

impl OpenReport {
    /// Whether everything ever synced could be read.
    pub fn is_clean(&self) -> bool {
        self.damage_count == 0 && !self.torn_tail
    }

    pub(super) fn damage(&mut self, finding: String) {
        tracing::warn!(finding, "stored data is damaged");
        self.damage_count += 1;
        if self.damage.len() < KEPT {
            self.damage.push(finding);
        }
    }

    pub(super) fn torn(&mut self, at: Position) {
        tracing::info!(segment = at.segment(), offset = at.offset(), "the log ends in an unfinished write");
        self.torn_tail = true;
    }
}
