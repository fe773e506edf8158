//! What was used is known after a restart, and decides what goes.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures::TryStreamExt;
use waystore::{
    Cache, CacheQueryOptions, CacheStorage, Clock, EntryRange, Limits, Response, Waystore,
    store::disk::{DiskStore, sim::SimDisk},
};

use super::support::relaxed;

const PLAIN: CacheQueryOptions = CacheQueryOptions { ignore_search: false, ignore_method: false, ignore_vary: false };
/// A minute's beginning.
const START: u64 = 1_700_000_040_000;
const MINUTE: u64 = 60_000;

/// The store on `disk`, so many minutes after the start.
fn at(disk: &SimDisk, minute: u64) -> (Arc<DiskStore>, Waystore) {
    let clock = Arc::new(Clock::fixed(START + minute * MINUTE, disk.changes()));
    let store = DiskStore::open_on(Arc::new(disk.clone()), Arc::clone(&clock), relaxed()).unwrap();
    let store = Arc::new(store);
    (Arc::clone(&store), Waystore::with_store(store, clock))
}

fn caches(store: &Waystore) -> CacheStorage {
    store.caches("https://a.test").unwrap()
}

async fn fill(cache: &Cache, urls: &[&str]) {
    for url in urls {
        cache.put(*url, Response::new("x".repeat(30_000))).await.unwrap();
    }
}

async fn hit(cache: &Cache, url: &str) {
    assert!(cache.match_(url, PLAIN).await.unwrap().is_some(), "{url}");
}

/// The paths of a cache, with how often each was used and in which minute last.
async fn uses(cache: &Cache) -> Vec<(String, u64, Option<u64>)> {
    let entries: Vec<_> = cache.entries(&EntryRange::all()).unwrap().into_stream().try_collect().await.unwrap();
    let start = SystemTime::UNIX_EPOCH + Duration::from_millis(START);
    let minute = |used: SystemTime| used.duration_since(start).unwrap().as_millis() as u64 / MINUTE;
    let told = entries.iter().map(|entry| {
        let path = entry.url().trim_start_matches("https://a.test").to_owned();
        (path, entry.hits(), entry.last_used().map(minute))
    });
    told.collect()
}

async fn paths(cache: &Cache) -> Vec<String> {
    uses(cache).await.into_iter().map(|(path, ..)| path).collect()
}

#[tokio::test]
async fn uses_are_kept_over_a_restart_and_go_on_from_there() {
    let disk = SimDisk::default();
    let (_disk, store) = at(&disk, 0);
    let cache = caches(&store).open("c").await.unwrap();
    fill(&cache, &["/1", "/2", "/3"]).await;
    hit(&cache, "/2").await;
    hit(&cache, "/2").await;
    drop((cache, store, _disk));
    let (_disk, store) = at(&disk, 5);
    let cache = caches(&store).open("c").await.unwrap();
    let once = [("/1".into(), 0, None), ("/2".into(), 2, Some(0)), ("/3".into(), 0, None)];
    assert_eq!(uses(&cache).await, once);
    // Nothing is written from here on: that something was used is worth a checkpoint too.
    hit(&cache, "/2").await;
    assert!(caches(&store).match_("/3", PLAIN).await.unwrap().is_some());
    drop((cache, store, _disk));
    let (_disk, store) = at(&disk, 9);
    let cache = caches(&store).open("c").await.unwrap();
    let twice = [("/1".into(), 0, None), ("/2".into(), 3, Some(5)), ("/3".into(), 1, Some(5))];
    assert_eq!(uses(&cache).await, twice);
    // An entry that takes another's place begins anew, and the others stay.
    fill(&cache, &["/2"]).await;
    drop((cache, store, _disk));
    let (_disk, store) = at(&disk, 10);
    let cache = caches(&store).open("c").await.unwrap();
    assert_eq!(uses(&cache).await, [("/1".into(), 0, None), ("/3".into(), 1, Some(5)), ("/2".into(), 0, None)]);
}

#[tokio::test]
async fn a_kill_loses_uses_since_the_checkpoint_and_nothing_else() {
    let disk = SimDisk::default();
    let (_disk, store) = at(&disk, 0);
    let cache = caches(&store).open("c").await.unwrap();
    fill(&cache, &["/1", "/2"]).await;
    hit(&cache, "/1").await;
    drop((cache, store, _disk));
    let (running, store) = at(&disk, 3);
    let cache = caches(&store).open("c").await.unwrap();
    hit(&cache, "/1").await;
    fill(&cache, &["/3"]).await;
    let killed = disk.copy();
    drop((cache, store, running));
    let (_disk, store) = at(&killed, 4);
    let cache = caches(&store).open("c").await.unwrap();
    assert_eq!(uses(&cache).await, [("/1".into(), 1, Some(0)), ("/2".into(), 0, None), ("/3".into(), 0, None)]);
}

