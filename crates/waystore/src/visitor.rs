//! Whom an entry belongs to, in a store that many people share.
//!
//! A browser's store belongs to one person; a server's does not. An entry that was made for one
//! visitor carries a keyed hash of what identified them, and only that visitor's requests match it
//! (`spec/audience.rs`). Knows no cookie and no header: who hashes, and with which secret, is the
//! caller's business.

use std::fmt;

/// A keyed hash of what identified a visitor (cookies, authorization), or of one event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CredentialHash(pub [u8; 16]);

impl fmt::Debug for CredentialHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CredentialHash({:032x})", u128::from_be_bytes(self.0))
    }
}

/// Who asks: what identified them, and the event they ask through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Visitor {
    /// The hash of the credentials the request came with; `None` where it had none.
    pub credentials: Option<CredentialHash>,
    /// A hash of its own for each event: entries made for a visitor without credentials belong to it.
    pub event: CredentialHash,
}

impl Visitor {
    /// The hash that marks a personal response to this visitor.
    pub fn mark(&self) -> CredentialHash {
        self.credentials.unwrap_or(self.event)
    }
}
