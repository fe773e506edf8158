//! The commands of `waystore cache` that change caches or move them, as they are run.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
};

use waystore::Waystore;

/// Runs `waystore cache ARGS` next to a folder `data`.
fn cache(parent: &Path, arguments: &[&str]) -> Output {
    cache_with(parent, arguments, b"")
}

fn cache_with(parent: &Path, arguments: &[&str], stdin: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waystore"));
    command.arg("cache").args(arguments).current_dir(parent);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that reads no stdin may have ended already.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn done(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_str(stdout(output)).unwrap()
}

fn get(parent: &Path, url: &str) -> String {
    stdout(&cache(parent, &["get", "v1", url])).to_owned()
}

/// A folder with two responses in the cache `v1` of `https://a.test`.
fn filled() -> tempfile::TempDir {
    let parent = tempfile::tempdir().unwrap();
    std::fs::write(parent.path().join("page.html"), "<h1>hello</h1>").unwrap();
    done(&cache(parent.path(), &["put", "v1", "https://a.test/", "page.html"]));
    done(&cache_with(parent.path(), &["put", "v1", "/greeting", "-", "--header", "Vary: accept-language"], b"hello"));
    parent
}

#[test]
fn put_stores_a_file_or_stdin_and_the_first_url_names_the_origin() {
    let parent = filled();
    assert_eq!(get(parent.path(), "/"), "<h1>hello</h1>");
    assert_eq!(get(parent.path(), "/greeting"), "hello");
    let keys = json(&cache(parent.path(), &["keys", "v1", "--json"]));
    assert_eq!(keys[0]["responseHeaders"], serde_json::json!([["content-type", "text/html"]]));
    let output = cache_with(parent.path(), &["put", "v1", "/gone", "-", "--status", "410", "--json"], b"");
    assert_eq!(json(&output), serde_json::json!({ "cache": "v1", "url": "https://a.test/gone", "status": 410 }));
    let told = json(&cache(parent.path(), &["get", "v1", "/gone", "--json"]));
    assert_eq!(told["status"], 410);
}

#[test]
fn put_takes_a_long_body_whole() {
    let parent = filled();
    let long: Vec<_> = (0..3_000_000_u32).map(|number| number as u8).collect();
    std::fs::write(parent.path().join("long.bin"), &long).unwrap();
    done(&cache(parent.path(), &["put", "v1", "/long", "long.bin"]));
    assert!(cache(parent.path(), &["get", "v1", "/long"]).stdout == long);
}

#[test]
fn put_refuses_what_the_standard_refuses_and_makes_nothing_for_what_it_cannot_read() {
    let parent = tempfile::tempdir().unwrap();
    let output = cache(parent.path(), &["put", "v1", "https://a.test/", "missing.html"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("error: `missing.html` cannot be read: "), "{}", stderr(&output));
    assert!(!parent.path().join("data").exists());

    let parent = filled();
    let output = cache(parent.path(), &["put", "v1", "/", "page.html", "--header", "Vary: *"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("Vary: *"), "{}", stderr(&output));
    for wrong in [&["put", "v1", "/", "page.html", "--status", "99"][..], &["put", "v1", "/"]] {
        assert_eq!(cache(parent.path(), wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn a_path_without_an_origin_wants_one_to_be_named() {
    let parent = tempfile::tempdir().unwrap();
    let output = cache_with(parent.path(), &["put", "v1", "/", "-"], b"x");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("\nhint: name the origin with `--origin`"), "{}", stderr(&output));
    done(&cache_with(parent.path(), &["put", "v1", "/", "-", "--origin", "https://b.test"], b"x"));
    assert_eq!(get(parent.path(), "https://b.test/"), "x");
}

#[test]
fn rm_removes_urls_in_every_variant_or_the_whole_cache() {
    let parent = filled();
    let output = cache(parent.path(), &["rm", "v1", "/greeting"]);
    done(&output);
    assert_eq!(stderr(&output), "removed `https://a.test/greeting` from `v1`\n");
    let output = cache(parent.path(), &["rm", "v1", "/", "/greeting", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(json(&output)["removed"], serde_json::json!(["https://a.test/"]));
    assert_eq!(json(&output)["missing"], serde_json::json!(["https://a.test/greeting"]));
    assert!(stderr(&output).contains("`https://a.test/greeting` is not in `v1`\nhint: "), "{}", stderr(&output));
    done(&cache(parent.path(), &["rm", "v1"]));
    let output = cache(parent.path(), &["rm", "v1", "--origin", "https://a.test"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(1), "error: `https://a.test` has no cache `v1`\n"));
}

#[test]
fn rm_makes_no_directory() {
    let parent = tempfile::tempdir().unwrap();
    let output = cache(parent.path(), &["rm", "v1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("error: no cache store at `data`\nhint: "), "{}", stderr(&output));
    assert!(!parent.path().join("data").exists());
}

#[test]
fn explain_names_the_rule() {
    let parent = filled();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = Waystore::open(parent.path().join("data")).await.unwrap();
        let v1 = store.caches("https://a.test").unwrap().open("v1").await.unwrap();
        let german = waystore::Request::get("https://a.test/greeting").unwrap().header("accept-language", "de");
        v1.put(german, waystore::Response::new("hallo").header("vary", "accept-language")).await.unwrap();
        v1.delete("/greeting", waystore::CacheQueryOptions::default()).await.unwrap();
    });
    let output = cache(parent.path(), &["explain", "v1", "/greeting"]);
    done(&output);
    assert_eq!(
        stdout(&output),
        "miss: `https://a.test/greeting` is not in `v1`\n  \
         https://a.test/greeting  varies by `accept-language`: stored with `de`, asked with nothing\n"
    );
    let output = cache(parent.path(), &["explain", "v1", "/greeting", "--header", "Accept-Language: de"]);
    assert_eq!(stdout(&output), "hit: `https://a.test/greeting` is in `v1`\n  https://a.test/greeting  answers\n");
    let told = json(&cache(parent.path(), &["explain", "v1", "/?q", "--json"]));
    assert_eq!((&told["hit"], &told["candidates"][0]["verdict"]), (&false.into(), &"has another query".into()));
    assert!(stdout(&cache(parent.path(), &["explain", "v1", "/other"])).contains("nothing is stored"));
}

#[test]
fn a_cache_goes_to_a_file_and_back_under_another_name() {
    let parent = filled();
    done(&cache_with(parent.path(), &["put", "v1", "/long", "-"], &[7; 300_000]));
    done(&cache(parent.path(), &["export", "v1", "v1.waystore"]));
    let output = cache(parent.path(), &["import", "v2", "v1.waystore", "--json"]);
    assert_eq!(json(&output), serde_json::json!({ "cache": "v2", "entries": 3 }));
    assert!(cache(parent.path(), &["get", "v2", "/long"]).stdout == [7; 300_000]);
    // Through pipes, to another directory.
    let file = cache(parent.path(), &["export", "v1", "-"]).stdout;
    assert!(file == std::fs::read(parent.path().join("v1.waystore")).unwrap());
    let elsewhere = ["import", "v1", "-", "--data", "elsewhere", "--origin", "https://a.test"];
    let output = cache_with(parent.path(), &elsewhere, &file);
    done(&output);
    assert_eq!(stderr(&output), "imported 3 entries to `v1`\n");
    let output = cache(parent.path(), &["get", "v1", "/greeting", "--data", "elsewhere"]);
    assert_eq!(stdout(&output), "hello");
}

#[test]
fn a_damaged_file_is_refused_and_the_cache_stays() {
    let parent = filled();
    let mut file = cache(parent.path(), &["export", "v1", "-"]).stdout;
    let middle = file.len() / 2;
    file[middle] ^= 1;
    let output = cache_with(parent.path(), &["import", "v1", "-"], &file);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("fails its checksum"), "{}", stderr(&output));
    assert_eq!(get(parent.path(), "/greeting"), "hello");
    let ls = cache(parent.path(), &["ls"]);
    assert_eq!(stdout(&ls).lines().count(), 2, "{}", stdout(&ls));
}

#[test]
fn a_directory_in_use_is_said_to_be_and_can_still_be_looked_at() {
    let parent = filled();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = runtime.block_on(Waystore::open(parent.path().join("data"))).unwrap();
    for change in [&["put", "v1", "/", "page.html"][..], &["rm", "v1"], &["add", "v1", "/"]] {
        let output = cache(parent.path(), change);
        assert_eq!(output.status.code(), Some(1), "{change:?}");
        let expected = format!("is in use by process {}\nhint: no gateway answers there", std::process::id());
        assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
    }
    done(&cache(parent.path(), &["export", "v1", "v1.waystore"]));
    done(&cache(parent.path(), &["explain", "v1", "/"]));
    drop(store);
}

/// Answers `count` requests: 200 with the path, but 404 for `/missing`.
fn server(count: usize) -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        for _ in 0..count {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let path = head.split(' ').nth(1).unwrap();
            let status = if path == "/missing" { "404 Not Found" } else { "200 OK" };
            let length = path.len();
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{path}").unwrap();
        }
    });
    (origin, answering)
}

#[test]
fn add_fetches_all_or_stores_none() {
    let parent = tempfile::tempdir().unwrap();
    let (origin, answering) = server(2);
    let output = cache(parent.path(), &["add", "v1", &format!("{origin}/a"), "/b", "--json"]);
    done(&output);
    answering.join().unwrap();
    assert_eq!(json(&output)["urls"], serde_json::json!([format!("{origin}/a"), format!("{origin}/b")]));
    assert_eq!((get(parent.path(), "/a"), get(parent.path(), "/b")), ("/a".to_owned(), "/b".to_owned()));

    let (origin, answering) = server(1);
    let output = cache(parent.path(), &["add", "v2", "/missing", "--origin", &origin]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("answered with status 404"), "{}", stderr(&output));
    answering.join().unwrap();
}
