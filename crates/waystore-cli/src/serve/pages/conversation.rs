//! Carries out one page's conversation: between its connection, while it has one, and the worker.
//!
//! One task for each page. Decides nothing that the [session](super::session) decides; lasts as long as
//! the client does, which is the grace time longer than its last connection.

use std::{future::pending, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use waystore::prefetch::Event;
use waystore_worker::{Addressee, ClientChange, MessagePort, Page, PortMessage, Site, SiteError, ToPage};

use super::{
    ahead::{Ahead, NotBegun},
    closing::Closing,
    frames::{Ask, Slot, To, VERSION},
    origin::{Place, elsewhere},
    ports::PagePorts,
    sequence::MOST_FRAMES,
    session::{Action, MOST_PORTS, Rules, Session},
    times::Times,
    told::{Failed, Limits, Registration, Told, Welcome, Worker, raw},
    wire::{Arrived, Attach, Batch, Out, Wire, give, said},
};
use crate::prefetching::{self, Answers, Taken};

/// A client, for its time.
pub(crate) struct Conversation {
    pub(crate) ahead: Ahead,
    pub(crate) answers: Answers,
    pub(crate) page: Arc<Page>,
    pub(crate) site: Arc<Site>,
    pub(crate) session: Session,
    pub(crate) rules: Arc<Rules>,
    pub(crate) key: String,
    /// The origin of the page, and the one that the worker knows it by.
    pub(crate) place: Place,
    pub(crate) attaches: mpsc::Receiver<Attach>,
    pub(crate) batches: mpsc::Receiver<Batch>,
    pub(crate) stop: CancellationToken,
    /// When time began, for the session.
    pub(crate) began: Instant,
}

/// What came of something that takes time.
enum Done {
    Posted { of: u64, outcome: Result<(), SiteError> },
    Updated { id: u64, outcome: Result<(), SiteError> },
    Unregistered { id: u64, was: bool },
}

/// What the task goes on with.
enum Step {
    Attach(Attach),
    Batch(Batch),
    Said(Arrived),
    Gone,
    Sent,
    Told(ToPage),
    Closed,
    Through(u64, Option<PortMessage>),
    Done(Done),
    Ahead(u64, prefetching::Told),
    Time,
    Expired,
    Stop,
}

/// What changes while it goes on.
struct Running {
    of: Conversation,
    wire: Option<Wire>,
    /// Until when the client waits for a connection.
    until: Instant,
    ports: PagePorts,
    under_way: UnderWay,
    /// The frame that the connection takes next.
    next: Option<Bytes>,
}

/// What a page asked for that is not finished.
#[derive(Default)]
pub(crate) struct UnderWay(FuturesUnordered<BoxFuture<'static, Done>>);

impl UnderWay {
    /// Finishes all of it, though nobody is told how it went.
    pub(crate) async fn finish(mut self) {
        while self.0.next().await.is_some() {}
    }
}

impl Conversation {
    /// Goes on until the client is gone. What it asked for last is still to be finished then: a page that goes has
    /// said what it said.
    pub(crate) async fn run(self) -> UnderWay {
        let mut running = Running {
            until: Instant::now() + self.rules.times.grace,
            of: self,
            wire: None,
            ports: PagePorts::default(),
            under_way: UnderWay::default(),
            next: None,
        };
        while running.go_on().await {}
        running.under_way
    }
}

impl Running {
    /// The next step; whether there is another one after it.
    async fn go_on(&mut self) -> bool {
        let now_ms = self.now_ms();
        if let Err(closing) = self.of.session.check(now_ms) {
            return self.close(&closing);
        }
        if self.next.is_none() {
            self.next = self.of.session.next(now_ms);
        }
        let done = match self.step().await {
            Step::Attach(attach) => self.attach(attach),
            Step::Batch(batch) => self.take(batch),
            Step::Said(arrived) => self.hear(&arrived.text),
            Step::Gone => {
                self.detach();
                Ok(())
            }
            Step::Told(told) => self.tell(told),
            Step::Through(port, message) => self.through(port, message),
            Step::Done(done) => self.finish(done),
            Step::Ahead(id, told) => self.tell_ahead(id, told),
            Step::Sent | Step::Time => Ok(()),
            Step::Expired => return false,
            Step::Closed | Step::Stop => Err(Closing::stopping()),
        };
        done.map_or_else(|closing| self.close(&closing), |()| true)
    }

    /// Waits for whatever comes first. What is said comes before what is told, and both before what can wait.
    async fn step(&mut self) -> Step {
        let has_room = self.of.session.has_room();
        let due = self.of.session.due_ms(self.next.is_some()).map(|due| self.of.began + Duration::from_millis(due));
        let Self { of, wire, ports, under_way, next, until } = self;
        let connected = wire.is_some();
        let (frames, out) = match wire {
            Some(Wire { frames, out, .. }) => (frames.as_mut(), Some(out)),
            None => (None, None),
        };
        tokio::select! {
            biased;
            () = of.stop.cancelled() => Step::Stop,
            Some(attach) = of.attaches.recv() => Step::Attach(attach),
            said = said(frames) => said.map_or(Step::Gone, Step::Said),
            Some(batch) = of.batches.recv() => Step::Batch(batch),
            going = give(out, next) => if going { Step::Sent } else { Step::Gone },
            Some(done) = under_way.0.next() => Step::Done(done),
            told = of.page.receive(), if has_room => told.map_or(Step::Closed, Step::Told),
            (port, message) = ports.receive(), if has_room => Step::Through(port, message),
            (id, told) = of.ahead.next(), if has_room => Step::Ahead(id, told),
            () = until_due(due) => Step::Time,
            () = tokio::time::sleep_until(*until), if !connected => Step::Expired,
        }
    }

    fn attach(&mut self, attach: Attach) -> Result<(), Closing> {
        let Attach { wire, received, resumed } = attach;
        self.end_wire(&Closing::taken_over());
        let now_ms = self.now_ms();
        self.wire = Some(wire);
        let received = self.of.session.attach(received, now_ms)?;
        let Times { ping_ms, grace, .. } = self.of.rules.times;
        let limits =
            Limits { message_bytes: self.of.rules.frame_bytes, ports: MOST_PORTS, unacknowledged: MOST_FRAMES };
        let welcome = Welcome {
            frame: "welcome",
            version: VERSION,
            client: self.of.page.id(),
            key: &self.of.key,
            resumed,
            received,
            ping_ms,
            grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
            limits,
        };
        self.next = Some(welcome.text().into());
        Ok(())
    }

    fn take(&mut self, batch: Batch) -> Result<(), Closing> {
        let heard = batch.lines.lines().filter(|line| !line.is_empty()).try_for_each(|line| self.hear(line));
        // Who asked may have gone; what was said counts all the same.
        let _ = batch.done.send(heard.clone());
        heard
    }

    fn hear(&mut self, text: &str) -> Result<(), Closing> {
        let now_ms = self.now_ms();
        let Some(action) = self.of.session.hear(text, now_ms)? else { return Ok(()) };
        match action {
            Action::Post { of, to, data, ports } => {
                let ports = self.ports.open(&ports);
                let message = match self.of.answers.take(PortMessage { data, ports }, self.of.ahead.asker()) {
                    Taken::Not(message) => message,
                    Taken::Answered => return self.finish(Done::Posted { of, outcome: Ok(()) }),
                    Taken::Refused(reason) => {
                        self.of.session.finished();
                        return self.of.session.refuse(of, "message", None, reason, now_ms);
                    }
                };
                let (page, to) = (Arc::clone(&self.of.page), addressee(to));
                let posted = async move { page.message(&to, message).await };
                self.under_way.0.push(posted.map(move |outcome| Done::Posted { of, outcome }).boxed());
            }
            Action::PostToPort { of, port, data, ports } => return self.post_to_port(of, port, data, &ports),
            Action::ClosePort(port) => self.ports.remove(port),
            Action::Change { url, visible, focused } => {
                let url = url.map(|url| self.of.place.public(&url).ok_or_else(elsewhere)).transpose()?;
                self.of.page.update(ClientChange { url, visible, focused });
            }
            Action::Join { of, name } => {
                if !self.of.page.join(&name) {
                    let reason = "a page joins no more names than that".to_owned();
                    return self.of.session.refuse(of, "join", None, reason, now_ms);
                }
            }
            Action::Leave { name } => self.of.page.leave(&name),
            Action::Broadcast { name, data } => self.of.page.broadcast(&name, data),
            Action::Ask { id, ask } => self.ask(id, ask),
            Action::Prefetch { of, id, plan } => match self.of.ahead.start(id, &plan, &self.of.place) {
                Ok(()) => {}
                Err(NotBegun::Refused(reason)) => {
                    return self.of.session.refuse(of, "prefetch", Some(id), reason, now_ms);
                }
                Err(NotBegun::Plan(reason)) => {
                    let error = Failed { name: "TypeError", message: &format!("that is no plan: {reason}") };
                    return self.of.session.tell(&Told::End { id, results: None, error: Some(error) });
                }
            },
            Action::Abort { id } => self.of.ahead.abort(id),
        }
        Ok(())
    }

    fn post_to_port(
        &mut self,
        of: u64,
        port: u64,
        data: waystore_worker::SerializedValue,
        ports: &[u64],
    ) -> Result<(), Closing> {
        let mut given = Vec::new();
        let mut reason = None;
        for number in ports {
            match self.of.page.port_channel() {
                Ok((here, there)) => {
                    self.ports.insert(*number, here);
                    given.push(there);
                }
                Err(error) => reason = Some(error.to_string()),
            }
        }
        if reason.is_none() {
            let Some(to) = self.ports.get(port) else { return Ok(()) };
            reason = to.post(PortMessage { data, ports: given }).err().map(|error| error.to_string());
        }
        let Some(reason) = reason else { return Ok(()) };
        for number in ports {
            self.ports.remove(*number);
            self.of.session.forget_port(*number);
        }
        let now_ms = self.now_ms();
        self.of.session.refuse(of, "port", None, reason, now_ms)
    }

    fn ask(&mut self, id: u64, ask: Ask) {
        let site = Arc::clone(&self.of.site);
        self.under_way.0.push(match ask {
            Ask::Update => async move { Done::Updated { id, outcome: site.begin_update().await } }.boxed(),
            Ask::Unregister => async move { Done::Unregistered { id, was: site.unregister().await } }.boxed(),
        });
    }

    fn finish(&mut self, done: Done) -> Result<(), Closing> {
        self.of.session.finished();
        let now_ms = self.now_ms();
        let session = &mut self.of.session;
        match done {
            Done::Posted { outcome: Ok(()), .. } => Ok(()),
            Done::Posted { of, outcome: Err(error) } => session.refuse(of, "message", None, error.to_string(), now_ms),
            Done::Updated { id, outcome } => {
                let message = outcome.err().map(|error| error.to_string());
                let error = message.as_deref().map(|message| Failed { name: "TypeError", message });
                session.tell(&Told::Answer { id, value: None, error, echo: false })
            }
            Done::Unregistered { id, was } => {
                session.tell(&Told::Answer { id, value: Some(was), error: None, echo: false })
            }
        }
    }

    /// Something happened to a prefetch of the page.
    fn tell_ahead(&mut self, id: u64, told: prefetching::Told) -> Result<(), Closing> {
        let session = &mut self.of.session;
        match told {
            prefetching::Told::Event(event) => session.tell(&Told::Progress { id, event: &event }),
            prefetching::Told::Ended(ended) => match &*ended {
                Ok((rows, summary)) => {
                    session.tell(&Told::Progress { id, event: &Event::Ended(*summary) })?;
                    session.tell(&Told::End { id, results: Some(rows), error: None })
                }
                Err(failure) => {
                    let error = Failed { name: "OperationError", message: &failure.to_string() };
                    session.tell(&Told::End { id, results: None, error: Some(error) })
                }
            },
        }
    }

    fn tell(&mut self, told: ToPage) -> Result<(), Closing> {
        let session = &mut self.of.session;
        match told {
            ToPage::Message { data, ports, source } => {
                let Some(data) = raw(&data) else { return Ok(()) };
                let numbers = session.number_ports(ports.len());
                session.tell(&Told::Message { from: Worker::new(&source), data, ports: &numbers })?;
                self.keep(numbers, ports)
            }
            ToPage::Registration(mirror) => {
                session.tell(&Told::Registration { registration: Registration::new(&mirror) })
            }
            ToPage::ControllerChange { version } => session.tell(&Told::Controller { version: version.as_deref() }),
            ToPage::Broadcast { name, data } => {
                let Some(data) = raw(&data) else { return Ok(()) };
                session.tell(&Told::Broadcast { name: &name, data })
            }
            ToPage::Lost { messages, steps } => session.tell(&Told::Lost { messages, steps }),
        }
    }

    /// Something came through a port, or its other end was closed.
    fn through(&mut self, port: u64, message: Option<PortMessage>) -> Result<(), Closing> {
        let Some(PortMessage { data, ports }) = message else {
            self.ports.remove(port);
            return self.of.session.close_port(port);
        };
        let Some(data) = raw(&data) else { return Ok(()) };
        let numbers = self.of.session.number_ports(ports.len());
        self.of.session.tell(&Told::Port { port, data, ports: &numbers })?;
        self.keep(numbers, ports)
    }

    /// Keeps the ports that were given to the page, as many as may be open.
    fn keep(&mut self, numbers: Vec<u64>, ports: Vec<MessagePort>) -> Result<(), Closing> {
        for (number, port) in numbers.into_iter().zip(ports) {
            if self.of.session.is_open(number) {
                self.ports.insert(number, port);
            } else {
                self.of.session.close_port(number)?;
            }
        }
        Ok(())
    }

    /// Ends the connection; whether the client goes on.
    fn close(&mut self, closing: &Closing) -> bool {
        let Closing { code, reason, .. } = closing;
        if closing.is_the_pages_fault() {
            let client = self.of.page.id();
            tracing::info!(target: "waystore::pages", client, code, %reason, "a page's connection was closed");
        }
        self.end_wire(closing);
        !closing.is_final()
    }

    fn end_wire(&mut self, closing: &Closing) {
        // Without one the client has its time already, and gets no more.
        let Some(wire) = self.wire.take() else { return };
        // A page that does not read does not read this either.
        let _ = wire.out.try_send(Out::Close(closing.clone()));
        wire.cut.cancel();
        self.detach();
    }

    fn detach(&mut self) {
        self.wire = None;
        self.next = None;
        self.of.session.detach();
        self.until = Instant::now() + self.of.rules.times.grace;
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.of.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn addressee(to: To) -> Addressee {
    match to {
        To::Version(version) => Addressee::Version(version),
        To::Slot(Slot::Installing) => Addressee::Installing,
        To::Slot(Slot::Waiting) => Addressee::Waiting,
        To::Slot(Slot::Active) => Addressee::Active,
    }
}

async fn until_due(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests;
