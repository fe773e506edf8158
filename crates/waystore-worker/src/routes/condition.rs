//! Conditions: verified once, then met or not by each request.
//!
//! Spec: <https://w3c.github.io/ServiceWorker/#dictdef-routercondition>

use http::Method;
use url::Url;
use waystore::{Destination, RequestHead, RequestMode};

use super::{
    pattern::UrlTest,
    rule::{Condition, Pattern},
};

/// A worker's rules have fewer conditions than this, those inside others included.
pub(crate) const MOST_CONDITIONS: usize = 1024;
/// How deep a condition may lie; the outermost is at level one.
pub(crate) const MOST_LEVELS: usize = 10;

/// A condition that was verified.
#[derive(Debug)]
pub(super) enum Test {
    /// Every one of these holds that is there.
    Every {
        url: Option<Box<UrlTest>>,
        method: Option<Method>,
        mode: Option<RequestMode>,
        destination: Option<Destination>,
        running: Option<bool>,
    },
    /// One of these is met.
    Any(Vec<Test>),
    /// This is not met.
    Not(Box<Test>),
}

/// How many conditions `condition` is, with those inside it; or that they lie too deep.
pub(super) fn count(condition: &Condition) -> Result<usize, String> {
    count_from(condition, 1)
}

fn count_from(condition: &Condition, level: usize) -> Result<usize, String> {
    if level > MOST_LEVELS {
        return Err(format!("a condition lies deeper than {MOST_LEVELS} levels"));
    }
    let inner = condition.or.iter().flatten().chain(condition.not.as_deref());
    inner.map(|inner| count_from(inner, level + 1)).sum::<Result<usize, _>>().map(|inner| inner + 1)
}

impl Test {
    /// Verifies `condition`, whose patterns are relative to `script`.
    pub(super) fn of(condition: &Condition, script: &Url) -> Result<Self, String> {
        let Condition { url_pattern, request_method, request_mode, request_destination, running_status, or, not } =
            condition;
        let plain = [request_method, request_mode, request_destination, running_status];
        let is_plain = url_pattern.is_some() || plain.iter().any(|member| member.is_some());
        match (or, not) {
            (None, None) if is_plain => Ok(Self::Every {
                url: url_pattern.as_ref().map(|pattern| url_test(pattern, script)).transpose()?,
                method: request_method.as_deref().map(method).transpose()?,
                mode: word("requestMode", request_mode.as_deref(), mode)?,
                destination: word("requestDestination", request_destination.as_deref(), Destination::from_word)?,
                running: word("runningStatus", running_status.as_deref(), running)?,
            }),
            (Some(any), None) if !is_plain => {
                any.iter().map(|condition| Self::of(condition, script)).collect::<Result<_, _>>().map(Self::Any)
            }
            (None, Some(inner)) if !is_plain => Self::of(inner, script).map(|test| Self::Not(Box::new(test))),
            (None, None) => Err("a condition of a route is empty".to_owned()),
            _ => Err("`or` and `not` stand alone in a condition".to_owned()),
        }
    }

    /// Whether `request` meets it.
    pub(super) fn is_met(&self, request: &RequestHead, is_running: &dyn Fn() -> bool) -> bool {
        match self {
            Self::Every { url, method, mode, destination, running } => {
                method.as_ref().is_none_or(|method| *method == request.method)
                    && mode.is_none_or(|mode| mode == request.mode)
                    && destination.is_none_or(|destination| destination == request.destination)
                    && url.as_ref().is_none_or(|test| test.is_met(&request.url))
                    && running.is_none_or(|running| running == is_running())
            }
            Self::Any(tests) => tests.iter().any(|test| test.is_met(request, is_running)),
            Self::Not(test) => !test.is_met(request, is_running),
        }
    }
}

/// The mode that scripts call `word`.
pub(crate) fn mode(word: &str) -> Option<RequestMode> {
    RequestMode::from_word(word).filter(|mode| *mode != RequestMode::WebSocket)
}

/// Whether a worker of which scripts say `word` runs.
pub(crate) fn running(word: &str) -> Option<bool> {
    match word {
        "running" => Some(true),
        "not-running" => Some(false),
        _ => None,
    }
}

fn url_test(pattern: &Pattern, script: &Url) -> Result<Box<UrlTest>, String> {
    UrlTest::of(pattern, script).map(Box::new)
}

fn word<T>(name: &str, given: Option<&str>, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, String> {
    let parsed = |word: &str| parse(word).ok_or_else(|| format!("`{word}` is not a value of `{name}`"));
    given.map(parsed).transpose()
}

/// Spec: <https://fetch.spec.whatwg.org/#concept-method-normalize>, and the methods that are forbidden.
fn method(given: &str) -> Result<Method, String> {
    const NORMALIZED: [&str; 6] = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"];
    const FORBIDDEN: [&str; 3] = ["CONNECT", "TRACE", "TRACK"];
    if FORBIDDEN.iter().any(|forbidden| given.eq_ignore_ascii_case(forbidden)) {
        return Err(format!("the method `{given}` is forbidden"));
    }
    let normalized = NORMALIZED.into_iter().find(|known| given.eq_ignore_ascii_case(known)).unwrap_or(given);
    Method::from_bytes(normalized.as_bytes()).map_err(|_| format!("`{given}` is not a method"))
}
