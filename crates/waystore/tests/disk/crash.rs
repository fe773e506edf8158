//! The process ends, or power is lost, at every place where it can.
//!
//! The scripts are in `scripts.rs`. Here is what may be left of each: everything that was acknowledged, or some
//! prefix of it, never a part of a batch, a stray file or a counter that a recount does not confirm.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use waystore::store::{
    Store,
    disk::{DiskStore, Durability, sim::SimDisk},
};

use super::{
    scripts::{SCRIPTS, Script},
    support::{Op, State, apply, assert_counted, assert_no_strays, open, options, state, states},
};

/// How many ways power is lost at each place, and, from two on, whether no place is left out.
fn seeds() -> u64 {
    std::env::var("WAYSTORE_TEST_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(1)
}

/// What a crash may leave, by the number of operations that were done.
#[derive(Clone, Copy)]
enum Left {
    /// All of them, and the one that was under way or not.
    All,
    /// The first so many.
    Prefix,
}

/// A script under way, with what is the same for all its crashes.
struct Trial {
    script: Script,
    durability: Durability,
    states: Vec<State>,
    /// The disk when the script can begin to go wrong, and how many changes it makes from then on.
    prepared: SimDisk,
    points: AtomicU64,
}

impl Trial {
    async fn new(script: Script, durability: Durability) -> Self {
        let trial = Self {
            script,
            durability,
            states: states(script.ops),
            prepared: SimDisk::default(),
            points: AtomicU64::new(0),
        };
        if script.before > 0 {
            let store = trial.open(&trial.prepared).unwrap();
            for op in &script.ops[..script.before] {
                assert!(apply(&store, *op).await, "{op:?}");
            }
        }
        trial
    }

    fn open(&self, disk: &SimDisk) -> waystore::Result<DiskStore> {
        open(disk, options(self.durability).segment_bytes(self.script.segment_bytes))
    }

    /// Runs the script on a disk that stops after `changes` changes. Returns the number of operations that
    /// were done, and the disk.
    async fn run(&self, changes: u64) -> (usize, SimDisk) {
        let disk = self.prepared.copy();
        disk.stop_after(changes, changes);
        let mut done = self.script.before;
        let Ok(mut store) = self.open(&disk) else { return (done, disk) };
        for op in &self.script.ops[self.script.before..] {
            if let Op::Reopen = op {
                drop(store);
                match self.open(&disk) {
                    Ok(opened) => store = opened,
                    Err(_) => return (done, disk),
                }
            }
            if !apply(&store, *op).await || disk.has_stopped() {
                break;
            }
            done += 1;
        }
        drop(store);
        (done, disk)
    }

    /// Looks at everything that a crash left, and goes on from there.
    async fn check(&self, disk: &SimDisk, done: usize, left: Left, what: &str) {
        self.points.fetch_add(1, Ordering::Relaxed);
        let most = (done + 1).min(self.script.ops.len());
        let allowed = match left {
            Left::All => &self.states[done..=most],
            Left::Prefix => &self.states[..=most],
        };
        let store = self.open(disk).unwrap();
        assert_eq!(store.report().damage, [""; 0], "{what}");
        let found = state(&store).await;
        assert!(allowed.contains(&found), "{what}: {done} were done, and there is {found:?}");
        assert_no_strays(disk, &found);
        assert_counted(&store, what).await;
        self.check_log_alone(disk, &store, &found, what).await;
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
        let store = self.open(disk).unwrap();
        assert!(store.report().is_clean(), "{what}: {:?}", store.report());
        // Before a list is loaded, and after.
        assert_eq!(store.usage(None).await.unwrap(), used, "{what}");
        assert_eq!(state(&store).await, now, "{what}");
        assert_counted(&store, what).await;
        assert_eq!(store.log_usage().live_bytes, counted, "{what}: the counters are not what is counted anew");
    }

    /// What the checkpoint says, the log says too.
    async fn check_log_alone(&self, disk: &SimDisk, store: &DiskStore, found: &State, what: &str) {
        let disk = disk.copy();
        disk.remove("checkpoint");
        let log = self.open(&disk).unwrap();
        assert_eq!(log.report().damage, [""; 0], "{what}, without a checkpoint");
        assert_eq!(state(&log).await, *found, "{what}, without a checkpoint");
        assert_counted(&log, what).await;
        assert_eq!(log.log_usage().live_bytes, store.log_usage().live_bytes, "{what}, without a checkpoint");
    }

    /// The places where the process can end: the disks, with the operations that were done. Each of them where
    /// `every` is 1.
    async fn crashes(&self, every: usize) -> Vec<(u64, usize, SimDisk)> {
        let mut crashes = Vec::new();
        for changes in 0.. {
            let (done, disk) = self.run(changes).await;
            let finished = !disk.has_stopped();
            if finished {
                assert_eq!(done, self.script.ops.len());
            }
            if finished || changes % every as u64 == 0 {
                crashes.push((changes, done, disk));
            }
            if finished {
                break;
            }
        }
        crashes
    }

    fn assert_points(&self, least: u64) {
        let points = self.points.load(Ordering::Relaxed);
        println!("{:?}, {:?}: {points} places", self.script.name, self.durability);
        assert!(points >= least, "only {points} places were tried");
    }
}

#[tokio::test]
async fn e148_s33_all_or_nothing_and_nothing_lost_wherever_the_process_ends() {
    for script in SCRIPTS {
        for durability in [Durability::Relaxed, Durability::Strict] {
            let trial = Trial::new(script, durability).await;
            for (changes, done, disk) in trial.crashes(1).await {
                disk.restart();
                trial.check(&disk, done, Left::All, &format!("ended after {changes} changes")).await;
            }
            trial.assert_points(80);
        }
    }
}

#[tokio::test]
async fn s34_s70_strict_loses_nothing_wherever_power_fails() {
    loses_power_everywhere(Durability::Strict, Left::All).await;
}

#[tokio::test]
async fn s34_s70_relaxed_keeps_some_committed_prefix_wherever_power_fails() {
    loses_power_everywhere(Durability::Relaxed, Left::Prefix).await;
}

async fn loses_power_everywhere(durability: Durability, left: Left) {
    for script in SCRIPTS {
        let trial = Trial::new(script, durability).await;
        for (changes, done, disk) in trial.crashes(1).await {
            for seed in 0..2 * seeds() {
                let disk = disk.copy();
                disk.lose_power(seed * 1000 + changes);
                let what = format!("{}: no power after {changes} changes, seed {seed}", script.name);
                trial.check(&disk, done, left, &what).await;
            }
        }
        trial.assert_points(160);
    }
}

#[tokio::test]
async fn a_sync_after_a_kill_covers_what_the_killed_process_did_not_sync() {
    for script in SCRIPTS {
        let trial = Trial::new(script, Durability::Relaxed).await;
        for (changes, done, disk) in trial.crashes(1).await {
            disk.restart();
            let store = trial.open(&disk).unwrap();
            // The sync of every second, or one that is asked for.
            if changes % 2 == 0 {
                store.tick().unwrap();
            } else {
                store.sync().await.unwrap();
            }
            for seed in 0..seeds() {
                let disk = disk.copy();
                disk.lose_power(seed * 1000 + changes);
                let what = format!("ended after {changes} changes, then synced, then no power, seed {seed}");
                trial.check(&disk, done, Left::All, &what).await;
            }
        }
        trial.assert_points(80);
    }
}

#[tokio::test]
async fn what_is_acknowledged_after_a_kill_survives_power_loss_too() {
    for script in SCRIPTS {
        for durability in [Durability::Relaxed, Durability::Strict] {
            let trial = Trial::new(script, durability).await;
            for (changes, _, disk) in trial.crashes(1).await {
                disk.restart();
                let store = trial.open(&disk).unwrap();
                assert!(apply(&store, Op::Open("mine")).await);
                assert!(apply(&store, Op::Put("mine", &[("/m", 20)])).await);
                if let Durability::Relaxed = durability {
                    store.sync().await.unwrap();
                }
                let now = state(&store).await;
                for seed in [None, Some(changes)] {
                    let disk = disk.copy();
                    seed.map_or_else(|| disk.lose_all_unsynced(), |seed| disk.lose_power(seed));
                    let store = trial.open(&disk).unwrap();
                    let what = format!("{}: ended after {changes} changes, then no power, {seed:?}", script.name);
                    assert_eq!(store.report().damage, [""; 0], "{what}");
                    assert_eq!(state(&store).await, now, "{what}");
                }
            }
        }
    }
}

/// Recovery after a kill and after power loss, ended by a kill or by power loss, wherever that can be.
#[tokio::test]
async fn recovery_can_be_ended_anywhere_too() {
    let every = if seeds() > 1 { 1 } else { 5 };
    for script in SCRIPTS {
        for durability in [Durability::Relaxed, Durability::Strict] {
            let trial = Trial::new(script, durability).await;
            for (changes, done, disk) in trial.crashes(every).await {
                // What a kill left is all there, and what power loss left, of a strict store.
                let (first, left) = match (changes % 2 == 0, durability) {
                    (true, _) => (None, Left::All),
                    (false, Durability::Strict) => (Some(changes), Left::All),
                    (false, Durability::Relaxed) => (Some(changes), Left::Prefix),
                };
                first.map_or_else(|| disk.restart(), |seed| disk.lose_power(seed));
                for recovery in 0.. {
                    let disk = disk.copy();
                    disk.stop_after(recovery, changes);
                    let recovered = trial.open(&disk).is_ok() && !disk.has_stopped();
                    disk.lose_power(recovery * 1000 + changes);
                    let what = format!("after {changes} changes ({first:?}), then {recovery} of recovery");
                    // Without power, a kill in a relaxed store is as good as power loss.
                    let left = if let Durability::Strict = durability { left } else { Left::Prefix };
                    trial.check(&disk, done, left, &what).await;
                    if recovered {
                        break;
                    }
                }
            }
            trial.assert_points(50);
        }
    }
}

/// A body that nobody needs any more is needed again, should the log lose what took its entry away.
#[tokio::test]
async fn what_recovery_removes_is_needed_by_nothing_that_power_loss_may_leave() {
    const OPS: &[Op] = &[
        Op::Open("a"),
        Op::Put("a", &[("/gone", 70_000)]),
        Op::Tick,
        // Its body is not synced when the process ends: should it go with the power, so does what comes after it.
        Op::Put("a", &[("/late", 300_000)]),
        Op::Delete("a", "/gone"),
    ];
    let trial = Trial::new(Script { name: "removing", ops: OPS, ..SCRIPTS[0] }, Durability::Relaxed).await;
    let store = trial.open(&trial.prepared).unwrap();
    for op in OPS {
        assert!(apply(&store, *op).await, "{op:?}");
    }
    trial.prepared.stop_after(0, 0);
    drop(store);
    trial.prepared.restart();
    for recovery in 0.. {
        let mut recovered = false;
        for seed in 0..8 {
            let disk = trial.prepared.copy();
            disk.stop_after(recovery, seed);
            recovered = trial.open(&disk).is_ok() && !disk.has_stopped();
            disk.lose_power(seed);
            trial.check(&disk, OPS.len(), Left::Prefix, &format!("{recovery} of recovery, seed {seed}")).await;
        }
        if recovered {
            break;
        }
    }
    trial.assert_points(100);
}

/// A crash while the store is opened again, again and again, until it is through.
#[tokio::test]
async fn recovery_that_is_always_ended_gets_through_with_nothing_lost() {
    for script in SCRIPTS {
        let trial = Trial::new(script, Durability::Relaxed).await;
        for (changes, done, disk) in trial.crashes(3).await {
            disk.restart();
            let mut opened = 0;
            for step in 0.. {
                disk.stop_after(step, changes);
                opened += u64::from(trial.open(&disk).is_ok());
                let through = !disk.has_stopped();
                disk.restart();
                if through {
                    break;
                }
            }
            assert!(opened > 0);
            trial.check(&disk, done, Left::All, &format!("ended after {changes} changes, and then always")).await;
        }
        trial.assert_points(25);
    }
}

#[tokio::test]
async fn what_one_crash_left_never_comes_back_after_another() {
    for script in SCRIPTS {
        let trial = Trial::new(script, Durability::Relaxed).await;
        let states: HashMap<String, usize> =
            trial.states.iter().enumerate().map(|(at, state)| (format!("{state:?}"), at)).collect();
        for (changes, _, disk) in trial.crashes(4).await {
            disk.lose_power(changes);
            let mut allowed = None;
            // Each time it starts, does a little, and loses power again: only ever a prefix of the
            // prefix it started from, with something of what was done on top.
            for round in 0..6 {
                let store = trial.open(&disk).unwrap();
                let mut found = state(&store).await;
                let mine = found.iter().position(|(name, _)| name == "mine").map(|at| found.remove(at));
                match &allowed {
                    None => assert!(states.contains_key(&format!("{found:?}"))),
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
