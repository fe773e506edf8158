//! Why an operation failed: one variant for each thing a caller can do about it.
//!
//! Knows no store and no script. A store's own detail stays private to it and ends up in `source`.

use std::{borrow::Cow, path::PathBuf, sync::Arc};

use url::Url;

use crate::store::OpId;

/// The result of an operation on caches.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of any origin, shared so that every reader of one body can be given it.
pub type SharedError = Arc<dyn std::error::Error + Send + Sync>;

/// Why an operation on a cache failed. On any error the cache is as it was before the call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The arguments break a rule of the spec; the same call always fails. A `TypeError` in script.
    #[error("{rule}")]
    Type {
        /// The rule, with the input that broke it.
        rule: Cow<'static, str>,
    },
    /// A batch names one request twice. An `InvalidStateError` in script.
    #[error("`{url}` matches an earlier request of the same call")]
    Duplicate {
        /// The second request's URL.
        url: Url,
    },
    /// The request was aborted before its response was complete. An `AbortError` in script.
    #[error("the request was aborted")]
    Aborted,
    /// There is no room; delete something first. A `QuotaExceededError` in script.
    #[error("{}", NoRoom { requested: *requested, quota: *quota })]
    QuotaExceeded {
        /// The bytes that would be used then, padding included, or where the disk is full those that were
        /// to be written.
        requested: Option<u64>,
        /// The limit in bytes, where one was set; a full disk has none.
        quota: Option<u64>,
    },
    /// The bucket was removed, or its end has come. An `InvalidStateError` in script.
    #[error("the bucket `{name}` was removed")]
    BucketRemoved {
        /// Its name.
        name: String,
    },
    /// The origin is opaque, so it owns no storage. A `SecurityError` in script.
    #[error("`{origin}` is not an origin that can own storage")]
    Security {
        /// What was given as the origin.
        origin: String,
    },
    /// `add` could not fetch; trying again may work. A `TypeError` in script.
    #[error("fetching `{url}` failed: {reason}")]
    Fetch {
        /// What was fetched.
        url: Url,
        /// What went wrong, in words.
        reason: String,
    },
    /// The response's body failed before its end, with the error its stream gave.
    #[error("the body ended early")]
    Body(#[source] BodyError),
    /// Another process has this data directory open for writing.
    #[error("`{dir}` is in use by {}", Holder(*pid))]
    Locked {
        /// The data directory.
        dir: PathBuf,
        /// The process that holds it, where it said so.
        pid: Option<u32>,
    },
    /// The directory is not one of ours, or of a format this version does not read.
    #[error("`{dir}` is not a data directory of this version: {reason}")]
    NotAStore {
        /// The directory.
        dir: PathBuf,
        /// What was found in it.
        reason: String,
    },
    /// Stored bytes are not what was written. What they held is lost; nothing else is.
    #[error("stored data is damaged: {detail}")]
    Damaged {
        /// Where and how.
        detail: String,
    },
    /// The store could not be reached, or refused; trying again may work.
    #[error("the store is unavailable: {source}")]
    Unavailable {
        /// What the store said.
        source: SharedError,
    },
    /// The change may or may not have been made: the store failed while it said so.
    #[error("it is unknown whether operation {op} was applied")]
    OutcomeUnknown {
        /// The operation, to look for.
        op: OpId,
    },
}

impl Error {
    /// A rule of the spec that the caller's input breaks.
    pub fn type_error(rule: impl Into<Cow<'static, str>>) -> Self {
        Self::Type { rule: rule.into() }
    }

    /// A failure of the place where a store keeps its data.
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable { source: Arc::from(source.into()) }
    }
}

impl From<BodyError> for Error {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Aborted => Self::Aborted,
            other => Self::Body(other),
        }
    }
}

/// Why a body ended before its end. Every reader of the same body gets the same error.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The fetch that the body comes from was aborted.
    #[error("the body's fetch was aborted")]
    Aborted,
    /// The stored bytes fail their checksum or are gone.
    #[error("the stored body is damaged: {0}")]
    Damaged(String),
    /// The source of the body failed with an error of its own.
    #[error("the body failed: {0}")]
    Failed(SharedError),
}

impl BodyError {
    /// Wraps the error that a body's source gave.
    pub fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Failed(Arc::from(error.into()))
    }
}

/// Shows what there is no room for.
struct NoRoom {
    requested: Option<u64>,
    quota: Option<u64>,
}

impl std::fmt::Display for NoRoom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.requested, self.quota) {
            (Some(requested), Some(quota)) => write!(f, "it would use {requested} bytes of a quota of {quota}"),
            (Some(requested), None) => write!(f, "no room to store {requested} bytes"),
            (None, _) => f.write_str("no room to store more"),
        }
    }
}

/// Shows the process that holds a lock.
struct Holder(Option<u32>);

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
}
