//! `waystore prefetch` on a data directory that no gateway holds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    io::Write,
    net::SocketAddr,
    path::Path,
    process::{Child, Output, Stdio},
    sync::Arc,
};

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;
use support::{PATIENCE, Seen, stderr, text, upstream, waystore, with};
use tokio::sync::Notify;

/// Starts `waystore prefetch ARGS` in `home`, where the data directory is.
fn start(home: &Path, arguments: &[&str]) -> Child {
    let mut command = waystore(&[&["prefetch"], arguments].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).current_dir(home).spawn().unwrap()
}

async fn prefetch_with(home: &Path, arguments: &[&str], stdin: &[u8]) -> Output {
    let mut child = start(home, arguments);
    let _ = child.stdin.take().unwrap().write_all(stdin);
    tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap()
}

async fn prefetch(home: &Path, arguments: &[&str]) -> Output {
    prefetch_with(home, arguments, b"").await
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn rows(output: &Output) -> Vec<Value> {
    serde_json::from_str(stdout(output)).unwrap_or_else(|_| panic!("{}{}", stdout(output), stderr(output)))
}

/// `OUTCOME PATH` of each row.
fn told(output: &Output) -> Vec<String> {
    let path = |row: &Value| row["url"].as_str().unwrap().splitn(4, '/').last().unwrap().to_owned();
    rows(output).iter().map(|row| format!("{} /{}", row["outcome"].as_str().unwrap(), path(row))).collect()
}

/// What the cache `v1` has, by `waystore cache`.
fn paths(home: &Path) -> Vec<String> {
    let output = waystore(&["cache", "keys", "v1", "--json"]).current_dir(home).output().unwrap();
    let keys: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let mut paths: Vec<_> =
        keys.iter().map(|key| format!("/{}", key["url"].as_str().unwrap().splitn(4, '/').last().unwrap())).collect();
    paths.sort();
    paths
}

fn sitemap(paths: &[&str], base: &str) -> String {
    let urls: String = paths.iter().map(|path| format!("<url><loc>{base}{path}</loc></url>")).collect();
    format!("<?xml version=\"1.0\"?><urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">{urls}</urlset>")
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

/// A shop: a list of two products with pictures, a sitemap and an index, and nothing else.
async fn shop(seen: &Seen) -> SocketAddr {
    let seen = seen.clone();
    upstream(move |request| {
        seen.note(&request);
        let host = request.headers()["host"].to_str().unwrap().to_owned();
        let path = request.uri().path().to_owned();
        async move {
            let base = format!("http://{host}");
            match path.as_str() {
                "/top.json" => with(
                    text(200, r#"{"products":[{"productPic":"/img/1.jpg"},{"productPic":"/img/2.jpg"}]}"#),
                    &[("content-type", "application/json")],
                ),
                "/sitemap.xml.gz" => text(200, gzip(&sitemap(&["/a", "/b"], &base))),
                "/index.xml" => {
                    let item = format!("<sitemap><loc>{base}/sitemap.xml.gz</loc></sitemap>");
                    text(200, format!("<sitemapindex>{item}{item}</sitemapindex>"))
                }
                path if path.starts_with("/missing") => text(404, "no"),
                path => text(200, format!("this is {path}")),
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_named_is_stored_and_found_by_the_next_run() {
    let (home, seen) = (tempfile::tempdir().unwrap(), Seen::default());
    let origin = format!("http://{}", shop(&seen).await);
    let arguments = ["--origin", &origin, "--cache", "v1", "/a", &format!("{origin}/b?c")];
    let output = prefetch(home.path(), &arguments).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let lines: Vec<_> = stdout(&output).lines().collect();
    assert_eq!(lines[..2], ["OUTCOME  URLS  SIZE", "stored      2  20 B"]);
    assert!(lines[2].starts_with("20 B fetched in "), "{lines:?}");
    assert_eq!(stderr(&output), "", "no bar where there is no terminal");
    let again = prefetch(home.path(), &["--cache", "v1", "/a", "/b?c", "/d", "--json"]).await;
    assert_eq!(told(&again), ["cached /a", "cached /b?c", "stored /d"]);
    assert_eq!((seen.count("/a"), seen.count("/b")), (1, 1));
    let fresh = prefetch(home.path(), &["--cache", "v1", "/a", "--refresh", "--json"]).await;
    assert_eq!((told(&fresh), seen.count("/a")), (vec!["stored /a".to_owned()], 2));
    assert_eq!(paths(home.path()), ["/a", "/b?c", "/d"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_finds_the_pictures_that_a_list_of_products_names() {
    let (home, seen) = (tempfile::tempdir().unwrap(), Seen::default());
    let origin = format!("http://{}", shop(&seen).await);
    let rule = ["--follow", "$.products[*].productPic"];
    let arguments = [&["--origin", &origin, "--cache", "v1", "/top.json", "--json"][..], &rule].concat();
    let output = prefetch(home.path(), &arguments).await;
    assert_eq!(told(&output), ["stored /top.json", "stored /img/1.jpg", "stored /img/2.jpg"]);
    let rows = rows(&output);
    assert_eq!(rows[0]["followed"], serde_json::json!([format!("{origin}/img/1.jpg"), format!("{origin}/img/2.jpg")]));
    assert_eq!((&rows[1]["from"], &rows[1]["required"]), (&rows[0]["url"], &Value::Bool(false)));
    let flat = prefetch(home.path(), &[&arguments[..], &["--depth", "0", "--refresh"]].concat()).await;
    assert_eq!(told(&flat), ["stored /top.json"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_named_and_ends_with_1_unless_it_is_optional() {
    let (home, seen) = (tempfile::tempdir().unwrap(), Seen::default());
    let origin = format!("http://{}", shop(&seen).await);
    let arguments = ["--origin", &origin, "--cache", "v1", "/a", "/missing"];
    let output = prefetch(home.path(), &arguments).await;
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains(&format!("failed: `{origin}/missing`: ")) && text.contains("404"), "{text}");
    assert!(text.contains("error: 1 of 2 URLs are not in `v1`") && text.contains("hint: "), "{text}");
    assert!(stdout(&output).contains("failed      1     -"), "{}", stdout(&output));
    assert_eq!(paths(home.path()), ["/a"], "what could be had stays");
    let output = prefetch(home.path(), &[&arguments[..], &["--optional"]].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_come_from_files_from_stdin_and_from_the_network() {
    let (home, seen) = (tempfile::tempdir().unwrap(), Seen::default());
    let origin = format!("http://{}", shop(&seen).await);
    std::fs::write(home.path().join("urls.txt"), "# the shop\n/1\n\n/2\n").unwrap();
    std::fs::write(home.path().join("sitemap.xml"), sitemap(&["/3"], &origin)).unwrap();
    std::fs::write(home.path().join("packed.gz"), gzip(&sitemap(&["/4"], ""))).unwrap();
    let index = format!("{origin}/index.xml");
    let arguments = [
        "--origin",
        &origin,
        "--cache",
        "v1",
        "/0",
        "--json",
        "--from",
        "urls.txt",
        "--from",
        "sitemap.xml",
        "--from",
        "packed.gz",
        "--from",
        "-",
        "--from",
        &index,
    ];
    let output = prefetch_with(home.path(), &arguments, b"/5").await;
    let stored = |path: &str| format!("stored {path}");
    let expected = ["/0", "/1", "/2", "/3", "/4", "/5", "/a", "/b"].map(stored);
    assert_eq!(told(&output), expected, "{}", stderr(&output));
    assert_eq!(seen.count("/sitemap.xml.gz"), 1, "named twice, fetched once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_wrong_argument_is_named_and_changes_nothing() {
    let (home, seen) = (tempfile::tempdir().unwrap(), Seen::default());
    let origin = format!("http://{}", shop(&seen).await);
    std::fs::write(home.path().join("page.html"), "<html></html>").unwrap();
    std::fs::write(home.path().join("empty.txt"), "").unwrap();
    let missing = format!("{origin}/missing.xml");
    let cases: &[(&[&str], i32, &str)] = &[
        (&["/a"], 2, "--cache <CACHE>"),
        (&["--cache", "v1"], 2, "there is nothing to fetch"),
        (&["--cache", "v1", "--from", "empty.txt"], 2, "there is nothing to fetch"),
        (&["--cache", "v1", "--from", "no-such-file"], 1, "`no-such-file` cannot be read"),
        (&["--cache", "v1", "--from", "/sitemap.xml"], 1, "with its scheme and host"),
        (&["--cache", "v1", "--from", "page.html"], 1, "`page.html` is XML whose root is `html`"),
        (&["--cache", "v1", "--from", "."], 1, "`.` is a folder"),
        (&["--cache", "v1", "--from", &missing], 1, "missing.xml` cannot be fetched: it answered with status 404"),
        (&["--cache", "v1", "/a", "--follow", "productPic"], 2, "is not a rule to follow"),
        (&["--cache", "v1", "/a", "--bytes", "much"], 2, "`much`"),
        (&["--cache", "v1", "/a", "--time", "soon"], 2, "`soon`"),
        (&["--cache", "v1", "/a", "--cacert", "missing.pem"], 1, "missing.pem"),
        (&["--cache", "v1", "/a", "--jobs"], 2, "--jobs"),
        (&["--cache", "v1", "http://[", "--json"], 1, "1 of 1 URLs are not in `v1`"),
        (&["--cache", "v1", "/missing"], 1, "1 of 1 URLs are not in `v1`"),
        (&["--jobs"], 1, "no gateway runs here"),
        (&["--stop", "1"], 1, "no gateway runs here"),
    ];
    for (arguments, code, expected) in cases {
        let named = if arguments.contains(&"--jobs") || arguments.contains(&"--stop") {
            vec![]
        } else {
            vec!["--origin", &origin]
        };
        let output = prefetch(home.path(), &[arguments, &named[..]].concat()).await;
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {text}");
        assert!(text.contains("error: ") && text.contains(expected), "{arguments:?}: {text}");
    }
    assert_eq!(paths(home.path()), [""; 0]);
    let output = waystore(&["cache", "ls", "--json"]).current_dir(home.path()).output().unwrap();
    assert_eq!(stdout(&output), "[]\n", "what came to nothing leaves no cache behind");
    let unclear = prefetch(home.path(), &["--cache", "v1", "/a"]).await;
    assert!(stderr(&unclear).contains("name the origin with `--origin`"), "{}", stderr(&unclear));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_stops_the_fetches_and_keeps_what_is_stored() {
    let home = tempfile::tempdir().unwrap();
    let reached = Arc::new(Notify::new());
    let notice = Arc::clone(&reached);
    let server = upstream(move |request| {
        let (path, notice) = (request.uri().path().to_owned(), Arc::clone(&notice));
        async move {
            if path == "/held" {
                notice.notify_one();
                std::future::pending::<()>().await;
            }
            text(200, path)
        }
    })
    .await;
    let origin = format!("http://{server}");
    let arguments = ["--origin", &origin, "--cache", "v1", "/a", "/held", "/c", "--json", "--concurrency", "1"];
    let child = start(home.path(), &arguments);
    tokio::time::timeout(PATIENCE, reached.notified()).await.unwrap();
    let id = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(told(&output), ["stored /a", "aborted /held", "aborted /c"]);
    assert!(stderr(&output).contains("error: interrupted: 2 URLs were not fetched\nhint: "), "{}", stderr(&output));
    assert_eq!(paths(home.path()), ["/a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sites_folder_says_whose_cache_it_is_and_where_its_urls_come_from() {
    let (home, seen) = (tempfile::tempdir().unwrap(), Seen::default());
    let site = home.path().join("site");
    std::fs::create_dir(&site).unwrap();
    let server = shop(&seen).await;
    // Nobody can reach this origin but through the configured upstream.
    let configuration =
        format!("upstream = 'http://{server}'\norigin = 'https://shop.invalid'\nno_worker = true\ndata = 'kept'");
    std::fs::write(site.join("waystore.toml"), configuration).unwrap();
    let output = prefetch(home.path(), &["site", "--cache", "v1", "/a", "--json"]).await;
    assert_eq!(told(&output), ["stored /a"], "{}", stderr(&output));
    assert_eq!(rows(&output)[0]["url"], "https://shop.invalid/a");
    assert_eq!(seen.last("/a")["host"], "shop.invalid");
    let kept = waystore(&["cache", "keys", "v1", "--data", "site/kept"]).current_dir(home.path()).output().unwrap();
    assert!(stdout(&kept).contains("https://shop.invalid/a"), "{}", stdout(&kept));
    for flag in [["--data", "x"], ["--origin", "https://a.test"]] {
        let output = prefetch(home.path(), &[&["site", "--cache", "v1", "/a"][..], &flag].concat()).await;
        assert_eq!(output.status.code(), Some(2));
        assert!(
            stderr(&output).contains(&format!("`{}` is given, and `site` says it too", flag[0])),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn every_flag_is_in_the_document() {
    let help = String::from_utf8(support::run(&["prefetch", "--help"]).stdout).unwrap();
    let document = include_str!("../../../docs/commands.md");
    let flags: Vec<_> =
        help.lines().filter_map(|line| line.trim_start().strip_prefix("--")?.split([' ', '[']).next()).collect();
    assert!(flags.len() > 15, "{flags:?}");
    for flag in flags.iter().filter(|flag| **flag != "help") {
        assert!(document.contains(&format!("`--{flag}")), "{flag}");
    }
}
