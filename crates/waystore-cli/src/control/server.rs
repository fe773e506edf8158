//! The gateway's end of the control socket: a few calls, each a line of [`answer`].

use std::{
    convert::Infallible,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use waystore_worker::{MessageEvent, SerializedValue, Site, Updated};

use super::{caches, place};
use crate::{
    caches::Desk,
    failure::{Failure, chain},
    prefetching::{Answers, Asker, Taken},
};

/// The longest message.
const MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// How long a caller may take to say what it wants.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// A bound control socket, removed when dropped.
pub(crate) struct Control {
    listener: UnixListener,
    path: PathBuf,
}

/// Binds the control socket of `data`, whose lock the caller holds.
///
/// # Errors
///
/// The socket cannot be made.
pub(crate) fn bind(data: &Path) -> Result<Control, Failure> {
    let failed = |error: std::io::Error| {
        Failure::failed(format!("the control socket of `{}` cannot be made: {error}", data.display()))
            .hint("the data directory, or XDG_RUNTIME_DIR, has to be on a disk that can hold sockets")
    };
    let path = place::prepare(data).map_err(failed)?;
    let listener = UnixListener::bind(&path).map_err(failed)?;
    // The directory is closed to others, so nobody came in before this.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(Control { listener, path })
}

impl Drop for Control {
    fn drop(&mut self) {
        // What is left is stale, and the next holder of the lock replaces it.
        let _ = fs::remove_file(&self.path);
    }
}

impl Control {
    /// Answers until `stop`.
    pub(crate) async fn serve(
        self,
        site: Option<Arc<Site>>,
        desk: Arc<Desk>,
        answers: Answers,
        stop: CancellationToken,
    ) {
        let calls = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => drop(calls.spawn(call(stream, site.clone(), Arc::clone(&desk), answers.clone()))),
                Err(error) => {
                    tracing::warn!(%error, "a call to the control socket was not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        calls.close();
        calls.wait().await;
    }
}

async fn call(stream: UnixStream, site: Option<Arc<Site>>, desk: Arc<Desk>, answers: Answers) {
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (site, desk, answers) = (site.clone(), Arc::clone(&desk), answers.clone());
        async move {
            Ok::<_, Infallible>(match (request.method(), request.uri().path()) {
                (&Method::POST, "/cache") => match caches::answer(&desk, request.into_body()).await {
                    Ok(frames) => http::Response::new(UnsyncBoxBody::new(StreamBody::new(
                        frames.map(|frame| frame.map(Frame::data)),
                    ))),
                    Err(refused) => respond(Err(refused)),
                },
                _ => respond(answer(site.as_deref(), &answers, request).await),
            })
        }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).keep_alive(false);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a call to the control socket ended early");
    }
}

type Answer = Result<Value, (StatusCode, String)>;

async fn answer(site: Option<&Site>, answers: &Answers, request: http::Request<Incoming>) -> Answer {
    let failed = |error: &dyn std::error::Error| (StatusCode::BAD_GATEWAY, error.to_string());
    let (parts, body) = request.into_parts();
    let needed = || site.ok_or_else(|| (StatusCode::NOT_FOUND, "this gateway runs no worker".to_owned()));
    match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/workers") => Ok(json!(site.map(Site::status).into_iter().collect::<Vec<_>>())),
        (&Method::POST, "/workers/update") => {
            let updated = needed()?.update(true).await.map_err(|error| (StatusCode::BAD_GATEWAY, chain(&error)))?;
            Ok(match updated {
                Updated::Unchanged => json!({ "installed": null }),
                Updated::Installed { version } => json!({ "installed": version }),
            })
        }
        (&Method::POST, "/workers/rollback") => {
            let version = needed()?.rollback().await.map_err(|error| (StatusCode::BAD_GATEWAY, chain(&error)))?;
            Ok(json!({ "active": version }))
        }
        (&Method::POST, "/workers/off") => {
            needed()?.switch_off().await.map_err(|error| (StatusCode::BAD_GATEWAY, chain(&error)))?;
            Ok(json!({ "off": true }))
        }
        (&Method::POST, "/workers/on") => {
            needed()?.switch_on().await.map_err(|error| (StatusCode::BAD_GATEWAY, chain(&error)))?;
            Ok(json!({ "off": false }))
        }
        (&Method::POST, "/workers/message") => {
            let body = Limited::new(body, MESSAGE_BYTES).collect().await;
            let bytes = body.map_err(|error| (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()))?.to_bytes();
            let data: Value =
                serde_json::from_slice(&bytes).map_err(|error| (StatusCode::BAD_REQUEST, failed(&error).1))?;
            let message = match answers.take(SerializedValue::from_json(&data).into(), &Asker::Operator) {
                Taken::Not(message) => message,
                Taken::Answered => return Ok(json!({ "sent": true, "prefetch": "begun" })),
                Taken::Refused(reason) => return Err((StatusCode::BAD_GATEWAY, reason)),
            };
            let sent = needed()?.message(MessageEvent { data: message.data, ports: message.ports }).await;
            sent.map(|()| json!({ "sent": true })).map_err(|error| (StatusCode::BAD_GATEWAY, chain(&error)))
        }
        (method, path) => Err((StatusCode::NOT_FOUND, format!("there is no {method} {path}"))),
    }
}

fn respond(answer: Answer) -> http::Response<UnsyncBoxBody<Bytes, Infallible>> {
    let (status, value) = match answer {
        Ok(value) => (StatusCode::OK, value),
        Err((status, error)) => (status, json!({ "error": error })),
    };
    let mut response = http::Response::new(UnsyncBoxBody::new(Full::from(format!("{value}\n"))));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}
