//! The demo keeps what its README promises: `examples/shop`, served as the first command serves it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use serde_json::Value;
use support::{Gateway, PATIENCE, Reply, stderr};

const ORIGIN: &str = "http://shop.test";

/// A copy of the demo that a test may take apart.
struct Demo {
    home: tempfile::TempDir,
}

impl Demo {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop"), &home.path().join("shop"));
        Self { home }
    }

    /// At an origin of its own, so that a free port is as good as another.
    fn serve(&self) -> Gateway {
        let shop = self.home.path().join("shop");
        let gateway = Gateway::start_in(
            self.home.path(),
            &[shop.to_str().unwrap(), "--origin", ORIGIN, "--listen", "127.0.0.1:0"],
        );
        gateway.ready();
        gateway
    }

    fn site(&self) -> PathBuf {
        self.home.path().join("shop/site")
    }

    fn take_the_origin_away(&self) {
        fs::rename(self.site(), self.home.path().join("shop/gone")).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Follows a link.
async fn open(gateway: &Gateway, path: &str) -> Reply {
    gateway.get_with(path, &[("host", "shop.test"), ("sec-fetch-mode", "navigate"), ("accept", "text/html")]).await
}

/// Asks for what a page needs.
async fn load(gateway: &Gateway, path: &str) -> Reply {
    gateway.get_with(path, &[("host", "shop.test"), ("sec-fetch-mode", "no-cors"), ("accept", "*/*")]).await
}

/// The paths in a cache once they are these: what a worker stores after its answer has no other sign.
fn wait_for_keys(gateway: &Gateway, cache: &str, expected: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let output = gateway.command(&["cache", "keys", cache, "--json"]);
        let keys: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let mut paths: Vec<_> = keys.iter().map(|key| key["url"].as_str().unwrap().replace(ORIGIN, "")).collect();
        paths.sort();
        if paths == expected {
            return;
        }
        assert!(Instant::now() < deadline, "`{cache}` holds {paths:?}: {}", stderr(&output));
    }
}

fn cache_names(gateway: &Gateway) -> Vec<String> {
    let output = gateway.command(&["cache", "ls", "--json"]);
    let caches: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    caches.iter().map(|cache| cache["cache"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_and_picture_of_the_shop_answers() {
    let demo = Demo::new();
    let gateway = demo.serve();
    let mut seen: Vec<String> = vec!["/".to_owned()];
    let mut next = 0;
    while let Some(path) = seen.get(next).cloned() {
        next += 1;
        let reply = open(&gateway, &path).await;
        assert_eq!(reply.status, 200, "{path}");
        let page = if path.ends_with(".js") { String::new() } else { reply.text() };
        for attribute in ["href=\"/", "src=\"/"] {
            for found in page.split(attribute).skip(1) {
                let target = found.split(['"', '#']).next().unwrap();
                let target = format!("/{target}");
                if !seen.contains(&target) {
                    seen.push(target);
                }
            }
        }
    }
    let count = |folder: &str| seen.iter().filter(|path| path.starts_with(folder)).count();
    // Nine of each, and the shop's own sign.
    assert_eq!((count("/products/"), count("/pictures/")), (9, 9 + 1), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_seen_answers_without_the_origin_and_after_a_kill_and_the_rest_says_so() {
    let demo = Demo::new();
    let mut gateway = demo.serve();
    let mut before = Vec::new();
    for path in ["/", "/products/mug.html"] {
        before.push((path, open(&gateway, path).await.text()));
    }
    let picture = load(&gateway, "/pictures/mug.svg").await.text();
    wait_for_keys(&gateway, "pages-v1", &["/", "/products/mug.html"]);
    wait_for_keys(&gateway, "goods-v1", &["/pictures/mug.svg"]);

    demo.take_the_origin_away();
    for restarted in [false, true] {
        if restarted {
            gateway.kill();
            gateway = demo.serve();
        }
        for (path, page) in &before {
            assert_eq!(&open(&gateway, path).await.text(), page, "{path}, restarted: {restarted}");
        }
        assert_eq!(load(&gateway, "/pictures/mug.svg").await.text(), picture);
        assert_eq!(load(&gateway, "/shop.css").await.status, 200, "the shell is there without being seen");
        let unseen = open(&gateway, "/products/vase.html").await;
        assert_eq!(unseen.status, 503);
        assert!(unseen.text().contains("We cannot reach the shop"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prefetched_products_come_with_their_pictures_and_answer_without_the_origin() {
    let demo = Demo::new();
    let gateway = demo.serve();
    let urls = r#"["/products/vase.html", "/api/products/vase.json", "/not-there.json"]"#;
    let message = format!(r#"{{"type": "PREFETCH", "payload": {{"urls": {urls}}}}}"#);
    let output = gateway.command(&["worker", "message", &message]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    wait_for_keys(&gateway, "goods-v1", &["/api/products/vase.json", "/pictures/vase.svg"]);
    wait_for_keys(&gateway, "ahead-v1", &["/products/vase.html"]);

    demo.take_the_origin_away();
    assert!(open(&gateway, "/products/vase.html").await.text().contains("Single-stem vase"));
    assert_eq!(load(&gateway, "/pictures/vase.svg").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_takes_over_and_deletes_the_old_ones_cache() {
    let demo = Demo::new();
    let gateway = demo.serve();
    open(&gateway, "/").await;
    wait_for_keys(&gateway, "pages-v1", &["/"]);
    let script = demo.site().join("sw.js");
    let changed = fs::read_to_string(&script).unwrap().replace("pages-v1", "pages-v2");
    fs::write(&script, changed).unwrap();
    let output = gateway.command(&["worker", "update"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    let deadline = Instant::now() + PATIENCE;
    while cache_names(&gateway).contains(&"pages-v1".to_owned()) {
        assert!(Instant::now() < deadline, "the old cache is still there");
    }
    open(&gateway, "/").await;
    wait_for_keys(&gateway, "pages-v2", &["/"]);
}
