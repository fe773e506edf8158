//! Files of large bodies: shared, kept for who reads them, gone when nobody needs them.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use waystore::{
    Bottle, Error, Place, StorageKey,
    store::{
        Changes, Commit, ListChange, NameChange, NewEntry, ReadSet, Store,
        disk::{DiskStore, sim::SimDisk},
    },
};

use super::support::{Op, apply, assert_no_strays, clock, content, entry, list, new_body, open, read, relaxed, state};

fn body_files(disk: &SimDisk) -> usize {
    disk.files().iter().filter(|(path, _)| path.starts_with("bodies/")).count()
}

fn temporary_files(disk: &SimDisk) -> usize {
    disk.files().iter().filter(|(path, _)| path.starts_with("tmp/")).count()
}

#[tokio::test]
async fn one_body_of_two_entries_is_one_file_until_both_are_gone() {
    let disk = SimDisk::default();
    let store = open(&disk, relaxed()).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    assert!(apply(&store, Op::Put("c", &[("/a", 100_000), ("/b", 100_000)])).await);
    assert_eq!((body_files(&disk), temporary_files(&disk)), (1, 0));
    assert!(apply(&store, Op::Delete("c", "/a")).await);
    store.tick().unwrap();
    assert_eq!(state(&store).await[0].1, [("/b".to_owned(), 100_000)]);
    drop(store);
    let store = open(&disk, relaxed()).unwrap();
    assert_eq!(state(&store).await[0].1, [("/b".to_owned(), 100_000)]);
    assert!(apply(&store, Op::Delete("c", "/b")).await);
    store.tick().unwrap();
    assert_eq!(body_files(&disk), 0);
}

/// Puts a body of 100 000 bytes for `key`.
async fn put_for(store: &DiskStore, key: &StorageKey) {
    let place = Place::new(key.clone(), Bottle::Caches);
    let bind = Changes { names: vec![NameChange::Bind(place.clone(), "c".into())], lists: vec![] };
    store.commit(key, clock().op_id(), &ReadSet::default(), &bind).await.unwrap();
    let mut writer = store.write_body(key);
    writer.write(content(100_000)).await.unwrap();
    let body = waystore::store::NewBody::Written(writer.finish().await.unwrap());
    let list = store.list(&place, &"c".into()).await.unwrap().unwrap();
    let insert = vec![NewEntry { entry: entry("/x"), body }];
    let changes = Changes { names: vec![], lists: vec![ListChange { list, remove: vec![], insert }] };
    assert_eq!(store.commit(key, clock().op_id(), &ReadSet::default(), &changes).await.unwrap(), Commit::Applied);
}

#[tokio::test]
async fn s55_s56_two_owners_share_nothing() {
    let disk = SimDisk::default();
    let store = open(&disk, relaxed()).unwrap();
    let one = StorageKey::new("https://one.test").unwrap();
    let keys = [one.clone(), StorageKey::new("https://two.test").unwrap(), one.partitioned("p")];
    for key in &keys {
        put_for(&store, key).await;
    }
    assert_eq!(body_files(&disk), 3);
    let place = |key: &StorageKey| Place::new(key.clone(), Bottle::Caches);
    let unbind = Changes { names: vec![NameChange::Unbind(place(&keys[0]), "c".into())], lists: vec![] };
    store.commit(&keys[0], clock().op_id(), &ReadSet::default(), &unbind).await.unwrap();
    store.tick().unwrap();
    assert_eq!(body_files(&disk), 2);
    for key in &keys[1..] {
        let list = store.list(&place(key), &"c".into()).await.unwrap().unwrap();
        let page = store.page(&list, None, 1).await.unwrap();
        assert_eq!(read(&page[0]).await.unwrap(), content(100_000));
    }
}

#[tokio::test]
async fn a_body_stays_readable_while_somebody_has_it() {
    let disk = SimDisk::default();
    let store = open(&disk, relaxed()).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    assert!(apply(&store, Op::Put("c", &[("/a", 100_000)])).await);
    let held = list(&store, "c").await;
    let page = store.page(&held, None, 1).await.unwrap();
    assert!(apply(&store, Op::Delete("c", "/a")).await);
    store.tick().unwrap();
    assert_eq!(read(&page[0]).await.unwrap(), content(100_000));
    drop(page);
    store.tick().unwrap();
    assert_eq!(body_files(&disk), 0);
}

