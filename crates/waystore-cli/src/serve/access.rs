//! One line in the log for each request, written when its answer is complete or given up.
//!
//! The same guard tells everyone who works on the answer when the client is gone.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use http::{Method, Uri};
use http_body::{Frame, SizeHint};
use waystore::{AbortSignal, Body, BodyError, ResponseSource};

use super::handler::Turn;

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
    /// `None`: the log has no lines of requests.
    asked: Option<Asked>,
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

/// What the log says of a request itself.
#[derive(Debug)]
struct Asked {
    method: Method,
    /// A copy: a part of what was read would keep all of it, so that the connection had to ask for memory to read on.
    target: String,
    started: Instant,
}

impl Record {
    /// Of a request that begins now. Boxed, since it goes from hand to hand.
    pub(crate) fn new(method: &Method, uri: &Uri) -> Box<Self> {
        let is_logged = tracing::enabled!(target: TARGET, tracing::Level::INFO);
        let asked = is_logged.then(|| Asked {
            method: method.clone(),
            target: uri.path_and_query().map_or_else(|| uri.to_string(), |target| target.as_str().to_owned()),
            started: Instant::now(),
        });
        Box::new(Self {
            asked,
            signal: None,
            status: 0,
            bytes: 0,
            complete: false,
            route: Route::Refused,
            version: None,
            note: None,
            error: None,
        })
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
        let Some(asked) = &self.asked else { return };
        let gone = || (!self.complete).then_some("the client went away");
        let error = self.error.as_deref().or_else(gone);
        tracing::info!(
            target: TARGET,
            method = %asked.method,
            path = %asked.target,
            route = self.route.as_str(),
            version = self.version.as_deref(),
            status = self.status,
            bytes = self.bytes,
            ms = (asked.started.elapsed().as_secs_f64() * 1_000_000.0).round() / 1000.0,
            note = self.note.as_deref(),
            error,
            "request"
        );
    }
}

/// An answer's body, with the record of its request.
#[derive(Debug)]
pub(crate) struct Tracked {
    body: Body,
    record: Box<Record>,
    /// Over with the body.
    _turn: Turn,
}

impl Tracked {
    pub(crate) fn new(body: Body, record: Box<Record>, turn: Turn) -> Self {
        Self { body, record, _turn: turn }
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
