//! Aborting, dropping, and going on.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, channel::mpsc};
use waystore::{
    AbortSignal, Body, BodyError, Response, Waystore,
    prefetch::{Event, Follow, Outcome, Prefetch, Progress},
    testing::Canned,
};

use super::support::{get, json, keys, new_cache, only, open, outcomes, plan, start};

type Chunks = mpsc::UnboundedSender<Result<Bytes, BodyError>>;

/// `/x` streams what is sent to it, `/done` is done at once; the signal of the request for `/x` is told.
fn streaming() -> (Canned, Chunks, Arc<std::sync::Mutex<Option<AbortSignal>>>) {
    let (sender, chunks) = mpsc::unbounded();
    let chunks = std::sync::Mutex::new(Some(chunks));
    let signal = Arc::<std::sync::Mutex<Option<AbortSignal>>>::default();
    let seen = Arc::clone(&signal);
    let network = only(move |request| {
        seen.lock().unwrap().clone_from(&request.signal);
        Ok(Response::new(Body::from_stream(chunks.lock().unwrap().take().unwrap(), None)))
    });
    (network.on("/done", |_| Ok(Response::new("done"))), sender, signal)
}

/// Reads events until nothing happens any more; returns them.
fn ready(running: &mut waystore::prefetch::Running) -> Vec<Event> {
    std::iter::from_fn(|| running.next().now_or_never().flatten()).collect()
}

#[tokio::test]
async fn aborting_stops_fetches_and_leaves_nothing_half_done() {
    let store = Waystore::in_memory();
    let cache = open(&store).await;
    let (network, sender, request_signal) = streaming();
    let signal = AbortSignal::new();
    let plan = Prefetch { concurrency: 2, ..plan().with("/done").with("/never") };
    let mut running =
        start(Prefetch { concurrency_per_origin: 2, ..plan }, &cache, &network).with_signal(signal.clone());
    sender.unbounded_send(Ok(vec![b'x'; 300_000].into())).unwrap();
    ready(&mut running);
    signal.abort();
    let events = ready(&mut running);
    assert!(matches!(events.last(), Some(Event::Ended(summary)) if summary.aborted == 1), "{events:?}");
    assert!(sender.is_closed() && request_signal.lock().unwrap().as_ref().unwrap().aborted());
    let rows = outcomes(&running.rows());
    assert_eq!(
        rows.iter().map(|(outcome, _)| *outcome).collect::<Vec<_>>(),
        [Outcome::Aborted, Outcome::Stored, Outcome::Failed]
    );
    assert_eq!(keys(&cache).await, ["/done"]);
    let clean = Waystore::in_memory();
    open(&clean).await.put("/done", Response::new("done")).await.unwrap();
    let usage = |store: &Waystore| store.caches("https://a.test").unwrap();
    assert_eq!(
        usage(&store).estimate().await.unwrap().usage_bytes,
        usage(&clean).estimate().await.unwrap().usage_bytes
    );
}

#[tokio::test]
async fn a_signal_that_is_aborted_already_fetches_nothing() {
    let cache = new_cache().await;
    let network = only(|_| Ok(Response::new("x")));
    let signal = AbortSignal::new();
    signal.abort();
    let rows = start(plan(), &cache, &network).with_signal(signal).finish().await;
    assert_eq!((rows[0].outcome, network.asked().len()), (Outcome::Aborted, 0));
}

#[tokio::test]
async fn what_is_dropped_stops_and_goes_on_from_its_progress_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let follow = Follow::json_pointer("").unwrap();
    let plan = Prefetch { concurrency: 1, ..Prefetch::new(["/list", "/x", "/z"]).follow(follow) };
    let kept = {
        let store = Waystore::open(dir.path()).await.unwrap();
        let cache = open(&store).await;
        let (network, sender, request_signal) = streaming();
        let network = network.on("/list", |_| Ok(json(r#"["/y"]"#)));
        let mut running = start(plan.clone(), &cache, &network);
        while !matches!(running.next().await, Some(Event::Followed { .. })) {}
        sender.unbounded_send(Ok(vec![b'x'; 300_000].into())).unwrap();
        ready(&mut running);
        let kept = serde_json::to_string(&running.progress()).unwrap();
        drop(running);
        assert!(sender.is_closed() && request_signal.lock().unwrap().as_ref().unwrap().aborted());
        kept
    };
    let store = Waystore::open(dir.path()).await.unwrap();
    let cache = open(&store).await;
    assert_eq!(keys(&cache).await, ["/list"]);
    let network =
        only(|_| Ok(Response::new("x"))).on("/y", |_| Ok(Response::new("y"))).on("/z", |_| Ok(Response::new("z")));
    let progress: Progress = serde_json::from_str(&kept).unwrap();
    assert_eq!((progress.done(), progress.total()), (1, 4));
    let running = plan.resume(cache.clone(), Arc::new(network.clone()), progress).unwrap();
    let rows = running.finish().await;
    assert_eq!(network.asked().len(), 3);
    assert_eq!(rows.iter().map(|row| row.outcome).collect::<Vec<_>>(), [Outcome::Stored; 4]);
    assert_eq!(rows[3].from.as_deref(), Some("https://a.test/list"));
    assert_eq!(get(&cache, "/y").await.as_deref(), Some("y"));
}

#[tokio::test]
async fn nothing_is_fetched_that_nobody_asks_the_stream_for() {
    let cache = new_cache().await;
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    let network = only(move |_| {
        seen.store(true, Ordering::SeqCst);
        Ok(Response::new("x"))
    });
    let running = start(plan(), &cache, &network);
    tokio::task::yield_now().await;
    assert!(!asked.load(Ordering::SeqCst));
    assert_eq!(running.finish().await[0].outcome, Outcome::Stored);
}

#[tokio::test]
async fn progress_of_more_urls_than_a_plan_may_name_goes_on() {
    let done = r#"{"url": "https://a.test/x", "done": {"outcome": "stored"}}"#;
    let rows = vec![done; waystore::prefetch::MAX_URLS + 1].join(",");
    let progress: Progress =
        serde_json::from_str(&format!(r#"{{"rows": [{rows}], "bytes": 0, "spentMs": 0}}"#)).unwrap();
    let running = plan().resume(new_cache().await, Arc::new(only(|_| Ok(Response::new("x")))), progress).unwrap();
    assert_eq!(running.rows().len(), waystore::prefetch::MAX_URLS + 1);
}

#[tokio::test]
async fn progress_whose_documents_name_more_than_there_is_does_not_hold_together() {
    let resumed = async |followed: &str| {
        let row = format!(r#"{{"url": "https://a.test/x", "done": {{"outcome": "stored", "followed": {followed}}}}}"#);
        let progress = format!(r#"{{"rows": [{row}, {row}, {row}], "bytes": 0, "spentMs": 0}}"#);
        let progress: Progress = serde_json::from_str(&progress).unwrap();
        let network = Arc::new(only(|_| Ok(Response::new("x"))));
        plan().resume(new_cache().await, network, progress).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(resumed("[1, 2]").await, Ok(()));
    // What each row repeats of the others would grow with the square of their number.
    for wrong in ["[0, 3]", "[2, 1]", "[3, 4]"] {
        assert!(resumed(wrong).await.unwrap_err().contains("does not hold together"), "{wrong}");
    }
}
