//! `waystore cache` as it is run: a real data directory, the real program, its output and exit code.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use waystore::{Body, Request, Response, Waystore};

const ORIGIN: &str = "https://a.test";

/// A directory with two caches of one origin.
fn data() -> tempfile::TempDir {
    let parent = tempfile::tempdir().unwrap();
    fill(&parent.path().join("data"), ORIGIN);
    parent
}

fn fill(dir: &Path, origin: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = Waystore::open(dir).await.unwrap();
        let caches = store.caches(origin).unwrap();
        let pages = caches.open("pages-v1").await.unwrap();
        pages.put("/", Response::new("<h1>hello</h1>").header("content-type", "text/html")).await.unwrap();
        let german = Request::get(&format!("{origin}/greeting")).unwrap().header("accept-language", "de");
        pages.put(german, Response::new("hallo").header("vary", "accept-language")).await.unwrap();
        let large = Body::from(vec![7; 200_000]);
        caches.open("goods-v1").await.unwrap().put("/large", Response::new(large)).await.unwrap();
    });
}

/// Runs `waystore ARGS` next to a folder `data`.
fn waystore(parent: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waystore"));
    command.args(arguments).current_dir(parent).stdin(Stdio::null()).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn ls_sums_up_each_cache() {
    let parent = data();
    let output = waystore(parent.path(), &["cache", "ls"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let lines: Vec<Vec<_>> = stdout(&output).lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["CACHE", "ENTRIES", "SIZE", "OLDEST", "NEWEST", "USED", "HITS"]);
    assert_eq!(lines[1][..4], ["pages-v1", "2", "19", "B"]);
    assert_eq!(lines[2][..4], ["goods-v1", "1", "195.3", "KiB"]);
}

#[test]
fn keys_and_get_answer_programs_in_json() {
    let parent = data();
    let output = waystore(parent.path(), &["cache", "keys", "pages-v1", "--json", "--prefix", "/gr"]);
    let keys: serde_json::Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(keys.as_array().unwrap().len(), 1);
    assert_eq!(keys[0]["url"], "https://a.test/greeting");
    assert_eq!(keys[0]["requestHeaders"][0][1], "de");

    let output = waystore(parent.path(), &["cache", "get", "pages-v1", "/", "--json"]);
    let told: serde_json::Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!((&told["status"], &told["bytes"]), (&200.into(), &14.into()));
}

#[test]
fn get_writes_the_body_to_stdout_and_talks_on_stderr() {
    let parent = data();
    let output = waystore(parent.path(), &["cache", "get", "pages-v1", "/"]);
    assert_eq!((stdout(&output), output.status.code()), ("<h1>hello</h1>", Some(0)));
    assert_eq!(stderr(&output), "200 text/html, 14 B\n");
}

#[test]
fn a_large_body_comes_back_whole_on_stdout_and_in_a_file() {
    let parent = data();
    let output = waystore(parent.path(), &["cache", "get", "goods-v1", "/large"]);
    assert!(output.stdout == [7; 200_000]);
    let output = waystore(parent.path(), &["cache", "get", "goods-v1", "/large", "--output", "large.bin"]);
    assert_eq!((stdout(&output), output.status.code()), ("", Some(0)), "{}", stderr(&output));
    assert!(std::fs::read(parent.path().join("large.bin")).unwrap() == [7; 200_000]);
}

#[test]
fn a_miss_ends_with_exit_code_1_and_a_next_step() {
    let parent = data();
    let output = waystore(parent.path(), &["cache", "get", "pages-v1", "/greeting"]);
    assert_eq!((stdout(&output), output.status.code()), ("", Some(1)));
    assert!(stderr(&output).contains("\nhint: it varies by `accept-language`"), "{}", stderr(&output));
    let header = ["cache", "get", "pages-v1", "/greeting", "--header", "Accept-Language: de"];
    assert_eq!(stdout(&waystore(parent.path(), &header)), "hallo");
}

#[test]
fn a_directory_that_is_missing_or_not_ours_is_named_with_a_next_step_and_left_alone() {
    let parent = tempfile::tempdir().unwrap();
    let output = waystore(parent.path(), &["cache", "ls"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "error: no cache store at `data`\nhint: `waystore serve` makes one; another place is given with `--data DIR`\n"
    );
    assert!(!parent.path().join("data").exists());

    std::fs::create_dir(parent.path().join("photos")).unwrap();
    std::fs::write(parent.path().join("photos/a.jpg"), "x").unwrap();
    let output = waystore(parent.path(), &["cache", "ls", "--data", "photos"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("error: no cache store at `photos`: "), "{}", stderr(&output));
    assert_eq!(std::fs::read_dir(parent.path().join("photos")).unwrap().count(), 1);
}

#[test]
fn what_was_asked_for_wrongly_ends_with_exit_code_2() {
    let parent = data();
    for wrong in [
        &["cache"][..],
        &["cache", "list"],
        &["cache", "keys"],
        &["cache", "get", "pages-v1", "/", "--header", "no colon"],
        &["cache", "keys", "pages-v1", "--origin", "not an origin"],
    ] {
        let output = waystore(parent.path(), wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {}", stderr(&output));
        assert!(!stderr(&output).is_empty() && output.stdout.is_empty(), "{wrong:?}");
    }
}

#[test]
fn several_origins_want_one_to_be_named() {
    let parent = data();
    fill(&parent.path().join("data"), "https://b.test");
    let output = waystore(parent.path(), &["cache", "get", "pages-v1", "/"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("`https://a.test`, `https://b.test`"), "{}", stderr(&output));
    let output = waystore(parent.path(), &["cache", "get", "pages-v1", "/", "--origin", "https://b.test"]);
    assert_eq!(stdout(&output), "<h1>hello</h1>");
}

#[test]
fn looking_works_while_another_process_writes_and_sees_what_it_wrote() {
    let parent = data();
    let dir = parent.path().join("data");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = Waystore::open(&dir).await.unwrap();
        let pages = store.caches(ORIGIN).unwrap().open("pages-v1").await.unwrap();
        pages.put("/new", Response::new("new")).await.unwrap();
        let output = waystore(parent.path(), &["cache", "get", "pages-v1", "/new"]);
        assert_eq!(stdout(&output), "new", "{}", stderr(&output));
    });
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let parent = data();
    let mut command = Command::new(env!("CARGO_BIN_EXE_waystore"));
    command.args(["cache", "get", "goods-v1", "/large"]).current_dir(parent.path());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!stderr(&output).contains("error"), "{}", stderr(&output));
}
