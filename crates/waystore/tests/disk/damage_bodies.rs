//! Bodies on the disk change: nobody ever gets their bytes, and their entries go.

use std::sync::Arc;

use futures::StreamExt;
use waystore::{
    Body, BodyError,
    store::{Candidate, CandidateBody, Read, Store, StoredBody, UrlMatch, disk::sim::SimDisk},
};

use super::{
    damage::{closed, short, turn_a_bit},
    support::{Op, apply, full, list, open, read, relaxed, state},
};

#[tokio::test]
async fn a_small_body_damaged_while_the_store_is_open_fails_and_the_entry_is_gone_from_then_on() {
    let (disk, _) = closed(&[Op::Open("c"), Op::Put("c", &[("/a", 30), ("/b", 40)])], short()).await;
    let store = open(&disk, short()).unwrap();
    turn_a_bit(&disk, true);
    let held = list(&store, "c").await;
    let url = full("/a");
    let reads = [Read { list: &held, url: UrlMatch::Exact(&url) }];
    let found = store.candidates(&reads).await.unwrap().1;
    assert_eq!(found[0].entry.url(), url, "the head is whole");
    assert_eq!(store.damaged_entries(), 0, "nobody looked at the body");
    assert!(Body::stored(stored(&found[0])).as_bytes().is_none());
    assert!(matches!(read(&found[0]).await, Err(BodyError::Damaged(_))));
    assert!(matches!(Body::stored(stored(&found[0])).collect(100).await, Err(BodyError::Damaged(_))));
    assert_eq!(store.damaged_entries(), 1, "it is reported once");
    assert!(store.candidates(&reads).await.unwrap().1.is_empty());
    let left = state(&store).await;
    assert_eq!(left, [("c".into(), vec![("/b".into(), 40)])]);
    drop((held, store));
    turn_a_bit(&disk, true);
    assert_eq!(state(&open(&disk, short()).unwrap()).await, left, "it stays away though its bytes came back");
}

#[tokio::test]
async fn a_small_body_that_a_walk_came_to_is_verified_when_it_is_read() {
    let (disk, _) = closed(&[Op::Open("c"), Op::Put("c", &[("/a", 30), ("/b", 40)])], short()).await;
    let store = open(&disk, short()).unwrap();
    turn_a_bit(&disk, true);
    let held = list(&store, "c").await;
    let page = store.page(&held, None, 10).await.unwrap();
    assert_eq!(page.iter().map(|found| found.body.length()).collect::<Vec<_>>(), [30, 40]);
    assert_eq!(store.damaged_entries(), 0, "nobody looked at the bodies");
    assert!(matches!(read(&page[0]).await, Err(BodyError::Damaged(_))));
    assert_eq!(read(&page[1]).await.unwrap().len(), 40);
    assert_eq!(store.damaged_entries(), 1);
    assert_eq!(store.page(&held, None, 10).await.unwrap().len(), 1, "its entry is gone");
}

#[tokio::test]
async fn a_small_body_that_is_damaged_can_be_replaced_before_anybody_knows() {
    let (disk, _) = closed(&[Op::Open("c"), Op::Put("c", &[("/a", 30)])], short()).await;
    let store = open(&disk, short()).unwrap();
    turn_a_bit(&disk, true);
    assert!(apply(&store, Op::Put("c", &[("/a", 50)])).await);
    assert_eq!(state(&store).await, [("c".into(), vec![("/a".into(), 50)])]);
    assert_eq!(store.damaged_entries(), 0);
}

fn stored(found: &Candidate) -> Arc<dyn StoredBody> {
    let CandidateBody::Stored(body) = &found.body else { panic!("it is kept on the disk") };
    Arc::clone(body)
}

fn body_path(disk: &SimDisk) -> String {
    disk.files().into_iter().map(|(path, _)| path).find(|path| path.starts_with("bodies/")).unwrap()
}

#[tokio::test]
async fn s35_an_entry_whose_body_was_cut_is_missing_reported_and_reclaimed() {
    for remove in [false, true] {
        let (disk, _) = closed(&[Op::Open("c"), Op::Put("c", &[("/big", 200_000), ("/a", 1)])], relaxed()).await;
        let path = body_path(&disk);
        disk.edit(&path, |bytes| bytes.truncate(if remove { 0 } else { 199_999 }));
        let store = open(&disk, relaxed()).unwrap();
        assert_eq!(state(&store).await, [("c".into(), vec![("/a".into(), 1)])]);
        assert_eq!(store.report().damage_count, 1);
        store.tick().unwrap();
        store.tick().unwrap();
        assert!(!disk.files().iter().any(|(other, _)| *other == path), "its file is still there");
        drop(store);
        let store = open(&disk, relaxed()).unwrap();
        assert!(store.report().is_clean(), "it is reported once");
    }
}

#[tokio::test]
async fn a_body_whose_file_is_cut_while_it_is_read_ends_with_an_error() {
    for far in [false, true] {
        let disk = SimDisk::default();
        let store = open(&disk, relaxed()).unwrap();
        assert!(apply(&store, Op::Open("c")).await);
        assert!(apply(&store, Op::Put("c", &[("/big", 6_000_000)])).await);
        disk.set_far(far);
        let held = list(&store, "c").await;
        let page = store.page(&held, None, 1).await.unwrap();
        let mut chunks = stored(&page[0]).open();
        assert!(chunks.next().await.unwrap().is_ok());
        disk.edit(&body_path(&disk), |bytes| bytes.truncate(5_000_000));
        let mut rest = chunks.collect::<Vec<_>>().await;
        assert!(matches!(rest.pop(), Some(Err(BodyError::Damaged(_)))));
        assert!(rest.iter().all(Result::is_ok), "what was there before the cut came");
        assert!(store.page(&held, None, 1).await.unwrap().is_empty(), "its entry is gone");
    }
}

#[tokio::test]
async fn a_damaged_block_ends_the_body_and_the_entry_is_gone_from_then_on() {
    for far in [false, true] {
        a_damaged_block_ends_the_body(far).await;
    }
}

async fn a_damaged_block_ends_the_body(far: bool) {
    let (disk, _) = closed(&[Op::Open("c"), Op::Put("c", &[("/big", 900_000), ("/a", 1)])], relaxed()).await;
    let path = body_path(&disk);
    disk.edit(&path, |bytes| bytes[700_000] ^= 4);
    let store = open(&disk, relaxed()).unwrap();
    disk.set_far(far);
    let held = list(&store, "c").await;
    let page = store.page(&held, None, 10).await.unwrap();
    assert_eq!(page.len(), 2);
    assert!(matches!(read(&page[0]).await, Err(BodyError::Damaged(_))));
    let left = [("c".to_owned(), vec![("/a".to_owned(), 1)])];
    assert_eq!(store.page(&held, None, 10).await.unwrap().len(), 1);
    // The same body again is a new file, not the damaged one, though somebody still has that.
    assert!(apply(&store, Op::Put("c", &[("/new", 900_000)])).await);
    drop(page);
    store.tick().unwrap();
    assert!(state(&store).await[0].1.contains(&("/new".into(), 900_000)));
    assert!(apply(&store, Op::Delete("c", "/new")).await);
    drop((held, store));
    assert_eq!(state(&open(&disk, relaxed()).unwrap()).await, left);
}
