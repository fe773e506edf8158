//! The channel between pages and the gateway: who gets it, how it goes on, and how it ends.

#[path = "support/page.rs"]
mod page;
mod support;

use http::Request;
use page::{CHANNEL, Events, Page, data, hello, open, value};
use serde_json::{Value, json};
use support::{Gateway, Seen, mirror};

/// A worker that answers each message with what it knows of who sent it.
const ECHO: &str = r#"
addEventListener("message", event => {
  const { id, url, type } = event.source;
  const answer = { heard: event.data, id, url, type };
  for (const port of event.ports) port.postMessage(answer);
  if (!event.ports.length) event.source.postMessage(answer);
});
addEventListener("fetch", event => {
  if (event.request.mode === "navigate") event.respondWith(new Response(event.resultingClientId));
});
"#;

async fn gateway(flags: &[&str]) -> Gateway {
    let upstream = mirror(&Seen::default()).await;
    let gateway = Gateway::with_worker(upstream, ECHO, &[&["--messages", "*"], flags].concat());
    gateway.ready();
    gateway
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w51_a_page_posts_and_the_worker_answers_its_source() {
    let gateway = gateway(&[]).await;
    let mut page = Page::at(&gateway, "/p/1#top").await;
    let registration = page.hears("registration").await;
    assert_eq!(registration["registration"]["active"]["state"], "activated");
    page.post(&json!({ "type": "HELLO" }), &[]).await;
    let answer = page.hears("message").await;
    assert_eq!(answer["from"]["version"], registration["registration"]["active"]["version"]);
    let answer = value(&answer);
    assert_eq!(answer["heard"], json!({ "type": "HELLO" }));
    assert_eq!((answer["id"].as_str().unwrap(), &answer["type"]), (page.id(), &"window".into()));
    assert!(answer["url"].as_str().unwrap().ends_with("/p/1#top"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w53_a_port_goes_with_a_message_and_the_answer_comes_through_it() {
    let gateway = gateway(&[]).await;
    let mut page = Page::at(&gateway, "/").await;
    page.post(&json!("one"), &[1]).await;
    let answer = page.hears("port").await;
    assert_eq!((&answer["port"], &value(&answer)["heard"]), (&1.into(), &"one".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_a_navigations_client_id_reaches_its_page_and_binds_once() {
    let gateway = gateway(&[]).await;
    let reply = gateway.get_with("/", &[("accept", "text/html")]).await;
    let id = reply.text();
    assert_eq!(reply.header("server-timing"), Some(format!("waystore;desc=\"{id}\"").as_str()));
    let mut named = hello(&gateway, "/");
    named["client"] = id.clone().into();
    let first = Page::with(&gateway, named.clone(), &[]).await;
    assert_eq!(first.id(), id);
    let second = Page::with(&gateway, named, &[]).await;
    assert_ne!(second.id(), id, "the answer was kept somewhere and given again");
    assert_eq!(gateway.get("/script.js").await.header("server-timing"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitors_client_id_is_nobody_elses() {
    let gateway = gateway(&[]).await;
    let anna = [("cookie", "session=anna")];
    let id = gateway.get_with("/", &[("accept", "text/html"), anna[0]]).await.text();
    let mut named = hello(&gateway, "/");
    named["client"] = id.clone().into();
    assert_ne!(Page::with(&gateway, named.clone(), &[("cookie", "session=ben")]).await.id(), id);
    assert_eq!(Page::with(&gateway, named, &anna).await.id(), id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_another_origin_is_refused_with_the_reason() {
    let gateway = gateway(&[]).await;
    let refused = (403, "origin".to_owned());
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1"] {
        assert_eq!(open(gateway.address, &[("origin", origin)]).await.err(), Some(refused.clone()), "{origin}");
    }
    assert_eq!(open(gateway.address, &[]).await.err(), Some(refused));
    for path in ["stream", "frames"] {
        let request = Request::post(format!("{CHANNEL}/{path}")).header("origin", "https://evil.example");
        assert_eq!(gateway.ask(request, "").await.error(), (403, "origin"), "{path}");
    }
    assert_eq!(gateway.request(CHANNEL)["error"], "origin: only pages of the origin that is asked may ask this");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_says_it_is_elsewhere_is_sent_away() {
    let gateway = gateway(&[]).await;
    let origin = format!("http://{}", gateway.address);
    let mut socket = open(gateway.address, &[("origin", &origin)]).await.unwrap();
    let elsewhere = json!({ "frame": "hello", "version": 1, "url": "https://evil.example/" });
    futures::SinkExt::send(&mut socket, elsewhere.to_string().into()).await.unwrap();
    let told = futures::StreamExt::next(&mut socket).await.unwrap().unwrap().into_text().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["code"], 4400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_goes_on_where_it_was_with_its_ports() {
    let gateway = gateway(&[]).await;
    let mut page = Page::at(&gateway, "/").await;
    page.hears("registration").await;
    page.post(&json!("one"), &[1]).await;
    page.hears("port").await;
    let (again, said) = (page.hello_again(&gateway), page.said);
    let id = page.id().to_owned();
    page.cut();
    let mut page = Page::with(&gateway, again, &[]).await;
    assert_eq!((page.id(), &page.welcome["resumed"], page.said), (id.as_str(), &true.into(), said));
    page.post(&json!("two"), &[3]).await;
    assert_eq!(value(&page.hears("port").await)["heard"], "two");
    let mut older = page.hello_again(&gateway);
    older["received"] = 2.into();
    let mut page = Page::with(&gateway, older, &[]).await;
    assert_eq!(page.next().await["port"], 3, "what it says it did not receive comes again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_guesses_the_id_of_a_client_does_not_become_it() {
    let gateway = gateway(&[]).await;
    let page = Page::at(&gateway, "/").await;
    for key in ["", "00000000000000000000000000000000"] {
        let mut guess = page.hello_again(&gateway);
        guess["key"] = key.into();
        guess["received"] = 0.into();
        let other = Page::with(&gateway, guess, &[]).await;
        assert!(other.id() != page.id() && other.welcome["resumed"] == false);
    }
    let mut guess = page.hello_again(&gateway);
    guess.as_object_mut().unwrap().remove("key");
    assert_ne!(Page::with(&gateway, guess, &[]).await.id(), page.id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_connection_takes_the_place_of_the_older_one() {
    let gateway = gateway(&[]).await;
    let mut page = Page::at(&gateway, "/").await;
    page.hears("registration").await;
    let again = Page::with(&gateway, page.hello_again(&gateway), &[]).await;
    assert_eq!(again.id(), page.id());
    assert_eq!(page.closed().await, 4409);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_says_bye_is_gone_at_once() {
    let gateway = gateway(&[]).await;
    let mut page = Page::at(&gateway, "/").await;
    let again = page.hello_again(&gateway);
    page.say(json!({ "frame": "bye" })).await;
    assert_eq!(page.closed().await, 1000);
    gateway.logged(|line| line["message"] == "a page is gone");
    assert_eq!(Page::with(&gateway, again, &[]).await.welcome["resumed"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_stops_tells_its_pages() {
    let mut gateway = gateway(&[]).await;
    let mut page = Page::at(&gateway, "/").await;
    gateway.signal(rustix::process::Signal::TERM);
    assert_eq!(page.closed().await, 1001);
    assert_eq!(gateway.wait(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_pages_as_may_be_are_connected_and_no_more() {
    let gateway = gateway(&["--max-pages", "2"]).await;
    let (first, _second) = (Page::at(&gateway, "/").await, Page::at(&gateway, "/").await);
    let origin = format!("http://{}", gateway.address);
    let full = open(gateway.address, &[("origin", &origin)]).await.err();
    assert_eq!(full, Some((503, "pages".to_owned())));
    assert_eq!(gateway.get("/other").await.text(), "/other for nobody", "everybody else is served");
    let again = first.hello_again(&gateway);
    first.cut();
    // Once the gateway has noticed, there is room for the connection, and its place is kept.
    let page = loop {
        match open(gateway.address, &[("origin", &origin)]).await {
            Ok(socket) => break Page::on(socket, again).await,
            Err(refused) => assert_eq!(refused, (503, "pages".to_owned())),
        }
    };
    assert_eq!(page.welcome["resumed"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_websockets_the_same_frames_go_through_requests() {
    let gateway = gateway(&[]).await;
    let origin = format!("http://{}", gateway.address);
    let post = |path: &str| Request::post(format!("{CHANNEL}/{path}")).header("origin", &origin);
    let response = gateway.open(post("stream"), &hello(&gateway, "/").to_string()).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"text/event-stream".parse().unwrap())
    );
    let mut events = Events::of(response.into_body());
    let welcome = events.next().await;
    assert_eq!(welcome["frame"], "welcome");
    let from = json!({ "frame": "from", "client": welcome["client"], "key": welcome["key"] });
    let message = json!({ "frame": "message", "n": 1, "slot": "active", "data": data(&json!("hello")), "ports": [1] });
    let body = format!("{from}\n{message}\n");
    assert_eq!(gateway.ask(post("frames"), &body).await.status, 204);
    assert_eq!(gateway.ask(post("frames"), &body).await.status, 204, "sent again, since its fate was unknown");
    let mut answers = 0;
    while answers == 0 {
        let frame = events.next().await;
        answers += usize::from(frame["frame"] == "port" && value(&frame)["heard"] == "hello");
    }
    let bye = format!("{from}\n{}", json!({ "frame": "bye", "n": 2 }));
    assert_eq!(gateway.ask(post("frames"), &bye).await.status, 204);
    loop {
        let frame = events.next().await;
        assert_ne!(frame["frame"], "port", "the message was carried out once");
        if frame["frame"] == "close" {
            assert_eq!(frame["code"], 1000);
            break;
        }
    }
    assert_eq!(gateway.ask(post("frames"), &bye).await.error(), (409, "client"));
    assert_eq!(gateway.ask(post("frames"), "nonsense").await.error(), (400, "channel"));
    assert_eq!(gateway.ask(post("stream"), "nonsense").await.error(), (400, "channel"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_js_is_served_past_the_worker() {
    let gateway = gateway(&[]).await;
    let reply = gateway.get("/.well-known/waystore/client.js").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
    assert_eq!(
        (reply.header("cache-control"), reply.header("x-content-type-options")),
        (Some("no-cache"), Some("nosniff"))
    );
    assert!(reply.text().contains("\"state\":\"activated\""));
    let tag = reply.header("etag").unwrap().to_owned();
    let again = gateway.get_with("/.well-known/waystore/client.js", &[("if-none-match", &tag)]).await;
    assert_eq!((again.status, again.text().as_str()), (304, ""));
    let packed = gateway.get_with("/.well-known/waystore/client.js", &[("accept-encoding", "gzip, br")]).await;
    assert_eq!((packed.header("content-encoding"), packed.header("vary")), (Some("br"), Some("accept-encoding")));
    assert!(packed.header("content-length").unwrap().parse::<usize>().unwrap() * 3 < reply.text().len());
    assert_eq!(gateway.request("/.well-known/waystore/client.js")["route"], "gateway");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_nothing_else_under_the_well_known_path() {
    let gateway = gateway(&[]).await;
    for path in ["", "other", "channel/", "client.js/x"] {
        let reply = gateway.get_with(&format!("/.well-known/waystore/{path}"), &[("accept", "text/html")]).await;
        assert_eq!(reply.error(), (404, "not-found"), "{path}");
        assert!(reply.text().contains("`client.js`"));
    }
    let plain = Gateway::proxy(mirror(&Seen::default()).await, &[]);
    assert_eq!(plain.get("/.well-known/waystore/client.js").await.error(), (404, "no-worker"));
    assert_eq!(plain.get("/.well-known/other").await.text(), "/.well-known/other for nobody");
}

/// The status and the class with which the gateway answers a stream's beginning of so many KiB.
async fn begin_stream(gateway: &Gateway, kib: usize) -> (u16, String) {
    let body = format!("{}{}", hello(gateway, "/"), " ".repeat(kib << 10));
    let request = Request::post(format!("{CHANNEL}/stream")).header("origin", format!("http://{}", gateway.address));
    let answer = gateway.open(request, &body).await;
    let class = answer.headers().get("waystore-error").map_or("-", |class| class.to_str().unwrap_or("not text"));
    (answer.status().as_u16(), class.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_may_arrive_from_all_pages_together_is_sent_away_and_comes_back() {
    let gateway = gateway(&["--message-size", "100 KiB", "--message-memory", "120 KiB"]).await;
    let mut slow = Page::at(&gateway, "/").await;
    slow.hears("registration").await;
    let text = json!({ "frame": "message", "n": 1, "slot": "active", "data": data(&"s".repeat(90 << 10).into()) });
    let text = text.to_string();
    let (arriving, rest) = text.split_at(80 << 10);
    slow.send_part(arriving, true, false).await;
    assert_eq!(begin_stream(&gateway, 90).await, (503, "crowded".into()));

    let mut other = Page::at(&gateway, "/").await;
    other.hears("registration").await;
    other.post(&json!("short"), &[]).await;
    assert_eq!(value(&other.hears("message").await)["heard"], "short", "what is short has room");
    let long = Value::from("l".repeat(90 << 10));
    let n = other.post(&long, &[]).await;
    assert_eq!(other.closed().await, 1013);

    // What it sent is let go of, though it stays connected.
    while begin_stream(&gateway, 60).await != (200, "-".into()) {}
    slow.send_part(rest, false, true).await;
    assert_eq!(value(&slow.hears("message").await)["heard"], "s".repeat(90 << 10));
    let mut other = Page::with(&gateway, other.hello_again(&gateway), &[]).await;
    assert_eq!((&other.welcome["resumed"], other.said), (&true.into(), n - 1), "it was not heard");
    other.post(&long, &[]).await;
    assert_eq!(value(&other.hears("message").await)["heard"], long);
}
