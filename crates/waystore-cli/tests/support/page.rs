//! A page of a browser, as far as the gateway can see: what client.js says, written by hand.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    missing_debug_implementations,
    reason = "each test file uses a part of it"
)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::SocketAddr;

use futures::{SinkExt, StreamExt};
use http::Request;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{
            Role,
            frame::{
                Frame,
                coding::{Data, OpCode},
            },
        },
    },
};
use waystore_worker::SerializedValue;

use super::support::{Gateway, PATIENCE};

pub const CHANNEL: &str = "/.well-known/waystore/channel";

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// A page that was welcomed.
pub struct Page {
    socket: Socket,
    pub welcome: Value,
    /// How many frames it has sent that count.
    pub said: u64,
    /// How many it has received that count.
    pub received: u64,
}

/// The `hello` of a page at this path.
pub fn hello(gateway: &Gateway, path: &str) -> Value {
    json!({ "frame": "hello", "version": 1, "url": format!("http://{}{path}", gateway.address), "visible": true })
}

/// The WebSocket that a page of `origin` opens, or the status and the class of the answer.
pub async fn open(address: SocketAddr, headers: &[(&str, &str)]) -> Result<Socket, (u16, String)> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::get(CHANNEL)
        .header("host", address.to_string())
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
    let response = timeout(PATIENCE, sender.send_request(request)).await.expect("an answer").unwrap();
    if response.status() != 101 {
        let class = response.headers().get("waystore-error").map_or("-", |value| value.to_str().unwrap());
        return Err((response.status().as_u16(), class.to_owned()));
    }
    let upgraded = hyper::upgrade::on(response).await.unwrap();
    Ok(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await)
}

/// The value as it stands in a frame.
pub fn data(value: &Value) -> Value {
    serde_json::from_str(SerializedValue::from_json(value).as_str()).unwrap()
}

/// What the `data` of a frame holds.
pub fn value(frame: &Value) -> Value {
    SerializedValue::from_text(frame["data"].to_string()).unwrap().to_json().unwrap()
}

impl Page {
    /// A page at this path.
    pub async fn at(gateway: &Gateway, path: &str) -> Self {
        Self::with(gateway, hello(gateway, path), &[]).await
    }

    /// A page that says this first, with these headers.
    pub async fn with(gateway: &Gateway, hello: Value, headers: &[(&str, &str)]) -> Self {
        let origin = format!("http://{}", gateway.address);
        let headers = [&[("origin", origin.as_str())], headers].concat();
        Self::on(open(gateway.address, &headers).await.unwrap(), hello).await
    }

    /// A page that says this first, on a connection that is there.
    pub async fn on(mut socket: Socket, hello: Value) -> Self {
        socket.send(Message::Text(hello.to_string().into())).await.unwrap();
        let mut page = Self { socket, welcome: Value::Null, said: 0, received: 0 };
        page.welcome = page.next().await;
        assert_eq!(page.welcome["frame"], "welcome", "{}", page.welcome);
        if page.welcome["resumed"] == true {
            page.said = page.welcome["received"].as_u64().unwrap();
            page.received = hello["received"].as_u64().unwrap();
        }
        page
    }

    /// The id that the worker knows it by.
    pub fn id(&self) -> &str {
        self.welcome["client"].as_str().unwrap()
    }

    /// What it says to go on where it is.
    pub fn hello_again(&self, gateway: &Gateway) -> Value {
        let mut again = hello(gateway, "/");
        again["client"] = self.welcome["client"].clone();
        again["key"] = self.welcome["key"].clone();
        again["received"] = self.received.into();
        again
    }

    /// Says something that counts; the number of the frame.
    pub async fn say(&mut self, mut frame: Value) -> u64 {
        self.said += 1;
        frame["n"] = self.said.into();
        self.send(&frame.to_string()).await;
        self.said
    }

    /// Posts this value to the active worker.
    pub async fn post(&mut self, value: &Value, ports: &[u64]) -> u64 {
        self.say(json!({ "frame": "message", "slot": "active", "data": data(value), "ports": ports })).await
    }

    /// Sends a text.
    pub async fn send(&mut self, text: &str) {
        self.socket.send(Message::Text(text.into())).await.unwrap();
    }

    /// Sends a part of a text; whether it is the first, and the last one. A part is there when this returns.
    pub async fn send_part(&mut self, text: &str, first: bool, last: bool) {
        let code = OpCode::Data(if first { Data::Text } else { Data::Continue });
        self.socket.send(Message::Frame(Frame::message(text.to_owned(), code, last))).await.unwrap();
        if !last {
            self.socket.send(Message::Ping(Default::default())).await.unwrap();
            let answer = timeout(PATIENCE, self.socket.next()).await.expect("a pong").unwrap().unwrap();
            assert!(matches!(answer, Message::Pong(_)), "{answer}");
        }
    }

    /// Tries to send a text.
    pub async fn try_send(&mut self, text: String) -> bool {
        self.socket.send(Message::Text(text.into())).await.is_ok()
    }

    /// The next frame that is said; a last one says how the WebSocket was closed.
    pub async fn next(&mut self) -> Value {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.expect("a frame");
            match message {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    if let Some(n) = frame["n"].as_u64() {
                        assert_eq!(n, self.received + 1, "{frame}");
                        self.received = n;
                    }
                    return frame;
                }
                Some(Ok(Message::Close(frame))) => {
                    return json!({ "closed": frame.map(|frame| u16::from(frame.code)) });
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return json!({ "closed": null }),
            }
        }
    }

    /// The next frame of this name, past others.
    pub async fn hears(&mut self, name: &str) -> Value {
        loop {
            let frame = self.next().await;
            assert!(frame["closed"].is_null() && frame["frame"] != "close" || name == "close", "{frame} before {name}");
            if frame["frame"] == name {
                return frame;
            }
        }
    }

    /// The code with which its connection is closed, in the last frame and by the WebSocket.
    pub async fn closed(&mut self) -> u64 {
        let told = self.hears("close").await["code"].as_u64().unwrap();
        assert_eq!(self.next().await["closed"], told);
        told
    }

    /// Closes the connection as a network does: without a word.
    pub fn cut(self) {
        drop(self.socket);
    }
}

/// What a stream of events says.
pub struct Events {
    body: hyper::body::Incoming,
    rest: String,
}

impl Events {
    pub fn of(body: hyper::body::Incoming) -> Self {
        Self { body, rest: String::new() }
    }

    /// The next frame.
    pub async fn next(&mut self) -> Value {
        loop {
            if let Some((event, rest)) = self.rest.split_once("\n\n") {
                let frame = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
                self.rest = rest.to_owned();
                return frame;
            }
            let frame = timeout(PATIENCE, http_body_util::BodyExt::frame(&mut self.body)).await;
            let bytes = frame.expect("an event").expect("an event").unwrap().into_data().unwrap();
            self.rest.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }
}
