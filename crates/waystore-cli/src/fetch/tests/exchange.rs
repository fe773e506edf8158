//! What happens on the wire: odd responses, codings, and ends before their time.

use std::sync::Arc;

use http::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use url::Url;
use waystore::{AbortSignal, Body, BodyError, FetchError, Request};

use super::{PATIENCE, World, answer, get, text};

/// A world whose every connection is left to `talk`, once the head of a request was read from it.
async fn raw<A>(talk: impl Fn(TcpStream) -> A + Send + Sync + 'static) -> World
where
    A: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let talk = Arc::new(talk);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let talk = Arc::clone(&talk);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                talk(stream).await;
            });
        }
    });
    World::at(&server, false, Arc::default())
}

/// A world that answers everything with these bytes.
async fn says(bytes: impl Into<Vec<u8>>) -> World {
    let bytes: Arc<Vec<u8>> = Arc::new(bytes.into());
    raw(move |mut stream| {
        let bytes = Arc::clone(&bytes);
        async move {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

#[tokio::test]
async fn what_comes_before_the_response_is_not_the_response() {
    let world =
        says("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 Fine\r\ncontent-length: 2\r\n\r\nok").await;
    let response = world.fetch(get("http://shop.example/")).await.unwrap();
    assert_eq!((response.status, &response.status_text[..]), (200, &b"Fine"[..]));
    assert!(!response.headers.contains("link"));
    assert_eq!(text(response).await, "ok");
}

#[tokio::test]
async fn f71_a_status_without_a_body_has_none() {
    for status in [204, 205, 304] {
        let world = says(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nx-a: 1\r\n\r\n")).await;
        let response = world.fetch(get("http://shop.example/")).await.unwrap();
        assert_eq!((response.status, response.body.is_none()), (status, true));
        assert!(response.headers.contains("x-a"));
    }
}

#[tokio::test]
async fn headers_without_end_are_an_error() {
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(2 << 20));
    assert!(matches!(says(endless).await.fetch(get("http://shop.example/")).await, Err(FetchError::Network(_))));
    let many: String = (0..10_000).map(|number| format!("x{number}: y\r\n")).collect();
    let world = says(format!("HTTP/1.1 200 OK\r\n{many}\r\n")).await;
    assert!(matches!(world.fetch(get("http://shop.example/")).await, Err(FetchError::Network(_))));
}

#[tokio::test]
async fn f69_a_body_is_decoded_and_its_headers_stay() {
    let gzip = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 0xCB, 0xC8, 4, 0, 0xAC, 0x2A, 0x93, 0xD8, 2, 0, 0, 0];
    let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 22\r\n\r\n";
    let world = says([head.as_bytes(), &gzip].concat()).await;
    let response = world.fetch(get("http://shop.example/")).await.unwrap();
    assert_eq!(response.headers.get_text("content-encoding").as_deref(), Some("gzip"));
    assert_eq!(response.headers.get_text("content-length").as_deref(), Some("22"));
    assert_eq!(text(response).await, "hi");
}

#[tokio::test]
async fn a_body_that_ends_early_or_is_broken_fails_after_its_head() {
    for end in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 5\r\n\r\n\xFFhalf",
    ] {
        let response = says(end).await.fetch(get("http://shop.example/")).await.unwrap();
        assert!(response.body.unwrap().collect(100).await.is_err(), "{}", end.escape_ascii());
    }
}

/// Tells when the other side has closed the connection.
async fn closed(stream: &mut TcpStream) {
    let mut rest = [0; 64];
    while !matches!(tokio::time::timeout(PATIENCE, stream.read(&mut rest)).await, Ok(Ok(0) | Err(_))) {}
}

fn abortable(signal: &AbortSignal) -> Request {
    Request { signal: Some(signal.clone()), ..get("http://shop.example/") }
}

#[tokio::test]
async fn f65_an_abort_before_the_head_closes_the_connection() {
    let (seen, mut events) = mpsc::unbounded_channel();
    let world = raw(move |mut stream| {
        let seen = seen.clone();
        async move {
            seen.send("asked").unwrap();
            closed(&mut stream).await;
            seen.send("closed").unwrap();
        }
    })
    .await;
    let signal = AbortSignal::new();
    let (fetched, ()) = tokio::join!(world.fetch(abortable(&signal)), async {
        assert_eq!(events.recv().await, Some("asked"));
        signal.abort();
    });
    assert!(matches!(fetched, Err(FetchError::Aborted)));
    assert_eq!(tokio::time::timeout(PATIENCE, events.recv()).await.unwrap(), Some("closed"));
}

#[tokio::test]
async fn f65_an_aborted_request_makes_no_traffic() {
    let world = World::new(|_| answer(200, &[])).await;
    let signal = AbortSignal::new();
    signal.abort();
    assert!(matches!(world.fetch(abortable(&signal)).await, Err(FetchError::Aborted)));
    assert!(world.asked().is_empty());
}

#[tokio::test]
async fn f66_an_abort_in_the_body_fails_it_and_closes_the_connection() {
    let (seen, mut events) = mpsc::unbounded_channel();
    let world = raw(move |mut stream| {
        let seen = seen.clone();
        async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nstart").await.unwrap();
            closed(&mut stream).await;
            seen.send("closed").unwrap();
        }
    })
    .await;
    let signal = AbortSignal::new();
    let response = world.fetch(abortable(&signal)).await.unwrap();
    signal.abort();
    assert!(matches!(response.body.unwrap().collect(100).await, Err(BodyError::Aborted)));
    assert_eq!(tokio::time::timeout(PATIENCE, events.recv()).await.unwrap(), Some("closed"));
}

fn streamed(url: &str, method: Method) -> Request {
    let chunks = futures::stream::iter([Ok("one ".into()), Ok("two".into())]);
    let mut request = get(url);
    (request.method, request.body) = (method, Some(Body::from_stream(chunks, None)));
    request
}

#[tokio::test]
async fn f73_a_stream_is_sent_once_and_never_redirected_but_by_303() {
    let world = World::new(|asked| match asked.path.as_str() {
        "/302" => answer(302, &[("location", "/end")]),
        "/303" => answer(303, &[("location", "/end")]),
        "/307" => answer(307, &[("location", "/end")]),
        _ => answer(200, &[]),
    })
    .await;
    world.fetch(streamed("http://shop.example/end", Method::POST)).await.unwrap();
    assert_eq!(world.last("/end").body, "one two");
    world.asked();
    for path in ["/302", "/307"] {
        assert!(world.fetch(streamed(&format!("http://shop.example{path}"), Method::POST)).await.is_err(), "{path}");
    }
    assert_eq!(world.asked(), ["POST shop.example/302", "POST shop.example/307"]);
    let response = world.fetch(streamed("http://shop.example/303", Method::PUT)).await.unwrap();
    assert_eq!(response.url_list.len(), 2);
    assert_eq!(world.asked(), ["PUT shop.example/303", "GET shop.example/end"]);
}

#[tokio::test]
async fn f73_a_body_in_memory_goes_along_to_where_it_is_sent_again() {
    let world = World::new(|asked| match asked.path.as_str() {
        "/307" => answer(307, &[("location", "/end")]),
        _ => answer(200, &[]),
    })
    .await;
    let mut request = get("http://shop.example/307");
    (request.method, request.body) = (Method::POST, Some(Body::from("again")));
    world.fetch(request).await.unwrap();
    assert_eq!(world.last("/end").body, "again");
}

#[tokio::test]
async fn a_range_is_asked_for_and_its_part_is_marked() {
    let world = World::new(|_| answer(206, &[("content-range", "bytes 0-9/99")])).await;
    let part = world.fetch(get("http://shop.example/x").header("Range", "bytes=0-9")).await.unwrap();
    assert_eq!((part.status, part.range_requested), (206, true));
    assert_eq!(world.last("/x").header("range"), "bytes=0-9");
    assert_eq!(world.last("/x").header("accept-encoding"), "identity");
}
