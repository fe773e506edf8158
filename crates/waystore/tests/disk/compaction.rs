//! Space is given back, and nothing but space is changed by that.

use std::sync::Arc;

use waystore::{
    CacheName,
    store::{
        Store,
        disk::{
            DiskOptions, DiskStore,
            io::{DiskIo, Lock, RealDisk},
            sim::SimDisk,
        },
    },
};

use super::support::{
    Op, State, after, apply, assert_counted, clock, content, list, open, place, put, read, relaxed, state,
};

const SEGMENT: u32 = 16 * 1024;

fn short() -> DiskOptions {
    relaxed().segment_bytes(SEGMENT)
}

fn log_bytes(disk: &SimDisk) -> usize {
    disk.files().iter().filter(|(path, _)| path.starts_with("log/")).map(|(_, length)| *length).sum()
}

#[tokio::test]
async fn s58_steady_overwriting_takes_at_most_twice_what_is_there() {
    let disk = SimDisk::default();
    let store = open(&disk, short()).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    let urls: Vec<String> = (0..100).map(|number| format!("/{number}")).collect();
    for round in 0..60_usize {
        for at in 0..urls.len() {
            let url = urls[(at * 37 + round) % urls.len()].as_str();
            put(&store, "c", &[(url, 1000 + round)]).await.unwrap();
        }
        store.tick().unwrap();
        let usage = store.log_usage();
        // The segment that is written to, and one that is being copied.
        let allowed = 2 * usage.live_bytes + 2 * u64::from(SEGMENT);
        assert!(usage.bytes <= allowed, "round {round}: {usage:?}");
        assert!((usage.bytes..=usage.bytes + usage.free_bytes).contains(&(log_bytes(&disk) as u64)));
    }
    assert!(!disk.files().iter().any(|(path, _)| path == "log/0000000001.seg"));
    let last = state(&store).await;
    assert_eq!(last[0].1.len(), 100);
    drop(store);
    assert_eq!(state(&open(&disk, short()).unwrap()).await, last);
}

#[tokio::test]
async fn s58_put_and_delete_ten_thousand_times_leaves_next_to_nothing() {
    let disk = SimDisk::default();
    let store = open(&disk, short()).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    for number in 0..10_000 {
        put(&store, "c", &[("/a", 100)]).await.unwrap();
        assert!(apply(&store, Op::Delete("c", "/a")).await);
        if number % 50 == 0 {
            store.tick().unwrap();
        }
    }
    (0..3).for_each(|_| store.tick().unwrap());
    assert!(log_bytes(&disk) <= 3 * SEGMENT as usize, "{:?}", disk.files());
    drop(store);
    let store = open(&disk, short()).unwrap();
    assert_eq!(state(&store).await, [("c".into(), vec![])]);
}

#[tokio::test]
async fn deleted_caches_leave_nothing_though_each_had_much() {
    let disk = SimDisk::default();
    let store = open(&disk, short()).unwrap();
    assert!(apply(&store, Op::Open("stays")).await);
    assert!(apply(&store, Op::Put("stays", &[("/a", 10)])).await);
    for _ in 0..30 {
        assert!(apply(&store, Op::Open("goes")).await);
        assert!(apply(&store, Op::Put("goes", &[("/1", 9000), ("/2", 5000), ("/3", 70_000)])).await);
        assert!(apply(&store, Op::Drop("goes")).await);
        store.tick().unwrap();
    }
    (0..3).for_each(|_| store.tick().unwrap());
    assert!(log_bytes(&disk) <= 4 * SEGMENT as usize, "{:?}", disk.files());
    assert!(!disk.files().iter().any(|(path, _)| path.starts_with("bodies/")));
    drop(store);
    assert_eq!(state(&open(&disk, short()).unwrap()).await, [("stays".into(), vec![("/a".into(), 10)])]);
}

