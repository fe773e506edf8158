//! The process ends, or power is lost, at every place where it can.

use waystore::store::{
    Store,
    disk::{DiskStore, Durability, sim::SimDisk},
};

use super::support::{Op, State, apply, assert_counted, assert_no_strays, open, options, state, states};

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

/// Overwriting and deleting until segments are rewritten and freed, several times: entries that stay
/// among others that go, names that stay and that go, removals of what was moved before, a body in a file.
const OVERWRITING: &[Op] = &[
    Op::Open("stays"),
    Op::Put("stays", &[("/first", 900)]),
    Op::Put("stays", &[("/big", 66_000)]),
    Op::Open("goes"),
    Op::Put("goes", &[("/1", 1500), ("/2", 1501)]),
    Op::Put("stays", &[("/a", 2000), ("/b", 2001)]),
    Op::Put("stays", &[("/a", 2002), ("/b", 2003)]),
    Op::Put("stays", &[("/a", 2004), ("/b", 2005)]),
    Op::Tick,
    Op::Put("stays", &[("/a", 2006), ("/c", 700)]),
    Op::Drop("goes"),
    Op::Put("stays", &[("/a", 2008), ("/b", 2009)]),
    Op::Tick,
    Op::Delete("stays", "/first"),
    Op::Open("goes"),
    Op::Put("stays", &[("/a", 2010), ("/b", 2011)]),
    Op::Put("goes", &[("/1", 1502), ("/big", 66_000)]),
    Op::Put("stays", &[("/a", 2012), ("/b", 2013)]),
    Op::Tick,
    Op::Delete("stays", "/c"),
    Op::Put("stays", &[("/a", 2014), ("/b", 2015)]),
    Op::Delete("stays", "/big"),
    Op::Put("stays", &[("/a", 2016), ("/b", 2017)]),
    Op::Tick,
    Op::Put("stays", &[("/a", 2018), ("/b", 2019)]),
    Op::Tick,
];

/// Names that go from list to list while segments are rewritten and freed: another name, the name of another
/// list, a name that was free again, and lists that go after they had several.
const RENAMING: &[Op] = &[
    Op::Open("a"),
    Op::Put("a", &[("/a", 900)]),
    Op::Open("b"),
    Op::Put("b", &[("/b", 901)]),
    Op::Open("stays"),
    Op::Put("stays", &[("/x", 3000), ("/y", 3001)]),
    Op::Tick,
    Op::Rename("a", "c"),
    Op::Put("stays", &[("/x", 3002), ("/y", 3003)]),
    Op::Open("a"),
    Op::Put("a", &[("/new", 700)]),
    Op::Tick,
    Op::Put("stays", &[("/x", 3004), ("/y", 3005)]),
    Op::Rename("b", "a"),
    Op::Tick,
    Op::Put("stays", &[("/x", 3006), ("/y", 3007)]),
    Op::Put("stays", &[("/x", 3008), ("/y", 3009)]),
    Op::Drop("c"),
    Op::Tick,
    Op::Put("stays", &[("/x", 3010), ("/y", 3011)]),
    Op::Put("stays", &[("/x", 3012), ("/y", 3013)]),
    Op::Open("c"),
    Op::Rename("a", "b"),
    Op::Tick,
    Op::Rename("stays", "b"),
    Op::Put("b", &[("/x", 3014), ("/y", 3015)]),
    Op::Put("b", &[("/x", 3016), ("/y", 3017)]),
    Op::Tick,
    Op::Put("b", &[("/x", 3018), ("/y", 3019)]),
    Op::Rename("b", "stays"),
    Op::Put("stays", &[("/x", 3020), ("/y", 3021)]),
    Op::Tick,
];

