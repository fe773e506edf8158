//! Caches that go from one store to another as a file.

use bytes::Bytes;

use super::support::{PLAIN, all, caches, failing, get, keys, matched, of_kind, open, put, put_varying, request};
use crate::{Body, CacheStorage, CredentialHash, Error, Limits, Response, ResponseType, Waystore};

super::case_list!(Case:
    an_import_gives_what_was_exported,
    an_import_takes_the_name_in_one_instant_when_it_is_whole,
    a_file_that_was_changed_or_cut_anywhere_changes_nothing,
    a_file_that_cannot_be_read_to_its_end_changes_nothing,
    an_import_over_the_quota_changes_nothing,
    what_a_crashed_import_left_is_removed_by_the_next,
    pins_and_visitors_are_imported,
);

async fn file(storage: &CacheStorage, name: &str) -> Bytes {
    storage.open(name).await.unwrap().export().collect(usize::MAX).await.unwrap()
}

async fn names(storage: &CacheStorage) -> Vec<String> {
    storage.keys().await.unwrap().iter().map(ToString::to_string).collect()
}

async fn an_import_gives_what_was_exported(store: Waystore) {
    let cache = open(&store).await;
    for number in 0..300 {
        put(&cache, &format!("/{number}"), &number.to_string()).await;
    }
    put(&cache, "/long", &"long".repeat(100_000)).await;
    put(&cache, "/empty", "").await;
    cache.put("/null", Response::empty(204)).await.unwrap();
    cache.put("/opaque", of_kind(ResponseType::Opaque, 200, &[("a", "b")], "image")).await.unwrap();
    for value in ["1", "2"] {
        put_varying(&cache, "/vary#f", &[("x", value)], "x", value).await;
    }
    let storage = caches(&store);
    let file = file(&storage, "c").await;
    assert_eq!(storage.import("copy", Body::from(file.clone())).await.unwrap(), 306);
    let copy = storage.open("copy").await.unwrap();
    assert_eq!(keys(&copy).await, keys(&cache).await);
    assert!(all(&copy, (), PLAIN).await == all(&cache, (), PLAIN).await);
    let heads = |cache: &crate::Cache| {
        let cache = cache.clone();
        async move { cache.match_all((), PLAIN).await.unwrap().into_iter().map(|found| found.head).collect::<Vec<_>>() }
    };
    assert_eq!(heads(&copy).await, heads(&cache).await);
    assert!(copy.match_("/null", PLAIN).await.unwrap().unwrap().body.is_none());
    assert_eq!(matched(&copy, request("/vary", &[("x", "1")]), PLAIN).await, "1");
    assert_eq!(names(&storage).await, ["c", "copy"]);
    // The same file a byte at a time.
    let bytes: Vec<_> = file.chunks(1).map(|byte| Ok(Bytes::copy_from_slice(byte))).take(100_000).collect();
    let slow = bytes.into_iter().chain([Ok(file.slice(100_000..))]);
    assert_eq!(storage.import("again", Body::from_stream(futures::stream::iter(slow), None)).await.unwrap(), 306);
}

async fn an_import_takes_the_name_in_one_instant_when_it_is_whole(store: Waystore) {
    let storage = caches(&store);
    put(&storage.open("new").await.unwrap(), "/x", "new").await;
    put(&storage.open("old").await.unwrap(), "/x", "old").await;
    put(&storage.open("old").await.unwrap(), "/y", "old").await;
    let file = file(&storage, "new").await;
    let (start, end) = (file.slice(..file.len() - 1), file.slice(file.len() - 1..));
    let (sender, chunks) = futures::channel::mpsc::unbounded();
    let mut importing = Box::pin(storage.import("old", Body::from_stream(chunks, None)));
    sender.unbounded_send(Ok(start)).unwrap();
    while storage.keys().await.unwrap().len() < 3 {
        assert!(futures::poll!(&mut importing).is_pending());
        tokio::task::yield_now().await;
    }
    assert!(futures::poll!(&mut importing).is_pending());
    assert_eq!(get(&storage.open("old").await.unwrap(), "/x").await, "old");
    sender.unbounded_send(Ok(end)).unwrap();
    drop(sender);
    assert_eq!(importing.await.unwrap(), 1);
    assert_eq!(keys(&storage.open("old").await.unwrap()).await, ["/x"]);
    assert_eq!(get(&storage.open("old").await.unwrap(), "/x").await, "new");
    assert_eq!(names(&storage).await, ["new", "old"]);
}

