//! The seam between the rules and the places where bytes are kept.
//!
//! A [`Store`] keeps lists of entries, names of lists, and bodies. It narrows a search by URL and
//! decides nothing: what matches is the business of `spec/`. The contract is in each method's doc,
//! and `testing::suite` (feature `testing`) checks it on every store.

mod body;
mod change;
pub mod disk;
mod entry;
mod list;
pub mod memory;
mod names;
mod search;
mod usage;
mod uses;

use std::{fmt, sync::Arc};

use async_trait::async_trait;

pub use self::{
    body::{BodyWriter, INLINE_BYTES, StoredBodies, StoredBody, WrittenBody},
    change::{Changes, Commit, ListChange, NameChange, NewBody, NewEntry, OpId},
    entry::Entry,
    list::{List, ListHold, ListId},
    search::{Candidate, CandidateBody, EntryId, Read, ReadSet, Seen, SeenUrl, UrlMatch, url_matches},
    usage::{Growth, Ledger, Usage},
    uses::Uses,
};
pub(crate) use self::{
    names::{Names, check_names, rename},
    usage::fits,
    uses::minute_of,
};
use crate::{CacheName, Limits, Place, Result, StorageKey};

/// Keeps lists of entries, their names, and bodies.
///
/// A store may return more candidates than match, never fewer. Every method may be called at any
/// time from any thread; what small things it does, it does without leaving the caller's thread.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Returns every storage key that owns something, in no particular order.
    async fn storage_keys(&self) -> Result<Vec<StorageKey>>;

    /// Returns the names of `place` and their lists, in the order in which they were bound.
    async fn names(&self, place: &Place) -> Result<Vec<(CacheName, List)>>;

    /// Returns the list that `name` is bound to.
    async fn list(&self, place: &Place, name: &CacheName) -> Result<Option<List>>;

    /// Returns the entries under `reads`, each once and oldest first within a read, and what was
    /// read, for [`commit`](Self::commit).
    async fn candidates(&self, reads: &[Read<'_>]) -> Result<(ReadSet, Vec<Candidate>)>;

    /// Returns up to `limit` entries of `list` that come after `after`, oldest first. Fewer than
    /// `limit` means the end.
    async fn page(&self, list: &List, after: Option<EntryId>, limit: usize) -> Result<Vec<Candidate>>;

    /// Applies `changes` whole or not at all, provided that nothing under `read` changed since.
    ///
    /// Inserted entries come last in their list, in the order given. Once this returns
    /// [`Commit::Applied`] the changes are seen by all and survive the end of the process; in strict
    /// durability, and always in the bottle of registrations, power loss too. Names and lists must
    /// be of `key`.
    ///
    /// What would make `key` use more than it may ([`set_limits`](Self::set_limits)), and more than
    /// before, fails with [`Error::QuotaExceeded`](crate::Error::QuotaExceeded); so does what would make one of its buckets
    /// hold more than that may ([`set_bucket_limit`](Self::set_bucket_limit)).
    async fn commit(&self, key: &StorageKey, op: OpId, read: &ReadSet, changes: &Changes) -> Result<Commit>;

    /// Starts a body of unknown length that `key` will own. Dropping the writer removes the bytes,
    /// and so does dropping what [`BodyWriter::finish`] gave before a commit names it.
    fn write_body(&self, key: &StorageKey) -> Box<dyn BodyWriter>;

    /// The body that [`BodyWriter::finish`] gave, to be read, whether an entry names it or not.
    fn written(&self, body: &WrittenBody) -> Result<Arc<dyn StoredBody>>;

    /// Returns what `key` uses, or all keys together: the sum over its entries, those of doomed lists
    /// included, and its names, as [`Usage`] has it. Exact at any time.
    async fn usage(&self, key: Option<&StorageKey>) -> Result<Usage>;

    /// When something in the lists of `key` was last stored or looked for, in milliseconds since 1970 and to the
    /// minute, as far as the store knows: what it knew in an earlier process it may have lost with that. `None`:
    /// it does not know.
    async fn last_used_ms(&self, _key: &StorageKey) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Returns what of it is in a bucket of `key`, the default one excepted. Exact at any time.
    async fn bucket_usage(&self, key: &StorageKey, bucket: &str) -> Result<Usage>;

    /// Sets how much may be used from now on. What is stored stays, even beyond it.
    fn set_limits(&self, limits: Limits);

    /// Sets what a bucket of `key` that is not the default one may hold from now on, in every commit; `None`: as much as
    /// its key. Not stored: whoever opens a bucket says it anew.
    fn set_bucket_limit(&self, key: &StorageKey, bucket: &str, bytes: Option<u64>);

    /// How much may be used, with the store's own default where nothing was set.
    fn limits(&self) -> Limits;

    /// Makes everything committed survive power loss, whatever the durability.
    async fn sync(&self) -> Result<()>;
}

const _: () = {
    // The seam is used as `Arc<dyn Store>`.
    const fn dyn_safe(_: Option<&dyn Store>) {}
    dyn_safe(None);
};
