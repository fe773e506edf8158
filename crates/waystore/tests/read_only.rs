//! A directory that cannot be written: what fails, and what works on.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{collections::BTreeMap, path::Path, sync::Arc};

use waystore::{
    CacheQueryOptions, CacheStorage, Clock, Error, Response, Waystore,
    store::disk::{DiskOptions, DiskStore, sim::SimDisk},
};

const SITE: &str = "https://a.test";

async fn length_of(storage: &CacheStorage, url: &str) -> usize {
    let found = storage.match_(url, CacheQueryOptions::default()).await.unwrap().expect("it is stored");
    found.body.unwrap().collect(usize::MAX).await.unwrap().len()
}

async fn fill(storage: &CacheStorage) {
    let cache = storage.open("c").await.unwrap();
    for (url, length) in [("/short", 10), ("/long", 300_000)] {
        cache.put(url, Response::new(vec![7; length])).await.unwrap();
    }
}

#[tokio::test]
async fn s66_a_directory_that_must_not_be_written_refuses_puts_and_answers_look_ups() {
    let dir = tempfile::tempdir().unwrap();
    fill(&Waystore::open(dir.path()).await.unwrap().caches(SITE).unwrap()).await;
    let before = files(dir.path());

    let storage = Waystore::open_read_only(dir.path()).await.unwrap().caches(SITE).unwrap();
    let cache = storage.open("c").await.unwrap();
    for length in [10, 300_000] {
        let refused = cache.put("/new", Response::new(vec![7; length])).await;
        assert!(matches!(refused, Err(Error::Unavailable { .. })), "{length} bytes: {refused:?}");
    }
    assert!(matches!(cache.delete("/short", CacheQueryOptions::default()).await, Err(Error::Unavailable { .. })));
    assert!(matches!(storage.open("new").await, Err(Error::Unavailable { .. })));
    assert!(matches!(storage.delete("c").await, Err(Error::Unavailable { .. })));
    assert_eq!((length_of(&storage, "/short").await, length_of(&storage, "/long").await), (10, 300_000));
    assert_eq!(cache.keys((), CacheQueryOptions::default()).await.unwrap().len(), 2);
    drop((cache, storage));
    assert_eq!(files(dir.path()), before);
}

#[tokio::test]
async fn s66_a_disk_that_refuses_a_write_refuses_the_put_and_answers_look_ups() {
    for length in [10, 300_000] {
        for changes in 0.. {
            let (disk, clock) = (SimDisk::default(), Arc::new(Clock::fixed(1_700_000_000_000, 7)));
            let options = DiskOptions::default().sync_every(None).segment_bytes(1 << 20);
            let store = DiskStore::open_on(Arc::new(disk.clone()), Arc::clone(&clock), options).unwrap();
            let storage = Waystore::with_store(Arc::new(store), clock).caches(SITE).unwrap();
            fill(&storage).await;
            disk.fail_write_after(changes, 1);
            let done = storage.open("c").await.unwrap().put("/new", Response::new(vec![8; length])).await;
            assert_eq!((length_of(&storage, "/short").await, length_of(&storage, "/long").await), (10, 300_000));
            if done.is_ok() {
                assert!(changes > 0, "a put writes");
                break;
            }
            assert!(matches!(done, Err(Error::Unavailable { .. })), "{length} bytes, {changes}: {done:?}");
            assert!(storage.match_("/new", CacheQueryOptions::default()).await.unwrap().is_none());
        }
    }
}

/// All files under `dir`, with what is in them.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.display().to_string(), std::fs::read(&path).unwrap());
        }
    }
    found
}
