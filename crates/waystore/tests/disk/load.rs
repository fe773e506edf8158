//! 64 tasks on one store, for a while: `WAYSTORE_TEST_LOAD_SECONDS=60 cargo test -p waystore --test disk load`.
//!
//! Bodies carry who wrote them, which version it is, and a pattern that follows from both, so that one which is
//! torn, or whose bytes were overwritten under its reader, gives itself away. Segments are short and the background is
//! busy: compaction, checkpoints and segments that are used again go on all the time.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::StreamExt;
use rand::{Rng, SeedableRng, rngs::StdRng};
use waystore::{
    Body, Cache, CacheQueryOptions, CacheStorage, Clock, Request, Response, Waystore,
    store::disk::{DiskOptions, DiskStore},
};

use super::support::assert_counted;

const TASKS: u64 = 64;
/// URLs that only one task writes.
const OWN: u64 = 6;
/// Entries of each version of the cache that is swapped.
const SWAPPED: u64 = 5;
/// Bodies that a task keeps for a while, to look at them again.
const KEPT: usize = 6;
const DEFAULT: CacheQueryOptions = CacheQueryOptions { ignore_search: false, ignore_method: false, ignore_vary: false };

/// What was done, to be sure that much was.
#[derive(Default)]
struct Counts {
    puts: AtomicU64,
    matches: AtomicU64,
    deletes: AtomicU64,
    swaps: AtomicU64,
    whole: AtomicU64,
}

