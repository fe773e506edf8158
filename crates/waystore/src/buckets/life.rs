//! Whether buckets live: what all handles on one share, so that they end together.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    kept::{bucket_of, expect_kept, place_of},
    turns::Turns,
};
use crate::{
    Bottle, Error, Place, Result, StorageKey,
    store::{ListId, NameChange, Store, fits},
};

/// The buckets that handles were given out for, of all storage keys.
#[derive(Debug, Default)]
pub(crate) struct Lives {
    known: Mutex<HashMap<(StorageKey, String), Arc<Life>>>,
    /// In which buckets are made, changed and removed.
    pub(super) turns: Turns,
}

/// What the handles on one bucket share.
#[derive(Debug)]
pub(crate) struct Life {
    pub(super) key: StorageKey,
    pub(super) name: String,
    pub(super) quota_bytes: Option<u64>,
    /// Where it is kept that the bucket is there: a later one of the same name has another.
    kept: ListId,
    removed: AtomicBool,
}

impl Lives {
    pub(super) fn of(&self, key: &StorageKey, name: &str, quota_bytes: Option<u64>, kept: ListId) -> Arc<Life> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, name) = (key.clone(), name.to_owned());
        let life = known.entry((key.clone(), name.clone())).or_insert_with(|| {
            let removed = AtomicBool::new(false);
            Arc::new(Life { key, name, quota_bytes, kept, removed })
        });
        Arc::clone(life)
    }

    /// The handles on the buckets that `changes` take away are of no more use.
    pub(crate) fn end_unbound(&self, store: &dyn Store, key: &StorageKey, changes: &[NameChange]) {
        for change in changes {
            if let NameChange::Unbind(Place { bottle: Bottle::ServiceWorkerRegistrations, .. }, name) = change
                && let Some(bucket) = bucket_of(name)
            {
                self.end(key, &bucket);
                store.set_bucket_limit(key, &bucket, None);
            }
        }
    }

    pub(super) fn end(&self, key: &StorageKey, name: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(life) = known.remove(&(key.clone(), name.to_owned())) {
            life.removed.store(true, Ordering::Release);
        }
    }
}

impl Life {
    /// # Errors
    ///
    /// [`Error::BucketRemoved`]: it was.
    pub(crate) fn check(&self) -> Result<()> {
        if self.removed.load(Ordering::Acquire) { Err(self.error()) } else { Ok(()) }
    }

    /// What has to be so when something comes into the bucket.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    pub(crate) async fn expect_there(&self, store: &dyn Store) -> Result<NameChange> {
        self.check()?;
        expect_kept(store, &self.key, &self.name, self.kept).await?.ok_or_else(|| self.error())
    }

    pub(super) fn error(&self) -> Error {
        Error::BucketRemoved { name: self.name.clone() }
    }

    /// Whether `error` says that the bucket is full, rather than its key.
    pub(crate) fn is_full_by(&self, error: &Error) -> bool {
        matches!(error, Error::QuotaExceeded { quota, .. } if quota.is_some() && *quota == self.quota_bytes)
    }

    /// The caches in it.
    pub(crate) fn place(&self) -> Place {
        place_of(&self.key, &self.name)
    }

    /// Checks whether the bucket may grow by `grows` and shrink by `shrinks` at once, in bytes. Every commit does, too; this
    /// tells beforehand.
    ///
    /// # Errors
    ///
    /// [`Error::QuotaExceeded`]: it may not.
    pub(crate) async fn check_growth(&self, store: &dyn Store, grows: u64, shrinks: u64) -> Result<()> {
        let growth = grows.saturating_sub(shrinks);
        if self.quota_bytes.is_none() || growth == 0 {
            return Ok(());
        }
        fits(store.bucket_usage(&self.key, &self.name).await?.padded, growth, self.quota_bytes)
    }
}
