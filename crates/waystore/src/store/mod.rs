//! The seam between the rules and the places where bytes are kept.
//!
//! A [`Store`] keeps lists of entries, names of lists, and bodies. It narrows a search by URL and
//! decides nothing: what matches is the business of `spec/`. The contract is in each method's doc,
//! and [`testing::suite`](crate::testing) checks it on every store.

pub mod disk;
mod entry;
pub mod memory;
mod names;
mod usage;
mod uses;

use std::{any::Any, fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

pub use self::{
    entry::Entry,
    usage::{Growth, Ledger, Usage},
    uses::Uses,
};
pub(crate) use self::{
    names::{Names, check_names, rename},
    usage::fits,
    uses::minute_of,
};
use crate::{BodyError, CacheName, Limits, Place, Result, StorageKey};

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

/// The number of an entry in its store: larger means inserted later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(pub u64);

/// The name of one call of `commit`, to find out later whether it was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OpId(pub u128);

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// One search in one list.
#[derive(Debug, Clone)]
pub struct Read<'a> {
    /// Where.
    pub list: &'a List,
    /// By what.
    pub url: UrlMatch<'a>,
}

/// How a search narrows by URL. The strings are parts of a serialised URL (`spec/url_key.rs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UrlMatch<'a> {
    /// The URL without its fragment is this.
    Exact(&'a str),
    /// The URL without its fragment and its query is this.
    WithoutQuery(&'a str),
    /// Every entry.
    Any,
}

/// What a search saw: enough for [`Store::commit`] to tell whether the same search sees it still.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadSet(pub Vec<Seen>);

/// What one [`Read`] saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The list that was searched.
    pub list: ListId,
    /// What the URL had to be.
    pub url: SeenUrl,
    /// The entries that were there, oldest first.
    pub entries: Vec<EntryId>,
}

/// [`UrlMatch`], owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeenUrl {
    /// See [`UrlMatch::Exact`].
    Exact(String),
    /// See [`UrlMatch::WithoutQuery`].
    WithoutQuery(String),
    /// See [`UrlMatch::Any`].
    Any,
}

impl SeenUrl {
    /// The search this was.
    pub fn as_match(&self) -> UrlMatch<'_> {
        match self {
            Self::Exact(url) => UrlMatch::Exact(url),
            Self::WithoutQuery(url) => UrlMatch::WithoutQuery(url),
            Self::Any => UrlMatch::Any,
        }
    }
}

impl From<UrlMatch<'_>> for SeenUrl {
    fn from(url: UrlMatch<'_>) -> Self {
        match url {
            UrlMatch::Exact(url) => Self::Exact(url.to_owned()),
            UrlMatch::WithoutQuery(url) => Self::WithoutQuery(url.to_owned()),
            UrlMatch::Any => Self::Any,
        }
    }
}

/// An entry that a search found.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its number.
    pub id: EntryId,
    /// Its list.
    pub list: ListId,
    /// When it was stored, in milliseconds since 1970; informative, order goes by `id`.
    pub stored_at_ms: u64,
    /// Its request and response heads, decoded on demand.
    pub entry: Entry,
    /// Its body.
    pub body: CandidateBody,
    /// How often it was used. Who answers with it notes that here.
    pub uses: Uses,
}

/// The body of an entry that was found. Holding it keeps the bytes readable, whatever happens to
/// the entry.
#[derive(Debug, Clone)]
pub enum CandidateBody {
    /// A null body.
    Null,
    /// A small body, at hand.
    Inline(Bytes),
    /// One that is verified when it is read, or has to be opened.
    Stored(Arc<dyn StoredBody>),
}

/// A body that a store keeps.
pub trait StoredBody: fmt::Debug + Send + Sync {
    /// Its length in bytes.
    fn length(&self) -> u64;

    /// The length that its readers are told beforehand; `None` where it is not certain yet.
    fn known_length(&self) -> Option<u64> {
        Some(self.length())
    }

    /// All of it, where nobody has to wait for it: verified, or `None`, and [`open`](Self::open) tells why.
    fn at_hand(&self) -> Option<&Bytes> {
        None
    }

    /// Has some of it brought near, where it is in memory that is far: it will be asked for soon. Changes nothing else.
    fn bring_near(&self) {}

    /// Opens it. Each block is verified before it is handed out; damaged bytes end the stream with
    /// [`BodyError::Damaged`].
    fn open(self: Arc<Self>) -> BoxStream<'static, Result<Bytes, BodyError>>;
}

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
    /// A body of at most [`INLINE_BYTES`].
    Inline(Bytes),
    /// What [`BodyWriter::finish`] gave.
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

impl CandidateBody {
    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Null => 0,
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Stored(body) => body.length(),
        }
    }
}

impl Candidate {
    /// Has some of its body brought near: it will be asked for soon.
    pub(crate) fn bring_near(&self) {
        if let CandidateBody::Stored(body) = &self.body {
            body.bring_near();
        }
    }
}

impl NewEntry {
    /// What it is charged.
    pub fn usage(&self) -> Usage {
        Usage::of_entry(&self.entry, self.body.length())
    }
}

impl Candidate {
    /// What it is charged.
    pub fn usage(&self) -> Usage {
        Usage::of_entry(&self.entry, self.body.length())
    }
}

/// Bodies up to this length go into the entry; longer ones through [`Store::write_body`].
pub const INLINE_BYTES: usize = 64 * 1024;

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

/// Takes the bytes of a body.
#[async_trait]
pub trait BodyWriter: fmt::Debug + Send {
    /// Appends `chunk`. After an error the writer can only be dropped.
    async fn write(&mut self, chunk: Bytes) -> Result<()>;

    /// Reads back what was written, from `offset` on: at most 64 KiB, and nothing at the end.
    async fn read_back(&mut self, offset: u64) -> Result<Bytes>;

    /// Ends the body. A commit that names the result keeps it.
    async fn finish(self: Box<Self>) -> Result<WrittenBody>;
}

/// A body that is written and not named by an entry yet. Dropping the last clone removes it.
#[derive(Clone)]
pub struct WrittenBody {
    length: u64,
    hold: Arc<dyn Any + Send + Sync>,
}

impl WrittenBody {
    /// Wraps a store's own hold on a body of `length` bytes.
    pub fn new(length: u64, hold: Arc<dyn Any + Send + Sync>) -> Self {
        Self { length, hold }
    }

    /// The body's length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The store's own hold, for the store that made it.
    pub fn hold<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::clone(&self.hold).downcast().ok()
    }
}

impl fmt::Debug for WrittenBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrittenBody({} bytes)", self.length)
    }
}

/// Whether a search by `url` finds an entry whose URL without fragment is `stored`.
pub fn url_matches(stored: &str, url: UrlMatch<'_>) -> bool {
    match url {
        UrlMatch::Exact(wanted) => stored == wanted,
        UrlMatch::WithoutQuery(wanted) => crate::spec::url_key::without_query(stored) == wanted,
        UrlMatch::Any => true,
    }
}

const _: () = {
    // The seam is used as `Arc<dyn Store>`.
    const fn dyn_safe(_: Option<&dyn Store>) {}
    dyn_safe(None);
};
