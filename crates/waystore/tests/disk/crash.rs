//! The process ends, or power is lost, at every place where it can.

use waystore::store::{
    Store,
    disk::{Durability, sim::SimDisk},
};

use super::support::{Op, apply, assert_counted, assert_no_strays, open, options, state, states};

/// Everything a store does: names, small and large bodies, a batch, a body shared by two entries,
/// replacing, deleting, deleting a cache, renaming one over another, full segments, syncs.
const SCRIPT: &[Op] = &[
    Op::Open("v1"),
    Op::Put("v1", &[("/a", 10)]),
    Op::Put("v1", &[("/big", 70_000)]),
    Op::Open("v2"),
    Op::Put("v2", &[("/1", 1), ("/2", 40_000), ("/3", 70_000), ("/4", 300_000), ("/5", 0)]),
    Op::Tick,
    Op::Put("v1", &[("/a", 50_000)]),
    Op::Put("v2", &[("/4", 66_000)]),
    Op::Delete("v2", "/2"),
    Op::Tick,
    Op::Put("v1", &[("/a", 60_000), ("/b", 60_001)]),
    Op::Drop("v2"),
    Op::Open("v2"),
    Op::Put("v2", &[("/1", 300_000)]),
    Op::Delete("v1", "/big"),
    Op::Tick,
    Op::Tick,
    Op::Put("v2", &[("/1", 2)]),
    Op::Open("next"),
    Op::Put("next", &[("/n", 20), ("/m", 70_001)]),
    Op::Rename("next", "v1"),
    Op::Rename("v2", "v3"),
    Op::Put("v1", &[("/n", 30)]),
    Op::Tick,
];

/// Runs the script on a new disk that stops after `changes` changes. Returns the number of
/// operations that were done, and the disk.
async fn run(changes: u64, durability: Durability) -> (usize, SimDisk) {
    let disk = SimDisk::default();
    disk.stop_after(changes, changes);
    let mut done = 0;
    if let Ok(store) = open(&disk, options(durability)) {
        for op in SCRIPT {
            if !apply(&store, *op).await {
                break;
            }
            done += 1;
        }
    }
    (done, disk)
}

/// What a crash may leave, by the number of operations that were done.
#[derive(Clone, Copy)]
enum Left {
    /// All of them, and the one that was under way or not.
    All,
    /// The first so many.
    Prefix,
}

async fn check(disk: &SimDisk, done: usize, left: Left, durability: Durability, what: &str) {
    let states = states(SCRIPT);
    let most = (done + 1).min(SCRIPT.len());
    let allowed = match left {
        Left::All => &states[done..=most],
        Left::Prefix => &states[..=most],
    };
    let store = open(disk, options(durability)).unwrap();
    assert_eq!(store.report().damage, [""; 0], "{what}");
    let found = state(&store).await;
    assert!(allowed.contains(&found), "{what}: {done} were done, and there is {found:?}");
    assert_no_strays(disk, &found);
    assert_counted(&store, what).await;
    // It works on, and what it does is all there is after the next start.
    assert!(apply(&store, Op::Open("after")).await, "{what}");
    assert!(apply(&store, Op::Put("after", &[("/x", 30), ("/y", 65_537)])).await, "{what}");
    let now = state(&store).await;
    drop(store);
    let store = open(disk, options(durability)).unwrap();
    assert!(store.report().is_clean(), "{what}: {:?}", store.report());
    assert_eq!(state(&store).await, now, "{what}");
}

#[tokio::test]
async fn e148_s33_all_or_nothing_and_nothing_lost_wherever_the_process_ends() {
    for durability in [Durability::Relaxed, Durability::Strict] {
        for changes in 0.. {
            let (done, disk) = run(changes, durability).await;
            let finished = !disk.has_stopped();
            disk.restart();
            check(&disk, done, Left::All, durability, &format!("ended after {changes} changes")).await;
            if finished {
                assert_eq!(done, SCRIPT.len());
                break;
            }
        }
    }
}

