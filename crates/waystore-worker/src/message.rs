//! Messages between scripts that share nothing, and between a script and its host: values written
//! down as text, and ports that go with them.
//!
//! A [`MessagePort`] is one end of a channel: script has the other one, or somebody whom script gave
//! it to. Knows no engine: what a value means, only script knows; here it is text in the form of
//! `docs/messages.md`. Spec: <https://html.spec.whatwg.org/#channel-messaging>

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc};

/// Of one value, in bytes of text.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// Of what waits at one end of a channel, together.
const MOST_WAITING_BYTES: usize = 32 * 1024 * 1024;
/// Messages that wait at one end of a channel.
const MOST_WAITING: usize = 256;
/// Of what is read as JSON.
const MOST_LEVELS: usize = 128;
const MOST_ITEMS: usize = 1 << 20;

/// A value of script, as `structuredClone` would copy it, written down as text.
///
/// ```
/// use waystore_worker::SerializedValue;
///
/// let value = SerializedValue::from_json(&serde_json::json!({ "type": "PREFETCH", "urls": ["/a", "/b"] }));
/// assert_eq!(value.member("type"), Some("PREFETCH".into()));
/// assert_eq!(value.to_json(), Some(serde_json::json!({ "type": "PREFETCH", "urls": ["/a", "/b"] })));
/// let received = SerializedValue::from_text(value.as_str().to_owned())?;
/// assert_eq!(received, value);
/// # Ok::<(), waystore_worker::MessageError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SerializedValue(Arc<str>);

/// Why something cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The text is no value: it was not written by [`SerializedValue`] or by a script.
    #[error("the text is not a value that was written down")]
    NotAValue,
    /// Shorter messages can be sent.
    #[error("the message has {bytes} bytes, and may have {}", MOST_BYTES)]
    TooLong {
        /// Of its text.
        bytes: usize,
    },
    /// The other end is closed.
    #[error("nobody is at the other end of the channel")]
    Closed,
    /// The other end does not keep up; trying again later may work.
    #[error("the other end of the channel has too many messages waiting")]
    Full,
}

impl SerializedValue {
    /// The value that is this JSON.
    pub fn from_json(json: &Value) -> Self {
        let mut nodes = Vec::new();
        let root = written(json, &mut nodes);
        Self(json!([root, nodes]).to_string().into())
    }

    /// Takes over what [`as_str`](Self::as_str) gave, here or elsewhere. Only the outermost form is checked:
    /// where the rest is no value, the receiving script gets a `messageerror` event.
    ///
    /// # Errors
    ///
    /// [`MessageError::NotAValue`], [`MessageError::TooLong`] (over 16 MiB).
    pub fn from_text(text: String) -> Result<Self, MessageError> {
        let value = Self::of_script(text)?;
        let whole: Result<(serde::de::IgnoredAny, Vec<serde::de::IgnoredAny>), _> = serde_json::from_str(&value.0);
        if whole.is_ok() { Ok(value) } else { Err(MessageError::NotAValue) }
    }

    /// What a script of ours wrote down.
    pub(crate) fn of_script(text: String) -> Result<Self, MessageError> {
        if text.len() > MOST_BYTES {
            return Err(MessageError::TooLong { bytes: text.len() });
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value as JSON; `None` where it holds what JSON does not have (cycles, dates, bytes, `undefined`,
    /// ports, ...), is nested more than 128 levels deep, or has more than a million items.
    pub fn to_json(&self) -> Option<Value> {
        let (root, nodes) = self.parts()?;
        Reader { nodes: &nodes, left: MOST_ITEMS }.read(&root, 0)
    }

    /// A property of the value, where the value is an object and the property's value is JSON.
    pub fn member(&self, name: &str) -> Option<Value> {
        let (root, nodes) = self.parts()?;
        let entries = node(&root, &nodes).filter(|node| node["kind"] == "Object")?["entries"].as_array()?;
        let (_, item) = entries.iter().filter_map(pair).find(|(key, _)| key.as_str() == Some(name))?;
        Reader { nodes: &nodes, left: MOST_ITEMS }.read(item, 1)
    }

    fn parts(&self) -> Option<(Value, Vec<Value>)> {
        serde_json::from_str(&self.0).ok()
    }
}

impl fmt::Debug for SerializedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SerializedValue").field("bytes", &self.0.len()).finish()
    }
}

impl From<Value> for SerializedValue {
    fn from(json: Value) -> Self {
        Self::from_json(&json)
    }
}

fn written(json: &Value, nodes: &mut Vec<Value>) -> Value {
    let id = nodes.len();
    let node = match json {
        Value::Array(items) => {
            nodes.push(Value::Null);
            let entries: Vec<_> = items
                .iter()
                .enumerate()
                .map(|(index, item)| json!([index.to_string(), written(item, nodes)]))
                .collect();
            json!({ "kind": "Array", "length": items.len(), "entries": entries })
        }
        Value::Object(members) => {
            nodes.push(Value::Null);
            let entries: Vec<_> = members.iter().map(|(name, item)| json!([name, written(item, nodes)])).collect();
            json!({ "kind": "Object", "entries": entries })
        }
        plain => return plain.clone(),
    };
    nodes[id] = node;
    json!({ "is": "object", "id": id })
}

/// Reads values as JSON, no more of them than there may be: what is shared counts each time.
struct Reader<'a> {
    nodes: &'a [Value],
    left: usize,
}

