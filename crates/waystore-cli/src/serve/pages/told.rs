//! What the gateway says to a page, written: `docs/channel.md`, "What the gateway sends". Pure.

use serde::Serialize;
use serde_json::value::RawValue;
use waystore::prefetch::{Event, Prefetched};
use waystore_worker::{Mirror, MirrorWorker, SerializedValue};

/// A frame of the gateway that counts; its number comes from the outbox.
#[derive(Debug, Serialize)]
#[serde(tag = "frame", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(crate) enum Told<'a> {
    Message {
        from: Worker<'a>,
        data: &'a RawValue,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        ports: &'a [u64],
    },
    Port {
        port: u64,
        data: &'a RawValue,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        ports: &'a [u64],
    },
    ClosePort {
        port: u64,
    },
    Registration {
        registration: Option<Registration<'a>>,
    },
    Controller {
        version: Option<&'a str>,
    },
    Broadcast {
        name: &'a str,
        data: &'a RawValue,
    },
    Answer {
        id: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Failed<'a>>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        echo: bool,
    },
    Refused {
        of: u64,
        what: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
        kind: Option<&'a str>,
        reason: &'a str,
    },
    Progress {
        id: u64,
        event: &'a Event,
    },
    End {
        id: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        results: Option<&'a [Prefetched]>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Failed<'a>>,
    },
    Lost {
        messages: u64,
        steps: u64,
    },
}

/// A worker, as a page mirrors it.
#[derive(Debug, Serialize)]
pub(crate) struct Worker<'a> {
    version: &'a str,
    script: &'a str,
    state: &'static str,
}

/// A registration, as a page mirrors it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Registration<'a> {
    scope: &'a str,
    update_via_cache: &'static str,
    installing: Option<Worker<'a>>,
    waiting: Option<Worker<'a>>,
    active: Option<Worker<'a>>,
    controller: Option<&'a str>,
}

/// The error that a call of a page is rejected with.
#[derive(Debug, Serialize)]
pub(crate) struct Failed<'a> {
    pub(crate) name: &'static str,
    pub(crate) message: &'a str,
}

impl Told<'_> {
    /// The frame's text, without a number.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).expect("a frame has names for its members, and writing to memory cannot fail")
    }
}

impl<'a> Worker<'a> {
    pub(crate) fn new(worker: &'a MirrorWorker) -> Self {
        Self { version: &worker.version, script: worker.script_url.as_str(), state: worker.state.as_str() }
    }
}

impl<'a> Registration<'a> {
    /// `None`: there is none.
    pub(crate) fn new(mirror: &'a Mirror) -> Option<Self> {
        let (installing, waiting, active) = (&mirror.installing, &mirror.waiting, &mirror.active);
        if installing.is_none() && waiting.is_none() && active.is_none() {
            return None;
        }
        Some(Self {
            scope: mirror.scope.as_str(),
            update_via_cache: mirror.update_via_cache.as_str(),
            installing: installing.as_ref().map(Worker::new),
            waiting: waiting.as_ref().map(Worker::new),
            active: active.as_ref().map(Worker::new),
            controller: mirror.controller.as_deref(),
        })
    }
}

/// What the member of the same name holds.
pub(crate) fn registration(mirror: &Mirror) -> serde_json::Value {
    serde_json::to_value(Registration::new(mirror)).expect("its members have names, and writing to memory cannot fail")
}

/// A value as it stands in a frame; `None` where it is no JSON, which no script writes.
pub(crate) fn raw(data: &SerializedValue) -> Option<&RawValue> {
    serde_json::from_str(data.as_str()).ok()
}

/// What the gateway says first.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Welcome<'a> {
    pub(crate) frame: &'static str,
    pub(crate) version: u32,
    pub(crate) client: &'a str,
    pub(crate) key: &'a str,
    pub(crate) resumed: bool,
    pub(crate) received: u64,
    pub(crate) ping_ms: u64,
    pub(crate) grace_ms: u64,
    pub(crate) limits: Limits,
}

/// What a page may do at most.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Limits {
    pub(crate) message_bytes: usize,
    pub(crate) ports: usize,
    pub(crate) unacknowledged: usize,
}

impl Welcome<'_> {
    /// The frame's text.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).expect("a welcome has names for its members, and writing to memory cannot fail")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_written_as_it_is() {
        let data = SerializedValue::from_text(r#"["\ud800",[]]"#.to_owned()).unwrap();
        let told = Told::Port { port: 3, data: raw(&data).unwrap(), ports: &[] };
        assert_eq!(told.text(), r#"{"frame":"port","port":3,"data":["\ud800",[]]}"#);
    }

    #[test]
    fn members_that_say_nothing_are_left_out() {
        let told = Told::Refused { of: 4, what: "message", id: None, kind: Some("X"), reason: "no" };
        assert_eq!(told.text(), r#"{"frame":"refused","of":4,"what":"message","type":"X","reason":"no"}"#);
        let told = Told::Answer { id: 1, value: Some(true), error: None, echo: false };
        assert_eq!(told.text(), r#"{"frame":"answer","id":1,"value":true}"#);
        assert_eq!(Told::ClosePort { port: 2 }.text(), r#"{"frame":"close-port","port":2}"#);
        assert_eq!(Told::Registration { registration: None }.text(), r#"{"frame":"registration","registration":null}"#);
    }
}
