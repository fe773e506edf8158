//! Who may command a shared worker, and what nobody can do to the others.

#[path = "support/page.rs"]
mod page;
mod support;

use page::{CHANNEL, Page, data, hello, value};
use serde_json::{Value, json};
use support::{Gateway, Seen, mirror};

const SCRIPT: &str = r#"
const news = new BroadcastChannel("news");
news.onmessage = event => news.postMessage({ heard: event.data });
addEventListener("message", event => {
  const { type, count } = event.data;
  const answer = value => event.source.postMessage(value);
  if (type === "HELLO") answer("hello");
  if (type === "FOREVER") event.waitUntil(new Promise(() => {}));
  if (type === "FLOOD") {
    for (let n = 0; n < count; n++) answer("x".repeat(1000));
    answer("done");
  }
  if (type === "SKIP_WAITING") skipWaiting();
  if (type === "LAST") console.log(`heard ${event.data.words}`);
});
"#;

async fn gateway(flags: &[&str]) -> Gateway {
    let upstream = mirror(&Seen::default()).await;
    let gateway = Gateway::with_worker(upstream, SCRIPT, flags);
    gateway.ready();
    gateway
}

/// Whether another visitor's page is answered.
async fn others_are_served(gateway: &Gateway) {
    let mut other = Page::at(gateway, "/other").await;
    other.post(&json!({ "type": "HELLO" }), &[]).await;
    assert_eq!(value(&other.hears("message").await), "hello");
    assert_eq!(gateway.get("/other").await.text(), "/other for nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_that_is_not_listed_is_refused_with_the_reason() {
    let gateway = gateway(&["--messages", "HELLO"]).await;
    let mut page = Page::at(&gateway, "/").await;
    let n = page.post(&json!({ "type": "FLOOD", "count": 1 }), &[]).await;
    let refused = page.hears("refused").await;
    assert_eq!((&refused["of"], &refused["what"], &refused["type"]), (&n.into(), &"message".into(), &"FLOOD".into()));
    assert!(refused["reason"].as_str().unwrap().contains("`messages`"), "{refused}");
    page.post(&json!({ "type": "HELLO" }), &[]).await;
    assert_eq!(value(&page.hears("message").await), "hello", "and nothing came before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_default_pages_may_say_nothing_and_lifecycle_calls_are_echoes() {
    let gateway = gateway(&[]).await;
    let mut page = Page::at(&gateway, "/").await;
    page.post(&json!({ "type": "SKIP_WAITING" }), &[]).await;
    assert_eq!(page.hears("refused").await["type"], "SKIP_WAITING");
    page.say(json!({ "frame": "request", "id": 1, "ask": "unregister" })).await;
    let answer = page.hears("answer").await;
    assert_eq!((&answer["id"], &answer["value"], &answer["echo"]), (&1.into(), &true.into(), &true.into()));
    page.say(json!({ "frame": "prefetch", "id": 2, "plan": { "urls": ["/a"], "cache": "v1" } })).await;
    let refused = page.hears("refused").await;
    assert!(refused["id"] == 2 && refused["reason"].as_str().unwrap().contains("WAYSTORE_PREFETCH"), "{refused}");
    let listed = gateway.command(&["worker", "ls", "--json"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("\"activated\""), "it is registered still");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_listed_are_made() {
    let gateway = gateway(&["--messages", "UPDATE,UNREGISTER"]).await;
    let mut page = Page::at(&gateway, "/").await;
    page.hears("registration").await;
    page.say(json!({ "frame": "request", "id": 1, "ask": "update" })).await;
    let answer = page.hears("answer").await;
    assert!(answer["id"] == 1 && answer["echo"].is_null() && answer["error"].is_null(), "{answer}");
    page.say(json!({ "frame": "request", "id": 2, "ask": "unregister" })).await;
    let (mut told, mut gone) = (None, false);
    while told.is_none() || !gone {
        let frame = page.next().await;
        match frame["frame"].as_str() {
            Some("answer") => told = Some(frame),
            Some("registration") => gone |= frame["registration"].is_null(),
            _ => assert!(frame["closed"].is_null(), "{frame}"),
        }
    }
    assert_eq!(told.unwrap()["value"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_page_says_before_it_goes_is_heard() {
    let gateway = gateway(&["--messages", "*"]).await;
    let mut page = Page::at(&gateway, "/").await;
    page.post(&json!({ "type": "LAST", "words": "through the socket" }), &[]).await;
    page.say(json!({ "frame": "bye" })).await;
    assert_eq!(page.closed().await, 1000);
    gateway.logged(|line| line["message"] == "heard through the socket");

    let page = Page::at(&gateway, "/").await;
    let from = json!({ "frame": "from", "client": page.welcome["client"], "key": page.welcome["key"] });
    let words = data(&json!({ "type": "LAST", "words": "in a request" }));
    let last = json!({ "frame": "message", "n": 1, "slot": "active", "data": words });
    let bye = json!({ "frame": "bye", "n": 2 });
    let origin = format!("http://{}", gateway.address);
    let post = http::Request::post(format!("{CHANNEL}/frames")).header("origin", &origin);
    assert_eq!(gateway.ask(post, &format!("{from}\n{last}\n{bye}")).await.status, 204);
    gateway.logged(|line| line["message"] == "heard in a request");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_may_be_as_long_as_frames_may_be_though_a_line_comes_before_it() {
    let gateway = gateway(&["--messages", "*", "--message-size", "1KiB"]).await;
    let page = Page::at(&gateway, "/").await;
    let from = json!({ "frame": "from", "client": page.welcome["client"], "key": page.welcome["key"] });
    let frame = |fill: usize| json!({ "frame": "join", "n": 1, "name": "news", "fill": "x".repeat(fill) }).to_string();
    let most = 1024 - frame(0).len();
    let origin = format!("http://{}", gateway.address);
    let post = || http::Request::post(format!("{CHANNEL}/frames")).header("origin", &origin);
    assert_eq!(gateway.ask(post(), &format!("{from}\n{}", frame(most))).await.status, 204);
    let long = gateway.ask(post(), &format!("{from}\n{}", frame(most + 1))).await;
    assert_eq!(long.error(), (413, "too-large"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_100_mib_ends_its_connection_and_nobody_elses() {
    let gateway = gateway(&["--messages", "*"]).await;
    let mut page = Page::at(&gateway, "/").await;
    page.hears("registration").await;
    let huge = format!(r#"{{"frame":"message","n":1,"slot":"active","data":["{}",[]]}}"#, "x".repeat(100 << 20));
    // The gateway closes as soon as it has read how long it is.
    page.try_send(huge).await;
    let end = page.next().await;
    assert!(end["code"] == 1009 || !end["closed"].is_number(), "{end}");
    let origin = format!("http://{}", gateway.address);
    let post = http::Request::post(format!("{CHANNEL}/stream")).header("origin", &origin);
    let long = format!("{}{}", hello(&gateway, "/"), " ".repeat(2 << 20));
    assert_eq!(gateway.ask(post, &long).await.error(), (413, "too-large"));
    others_are_served(&gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_messages_end_in_a_close_that_says_when_to_come_back() {
    let gateway = gateway(&["--messages", "*"]).await;
    let mut page = Page::at(&gateway, "/").await;
    page.hears("registration").await;
    let body = data(&json!({ "type": "NOTHING" }));
    for n in 1..=1_000_000_u64 {
        let frame = json!({ "frame": "message", "n": n, "slot": "active", "data": body });
        if !page.try_send(frame.to_string()).await {
            break;
        }
        if n == 1_000_000 {
            panic!("all of them were taken");
        }
    }
    // What the gateway said before it closed may have been lost with the connection.
    loop {
        let frame = page.next().await;
        if frame["frame"] == "close" {
            assert!(frame["code"] == 4429 && frame["retryMs"].as_u64().unwrap() >= 1000, "{frame}");
        }
        if frame.get("closed").is_some() {
            break;
        }
    }
    gateway.logged(|line| line["message"] == "a page's connection was closed" && line["code"] == 4429);
    others_are_served(&gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_never_ends_messages_is_asked_32_of_a_page_and_others_are_served() {
    let gateway = gateway(&["--messages", "*"]).await;
    let mut page = Page::at(&gateway, "/").await;
    for _ in 0..33 {
        page.post(&json!({ "type": "FOREVER" }), &[]).await;
    }
    let mut reasons = Vec::new();
    page.post(&json!({ "type": "HELLO" }), &[]).await;
    while reasons.len() < 2 {
        let frame = page.next().await;
        if frame["frame"] == "refused" {
            reasons.push(frame["reason"].as_str().unwrap().to_owned());
        }
    }
    assert!(reasons.iter().all(|reason| reason.contains("busy")), "{reasons:?}");
    others_are_served(&gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_does_not_read_is_told_what_it_lost() {
    let gateway = gateway(&["--messages", "*"]).await;
    let mut page = Page::at(&gateway, "/").await;
    page.hears("registration").await;
    page.post(&json!({ "type": "FLOOD", "count": 50_000 }), &[]).await;
    others_are_served(&gateway).await;
    let (mut got, mut lost) = (0, 0);
    while got + lost < 50_001 {
        let frame = page.next().await;
        match frame["frame"].as_str() {
            Some("message") => got += 1,
            Some("lost") => lost += frame["messages"].as_u64().unwrap(),
            _ => assert!(frame["closed"].is_null() && frame["frame"] != "close", "{frame}"),
        }
        page.send(&json!({ "frame": "ack", "upto": page.received }).to_string()).await;
    }
    assert!(got + lost == 50_001 && lost > 0, "{got} came and {lost} were lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_reaches_the_worker_and_its_answer_whoever_joined() {
    let gateway = gateway(&["--messages", "NEWS"]).await;
    let (mut one, mut other) = (Page::at(&gateway, "/1").await, Page::at(&gateway, "/2").await);
    for page in [&mut one, &mut other] {
        page.say(json!({ "frame": "join", "name": "news" })).await;
        page.say(json!({ "frame": "request", "id": 1, "ask": "update" })).await;
        page.hears("answer").await;
    }
    // Its listener is there once the worker has run.
    gateway.get("/").await;
    one.say(json!({ "frame": "broadcast", "name": "news", "data": data(&json!({ "type": "OTHER" })) })).await;
    assert_eq!(one.hears("refused").await["what"], "broadcast");
    one.say(json!({ "frame": "broadcast", "name": "news", "data": data(&json!({ "type": "NEWS" })) })).await;
    for page in [&mut one, &mut other] {
        let broadcast = page.hears("broadcast").await;
        assert_eq!(value(&broadcast), json!({ "heard": { "type": "NEWS" } }), "the other page hears the worker only");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_hold_a_page_keeps_its_version_until_it_goes_or_the_new_one_may_skip() {
    let upstream = mirror(&Seen::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--activation", "hold", "--messages", "SKIP_WAITING"];
    let gateway = Gateway::with_worker_in(folder.path(), upstream, SCRIPT, &flags);
    gateway.ready();
    let mut page = Page::at(&gateway, "/").await;
    let first = page.hears("registration").await["registration"]["active"]["version"].clone();
    let update = |text: &str| {
        std::fs::write(folder.path().join("sw.js"), format!("{SCRIPT}\n// {text}")).unwrap();
        assert!(gateway.command(&["worker", "update"]).status.success());
    };
    update("two");
    let waiting = until(&mut page, |registration| registration["waiting"]["state"] == "installed").await;
    assert_eq!((&waiting["active"]["version"], &waiting["controller"]), (&first, &first));
    page.say(json!({ "frame": "message", "slot": "waiting", "data": data(&json!({ "type": "SKIP_WAITING" })) })).await;
    let second = until(&mut page, |registration| registration["waiting"].is_null()).await["active"]["version"].clone();
    assert_ne!(second, first);
    assert_eq!(page.hears("controller").await["version"], second);
    update("three");
    until(&mut page, |registration| registration["waiting"]["state"] == "installed").await;
    let mut other = Page::at(&gateway, "/").await;
    page.say(json!({ "frame": "bye" })).await;
    other.say(json!({ "frame": "bye" })).await;
    gateway.logged(|line| line["message"] == "worker activated" && line["version"].as_str().unwrap().ends_with("-3"));
}

async fn until(page: &mut Page, is: impl Fn(&Value) -> bool) -> Value {
    loop {
        let mut frame = page.hears("registration").await;
        if is(&frame["registration"]) {
            return frame["registration"].take();
        }
    }
}
