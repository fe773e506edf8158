//! What a page says, read: `docs/channel.md`, "What a page sends". Pure.
//!
//! Values of script stay text here; whether a frame may be sent, and when, is the session's business.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The longest URL of a page, in bytes.
pub(crate) const URL_BYTES: usize = 16 * 1024;
/// The longest name of a `BroadcastChannel`, in bytes.
pub(crate) const NAME_BYTES: usize = 1024;
/// The version of the protocol.
pub(crate) const VERSION: u32 = 1;

/// A page's first frame.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Hello {
    frame: String,
    version: u32,
    pub(crate) client: Option<String>,
    pub(crate) key: Option<String>,
    #[serde(default)]
    pub(crate) received: u64,
    pub(crate) url: String,
    #[serde(rename = "type", default)]
    pub(crate) kind: Kind,
    #[serde(default)]
    pub(crate) frame_type: FrameKind,
    #[serde(default)]
    pub(crate) visible: bool,
    #[serde(default)]
    pub(crate) focused: bool,
}

/// What a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    #[default]
    Window,
    Worker,
    SharedWorker,
}

/// Where its document is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FrameKind {
    #[default]
    TopLevel,
    Nested,
    Auxiliary,
    None,
}

impl Hello {
    /// # Errors
    ///
    /// It is not a `hello` of this version, in words.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let hello: Self = serde_json::from_str(text).map_err(|error| format!("not a `hello`: {error}"))?;
        if hello.frame != "hello" {
            return Err("the first frame is not a `hello`".to_owned());
        }
        if hello.version != VERSION {
            return Err(format!("version {} is not spoken here, but {VERSION}", hello.version));
        }
        if hello.url.len() > URL_BYTES {
            return Err(format!("a URL has at most {URL_BYTES} bytes"));
        }
        Ok(hello)
    }
}

/// Whose the frames are that follow in the body of a request.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct From {
    frame: String,
    pub(crate) client: String,
    pub(crate) key: String,
}

impl From {
    /// # Errors
    ///
    /// It is not a `from`, in words.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let from: Self = serde_json::from_str(text).map_err(|error| format!("not a `from`: {error}"))?;
        if from.frame == "from" { Ok(from) } else { Err("the first line is not a `from`".to_owned()) }
    }
}

/// A frame of a page.
#[derive(Debug)]
pub(crate) struct Said<'a> {
    /// `None`: it does not count.
    pub(crate) n: Option<u64>,
    pub(crate) name: Cow<'a, str>,
    pub(crate) frame: Frame<'a>,
}

/// What it says.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    Message {
        to: To,
        data: &'a RawValue,
        ports: Vec<u64>,
    },
    Port {
        port: u64,
        data: &'a RawValue,
        ports: Vec<u64>,
    },
    ClosePort(u64),
    Client {
        url: Option<String>,
        visible: Option<bool>,
        focused: Option<bool>,
    },
    Join(String),
    Leave(String),
    Broadcast {
        name: String,
        data: &'a RawValue,
    },
    Request {
        id: u64,
        ask: Ask,
    },
    Prefetch {
        id: u64,
        plan: &'a RawValue,
    },
    Abort {
        id: u64,
    },
    Ack {
        upto: u64,
    },
    Pong,
    Bye,
    /// Of a later version of the protocol.
    Unknown,
}

/// Which worker a message is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum To {
    Version(String),
    Slot(Slot),
}

/// A place in the registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Slot {
    Installing,
    Waiting,
    Active,
}

/// What a page asks of its registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ask {
    Update,
    Unregister,
}

impl<'a> Said<'a> {
    /// # Errors
    ///
    /// The frame is none, or lacks a member of its kind, in words.
    pub(crate) fn read(text: &'a str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(borrow)]
            frame: Cow<'a, str>,
            n: Option<u64>,
        }
        let head: Head<'_> = serde_json::from_str(text).map_err(|error| format!("not a frame: {error}"))?;
        let name = head.frame;
        let frame = body(&name, text).map_err(|error| format!("not a `{}`: {error}", shown(&name)))?;
        let counts = !matches!(frame, Frame::Ack { .. } | Frame::Pong | Frame::Unknown);
        if counts && head.n.is_none() {
            return Err(format!("a `{}` without a number", shown(&name)));
        }
        let n = head.n.filter(|_| counts || matches!(frame, Frame::Unknown));
        Ok(Self { n, name, frame })
    }
}

fn shown(name: &str) -> &str {
    &name[..name.floor_char_boundary(32)]
}

fn body<'a>(name: &str, text: &'a str) -> Result<Frame<'a>, String> {
    Ok(match name {
        "message" => message(text)?,
        "port" => {
            #[derive(Deserialize)]
            struct Port<'a> {
                port: u64,
                #[serde(borrow)]
                data: &'a RawValue,
                #[serde(default)]
                ports: Vec<u64>,
            }
            let Port { port, data, ports } = members(text)?;
            Frame::Port { port, data, ports }
        }
        "close-port" => {
            #[derive(Deserialize)]
            struct ClosePort {
                port: u64,
            }
            Frame::ClosePort(members::<ClosePort>(text)?.port)
        }
        "client" => client(text)?,
        "join" => Frame::Join(channel(text)?),
        "leave" => Frame::Leave(channel(text)?),
        "broadcast" => {
            #[derive(Deserialize)]
            struct Broadcast<'a> {
                #[serde(borrow)]
                data: &'a RawValue,
            }
            Frame::Broadcast { name: channel(text)?, data: members::<Broadcast<'_>>(text)?.data }
        }
        "request" => {
            #[derive(Deserialize)]
            struct Request {
                id: u64,
                ask: Ask,
            }
            let Request { id, ask } = members(text)?;
            Frame::Request { id, ask }
        }
        "prefetch" => {
            #[derive(Deserialize)]
            struct Prefetch<'a> {
                id: u64,
                #[serde(borrow)]
                plan: &'a RawValue,
            }
            let Prefetch { id, plan } = members(text)?;
            Frame::Prefetch { id, plan }
        }
        "abort" => {
            #[derive(Deserialize)]
            struct Abort {
                id: u64,
            }
            Frame::Abort { id: members::<Abort>(text)?.id }
        }
        "ack" => {
            #[derive(Deserialize)]
            struct Ack {
                upto: u64,
            }
            Frame::Ack { upto: members::<Ack>(text)?.upto }
        }
        "pong" => Frame::Pong,
        "bye" => Frame::Bye,
        _ => Frame::Unknown,
    })
}

