//! The data directory that a command looks at: its origins, their caches, and what is in one.

use std::{path::Path, sync::Arc};

use waystore::{
    Bottle, CacheName, Clock, Error, Place, StorageKey,
    store::{Candidate, CandidateBody, List, Store, disk::DiskStore},
};

use super::Stop;
use crate::{failure::Failure, store};

/// Entries read at a time: what bounds the memory of a walk.
const PAGE: usize = 256;

/// A data directory, opened to look at.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<Clock>,
    /// The directory as it was named.
    dir: String,
}

impl Data {
    pub(super) async fn open(dir: &Path) -> Result<Self, Failure> {
        let store = open_read_only(dir).await?;
        Ok(Self { store, clock: Arc::new(Clock::system()), dir: dir.display().to_string() })
    }

    #[cfg(test)]
    pub(super) fn over(store: Arc<dyn Store>, clock: Arc<Clock>) -> Self {
        Self { store, clock, dir: "data".to_owned() }
    }

    /// The owners of caches, in order.
    pub(super) async fn owners(&self) -> Result<Vec<StorageKey>, Failure> {
        let mut owners = Vec::new();
        for key in self.store.storage_keys().await? {
            if !self.caches(&key).await?.is_empty() {
                owners.push(key);
            }
        }
        owners.sort();
        Ok(owners)
    }

    /// The one owner that is meant: the given origin, or the only one there is.
    pub(super) async fn owner(&self, origin: Option<&str>) -> Result<StorageKey, Failure> {
        let owners = self.owners().await?;
        if let Some(origin) = origin {
            let wanted = StorageKey::new(origin).map_err(|_| {
                Failure::usage(format!("`{origin}` is not an origin"))
                    .hint("an origin looks like `https://shop.example`")
            })?;
            return owners.iter().find(|key| **key == wanted).cloned().ok_or_else(|| {
                let failure = Failure::failed(format!("`{}` holds no caches of `{}`", self.dir, wanted.origin()));
                if owners.is_empty() { failure } else { failure.hint(format!("it holds those of {}", listed(&owners))) }
            });
        }
        match &owners[..] {
            [only] => Ok(only.clone()),
            [] => Err(Failure::failed(format!("`{}` holds no caches", self.dir))
                .hint("a worker makes them: open the site through `waystore serve` first")),
            several => Err(Failure::usage(format!("`{}` holds the caches of {} origins", self.dir, several.len()))
                .hint(format!("name one with `--origin`: {}", listed(several)))),
        }
    }

    /// The caches of `key` in the order in which they were made.
    pub(super) async fn caches(&self, key: &StorageKey) -> Result<Vec<(CacheName, List)>, Failure> {
        Ok(self.store.names(&Place::new(key.clone(), Bottle::Caches)).await?)
    }

    /// The cache of this name.
    pub(super) async fn cache(&self, key: &StorageKey, name: &str) -> Result<List, Failure> {
        let caches = self.caches(key).await?;
        let wanted = CacheName::from(name);
        let found = caches.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, list)| list.clone()).ok_or_else(|| {
            let names: Vec<_> = caches.iter().map(|(name, _)| format!("`{name}`")).collect();
            Failure::failed(format!("`{}` has no cache `{name}`", key.origin()))
                .hint(format!("its caches are {}", names.join(", ")))
        })
    }

    /// Shows every entry of `list` to `visit`, oldest first, a page at a time.
    pub(super) async fn each_entry(
        &self,
        list: &List,
        mut visit: impl FnMut(&Candidate) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let mut after = None;
        loop {
            let page = self.store.page(list, after, PAGE).await?;
            page.iter().try_for_each(&mut visit)?;
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.id),
                _ => return Ok(()),
            }
        }
    }

    pub(super) fn dir(&self) -> &str {
        &self.dir
    }
}

/// The length of an entry's body in bytes.
pub(super) fn body_bytes(body: &CandidateBody) -> u64 {
    match body {
        CandidateBody::Null => 0,
        CandidateBody::Inline(bytes) => bytes.len() as u64,
        CandidateBody::Stored(body) => body.length(),
    }
}

pub(super) fn listed(keys: &[StorageKey]) -> String {
    let origins: Vec<_> = keys.iter().map(|key| format!("`{}`", key.origin())).collect();
    origins.join(", ")
}

/// Opens `dir` without changing it: the one place that knows which kind of store it is.
async fn open_read_only(dir: &Path) -> Result<Arc<dyn Store>, Failure> {
    store::must_exist(dir)?;
    match DiskStore::open_read_only(dir).await {
        Ok(store) => Ok(Arc::new(store)),
        Err(Error::NotAStore { reason, .. }) => Err(store::none(dir, &format!(": {reason}"))),
        Err(error) => Err(error.into()),
    }
}
