//! Many at once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use waystore::store::{
    Changes, Commit, ListChange, NameChange, NewBody, NewEntry, ReadSet, Store,
    disk::{DiskOptions, DiskStore, Durability, sim::SimDisk},
};

use super::support::{Op, apply, commit, entry, list, names, new_body, open, options, place, put, relaxed, state};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e149_a_reader_sees_a_batch_whole_or_not_at_all() {
    let disk = SimDisk::default();
    let store = Arc::new(open(&disk, relaxed()).unwrap());
    assert!(apply(&store, Op::Open("c")).await);
    let list = list(&store, "c").await;
    let done = Arc::new(AtomicBool::new(false));
    let (reader, held, stop) = (Arc::clone(&store), list.clone(), Arc::clone(&done));
    let reading = tokio::spawn(async move {
        while !stop.load(Ordering::Acquire) {
            let found = reader.page(&held, None, usize::MAX).await.unwrap().len();
            assert_eq!(found % 100, 0);
            tokio::task::yield_now().await;
        }
    });
    for _ in 0..30 {
        let mut insert = Vec::new();
        for number in 0..100 {
            insert
                .push(NewEntry { entry: entry(&format!("/{number}")), body: new_body(&store, number).await.unwrap() });
        }
        let change = ListChange { list: list.clone(), remove: vec![], insert };
        let changes = Changes { names: vec![], lists: vec![change] };
        assert_eq!(commit(&store, &ReadSet::default(), changes).await.unwrap(), Commit::Applied);
        tokio::task::yield_now().await;
    }
    done.store(true, Ordering::Release);
    reading.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_puts_at_once_are_all_there() {
    let dir = tempfile::tempdir().unwrap();
    let options = DiskOptions::default().durability(Durability::Strict);
    let store = Arc::new(DiskStore::open(dir.path(), options.clone()).await.unwrap());
    assert!(apply(&store, Op::Open("c")).await);
    let puts: Vec<_> = (0..50)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let url = format!("/{number}");
                put(&store, "c", &[(&url, number * 3000)]).await.unwrap()
            })
        })
        .collect();
    for put in puts {
        assert_eq!(put.await.unwrap(), Commit::Applied);
    }
    drop(store);
    let store = DiskStore::open(dir.path(), options).await.unwrap();
    assert!(store.report().is_clean());
    assert_eq!(state(&store).await[0].1.len(), 50);
}

/// How often the disk syncs for strict commits of `batch` entries that were all written before it could.
fn syncs_of(commits: usize, batch: usize) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    let disk = SimDisk::default();
    let strict = options(Durability::Strict);
    runtime.block_on(async {
        let store = Arc::new(open(&disk, strict.clone()).unwrap());
        assert!(apply(&store, Op::Open("c")).await);
        let held = list(&store, "c").await;
        let before = disk.syncs();
        // Nobody can wait for the disk until all have written.
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || wait.recv());
        let all: Vec<_> = (0..commits)
            .map(|number| {
                let (store, list) = (Arc::clone(&store), held.clone());
                tokio::spawn(async move {
                    let new = |at| NewEntry { entry: entry(&format!("/{number}/{at}")), body: NewBody::Null };
                    let change = ListChange { list, remove: vec![], insert: (0..batch).map(new).collect() };
                    commit(&store, &ReadSet::default(), Changes { names: vec![], lists: vec![change] }).await
                })
            })
            .collect();
        while store.page(&held, None, usize::MAX).await.unwrap().len() < commits * batch {
            tokio::task::yield_now().await;
        }
        go.send(()).unwrap();
        busy.await.unwrap().unwrap();
        for done in all {
            assert_eq!(done.await.unwrap().unwrap(), Commit::Applied);
        }
        let syncs = disk.syncs() - before;
        // Each was said to be safe, so each is there whatever the disk forgets.
        disk.lose_power(0);
        let store = open(&disk, strict).unwrap();
        assert_eq!(state(&store).await[0].1.len(), commits * batch);
        syncs
    })
}

#[test]
fn strict_commits_at_once_share_one_sync() {
    assert_eq!(syncs_of(1, 1), 1);
    assert_eq!(syncs_of(1, 100), 1, "a batch is one write and one sync");
    assert_eq!(syncs_of(64, 1), 1);
}

#[test]
fn a_strict_commit_that_finds_its_change_made_waits_until_that_is_safe() {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    let disk = SimDisk::default();
    runtime.block_on(async {
        let store = open(&disk, options(Durability::Strict)).unwrap();
        // Nobody can wait for the disk until both have written.
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || wait.recv());
        let bind = || Box::pin(names(&store, NameChange::Bind(place(), "c".into())));
        let (mut first, mut second) = (bind(), bind());
        assert!(futures::poll!(&mut first).is_pending());
        assert!(futures::poll!(&mut second).is_pending(), "the name is there, and not on the disk");
        go.send(()).unwrap();
        busy.await.unwrap().unwrap();
        assert_eq!((first.await.unwrap(), second.await.unwrap()), (Commit::Applied, Commit::Applied));
    });
}

#[tokio::test]
async fn a_strict_batch_of_a_hundred_is_one_write_and_one_sync() {
    let disk = SimDisk::default();
    let store = open(&disk, options(Durability::Strict).segment_bytes(1024 * 1024)).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    let list = list(&store, "c").await;
    let (changes, syncs) = (disk.changes(), disk.syncs());
    let body = NewBody::Inline(vec![7; 4096].into());
    let insert = (0..100).map(|at| NewEntry { entry: entry(&format!("/{at}")), body: body.clone() }).collect();
    let change = ListChange { list: list.clone(), remove: vec![], insert };
    commit(&store, &ReadSet::default(), Changes { names: vec![], lists: vec![change] }).await.unwrap();
    assert_eq!((disk.changes() - changes, disk.syncs() - syncs), (2, 1), "the sync is the other change");
    assert_eq!(store.page(&list, None, usize::MAX).await.unwrap().len(), 100);
}
