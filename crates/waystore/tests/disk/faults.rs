//! The disk refuses: no room, failing writes, failing syncs, failing reads.

use std::sync::Arc;

use futures::StreamExt;
use waystore::{
    BodyError, Bottle, Error, Place,
    store::{
        CandidateBody, Changes, Commit, NameChange, ReadSet, Store,
        disk::{Durability, sim::SimDisk},
    },
};

use super::support::{Op, apply, assert_no_strays, content, key, list, open, options, put, read, relaxed, state};

const BEFORE: &[Op] = &[Op::Open("c"), Op::Put("c", &[("/a", 100), ("/big", 80_000)])];

async fn prepared() -> SimDisk {
    let disk = SimDisk::default();
    let store = open(&disk, relaxed()).unwrap();
    for op in BEFORE {
        assert!(apply(&store, *op).await);
    }
    drop(store);
    disk
}

#[tokio::test]
async fn s20_s52_no_room_at_any_write_is_a_quota_error_and_changes_nothing() {
    let puts = [("/a", 200), ("/new", 60_000), ("/x", 50_000), ("/big", 300_000)];
    for (failed, room) in (0..).step_by(2000).enumerate() {
        let disk = prepared().await;
        let store = open(&disk, relaxed()).unwrap();
        let before = state(&store).await;
        disk.set_room(Some(room));
        let done = put(&store, "c", &puts).await;
        disk.set_room(None);
        if done.is_ok() {
            assert!(failed > 100, "there was room for {room} bytes at once");
            return;
        }
        assert!(matches!(done, Err(Error::QuotaExceeded { requested: Some(_), quota: None })), "{done:?}");
        assert_eq!(state(&store).await, before);
        assert!(apply(&store, Op::Put("c", &[("/later", 7)])).await, "room for {room} bytes, then for all");
        let after = state(&store).await;
        drop(store);
        let store = open(&disk, relaxed()).unwrap();
        assert!(store.report().is_clean(), "room for {room} bytes: {:?}", store.report());
        assert_eq!(state(&store).await, after, "room for {room} bytes");
        assert_no_strays(&disk, &after);
    }
}

