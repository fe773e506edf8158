//! `waystore check` as it is run: a real data directory, the real program, its output and exit code.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use waystore::{Body, Response, Waystore};

/// A directory with two caches and a large body.
fn data() -> tempfile::TempDir {
    let parent = tempfile::tempdir().unwrap();
    block_on(async {
        let store = Waystore::open(parent.path().join("data")).await.unwrap();
        let caches = store.caches("https://a.test").unwrap();
        let pages = caches.open("pages-v1").await.unwrap();
        pages.put("/", Response::new("<h1>hello</h1>")).await.unwrap();
        pages.put("/greeting", Response::new("hallo hallo hallo")).await.unwrap();
        let goods = caches.open("goods-v1").await.unwrap();
        goods.put("/large", Response::new(Body::from(vec![7; 200_000]))).await.unwrap();
    });
    parent
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
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

fn json(output: &Output) -> Value {
    assert!(!output.stdout.is_empty(), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

const LOG: &str = "data/log/0000000001.seg";

/// Turns a bit of the first `needle` in a file.
fn damage(parent: &Path, file: impl AsRef<Path>, needle: &[u8]) {
    let path = parent.join(file);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
}

/// The file of the large body.
fn body_file(parent: &Path) -> PathBuf {
    let owner = fs::read_dir(parent.join("data/bodies")).unwrap().next().unwrap().unwrap().path();
    fs::read_dir(owner).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn a_whole_directory_is_said_to_be_whole_in_one_line() {
    let parent = data();
    let output = waystore(parent.path(), &["check"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
    assert_eq!(stdout(&output), "2 caches, 3 entries, 1.2 MiB in 3 files: whole\n");
    let told = json(&waystore(parent.path(), &["check", "--json"]));
    assert_eq!((&told["whole"], &told["entries"], &told["findings"]), (&true.into(), &3.into(), &Value::Array(vec![])));
}

#[test]
fn damage_names_the_file_the_place_the_cache_and_the_url_and_the_next_step() {
    let parent = data();
    damage(parent.path(), LOG, b"hallo hallo");
    let body = body_file(parent.path());
    fs::write(&body, [0; 200_032]).unwrap();
    let output = waystore(parent.path(), &["check"]);
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<_> = stdout(&output).lines().collect();
    assert!(lines[0].starts_with("log/0000000001.seg, byte "), "{lines:?}");
    assert!(
        lines[0].ends_with(": `https://a.test/greeting` in cache `pages-v1` of https://a.test is lost"),
        "{lines:?}"
    );
    assert!(
        lines[1].starts_with("bodies/") && lines[1].contains("`https://a.test/large` in cache `goods-v1`"),
        "{lines:?}"
    );
    assert_eq!(lines[2], "2 caches, 1 entry, 1.2 MiB in 3 files: 2 places are damaged, 2 entries are lost");
    assert_eq!(
        stderr(&output),
        "error: `data` is damaged: 2 places are damaged, 2 entries are lost\n\
         hint: `waystore check --repair --data data` keeps all that is whole\n"
    );

    let told = json(&waystore(parent.path(), &["check", "--json"]));
    assert_eq!((&told["whole"], &told["lostEntries"]), (&false.into(), &2.into()));
    let lost = &told["findings"][0]["lost"];
    assert_eq!((&lost["cache"], &lost["url"]), (&"pages-v1".into(), &"https://a.test/greeting".into()));
    assert!(told["findings"][0]["offset"].as_u64().unwrap() > 1024);
}

#[test]
fn repair_keeps_what_is_whole_sets_aside_what_is_not_and_a_second_check_finds_it_whole() {
    let parent = data();
    damage(parent.path(), LOG, b"hallo hallo");
    let output = waystore(parent.path(), &["check", "--repair"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""), "{}", stdout(&output));
    let lines: Vec<_> = stdout(&output).lines().collect();
    assert!(lines[0].ends_with("is lost"), "{lines:?}");
    assert!(lines.contains(&"what was damaged is in `data/damaged/1`; it may be deleted"), "{lines:?}");
    assert!(lines[3].starts_with("2 caches, 2 entries") && lines[3].ends_with(": whole now"), "{lines:?}");
    let aside = fs::read(parent.path().join("data/damaged/1/log/0000000001.seg")).unwrap();
    assert!(aside.windows(11).any(|window| window == b"iallo hallo"), "what was damaged is not what was set aside");

    assert_eq!(waystore(parent.path(), &["check"]).status.code(), Some(0));
    assert_eq!(stdout(&waystore(parent.path(), &["cache", "get", "pages-v1", "/"])), "<h1>hello</h1>");
    assert_eq!(waystore(parent.path(), &["cache", "get", "goods-v1", "/large"]).stdout.len(), 200_000);
    assert_eq!(waystore(parent.path(), &["cache", "get", "pages-v1", "/greeting"]).status.code(), Some(1));
    let again = waystore(parent.path(), &["check", "--repair"]);
    assert!(stdout(&again).ends_with(": whole, nothing was changed\n"), "{}", stdout(&again));
}

#[test]
fn a_damaged_checkpoint_or_format_costs_nothing() {
    let parent = data();
    damage(parent.path(), "data/checkpoint", b"waychkpt");
    damage(parent.path(), "data/format", b"waystore");
    let output = waystore(parent.path(), &["check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("2 places are damaged, no entry is lost"), "{}", stderr(&output));
    let told = json(&waystore(parent.path(), &["check", "--repair", "--json"]));
    assert_eq!((&told["after"]["whole"], &told["after"]["entries"]), (&true.into(), &3.into()));
    assert_eq!(told["setAside"], "data/damaged/1");
    assert!(parent.path().join("data/damaged/1/checkpoint").exists());
}

#[test]
fn it_checks_beside_a_writer_and_names_it_but_does_not_repair() {
    let parent = data();
    block_on(async {
        let store = Waystore::open(parent.path().join("data")).await.unwrap();
        let pages = store.caches("https://a.test").unwrap().open("pages-v1").await.unwrap();
        pages.put("/new", Response::new("new")).await.unwrap();
        let output = waystore(parent.path(), &["check"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stdout(&output).starts_with("2 caches, 4 entries"), "{}", stdout(&output));
        let pid = std::process::id();
        assert!(stderr(&output).starts_with(&format!("note: process {pid} writes to it")), "{}", stderr(&output));
        let output = waystore(parent.path(), &["check", "--repair"]);
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), ""));
        assert!(
            stderr(&output).contains(&format!("in use by process {pid}\nhint: stop the gateway")),
            "{}",
            stderr(&output)
        );
        pages.put("/newer", Response::new("newer")).await.unwrap();
    });
}

#[test]
fn what_is_no_data_directory_is_left_alone() {
    let parent = tempfile::tempdir().unwrap();
    for arguments in [&["check"][..], &["check", "--repair"]] {
        let output = waystore(parent.path(), arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).starts_with("error: no cache store at `data`\nhint: "), "{}", stderr(&output));
    }
    fs::create_dir(parent.path().join("photos")).unwrap();
    fs::write(parent.path().join("photos/a.jpg"), "x").unwrap();
    for arguments in [&["check", "--data", "photos"][..], &["check", "--repair", "--data", "photos"]] {
        let output = waystore(parent.path(), arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).starts_with("error: no cache store at `photos`: "), "{}", stderr(&output));
    }
    assert_eq!(fs::read_dir(parent.path().join("photos")).unwrap().count(), 1);
    assert_eq!(waystore(parent.path(), &["check", "--repare"]).status.code(), Some(2));
}
