//! One line in the log for each request, written when its answer is complete or given up.
//!
//! The same guard tells everyone who works on the answer when the client is gone.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use http::{Method, Uri};
use http_body::{Frame, SizeHint};
use waystore::{AbortSignal, Body, BodyError, ResponseSource};

/// What the log calls the lines of requests.
pub(super) const TARGET: &str = "waystore::access";

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// From a cache, through the worker.
    Cache,
    /// The worker made it.
    Worker,
    /// From the network, by the worker's leave or through it.
    Network,
    /// From the network, without asking the worker.
    Bypass,
    /// The gateway itself has it.
    Gateway,
    /// Nowhere: the gateway refused.
    Refused,
}

impl Route {
    pub(crate) fn of(source: ResponseSource) -> Self {
        match source {
            ResponseSource::Cache => Self::Cache,
            ResponseSource::Network => Self::Network,
            ResponseSource::Made => Self::Worker,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Worker => "worker",
            Self::Network => "network",
            Self::Bypass => "bypass",
            Self::Gateway => "gateway",
            Self::Refused => "refused",
        }
    }
}

/// What is known of a request so far. Dropped, it writes the line, and aborts the signal if somebody took it.
#[derive(Debug)]
pub(crate) struct Record {
    method: Method,
    uri: Uri,
    started: Instant,
    signal: Option<AbortSignal>,
    bytes: u64,
    complete: bool,
    /// What was decided; 0 before.
    pub(crate) status: u16,
    pub(crate) route: Route,
    pub(crate) version: Option<String>,
    pub(crate) note: Option<String>,
    pub(crate) error: Option<String>,
}

impl Record {
    pub(crate) fn new(method: &Method, uri: &Uri, started: Instant) -> Self {
        Self {
            method: method.clone(),
            uri: uri.clone(),
            started,
            signal: None,
            status: 0,
            bytes: 0,
            complete: false,
            route: Route::Refused,
            version: None,
            note: None,
            error: None,
        }
    }

    /// What tells, to those who work on the answer, that the client is gone.
    pub(crate) fn signal(&mut self) -> AbortSignal {
        self.signal.get_or_insert_default().clone()
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(signal) = self.signal.as_ref().filter(|_| !self.complete) {
            signal.abort();
        }
        let gone = || (!self.complete).then_some("the client went away");
        let error = self.error.as_deref().or_else(gone);
        tracing::info!(
            target: TARGET,
            method = %self.method,
            path = %Target(&self.uri),
            route = self.route.as_str(),
            version = self.version.as_deref(),
            status = self.status,
            bytes = self.bytes,
            ms = (self.started.elapsed().as_secs_f64() * 1_000_000.0).round() / 1000.0,
            note = self.note.as_deref(),
            error,
            "request"
        );
    }
}

/// The path and query of a request.
struct Target<'a>(&'a Uri);

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.path_and_query() {
            Some(target) => target.fmt(f),
            None => self.0.fmt(f),
        }
    }
}

/// An answer's body, with the record of its request.
#[derive(Debug)]
pub(crate) struct Tracked {
    body: Body,
    record: Record,
}

impl Tracked {
    pub(crate) fn new(body: Body, record: Record) -> Self {
        Self { body, record }
    }
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => self.record.bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(error)) => self.record.error = Some(format!("body: {}", crate::failure::chain(error))),
            None => self.record.complete = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        // A body of known length is not asked again once the length is reached.
        self.record.complete |= self.record.error.is_none()
            && (self.body.length() == Some(0) || http_body::Body::is_end_stream(&self.body));
    }
}