async fn a_file_that_was_changed_or_cut_anywhere_changes_nothing(store: Waystore) {
    let storage = caches(&store);
    let cache = open(&store).await;
    put(&cache, "/x", "1").await;
    cache.put("/y", Response::empty(204)).await.unwrap();
    let file = file(&storage, "c").await;
    for cut in 0..file.len() {
        let refused = storage.import("c", Body::from(file.slice(..cut))).await;
        assert!(matches!(refused, Err(Error::Damaged { .. })), "cut to {cut}: {refused:?}");
    }
    for at in 0..file.len() {
        let mut changed = file.to_vec();
        changed[at] ^= 0x41;
        let refused = storage.import("c", Body::from(changed)).await;
        assert!(matches!(refused, Err(Error::Damaged { .. })), "changed at {at}: {refused:?}");
    }
    let longer = [&file[..], b"x"].concat();
    assert!(matches!(storage.import("c", Body::from(longer)).await, Err(Error::Damaged { .. })));
    assert_eq!(keys(&cache).await, ["/x", "/y"]);
    assert_eq!(names(&storage).await, ["c"]);
}

async fn a_file_that_cannot_be_read_to_its_end_changes_nothing(store: Waystore) {
    let storage = caches(&store);
    put(&open(&store).await, "/x", "1").await;
    assert!(matches!(storage.import("c", failing(&["waystore cache, "])).await, Err(Error::Body(_))));
    assert_eq!(keys(&storage.open("c").await.unwrap()).await, ["/x"]);
    assert_eq!(names(&storage).await, ["c"]);
}

async fn an_import_over_the_quota_changes_nothing(store: Waystore) {
    let storage = caches(&store);
    put(&open(&store).await, "/x", &"x".repeat(300_000)).await;
    let file = file(&storage, "c").await;
    store.set_limits(Limits::default().per_key(500_000));
    assert!(matches!(storage.import("c", Body::from(file)).await, Err(Error::QuotaExceeded { .. })));
    assert_eq!(keys(&storage.open("c").await.unwrap()).await, ["/x"]);
    assert_eq!(names(&storage).await, ["c"]);
}

async fn what_a_crashed_import_left_is_removed_by_the_next(store: Waystore) {
    let storage = caches(&store);
    put(&open(&store).await, "/x", "1").await;
    let file = file(&storage, "c").await;
    let (_sender, never) = futures::channel::mpsc::unbounded();
    let mut hanging = Box::pin(storage.import("d", Body::from_stream(never, None)));
    while storage.keys().await.unwrap().len() < 2 {
        assert!(futures::poll!(&mut hanging).is_pending());
        tokio::task::yield_now().await;
    }
    drop(hanging);
    assert_eq!(storage.import("d", Body::from(file)).await.unwrap(), 1);
    assert_eq!(names(&storage).await, ["c", "d"]);
}

async fn pins_and_visitors_are_imported(store: Waystore) {
    let storage = caches(&store);
    put(&storage.clone().pinning().open("c").await.unwrap(), "/pinned", "1").await;
    for visitor in [1, 2] {
        let mut personal = Response::new("own");
        personal.personal = Some(CredentialHash([visitor; 16]));
        open(&store).await.put("/me", personal).await.unwrap();
    }
    let file = file(&storage, "c").await;
    assert_eq!(storage.import("copy", Body::from(file)).await.unwrap(), 3);
    let copy = storage.open("copy").await.unwrap();
    let page = copy.store.page(&copy.list, None, 10).await.unwrap();
    let told: Vec<_> = page.iter().map(|found| (found.entry.is_pinned(), found.entry.personal())).collect();
    let hash = |visitor| Some(CredentialHash([visitor; 16]));
    assert_eq!(told, [(true, None), (false, hash(1)), (false, hash(2))]);
}