#[tokio::test]
async fn a_body_that_is_being_read_comes_whole_though_its_entry_is_deleted() {
    let disk = SimDisk::default();
    let store = open(&disk, relaxed()).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    assert!(apply(&store, Op::Put("c", &[("/a", 3_000_000)])).await);
    let page = store.page(&list(&store, "c").await, None, 1).await.unwrap();
    let waystore::store::CandidateBody::Stored(body) = &page[0].body else { panic!("a large body is stored") };
    let mut chunks = Arc::clone(body).open();
    let mut read = chunks.next().await.unwrap().unwrap().to_vec();
    drop(page);
    assert!(apply(&store, Op::Delete("c", "/a")).await);
    store.tick().unwrap();
    while let Some(chunk) = chunks.next().await {
        read.extend(chunk.unwrap());
    }
    assert!(read == content(3_000_000));
    drop(chunks);
    store.tick().unwrap();
    assert_eq!(body_files(&disk), 0);
}

#[tokio::test]
async fn s59_what_a_reader_had_at_the_end_is_reclaimed_at_the_start() {
    let disk = SimDisk::default();
    let store = open(&disk, relaxed()).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    assert!(apply(&store, Op::Put("c", &[("/a", 100_000)])).await);
    let held = list(&store, "c").await;
    let page = store.page(&held, None, 1).await.unwrap();
    let unfinished = store.write_body(&super::support::key());
    assert!(apply(&store, Op::Delete("c", "/a")).await);
    drop(store);
    assert_eq!(body_files(&disk), 1);
    let store = open(&disk, relaxed()).unwrap();
    assert_no_strays(&disk, &state(&store).await);
    drop((page, held, unfinished));
}

#[tokio::test]
async fn a_body_that_nobody_commits_is_removed() {
    let disk = SimDisk::default();
    let store = open(&disk, relaxed()).unwrap();
    let mut writer = store.write_body(&super::support::key());
    writer.write(content(400_000)).await.unwrap();
    // Reading waits until it is written.
    assert_eq!(writer.read_back(70_000).await.unwrap(), content(400_000).slice(70_000..131_072));
    assert_eq!(temporary_files(&disk), 1);
    drop(writer);
    assert_eq!(temporary_files(&disk), 0);
    let written = new_body(&store, 400_000).await.unwrap();
    assert_eq!(temporary_files(&disk), 1);
    drop(written);
    assert_eq!(temporary_files(&disk), 0);
}

#[tokio::test]
async fn a_body_part_of_which_was_not_written_is_refused_though_who_read_it_back_was_told_first() {
    let disk = SimDisk::default();
    let store = open(&disk, relaxed()).unwrap();
    let mut writer = store.write_body(&super::support::key());
    disk.set_room(Some(100_000));
    writer.write(content(300_000)).await.unwrap();
    assert!(matches!(writer.read_back(0).await, Err(Error::QuotaExceeded { .. })));
    disk.set_room(None);
    if writer.write(content(300_000)).await.is_ok() {
        assert!(writer.finish().await.is_err());
    }
}

#[tokio::test]
async fn a_deleted_body_gives_its_room_back_though_there_is_none_for_a_mark() {
    let prepared = SimDisk::default();
    let store = open(&prepared, relaxed().segment_bytes(8 * 1024)).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    assert!(apply(&store, Op::Put("c", &[("/big", 300_000)])).await);
    store.tick().unwrap();
    let mut full = 0;
    // One of these lengths leaves just so much of the segment that the removal is the last that fits.
    for length in (5000..7000).step_by(8) {
        let disk = prepared.copy();
        let store = open(&disk, relaxed().segment_bytes(8 * 1024)).unwrap();
        super::support::put(&store, "c", &[("/filler", length)]).await.unwrap();
        assert!(apply(&store, Op::Delete("c", "/big")).await);
        disk.set_room(Some(0));
        full += u32::from(matches!(store.tick(), Err(Error::QuotaExceeded { .. })));
        assert_eq!(body_files(&disk), 0, "{length}");
    }
    assert!(full > 0);
}

#[tokio::test]
async fn a_deleted_body_can_be_stored_again_before_its_file_is_gone() {
    let disk = SimDisk::default();
    let store = open(&disk, relaxed()).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    for _ in 0..3 {
        assert!(apply(&store, Op::Put("c", &[("/a", 100_000)])).await);
        assert!(apply(&store, Op::Delete("c", "/a")).await);
        assert!(apply(&store, Op::Put("c", &[("/b", 100_000)])).await);
        store.tick().unwrap();
        assert_eq!(state(&store).await[0].1, [("/b".to_owned(), 100_000)]);
    }
    drop(store);
    assert_eq!(state(&open(&disk, relaxed()).unwrap()).await[0].1, [("/b".to_owned(), 100_000)]);
}

