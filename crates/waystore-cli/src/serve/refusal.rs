//! Answers that the gateway makes itself, because there is no other: a status, a word for machines, a line for people.

use http::{HeaderValue, Method, StatusCode, header};
use waystore::{Body, FetchError};

use super::access::Record;

/// The header that marks an error as the gateway's own. Its value is a reason's class, made for machines.
pub(crate) const ERROR_HEADER: &str = "waystore-error";

/// Why a request gets no answer of the worker or the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    class: &'static str,
    text: String,
    /// In seconds.
    retry_after: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, class: &'static str, text: impl Into<String>) -> Self {
        Self { status, class, text: text.into(), retry_after: None }
    }

    /// Says after how many seconds it may be tried again.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The worker took the request, and this came of it.
    pub(crate) fn worker(class: &'static str, text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, class, text)
    }

    /// The upstream gave no response.
    pub(crate) fn upstream(error: FetchError) -> Self {
        match error {
            FetchError::TimedOut(text) => Self::new(StatusCode::GATEWAY_TIMEOUT, "upstream-timeout", text),
            FetchError::Aborted => Self::new(StatusCode::BAD_GATEWAY, "aborted", "the client went away"),
            error => Self::new(StatusCode::BAD_GATEWAY, "upstream", error.to_string()),
        }
    }

    /// The answer. What failed inside is for the log; the client learns the class.
    pub(crate) fn respond(self, method: &Method, record: &mut Record) -> http::Response<Body> {
        let text = if self.status.is_client_error() {
            format!("{}: {}\n", self.status, self.text)
        } else {
            format!("{}: {}\n", self.status, self.class)
        };
        record.error = Some(format!("{}: {}", self.class, self.text));
        let length = text.len();
        let body = if method == Method::HEAD { Body::empty() } else { Body::from(text) };
        let mut response = http::Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(ERROR_HEADER, HeaderValue::from_static(self.class));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::CONTENT_LENGTH, length.into());
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
