//! The names of caches that are being imported: of a form of their own, so that nobody is shown them.
//!
//! Such a cache is bound to a name because a list without one does not outlive its holders; its entries
//! would be freed at the wrong moment. Knows no store.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{CacheName, store::OpId};

/// Begins with a character that Unicode keeps for inner use; what follows nobody can guess.
const PREFIX: &str = "\u{FFFE}import ";
const RANDOM_DIGITS: usize = 32;

/// Whether `name` is that of a cache that is being imported, or was when the process ended.
pub(crate) fn is_gathering(name: &CacheName) -> bool {
    let random = name.as_wtf8().strip_prefix(PREFIX.as_bytes());
    random.is_some_and(|random| random.len() == RANDOM_DIGITS && random.iter().all(u8::is_ascii_hexdigit))
}

/// The imports under way in this process.
#[derive(Debug, Default)]
pub(crate) struct Gathering(Mutex<HashSet<CacheName>>);

impl Gathering {
    /// Begins one. It is under way until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>, op: OpId) -> GatheringGuard {
        let name = CacheName::from(format!("{PREFIX}{op}"));
        self.names().insert(name.clone());
        GatheringGuard { all: Arc::clone(self), name }
    }

    pub(crate) fn is_under_way(&self, name: &CacheName) -> bool {
        self.names().contains(name)
    }

    fn names(&self) -> MutexGuard<'_, HashSet<CacheName>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An import that is under way.
pub(crate) struct GatheringGuard {
    all: Arc<Gathering>,
    name: CacheName,
}

impl GatheringGuard {
    pub(crate) fn name(&self) -> &CacheName {
        &self.name
    }
}

impl Drop for GatheringGuard {
    fn drop(&mut self) {
        self.all.names().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock;

    #[test]
    fn only_names_of_this_form_are_hidden() {
        let all = Arc::new(Gathering::default());
        let guard = all.begin(Clock::fixed(0, 1).op_id());
        let name = guard.name().clone();
        assert!(is_gathering(&name) && all.is_under_way(&name));
        drop(guard);
        assert!(is_gathering(&name) && !all.is_under_way(&name));
        for other in ["", "import 1", "\u{FFFE}import ", "\u{FFFE}import of the spring catalogue, all of it"] {
            assert!(!is_gathering(&other.into()), "{other}");
        }
    }
}
