//! What opening a data directory found wrong with it.

use std::fmt;

use super::{
    format::{Kind, Position},
    segment::Segment,
};

/// How many findings are kept in words; beyond that they are only counted.
const KEPT: usize = 1000;
/// What bytes may have told that hold no record any more.
const UNTOLD: &str = "what was deleted there may be back";

/// What was found when the log was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenReport {
    /// Places that had been written and synced and cannot be read. What was there is lost and nothing else, except where it
    /// was the only word of a deletion: what that took away may be back (`docs/format.md`, "Batches").
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

    pub(super) fn damage(&mut self, damage: &Damage) {
        let finding = damage.to_string();
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

/// Something in the data directory that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Damage {
    /// The checkpoint, and why it is not used.
    Checkpoint(&'static str),
    /// Bytes of a segment in which there is no record. Without `to`: up to its end.
    Gap { segment: u32, from: u32, to: Option<u32> },
    /// A record whose header can be read.
    Record { at: Position, kind: Kind, batch: u64, list: u64, entry: u64, detail: String },
    /// A segment that has to be there.
    Missing { segment: u32 },
    /// A segment of which neither header can be read.
    Headless { segment: u32 },
    /// The file of an entry's body is missing or has another length.
    Body { path: String, list: u64, entry: u64 },
    /// Entries of a list whose name's record cannot be read.
    Nameless { list: u64, entries: usize },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint(detail) => {
                write!(f, "checkpoint: {detail}; the whole log was read instead, nothing is lost by that")
            }
            Self::Gap { segment, from, to: None } => {
                write!(f, "{}: unreadable from byte {from} on; {UNTOLD}", Segment::path(*segment))
            }
            Self::Gap { segment, from, to: Some(to) } => {
                write!(f, "{}: bytes {from} to {to} are unreadable; {UNTOLD}", Segment::path(*segment))
            }
            Self::Record { at, kind, list, entry, detail, .. } => {
                let path = Segment::path(at.segment());
                write!(f, "{path}, byte {}: {kind:?} of list {list}, entry {entry}: {detail}", at.offset())
            }
            Self::Missing { segment } => write!(f, "{}: missing", Segment::path(*segment)),
            Self::Headless { segment } => write!(f, "{}: neither header can be read", Segment::path(*segment)),
            Self::Body { path, list, entry } => {
                write!(f, "{path}: missing or cut; entry {entry} of list {list} is lost")
            }
            Self::Nameless { list, entries } => {
                write!(f, "{entries} entries are of list {list}, whose name is lost")
            }
        }
    }
}
