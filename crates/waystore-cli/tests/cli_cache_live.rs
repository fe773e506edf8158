//! `waystore cache` on a data directory that a running gateway holds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    fs::File,
    io::{Read, Write},
    os::unix::net::UnixListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};
use support::{CACHE_EVERYTHING, Gateway, Seen, mirror, stderr, text, upstream, waystore};

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn parsed(output: &Output) -> Value {
    serde_json::from_str(stdout(output)).unwrap_or_else(|_| panic!("{}{}", stdout(output), stderr(output)))
}

fn done(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
}

/// Starts `waystore cache ARGS` on the data directory in `home`.
fn start(home: &Path, arguments: &[&str]) -> Child {
    let data = home.join("data").to_string_lossy().into_owned();
    let mut command: Command = waystore(&[&["cache"], arguments, &["--data", &data]].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).current_dir(home).spawn().unwrap()
}

fn cache_with(home: &Path, arguments: &[&str], stdin: &[u8]) -> Output {
    let mut child = start(home, arguments);
    // A command that failed reads no further.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

fn cache(home: &Path, arguments: &[&str]) -> Output {
    cache_with(home, arguments, b"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_command_says_the_same_with_a_gateway_and_without() {
    let mut gateway = Gateway::proxy(mirror(&Seen::default()).await, &[]);
    let home = gateway.home().to_owned();
    done(&cache_with(&home, &["put", "v1", "/a", "-", "--header", "Content-Type: text/plain"], b"hello"));
    done(&cache_with(&home, &["put", "v1", "/b", "-", "--header", "Vary: accept-language"], &[7; 300_000]));
    done(&cache_with(&home, &["put", "v2", "/c", "-", "--status", "404"], b""));
    let commands: &[&[&str]] = &[
        &["ls"],
        &["ls", "--json"],
        &["keys", "v1"],
        &["keys", "v1", "--json"],
        &["keys", "v1", "--prefix", "/b"],
        &["keys", "v1", "--prefix", "/none"],
        &["keys", "v9"],
        &["keys", "v1", "--origin", "https://other.test"],
        &["keys", "v1", "--origin", "nonsense"],
        &["get", "v1", "/a"],
        &["get", "v1", "/b"],
        &["get", "v1", "/b", "--json"],
        &["get", "v1", "/none"],
        &["get", "v1", "http://["],
        &["explain", "v1", "/a?x"],
        &["explain", "v1", "/a", "--json"],
        &["export", "v1", "-"],
        &["export", "v9", "-"],
        &["rm", "v9"],
        &["rm", "v1", "/none", "--json"],
    ];
    let all = || -> Vec<_> { commands.iter().map(|command| cache(&home, command)).collect() };
    let with = all();
    assert_eq!(gateway.stop(), Some(0));
    for ((command, with), without) in commands.iter().zip(with).zip(all()) {
        // Seconds go by between the two.
        let ages = |text: &[u8]| String::from_utf8_lossy(text).replace(['0', '1', '2', '3', '4'], "#");
        assert_eq!(with.status.code(), without.status.code(), "{command:?}: {}", stderr(&with));
        assert_eq!(ages(&with.stdout), ages(&without.stdout), "{command:?}");
        assert_eq!(stderr(&with), stderr(&without), "{command:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_changed_through_the_gateway_is_seen_by_its_worker_at_once() {
    let seen = Seen::default();
    let gateway = Gateway::with_worker(mirror(&seen).await, CACHE_EVERYTHING, &[]);
    gateway.ready();
    assert_eq!(gateway.get("/x").await.text(), "/x for nobody");
    let home = gateway.home();
    let output = cache_with(home, &["put", "pages", "/x", "-", "--json"], b"put by hand");
    assert_eq!(parsed(&output)["url"], format!("http://localhost:{}/x", gateway.address.port()));
    assert_eq!(gateway.get("/x").await.text(), "put by hand");
    done(&cache(home, &["rm", "pages", "/x"]));
    assert_eq!(gateway.get("/x").await.text(), "/x for nobody");
    assert_eq!(seen.count("/x"), 2);
    done(&cache(home, &["export", "pages", "pages.waystore"]));
    done(&cache(home, &["rm", "pages"]));
    done(&cache(home, &["import", "pages", "pages.waystore"]));
    assert_eq!((gateway.get("/x").await.text(), seen.count("/x")), ("/x for nobody".to_owned(), 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_gateway_tells_what_visitors_used_and_how_often() {
    let mut gateway = Gateway::with_worker(mirror(&Seen::default()).await, CACHE_EVERYTHING, &[]);
    gateway.ready();
    for path in ["/a", "/a", "/a", "/b"] {
        gateway.get(path).await;
    }
    let home = gateway.home().to_owned();
    // Who manages the cache is no visitor.
    done(&cache(&home, &["get", "pages", "/b"]));
    let told = || {
        let keys = parsed(&cache(&home, &["keys", "pages", "--json"]));
        assert!(keys[0]["lastUsed"].is_string() && keys[1]["lastUsed"].is_null(), "{keys}");
        (keys[0]["hits"].clone(), keys[1]["hits"].clone(), parsed(&cache(&home, &["ls", "--json"]))[0]["hits"].clone())
    };
    assert_eq!(told(), (json!(2), json!(0), json!(2)));
    assert_eq!(gateway.stop(), Some(0));
    assert_eq!(told(), (json!(2), json!(0), json!(2)), "it is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn add_fetches_with_the_gateways_own_network() {
    let seen = Seen::default();
    let mirror = mirror(&seen).await;
    // Nobody can reach this origin but through the configured upstream.
    let gateway = Gateway::proxy(mirror, &["--origin", "https://shop.invalid"]);
    let home = gateway.home();
    done(&cache(home, &["add", "v1", "/a", "https://shop.invalid/b"]));
    assert_eq!((seen.count("/a"), seen.count("/b")), (1, 1));
    assert_eq!(seen.last("/a")["host"], "shop.invalid");
    let keys = parsed(&cache(home, &["keys", "v1", "--json"]));
    assert_eq!(
        (&keys[0]["url"], &keys[1]["url"]),
        (&"https://shop.invalid/a".into(), &"https://shop.invalid/b".into())
    );
    let output = cache(home, &["add", "v1", "/a", "--cacert", "ca.pem"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("`upstream_ca`"), "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_leaves_no_cache_behind() {
    let missing = upstream(|_| async { text(404, "no") }).await;
    let gateway = Gateway::proxy(missing, &[]);
    let home = gateway.home();
    let output = cache(home, &["add", "v1", "/a"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("answered with status 404"), "{}", stderr(&output));
    let output = cache_with(home, &["put", "v1", "/a", "-", "--header", "Vary: *"], &[7; 10_000_000]);
    assert!(stderr(&output).contains("Vary: *"), "{}", stderr(&output));
    let output = cache_with(home, &["import", "v1", "-"], &[7; 10_000_000]);
    assert!(stderr(&output).starts_with("error: `stdin` was not imported"), "{}", stderr(&output));
    assert_eq!(stdout(&cache(home, &["ls", "--json"])), "[]\n");
}

/// What `/proc` says that the process has held at most, in KiB.
fn most_memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// `WAYSTORE_TEST_BODY_MIB=1024 cargo test -p waystore-cli --test cli_cache_live bodies` tries it with a gibibyte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_stream_both_ways_through_a_gateway_that_holds_none_of_them() {
    let mib = std::env::var("WAYSTORE_TEST_BODY_MIB").map_or(96, |mib| mib.parse().unwrap());
    let gateway = Gateway::proxy(mirror(&Seen::default()).await, &[]);
    let home = gateway.home();
    done(&cache_with(home, &["put", "v1", "/small", "-"], b"x"));
    let before = most_memory(gateway.id());
    let long = write_film(&home.join("film"), mib);
    done(&cache(home, &["put", "v1", "/long", "film"]));
    let mut getting = start(home, &["get", "v1", "/long"]);
    assert!(hash(getting.stdout.take().unwrap()) == long, "it came out as it went in");
    done(&getting.wait_with_output().unwrap());
    done(&cache(home, &["export", "v1", "v1.waystore"]));
    done(&cache(home, &["import", "v2", "v1.waystore"]));
    done(&cache(home, &["get", "v2", "/long", "--output", "long"]));
    assert!(hash(File::open(home.join("long")).unwrap()) == long, "so did the import");
    let grown = most_memory(gateway.id()) - before;
    println!("{mib} MiB put, got, exported, imported and got: {grown} KiB more at most");
    assert!(grown < 24 << 10, "the gateway grew by {grown} KiB");
}

/// Writes a file of which no two MiB are the same; its hash.
fn write_film(path: &Path, mib: u32) -> blake3::Hash {
    let (mut file, mut hasher) = (File::create(path).unwrap(), blake3::Hasher::new());
    for number in 0..mib {
        let part: Vec<u8> = (0..1_u32 << 18).flat_map(|word| (word ^ number << 18).to_le_bytes()).collect();
        file.write_all(&part).unwrap();
        hasher.update(&part);
    }
    hasher.finalize()
}

fn hash(bytes: impl Read) -> blake3::Hash {
    blake3::Hasher::new().update_reader(bytes).unwrap().finalize()
}

/// The exported cache of a data directory with one long body, which it is left with.
fn exported(home: &Path) -> Vec<u8> {
    done(&cache_with(home, &["put", "v1", "https://a.test/a", "-", "--origin", "https://a.test"], &[7; 8 << 20]));
    let file = cache(home, &["export", "v1", "-"]).stdout;
    assert_eq!(bodies(&home.join("data")), 1);
    file
}

/// The number of long bodies in a data directory, whole or not.
fn bodies(data: &Path) -> usize {
    fn files(folder: &Path) -> usize {
        let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
        let long = |entry: &std::fs::DirEntry| entry.metadata().is_ok_and(|facts| facts.len() > 1 << 20);
        let count = |entry: std::fs::DirEntry| match entry.path().is_dir() {
            true => files(&entry.path()),
            false => usize::from(long(&entry)),
        };
        entries.map(Result::unwrap).map(count).sum()
    }
    files(&data.join("bodies")) + files(&data.join("tmp"))
}

/// A command that has read half of what it imports.
fn importing(home: &Path, file: &[u8]) -> (Child, std::process::ChildStdin) {
    let mut importing = start(home, &["import", "v1", "-", "--origin", "https://a.test"]);
    let mut stdin = importing.stdin.take().unwrap();
    stdin.write_all(&file[..file.len() / 2]).unwrap();
    until(|| bodies(&home.join("data")) == 2);
    (importing, stdin)
}

const INTERRUPTED: &str = "error: interrupted\nhint: nothing was changed; run it again to have it done\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_killed_while_it_imports_leaves_nothing_behind() {
    let gateway = Gateway::proxy(mirror(&Seen::default()).await, &[]);
    let home = gateway.home();
    let file = exported(home);
    for signal in [rustix::process::Signal::KILL, rustix::process::Signal::INT] {
        let (importing, stdin) = importing(home, &file);
        rustix::process::kill_process(rustix::process::Pid::from_child(&importing), signal).unwrap();
        let ended = importing.wait_with_output().unwrap();
        if signal == rustix::process::Signal::INT {
            assert_eq!((ended.status.code(), stderr(&ended).as_str()), (Some(1), INTERRUPTED));
        }
        drop(stdin);
        until(|| bodies(&gateway.data()) == 1);
        let keys = parsed(&cache(home, &["keys", "v1", "--json", "--origin", "https://a.test"]));
        assert_eq!((keys.as_array().unwrap().len(), &keys[0]["bytes"]), (1, &json!(8 << 20)));
    }
}

#[test]
fn ctrl_c_takes_back_what_was_begun_in_the_directory_itself() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let file = exported(home);
    let (importing, _stdin) = importing(home, &file);
    rustix::process::kill_process(rustix::process::Pid::from_child(&importing), rustix::process::Signal::INT).unwrap();
    let ended = importing.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), stderr(&ended).as_str()), (Some(1), INTERRUPTED));
    assert_eq!(bodies(&home.join("data")), 1);
    assert_eq!(parsed(&cache(home, &["ls", "--json"])).as_array().unwrap().len(), 1);
}

/// Asks until it is so.
fn until(is_so: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < support::PATIENCE, "it never came to be");
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_gateway_left_is_no_obstacle() {
    let mut gateway = Gateway::proxy(mirror(&Seen::default()).await, &[]);
    let home = gateway.home().to_owned();
    done(&cache_with(&home, &["put", "v1", "/a", "-"], b"kept"));
    gateway.kill();
    assert!(gateway.data().join("control.sock").exists());
    assert_eq!(stdout(&cache(&home, &["get", "v1", "/a"])), "kept");
    done(&cache_with(&home, &["put", "v1", "/b", "-"], b"more"));
    assert_eq!(parsed(&cache(&home, &["ls", "--json"]))[0]["entries"], json!(2));
}

/// A data directory at whose socket one call is answered with these bytes.
fn answering(bytes: &'static [u8]) -> (tempfile::TempDir, std::thread::JoinHandle<()>) {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("data")).unwrap();
    let socket = UnixListener::bind(home.path().join("data/control.sock")).unwrap();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = socket.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream.write_all(bytes).unwrap();
    });
    (home, answering)
}

#[test]
fn a_gateway_that_is_older_or_dies_or_is_none_is_told_apart() {
    let begun = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let cases: [(&[u8], &str, &str); 6] = [
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 28\r\n\r\n{\"error\":\"there is no POST\"}\n",
            "does not know this command: it is older",
            "start it anew",
        ),
        (b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 2\r\n\r\n{}", "it is older", "start it anew"),
        (begun, "ended in the middle of its answer", "run this again"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nj\0\0\0\x04null", "words of another version", "start it anew"),
        (b"", "gave no answer", "run this again"),
        (b"220 mail.example ESMTP\r\n", "gave no answer", "run this again"),
    ];
    for (bytes, expected, hint) in cases {
        let (home, answering) = answering(bytes);
        let output = cache(home.path(), &["ls"]);
        answering.join().unwrap();
        let told = stderr(&output);
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), ""), "{told}");
        let (error, next) = told.split_once("\nhint: ").unwrap_or_else(|| panic!("no hint: {told}"));
        assert!(error.contains(expected) && next.contains(hint), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_has_seen_enough_is_no_failure_for_anybody() {
    let gateway = Gateway::proxy(mirror(&Seen::default()).await, &[]);
    let home = gateway.home();
    done(&cache_with(home, &["put", "v1", "/long", "-"], &[7; 8 << 20]));
    for command in [&["get", "v1", "/long"][..], &["export", "v1", "-"]] {
        let mut child = start(home, command);
        child.stdout.take().unwrap().read_exact(&mut [0; 4]).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(!stderr(&output).contains("error"), "{}", stderr(&output));
    }
    assert_eq!(cache(home, &["get", "v1", "/long"]).stdout.len(), 8 << 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_with_a_long_path_has_its_socket_elsewhere_and_is_found_from_anywhere() {
    let home = tempfile::tempdir().unwrap();
    let long = home.path().join("d".repeat(120));
    std::fs::create_dir(&long).unwrap();
    let url = format!("http://{}", mirror(&Seen::default()).await);
    let mut gateway = Gateway::start_in(&long, &["--no-worker", "--upstream", &url]);
    assert!(gateway.data().join("control.path").exists());
    done(&cache_with(&long, &["put", "v1", "/a", "-"], b"x"));
    // By a short name too, which alone would fit.
    std::os::unix::fs::symlink(&long, home.path().join("s")).unwrap();
    assert_eq!(stdout(&cache(&home.path().join("s"), &["get", "v1", "/a"])), "x");
    assert_eq!(gateway.stop(), Some(0));
    assert_eq!(stdout(&cache(&long, &["get", "v1", "/a"])), "x");
}
