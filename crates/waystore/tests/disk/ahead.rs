//! The next segment is made before it is needed, and nothing of it is in the way when it is not.

use waystore::store::disk::sim::SimDisk;

use super::support::{Op, State, apply, open, relaxed, state, states};

/// More than half of a segment of 128 KiB.
const HALF: Op = Op::Put("c", &[("/a", 40_000), ("/b", 41_000)]);
const REST: Op = Op::Put("c", &[("/c", 42_000), ("/d", 43_000)]);

fn segments(disk: &SimDisk) -> Vec<String> {
    let files = disk.files().into_iter().map(|(path, _)| path);
    files.filter_map(|path| Some(path.strip_prefix("log/000000000")?.trim_end_matches(".seg").to_owned())).collect()
}

#[tokio::test]
async fn who_commits_does_not_wait_for_a_segment_that_was_made_ahead() {
    let disk = SimDisk::default();
    let store = open(&disk, relaxed()).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    store.tick().unwrap();
    assert_eq!(segments(&disk), ["1"], "too early");
    assert!(apply(&store, HALF).await);
    store.tick().unwrap();
    assert_eq!(segments(&disk), ["1", "2"]);
    let syncs = disk.syncs();
    assert!(apply(&store, REST).await);
    assert_eq!((disk.syncs(), store.log_usage().segments), (syncs, 2));
    // Nobody made the third.
    assert!(apply(&store, REST).await);
    assert!(apply(&store, REST).await);
    assert!(disk.syncs() > syncs);
}

#[tokio::test]
async fn a_segment_that_was_made_and_not_needed_goes_when_the_store_is_closed_or_opened() {
    let disk = SimDisk::default();
    let store = open(&disk, relaxed()).unwrap();
    for op in [Op::Open("c"), HALF, Op::Tick] {
        assert!(apply(&store, op).await);
    }
    let expected = state(&store).await;
    let killed = disk.copy();
    drop(store);
    assert_eq!(segments(&disk), ["1"]);
    assert_eq!(segments(&killed), ["1", "2"]);
    let store = open(&killed, relaxed()).unwrap();
    assert_eq!(segments(&killed), ["1"]);
    assert!(store.report().is_clean(), "{:?}", store.report());
    assert_eq!(state(&store).await, expected);
}

#[tokio::test]
async fn a_batch_that_is_longer_than_the_segment_made_ahead_gets_one_that_is_long_enough() {
    const LONG: Op = Op::Put("c", &[("/1", 60_000), ("/2", 61_000), ("/3", 62_000), ("/4", 63_000)]);
    let disk = SimDisk::default();
    let store = open(&disk, relaxed()).unwrap();
    let ops = [Op::Open("c"), HALF, Op::Tick, LONG, HALF];
    for op in ops {
        assert!(apply(&store, op).await);
    }
    drop(store);
    let store = open(&disk, relaxed()).unwrap();
    assert!(store.report().is_clean(), "{:?}", store.report());
    assert_eq!(&state(&store).await, states(&ops).last().unwrap());
}

#[tokio::test]
async fn where_there_is_no_room_for_a_whole_segment_a_batch_gets_one_that_is_just_long_enough() {
    let disk = SimDisk::default();
    let store = open(&disk, relaxed()).unwrap();
    for op in [Op::Open("c"), HALF] {
        assert!(apply(&store, op).await);
    }
    disk.set_longest(Some(100_000));
    store.tick().unwrap();
    assert!(apply(&store, REST).await);
    assert_eq!(store.log_usage().segments, 2);
    assert!(store.log_usage().bytes < 128 * 1024 + 100_000);
}

#[tokio::test]
async fn wherever_the_process_ends_or_the_power_goes_a_segment_made_ahead_is_in_nobodys_way() {
    let script = [Op::Open("c"), HALF, Op::Tick, REST, REST, Op::Tick, HALF, Op::Tick, REST, HALF];
    let states = states(&script);
    for stop in 0.. {
        let disk = SimDisk::default();
        disk.stop_after(stop, stop);
        let mut done = 0;
        if let Ok(store) = open(&disk, relaxed()) {
            while done < script.len() && apply(&store, script[done]).await {
                done += 1;
            }
        }
        let finished = !disk.has_stopped();
        let without_power = disk.copy();
        without_power.lose_power(stop);
        disk.restart();
        for (disk, lossy) in [(disk, false), (without_power, true)] {
            let store = open(&disk, relaxed()).unwrap();
            let found: State = state(&store).await;
            let next = (done + 1).min(script.len());
            let expected = if lossy { &states[..=next] } else { &states[done..=next] };
            assert!(expected.contains(&found), "stopped after {stop} changes, {done} done: {found:?}");
            assert_eq!(store.report().damage_count, 0, "stopped after {stop} changes: {:?}", store.report());
            assert!(found.is_empty() || apply(&store, REST).await);
        }
        if finished {
            return;
        }
    }
}
