//! A command's end of the control socket.

use std::{convert::Infallible, io, path::Path, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{Method, StatusCode};
use http_body_util::{BodyDataStream, BodyExt, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame as HttpFrame, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::UnixStream, sync::mpsc};
use tokio_util::task::AbortOnDropHandle;
use waystore::Body;

use super::place;
use crate::{
    caches::{
        Answer, Asked, Part,
        frame::{self, Frame, Frames},
    },
    failure::{Failure, chain},
    store,
};

/// The longest answer that is no stream.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// How long an answer may take: an update may install a version.
const ANSWER_TIME: Duration = Duration::from_secs(600);
/// Parts of an answer that wait for whoever reads them.
const READY: usize = 16;

type Sent = UnsyncBoxBody<Bytes, Infallible>;

/// Calls the gateway that holds `data`.
///
/// # Errors
///
/// There is none, it gave no answer, or its answer is that it failed.
pub(crate) async fn call(data: &Path, method: Method, path: &str, body: Vec<u8>) -> Result<Value, Failure> {
    let Some(stream) = connect(data).await? else {
        return Err(Failure::failed(format!("no gateway runs on `{}`", data.display()))
            .hint("`waystore serve` starts one; another data directory is given with `--data DIR`"));
    };
    let answered = tokio::time::timeout(ANSWER_TIME, async {
        let body = UnsyncBoxBody::new(Full::new(Bytes::from(body)));
        let (response, _connection) = send(stream, method, path, body).await?;
        let status = response.status();
        let value = value_of(response).await?;
        if status.is_success() {
            return Ok(value);
        }
        Err(Failure::failed(value["error"].as_str().unwrap_or("the gateway failed without a reason")))
    });
    answered.await.unwrap_or_else(|_| Err(Failure::failed("the gateway took too long to answer")))
}

/// A connection to the gateway that holds `data`; `None` where none runs.
///
/// # Errors
///
/// One may run, and cannot be reached.
pub(crate) async fn connect(data: &Path) -> Result<Option<UnixStream>, Failure> {
    let socket = place::find(data);
    match UnixStream::connect(&socket).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            // What nobody listens at is left over of a gateway that was killed.
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory => Ok(None),
            io::ErrorKind::PermissionDenied => {
                // Then it is not known whether one runs.
                store::must_exist(data)?;
                Err(Failure::failed(format!("the gateway on `{}` is another user's", data.display()))
                    .hint("run this as the user who started it"))
            }
            // Too long for a socket: nobody listens there.
            io::ErrorKind::InvalidInput => Ok(None),
            _ => Err(Failure::failed(format!("the gateway on `{}` cannot be reached: {error}", data.display()))
                .hint("stop it, and the same command works on the directory itself")),
        },
    }
}

/// Asks the gateway at the other end of `stream`; its answer comes in parts.
///
/// # Errors
///
/// It does not know the question, or gave no answer.
pub(crate) async fn ask(stream: UnixStream, asked: &Asked, input: Option<Body>) -> Result<Answer, Failure> {
    let dir = asked.dir.clone();
    let question = stream::iter([frame::json(asked)]);
    let frames = question.chain(stream::iter(input).flat_map(body_frames)).chain(stream::iter([frame::end()]));
    let body = StreamBody::new(frames.map(|frame| Ok(HttpFrame::data(frame))));
    let (response, connection) = send(stream, Method::POST, "/cache", UnsyncBoxBody::new(body)).await?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED => {
            return Err(Failure::failed(format!("the gateway on `{dir}` does not know this command: it is older"))
                .hint("start it anew with this version, or stop it: then this works on the directory itself"));
        }
        _ => {
            let value = value_of(response).await?;
            return Err(Failure::failed(value["error"].as_str().unwrap_or("the gateway failed without a reason")));
        }
    }
    let (sender, parts) = mpsc::channel(READY);
    let frames = Frames::new(BodyDataStream::new(response.into_body()));
    let read = tokio::spawn(async move {
        let read = read_answer(frames, &dir, &sender).await;
        drop(connection);
        read
    });
    Ok(Answer::new(parts, read))
}

/// The frames of a body, which end with a failure where it fails.
fn body_frames(body: Body) -> impl Stream<Item = Bytes> {
    let frames = body.scan(false, |failed, chunk| {
        if *failed {
            return std::future::ready(None);
        }
        std::future::ready(Some(match chunk {
            Ok(chunk) => frame::chunk(&chunk).collect::<Vec<_>>(),
            Err(error) => {
                *failed = true;
                vec![frame::failed(&Failure::failed(chain(&error)))]
            }
        }))
    });
    frames.flat_map(stream::iter)
}

async fn read_answer(
    mut frames: Frames<BodyDataStream<Incoming>>,
    dir: &str,
    parts: &mpsc::Sender<Part>,
) -> Result<(), Failure> {
    loop {
        let part = match frames.next().await {
            Ok(Frame::Json(json)) => Part::Record(Box::new(frame::value(&json).map_err(|reason| {
                Failure::failed(format!("the gateway on `{dir}` answers in words of another version: {reason}"))
                    .hint("start it anew with this version")
            })?)),
            Ok(Frame::Bytes(bytes)) => Part::Bytes(bytes),
            Ok(Frame::End) => return Ok(()),
            Ok(Frame::Failed(failure)) => return Err(failure),
            Err(reason) => {
                return Err(Failure::failed(format!(
                    "the gateway on `{dir}` ended in the middle of its answer: {reason}"
                ))
                .hint("look whether it runs, and run this again: what it did not acknowledge may not be there"));
            }
        };
        if parts.send(part).await.is_err() {
            // Whoever asked has read enough.
            return Ok(());
        }
    }
}

async fn send(
    stream: UnixStream,
    method: Method,
    path: &str,
    body: Sent,
) -> Result<(http::Response<Incoming>, AbortOnDropHandle<()>), Failure> {
    let lost = |error: &(dyn std::error::Error + 'static)| {
        Failure::failed(format!("the gateway gave no answer: {}", chain(error)))
            .hint("look whether it runs, and run this again")
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| lost(&error))?;
    let connection = AbortOnDropHandle::new(tokio::spawn(async move {
        // How it ended is seen on the answer.
        let _ = connection.await;
    }));
    let request = http::Request::builder().method(method).uri(path).header("host", "waystore").body(body);
    let response = sender.send_request(request.map_err(|error| lost(&error))?).await.map_err(|error| lost(&error))?;
    Ok((response, connection))
}

async fn value_of(response: http::Response<Incoming>) -> Result<Value, Failure> {
    let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
    let bytes = body.map_err(|error| Failure::failed(format!("the gateway's answer broke off: {error}")))?.to_bytes();
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::failed(format!("the gateway's answer is not what was expected: {error}")))
}
