//! A process that is really killed.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use waystore::store::disk::{DiskOptions, DiskStore};

use super::support::{Op, apply, put, state};

/// Set in the child, to the data directory.
const DIR: &str = "WAYSTORE_TEST_KILL_DIR";

/// The child: stores without end, and says after each put that it was done.
#[tokio::test]
async fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let store = DiskStore::open(dir, DiskOptions::default()).await.unwrap();
    apply(&store, Op::Open("c")).await;
    for number in 0.. {
        let url = format!("/{number}");
        let length = if number % 5 == 0 { 70_000 + number } else { 100 + number };
        put(&store, "c", &[(&url, length)]).await.unwrap();
        println!("done {number}");
    }
}

#[tokio::test]
async fn s33_what_was_acknowledged_before_kill_9_is_there() {
    for wanted in [1, 20, 100] {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut done = lines.map_while(Result::ok).filter(|line| line.contains("done "));
        done.nth(wanted).unwrap();
        child.kill().unwrap();
        let acknowledged = wanted + 1 + done.count();
        child.wait().unwrap();
        let store = DiskStore::open(dir.path(), DiskOptions::default()).await.unwrap();
        assert_eq!(store.report().damage_count, 0);
        let found = state(&store).await[0].1.len();
        assert!(found == acknowledged || found == acknowledged + 1, "{found} of {acknowledged} are there");
    }
}
