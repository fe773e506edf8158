//! Where and how it is kept what buckets there are.
//!
//! A bucket is a cache of the default bucket's bottle of registrations, named `bucket:NAME`, with one
//! entry whose headers say how the bucket is kept; so what is decided about it is always written
//! strictly. Its own caches are in the place of its name.

use super::BucketOptions;
use crate::{
    Bottle, CacheName, CacheStorage, Place, Response, Result, StorageKey,
    cache::Keeping,
    key::DEFAULT_BUCKET,
    store::{List, ListId, NameChange, Store},
};

/// What the names of buckets have before them, where registrations have the URL of their scope.
const PREFIX: &str = "bucket:";

/// How a bucket is kept; `None` where there is none.
pub(super) async fn load(store: &dyn Store, key: &StorageKey, name: &str) -> Result<Option<BucketOptions>> {
    let Some(list) = store.list(&place_of_kept(key), &kept_name(name)).await? else { return Ok(None) };
    let Some(found) = store.page(&list, None, 1).await?.pop() else { return Ok(None) };
    let head = found.entry.response()?;
    let number = |name: &str| head.headers.get_text(name).and_then(|text| text.parse().ok());
    Ok(Some(BucketOptions {
        persisted: number("persisted") == Some(1),
        quota_bytes: number("quota"),
        expires_ms: number("expires"),
    }))
}

/// Keeps how a bucket of `origin` is kept from now on.
///
/// Returns the list that it is kept in, which is the bucket's as long as that lives.
pub(super) async fn save(origin: &CacheStorage, name: &str, options: BucketOptions) -> Result<ListId> {
    let mut response = Response::new("").header("persisted", if options.persisted { "1" } else { "0" });
    for (header, value) in [("quota", options.quota_bytes), ("expires", options.expires_ms)] {
        if let Some(value) = value {
            response = response.header(header, value.to_string());
        }
    }
    let key = origin.storage_key();
    let mut kept = origin.in_place(place_of_kept(key), None);
    // However these handles keep what is put through them: this is no entry of a cache.
    kept.keeping = Keeping::default();
    let cache = kept.open(kept_name(name)).await?;
    cache.put(key.origin(), response).await?;
    Ok(cache.list.id())
}

/// What eviction takes of `key`: every name but those of buckets that are spared, and nothing where the
/// default one is, and with it the key.
pub(crate) async fn evictable(store: &dyn Store, key: &StorageKey) -> Result<Vec<NameChange>> {
    if load(store, key, DEFAULT_BUCKET).await?.is_some_and(|kept| kept.persisted) {
        return Ok(Vec::new());
    }
    let mut names = names_in(store, &Place::new(key.clone(), Bottle::Caches)).await?;
    for (name, _) in store.names(&place_of_kept(key)).await? {
        if let Some(bucket) = bucket_of(&name) {
            if load(store, key, &bucket).await?.is_some_and(|kept| kept.persisted) {
                continue;
            }
            names.extend(names_in(store, &place_of(key, &bucket)).await?);
        }
        names.push(NameChange::Unbind(place_of_kept(key), name));
    }
    Ok(names)
}

/// The places of caches of `key` whose entries may be evicted: of the default bucket, and of those that are not persisted.
pub(crate) async fn places(store: &dyn Store, key: &StorageKey) -> Result<Vec<Place>> {
    let mut places = vec![Place::new(key.clone(), Bottle::Caches)];
    for (name, _) in store.names(&place_of_kept(key)).await? {
        let Some(bucket) = bucket_of(&name).filter(|bucket| bucket != DEFAULT_BUCKET) else { continue };
        if load(store, key, &bucket).await?.is_none_or(|kept| !kept.persisted) {
            places.push(place_of(key, &bucket));
        }
    }
    Ok(places)
}

/// Where it is kept how buckets are kept.
pub(super) fn place_of_kept(key: &StorageKey) -> Place {
    Place::new(key.clone(), Bottle::ServiceWorkerRegistrations)
}

pub(super) fn kept_name(bucket: &str) -> CacheName {
    format!("{PREFIX}{bucket}").into()
}

pub(super) fn bucket_of(kept: &CacheName) -> Option<String> {
    kept.to_string().strip_prefix(PREFIX).map(str::to_owned)
}

pub(super) fn place_of(key: &StorageKey, bucket: &str) -> Place {
    Place { key: key.clone(), bucket: bucket.into(), bottle: Bottle::Caches }
}

/// Taking away every name in `place`, should there be no others by then.
pub(super) async fn names_in(store: &dyn Store, place: &Place) -> Result<Vec<NameChange>> {
    let bound = store.names(place).await?;
    let unbind: Vec<_> = bound.iter().map(|(name, _)| NameChange::Unbind(place.clone(), name.clone())).collect();
    Ok([expected(place, &bound)].into_iter().chain(unbind).collect())
}

/// What is true as long as the bucket is there that is kept in the list `kept`. `None`: it is gone.
pub(super) async fn expect_kept(
    store: &dyn Store,
    key: &StorageKey,
    name: &str,
    kept: ListId,
) -> Result<Option<NameChange>> {
    let (place, kept_name) = (place_of_kept(key), kept_name(name));
    let bound = store.names(&place).await?;
    let is_there = bound.iter().any(|(name, list)| *name == kept_name && list.id() == kept);
    Ok(is_there.then(|| expected(&place, &bound)))
}

fn expected(place: &Place, bound: &[(CacheName, List)]) -> NameChange {
    let names = bound.iter().map(|(name, list)| (name.clone(), list.id())).collect();
    NameChange::Expect { place: place.clone(), names }
}