#[tokio::test]
async fn a_body_written_to_another_store_is_refused() {
    let (one, two) = (SimDisk::default(), SimDisk::default());
    let (one, two) = (open(&one, relaxed()).unwrap(), open(&two, relaxed()).unwrap());
    assert!(apply(&two, Op::Open("c")).await);
    let body = new_body(&one, 100_000).await.unwrap();
    let insert = vec![NewEntry { entry: entry("/x"), body }];
    let change = ListChange { list: list(&two, "c").await, remove: vec![], insert };
    let changes = Changes { names: vec![], lists: vec![change] };
    let refused = super::support::commit(&two, &ReadSet::default(), changes).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. })));
}

#[tokio::test]
async fn bodies_of_every_awkward_length_come_back_whether_memory_has_them_or_the_disk() {
    for far in [false, true] {
        bodies_of_every_awkward_length_come_back(far).await;
    }
}

async fn bodies_of_every_awkward_length_come_back(far: bool) {
    let disk = SimDisk::default();
    let store = open(&disk, relaxed()).unwrap();
    disk.set_far(far);
    let block = 64 * 1024;
    let short = [0, 1, block - 1, block, block + 1, 4 * block - 1, 4 * block, 4 * block + 1, 9 * block + 5];
    for length in short.into_iter().chain([50 * block - 7]) {
        let mut writer = store.write_body(&super::support::key());
        for chunk in content(length).chunks(7777) {
            writer.write(Bytes::copy_from_slice(chunk)).await.unwrap();
        }
        for offset in [0, 1, block / 2, block, length.saturating_sub(1), length, length + 1] {
            let back = writer.read_back(offset as u64).await.unwrap();
            assert_eq!(back, content(length).slice(offset.min(length)..(offset + back.len()).min(length)));
            assert_eq!(back.is_empty(), offset >= length, "{length} bytes from {offset}");
        }
        let written = writer.finish().await.unwrap();
        assert_eq!(written.length(), length as u64);
        put_written(&store, written, length).await;
    }
}

async fn put_written(store: &DiskStore, written: waystore::store::WrittenBody, length: usize) {
    let name = format!("c{length}");
    super::support::names(store, NameChange::Bind(super::support::place(), name.as_str().into())).await.unwrap();
    let list = list(store, &name).await;
    let insert = vec![NewEntry { entry: entry("/x"), body: waystore::store::NewBody::Written(written) }];
    let change = ListChange { list: list.clone(), remove: vec![], insert };
    let changes = Changes { names: vec![], lists: vec![change] };
    super::support::commit(store, &ReadSet::default(), changes).await.unwrap();
    let page = store.page(&list, None, 1).await.unwrap();
    assert!(read(&page[0]).await.unwrap() == content(length), "{length} bytes");
    drop(Arc::new(page));
}

/// The memory this process has for itself, in bytes.
fn own_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
#[ignore = "writes 4 GiB; run it alone"]
async fn s64_a_body_over_4_gib_comes_back_and_takes_no_memory() {
    const MIB: usize = 1024 * 1024;
    let dir = tempfile::tempdir().unwrap();
    let store = DiskStore::open(dir.path(), waystore::store::disk::DiskOptions::default()).await.unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    let chunk = content(MIB);
    let before = own_memory();
    let mut writer = store.write_body(&super::support::key());
    for _ in 0..4096 {
        writer.write(chunk.clone()).await.unwrap();
    }
    writer.write(Bytes::from_static(b"!")).await.unwrap();
    let body = waystore::store::NewBody::Written(writer.finish().await.unwrap());
    let held = list(&store, "c").await;
    let insert = vec![NewEntry { entry: entry("/x"), body }];
    let changes = Changes { names: vec![], lists: vec![ListChange { list: held.clone(), remove: vec![], insert }] };
    super::support::commit(&store, &ReadSet::default(), changes).await.unwrap();
    let page = store.page(&held, None, 1).await.unwrap();
    let waystore::store::CandidateBody::Stored(body) = &page[0].body else { panic!("a large body is stored") };
    let (mut length, mut last) = (0, 0);
    let mut stream = Arc::clone(body).open();
    while let Some(block) = stream.next().await {
        let block = block.unwrap();
        length += block.len() as u64;
        last = *block.last().unwrap();
    }
    assert_eq!((length, last), (4096 * MIB as u64 + 1, b'!'));
    let grown = own_memory().saturating_sub(before);
    assert!(grown < 16 * MIB as u64, "{grown} bytes more than before");
}
