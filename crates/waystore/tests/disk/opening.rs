//! Whose directory it is, who may write to it, and who only looks.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use waystore::{
    Error,
    store::{
        Store,
        disk::{DiskOptions, DiskStore, sim::SimDisk},
    },
};

use super::support::{Op, apply, clock, open, put, relaxed, state};

async fn on_disk(dir: &Path) -> waystore::Result<DiskStore> {
    DiskStore::open(dir, DiskOptions::default()).await
}

#[tokio::test]
async fn s50_a_second_writer_is_told_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let first = on_disk(dir.path()).await.unwrap();
    match on_disk(dir.path()).await {
        Err(Error::Locked { dir: named, pid }) => {
            assert_eq!((named.as_path(), pid), (dir.path(), Some(std::process::id())));
        }
        other => panic!("{other:?}"),
    }
    drop(first);
    on_disk(dir.path()).await.unwrap();
}

#[tokio::test]
async fn a_store_that_this_process_is_about_to_close_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let first = on_disk(dir.path()).await.unwrap();
    let second = tokio::spawn({
        let dir = dir.path().to_owned();
        async move { on_disk(&dir).await }
    });
    // The second begins to wait, as this one has nothing else to do.
    tokio::task::yield_now().await;
    drop(first);
    second.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_directory_of_somebody_else_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("photo.jpg"), "x").unwrap();
    let refused = on_disk(dir.path()).await;
    assert!(matches!(&refused, Err(Error::NotAStore { reason, .. }) if reason.contains("photo.jpg")), "{refused:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert!(matches!(DiskStore::open_read_only(dir.path()).await, Err(Error::NotAStore { .. })));
}

#[tokio::test]
async fn s54_another_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(on_disk(dir.path()).await.unwrap());
    fs::write(dir.path().join("format"), "waystore data directory, format 2\n").unwrap();
    for refused in [on_disk(dir.path()).await, DiskStore::open_read_only(dir.path()).await] {
        assert!(matches!(&refused, Err(Error::NotAStore { reason, .. }) if reason.contains("format 2")), "{refused:?}");
    }
}

#[tokio::test]
async fn what_is_not_there_cannot_be_looked_at_and_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    assert!(matches!(DiskStore::open_read_only(&missing).await, Err(Error::NotAStore { .. })));
    assert!(!missing.exists());
}

#[tokio::test]
async fn only_the_owner_may_read() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("a/b");
    let store = on_disk(&dir).await.unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    assert!(apply(&store, Op::Put("c", &[("/big", 70_000)])).await);
    let mut todo = vec![dir];
    while let Some(path) = todo.pop() {
        let metadata = fs::metadata(&path).unwrap();
        let mode = metadata.permissions().mode() & 0o777;
        assert_eq!(mode, if metadata.is_dir() { 0o700 } else { 0o600 }, "{path:?}");
        if metadata.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
}

#[tokio::test]
async fn who_only_looks_sees_what_was_committed_beside_a_writer_and_changes_nothing() {
    let disk = SimDisk::default();
    let store = open(&disk, relaxed()).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    assert!(apply(&store, Op::Put("c", &[("/a", 10), ("/big", 70_000)])).await);
    // A body nobody names yet is not for a reader to remove.
    let written = super::support::new_body(&store, 90_000).await.unwrap();
    let (committed, changes) = (state(&store).await, disk.changes());
    let reader = DiskStore::open_read_only_on(std::sync::Arc::new(disk.clone()), clock()).unwrap();
    assert_eq!(state(&reader).await, committed);
    assert!(matches!(put(&reader, "c", &[("/b", 1)]).await, Err(Error::Unavailable { .. })));
    assert!(put(&reader, "c", &[("/b", 100_000)]).await.is_err());
    reader.sync().await.unwrap();
    assert_eq!(disk.changes(), changes);
    assert!(apply(&store, Op::Put("c", &[("/c", 10)])).await);
    assert_eq!(state(&reader).await, committed, "it looks at one moment");
    drop((reader, written));
}

#[tokio::test]
async fn a_reader_ignores_a_torn_tail() {
    for changes in 30..60 {
        let disk = SimDisk::default();
        disk.stop_after(changes, changes);
        let mut committed = super::support::State::new();
        let Ok(store) = open(&disk, relaxed()) else { continue };
        for op in [Op::Open("c"), Op::Put("c", &[("/a", 10_000)]), Op::Put("c", &[("/b", 60_000), ("/c", 60_000)])]
            .into_iter()
            .chain((0..40).map(|_| Op::Put("c", &[("/d", 50), ("/e", 1000)])))
        {
            if !apply(&store, op).await {
                break;
            }
            committed = super::support::after(&committed, op);
        }
        drop(store);
        disk.restart();
        let before = disk.changes();
        let reader = DiskStore::open_read_only_on(std::sync::Arc::new(disk.clone()), clock()).unwrap();
        assert_eq!(state(&reader).await, committed);
        assert_eq!(disk.changes(), before);
    }
}