fn members<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn message(text: &str) -> Result<Frame<'_>, String> {
    #[derive(Deserialize)]
    struct Message<'a> {
        version: Option<String>,
        slot: Option<Slot>,
        #[serde(borrow)]
        data: &'a RawValue,
        #[serde(default)]
        ports: Vec<u64>,
    }
    let Message { version, slot, data, ports } = members(text)?;
    let to = match (version, slot) {
        (Some(version), None) => To::Version(version),
        (None, Some(slot)) => To::Slot(slot),
        _ => return Err("it is for a `version` or for a `slot`".to_owned()),
    };
    Ok(Frame::Message { to, data, ports })
}

fn client(text: &str) -> Result<Frame<'_>, String> {
    #[derive(Deserialize)]
    struct Client {
        url: Option<String>,
        visible: Option<bool>,
        focused: Option<bool>,
    }
    let Client { url, visible, focused } = members(text)?;
    if url.as_ref().is_some_and(|url| url.len() > URL_BYTES) {
        return Err(format!("a URL has at most {URL_BYTES} bytes"));
    }
    Ok(Frame::Client { url, visible, focused })
}

fn channel(text: &str) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Channel {
        name: String,
    }
    let name = members::<Channel>(text)?.name;
    if name.len() > NAME_BYTES { Err(format!("a name has at most {NAME_BYTES} bytes")) } else { Ok(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        Said::read(text).unwrap_err()
    }

    #[test]
    fn a_value_stays_as_it_was_written() {
        let text = r#"{"frame":"message","n":3,"slot":"waiting","data":[ "\ud800", [] ],"ports":[1,3]}"#;
        let Said { n, frame: Frame::Message { to, data, ports }, .. } = Said::read(text).unwrap() else { panic!() };
        assert_eq!((n, to, ports), (Some(3), To::Slot(Slot::Waiting), vec![1, 3]));
        assert_eq!(data.get(), r#"[ "\ud800", [] ]"#);
    }

    #[test]
    fn a_frame_that_counts_has_a_number() {
        assert!(wrong(r#"{"frame":"bye"}"#).contains("without a number"));
        assert_eq!(Said::read(r#"{"frame":"pong"}"#).unwrap().n, None);
        assert_eq!(Said::read(r#"{"frame":"ack","upto":4,"n":9}"#).unwrap().n, None);
    }

    #[test]
    fn what_is_not_known_counts_and_is_passed_over() {
        let said = Said::read(r#"{"frame":"sing","n":2,"song":[{}]}"#).unwrap();
        assert!(matches!(said.frame, Frame::Unknown) && said.n == Some(2));
        assert!(Said::read(r#"{"frame":"pong","more":1}"#).is_ok());
    }

    #[test]
    fn what_lacks_a_member_is_no_frame() {
        for text in [
            "",
            "[]",
            "{}",
            "nonsense",
            r#"{"frame":1}"#,
            r#"{"frame":"message","n":1,"data":[1,[]]}"#,
            r#"{"frame":"message","n":1,"version":"v","slot":"active","data":[1,[]]}"#,
            r#"{"frame":"message","n":1,"slot":"first","data":[1,[]]}"#,
            r#"{"frame":"message","n":-1,"slot":"active","data":[1,[]]}"#,
            r#"{"frame":"port","n":1,"data":[1,[]]}"#,
            r#"{"frame":"request","n":1,"id":1,"ask":"delete"}"#,
            r#"{"frame":"ack"}"#,
        ] {
            assert!(!wrong(text).is_empty(), "{text}");
        }
        let long = "x".repeat(NAME_BYTES + 1);
        assert!(wrong(&format!(r#"{{"frame":"join","n":1,"name":"{long}"}}"#)).contains("1024"));
    }

    #[test]
    fn deep_nesting_costs_no_stack() {
        let deep = format!(r#"{{"frame":"sing","n":1,"x":{}{}}}"#, "[".repeat(500_000), "]".repeat(500_000));
        assert!(Said::read(&deep).is_ok());
    }

    #[test]
    fn the_first_frame_is_a_hello_of_this_version() {
        let hello = Hello::read(r#"{"frame":"hello","version":1,"url":"https://a.test/"}"#).unwrap();
        assert_eq!((hello.kind, hello.frame_type, hello.received), (Kind::Window, FrameKind::TopLevel, 0));
        assert!(
            Hello::read(r#"{"frame":"hello","version":2,"url":"https://a.test/"}"#).unwrap_err().contains("version 2")
        );
        assert!(Hello::read(r#"{"frame":"bye","version":1,"url":"https://a.test/"}"#).is_err());
        assert!(From::read(r#"{"frame":"from","client":"c","key":"k"}"#).is_ok());
    }
}
