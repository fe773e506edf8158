//! The gateway as a plain proxy: what goes through, what is refused, and upstreams that misbehave.

mod support;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use support::{Gateway, PATIENCE, Seen, raw_upstream, text, upstream, with};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, mpsc},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_goes_through_and_its_answer_comes_back() {
    let seen = Seen::default();
    let notes = seen.clone();
    let upstream = upstream(move |request| {
        notes.note(&request);
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let headers =
                [("x-kept", "1"), ("etag", "\"e\""), ("connection", "x-once"), ("x-once", "1"), ("set-cookie", "a=1")];
            with(text(418, [b"got ", &body[..]].concat()), &headers)
        }
    })
    .await;
    let gateway = Gateway::proxy(upstream, &["--origin", "https://shop.example"]);
    let request = Request::post("/tea?x=1")
        .header("host", "shop.example")
        .header("cookie", "sid=1")
        .header("x-forwarded-for", "1.1.1.1");
    let reply = gateway.ask(request, "leaves").await;
    assert_eq!((reply.status, reply.text().as_str()), (418, "got leaves"));
    assert_eq!(
        (reply.header("x-kept"), reply.header("etag"), reply.header("x-once")),
        (Some("1"), Some("\"e\""), None)
    );
    assert_eq!(reply.header("set-cookie"), Some("a=1"));
    let sent = seen.last("/tea");
    assert_eq!((&sent["host"], &sent["cookie"]), (&"shop.example".parse().unwrap(), &"sid=1".parse().unwrap()));
    assert_eq!(
        (&sent["x-forwarded-for"], &sent["x-forwarded-proto"]),
        (&"127.0.0.1".parse().unwrap(), &"https".parse().unwrap())
    );
    let line = gateway.request("/tea?x=1");
    assert_eq!(
        (&line["method"], &line["route"], &line["status"], &line["bytes"]),
        (&"POST".into(), &"network".into(), &418.into(), &10.into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_another_host_is_misdirected_and_loopback_names_are_one() {
    let upstream = upstream(|_| async { text(200, "yes") }).await;
    let gateway = Gateway::proxy(upstream, &[]);
    assert_eq!(gateway.get_with("/", &[("host", "evil.example")]).await.error(), (421, "host"));
    for host in [format!("localhost:{}", gateway.address.port()), gateway.address.to_string(), "[::1]:1".to_owned()] {
        assert_eq!(gateway.get_with("/", &[("host", &host)]).await.status, 200, "{host}");
    }
    assert_eq!(
        gateway.greeting.trim(),
        format!("serving http://localhost:{} at http://{}", gateway.address.port(), gateway.address)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_none_is_refused() {
    let upstream = upstream(|_| async { text(200, "yes") }).await;
    let gateway = Gateway::proxy(upstream, &[]);
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", "400"),
        ("GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n", "421"),
        ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", "400"),
        ("TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n", "405"),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head[9..], status.as_bytes(), "{request:?}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(100_000));
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let _ = stream.write_all(long.as_bytes()).await;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head[9..10], b"4");
    assert_eq!(gateway.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_refuses_is_a_502() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let gateway = Gateway::proxy(address, &[]);
    assert_eq!(gateway.get("/").await.error(), (502, "upstream"));
    assert!(gateway.request("/")["error"].as_str().unwrap().contains("refused"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_resets_is_a_502() {
    let address = raw_upstream(|mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        drop(stream);
    })
    .await;
    let gateway = Gateway::proxy(address, &[]);
    assert_eq!(gateway.get("/").await.error(), (502, "upstream"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_speaks_another_language_is_a_502() {
    let address = raw_upstream(|mut stream| async move {
        let _ = stream.write_all(b"220 mail.example ESMTP\r\n").await;
        let _ = stream.read(&mut [0; 1024]).await;
    })
    .await;
    let gateway = Gateway::proxy(address, &[]);
    assert_eq!(gateway.get("/").await.error(), (502, "upstream"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_stalls_is_a_504() {
    let address =
        raw_upstream(|mut stream| async move { while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {} })
            .await;
    let gateway = Gateway::proxy(address, &["--head-timeout", "50ms"]);
    assert_eq!(gateway.get("/").await.error(), (504, "upstream-timeout"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_stalls_or_ends_early_breaks_off() {
    let address = raw_upstream(|mut stream| async move {
        let read = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
        let _ = stream.read(&mut [0; 1024]).await;
        drop((stream, read));
    })
    .await;
    let gateway = Gateway::proxy(address, &["--body-timeout", "50ms"]);
    let reply = gateway.get("/stall").await;
    assert_eq!(reply.status, 200);
    assert!(reply.body.is_err());
    assert!(gateway.request("/stall")["error"].as_str().unwrap().contains("sent nothing for 50ms"));

    let short = raw_upstream(|mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
    })
    .await;
    let gateway = Gateway::proxy(short, &[]);
    assert!(gateway.get("/short").await.body.is_err());
}

/// A body made of what is sent into a channel.
fn channel_body() -> (mpsc::Sender<Bytes>, support::Answer) {
    let (sender, receiver) = mpsc::channel(1);
    let frames = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let frames = futures::StreamExt::map(frames, |chunk| Ok(Frame::data(chunk)));
    (sender, http::Response::new(BodyExt::boxed(StreamBody::new(frames))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g23_the_first_byte_goes_out_before_the_last_is_there() {
    let go_on = Arc::new(Notify::new());
    let wait = Arc::clone(&go_on);
    let upstream = upstream(move |_| {
        let wait = Arc::clone(&wait);
        async move {
            let (sender, answer) = channel_body();
            tokio::spawn(async move {
                sender.send("first ".into()).await.unwrap();
                wait.notified().await;
                sender.send("last".into()).await.unwrap();
            });
            answer
        }
    })
    .await;
    let gateway = Gateway::proxy(upstream, &[]);
    let mut body = gateway.open(Request::get("/"), "").await.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first ");
    go_on.notify_one();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "last");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g23_a_client_that_goes_away_ends_the_upstreams_response() {
    let (gone, mut told) = mpsc::channel(1);
    let upstream = upstream(move |_| {
        let gone = gone.clone();
        async move {
            let (sender, answer) = channel_body();
            tokio::spawn(async move {
                while sender.send(Bytes::from(vec![0; 1024])).await.is_ok() {}
                gone.send(()).await.unwrap();
            });
            answer
        }
    })
    .await;
    let gateway = Gateway::proxy(upstream, &[]);
    let mut body = gateway.open(Request::get("/"), "").await.into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    tokio::time::timeout(PATIENCE, told.recv()).await.unwrap().unwrap();
    assert_eq!(gateway.request("/")["error"], "the client went away");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g23_a_client_that_stops_reading_holds_the_upstream_back() {
    let (counted, mut count) = tokio::sync::watch::channel(0_usize);
    let upstream = upstream(move |_| {
        let counted = counted.clone();
        async move {
            let (sender, answer) = channel_body();
            tokio::spawn(async move {
                while sender.send(Bytes::from(vec![0; 64 * 1024])).await.is_ok() {
                    counted.send_modify(|sent| *sent += 1);
                }
            });
            answer
        }
    })
    .await;
    let gateway = Gateway::proxy(upstream, &[]);
    let mut body = gateway.open(Request::get("/"), "").await.into_body();
    body.frame().await.unwrap().unwrap();
    // Until nothing more goes out: what is under way is what sockets hold.
    while tokio::time::timeout(Duration::from_millis(500), count.changed()).await.is_ok() {
        assert!(*count.borrow() < 1000, "64 MiB went out, and nobody reads");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_upload_streams_through() {
    let upstream = upstream(|request| async move {
        let mut body = request.into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame.unwrap().into_data().unwrap().len();
        }
        text(200, length.to_string())
    })
    .await;
    let gateway = Gateway::proxy(upstream, &[]);
    let reply = gateway.ask(Request::put("/"), &"x".repeat(5_000_000)).await;
    assert_eq!(reply.text(), "5000000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_is_a_tunnel() {
    let address = raw_upstream(|mut stream| async move {
        let mut head = vec![0; 4096];
        let read = stream.read(&mut head).await.unwrap();
        let head = String::from_utf8_lossy(&head[..read]).to_lowercase();
        assert!(head.contains("upgrade: echo") && head.contains("connection: upgrade"), "{head}");
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
            .await
            .unwrap();
        let (mut reader, mut writer) = stream.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    })
    .await;
    let gateway = Gateway::proxy(address, &[]);
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream
        .write_all(b"GET /talk HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        .await
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    assert!(head.starts_with("http/1.1 101") && head.contains("upgrade: echo"), "{head}");
    stream.write_all(b"ping").await.unwrap();
    let mut pong = [0; 4];
    stream.read_exact(&mut pong).await.unwrap();
    assert_eq!(&pong, b"ping");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g19_coded_bytes_go_through_to_whoever_asked_for_them() {
    let upstream = upstream(|request| async move {
        let asked = request.headers().get("accept-encoding").is_some_and(|value| value == "gzip");
        if asked { with(text(200, "not really gzip"), &[("content-encoding", "gzip")]) } else { text(200, "plain") }
    })
    .await;
    let gateway = Gateway::proxy(upstream, &[]);
    let coded = gateway.get_with("/", &[("accept-encoding", "gzip")]).await;
    assert_eq!((coded.header("content-encoding"), coded.text().as_str()), (Some("gzip"), "not really gzip"));
    assert_eq!(gateway.get("/").await.text(), "plain");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_an_origin_but_for_the_data_inside_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.html"), "<h1>hello</h1>").unwrap();
    let root = folder.path().to_string_lossy().into_owned();
    let gateway = Gateway::start_in(folder.path(), &["--no-worker", "--upstream", &root]);
    let page = gateway.get("/").await;
    assert_eq!(
        (page.header("content-type"), page.text().as_str()),
        (Some("text/html; charset=utf-8"), "<h1>hello</h1>")
    );
    assert!(gateway.data().join("visitor.key").exists());
    assert_eq!(gateway.get("/data/visitor.key").await.status, 404);
    let head = gateway.ask(Request::head("/"), "").await;
    assert_eq!((head.header("content-length"), head.text().as_str()), (Some("14"), ""));
    let tag = page.header("etag").unwrap();
    assert_eq!(gateway.get_with("/", &[("if-none-match", tag)]).await.status, 304);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_under_way_ends_before_the_gateway_does() {
    let (asked, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&asked), Arc::clone(&go_on));
    let upstream = upstream(move |_| {
        let (tell, wait) = (Arc::clone(&tell), Arc::clone(&wait));
        async move {
            tell.notify_one();
            wait.notified().await;
            text(200, "done")
        }
    })
    .await;
    let mut gateway = Gateway::proxy(upstream, &[]);
    let stopping = async {
        asked.notified().await;
        gateway.signal(rustix::process::Signal::TERM);
        gateway.logged(|line| line["message"].as_str().is_some_and(|text| text.starts_with("stopping")));
        go_on.notify_one();
    };
    let (reply, ()) = tokio::join!(gateway.get("/"), stopping);
    assert_eq!(reply.text(), "done");
    assert_eq!(gateway.wait(), Some(0));
    assert!(TcpStream::connect(gateway.address).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_at_once() {
    let asked = Arc::new(Notify::new());
    let tell = Arc::clone(&asked);
    let upstream = upstream(move |_| {
        tell.notify_one();
        std::future::pending()
    })
    .await;
    let mut gateway = Gateway::proxy(upstream, &["--stop-grace", "1h"]);
    let stream = gateway.open_only("/").await;
    asked.notified().await;
    gateway.signal(rustix::process::Signal::INT);
    gateway.logged(|line| line["message"].as_str().is_some_and(|text| text.starts_with("stopping")));
    gateway.signal(rustix::process::Signal::INT);
    assert_eq!(gateway.wait(), Some(1));
    drop(stream);
}
