//! The names of one place, in order, and what renaming does to them: the same in every store.

use indexmap::IndexMap;

use super::{ListId, NameChange};
use crate::{CacheName, Error, Result};

/// Names and the lists they are bound to, in the order of `keys()`.
pub(crate) type Names = IndexMap<CacheName, ListId>;

/// Checks that a renaming is alone.
///
/// # Errors
///
/// [`Error::Type`]: it is not.
pub(crate) fn check_names(changes: &[NameChange]) -> Result<()> {
    if changes.len() > 1 && changes.iter().any(|change| matches!(change, NameChange::Rename { .. })) {
        return Err(Error::type_error("a renaming is the only change to names in its commit"));
    }
    Ok(())
}

/// Gives the list that is bound to `from` the name `to`, where `to` was or else where `from` was.
/// Returns the list that had that name.
pub(crate) fn rename(names: &mut Names, from: &CacheName, to: &CacheName) -> Option<ListId> {
    let at = names.get_index_of(from)?;
    if from == to {
        return None;
    }
    let (_, _, list) = names.shift_remove_full(from)?;
    match names.get_mut(to) {
        Some(bound) => Some(std::mem::replace(bound, list)),
        None => {
            names.shift_insert(at, to.clone(), list);
            None
        }
    }
}
