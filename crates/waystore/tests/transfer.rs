//! Caches as files on a real disk: what a crash leaves, and what memory long bodies take.

use bytes::Bytes;
use futures::{StreamExt, stream};
use waystore::{Body, BucketOptions, CacheQueryOptions, CacheStorage, Response, Waystore};

const SITE: &str = "https://a.test";
const MIB: usize = 1 << 20;

/// The caches of an origin, and those of a bucket of it that no eviction takes.
async fn places(store: &Waystore) -> [CacheStorage; 2] {
    let origin = store.caches(SITE).expect("it is an origin");
    let spared = BucketOptions { persisted: true, ..BucketOptions::default() };
    let bucket = origin.buckets().open("b", spared).await.expect("it can be made");
    [origin, bucket.caches()]
}

#[tokio::test]
async fn what_a_crash_leaves_of_an_import_is_gone_at_the_next_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = Waystore::open(dir.path()).await.unwrap();
    let before = {
        let [origin, bucket] = places(&store).await;
        for storage in [&origin, &bucket] {
            storage.open("c").await.unwrap().put("/x", Response::new(vec![7; 200_000])).await.unwrap();
        }
        let before = origin.estimate().await.unwrap();
        for storage in [&origin, &bucket] {
            // What is there of an import before its end: a cache under a name of this form.
            let gathered = storage.open("\u{FFFE}import 0123456789abcdef0123456789abcdef").await.unwrap();
            gathered.put("/x", Response::new(vec![7; 200_000])).await.unwrap();
        }
        before
    };
    drop(store);

    let store = Waystore::open(dir.path()).await.unwrap();
    let [origin, bucket] = places(&store).await;
    assert_eq!(origin.estimate().await.unwrap(), before);
    for storage in [origin, bucket] {
        assert_eq!(storage.keys().await.unwrap(), ["c".into()]);
    }
}

/// `WAYSTORE_TEST_BODY_MIB=1024 cargo test -p waystore --test transfer` tries it with a gibibyte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_of_export_and_import_does_not_depend_on_a_bodys_length() {
    let mib = std::env::var("WAYSTORE_TEST_BODY_MIB").map_or(96, |mib| mib.parse().expect("a number of MiB"));
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (from, to) = (Waystore::open(dirs[0].path()).await.unwrap(), Waystore::open(dirs[1].path()).await.unwrap());
    let (from, to) = (from.caches(SITE).unwrap().open("c").await.unwrap(), to.caches(SITE).unwrap());

    let before = forget_peak();
    let chunks = (0..mib).flat_map(|number| (0..16).map(move |part| Ok(chunk(number, part))));
    from.put("/film", Response::new(Body::from_stream(stream::iter(chunks), None))).await.unwrap();
    assert_eq!(to.import("c", from.export()).await.unwrap(), 1);
    let found = to.match_("/film", CacheQueryOptions::default()).await.unwrap().unwrap();
    let (length, digest) = digest(found.body.unwrap()).await;
    let grown = peak_bytes() - before;

    assert_eq!(length, mib * MIB);
    let mut expected = blake3::Hasher::new();
    for number in 0..mib {
        for part in 0..16 {
            expected.update(&chunk(number, part));
        }
    }
    assert_eq!(digest, expected.finalize());
    println!("{mib} MiB put, exported, imported and read: {} KiB at most", grown / 1024);
    assert!(grown < 32 * MIB, "{grown} bytes");
}

fn chunk(number: usize, part: u8) -> Bytes {
    let mut chunk = vec![part; 64 * 1024];
    chunk[..8].copy_from_slice(&number.to_le_bytes());
    chunk.into()
}

async fn digest(mut body: Body) -> (usize, blake3::Hash) {
    let (mut hasher, mut length) = (blake3::Hasher::new(), 0);
    while let Some(chunk) = body.next().await {
        let chunk = chunk.expect("what was stored is read");
        length += chunk.len();
        hasher.update(&chunk);
    }
    (length, hasher.finalize())
}

/// From now on the peak is counted anew; returns what is in memory.
fn forget_peak() -> usize {
    std::fs::write("/proc/self/clear_refs", "5").expect("Linux lets a process forget its peak");
    peak_bytes()
}

/// The most memory of the process that was ever in RAM.
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells what a process uses");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it names the peak");
    let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("in KiB");
    kib * 1024
}