impl Counts {
    /// Whether enough was done to show something, however busy the machine is.
    fn are_enough(&self) -> bool {
        let more_than = |count: &AtomicU64, least| count.load(Ordering::Relaxed) > least;
        more_than(&self.puts, 500)
            && more_than(&self.matches, 500)
            && more_than(&self.deletes, 50)
            && more_than(&self.swaps, 5)
            && more_than(&self.whole, 5)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_load_no_body_is_torn_no_update_lost_and_the_counters_are_exact() {
    let seconds = std::env::var("WAYSTORE_TEST_LOAD_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(4));
    let dir = tempfile::tempdir().unwrap();
    let options = DiskOptions::default().segment_bytes(1024 * 1024).sync_every(Some(Duration::from_millis(20)));
    let store = Arc::new(DiskStore::open(dir.path(), options.clone()).await.unwrap());
    let caches = caches_of(&store);
    swap_in(&caches, 0).await;
    let counts = Arc::new(Counts::default());
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (caches, counts) = (caches.clone(), Arc::clone(&counts));
            tokio::spawn(async move { work(task, &caches, &counts, until).await })
        })
        .collect();
    let mut written = BTreeMap::new();
    for task in tasks {
        written.extend(task.await.unwrap());
    }
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    println!(
        "{} puts, {} matches, {} deletes, {} swaps, {} swapped caches seen whole, log {:?}",
        count(&counts.puts),
        count(&counts.matches),
        count(&counts.deletes),
        count(&counts.swaps),
        count(&counts.whole),
        store.log_usage(),
    );
    assert!(!dir.path().join("log/0000000001.seg").exists(), "segments were freed");
    assert!(dir.path().join("checkpoint").exists());
    assert_eq!(versions(&caches).await, written, "no update is lost");
    assert_counted(&store, "after the load").await;
    let usage = store.log_usage().live_bytes;
    drop((caches, store));
    let store = Arc::new(DiskStore::open(dir.path(), options).await.unwrap());
    assert!(store.report().is_clean(), "{:?}", store.report());
    assert_counted(&store, "after the load, opened again").await;
    assert!(store.log_usage().live_bytes == usage, "the counters are not what is counted anew");
    assert_eq!(versions(&caches_of(&store)).await, written);
}

fn caches_of(store: &Arc<DiskStore>) -> CacheStorage {
    Waystore::with_store(Arc::clone(store) as _, Arc::new(Clock::system())).caches("https://a.test").unwrap()
}

/// What one task does until it is time. Returns the versions of its own URLs in the end.
async fn work(task: u64, caches: &CacheStorage, counts: &Counts, until: Instant) -> BTreeMap<String, u64> {
    let mut random = StdRng::seed_from_u64(task);
    let cache = caches.open("live").await.unwrap();
    let (mut own, mut kept) = (BTreeMap::new(), VecDeque::new());
    for version in 1.. {
        if Instant::now() >= until && counts.are_enough() {
            break;
        }
        let url = url("own", task * OWN + random.random_range(0..OWN));
        match random.random_range(0..10) {
            0..3 => {
                put(&cache, &url, version, &mut random).await;
                own.insert(url, version);
                counts.puts.fetch_add(1, Ordering::Relaxed);
            }
            3 => {
                let there = cache.delete(url.as_str(), DEFAULT).await.unwrap();
                assert_eq!(there, own.remove(&url).is_some(), "{url}: nobody else deletes it");
                counts.deletes.fetch_add(1, Ordering::Relaxed);
            }
            4..6 => {
                let found = match cache.match_(url.as_str(), DEFAULT).await.unwrap() {
                    Some(found) => Some(read(&url, found, &mut kept).await),
                    None => None,
                };
                assert_eq!(found, own.get(&url).copied(), "{url}: nobody else writes it");
                counts.matches.fetch_add(1, Ordering::Relaxed);
            }
            // What everybody writes, read while it is replaced.
            6 => put(&cache, &self::url("shared", random.random_range(0..8)), version, &mut random).await,
            7..9 => {
                let url = self::url("shared", random.random_range(0..8));
                if let Some(found) = cache.match_(url.as_str(), DEFAULT).await.unwrap() {
                    read(&url, found, &mut kept).await;
                }
                counts.matches.fetch_add(1, Ordering::Relaxed);
            }
            _ if task == 0 => {
                swap_in(caches, version).await;
                counts.swaps.fetch_add(1, Ordering::Relaxed);
            }
            _ => {
                look_at_swapped(caches).await;
                counts.whole.fetch_add(1, Ordering::Relaxed);
            }
        }
        for (url, bytes) in &kept {
            check(url, bytes);
        }
        tokio::task::yield_now().await;
    }
    own
}

async fn put(cache: &Cache, url: &str, version: u64, random: &mut StdRng) {
    let length = [60, 900, 5_000, 30_000, 90_000][random.random_range(0..5)];
    let body = pattern(url, version, length + random.random_range(0..100));
    // Of unknown length, in pieces.
    let pieces: Vec<_> = body.chunks(20_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let body = Body::from_stream(futures::stream::iter(pieces), None);
    cache.put(Request::get(url).unwrap(), Response::new(body)).await.unwrap();
}

/// Fills a cache, and lets it take the place of the one that everybody looks at.
async fn swap_in(caches: &CacheStorage, version: u64) {
    let next = caches.open("next").await.unwrap();
    let bodies = (0..SWAPPED).map(|number| {
        let url = url("swapped", number);
        (Request::get(&url).unwrap(), Response::new(pattern(&url, version, 2_000)))
    });
    next.put_all(bodies.collect::<Vec<_>>()).await.unwrap();
    assert!(caches.rename("next", "current").await.unwrap());
}

/// Whatever is called `current` is there, whole and of one version.
async fn look_at_swapped(caches: &CacheStorage) {
    assert!(caches.match_(url("swapped", 0).as_str(), DEFAULT).await.unwrap().is_some(), "one of the two is there");
    let current = caches.open("current").await.unwrap();
    let mut versions = Vec::new();
    for (number, found) in current.match_all((), DEFAULT).await.unwrap().into_iter().enumerate() {
        versions.push(read(&url("swapped", number as u64), found, &mut VecDeque::new()).await);
    }
    assert_eq!(versions.len() as u64, SWAPPED);
    assert!(versions.iter().all(|version| *version == versions[0]), "a mixture of versions: {versions:?}");
}

/// Reads a body piece by piece, lets others work in between, keeps it for a while, and returns its version.
async fn read(url: &str, response: Response, kept: &mut VecDeque<(String, Bytes)>) -> u64 {
    let (mut body, mut bytes) = (response.body.unwrap(), Vec::new());
    while let Some(piece) = body.next().await {
        bytes.push(piece.unwrap());
        tokio::task::yield_now().await;
    }
    // Not copied where it is one piece: it may be a part of a mapped segment.
    let bytes = match &bytes[..] {
        [one] => one.clone(),
        pieces => Bytes::from(pieces.concat()),
    };
    let version = check(url, &bytes);
    kept.push_back((url.to_owned(), bytes));
    if kept.len() > KEPT {
        kept.pop_front();
    }
    version
}

/// The versions of the URLs that one task each wrote.
async fn versions(caches: &CacheStorage) -> BTreeMap<String, u64> {
    let cache = caches.open("live").await.unwrap();
    let mut versions = BTreeMap::new();
    for request in cache.keys((), DEFAULT).await.unwrap() {
        let url = request.url.to_string();
        let found = cache.match_(url.as_str(), DEFAULT).await.unwrap().unwrap();
        let version = read(&url, found, &mut VecDeque::new()).await;
        if url.contains("/own/") {
            versions.insert(url, version);
        }
    }
    versions
}

fn url(kind: &str, number: u64) -> String {
    format!("https://a.test/{kind}/{number}")
}

/// The version, the length, and bytes that follow from these and the URL.
fn pattern(url: &str, version: u64, length: usize) -> Vec<u8> {
    let mut bytes = [version.to_le_bytes(), (length as u64).to_le_bytes()].concat();
    bytes.resize(16 + length, 0);
    let seed = version << 8 ^ length as u64 ^ u64::from(url.as_bytes()[url.len() - 1]);
    StdRng::seed_from_u64(seed).fill(&mut bytes[16..]);
    bytes
}

/// Panics unless the bytes are a whole body of `url`; returns its version.
fn check(url: &str, bytes: &[u8]) -> u64 {
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let (version, length) = (number(0), number(8));
    assert_eq!(bytes.len() as u64, 16 + length, "{url} is cut");
    assert!(bytes == pattern(url, version, length as usize), "{url} is torn");
    version
}
