//! Who may be given an entry, in a store that many visitors share.
//!
//! Not in the standard: a browser's store has one user. An entry marked with a hash is matched only
//! by requests of the visitor, or of the event, with that hash; the rest of matching is unchanged.

use crate::{CredentialHash, Visitor};

/// On whose behalf entries are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Whoever manages the cache: sees that all entries exist. For `keys` and `delete`.
    Owner,
    /// A request that nobody stands behind: sees what is for everybody.
    Anyone,
    /// A request of an event.
    Visitor(Visitor),
}

impl Audience {
    /// The audience that a request's visitor is.
    pub(crate) fn of(visitor: Option<Visitor>) -> Self {
        visitor.map_or(Self::Anyone, Self::Visitor)
    }

    /// Whether an entry marked with `personal` may be seen.
    pub(crate) fn admits(self, personal: Option<CredentialHash>) -> bool {
        match (personal, self) {
            (None, _) | (_, Self::Owner) => true,
            (Some(_), Self::Anyone) => false,
            (Some(hash), Self::Visitor(visitor)) => visitor.credentials == Some(hash) || visitor.event == hash,
        }
    }
}

/// Whether storing an entry marked with `new` takes the place of one marked with `old` that the
/// same request matches.
///
/// What is for one visitor never displaces what is for everybody: otherwise anybody with a cookie
/// could take a page away from all the others.
pub(crate) fn displaces(new: Option<CredentialHash>, old: Option<CredentialHash>) -> bool {
    new.is_none() || old.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: CredentialHash = CredentialHash([1; 16]);
    const BEN: CredentialHash = CredentialHash([2; 16]);
    const EVENT: CredentialHash = CredentialHash([3; 16]);

    fn visitor(credentials: Option<CredentialHash>) -> Audience {
        Audience::Visitor(Visitor { credentials, event: EVENT })
    }

    #[test]
    fn a_personal_entry_is_seen_by_its_visitor_only() {
        assert!(visitor(Some(ANNA)).admits(Some(ANNA)));
        assert!(!visitor(Some(BEN)).admits(Some(ANNA)));
        assert!(!visitor(None).admits(Some(ANNA)));
        assert!(!Audience::Anyone.admits(Some(ANNA)));
        assert!(Audience::Owner.admits(Some(ANNA)));
    }

    #[test]
    fn an_entry_of_an_event_is_seen_by_that_event_only() {
        assert!(visitor(None).admits(Some(EVENT)));
        assert!(visitor(Some(BEN)).admits(Some(EVENT)));
        assert!(!Audience::Visitor(Visitor { credentials: None, event: BEN }).admits(Some(EVENT)));
    }

    #[test]
    fn a_shared_entry_is_seen_by_all_and_displaced_by_shared_ones_only() {
        assert!(visitor(Some(ANNA)).admits(None) && Audience::Anyone.admits(None));
        assert!(displaces(None, None) && displaces(None, Some(ANNA)) && displaces(Some(ANNA), Some(ANNA)));
        assert!(!displaces(Some(ANNA), None));
    }
}
