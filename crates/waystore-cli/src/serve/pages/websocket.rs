//! The channel over a WebSocket.
//!
//! Knows the handshake and messages; what they say is the conversation's business.

use std::{
    future::{Future, pending},
    io,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::{SinkExt, StreamExt};
use http::{Method, StatusCode, header, request::Parts};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, mpsc},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message, Utf8Bytes,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};
use tokio_util::sync::CancellationToken;
use waystore::{HeaderList, Response};

use super::{
    arrivals::{Crowded, Meter, Metered},
    closing::Closing,
    desk::{Pages, Who},
    frames::Hello,
    wire::{Arrived, Out, Wire},
};
use crate::serve::refusal::Refusal;

/// How long a page may take to read the last frame, and to close.
const CLOSE_TIME: Duration = Duration::from_secs(1);
/// Frames on their way between a connection and its conversation.
const ON_THE_WAY: usize = 4;
/// A connection that is idle holds no more than this to read into.
const READ_BYTES: usize = 4096;
/// Spec: RFC 6455, section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

type Socket<S> = WebSocketStream<Metered<S>>;

/// The answer that makes the connection a WebSocket. Spec: RFC 6455, section 4.2.
///
/// # Errors
///
/// The request does not ask for one as it should.
pub(super) fn handshake(parts: &Parts) -> Result<Response, Refusal> {
    let refused = |text: &str| Refusal::new(StatusCode::BAD_REQUEST, "channel", text);
    let has = |name: header::HeaderName, word: &str| {
        let values = parts.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|listed| listed.trim().eq_ignore_ascii_case(word))
    };
    if parts.method != Method::GET || !has(header::CONNECTION, "upgrade") || !has(header::UPGRADE, "websocket") {
        return Err(refused("this is the address of a WebSocket; without one, POST to `channel/stream`"));
    }
    if !has(header::SEC_WEBSOCKET_VERSION, "13") {
        return Err(refused("only version 13 of WebSockets is spoken here"));
    }
    let key = parts.headers.get(header::SEC_WEBSOCKET_KEY).map(|key| key.as_bytes().trim_ascii());
    let key = key.filter(|key| STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16));
    let key = key.ok_or_else(|| refused("`Sec-WebSocket-Key` is not 16 bytes in base64"))?;
    let accept = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID.as_bytes()].concat()));
    let mut response = Response::empty(101);
    response.head.headers = [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-accept", &accept)]
        .into_iter()
        .collect::<HeaderList>();
    Ok(response)
}

/// Talks to the page until one of the two ends it.
pub(super) async fn serve(pages: Pages, who: Who, upgrade: OnUpgrade, room: OwnedSemaphorePermit) {
    let Ok(upgraded) = upgrade.await else { return };
    let most = pages.frame_bytes();
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(most))
        .max_frame_size(Some(most));
    let meter = Meter::new(pages.arrivals());
    let connection = Metered::new(TokioIo::new(upgraded), meter.clone());
    let mut socket = WebSocketStream::from_raw_socket(connection, Role::Server, Some(config)).await;
    if let Err(closing) = talk(&pages, who, &mut socket, &meter).await {
        tracing::debug!(target: "waystore::pages", code = closing.code, reason = %closing.reason, "a page was sent away");
        // A page that does not read this is cut off.
        let _ = timeout(CLOSE_TIME, close(socket, &meter, &closing)).await;
    }
    drop(room);
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    pages: &Pages,
    who: Who,
    socket: &mut Socket<S>,
    meter: &Meter,
) -> Result<(), Closing> {
    let late = |_| Closing::silent("the page did not say `hello`");
    let Some(first) = timeout(pages.hello_time(), next(socket, pages.frame_bytes())).await.map_err(late)?? else {
        return Ok(());
    };
    let hello = Hello::read(&first).map_err(Closing::wrong)?;
    drop((first, meter.end_message()));
    let (say, frames) = mpsc::channel(ON_THE_WAY);
    let (out, told) = mpsc::channel(ON_THE_WAY);
    let cut = CancellationToken::new();
    pages.connect(&hello, who, Wire { frames: Some(frames), out, cut: cut.clone() }).await?;
    drop(hello);
    pump(socket, meter, say, told, cut, pages.frame_bytes()).await
}

/// Carries frames both ways, until either side ends it.
async fn pump<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut Socket<S>,
    meter: &Meter,
    say: mpsc::Sender<Arrived>,
    mut told: mpsc::Receiver<Out>,
    cut: CancellationToken,
    most: usize,
) -> Result<(), Closing> {
    let (mut sink, mut stream) = socket.split();
    let reading = async {
        while let Some(text) = next(&mut stream, most).await? {
            if say.send(Arrived { text, _share: meter.end_message() }).await.is_err() {
                // The conversation is over: what it says last says why, whatever the page goes on to say.
                return pending().await;
            }
        }
        Ok(())
    };
    let writing = async {
        while let Some(out) = told.recv().await {
            match out {
                Out::Frame(frame) => {
                    let Ok(text) = Utf8Bytes::try_from(frame) else { continue };
                    if sink.send(Message::Text(text)).await.is_err() {
                        return Ok(());
                    }
                }
                Out::Close(closing) => return Err(closing),
            }
        }
        Ok(())
    };
    let both = async {
        tokio::select! {
            ended = reading => ended,
            ended = writing => ended,
        }
    };
    tokio::select! {
        ended = both => ended,
        () = after(&cut) => Ok(()),
    }
}

