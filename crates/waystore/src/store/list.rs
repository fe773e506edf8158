//! Lists of entries, as whoever uses a store holds them: by a handle that keeps them alive.

use std::{fmt, sync::Arc};

/// A list of entries, bound to a name or not.
///
/// Holding it keeps the list alive: a list whose name was deleted is *doomed*, works on for those
/// who hold it, and is freed with the last of them.
/// Spec: <https://w3c.github.io/ServiceWorker/#dfn-relevant-request-response-list>
#[derive(Clone)]
pub struct List(Arc<dyn ListHold>);

impl List {
    /// Wraps a store's own hold on a list.
    pub fn new(hold: Arc<dyn ListHold>) -> Self {
        Self(hold)
    }

    /// The list's number in its store, never used again for another list.
    pub fn id(&self) -> ListId {
        self.0.id()
    }

    /// Whether anybody else may hold the list; never `false` where somebody does.
    pub(crate) fn is_held_elsewhere(&self) -> bool {
        !self.0.is_the_only_one() || Arc::strong_count(&self.0) > 1
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "List({})", self.id().0)
    }
}

/// A store's hold on a list; dropping the last one of a doomed list frees it.
pub trait ListHold: Send + Sync {
    /// The list's number.
    fn id(&self) -> ListId;

    /// Whether all handles on the list, while there are any, are around this one hold.
    fn is_the_only_one(&self) -> bool {
        false
    }
}

/// The number of a list in its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListId(pub u64);
