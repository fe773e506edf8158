//! The data directory that a command changes: opened as its one writer, and whose caches are meant.

use std::path::Path;

use url::Url;
use waystore::{CacheStorage, Error, StorageKey, Waystore};

use super::{Place, data::listed};
use crate::{failure::Failure, store};

/// A data directory, opened to be changed.
#[derive(Debug)]
pub(super) struct Changing {
    store: Waystore,
    dir: String,
}

impl Changing {
    /// Opens the directory, made where it is missing.
    pub(super) async fn open(dir: &Path) -> Result<Self, Failure> {
        match Waystore::open(dir).await {
            Ok(store) => Ok(Self { store, dir: dir.display().to_string() }),
            Err(error @ Error::Locked { .. }) => Err(Failure::failed(error.to_string())
                .hint("a gateway that runs on it changes it alone: stop it first, or look with `ls`, `keys`, `get`")),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the directory, which must be there.
    pub(super) async fn open_existing(dir: &Path) -> Result<Self, Failure> {
        store::must_exist(dir)?;
        Self::open(dir).await
    }

    /// The caches that are meant: of the origin that was named, or of the only one there is, or of the
    /// one that `url` is at.
    pub(super) async fn caches(&self, place: &Place, url: Option<&str>) -> Result<CacheStorage, Failure> {
        let origin = match &place.origin {
            Some(origin) => {
                let key = StorageKey::new(origin).map_err(|_| {
                    Failure::usage(format!("`{origin}` is not an origin"))
                        .hint("an origin looks like `https://shop.example`")
                })?;
                key.origin().to_owned()
            }
            None => self.only_origin(url).await?,
        };
        Ok(self.store.caches(&origin)?)
    }

    async fn only_origin(&self, url: Option<&str>) -> Result<String, Failure> {
        let mut owners = Vec::new();
        for key in self.store.storage_keys().await? {
            if !self.store.caches(key.origin())?.keys().await?.is_empty() {
                owners.push(key);
            }
        }
        let of_url = url.and_then(|url| Url::parse(url).ok()).and_then(|url| StorageKey::of(&url).ok());
        match (&owners[..], of_url) {
            ([only], _) => Ok(only.origin().to_owned()),
            ([], Some(key)) => Ok(key.origin().to_owned()),
            ([], None) => {
                Err(Failure::usage(format!("`{}` holds no caches yet, so it is unclear whose these are", self.dir))
                    .hint("name the origin with `--origin`, such as `https://shop.example`"))
            }
            (several, _) => {
                Err(Failure::usage(format!("`{}` holds the caches of {} origins", self.dir, several.len()))
                    .hint(format!("name one with `--origin`: {}", listed(several))))
            }
        }
    }

    /// Fails where there is no cache `name`, and says which there are.
    pub(super) async fn must_have(&self, caches: &CacheStorage, name: &str) -> Result<(), Failure> {
        let names = caches.keys().await?;
        if names.iter().any(|other| *other == name.into()) {
            return Ok(());
        }
        let failure = Failure::failed(format!("`{}` has no cache `{name}`", caches.storage_key().origin()));
        let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        Err(if names.is_empty() { failure } else { failure.hint(format!("its caches are {}", names.join(", "))) })
    }

    /// Makes what was done survive power loss: nobody is there to do it later.
    pub(super) async fn close(self) -> Result<(), Failure> {
        Ok(self.store.sync().await?)
    }
}
