//! A process that is really killed, again and again, on one data directory.
//!
//! The child runs four tasks, each with caches and a script of its own, and says after each operation that it was
//! done. The parent kills it at some line, looks what is there, and lets the next child go on from that.
//! `WAYSTORE_TEST_KILLS=500 cargo test -p waystore --test disk kill` kills 500 times instead of 40.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use waystore::store::{
    INLINE_BYTES,
    disk::{DiskOptions, DiskStore},
};

use super::support::{Op, State, after, apply, assert_counted, state};

/// Set in the child: the data directory, and where each task's script goes on.
const DIR: &str = "WAYSTORE_TEST_KILL_DIR";
const FROM: &str = "WAYSTORE_TEST_KILL_FROM";

/// The caches of each task.
const CACHES: [[&str; 2]; 4] = [["a", "a-next"], ["b", "b-next"], ["c", "c-next"], ["d", "d-next"]];
const URLS: [&str; 8] = ["/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7"];
const LENGTHS: [usize; 8] = [0, 10, 900, 5_000, 20_000, 60_000, 70_000, 200_000];
/// Operations in a script: more than are ever done.
const OPERATIONS: usize = 6_000;

/// With short segments and a busy background, so that compaction and checkpoints are killed too.
fn busy() -> DiskOptions {
    DiskOptions::default().segment_bytes(512 * 1024).sync_every(Some(Duration::from_millis(5)))
}

/// The child.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let (Ok(dir), Ok(from)) = (std::env::var(DIR), std::env::var(FROM)) else { return };
    println!("opening");
    let store = Arc::new(DiskStore::open(dir, busy()).await.unwrap());
    let from: Vec<usize> = from.split(',').map(|from| from.parse().unwrap()).collect();
    let tasks = from.into_iter().enumerate().map(|(task, from)| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for (number, op) in script(task).0.into_iter().enumerate().skip(from) {
                assert!(apply(&store, op).await, "{op:?}");
                println!("done {task} {number}");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    panic!("a script is too short");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s33_what_was_acknowledged_before_kill_9_is_there() {
    let kills = std::env::var("WAYSTORE_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(40);
    let mut random = StdRng::seed_from_u64(kills);
    let scripts: Vec<_> = (0..CACHES.len()).map(script).collect();
    let mut dir = tempfile::tempdir().unwrap();
    let (mut done, mut operations) = ([0; CACHES.len()], 0);
    for kill in 0..kills {
        if done.iter().any(|done| done + 1000 > OPERATIONS) {
            dir = tempfile::tempdir().unwrap();
            done = [0; CACHES.len()];
        }
        // Now and then while it is being opened.
        let lines = if kill % 6 == 5 { 0 } else { random.random_range(1..200) };
        let acknowledged = run_and_kill(dir.path(), done, lines);
        // Now and then nothing is tidied before the next child starts.
        let store = if kill % 3 == 1 {
            DiskStore::open_read_only(dir.path()).await.unwrap()
        } else {
            DiskStore::open(dir.path(), busy().sync_every(None)).await.unwrap()
        };
        assert_eq!(store.report().damage, [""; 0], "kill {kill}");
        let found = state(&store).await;
        for (task, (_, states)) in scripts.iter().enumerate() {
            let found: State =
                found.iter().filter(|(name, _)| CACHES[task].contains(&name.as_str())).cloned().collect();
            let least = acknowledged[task];
            let at = states[least..=least + 1].iter().position(|state| *state == found);
            let at = at.unwrap_or_else(|| panic!("kill {kill}: task {task} did {least}, and there is {found:?}"));
            operations += least + at - done[task];
            done[task] = least + at;
        }
        assert_counted(&store, &format!("kill {kill}")).await;
        if kill % 3 != 1 {
            assert_no_strays(dir.path(), &found);
        }
    }
    println!("{operations} operations, killed {kills} times");
    assert!(operations as u64 > 10 * kills);
}

/// Runs a child until it has said so many lines more than that it opens, and kills it. Returns how many operations of
/// each task it said were done, with those before.
fn run_and_kill(dir: &Path, from: [usize; 4], lines: usize) -> [usize; 4] {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--nocapture"])
        .env(DIR, dir)
        .env(FROM, from.map(|from| from.to_string()).join(","))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = from;
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut note = |line: &str| {
        let mut words = line.split_once("done ")?.1.split(' ').map(|word| word.parse::<usize>().ok());
        let (task, number) = (words.next()??, words.next()??);
        acknowledged[task] = number + 1;
        Some(())
    };
    assert!(said.any(|line| line.ends_with("opening")), "the child ended before it opened the store");
    for line in said.by_ref().take(lines) {
        note(&line);
    }
    child.kill().unwrap();
    for line in said {
        note(&line);
    }
    let ended = child.wait().unwrap();
    assert_eq!(ended.code(), None, "it was killed, it did not end by itself");
    acknowledged
}

/// What a task does, and what there is before the first of it and after each.
fn script(task: usize) -> (Vec<Op>, Vec<State>) {
    let mut random = StdRng::seed_from_u64(task as u64);
    let (mut ops, mut states) = (Vec::new(), vec![State::new()]);
    while ops.len() < OPERATIONS {
        let now = states.last().unwrap();
        let op = next_op(CACHES[task], now, &mut random);
        states.push(after(now, op));
        ops.push(op);
    }
    (ops, states)
}

fn next_op([cache, next]: [&'static str; 2], now: &State, random: &mut StdRng) -> Op {
    let is_there = |name: &str| now.iter().any(|(other, _)| other == name);
    match random.random_range(0..20) {
        _ if !is_there(cache) => Op::Open(cache),
        // A new version is filled, and takes the name.
        0..3 if !is_there(next) => Op::Open(next),
        0..2 => Op::Rename(next, cache),
        2 => Op::Drop(next),
        3 => Op::Drop(cache),
        4..8 if is_there(next) => leak(vec![(cache, puts(random)), (next, puts(random))], Op::PutInto),
        4..11 => Op::Delete(cache, URLS.choose(random).unwrap()),
        _ => Op::Put(cache, puts(random)),
    }
}

/// One to four entries with different URLs.
fn puts(random: &mut StdRng) -> &'static [(&'static str, usize)] {
    let count = [1, 1, 1, 2, 4].choose(random).copied().unwrap();
    let puts = URLS.choose_multiple(random, count).map(|url| (*url, *LENGTHS.choose(random).unwrap()));
    leak(puts.collect(), |puts| puts)
}

/// Scripts are as long as the process.
fn leak<T: 'static, U>(items: Vec<T>, make: impl FnOnce(&'static [T]) -> U) -> U {
    make(Box::leak(items.into_boxed_slice()))
}

/// There is a file for each large body in `state`, and no other, and nothing half written.
fn assert_no_strays(dir: &Path, state: &State) {
    let lengths = state.iter().flat_map(|(_, entries)| entries.iter().map(|(_, length)| *length));
    let wanted: BTreeSet<u64> =
        lengths.filter(|length| *length > INLINE_BYTES).map(|l| (l + 8 * l.div_ceil(64 * 1024)) as u64).collect();
    let mut found = Vec::new();
    for owner in fs::read_dir(dir.join("bodies")).unwrap() {
        let files = fs::read_dir(owner.unwrap().path()).unwrap();
        found.extend(files.map(|file| file.unwrap().metadata().unwrap().len()));
    }
    found.sort_unstable();
    assert_eq!(found, wanted.into_iter().collect::<Vec<_>>());
    let left = fs::read_dir(dir.join("tmp")).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| !name.starts_with("spare")).collect::<Vec<_>>(), [""; 0]);
}