#[tokio::test]
async fn names_and_entries_keep_their_order_however_often_they_are_moved() {
    let disk = SimDisk::default();
    let store = open(&disk, short()).unwrap();
    let mut expected = Vec::new();
    for name in ["b", "a", "c"] {
        assert!(apply(&store, Op::Open(name)).await);
        for url in ["/z", "/y", "/x"] {
            put(&store, name, &[(url, 50)]).await.unwrap();
            // What goes between what stays.
            put(&store, name, &[("/filler", 6000)]).await.unwrap();
        }
        assert!(apply(&store, Op::Delete(name, "/filler")).await);
        expected.push((name.to_owned(), ["/z", "/y", "/x"].map(|url| (url.to_owned(), 50)).to_vec()));
    }
    for _ in 0..20 {
        put(&store, "a", &[("/filler", 14_000)]).await.unwrap();
        assert!(apply(&store, Op::Delete("a", "/filler")).await);
        store.tick().unwrap();
        assert_eq!(state(&store).await, expected);
    }
    drop(store);
    assert!(!disk.files().iter().any(|(path, _)| path == "log/0000000001.seg"));
    let store = open(&disk, short()).unwrap();
    assert!(store.report().is_clean());
    assert_eq!(state(&store).await, expected);
    // A name bound later still comes last.
    assert!(apply(&store, Op::Open("0")).await);
    let names: Vec<CacheName> = store.names(&place()).await.unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["b", "a", "c", "0"].map(CacheName::from));
}

#[tokio::test]
async fn what_was_moved_is_there_without_a_checkpoint_though_many_others_went() {
    let disk = SimDisk::default();
    let store = open(&disk, short()).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    put(&store, "c", &[("/old", 50)]).await.unwrap();
    put(&store, "c", &[("/filler", 14_000)]).await.unwrap();
    assert!(apply(&store, Op::Delete("c", "/filler")).await);
    let young: Vec<String> = (0..100).map(|number| format!("/{number}")).collect();
    for url in &young {
        put(&store, "c", &[(url, 50)]).await.unwrap();
    }
    store.tick().unwrap();
    assert!(!disk.files().iter().any(|(path, _)| path == "log/0000000001.seg"));
    for url in &young {
        super::support::delete(&store, "c", url).await.unwrap();
    }
    let disk = disk.copy();
    disk.remove("checkpoint");
    let store = open(&disk, short()).unwrap();
    assert_eq!(state(&store).await, [("c".into(), vec![("/old".into(), 50)])]);
}

#[tokio::test]
async fn a_deleted_cache_that_somebody_holds_stays_readable_while_its_segments_go() {
    let disk = SimDisk::default();
    let store = open(&disk, short()).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    assert!(apply(&store, Op::Put("c", &[("/a", 3000), ("/b", 5000)])).await);
    let held = list(&store, "c").await;
    assert!(apply(&store, Op::Drop("c")).await);
    assert!(apply(&store, Op::Open("d")).await);
    for _ in 0..10 {
        put(&store, "d", &[("/filler", 14_000)]).await.unwrap();
        store.tick().unwrap();
    }
    assert!(!disk.files().iter().any(|(path, _)| path == "log/0000000001.seg"));
    let page = store.page(&held, None, 10).await.unwrap();
    assert_eq!(page.len(), 2);
    for (candidate, length) in page.iter().zip([3000, 5000]) {
        assert_eq!(read(candidate).await.unwrap(), content(length));
    }
}

#[tokio::test]
async fn an_entry_that_is_damaged_when_it_should_be_moved_is_gone_and_the_others_are_not() {
    let disk = SimDisk::default();
    let store = open(&disk, short()).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    assert!(apply(&store, Op::Put("c", &[("/a", 500), ("/b", 501), ("/c", 502)])).await);
    let needle = content(501);
    disk.edit("log/0000000001.seg", |bytes| {
        let at = bytes.windows(501).position(|window| window == needle).unwrap();
        // The header and the payload.
        bytes[at - 200..at + 10].fill(7);
    });
    for _ in 0..4 {
        put(&store, "c", &[("/filler", 14_000)]).await.unwrap();
    }
    assert!(apply(&store, Op::Delete("c", "/filler")).await);
    store.tick().unwrap();
    store.tick().unwrap();
    assert!(!disk.files().iter().any(|(path, _)| path == "log/0000000001.seg"));
    let left = [("c".to_owned(), vec![("/a".to_owned(), 500), ("/c".to_owned(), 502)])];
    assert_eq!(state(&store).await, left);
    drop(store);
    let store = open(&disk, short()).unwrap();
    assert_eq!(state(&store).await, left);
    assert!(store.report().is_clean(), "{:?}", store.report());
}