impl Reader<'_> {
    fn read(&mut self, item: &Value, level: usize) -> Option<Value> {
        self.left = self.left.checked_sub(1)?;
        if !item.is_object() {
            return Some(item.clone());
        }
        // A cycle ends here too.
        if level > MOST_LEVELS {
            return None;
        }
        let node = node(item, self.nodes)?;
        let entries = node.get("entries")?.as_array()?;
        match node["kind"].as_str()? {
            "Array" if node["length"].as_u64()? == entries.len() as u64 => {
                let mut items = Vec::with_capacity(entries.len());
                for (index, entry) in entries.iter().enumerate() {
                    let (key, item) = pair(entry)?;
                    items.push(self.read(item, level + 1).filter(|_| key.as_str() == Some(&index.to_string()))?);
                }
                Some(Value::Array(items))
            }
            "Object" => {
                let mut members = serde_json::Map::new();
                for entry in entries {
                    let (key, item) = pair(entry)?;
                    members.insert(key.as_str()?.to_owned(), self.read(item, level + 1)?);
                }
                Some(Value::Object(members))
            }
            _ => None,
        }
    }
}

fn node<'a>(item: &Value, nodes: &'a [Value]) -> Option<&'a Value> {
    let id = item.get("id").filter(|_| item["is"] == "object")?.as_u64()?;
    nodes.get(usize::try_from(id).ok()?)
}

fn pair(entry: &Value) -> Option<(&Value, &Value)> {
    match entry.as_array()?.as_slice() {
        [key, item] => Some((key, item)),
        _ => None,
    }
}

/// What goes through a channel.
#[derive(Debug)]
pub struct PortMessage {
    /// What is said.
    pub data: SerializedValue,
    /// Ports that are given away with it: `event.ports`.
    pub ports: Vec<MessagePort>,
}

impl From<SerializedValue> for PortMessage {
    fn from(data: SerializedValue) -> Self {
        Self { data, ports: Vec::new() }
    }
}

impl From<Value> for PortMessage {
    fn from(json: Value) -> Self {
        SerializedValue::from(json).into()
    }
}

/// One end of a channel. Dropping it closes the channel: who has the other end gets what was sent before,
/// and then hears of it.
///
/// ```
/// use waystore_worker::MessagePort;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let (here, mut there) = MessagePort::channel();
/// here.post(serde_json::json!("hello").into())?;
/// drop(here);
/// let received = there.receive().await.expect("it was sent before the end");
/// assert_eq!(received.data.to_json(), Some("hello".into()));
/// assert!(there.receive().await.is_none());
/// # Ok::<(), waystore_worker::MessageError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MessagePort {
    to: mpsc::Sender<Waiting>,
    from: mpsc::Receiver<Waiting>,
    /// The room at the other end.
    room: Arc<Semaphore>,
    /// Counts this end as one of somebody's, as long as it is there.
    counted: Option<OwnedSemaphorePermit>,
}

/// A message that waits, and the room it takes.
#[derive(Debug)]
struct Waiting {
    message: PortMessage,
    _room: OwnedSemaphorePermit,
}

impl MessagePort {
    /// A channel: what is posted at one end is received at the other.
    pub fn channel() -> (Self, Self) {
        let ((to_one, from_other), (to_other, from_one)) = (mpsc::channel(MOST_WAITING), mpsc::channel(MOST_WAITING));
        let end = |to, from| Self { to, from, room: Arc::new(Semaphore::new(MOST_WAITING_BYTES)), counted: None };
        (end(to_one, from_one), end(to_other, from_other))
    }

    /// Counts this end, until it is closed, among those that there is room for in `all`; unless it was counted.
    pub(crate) fn count_on(&mut self, all: &Arc<Semaphore>) -> Result<(), TryAcquireError> {
        if self.counted.is_none() {
            self.counted = Some(Arc::clone(all).try_acquire_owned()?);
        }
        Ok(())
    }

