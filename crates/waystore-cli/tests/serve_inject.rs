//! The key `inject`: pages get the script that they do not load themselves.

mod support;

use async_compression::tokio::bufread::GzipEncoder;
use bytes::Bytes;
use futures::StreamExt;
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use support::{Answer, Gateway, PATIENCE, text, upstream, with};
use tokio::{io::AsyncReadExt, sync::mpsc};

const PAGE: &str = "<!doctype html><html><head><title>shop</title></head><body>shop</body></html>";
const TAG: &str = "<script src=\"/.well-known/waystore/client.js\"></script>";
const NAVIGATES: [(&str, &str); 2] = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];

fn with_tag() -> String {
    PAGE.replace("<head>", &format!("<head>{TAG}"))
}

fn html(headers: &[(&'static str, &str)]) -> Answer {
    with(with(text(200, PAGE), &[("content-type", "text/html; charset=utf-8")]), headers)
}

/// A worker that answers `/made`, and leaves the rest to the network.
const SCRIPT: &str = r#"
addEventListener("fetch", event => {
  const { pathname } = new URL(event.request.url);
  if (pathname === "/through") event.respondWith(fetch(event.request));
  if (pathname === "/range") event.respondWith(new Response(String(event.request.headers.get("range"))));
});
"#;

async fn gateway() -> Gateway {
    let upstream = upstream(|request: Request<hyper::body::Incoming>| async move {
        match request.uri().path() {
            "/gzip" | "/through" => {
                let mut coded = Vec::new();
                let read = GzipEncoder::new(PAGE.as_bytes()).read_to_end(&mut coded).await;
                read.expect("a text can be coded");
                let kind = [("content-type", "text/html"), ("content-encoding", "gzip"), ("etag", "\"e\"")];
                with(text(200, coded), &kind)
            }
            "/download" => html(&[("content-disposition", "attachment; filename=shop.html")]),
            "/plain" => with(text(200, PAGE), &[("content-type", "text/plain")]),
            "/has" => with(text(200, with_tag()), &[("content-type", "text/html")]),
            "/known" => with(text(304, ""), &[("etag", "\"e\"")]),
            _ => html(&[("etag", "\"e\""), ("accept-ranges", "bytes")]),
        }
    })
    .await;
    let gateway = Gateway::with_worker(upstream, SCRIPT, &["--inject"]);
    gateway.ready();
    gateway
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_gets_the_script_in_its_head() {
    let gateway = gateway().await;
    for path in ["/", "/gzip", "/through"] {
        let reply = gateway.get_with(path, &[&NAVIGATES[..], &[("accept-encoding", "gzip")]].concat()).await;
        assert_eq!(reply.text(), with_tag(), "{path}");
        assert_eq!(reply.header("etag"), Some("W/\"e\""), "{path}: these are other bytes");
        for name in ["content-length", "content-encoding", "accept-ranges"] {
            assert_eq!(reply.header(name), None, "{path}: {name}");
        }
        assert!(reply.header("server-timing").unwrap().starts_with("waystore;desc="));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_else_gets_it() {
    let gateway = gateway().await;
    for (path, headers) in [
        ("/download", &NAVIGATES[..]),
        ("/plain", &NAVIGATES),
        ("/", &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")]),
        ("/", &[("accept", "text/html"), ("x-requested-with", "XMLHttpRequest")]),
        ("/", &[]),
    ] {
        let reply = gateway.get_with(path, headers).await;
        assert_eq!(reply.text(), PAGE, "{path} {headers:?}");
        assert_eq!(reply.header("content-length"), Some(PAGE.len().to_string().as_str()));
    }
    assert_eq!(gateway.get_with("/has", &NAVIGATES).await.text(), with_tag(), "it loads it already");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g20_head_range_and_not_modified_speak_of_the_page_that_is_sent() {
    let gateway = gateway().await;
    let mut head = Request::head("/");
    for (name, value) in NAVIGATES {
        head = head.header(name, value);
    }
    let reply = gateway.ask(head, "").await;
    assert_eq!((reply.status, reply.header("etag"), reply.header("content-length")), (200, Some("W/\"e\""), None));
    let known = [&NAVIGATES[..], &[("if-none-match", "W/\"e\"")]].concat();
    let reply = gateway.get_with("/known", &known).await;
    assert_eq!((reply.status, reply.header("etag"), reply.text().as_str()), (304, Some("W/\"e\""), ""));
    let range = [&NAVIGATES[..], &[("range", "bytes=0-1")]].concat();
    assert_eq!(gateway.get_with("/range", &range).await.text(), "null", "a part of the page would not fit the rest");
    assert_eq!(gateway.get_with("/range", &[("range", "bytes=0-1")]).await.text(), "bytes=0-1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_still_written_is_sent_as_far_as_it_is() {
    let (write, written) = mpsc::channel::<&str>(1);
    let written = std::sync::Mutex::new(Some(written));
    let written = std::sync::Arc::new(written);
    let upstream = upstream(move |_| {
        let written = written.lock().unwrap().take();
        async move {
            let Some(written) = written else { return text(404, "") };
            let stream = tokio_stream::wrappers::ReceiverStream::new(written);
            let frames = stream.map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(piece.as_bytes()))));
            let body = BodyExt::boxed(StreamBody::new(frames));
            http::Response::builder().header("content-type", "text/html").body(body).unwrap()
        }
    })
    .await;
    let gateway = Gateway::with_worker(upstream, "", &["--inject"]);
    gateway.ready();
    write.send("<!doctype html><head><script src=/app.js></script>").await.unwrap();
    let request = Request::get("/").header(NAVIGATES[0].0, NAVIGATES[0].1).header(NAVIGATES[1].0, NAVIGATES[1].1);
    let mut body = gateway.open(request, "").await.into_body();
    let mut got = String::new();
    while !got.ends_with("app.js></script>") {
        let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("it does not wait for the rest");
        got.push_str(std::str::from_utf8(&frame.unwrap().unwrap().into_data().unwrap()).unwrap());
    }
    assert_eq!(got, format!("<!doctype html><head>{TAG}<script src=/app.js></script>"));
    drop(write);
    assert!(body.collect().await.unwrap().to_bytes().is_empty());
}
