//! Recorded puts that come to no good end: what is left of them, and who is told.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use futures::{StreamExt, channel::mpsc};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};
use waystore::{
    Body, BodyError, Cache, CacheQueryOptions, Clock, PutLevel, Response, Waystore,
    store::disk::{DiskOptions, DiskStore, sim::SimDisk},
};

type Sender = mpsc::UnboundedSender<Result<bytes::Bytes, BodyError>>;

fn open(disk: &SimDisk) -> Waystore {
    let clock = Arc::new(Clock::fixed(1_700_000_000_000, 7));
    let options = DiskOptions::default().sync_every(None).segment_bytes(1 << 20);
    let store = DiskStore::open_on(Arc::new(disk.clone()), Arc::clone(&clock), options).unwrap();
    Waystore::with_store(Arc::new(store), clock)
}

async fn cache(store: &Waystore) -> Cache {
    store.caches("https://a.test").unwrap().open("c").await.unwrap()
}

async fn record(cache: &Cache, url: &str) -> Sender {
    let (sender, chunks) = mpsc::unbounded();
    cache.put_with(url, Response::new(Body::from_stream(chunks, None)), PutLevel::Recorded).await.unwrap();
    sender
}

async fn get(cache: &Cache, url: &str) -> Option<bytes::Bytes> {
    let found = cache.match_(url, CacheQueryOptions::default()).await.unwrap()?;
    Some(found.body.unwrap().collect(usize::MAX).await.unwrap())
}

#[tokio::test]
async fn a_kill_while_a_body_streams_leaves_what_was_committed() {
    for streamed in [10, 200_000, 3_000_000] {
        let disk = SimDisk::default();
        let store = open(&disk);
        let cache_before = cache(&store).await;
        cache_before.put("/x", Response::new("before")).await.unwrap();
        let senders = [record(&cache_before, "/x").await, record(&cache_before, "/new").await];
        for (sender, url) in senders.iter().zip(["/x", "/new"]) {
            let found = cache_before.match_(url, CacheQueryOptions::default()).await.unwrap().unwrap();
            let mut following = found.body.unwrap();
            sender.unbounded_send(Ok(vec![7; streamed].into())).unwrap();
            let mut read = 0;
            while read < streamed {
                read += following.next().await.unwrap().unwrap().len();
            }
        }
        // The process ends here: another starts on what the disk has now.
        let after = open(&disk.copy());
        let cache_after = cache(&after).await;
        assert_eq!(get(&cache_after, "/x").await.as_deref(), Some(&b"before"[..]), "{streamed}");
        assert_eq!(get(&cache_after, "/new").await, None, "{streamed}");
        assert_eq!(after.caches("https://a.test").unwrap().estimate().await.unwrap().usage_bytes, {
            let fresh = open(&SimDisk::default());
            cache(&fresh).await.put("/x", Response::new("before")).await.unwrap();
            fresh.caches("https://a.test").unwrap().estimate().await.unwrap().usage_bytes
        });
        drop(senders);
    }
}

#[tokio::test]
async fn a_recorded_put_that_is_not_stored_is_told_in_the_log() {
    let told = Told::default();
    let _here = tracing::subscriber::set_default(told.clone());
    let store = Waystore::in_memory();
    let cache = cache(&store).await;
    let sender = record(&cache, "/fails").await;
    let reader = cache.match_("/fails", CacheQueryOptions::default()).await.unwrap().unwrap();
    sender.unbounded_send(Err(BodyError::failed("the source broke"))).unwrap();
    assert!(reader.body.unwrap().collect(usize::MAX).await.is_err());
    while told.0.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let lines = told.0.lock().unwrap().clone();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("https://a.test/fails") && lines[0].contains("not stored"), "{lines:?}");
}

/// Keeps warnings, as text.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Subscriber for Told {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN && metadata.target().starts_with("waystore")
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}
