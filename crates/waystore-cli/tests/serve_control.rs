//! `waystore worker`: what can be done about the worker of a running gateway.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::net::SocketAddr;

use serde_json::Value;
use support::{Gateway, Seen, mirror, stderr};

fn script(version: u32) -> String {
    format!(
        r#"addEventListener("install", e => e.waitUntil(caches.open("v{version}")));
           addEventListener("activate", e => e.waitUntil(caches.keys().then(names =>
             Promise.all(names.filter(name => name !== "v{version}").map(name => caches.delete(name))))));
           addEventListener("fetch", e => {{
             const path = new URL(e.request.url).pathname;
             if (path === "/loop") for (;;);
             if (path === "/throw") throw new Error("thrown by {version}");
             e.respondWith(caches.keys().then(names => new Response("v{version} of " + names)));
           }});"#
    )
}

/// Runs `waystore worker COMMAND`, and returns what it said.
fn worker(gateway: &Gateway, arguments: &[&str]) -> String {
    let output = gateway.command(&[&["worker"], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn state(gateway: &Gateway) -> Value {
    let workers: Value = serde_json::from_str(&worker(gateway, &["ls", "--json"])).unwrap();
    workers[0].clone()
}

fn active(gateway: &Gateway, version: &str) {
    while state(gateway)["active"]["version"] != version || state(gateway)["active"]["state"] != "activated" {}
}

/// A gateway whose worker was updated once, and the version before.
async fn updated(upstream: SocketAddr, home: &std::path::Path) -> (Gateway, String) {
    let gateway = Gateway::with_worker_in(home, upstream, &script(1), &["--origin", "http://localhost:8080"]);
    gateway.ready();
    let first = state(&gateway)["active"]["version"].as_str().unwrap().to_owned();
    std::fs::write(home.join("sw.js"), script(2)).unwrap();
    let said = worker(&gateway, &["update"]);
    active(&gateway, said.trim().strip_prefix("installed ").unwrap());
    (gateway, first)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_is_there_at_once_and_after_a_kill_with_the_caches_as_they_are() {
    let (upstream, folder) = (mirror(&Seen::default()).await, tempfile::tempdir().unwrap());
    let (mut gateway, first) = updated(upstream, folder.path()).await;
    assert_eq!(gateway.get("/x").await.text(), "v2 of v2");
    let table = worker(&gateway, &["ls"]);
    assert!(table.lines().any(|line| line.contains("previous") && line.contains(&first)), "{table}");
    assert_eq!(worker(&gateway, &["rollback"]).trim(), format!("active {first}"));
    // Nothing was installed: what the second version deleted is not made again.
    assert_eq!(gateway.get("/x").await.text(), "v1 of v2");
    gateway.kill();
    let flags = ["--origin", "http://localhost:8080"];
    let gateway = Gateway::with_worker_in(folder.path(), upstream, &script(2), &flags);
    gateway.ready();
    assert_eq!(gateway.get("/x").await.text(), "v1 of v2");
    assert!(worker(&gateway, &["ls"]).contains("was rolled back from"));
    let installed = worker(&gateway, &["update"]);
    active(&gateway, installed.trim().strip_prefix("installed ").unwrap());
    assert_eq!(gateway.get("/x").await.text(), "v2 of v2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_previous_version_a_rollback_says_so() {
    let upstream = mirror(&Seen::default()).await;
    let gateway = Gateway::with_worker(upstream, &script(1), &[]);
    gateway.ready();
    let output = gateway.command(&["worker", "rollback"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no previous version"), "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_off_leaves_everything_to_the_upstream_until_it_is_on() {
    let (upstream, folder) = (mirror(&Seen::default()).await, tempfile::tempdir().unwrap());
    let (mut gateway, _) = updated(upstream, folder.path()).await;
    assert_eq!(worker(&gateway, &["off"]), "off\n");
    assert_eq!(gateway.get("/x").await.text(), "/x for nobody");
    assert!(worker(&gateway, &["ls"]).contains("`waystore worker on`"));
    let told = gateway.command(&["worker", "message", "1"]);
    assert!(!told.status.success() && stderr(&told).contains("is off"), "{}", stderr(&told));
    gateway.stop();
    let flags = ["--origin", "http://localhost:8080"];
    let gateway = Gateway::with_worker_in(folder.path(), upstream, &script(2), &flags);
    assert_eq!(gateway.get("/x").await.text(), "/x for nobody");
    assert_eq!(worker(&gateway, &["on"]), "on\n");
    assert_eq!(gateway.get("/x").await.text(), "v2 of v2");
    assert_eq!(state(&gateway)["off"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_script_does_not_catch_is_in_the_log_and_in_the_list() {
    let upstream = mirror(&Seen::default()).await;
    let gateway = Gateway::with_worker(upstream, &script(1), &[]);
    gateway.ready();
    gateway.get("/throw").await;
    let line = gateway.logged(|line| line["target"] == "waystore::console");
    assert!(line["message"].as_str().unwrap().contains("Error: thrown by 1"), "{line}");
    assert_eq!(line["event"], "fetch");
    assert!(line["url"].as_str().unwrap().ends_with("/throw"), "{line}");
    assert!(line["position"].as_str().unwrap().contains("/sw.js:7:"), "{line}");
    let table = worker(&gateway, &["ls"]);
    assert!(table.contains("The last error of") && table.contains("Error: thrown by 1"), "{table}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g17_two_stuck_isolates_do_not_keep_visitors_waiting() {
    let upstream = mirror(&Seen::default()).await;
    let gateway = Gateway::with_worker(upstream, &script(1), &["--cpu-slice", "60s", "--isolates", "2"]);
    gateway.ready();
    let _stuck = [gateway.open_only("/loop").await, gateway.open_only("/loop").await];
    while state(&gateway)["active"]["isolates"] != 3 {
        assert_eq!(gateway.get("/x").await.text(), "v1 of v1");
    }
    assert_eq!(gateway.get("/x").await.text(), "v1 of v1");
    let line = gateway.logged(|line| line["message"].as_str().is_some_and(|text| text.contains("script is busy")));
    assert!(line["event"].as_str().unwrap().contains("/loop"), "{line}");
}
