//! One page's conversation with the gateway: frames in, what to do out. Pure: times are given, and what
//! carries the frames is not known here.
//!
//! Keeps the rules of `docs/channel.md`: who may say what and how much, numbers of frames and of ports,
//! when to acknowledge, to ping, and to give up. Touches no worker.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use serde_json::value::RawValue;
use waystore_worker::SerializedValue;

use super::{
    allowed::{self, Allowed, Call},
    budget::Bucket,
    closing::Closing,
    frames::{Ask, Frame, Said, To},
    sequence::{Inbox, Memory, Outbox, Turn},
    times::Times,
    told::Told,
};

/// Ports of one page that are open at a time.
pub(crate) const MOST_PORTS: usize = 64;
/// Messages and requests of one page that are not finished.
const MOST_UNDER_WAY: usize = 32;
/// A message's type is repeated to the page up to this length.
const MOST_SHOWN: usize = 64;
/// Refusals in a second, ten seconds' worth at once: who goes on all the same is closed.
const REFUSALS: u64 = 10;
/// Frames that a page may send for each that costs somebody something.
const FRAMES_FOR_ONE: u64 = 10;

/// What holds for every page.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) allowed: Allowed,
    /// Of one frame.
    pub(crate) frame_bytes: usize,
    /// Messages of a page in a second.
    pub(crate) messages: u64,
    /// Their bytes in a second.
    pub(crate) bytes: u64,
    pub(crate) times: Times,
}

/// What is to be done for a page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A `message` event for a worker; to be [finished](Session::finished).
    Post { of: u64, to: To, data: SerializedValue, ports: Vec<u64> },
    /// A message through an open port.
    PostToPort { of: u64, port: u64, data: SerializedValue, ports: Vec<u64> },
    /// A port is closed by the page.
    ClosePort(u64),
    /// The page has changed.
    Change { url: Option<String>, visible: Option<bool>, focused: Option<bool> },
    /// The page has a `BroadcastChannel` of this name.
    Join { of: u64, name: String },
    /// It has none any more.
    Leave { name: String },
    /// To the worker's `BroadcastChannel`s.
    Broadcast { name: String, data: SerializedValue },
    /// To be [answered](Session::tell) and then [finished](Session::finished).
    Ask { id: u64, ask: Ask },
    /// A plan to fetch ahead.
    Prefetch { of: u64, id: u64, plan: String },
    /// The end of a plan.
    Abort { id: u64 },
}

/// A page's side of the conversation, connected or not.
#[derive(Debug)]
pub(crate) struct Session {
    rules: Arc<Rules>,
    inbox: Inbox,
    outbox: Outbox,
    link: Option<Link>,
    frames: Bucket,
    messages: Bucket,
    bytes: Bucket,
    refusals: Bucket,
    ports: Ports,
    under_way: usize,
}

/// A connection.
#[derive(Debug)]
struct Link {
    heard_ms: u64,
    pinged_ms: u64,
}

/// The numbers of ports.
#[derive(Debug, Default)]
struct Ports {
    open: BTreeSet<u64>,
    last_of_page: u64,
    last_of_gateway: u64,
}

/// Why a frame is not carried out.
enum Stop {
    Refuse(Refusal),
    Close(Closing),
}

struct Refusal {
    /// The message's type.
    kind: Option<String>,
    reason: String,
}

impl From<Closing> for Stop {
    fn from(closing: Closing) -> Self {
        Self::Close(closing)
    }
}

impl Session {
    pub(crate) fn new(rules: Arc<Rules>, memory: Memory, now_ms: u64) -> Self {
        Self {
            inbox: Inbox::default(),
            outbox: Outbox::new(memory),
            link: None,
            frames: Bucket::new(rules.messages.saturating_mul(FRAMES_FOR_ONE), 0, now_ms),
            messages: Bucket::new(rules.messages, 0, now_ms),
            bytes: Bucket::new(rules.bytes, rules.frame_bytes as u64, now_ms),
            refusals: Bucket::new(REFUSALS, 0, now_ms),
            ports: Ports::default(),
            under_way: 0,
            rules,
        }
    }

