//! What a commit changes, as values, and what becomes of it.

use std::fmt;

use bytes::Bytes;

use super::{Entry, EntryId, List, ListId, Usage, WrittenBody};
use crate::{CacheName, Place};

/// Changes to lists and names, applied together.
#[derive(Debug, Default)]
pub struct Changes {
    /// Changes to names, applied in order, before those to lists.
    pub names: Vec<NameChange>,
    /// Changes to lists: removals first, then insertions.
    pub lists: Vec<ListChange>,
}

/// A change to the names of a place.
#[derive(Debug, Clone)]
pub enum NameChange {
    /// Binds the name to a new, empty list, last in order; nothing where the name is bound already.
    Bind(Place, CacheName),
    /// Takes the name away. Its list is doomed. Where the name is not bound, the commit is
    /// [`Commit::Stale`].
    Unbind(Place, CacheName),
    /// Gives the list that is bound to `from` the name `to`, in the order of names where `to` was, or
    /// else where `from` was. The list that was bound to `to` is doomed. Where `from` is not bound, the
    /// commit is [`Commit::Stale`]. The only change to names in its commit; else the commit fails.
    Rename {
        /// Where the names are.
        place: Place,
        /// The name the list has.
        from: CacheName,
        /// The name it gets.
        to: CacheName,
    },
    /// Changes nothing: where the names of `place` before the commit, or the lists that they are bound to, are not
    /// these in this order, the commit is [`Commit::Stale`].
    Expect {
        /// Where the names are.
        place: Place,
        /// All of them, with their lists.
        names: Vec<(CacheName, ListId)>,
    },
}

/// A change to one list.
#[derive(Debug)]
pub struct ListChange {
    /// The list.
    pub list: List,
    /// Entries to remove; ones that are gone already do not count.
    pub remove: Vec<EntryId>,
    /// Entries to append, in this order.
    pub insert: Vec<NewEntry>,
}

/// An entry to insert. Its body's bytes are in place already, or small.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// The heads.
    pub entry: Entry,
    /// The body.
    pub body: NewBody,
}

/// The body of an entry to insert.
#[derive(Debug, Clone)]
pub enum NewBody {
    /// A null body.
    Null,
    /// A body of at most [`INLINE_BYTES`](super::INLINE_BYTES).
    Inline(Bytes),
    /// What [`BodyWriter::finish`](super::BodyWriter::finish) gave.
    Written(WrittenBody),
}

impl NewBody {
    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Null => 0,
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Written(written) => written.length(),
        }
    }
}

impl NewEntry {
    /// What it is charged.
    pub fn usage(&self) -> Usage {
        Usage::of_entry(&self.entry, self.body.length())
    }
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// Applied, whole.
    Applied,
    /// Not applied: something under the read set changed, or a name to take away or change is not bound. Search
    /// again, plan again.
    Stale,
    /// The store failed while it said so; trying to read on may tell.
    OutcomeUnknown,
}

/// The name of one call of `commit`, to find out later whether it was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OpId(pub u128);

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
