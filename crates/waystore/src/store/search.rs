//! What is searched for, what a search finds, and what it saw: enough to tell later whether that changed.

use std::sync::Arc;

use bytes::Bytes;

use super::{Entry, List, ListId, StoredBodies, StoredBody, Usage, Uses};
use crate::spec::url_key::without_query;

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

/// What a search saw: enough for [`Store::commit`](super::Store::commit) to tell whether the same search sees it still.
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

impl Candidate {
    /// What it is charged.
    pub fn usage(&self) -> Usage {
        Usage::of_entry(&self.entry, self.body.length())
    }

    /// Has some of its body brought near: it will be asked for soon.
    pub(crate) fn bring_near(&self) {
        if let CandidateBody::Stored(body) = &self.body {
            body.bring_near();
        }
    }
}

/// The number of an entry in its store: larger means inserted later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(pub u64);

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
    /// The same, of many that were found together: which of them it is.
    Among(Arc<dyn StoredBodies>, usize),
}

impl CandidateBody {
    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Null => 0,
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Stored(body) => body.length(),
            Self::Among(all, index) => all.length(*index),
        }
    }

    /// Its handle, where it is not null nor at hand.
    pub fn stored(&self) -> Option<Arc<dyn StoredBody>> {
        match self {
            Self::Null | Self::Inline(_) => None,
            Self::Stored(body) => Some(Arc::clone(body)),
            Self::Among(all, index) => Some(all.get(*index)),
        }
    }
}

/// Whether a search by `url` finds an entry whose URL without fragment is `stored`.
pub fn url_matches(stored: &str, url: UrlMatch<'_>) -> bool {
    match url {
        UrlMatch::Exact(wanted) => stored == wanted,
        UrlMatch::WithoutQuery(wanted) => without_query(stored) == wanted,
        UrlMatch::Any => true,
    }
}