    /// A connection begins, whose page has received frames up to this number. Gives the number up to
    /// which the gateway has received frames.
    ///
    /// # Errors
    ///
    /// The page cannot have received that.
    pub(crate) fn attach(&mut self, received: u64, now_ms: u64) -> Result<u64, Closing> {
        self.outbox.resume(received).map_err(|_| Closing::wrong("`received` is a frame that was not sent"))?;
        self.link = Some(Link { heard_ms: now_ms, pinged_ms: now_ms });
        Ok(self.inbox.acknowledge())
    }

    /// The connection is gone.
    pub(crate) fn detach(&mut self) {
        self.link = None;
    }

    /// Takes what the page says.
    ///
    /// # Errors
    ///
    /// The end of the connection.
    pub(crate) fn hear(&mut self, text: &str, now_ms: u64) -> Result<Option<Action>, Closing> {
        if text.len() > self.rules.frame_bytes {
            return Err(Closing::too_long(self.rules.frame_bytes));
        }
        let said = Said::read(text).map_err(Closing::wrong)?;
        // What acknowledges something is no more than what it acknowledges.
        let arrived = if let Frame::Ack { upto } = said.frame { self.acknowledged(upto)? } else { 0 };
        if arrived == 0 && !self.frames.spend(1, now_ms) {
            return Err(Closing::too_much());
        }
        if let Some(link) = &mut self.link {
            link.heard_ms = now_ms;
        }
        match said.n.map(|n| self.inbox.take(n, now_ms)) {
            None | Some(Turn::Next) => {}
            Some(Turn::Again) => return Ok(None),
            Some(Turn::Gap) => {
                return Err(Closing::wrong(format!("the frame after number {} is missing", self.inbox.received())));
            }
        }
        let (id, of) = (id(&said.frame), said.n.unwrap_or_default());
        let name = said.name;
        match self.carry_out(said.frame, of, text.len(), now_ms) {
            Ok(action) => Ok(action),
            Err(Stop::Close(closing)) => Err(closing),
            Err(Stop::Refuse(refusal)) => self.refused(of, &name, id, &refusal, now_ms).map(|()| None),
        }
    }

    /// Whether the page is to be told what could as well wait elsewhere.
    pub(crate) fn has_room(&self) -> bool {
        self.outbox.has_room()
    }

    /// Has the page told something.
    ///
    /// # Errors
    ///
    /// The end of the connection: there is no room at all.
    pub(crate) fn tell(&mut self, told: &Told<'_>) -> Result<(), Closing> {
        self.outbox.push(&told.text()).map_err(|_| Closing::unread())
    }

    /// Has the page told something that it can do without, if there is room.
    pub(crate) fn mention(&mut self, frame: &str) {
        if self.outbox.has_room() {
            // There is room, as was just seen.
            let _ = self.outbox.push(frame);
        }
    }

    /// Tells the page that its frame was not carried out after all.
    ///
    /// # Errors
    ///
    /// The end of the connection: there was too much of that.
    pub(crate) fn refuse(
        &mut self,
        of: u64,
        what: &str,
        id: Option<u64>,
        reason: String,
        now_ms: u64,
    ) -> Result<(), Closing> {
        self.refused(of, what, id, &Refusal { kind: None, reason }, now_ms)
    }

