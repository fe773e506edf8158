//! Prefetching in a gateway: from a terminal, from the site's script, from pages, by rule.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/page.rs"]
mod page;
mod support;

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use page::{Page, hello, value};
use serde_json::{Value, json};
use support::{Gateway, PATIENCE, Seen, mirror, stderr, text, upstream, waystore, with};
use tokio::sync::Notify;

/// A worker that does what it is told: `{ type: "AHEAD", plan }`. The rows go back through the port, or to the console.
const ASKS: &str = r#"
addEventListener("message", event => {
  if (event.data.type !== "AHEAD") return;
  event.waitUntil(waystore.prefetch(event.data.plan).then(
    rows => rows.map(row => `${row.outcome} ${new URL(row.url).pathname}`).join(), error => `${error.name}: ${error.message}`,
  ).then(said => { console.log(said); event.ports[0]?.postMessage(said); }));
});
addEventListener("fetch", event => event.respondWith(
  caches.match(event.request).then(hit => hit ?? fetch(event.request))));
"#;

/// Runs `waystore prefetch ARGS` on the gateway's directory.
async fn prefetch(gateway: &Gateway, arguments: &[&str]) -> Output {
    let child = start(gateway.home(), arguments);
    tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap()
}

fn start(home: &Path, arguments: &[&str]) -> Child {
    let mut command = waystore(&[&["prefetch"], arguments].concat());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).current_dir(home).spawn().unwrap()
}

fn parsed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(output)))
}

fn outcomes(rows: &Value) -> Vec<String> {
    let path = |row: &Value| row["url"].as_str().unwrap().splitn(4, '/').last().unwrap().to_owned();
    let row = |row: &Value| format!("{} /{}", row["outcome"].as_str().unwrap(), path(row));
    rows.as_array().unwrap_or_else(|| panic!("{rows}")).iter().map(row).collect()
}

/// The paths in the cache `v1`.
fn stored(gateway: &Gateway) -> Vec<String> {
    let keys = gateway.command(&["cache", "keys", "v1", "--json"]);
    let keys: Vec<Value> = serde_json::from_slice(&keys.stdout).unwrap_or_default();
    keys.iter().map(|key| format!("/{}", key["url"].as_str().unwrap().splitn(4, '/').last().unwrap())).collect()
}

/// What an upstream holds back until it is let go.
#[derive(Clone, Default)]
struct Held {
    reached: Arc<Notify>,
    dropped: Arc<Notify>,
    open: Arc<AtomicBool>,
}

struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Held {
    /// An upstream that never answers for `/held`, as long as it is closed.
    async fn upstream(&self, seen: &Seen) -> SocketAddr {
        let (held, seen) = (self.clone(), seen.clone());
        upstream(move |request| {
            seen.note(&request);
            let (path, held) = (request.uri().path().to_owned(), held.clone());
            async move {
                if path == "/held" && !held.open.load(Ordering::Relaxed) {
                    let _dropped = NotifyOnDrop(Arc::clone(&held.dropped));
                    held.reached.notify_one();
                    std::future::pending::<()>().await;
                }
                text(200, path)
            }
        })
        .await
    }

    async fn reached(&self) {
        tokio::time::timeout(PATIENCE, self.reached.notified()).await.expect("it was asked for");
    }

    async fn dropped(&self) {
        tokio::time::timeout(PATIENCE, self.dropped.notified()).await.expect("it was given up");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_fetches_as_for_its_worker_and_answers_from_the_cache_at_once() {
    let seen = Seen::default();
    // Nobody can reach this origin but through the configured upstream.
    let flags = ["--origin", "https://shop.invalid", "--aliases", "127.0.0.1"];
    let gateway = Gateway::with_worker(mirror(&seen).await, ASKS, &flags);
    gateway.ready();
    let output = prefetch(&gateway, &["--cache", "v1", "/a", "https://shop.invalid/b", "--json"]).await;
    assert_eq!(outcomes(&parsed(&output)), ["stored /a", "stored /b"], "{}", stderr(&output));
    assert_eq!(seen.last("/a")["host"], "shop.invalid");
    assert_eq!(gateway.get("/a").await.text(), "/a for nobody");
    assert_eq!((seen.count("/a"), seen.count("/b")), (1, 1));
    let refused = prefetch(&gateway, &["--cache", "v1", "/a", "--cacert", "ca.pem"]).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("`upstream_ca`"), "{}", stderr(&refused));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_addresses_are_refused_with_the_reason_and_the_rest_goes_on() {
    let other = mirror(&Seen::default()).await;
    let gateway = Gateway::proxy(mirror(&Seen::default()).await, &["--origin", "https://shop.invalid"]);
    let (loopback, private) = (format!("http://{other}/x"), "http://10.0.0.1/y");
    let arguments = ["--cache", "v1", &loopback, private, "/a", "--json", "--optional"];
    let output = prefetch(&gateway, &arguments).await;
    let rows = parsed(&output);
    assert_eq!(outcomes(&rows), ["failed /x", "failed /y", "stored /a"]);
    for row in &rows.as_array().unwrap()[..2] {
        assert_eq!(row["reason"], "network");
        assert!(
            row["detail"].as_str().unwrap().contains("private")
                || row["detail"].as_str().unwrap().contains("not public"),
            "{row}"
        );
    }
    let required = parsed(&prefetch(&gateway, &["--cache", "v1", &loopback, private, "--json"]).await);
    let attempts: Vec<_> = required.as_array().unwrap().iter().map(|row| row["attempts"].clone()).collect();
    assert_eq!(attempts, [1, 1], "what is refused once is refused again: {required}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_at_the_terminal_stops_the_gateways_fetches() {
    let held = Held::default();
    let gateway = Gateway::proxy(held.upstream(&Seen::default()).await, &[]);
    let child = start(gateway.home(), &["--cache", "v1", "/a", "/held", "--json", "--concurrency", "1"]);
    held.reached().await;
    let jobs = parsed(&prefetch(&gateway, &["--jobs", "--json"]).await);
    assert_eq!((&jobs[0]["cache"], &jobs[0]["total"]), (&json!("v1"), &json!(2)), "{jobs}");
    let id = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    held.dropped().await;
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(
        (output.status.code(), outcomes(&parsed(&output))),
        (Some(1), vec!["stored /a".into(), "aborted /held".into()])
    );
    assert_eq!(stored(&gateway), ["/a"]);
    let none = prefetch(&gateway, &["--jobs"]).await;
    assert_eq!((none.stdout.len(), stderr(&none).as_str()), (0, "nothing is under way\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_killed_takes_its_prefetch_along() {
    let held = Held::default();
    let gateway = Gateway::proxy(held.upstream(&Seen::default()).await, &[]);
    let mut child = start(gateway.home(), &["--cache", "v1", "/held"]);
    held.reached().await;
    child.kill().unwrap();
    child.wait().unwrap();
    held.dropped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anybodys_prefetch_can_be_stopped_by_its_name() {
    let held = Held::default();
    let gateway = Gateway::with_worker(held.upstream(&Seen::default()).await, ASKS, &[]);
    gateway.ready();
    let plan = r#"{"type":"AHEAD","plan":{"urls":["/a","/held"],"cache":"v1","durable":true,"concurrency":1}}"#;
    assert!(gateway.command(&["worker", "message", plan]).status.success());
    held.reached().await;
    let jobs = parsed(&prefetch(&gateway, &["--jobs", "--json"]).await);
    let id = jobs[0]["id"].as_str().unwrap();
    let table = String::from_utf8(prefetch(&gateway, &["--jobs"]).await.stdout).unwrap();
    assert!(
        table.starts_with("JOB ") && table.lines().nth(1).unwrap().starts_with(id) && table.contains("yes"),
        "{table}"
    );
    let stopped = prefetch(&gateway, &["--stop", id]).await;
    assert!(stopped.status.success() && stderr(&stopped).contains("what it stored stays"), "{}", stderr(&stopped));
    held.dropped().await;
    gateway.logged(|line| line["message"] == "stored /a,aborted /held");
    let unknown = prefetch(&gateway, &["--stop", id]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        stderr(&unknown).contains("there is no prefetch") && stderr(&unknown).contains("--jobs"),
        "{}",
        stderr(&unknown)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_fetches_ahead_for_everybody_whoever_asked() {
    let seen = Seen::default();
    let gateway = Gateway::with_worker(mirror(&seen).await, ASKS, &["--messages", "AHEAD"]);
    gateway.ready();
    let mut page = Page::with(&gateway, hello(&gateway, "/"), &[("cookie", "session=1")]).await;
    page.post(&json!({ "type": "AHEAD", "plan": { "urls": ["a", "/b"], "cache": "v1" } }), &[1]).await;
    assert_eq!(value(&page.hears("port").await), json!("stored /a,stored /b"));
    assert!(!seen.last("/a").contains_key("cookie"));
    assert_eq!(gateway.get_with("/a", &[("cookie", "session=2")]).await.text(), "/a for nobody");
    page.post(&json!({ "type": "AHEAD", "plan": { "urls": [] } }), &[3]).await;
    assert!(value(&page.hears("port").await).as_str().unwrap().starts_with("TypeError: the plan has no `cache`"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_durable_prefetch_goes_on_after_a_kill_with_what_is_left() {
    let (held, seen, home) = (Held::default(), Seen::default(), tempfile::tempdir().unwrap());
    let server = held.upstream(&seen).await;
    let flags = ["--origin", "http://localhost:8080"];
    let mut gateway = Gateway::with_worker_in(home.path(), server, ASKS, &flags);
    gateway.ready();
    let plan = r#"{"type":"AHEAD","plan":{"urls":["/a","/held","/c"],"cache":"v1","durable":true,"concurrency":1}}"#;
    assert!(gateway.command(&["worker", "message", plan]).status.success());
    held.reached().await;
    gateway.kill();
    held.open.store(true, Ordering::Relaxed);
    let mut gateway = Gateway::with_worker_in(home.path(), server, ASKS, &flags);
    gateway.logged(|line| line["message"] == "a durable prefetch goes on");
    let ended = gateway.logged(|line| line["target"] == "waystore::prefetch" && line["message"] == "prefetched");
    assert_eq!(ended["failed"], 0, "{ended}");
    assert_eq!(stored(&gateway), ["/a", "/held", "/c"]);
    assert_eq!((seen.count("/a"), seen.count("/held"), seen.count("/c")), (1, 2, 1));
    assert_eq!(gateway.stop(), Some(0));
    // It ended, so it is kept no more.
    let mut gateway = Gateway::with_worker_in(home.path(), server, ASKS, &flags);
    gateway.ready();
    assert_eq!(parsed(&prefetch(&gateway, &["--jobs", "--json"]).await), json!([]));
    assert_eq!((gateway.stop(), seen.count("/held")), (Some(0), 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_stops_in_order_keeps_durable_prefetches_and_ends_the_others() {
    let (held, seen, home) = (Held::default(), Seen::default(), tempfile::tempdir().unwrap());
    let server = held.upstream(&seen).await;
    let flags = ["--origin", "http://localhost:8080"];
    let mut gateway = Gateway::with_worker_in(home.path(), server, ASKS, &flags);
    gateway.ready();
    let mut child = start(home.path(), &["--cache", "v1", "/held"]);
    held.reached().await;
    let plan = r#"{"type":"AHEAD","plan":{"urls":["/b"],"cache":"v1","durable":true}}"#;
    assert!(gateway.command(&["worker", "message", plan]).status.success());
    gateway.logged(|line| line["message"] == "stored /b");
    let plan = r#"{"type":"AHEAD","plan":{"urls":["/b?2","/held"],"cache":"v2","durable":true}}"#;
    assert!(gateway.command(&["worker", "message", plan]).status.success());
    held.reached().await;
    assert_eq!(gateway.stop(), Some(0));
    assert_eq!(child.wait().unwrap().code(), Some(1));
    held.open.store(true, Ordering::Relaxed);
    let gateway = Gateway::with_worker_in(home.path(), server, ASKS, &flags);
    let ended = gateway.logged(|line| line["target"] == "waystore::prefetch" && line["message"] == "prefetched");
    assert_eq!((&ended["failed"], &ended["aborted"]), (&json!(0), &json!(0)), "{ended}");
    let keys = gateway.command(&["cache", "keys", "v2", "--json"]);
    assert_eq!(parsed(&keys).as_array().unwrap().len(), 2);
    assert_eq!(stored(&gateway), ["/b"], "the one at the terminal ended with the gateway");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_fetches_ahead_hears_of_it_and_gets_the_rows() {
    let products =
        |_| async { with(text(200, r#"{"productPic":"/img/1.jpg"}"#), &[("content-type", "application/json")]) };
    let gateway = Gateway::with_worker(upstream(products).await, ASKS, &["--messages", "WAYSTORE_PREFETCH"]);
    gateway.ready();
    let mut page = Page::at(&gateway, "/list").await;
    let plan = json!({ "urls": ["/1.json"], "cache": "v1", "follow": ["$.productPic"], "base": format!("http://{}/list", gateway.address) });
    page.say(json!({ "frame": "prefetch", "id": 5, "plan": plan })).await;
    let first = page.hears("progress").await;
    assert_eq!((&first["id"], &first["event"]["type"]), (&json!(5), &json!("queued")));
    let mut last = first;
    let end = loop {
        let frame = page.next().await;
        match frame["frame"].as_str().unwrap() {
            "progress" => last = frame,
            "end" => break frame,
            _ => {}
        }
    };
    assert_eq!((&last["event"]["type"], &last["event"]["stored"]), (&json!("ended"), &json!(2)));
    assert_eq!(
        (&end["id"], outcomes(&end["results"])),
        (&json!(5), vec!["stored /1.json".into(), "stored /img/1.jpg".into()])
    );
    // The page is at an alias; the store knows the public origin.
    let port = gateway.address.port();
    assert_eq!(end["results"][0]["url"], format!("http://localhost:{port}/1.json"));
    assert_eq!(stored(&gateway), ["/1.json", "/img/1.jpg"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_stops_its_prefetch_and_one_that_goes_takes_it_along() {
    let held = Held::default();
    let gateway = Gateway::with_worker(held.upstream(&Seen::default()).await, ASKS, &["--messages", "*"]);
    gateway.ready();
    let mut page = Page::at(&gateway, "/").await;
    let plan = json!({ "urls": ["/held"], "cache": "v1" });
    page.say(json!({ "frame": "prefetch", "id": 1, "plan": plan })).await;
    held.reached().await;
    page.say(json!({ "frame": "abort", "id": 1 })).await;
    assert_eq!(outcomes(&page.hears("end").await["results"]), ["aborted /held"]);
    held.dropped().await;
    page.say(json!({ "frame": "prefetch", "id": 2, "plan": plan })).await;
    held.reached().await;
    page.say(json!({ "frame": "bye" })).await;
    held.dropped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_page_may_not_is_refused_with_the_reason() {
    let held = Held::default();
    let server = held.upstream(&Seen::default()).await;
    let limits = ["--prefetch-client-jobs", "1", "--prefetch-client-urls", "2"];
    let gateway = Gateway::with_worker(server, ASKS, &[&["--messages", "WAYSTORE_PREFETCH"], &limits[..]].concat());
    gateway.ready();
    let mut page = Page::at(&gateway, "/").await;
    let mut ask = async |id: u64, plan: Value, frame: &str| {
        page.say(json!({ "frame": "prefetch", "id": id, "plan": plan })).await;
        let answer = page.hears(frame).await;
        assert_eq!(answer["id"], id);
        answer
    };
    let many = ask(1, json!({ "urls": ["/1", "/2", "/3"], "cache": "v1" }), "end").await;
    assert_eq!(many["error"]["name"], "TypeError");
    assert!(many["error"]["message"].as_str().unwrap().contains("names 3 URLs, and may name 2"), "{many}");
    let wrong = ask(2, json!({ "urls": ["/1"], "cache": "v1", "folow": [] }), "end").await;
    assert!(wrong["error"]["message"].as_str().unwrap().contains("`folow`"), "{wrong}");
    ask(3, json!({ "urls": ["/held"], "cache": "v1" }), "progress").await;
    let busy = ask(4, json!({ "urls": ["/1"], "cache": "v1" }), "refused").await;
    assert!(busy["reason"].as_str().unwrap().contains("this client has 1 prefetches under way"), "{busy}");
    let mut other = Page::at(&gateway, "/").await;
    other.say(json!({ "frame": "prefetch", "id": 1, "plan": { "urls": ["/1"], "cache": "v1" } })).await;
    assert_eq!(outcomes(&other.hears("end").await["results"]), ["stored /1"], "everybody else is served");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn visitors_who_save_data_get_nothing_fetched_unless_they_say_so() {
    let seen = Seen::default();
    let gateway = Gateway::with_worker(mirror(&seen).await, ASKS, &["--messages", "*"]);
    gateway.ready();
    let mut page = Page::with(&gateway, hello(&gateway, "/"), &[("save-data", "on")]).await;
    page.say(json!({ "frame": "prefetch", "id": 1, "plan": { "urls": ["/a"], "cache": "v1" } })).await;
    assert_eq!(outcomes(&page.hears("end").await["results"]), ["skipped /a"]);
    let plan = json!({ "urls": ["/a"], "cache": "v1", "whenSaving": "fetch" });
    page.say(json!({ "frame": "prefetch", "id": 2, "plan": plan })).await;
    assert_eq!((outcomes(&page.hears("end").await["results"]), seen.count("/a")), (vec!["stored /a".into()], 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_answers_messages_of_its_type_and_the_script_sees_the_others() {
    let home = tempfile::tempdir().unwrap();
    let seen = Seen::default();
    let server = mirror(&seen).await;
    let configuration = format!(
        "upstream = 'http://{server}'\nworker = 'sw.js'\nmessages = ['PREFETCH', 'AHEAD']\n\
         [[prefetch]]\nmessage = 'PREFETCH'\nurls = '/payload/urls'\ncache = 'v1'\nfollow = ['$.productPic']\noverride_no_cache = true\n"
    );
    std::fs::write(home.path().join("waystore.toml"), configuration).unwrap();
    std::fs::write(
        home.path().join("sw.js"),
        format!("{ASKS} addEventListener('message', e => console.log('saw ' + e.data.type))"),
    )
    .unwrap();
    let gateway = Gateway::start_in(home.path(), &[&*home.path().to_string_lossy()]);
    gateway.ready();
    let mut page = Page::at(&gateway, "/").await;
    page.post(&json!({ "type": "PREFETCH", "payload": { "urls": ["/data1.json", "data2.json"] } }), &[1]).await;
    let answer = value(&page.hears("port").await);
    assert_eq!(outcomes(&answer["results"]), ["stored /data1.json", "stored /data2.json"]);
    page.post(&json!({ "type": "PREFETCH", "payload": {} }), &[]).await;
    let refused = page.hears("refused").await;
    assert!(refused["reason"].as_str().unwrap().contains("at `/payload/urls`"), "{refused}");
    page.post(&json!({ "type": "PREFETCH", "payload": {} }), &[3]).await;
    // What is refused loses its ports, and the reason would come too late.
    let answer = loop {
        let frame = page.next().await;
        assert_ne!(frame["frame"], "refused", "{frame}");
        if frame["frame"] == "port" {
            break value(&frame);
        }
    };
    assert!(answer["error"].as_str().unwrap().contains("at `/payload/urls`"), "{answer}");
    page.post(&json!({ "type": "AHEAD", "plan": { "urls": ["/b"], "cache": "v1" } }), &[5]).await;
    assert_eq!(value(&page.hears("port").await), json!("stored /b"));
    let message = r#"{"type":"PREFETCH","payload":{"urls":"/c"}}"#;
    assert!(gateway.command(&["worker", "message", message]).status.success());
    gateway.logged(|line| line["message"] == "prefetched" && line["stored"] == 1);
    let said = gateway.logged(|line| {
        line["message"].as_str().is_some_and(|line| line.starts_with("saw ")) || line["message"] == "prefetched"
    });
    assert_ne!(said["message"], "saw PREFETCH");
    // Two were fetched at a time: whichever came first is first.
    let mut stored = stored(&gateway);
    stored.sort();
    assert_eq!(stored, ["/b", "/c", "/data1.json", "/data2.json"]);
}
