//! Rounds of compaction in which power is lost, read back without a checkpoint: then the log alone must say what
//! is gone, whichever segments came back with the power.

use waystore::store::{
    Store,
    disk::{DiskOptions, sim::SimDisk},
};

use super::support::{Op, State, apply, delete, open, put, relaxed, state};

/// Ways in which power is lost at each place.
const SEEDS: u64 = 12;

fn short() -> DiskOptions {
    relaxed().segment_bytes(16 * 1024)
}

/// Loses power at every change that compaction makes of what is on `disk`; each time, there must be `expected`.
async fn lose_power_while_compacting(disk: &SimDisk, expected: &State, what: &str) -> u64 {
    for changes in 0.. {
        let ended = disk.copy();
        let store = open(&ended, short()).unwrap();
        ended.stop_after(changes, changes);
        let finished = store.tick().is_ok();
        for seed in 0..SEEDS {
            let disk = ended.copy();
            disk.lose_power(seed);
            disk.remove("checkpoint");
            let found = state(&open(&disk, short()).unwrap()).await;
            assert_eq!(&found, expected, "{what}: no power after {changes} changes, seed {seed}");
        }
        if finished {
            return changes;
        }
    }
    unreachable!("compaction ends")
}

#[tokio::test]
async fn a_removal_is_forgotten_after_what_it_removed_is_gone_for_good() {
    let (disk, expected) = emptied().await;
    let before = open(&disk, short()).unwrap().log_usage().segments;
    lose_power_while_compacting(&disk, &expected, "two rounds").await;
    let store = open(&disk, short()).unwrap();
    store.tick().unwrap();
    assert_eq!(store.log_usage().segments, before - 2, "one round freed what the next needs to be gone");
}

#[tokio::test]
async fn what_an_ended_round_moved_and_somebody_removed_stays_removed() {
    let disk = SimDisk::default();
    let store = open(&disk, short()).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    put(&store, "c", &[("/moved", 300)]).await.unwrap();
    put(&store, "c", &[("/filler", 12_000)]).await.unwrap();
    put(&store, "c", &[("/filler", 12_001)]).await.unwrap();
    drop(store);
    for changes in 0.. {
        let disk = disk.copy();
        let store = open(&disk, short()).unwrap();
        disk.stop_after(changes, changes);
        let finished = store.tick().is_ok();
        drop(store);
        disk.restart();
        // What was moved is removed where it is now, and that segment is filled and emptied, before compaction
        // goes on.
        let store = open(&disk, short()).unwrap();
        assert!(apply(&store, Op::Delete("c", "/moved")).await);
        for length in [3_000, 12_002, 12_003] {
            put(&store, "c", &[("/filler", length)]).await.unwrap();
        }
        let expected = state(&store).await;
        assert_eq!(expected, [("c".to_owned(), vec![("/filler".to_owned(), 12_003)])]);
        // Killed again, so that no checkpoint says what is half moved.
        store.sync().await.unwrap();
        let disk = disk.copy();
        drop(store);
        lose_power_while_compacting(&disk, &expected, &format!("a round ended after {changes} changes")).await;
        if finished {
            return;
        }
    }
}

/// A store whose first segment has entries that all went, and the second what took them away and nothing else.
async fn emptied() -> (SimDisk, State) {
    let disk = SimDisk::default();
    let store = open(&disk, short()).unwrap();
    assert!(apply(&store, Op::Open("c")).await);
    let urls: Vec<String> = (0..50).map(|number| format!("/{number}")).collect();
    for url in &urls {
        put(&store, "c", &[(url, 10)]).await.unwrap();
    }
    put(&store, "c", &[("/stays", 15_000)]).await.unwrap();
    for url in &urls {
        delete(&store, "c", url).await.unwrap();
    }
    put(&store, "c", &[("/last", 9_000)]).await.unwrap();
    let expected = state(&store).await;
    assert_eq!(expected[0].1, [("/stays".to_owned(), 15_000), ("/last".to_owned(), 9_000)]);
    (disk, expected)
}

#[tokio::test]
async fn a_round_in_which_something_fails_is_no_damage_and_is_made_up_for() {
    let (disk, expected) = emptied().await;
    let before = open(&disk, short()).unwrap().log_usage().segments;
    let all = {
        let disk = disk.copy();
        let store = open(&disk, short()).unwrap();
        let start = disk.changes();
        store.tick().unwrap();
        disk.changes() - start
    };
    let mut failed = 0;
    for changes in 0..all {
        let disk = disk.copy();
        let store = open(&disk, short()).unwrap();
        disk.fail_change_after(changes, changes);
        failed += u32::from(store.tick().is_err());
        drop(store);
        let store = open(&disk, short()).unwrap();
        assert_eq!(store.report().damage, [""; 0], "failed after {changes} changes");
        assert_eq!(state(&store).await, expected, "failed after {changes} changes");
        store.tick().unwrap();
        assert_eq!(store.log_usage().segments, before - 2, "failed after {changes} changes");
        drop(store);
        assert!(open(&disk, short()).unwrap().report().is_clean());
    }
    assert!(failed > 10, "{failed} of {all}");
}

#[tokio::test]
async fn a_kill_between_two_rounds_keeps_no_removal_for_good() {
    let (disk, _) = emptied().await;
    let before = open(&disk, short()).unwrap().log_usage().segments;
    for changes in 0.. {
        let disk = disk.copy();
        let store = open(&disk, short()).unwrap();
        disk.stop_after(changes, changes);
        let finished = store.tick().is_ok();
        drop(store);
        disk.restart();
        let store = open(&disk, short()).unwrap();
        store.tick().unwrap();
        assert_eq!(store.log_usage().segments, before - 2, "killed after {changes} changes");
        if finished {
            return;
        }
    }
}
