//! Whose caches a question is about: the origin that was named, or the one that can only be meant.

use url::Url;
use waystore::{Cache, CacheStorage, StorageKey};

use super::{Asked, Desk};
use crate::failure::Failure;

impl Desk {
    /// The owners of caches, in order.
    pub(super) async fn owners(&self) -> Result<Vec<StorageKey>, Failure> {
        let mut owners = Vec::new();
        for key in self.store.storage_keys().await? {
            if !self.caches_of(&key)?.keys().await?.is_empty() {
                owners.push(key);
            }
        }
        Ok(owners)
    }

    /// The one owner whose caches are looked at: it has some.
    pub(super) async fn owner(&self, asked: &Asked) -> Result<StorageKey, Failure> {
        let owners = self.owners().await?;
        let named = asked.origin.as_deref().map(origin).transpose()?;
        if let Some(wanted) = named {
            return owners.iter().find(|key| **key == wanted).cloned().ok_or_else(|| {
                let failure = Failure::failed(format!("`{}` holds no caches of `{}`", asked.dir, wanted.origin()));
                if owners.is_empty() { failure } else { failure.hint(format!("it holds those of {}", listed(&owners))) }
            });
        }
        if let Some(home) = owners.iter().find(|key| Some(key.origin()) == self.home.as_deref()) {
            return Ok(home.clone());
        }
        match &owners[..] {
            [only] => Ok(only.clone()),
            [] => Err(Failure::failed(format!("`{}` holds no caches", asked.dir))
                .hint("a worker makes them: open the site through `waystore serve` first")),
            several => Err(Failure::usage(format!("`{}` holds the caches of {} origins", asked.dir, several.len()))
                .hint(format!("name one with `--origin`: {}", listed(several)))),
        }
    }

    /// The one owner whose caches are changed; it may have none yet. `url` is one that the caller named.
    pub(super) async fn owner_to_be(&self, asked: &Asked, url: Option<&str>) -> Result<StorageKey, Failure> {
        if let Some(named) = &asked.origin {
            return origin(named);
        }
        if let Some(home) = &self.home {
            return origin(home);
        }
        let owners = self.owners().await?;
        let of_url = url.and_then(|url| Url::parse(url).ok()).and_then(|url| StorageKey::of(&url).ok());
        match (&owners[..], of_url) {
            ([only], _) => Ok(only.clone()),
            ([], Some(key)) => Ok(key),
            ([], None) => {
                Err(Failure::usage(format!("`{}` holds no caches yet, so it is unclear whose these are", asked.dir))
                    .hint("name the origin with `--origin`, such as `https://shop.example`"))
            }
            (several, _) => {
                Err(Failure::usage(format!("`{}` holds the caches of {} origins", asked.dir, several.len()))
                    .hint(format!("name one with `--origin`: {}", listed(several))))
            }
        }
    }

    pub(super) fn caches_of(&self, key: &StorageKey) -> Result<CacheStorage, Failure> {
        Ok(self.store.caches_of(key)?)
    }

    /// The cache of this name, which must be there.
    pub(super) async fn cache(&self, key: &StorageKey, name: &str) -> Result<Cache, Failure> {
        let caches = self.caches_of(key)?;
        if caches.has(name).await? {
            return Ok(caches.open(name).await?);
        }
        let failure = Failure::failed(format!("`{}` has no cache `{name}`", key.origin()));
        let names: Vec<_> = caches.keys().await?.iter().map(|name| format!("`{name}`")).collect();
        Err(if names.is_empty() { failure } else { failure.hint(format!("its caches are {}", names.join(", "))) })
    }
}

fn origin(text: &str) -> Result<StorageKey, Failure> {
    let wrong =
        || Failure::usage(format!("`{text}` is not an origin")).hint("an origin looks like `https://shop.example`");
    let key = StorageKey::new(text).map_err(|_| wrong())?;
    if key.origin().starts_with("http") { Ok(key) } else { Err(wrong()) }
}

fn listed(keys: &[StorageKey]) -> String {
    let origins: Vec<_> = keys.iter().map(|key| format!("`{}`", key.origin())).collect();
    origins.join(", ")
}