async fn after(cut: &CancellationToken) {
    cut.cancelled().await;
    tokio::time::sleep(CLOSE_TIME).await;
}

/// The next text; `None` once the page has closed.
async fn next(
    stream: &mut (impl futures::Stream<Item = Result<Message, Error>> + Unpin),
    most: usize,
) -> Result<Option<Utf8Bytes>, Closing> {
    loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => return Ok(Some(text)),
            Some(Ok(Message::Binary(_))) => return Err(Closing::wrong("frames are text")),
            Some(Ok(Message::Close(_))) | None => return Ok(None),
            Some(Ok(_)) => {}
            Some(Err(Error::Capacity(_))) => return Err(Closing::too_long(most)),
            Some(Err(Error::Io(error))) if is_crowded(&error) => return Err(Closing::crowded()),
            Some(Err(Error::Utf8(_))) => return Err(Closing::wrong("a text is not UTF-8")),
            Some(Err(Error::Protocol(error))) => return Err(Closing::wrong(error.to_string())),
            Some(Err(_)) => return Ok(None),
        }
    }
}

fn is_crowded(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|cause| cause.is::<Crowded>())
}

/// Says why, closes, and waits until the page has closed too.
async fn close<S: AsyncRead + AsyncWrite + Unpin>(mut socket: Socket<S>, meter: &Meter, closing: &Closing) {
    let said = async {
        socket.send(Message::Text(closing.frame().into())).await?;
        let frame = CloseFrame { code: closing.code.into(), reason: closing.short_reason().into() };
        socket.send(Message::Close(Some(frame))).await
    };
    if said.await.is_err() {
        return;
    }
    while let Some(Ok(_)) = socket.next().await {}
    if closing.leaves_bytes_unread() {
        let mut connection = socket.into_inner();
        // What had arrived is not held any more.
        drop(meter.end_message());
        connection.drain().await;
    }
}

/// So that the futures above stay what a task can run.
const _: fn(Pages, Who, OnUpgrade, OwnedSemaphorePermit) = |pages, who, upgrade, room| {
    fn is_send(_: impl Future + Send) {}
    is_send(serve(pages, who, upgrade, room));
};

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;

    use super::*;
    use crate::serve::pages::{arrivals::Arrivals, testing, times::Times};

    fn asks(headers: &[(&str, &str)]) -> Result<Response, Refusal> {
        let mut request = http::Request::get("/.well-known/waystore/channel");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        handshake(&request.body(()).unwrap().into_parts().0)
    }

    const GOOD: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[test]
    fn the_handshake_answers_with_the_hash_of_the_key() {
        let response = asks(&GOOD).unwrap();
        assert_eq!(response.status, 101);
        assert_eq!(response.headers.get_text("sec-websocket-accept").as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }

    /// A socket of the gateway's, and the page's end of it.
    async fn sockets() -> (Socket<DuplexStream>, Meter, WebSocketStream<DuplexStream>) {
        let (here, there) = tokio::io::duplex(1 << 16);
        let meter = Meter::new(&Arrivals::new(1 << 20, 1 << 16));
        let here = WebSocketStream::from_raw_socket(Metered::new(here, meter.clone()), Role::Server, None).await;
        (here, meter, WebSocketStream::from_raw_socket(there, Role::Client, None).await)
    }

    #[tokio::test]
    async fn a_page_that_goes_on_talking_is_told_why_it_is_closed() {
        let (mut socket, meter, mut page) = sockets().await;
        let (say, frames) = mpsc::channel(1);
        let (out, told) = mpsc::channel(1);
        // The conversation hears nothing more, and has not said its last word yet.
        drop(frames);
        page.send(Message::Text("more".into())).await.unwrap();
        let last = async {
            tokio::task::yield_now().await;
            out.send(Out::Close(Closing::too_much())).await.unwrap();
        };
        let (ended, ()) = tokio::join!(pump(&mut socket, &meter, say, told, CancellationToken::new(), 1000), last);
        assert_eq!(ended.unwrap_err().code, 4429);
    }

    #[tokio::test]
    async fn a_page_that_does_not_say_hello_is_sent_away() {
        let hello = Duration::from_millis(50);
        let pages = testing::pages(9, Times { hello, ..testing::no_times() }).await;
        let (mut socket, meter, _page) = sockets().await;
        let closing = talk(&pages, testing::who(), &mut socket, &meter).await.unwrap_err();
        assert_eq!((closing.code, &*closing.reason), (4408, "the page did not say `hello`"));
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        for (name, _) in GOOD {
            let headers: Vec<_> = GOOD.into_iter().filter(|(other, _)| *other != name).collect();
            assert!(asks(&headers).is_err(), "without {name}");
        }
        let mut short = GOOD;
        short[3].1 = "c2hvcnQ=";
        assert!(asks(&short).is_err());
    }
}
