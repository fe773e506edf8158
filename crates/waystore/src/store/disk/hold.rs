//! Handles on lists: the last one on a doomed list frees it.

use std::sync::Weak;

use crate::store::{ListHold, ListId};

/// Whom a hold tells that it is gone.
pub(super) trait Holder: Send + Sync {
    /// The last handle on `list` is gone.
    fn release(&self, list: ListId);
}

/// What keeps a doomed list alive.
pub(super) struct Hold {
    list: ListId,
    home: Weak<dyn Holder>,
}

impl Hold {
    pub(super) fn new(list: ListId, home: &Weak<dyn Holder>) -> Self {
        Self { list, home: Weak::clone(home) }
    }
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hold({})", self.list.0)
    }
}

impl ListHold for Hold {
    fn id(&self) -> ListId {
        self.list
    }

    fn is_the_only_one(&self) -> bool {
        true
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(home) = self.home.upgrade() {
            home.release(self.list);
        }
    }
}