/// A script, the length of the segments it runs with, and how many of its operations are done before anything can go
/// wrong: then the store is closed and opened again, so that there is a checkpoint.
#[derive(Clone, Copy)]
struct Script(&'static [Op], u32, usize);

const SCRIPTS: [Script; 3] =
    [Script(SCRIPT, 128 * 1024, 0), Script(OVERWRITING, 8 * 1024, 6), Script(RENAMING, 8 * 1024, 7)];

impl Script {
    fn open(self, disk: &SimDisk, durability: Durability) -> waystore::Result<DiskStore> {
        open(disk, options(durability).segment_bytes(self.1))
    }

    async fn check(self, disk: &SimDisk, done: usize, left: Left, durability: Durability, what: &str) {
        let states = states(self.0);
        let most = (done + 1).min(self.0.len());
        let allowed = match left {
            Left::All => &states[done..=most],
            Left::Prefix => &states[..=most],
        };
        let store = self.open(disk, durability).unwrap();
        assert_eq!(store.report().damage, [""; 0], "{what}");
        let found = state(&store).await;
        assert!(allowed.contains(&found), "{what}: {done} were done, and there is {found:?}");
        self.check_log_alone(disk, &store, &found, what).await;
        assert_no_strays(disk, &found);
        assert_counted(&store, what).await;
        // It works on, and what it does is all there is after the next start.
        assert!(apply(&store, Op::Open("after")).await, "{what}");
        assert!(apply(&store, Op::Put("after", &[("/x", 30), ("/y", 65_537)])).await, "{what}");
        let now = state(&store).await;
        // Compaction goes on where it was ended, and changes nothing either.
        store.tick().unwrap();
        assert_eq!(state(&store).await, now, "{what}");
        assert_counted(&store, what).await;
        let (counted, used) = (store.log_usage().live_bytes, store.usage(None).await.unwrap());
        drop(store);
        let store = self.open(disk, durability).unwrap();
        assert!(store.report().is_clean(), "{what}: {:?}", store.report());
        // Before a list is loaded, and after.
        assert_eq!(store.usage(None).await.unwrap(), used, "{what}");
        assert_eq!(state(&store).await, now, "{what}");
        assert_counted(&store, what).await;
        assert_eq!(store.log_usage().live_bytes, counted, "{what}: the counters are not what is counted anew");
    }

    /// What the checkpoint says, the log says too.
    async fn check_log_alone(self, disk: &SimDisk, store: &DiskStore, found: &State, what: &str) {
        let disk = disk.copy();
        disk.remove("checkpoint");
        let log = self.open(&disk, Durability::Relaxed).unwrap();
        assert_eq!(log.report().damage, [""; 0], "{what}, without a checkpoint");
        assert_eq!(state(&log).await, *found, "{what}, without a checkpoint");
        assert_counted(&log, what).await;
        assert_eq!(log.log_usage().live_bytes, store.log_usage().live_bytes, "{what}, without a checkpoint");
    }

    /// Runs the script on a new disk that stops after `changes` changes. Returns the number of
    /// operations that were done, and the disk.
    async fn run(self, changes: u64, durability: Durability) -> (usize, SimDisk) {
        let disk = SimDisk::default();
        let (before, ops) = self.0.split_at(self.2);
        let mut done = before.len();
        if !before.is_empty() {
            let store = self.open(&disk, durability).unwrap();
            for op in before {
                assert!(apply(&store, *op).await);
            }
        }
        disk.stop_after(changes, changes);
        if let Ok(store) = self.open(&disk, durability) {
            for op in ops {
                if !apply(&store, *op).await {
                    break;
                }
                done += 1;
            }
        }
        (done, disk)
    }
}

/// How many ways power is lost at each place.
fn seeds() -> u64 {
    std::env::var("WAYSTORE_TEST_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(2)
}

/// What a crash may leave, by the number of operations that were done.
#[derive(Clone, Copy)]
enum Left {
    /// All of them, and the one that was under way or not.
    All,
    /// The first so many.
    Prefix,
}

#[tokio::test]
async fn e148_s33_all_or_nothing_and_nothing_lost_wherever_the_process_ends() {
    for script in SCRIPTS {
        for durability in [Durability::Relaxed, Durability::Strict] {
            for changes in 0.. {
                let (done, disk) = script.run(changes, durability).await;
                let finished = !disk.has_stopped();
                disk.restart();
                script.check(&disk, done, Left::All, durability, &format!("ended after {changes} changes")).await;
                if finished {
                    assert_eq!(done, script.0.len());
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn s34_s70_strict_loses_nothing_wherever_power_fails() {
    for script in SCRIPTS {
        for changes in 0.. {
            let (done, disk) = script.run(changes, Durability::Strict).await;
            let finished = !disk.has_stopped();
            for seed in 0..seeds() {
                let disk = disk.copy();
                disk.lose_power(seed);
                let what = format!("no power after {changes} changes, seed {seed}");
                script.check(&disk, done, Left::All, Durability::Strict, &what).await;
            }
            if finished {
                break;
            }
        }
    }
}

#[tokio::test]
async fn s34_s70_relaxed_keeps_some_committed_prefix_wherever_power_fails() {
    for script in SCRIPTS {
        for changes in 0.. {
            let (done, disk) = script.run(changes, Durability::Relaxed).await;
            let finished = !disk.has_stopped();
            for seed in 0..seeds() {
                let disk = disk.copy();
                disk.lose_power(seed);
                let what = format!("no power after {changes} changes, seed {seed}");
                script.check(&disk, done, Left::Prefix, Durability::Relaxed, &what).await;
            }
            if finished {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_sync_after_a_kill_covers_what_the_killed_process_did_not_sync() {
    for script in SCRIPTS {
        for changes in 0.. {
            let (done, disk) = script.run(changes, Durability::Relaxed).await;
            let finished = !disk.has_stopped();
            disk.restart();
            let store = script.open(&disk, Durability::Relaxed).unwrap();
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
                script.check(&disk, done, Left::All, Durability::Relaxed, &what).await;
            }
            if finished {
                break;
            }
        }
    }
}

#[tokio::test]
async fn recovery_can_be_ended_anywhere_too() {
    for script in SCRIPTS {
        for changes in (0..).step_by(7) {
            let (done, disk) = script.run(changes, Durability::Relaxed).await;
            let finished = !disk.has_stopped();
            disk.lose_power(changes);
            for recovery in 0.. {
                let disk = disk.copy();
                disk.stop_after(recovery, changes);
                let recovered = script.open(&disk, Durability::Relaxed).is_ok() && !disk.has_stopped();
                for seed in [None, Some(1), Some(2)] {
                    let disk = disk.copy();
                    if let Some(seed) = seed {
                        disk.lose_power(seed);
                    }
                    let what = format!("after {changes} changes, then {recovery} of recovery, power {seed:?}");
                    script.check(&disk, done, Left::Prefix, Durability::Relaxed, &what).await;
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
}

#[tokio::test]
async fn what_one_crash_left_never_comes_back_after_another() {
    for script in SCRIPTS {
        let states = states(script.0);
        for changes in (3..400).step_by(5) {
            let (_, disk) = script.run(changes, Durability::Relaxed).await;
            disk.lose_power(changes);
            let mut allowed = None;
            // Each time it starts, does a little, and loses power again: only ever a prefix of the
            // prefix it started from, with something of what was done on top.
            for round in 0..6 {
                let store = script.open(&disk, Durability::Relaxed).unwrap();
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
}