#[tokio::test]
async fn a_segment_that_is_needed_and_missing_is_reported_and_one_that_was_freed_is_not() {
    let disk = SimDisk::default();
    let store = open(&disk, short()).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    for number in 0..12 {
        let url = format!("/{number}");
        put(&store, "c", &[(&url, 6000), ("/same", 7000)]).await.unwrap();
    }
    store.tick().unwrap();
    drop(store);
    let numbers: Vec<_> =
        disk.files().into_iter().map(|(path, _)| path).filter(|path| path.ends_with(".seg")).collect();
    assert!(numbers[0] != "log/0000000001.seg", "nothing was freed: {numbers:?}");
    assert!(open(&disk.copy(), short()).unwrap().report().is_clean());
    for path in &numbers[..numbers.len() - 1] {
        let disk = disk.copy();
        disk.remove(path);
        let store = open(&disk, short()).unwrap();
        assert!(store.report().damage.iter().any(|found| found.contains(path)), "{path}: {:?}", store.report());
    }
}

/// The numbers of the segments whose header says that they were segments before.
fn recycled(disk: &SimDisk) -> Vec<String> {
    let copy = disk.copy();
    let is_recycled = |path: &String| {
        let mut recycled = false;
        copy.edit(path, |bytes| recycled = bytes[12] == 1);
        recycled
    };
    disk.files().into_iter().map(|(path, _)| path).filter(|path| path.starts_with("log/")).filter(is_recycled).collect()
}

fn spares(disk: &SimDisk) -> usize {
    disk.files().iter().filter(|(path, _)| path.starts_with("tmp/spare")).count()
}

async fn overwrite(store: &DiskStore, rounds: usize) {
    for round in 0..rounds {
        put(store, "c", &[("/filler", 14_000 + round)]).await.unwrap();
        store.tick().unwrap();
    }
}

#[tokio::test]
async fn freed_segments_are_used_again_and_two_at_most_wait() {
    let disk = SimDisk::default();
    let store = open(&disk, short()).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    overwrite(&store, 10).await;
    assert!(!recycled(&disk).is_empty());
    assert!((1..=2).contains(&spares(&disk)), "{:?}", disk.files());
    drop(store);
    // What stands behind the end from before is neither read nor a torn write.
    let store = open(&disk, short()).unwrap();
    assert!(store.report().is_clean());
    assert_eq!(spares(&disk), 0);
    disk.restart();
    disk.remove("checkpoint");
    let store = open(&disk, short()).unwrap();
    assert!(store.report().is_clean(), "{:?}", store.report());
    assert_eq!(state(&store).await, [("c".into(), vec![("/filler".into(), 14_009)])]);
}

#[tokio::test]
async fn a_segment_is_not_used_again_while_somebody_reads_from_it() {
    let disk = SimDisk::default();
    let store = open(&disk, short()).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    let mut held = Vec::new();
    for _ in 0..6 {
        put(&store, "c", &[("/a", 9000)]).await.unwrap();
        held.extend(store.page(&list(&store, "c").await, None, 10).await.unwrap().pop());
        overwrite(&store, 4).await;
    }
    for candidate in &held {
        assert!(read(candidate).await.unwrap() == content(9000), "its bytes changed");
    }
    assert!(!recycled(&disk).is_empty(), "the others are used again");
}

#[tokio::test]
async fn no_segment_is_used_again_while_another_process_looks() {
    let disk = SimDisk::default();
    let store = open(&disk, short()).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    let reader = DiskStore::open_read_only_on(Arc::new(disk.clone()), clock()).unwrap();
    overwrite(&store, 10).await;
    assert!(recycled(&disk).is_empty());
    assert_eq!(spares(&disk), 0);
    drop(reader);
    overwrite(&store, 10).await;
    assert!(!recycled(&disk).is_empty());
}

#[test]
fn a_writer_and_those_who_look_wait_for_each_other_on_a_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let io = RealDisk::new(dir.path());
    assert!(matches!(io.lock("readers", 1).unwrap(), Lock::Held(_)));
    let (one, two) = (io.share("readers").unwrap(), io.share("readers").unwrap());
    drop(one);
    assert!(matches!(io.lock("readers", 1).unwrap(), Lock::Busy(_)));
    drop(two);
    assert!(matches!(io.lock("readers", 1).unwrap(), Lock::Held(_)));
}