#[tokio::test]
async fn s34_s70_strict_loses_nothing_wherever_power_fails() {
    for changes in 0.. {
        let (done, disk) = run(changes, Durability::Strict).await;
        let finished = !disk.has_stopped();
        for seed in 0..6 {
            let disk = disk.copy();
            disk.lose_power(seed);
            let what = format!("no power after {changes} changes, seed {seed}");
            check(&disk, done, Left::All, Durability::Strict, &what).await;
        }
        if finished {
            break;
        }
    }
}

#[tokio::test]
async fn s34_s70_relaxed_keeps_some_committed_prefix_wherever_power_fails() {
    for changes in 0.. {
        let (done, disk) = run(changes, Durability::Relaxed).await;
        let finished = !disk.has_stopped();
        for seed in 0..6 {
            let disk = disk.copy();
            disk.lose_power(seed);
            let what = format!("no power after {changes} changes, seed {seed}");
            check(&disk, done, Left::Prefix, Durability::Relaxed, &what).await;
        }
        if finished {
            break;
        }
    }
}

#[tokio::test]
async fn a_sync_after_a_kill_covers_what_the_killed_process_did_not_sync() {
    for changes in 0.. {
        let (done, disk) = run(changes, Durability::Relaxed).await;
        let finished = !disk.has_stopped();
        disk.restart();
        let store = open(&disk, options(Durability::Relaxed)).unwrap();
        // The sync of every second, or one that is asked for.
        if changes % 2 == 0 {
            store.tick().unwrap();
        } else {
            store.sync().await.unwrap();
        }
        for seed in 0..3 {
            let disk = disk.copy();
            disk.lose_power(seed);
            let what = format!("ended after {changes} changes, then synced, then no power, seed {seed}");
            check(&disk, done, Left::All, Durability::Relaxed, &what).await;
        }
        if finished {
            break;
        }
    }
}

#[tokio::test]
async fn recovery_can_be_ended_anywhere_too() {
    for changes in (0..).step_by(7) {
        let (done, disk) = run(changes, Durability::Relaxed).await;
        let finished = !disk.has_stopped();
        disk.lose_power(changes);
        for recovery in 0.. {
            let disk = disk.copy();
            disk.stop_after(recovery, changes);
            let recovered = open(&disk, options(Durability::Relaxed)).is_ok() && !disk.has_stopped();
            for seed in [None, Some(1), Some(2)] {
                let disk = disk.copy();
                if let Some(seed) = seed {
                    disk.lose_power(seed);
                }
                let what = format!("after {changes} changes, then {recovery} of recovery, power {seed:?}");
                check(&disk, done, Left::Prefix, Durability::Relaxed, &what).await;
            }
            if recovered {
                break;
            }
        }
        if finished {
            break;
        }
    }
}

#[tokio::test]
async fn what_one_crash_left_never_comes_back_after_another() {
    let states = states(SCRIPT);
    for changes in (3..400).step_by(5) {
        let (_, disk) = run(changes, Durability::Relaxed).await;
        disk.lose_power(changes);
        let mut allowed = None;
        // Each time it starts, does a little, and loses power again: only ever a prefix of the
        // prefix it started from, with something of what was done on top.
        for round in 0..6 {
            let store = open(&disk, options(Durability::Relaxed)).unwrap();
            let mut found = state(&store).await;
            let mine = found.iter().position(|(name, _)| name == "mine").map(|at| found.remove(at));
            match &allowed {
                None => assert!(states.contains(&found)),
                Some(before) => assert_eq!(&found, before, "round {round} after {changes} changes"),
            }
            if mine.is_none() {
                assert!(apply(&store, Op::Open("mine")).await);
            }
            assert!(apply(&store, Op::Put("mine", &[("/m", 20)])).await);
            assert!(apply(&store, Op::Put("mine", &[("/n", 30_000)])).await);
            allowed = Some(found);
            drop(store);
            disk.lose_power(changes * 31 + round);
        }
    }
}
