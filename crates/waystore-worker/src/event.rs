//! What passes between a worker and its host: events in, outcomes out. Owned, `Send`, no engine.

use url::Url;
use waystore::{Request, Response};

use crate::{MessagePort, SerializedValue};

/// A request on its way through a worker.
#[derive(Debug)]
pub struct FetchEvent {
    /// The request, with its body, its signal (aborted when the client goes away) and its visitor.
    pub request: Request,
    /// The id of the client that asks; empty for a navigation.
    pub client_id: String,
    /// The id of the client that a navigation would make; empty for subresources.
    pub resulting_client_id: String,
}

impl FetchEvent {
    /// A request of nobody in particular.
    pub fn of(request: Request) -> Self {
        Self { request, client_id: String::new(), resulting_client_id: String::new() }
    }
}

/// What became of a fetch event.
///
/// Spec: <https://w3c.github.io/ServiceWorker/#handle-fetch>
#[derive(Debug)]
pub enum FetchOutcome {
    /// The worker leaves the request to the network. It comes back as it was.
    Fallback {
        /// The request, its body untouched.
        request: Box<Request>,
        /// Why the worker did not answer.
        reason: FallbackReason,
        /// The version that was asked, where one was.
        version: Option<String>,
    },
    /// The worker's answer: the internal response. Its head can be sent before its body is complete.
    Response {
        /// The answer.
        response: Box<Response>,
        /// The version that gave it.
        version: String,
    },
    /// The worker took the request and failed to answer it.
    NetworkError {
        /// What went wrong, for the log.
        reason: String,
        /// The version that was asked.
        version: String,
    },
    /// The worker took the request and did not answer it in time.
    TimedOut {
        /// The version that was asked.
        version: String,
    },
}

/// Where a static route led a request past the script.
///
/// Spec: <https://w3c.github.io/ServiceWorker/#handle-fetch>
#[derive(Debug)]
pub enum Routed {
    /// To a cache that has an answer. Its head can be sent before its body is complete.
    Answer {
        /// The answer.
        response: Box<Response>,
        /// The version whose route it was.
        version: String,
    },
    /// To a cache whose answer this request may not be given.
    Refused {
        /// Why, for the log.
        reason: String,
        /// The version whose route it was.
        version: String,
    },
    /// To the network, at once or because no cache has an answer.
    Network {
        /// The version whose route it was.
        version: String,
    },
}

/// Why a request goes to the network though a worker could have answered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FallbackReason {
    /// No worker is active.
    NoWorker,
    /// The worker listens to no fetch event.
    NoListener,
    /// No listener called `respondWith`.
    NotAnswered,
    /// A static route leads to the network, or to a cache that has no answer.
    Routed,
    /// A listener threw before any called `respondWith`.
    Threw,
    /// The worker did not start, or was stopped before any listener called `respondWith`.
    Stopped,
    /// The worker has all the events that its limits allow.
    Busy,
    /// The worker is switched off: by whoever runs the site, or because it had to be stopped too often.
    Off,
}

/// A message for a worker.
#[derive(Debug)]
pub struct MessageEvent {
    /// `event.data`.
    pub data: SerializedValue,
    /// `event.ports`: through these the script can answer.
    pub ports: Vec<MessagePort>,
}

impl MessageEvent {
    /// A message that is JSON, without ports.
    pub fn json(data: &serde_json::Value) -> Self {
        Self { data: SerializedValue::from_json(data), ports: Vec::new() }
    }
}

/// How much a console line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleLevel {
    /// `console.debug`, `console.trace`.
    Debug,
    /// `console.log`, `console.info` and the rest.
    Info,
    /// `console.warn`.
    Warn,
    /// `console.error`, `console.assert`, and what nobody caught.
    Error,
}

/// A line that a script wrote to its console.
#[derive(Debug, Clone)]
pub struct ConsoleLine {
    /// How much it matters.
    pub level: ConsoleLevel,
    /// The arguments, formatted and joined by spaces.
    pub text: String,
    /// The version whose script wrote it; `None` for scripts that are run without a registration.
    pub version: Option<String>,
    /// The type of the event that the script wrote it for, where that can be told.
    pub event: Option<&'static str>,
    /// What that event asked for, where it is a `fetch`.
    pub url: Option<Url>,
    /// Where in the script an error that the line shows was thrown: URL, line and column.
    pub position: Option<String>,
}

impl ConsoleLine {
    /// A line of nobody in particular.
    pub(crate) fn new(level: ConsoleLevel, text: String) -> Self {
        Self { level, text, version: None, event: None, url: None, position: None }
    }
}