#[tokio::test]
async fn a_round_that_was_ended_half_way_is_ended_before_the_next_begins() {
    let disk = SimDisk::default();
    let store = open(&disk, short()).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    // What is copied, and what fills the rest of the first two segments and goes.
    put(&store, "c", &[("/kept", 3000), ("/moved", 300)]).await.unwrap();
    put(&store, "c", &[("/filler", 12_000)]).await.unwrap();
    put(&store, "c", &[("/filler", 12_001)]).await.unwrap();
    let mut ended = 0;
    for changes in 0..40 {
        let disk = disk.copy();
        let store = open(&disk, short()).unwrap();
        disk.stop_after(changes, changes);
        let done = store.tick().is_ok();
        drop(store);
        disk.restart();
        disk.remove("checkpoint");
        let store = open(&disk, short()).unwrap();
        assert!(apply(&store, Op::Delete("c", "/moved")).await);
        overwrite(&store, 6).await;
        drop(store);
        disk.remove("checkpoint");
        let store = open(&disk, short()).unwrap();
        let found = state(&store).await;
        assert_eq!(found[0].1.iter().map(|(url, _)| url.as_str()).collect::<Vec<_>>(), ["/kept", "/filler"]);
        ended += usize::from(!done);
    }
    assert!(ended > 5);
}

#[tokio::test]
async fn names_that_were_changed_stay_so_however_often_they_are_moved() {
    let disk = SimDisk::default();
    let mut store = open(&disk, short()).unwrap();
    let mut expected = State::new();
    let ops = [
        Op::Open("a"),
        Op::Open("b"),
        Op::Open("c"),
        Op::Put("c", &[("/c", 50)]),
        Op::Put("b", &[("/b", 51)]),
        Op::Open("stays"),
        Op::Rename("c", "a"),
        Op::Rename("b", "z"),
        Op::Open("b"),
        Op::Rename("a", "b"),
        Op::Drop("z"),
        Op::Open("z"),
        Op::Rename("stays", "b"),
        Op::Drop("b"),
    ];
    for (number, op) in ops.into_iter().enumerate() {
        assert!(apply(&store, op).await);
        expected = after(&expected, op);
        for round in 0..6 {
            // In a cache of its own, so that all else is moved.
            assert!(apply(&store, Op::Open("filler")).await);
            put(&store, "filler", &[("/filler", 14_000)]).await.unwrap();
            assert!(apply(&store, Op::Drop("filler")).await);
            store.tick().unwrap();
            assert_eq!(state(&store).await, expected, "{op:?}, {round}");
        }
        let what = format!("after {op:?}");
        assert_counted(&store, &what).await;
        let used = store.usage(None).await.unwrap();
        if number % 2 == 0 {
            drop(store);
            store = open(&disk, short()).unwrap();
        }
        let log = disk.copy();
        log.remove("checkpoint");
        for store in [&store, &open(&log, short()).unwrap()] {
            assert_eq!(store.report().damage, [""; 0], "{what}");
            assert_eq!(store.usage(None).await.unwrap(), used, "{what}");
            assert_eq!(state(store).await, expected, "{what}");
            assert_counted(store, &what).await;
        }
    }
    assert!(!disk.files().iter().any(|(path, _)| path == "log/0000000001.seg"));
}

#[tokio::test]
async fn a_cache_that_went_under_its_second_name_does_not_come_back_under_its_first() {
    let disk = SimDisk::default();
    let store = open(&disk, short()).unwrap();
    assert!(apply(&store, Op::Open("stays")).await);
    assert!(apply(&store, Op::Open("first")).await);
    assert!(apply(&store, Op::Put("first", &[("/a", 50)])).await);
    // Keeps the segment with the first name.
    assert!(apply(&store, Op::Put("stays", &[("/x", 12_000)])).await);
    for op in [Op::Rename("first", "second"), Op::Drop("second")] {
        for _ in 0..10 {
            put(&store, "stays", &[("/filler", 9_000)]).await.unwrap();
            assert!(apply(&store, Op::Delete("stays", "/filler")).await);
            store.tick().unwrap();
        }
        assert!(apply(&store, op).await);
    }
    for _ in 0..10 {
        put(&store, "stays", &[("/filler", 9_000)]).await.unwrap();
        assert!(apply(&store, Op::Delete("stays", "/filler")).await);
        store.tick().unwrap();
    }
    let segments: Vec<_> = disk.files().into_iter().map(|(path, _)| path).collect();
    assert!(segments.iter().any(|path| path == "log/0000000001.seg"), "{segments:?}");
    let expected = state(&store).await;
    drop(store);
    disk.remove("checkpoint");
    let store = open(&disk, short()).unwrap();
    assert_eq!(store.report().damage, [""; 0]);
    assert_eq!(state(&store).await, expected);
    assert_counted(&store, "read anew").await;
}
