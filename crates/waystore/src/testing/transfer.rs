//! Caches that go from one store to another as a file.

use std::pin::Pin;

use bytes::Bytes;

use super::support::{PLAIN, all, caches, failing, get, keys, matched, of_kind, open, put, put_varying, request};
use crate::{
    Body, CacheStorage, CredentialHash, Error, Limits, Response, ResponseType, Waystore,
    transfer::gathering::is_gathering,
};

super::case_list!(Case:
    an_import_gives_what_was_exported,
    how_long_an_export_is_can_be_told_before,
    nothing_is_seen_of_an_import_until_it_is_whole,
    a_file_that_was_changed_or_cut_anywhere_changes_nothing,
    a_file_that_cannot_be_read_to_its_end_changes_nothing,
    an_import_over_the_quota_changes_nothing,
    an_import_that_is_given_up_leaves_nothing,
    pins_and_visitors_are_imported,
);

async fn file(storage: &CacheStorage, name: &str) -> Bytes {
    storage.open(name).await.unwrap().export().collect(usize::MAX).await.unwrap()
}

async fn names(storage: &CacheStorage) -> Vec<String> {
    storage.keys().await.unwrap().iter().map(ToString::to_string).collect()
}

/// Polls an import until everything it was given is stored.
async fn until_gathered(storage: &CacheStorage, importing: &mut Pin<Box<impl Future<Output = crate::Result<u64>>>>) {
    let stored = async || {
        let mut entries = 0;
        for name in storage.all_names().await.unwrap() {
            if is_gathering(&name) {
                entries += keys(&storage.open(name).await.unwrap()).await.len();
            }
        }
        entries
    };
    while stored().await == 0 {
        assert!(futures::poll!(importing.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        assert!(futures::poll!(importing.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
}

async fn how_long_an_export_is_can_be_told_before(store: Waystore) {
    let caches = caches(&store);
    let cache = caches.open("v1").await.unwrap();
    assert_eq!(cache.export_length().await.unwrap(), file(&caches, "v1").await.len() as u64, "an empty one");
    for (number, length) in [0, 1, 65_536, 65_537, 1_000_000].into_iter().enumerate() {
        put(&cache, &format!("/{number}"), &"x".repeat(length)).await;
    }
    cache.put("/null", Response::empty(204)).await.unwrap();
    let (told, actual) = (cache.export_length().await.unwrap(), file(&caches, "v1").await.len() as u64);
    // Parts of a body may come shorter than they may be.
    assert!(told.abs_diff(actual) <= actual / 100, "{told} was told of {actual}");
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

async fn nothing_is_seen_of_an_import_until_it_is_whole(store: Waystore) {
    let storage = caches(&store);
    put(&storage.open("new").await.unwrap(), "/x", "new").await;
    put(&storage.open("new").await.unwrap(), "/only in the file", "1").await;
    put(&storage.open("old").await.unwrap(), "/x", "old").await;
    put(&storage.open("old").await.unwrap(), "/y", "old").await;
    let file = file(&storage, "new").await;
    storage.open("new").await.unwrap().delete("/only in the file", PLAIN).await.unwrap();
    let (start, end) = (file.slice(..file.len() - 1), file.slice(file.len() - 1..));
    let (sender, chunks) = futures::channel::mpsc::unbounded();
    let mut importing = Box::pin(storage.import("old", Body::from_stream(chunks, None)));
    sender.unbounded_send(Ok(start)).unwrap();
    until_gathered(&storage, &mut importing).await;
    assert_eq!(names(&storage).await, ["new", "old"]);
    assert!(storage.match_("/only in the file", PLAIN).await.unwrap().is_none());
    assert_eq!(get(&storage.open("old").await.unwrap(), "/x").await, "old");
    sender.unbounded_send(Ok(end)).unwrap();
    drop(sender);
    assert_eq!(importing.await.unwrap(), 2);
    assert_eq!(keys(&storage.open("old").await.unwrap()).await, ["/x", "/only%20in%20the%20file"]);
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

async fn an_import_that_is_given_up_leaves_nothing(store: Waystore) {
    let storage = caches(&store);
    put(&open(&store).await, "/x", "1").await;
    let file = file(&storage, "c").await;
    let before = storage.estimate().await.unwrap();
    let (sender, chunks) = futures::channel::mpsc::unbounded();
    sender.unbounded_send(Ok(file.slice(..file.len() - 1))).unwrap();
    let mut hanging = Box::pin(storage.import("d", Body::from_stream(chunks, None)));
    until_gathered(&storage, &mut hanging).await;
    // One under way is left alone.
    assert_eq!(storage.import("d", Body::from(file.clone())).await.unwrap(), 1);
    assert!(storage.estimate().await.unwrap().usage_bytes > 2 * before.usage_bytes);
    drop(hanging);
    assert_eq!(storage.estimate().await.unwrap().usage_bytes, 2 * before.usage_bytes);
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