    /// A message or a request is finished.
    pub(crate) fn finished(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// Numbers the ports that go to the page. Those beyond what may be open get a number too, and are not
    /// [open](Self::is_open).
    pub(crate) fn number_ports(&mut self, count: usize) -> Vec<u64> {
        let numbers: Vec<u64> = (1..=count as u64).map(|place| self.ports.last_of_gateway + 2 * place).collect();
        self.ports.last_of_gateway = numbers.last().copied().unwrap_or(self.ports.last_of_gateway);
        for number in &numbers {
            if self.ports.open.len() < MOST_PORTS {
                self.ports.open.insert(*number);
            }
        }
        numbers
    }

    /// Whether a port is open.
    pub(crate) fn is_open(&self, port: u64) -> bool {
        self.ports.open.contains(&port)
    }

    /// A port that the page sent is closed after all.
    pub(crate) fn forget_port(&mut self, port: u64) {
        self.ports.open.remove(&port);
    }

    /// A port's other end was closed: has the page told.
    ///
    /// # Errors
    ///
    /// As [`tell`](Self::tell).
    pub(crate) fn close_port(&mut self, port: u64) -> Result<(), Closing> {
        self.ports.open.remove(&port);
        self.tell(&Told::ClosePort { port })
    }

    /// The next frame for the connection, if there is one.
    pub(crate) fn next(&mut self, now_ms: u64) -> Option<Bytes> {
        let link = self.link.as_mut()?;
        if self.inbox.ack_due_ms().is_some_and(|due| due <= now_ms) {
            let upto = self.inbox.acknowledge();
            return Some(format!(r#"{{"frame":"ack","upto":{upto}}}"#).into());
        }
        if link.pinged_ms + self.rules.times.ping_ms <= now_ms {
            link.pinged_ms = now_ms;
            return Some(Bytes::from_static(br#"{"frame":"ping"}"#));
        }
        self.outbox.send(now_ms)
    }

    /// Looks whether the connection still is one.
    ///
    /// # Errors
    ///
    /// The end of the connection.
    pub(crate) fn check(&self, now_ms: u64) -> Result<(), Closing> {
        let Some(link) = &self.link else { return Ok(()) };
        let Times { silence_ms, unread_ms, .. } = self.rules.times;
        if link.heard_ms + silence_ms <= now_ms {
            return Err(Closing::silent("nothing was heard for two pings"));
        }
        match self.outbox.unread_since_ms() {
            Some(since) if since + unread_ms <= now_ms => Err(Closing::unread()),
            _ => Ok(()),
        }
    }

    /// When to [check](Self::check) and ask for the [next](Self::next) frame again, should nothing else
    /// happen; `None` while there is no connection. Where a frame is `held` that the connection does not take,
    /// no other is asked for, however long it is due.
    pub(crate) fn due_ms(&self, held: bool) -> Option<u64> {
        let link = self.link.as_ref()?;
        let Times { ping_ms, silence_ms, unread_ms, .. } = self.rules.times;
        let unread = self.outbox.unread_since_ms().map(|since| since + unread_ms);
        let ends = [Some(link.heard_ms + silence_ms), unread];
        let frames = [Some(link.pinged_ms + ping_ms), self.inbox.ack_due_ms()];
        ends.into_iter().chain(frames.into_iter().filter(|_| !held)).flatten().min()
    }

    fn carry_out(&mut self, frame: Frame<'_>, of: u64, bytes: usize, now_ms: u64) -> Result<Option<Action>, Stop> {
        Ok(Some(match frame {
            Frame::Unknown | Frame::Pong | Frame::Ack { .. } => return Ok(None),
            Frame::Bye => return Err(Closing::goodbye().into()),
            Frame::ClosePort(port) => return Ok(self.ports.open.remove(&port).then_some(Action::ClosePort(port))),
            Frame::Join(name) => Action::Join { of, name },
            Frame::Leave(name) => Action::Leave { name },
            Frame::Client { url, visible, focused } => Action::Change { url, visible, focused },
            Frame::Abort { id } => Action::Abort { id },
            Frame::Message { to, data, ports } => {
                self.ports.adopt(&ports)?;
                self.spend(bytes, now_ms)?;
                self.permit(data)?;
                let data = value(data)?;
                self.begin()?;
                self.ports.open.extend(&ports);
                Action::Post { of, to, data, ports }
            }
            Frame::Port { port, data, ports } => {
                self.ports.adopt(&ports)?;
                self.spend(bytes, now_ms)?;
                let data = value(data)?;
                if !self.is_open(port) {
                    // It was closed meanwhile.
                    return Ok(None);
                }
                self.ports.open.extend(&ports);
                Action::PostToPort { of, port, data, ports }
            }
            Frame::Broadcast { name, data } => {
                self.spend(bytes, now_ms)?;
                self.permit(data)?;
                Action::Broadcast { name, data: value(data)? }
            }
            Frame::Request { id, ask } => {
                self.spend(bytes, now_ms)?;
                let call = if ask == Ask::Update { Call::Update } else { Call::Unregister };
                if !self.rules.allowed.call(call) {
                    let value = (ask == Ask::Unregister).then_some(true);
                    self.tell(&Told::Answer { id, value, error: None, echo: true })?;
                    return Ok(None);
                }
                self.begin()?;
                Action::Ask { id, ask }
            }
            Frame::Prefetch { id, plan } => {
                self.spend(bytes, now_ms)?;
                if !self.rules.allowed.call(Call::Prefetch) {
                    let name = Call::Prefetch.name();
                    return Err(refusal(format!("`{name}` is not in `messages` of this gateway's configuration")));
                }
                Action::Prefetch { of, id, plan: plan.get().to_owned() }
            }
        }))
    }

    fn acknowledged(&mut self, upto: u64) -> Result<usize, Closing> {
        self.outbox.acknowledged(upto).map_err(|_| Closing::wrong("`upto` is a frame that was not sent"))
    }

    fn spend(&mut self, bytes: usize, now_ms: u64) -> Result<(), Stop> {
        if !self.messages.spend(1, now_ms) {
            return Err(refusal(format!("more than {} messages a second", self.rules.messages)));
        }
        if !self.bytes.spend(bytes as u64, now_ms) {
            return Err(refusal(format!("more than {} bytes a second", self.rules.bytes)));
        }
        Ok(())
    }

    fn permit(&self, data: &RawValue) -> Result<(), Stop> {
        self.rules.allowed.message(data).map_err(|kind| {
            let reason = allowed::reason(kind.as_deref());
            Stop::Refuse(Refusal { kind: kind.filter(|kind| kind.len() <= MOST_SHOWN), reason })
        })
    }

    fn begin(&mut self) -> Result<(), Stop> {
        if self.under_way >= MOST_UNDER_WAY {
            return Err(refusal(format!(
                "{MOST_UNDER_WAY} messages of this page are not finished: the worker is busy"
            )));
        }
        self.under_way += 1;
        Ok(())
    }

    fn refused(&mut self, of: u64, what: &str, id: Option<u64>, refusal: &Refusal, now_ms: u64) -> Result<(), Closing> {
        if !self.refusals.spend(1, now_ms) {
            return Err(Closing::too_much());
        }
        let Refusal { kind, reason } = refusal;
        let told = Told::Refused { of, what, id, kind: kind.as_deref(), reason };
        // Who waits for an answer has to hear of it.
        if id.is_some() {
            return self.tell(&told);
        }
        self.mention(&told.text());
        Ok(())
    }
}

impl Ports {
    /// Takes note of the ports that a page sends; they are not open yet.
    fn adopt(&mut self, ports: &[u64]) -> Result<(), Stop> {
        for port in ports {
            if port % 2 == 0 || *port <= self.last_of_page {
                return Err(Closing::wrong("a new port has an odd number, higher than the one before").into());
            }
            self.last_of_page = *port;
        }
        if self.open.len() + ports.len() > MOST_PORTS {
            return Err(refusal(format!("{MOST_PORTS} ports of a page are open at most")));
        }
        Ok(())
    }
}

fn refusal(reason: String) -> Stop {
    Stop::Refuse(Refusal { kind: None, reason })
}

fn value(data: &RawValue) -> Result<SerializedValue, Stop> {
    SerializedValue::from_text(data.get().to_owned()).map_err(|error| refusal(error.to_string()))
}

fn id(frame: &Frame<'_>) -> Option<u64> {
    match frame {
        Frame::Request { id, .. } | Frame::Prefetch { id, .. } => Some(*id),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