    /// Sends a message, and waits for nothing.
    ///
    /// # Errors
    ///
    /// * [`MessageError::Closed`]: nobody will receive it.
    /// * [`MessageError::Full`]: 256 messages or 32 MiB wait at the other end.
    pub fn post(&self, message: PortMessage) -> Result<(), MessageError> {
        if self.is_closed() {
            return Err(MessageError::Closed);
        }
        let bytes = u32::try_from(message.data.0.len()).map_err(|_| MessageError::Full)?;
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes).map_err(|_| MessageError::Full)?;
        self.to.try_send(Waiting { message, _room: room }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => MessageError::Full,
            mpsc::error::TrySendError::Closed(_) => MessageError::Closed,
        })
    }

    /// The next message; `None` once the other end is closed and everything was received. Dropping the
    /// future loses nothing.
    pub async fn receive(&mut self) -> Option<PortMessage> {
        self.from.recv().await.map(|waiting| waiting.message)
    }

    /// As [`receive`](Self::receive), for whoever writes a future.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<PortMessage>> {
        self.from.poll_recv(cx).map(|waiting| waiting.map(|waiting| waiting.message))
    }

    /// Whether the other end is closed: then nothing can be sent, though messages may still wait here.
    pub fn is_closed(&self) -> bool {
        self.to.is_closed()
    }
}

/// The ports of a message on its way to a worker, for the first who takes them: who sends it may have to
/// try several isolates, of which one gets it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parcel(Arc<Mutex<Vec<MessagePort>>>);

impl Parcel {
    pub(crate) fn new(ports: Vec<MessagePort>) -> Self {
        Self(Arc::new(Mutex::new(ports)))
    }

    pub(crate) fn take(&self) -> Vec<MessagePort> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_comes_back_as_it_went() {
        for json in
            [json!(null), json!("x"), json!(1.5), json!([]), json!([1, [2, {}], "3"]), json!({ "a": { "b": [null] } })]
        {
            assert_eq!(SerializedValue::from_json(&json).to_json(), Some(json));
        }
    }

    #[test]
    fn what_json_does_not_have_is_not_json_and_its_members_still_are() {
        let text = r#"[{"is":"object","id":0},[
            {"kind":"Object","entries":[["type","X"],["self",{"is":"object","id":0}],["at",{"is":"object","id":1}]]},
            {"kind":"Date","time":7}]]"#;
        let value = SerializedValue::from_text(text.to_owned()).unwrap();
        assert_eq!(value.to_json(), None);
        assert_eq!(value.member("type"), Some("X".into()));
        assert_eq!((value.member("at"), value.member("self"), value.member("absent")), (None, None, None));
        let hole = r#"[{"is":"object","id":0},[{"kind":"Array","length":2,"entries":[["1",1]]}]]"#;
        assert_eq!(SerializedValue::from_text(hole.to_owned()).unwrap().to_json(), None);
    }

    #[test]
    fn what_is_shared_again_and_again_is_not_read_without_end() {
        let mut nodes: Vec<_> = (1..60)
            .map(|next| {
                json!({ "kind": "Array", "length": 2, "entries": [
                ["0", { "is": "object", "id": next }], ["1", { "is": "object", "id": next }]] })
            })
            .collect();
        nodes.push(json!({ "kind": "Array", "length": 0, "entries": [] }));
        let value = SerializedValue::from_text(json!([{ "is": "object", "id": 0 }, nodes]).to_string()).unwrap();
        assert_eq!(value.to_json(), None);
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for text in ["", "1", "[1]", "[1,2]", "{}", "[1,[]] x"] {
            assert_eq!(SerializedValue::from_text(text.to_owned()), Err(MessageError::NotAValue), "{text}");
        }
        let long = format!("[\"{}\",[]]", "x".repeat(MOST_BYTES));
        assert!(matches!(SerializedValue::from_text(long), Err(MessageError::TooLong { .. })));
        // A lone surrogate is no text, and still a value.
        assert!(SerializedValue::from_text(r#"["\ud800",[]]"#.to_owned()).is_ok());
    }

    #[tokio::test]
    async fn what_waits_is_bounded_in_number_and_in_bytes() {
        let (here, mut there) = MessagePort::channel();
        for number in 0..MOST_WAITING {
            here.post(json!(number).into()).unwrap();
        }
        assert_eq!(here.post(json!(0).into()), Err(MessageError::Full));
        assert_eq!(there.receive().await.unwrap().data.to_json(), Some(json!(0)));
        here.post(json!(0).into()).unwrap();
        let (here, _there) = MessagePort::channel();
        let long = || json!("x".repeat(MOST_BYTES - 100)).into();
        here.post(long()).unwrap();
        here.post(long()).unwrap();
        assert_eq!(here.post(long()), Err(MessageError::Full));
    }

    #[tokio::test]
    async fn a_port_is_sent_through_another_and_goes_with_what_waits_in_it() {
        let (one, two) = MessagePort::channel();
        let (here, mut there) = MessagePort::channel();
        one.post(json!("early").into()).unwrap();
        here.post(PortMessage { data: json!(null).into(), ports: vec![two] }).unwrap();
        let mut moved = there.receive().await.unwrap().ports.pop().unwrap();
        assert_eq!(moved.receive().await.unwrap().data.to_json(), Some(json!("early")));
        drop(there);
        assert_eq!(here.post(json!(1).into()), Err(MessageError::Closed));
        drop(one);
        assert!(moved.receive().await.is_none());
    }
}