#[tokio::test]
async fn uses_go_along_when_compaction_moves_an_entry() {
    let disk = SimDisk::default();
    let (running, store) = at(&disk, 0);
    let cache = caches(&store).open("c").await.unwrap();
    fill(&cache, &["/1", "/2", "/3"]).await;
    hit(&cache, "/2").await;
    let before = disk.files();
    for _ in 0..20 {
        fill(&cache, &["/1", "/3"]).await;
        running.tick().unwrap();
    }
    let first = |files: &[(String, usize)]| files.iter().any(|(path, _)| path == "log/0000000001.seg");
    assert!(first(&before) && !first(&disk.files()), "the segment it was in is still there");
    drop((cache, store, running));
    let (_disk, store) = at(&disk, 1);
    let cache = caches(&store).open("c").await.unwrap();
    assert_eq!(uses(&cache).await, [("/2".into(), 1, Some(0)), ("/1".into(), 0, None), ("/3".into(), 0, None)]);
}

#[tokio::test]
async fn after_a_restart_a_budget_evicts_what_was_used_least_recently() {
    let disk = SimDisk::default();
    let (_disk, store) = at(&disk, 0);
    fill(&caches(&store).open("c").await.unwrap(), &["/1", "/2"]).await;
    drop((store, _disk));
    let (_disk, store) = at(&disk, 10);
    let cache = caches(&store).open("c").await.unwrap();
    fill(&cache, &["/3"]).await;
    drop((cache, store, _disk));
    let (_disk, store) = at(&disk, 20);
    hit(&caches(&store).open("c").await.unwrap(), "/1").await;
    drop((store, _disk));
    let (_disk, store) = at(&disk, 30);
    let cache = caches(&store).with_budget(100_000).open("c").await.unwrap();
    fill(&cache, &["/4"]).await;
    assert_eq!(paths(&cache).await, ["/1", "/3", "/4"]);
    fill(&cache, &["/5"]).await;
    assert_eq!(paths(&cache).await, ["/1", "/4", "/5"]);
    hit(&cache, "/1").await;
    fill(&cache, &["/6"]).await;
    assert_eq!(paths(&cache).await, ["/1", "/5", "/6"]);
}

#[tokio::test]
async fn after_a_restart_the_key_that_was_used_least_recently_is_evicted_first() {
    let disk = SimDisk::default();
    for (minute, host) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let (_disk, store) = at(&disk, minute as u64);
        let cache = store.caches(&format!("https://{host}.test")).unwrap().open("v1").await.unwrap();
        cache.put("/x", Response::new(vec![7; 100_000])).await.unwrap();
    }
    for (minute, host) in [(10, "b"), (11, "a")] {
        let (_disk, store) = at(&disk, minute);
        hit(&store.caches(&format!("https://{host}.test")).unwrap().open("v1").await.unwrap(), "/x").await;
    }
    let (_disk, store) = at(&disk, 20);
    store.set_limits(Limits::default().total(450_000));
    store.set_eviction(true);
    let mut gone = Vec::new();
    for host in ["e", "f", "g"] {
        let storage = store.caches(&format!("https://{host}.test")).unwrap();
        storage.open("v1").await.unwrap().put("/x", Response::new(vec![7; 100_000])).await.unwrap();
        let left: Vec<_> = store.storage_keys().await.unwrap().iter().map(ToString::to_string).collect();
        let is_gone = |host: &str| !left.contains(&format!("https://{host}.test"));
        gone = ["a", "b", "c", "d"].into_iter().filter(|host| is_gone(host)).collect();
        let expected: &[&str] = match host {
            "e" => &["c"],
            "f" => &["c", "d"],
            _ => &["b", "c", "d"],
        };
        assert_eq!(gone, expected, "after {host}: {left:?}");
    }
    assert_eq!(gone.len(), 3);
}

#[tokio::test]
async fn a_store_that_was_only_looked_into_is_closed_as_empty_as_it_was() {
    let disk = SimDisk::default();
    let (store, waystore) = at(&disk, 0);
    assert!(caches(&waystore).match_("/a", PLAIN).await.unwrap().is_none());
    drop((store, waystore));
    let (store, _) = at(&disk, 1);
    assert_eq!(store.report().damage, [""; 0]);
}
