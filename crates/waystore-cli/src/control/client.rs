//! A command's end of the control socket.

use std::{io, path::Path, time::Duration};

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use super::place;
use crate::failure::{Failure, chain};

/// The longest answer.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// How long an answer may take: an update may install a version.
const ANSWER_TIME: Duration = Duration::from_secs(600);

/// Calls the gateway that holds `data`.
///
/// # Errors
///
/// There is none, it gave no answer, or its answer is that it failed.
pub(crate) async fn call(data: &Path, method: Method, path: &str, body: Vec<u8>) -> Result<Value, Failure> {
    let stream = UnixStream::connect(place::find(data)).await.map_err(|error| unreachable(data, &error))?;
    let lost = |error: &(dyn std::error::Error + 'static)| {
        Failure::failed(format!("the gateway gave no answer: {}", chain(error)))
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| lost(&error))?;
    let connection = tokio::spawn(connection);
    let request = http::Request::builder().method(method).uri(path).header("host", "waystore");
    let request = request.body(Full::new(Bytes::from(body))).map_err(|error| lost(&error))?;
    let answered = tokio::time::timeout(ANSWER_TIME, async {
        let response = sender.send_request(request).await.map_err(|error| lost(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
        let bytes =
            body.map_err(|error| Failure::failed(format!("the gateway's answer broke off: {error}")))?.to_bytes();
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| lost(&error))?;
        if status.is_success() {
            return Ok(value);
        }
        Err(Failure::failed(value["error"].as_str().unwrap_or("the gateway failed without a reason")))
    });
    let answer = answered.await.unwrap_or_else(|_| Err(Failure::failed("the gateway took too long to answer")));
    connection.abort();
    answer
}

fn unreachable(data: &Path, error: &io::Error) -> Failure {
    let data = data.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            Failure::failed(format!("no gateway runs on `{data}`"))
                .hint("`waystore serve` starts one; another data directory is given with `--data DIR`")
        }
        io::ErrorKind::PermissionDenied => Failure::failed(format!("the gateway on `{data}` is another user's"))
            .hint("run this as the user who started it"),
        _ => Failure::failed(format!("the gateway on `{data}` cannot be reached: {error}")),
    }
}