#[tokio::test]
async fn a_failing_write_changes_nothing_and_the_next_one_works() {
    let puts = [("/a", 200), ("/new", 60_000), ("/x", 50_000), ("/big", 300_000)];
    let mut failed = 0;
    for changes in 0.. {
        for seed in 0..4 {
            let disk = prepared().await;
            let store = open(&disk, relaxed()).unwrap();
            let before = state(&store).await;
            disk.fail_write_after(changes, seed);
            if put(&store, "c", &puts).await.is_ok() {
                assert!(failed > 10);
                return;
            }
            failed += 1;
            assert_eq!(state(&store).await, before);
            // Killed now, what failed is not there either; going on, it does not come back.
            let killed = disk.copy();
            assert_eq!(state(&open(&killed, relaxed()).unwrap()).await, before, "after {changes} changes");
            assert!(apply(&store, Op::Put("c", &[("/later", 7)])).await);
            let after = state(&store).await;
            let killed = disk.copy();
            assert_eq!(state(&open(&killed, relaxed()).unwrap()).await, after, "after {changes} changes");
        }
    }
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_said_to_be_safe_and_nothing_more_is_written() {
    let disk = prepared().await;
    let store = open(&disk, options(Durability::Strict)).unwrap();
    disk.set_syncs_fail(true);
    assert!(matches!(put(&store, "c", &[("/x", 1)]).await, Ok(Commit::OutcomeUnknown)));
    disk.set_syncs_fail(false);
    assert!(matches!(put(&store, "c", &[("/y", 1)]).await, Err(Error::Unavailable { .. })));
    assert!(matches!(store.sync().await, Err(Error::Unavailable { .. })));
    // It can still be read, and opened again.
    assert!(!state(&store).await.is_empty());
    drop(store);
    assert!(apply(&open(&disk, relaxed()).unwrap(), Op::Put("c", &[("/y", 1)])).await);
}

#[tokio::test]
async fn too_many_open_files_fail_a_sync_and_not_the_store() {
    let disk = prepared().await;
    let store = open(&disk, relaxed()).unwrap();
    assert!(apply(&store, Op::Put("c", &[("/x", 300_000)])).await);
    disk.set_too_many_open(true);
    assert!(matches!(store.sync().await, Err(Error::Unavailable { .. })));
    disk.set_too_many_open(false);
    store.sync().await.unwrap();
    let synced = state(&store).await;
    disk.lose_all_unsynced();
    assert_eq!(state(&open(&disk, relaxed()).unwrap()).await, synced);
}

#[tokio::test]
async fn after_a_failed_sync_no_more_bodies_pile_up() {
    let disk = prepared().await;
    let store = open(&disk, relaxed()).unwrap();
    disk.set_syncs_fail(true);
    assert!(apply(&store, Op::Put("c", &[("/x", 1)])).await);
    assert!(store.sync().await.is_err());
    let before = disk.files();
    assert!(matches!(put(&store, "c", &[("/y", 300_000)]).await, Err(Error::Unavailable { .. })));
    assert_eq!(disk.files(), before);
}

#[tokio::test]
async fn a_damaged_entry_stays_gone_though_saying_so_failed_at_first() {
    let disk = SimDisk::default();
    let store = open(&disk, relaxed()).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    assert!(apply(&store, Op::Put("c", &[("/a", 100)])).await);
    let log = "log/0000000001.seg";
    let mut at = None;
    disk.edit(log, |bytes| at = bytes.windows(100).position(|some| some == content(100)));
    let flip = || disk.edit(log, |bytes| bytes[at.unwrap()] ^= 1);
    flip();
    assert_eq!(state(&store).await[0].1, []);
    disk.fail_write_after(0, 1);
    assert!(put(&store, "c", &[("/a", 200)]).await.is_err());
    assert!(apply(&store, Op::Put("c", &[("/a", 200)])).await);
    // The disk had a bad moment, and the process is killed.
    flip();
    assert_eq!(state(&open(&disk.copy(), relaxed()).unwrap()).await[0].1, [("/a".to_owned(), 200)]);
}

#[tokio::test]
async fn s53_a_body_that_cannot_be_read_errors_and_may_be_read_later() {
    let disk = prepared().await;
    let store = open(&disk, relaxed()).unwrap();
    let held = list(&store, "c").await;
    disk.set_unreadable(Some("bodies/"));
    let page = store.page(&held, None, 10).await.unwrap();
    assert!(matches!(read(&page[1]).await, Err(BodyError::Failed(_))));
    disk.set_unreadable(None);
    assert_eq!(read(&page[1]).await.unwrap().len(), 80_000);
}

#[tokio::test]
async fn a_long_body_with_a_bad_sector_comes_up_to_there_and_ends_with_an_error() {
    for far in [false, true] {
        let disk = SimDisk::default();
        let store = open(&disk, relaxed()).unwrap();
        assert!(apply(&store, Op::Open("c")).await);
        assert!(apply(&store, Op::Put("c", &[("/big", 6_000_000)])).await);
        let path = disk.files().into_iter().map(|(path, _)| path).find(|path| path.starts_with("bodies/")).unwrap();
        disk.spoil_sector(&path, 3_000_000);
        disk.set_far(far);
        let page = store.page(&list(&store, "c").await, None, 1).await.unwrap();
        let CandidateBody::Stored(body) = &page[0].body else { panic!("a large body is stored") };
        let mut chunks: Vec<_> = Arc::clone(body).open().collect().await;
        assert!(matches!(chunks.pop(), Some(Err(BodyError::Failed(_)))));
        let came: Vec<u8> = chunks.into_iter().flat_map(Result::unwrap).collect();
        assert!(came.len() > 2_500_000 && came == content(6_000_000)[..came.len()], "{} bytes", came.len());
    }
}

#[tokio::test]
async fn registrations_survive_power_loss_in_a_relaxed_store() {
    let disk = prepared().await;
    let store = open(&disk, relaxed()).unwrap();
    let place = Place::new(key(), Bottle::ServiceWorkerRegistrations);
    let changes = Changes { names: vec![NameChange::Bind(place.clone(), "/".into())], lists: vec![] };
    let op = super::support::clock().op_id();
    assert_eq!(store.commit(&key(), op, &ReadSet::default(), &changes).await.unwrap(), Commit::Applied);
    for seed in 0..20 {
        let disk = disk.copy();
        disk.lose_power(seed);
        let store = open(&disk, relaxed()).unwrap();
        assert!(store.list(&place, &"/".into()).await.unwrap().is_some(), "seed {seed}");
    }
}

#[tokio::test]
async fn a_sync_makes_everything_before_it_survive_power_loss() {
    let disk = prepared().await;
    let store = open(&disk, relaxed()).unwrap();
    assert!(apply(&store, Op::Put("c", &[("/x", 70_000), ("/y", 3)])).await);
    store.sync().await.unwrap();
    let synced = state(&store).await;
    for seed in 0..20 {
        let disk = disk.copy();
        disk.lose_power(seed);
        assert_eq!(state(&open(&disk, relaxed()).unwrap()).await, synced, "seed {seed}");
    }
}
