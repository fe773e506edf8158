//! Events on their way to the worker whose turn it is, and what becomes of fetch events.
//!
//! Spec: <https://w3c.github.io/ServiceWorker/#handle-fetch>

use std::{any::Any, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::{Instant, timeout_at},
};
use waystore::Request;

use super::{Inner, Site, line::Place, routing::Way};
use crate::{
    FallbackReason, FetchEvent, FetchOutcome, MessageEvent, SiteError, WorkerState,
    accept::refusal,
    isolate::{Answer, Event, EventName, Isolate, Message, Preloading, Stage, Ticket},
    lifecycle::{Id, Input},
    loan::Loan,
    message::Parcel,
    worker::{NoIsolate, Taker, Worker},
};

/// How often an event is given to a new isolate where the last one stopped before it saw it.
const ATTEMPTS: usize = 3;
/// How often an event without a deadline is given to another one where the last one was busy.
const HAND_OVERS: usize = 100;

/// Keeps a worker from being replaced while an event of it is under way.
pub(super) struct Pin {
    site: Arc<Inner>,
    id: Id,
}

impl Pin {
    /// For an event that was counted just now.
    pub(super) fn new(site: &Arc<Inner>, id: Id) -> Self {
        Self { site: Arc::clone(site), id }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.site.apply(Input::EventEnded(self.id));
    }
}

impl Site {
    /// Sends a request through the worker, and says what became of it.
    ///
    /// While the first worker installs, or the next one activates, this waits as long as an answer
    /// may take. A body of the answer streams afterwards. Dropping the future does not stop the
    /// event; aborting the request's signal tells the script.
    ///
    /// Spec: <https://w3c.github.io/ServiceWorker/#handle-fetch>
    pub async fn fetch(&self, event: FetchEvent) -> FetchOutcome {
        self.inner.counts.fetch_events.add();
        let outcome = self.inner.fetch(event).await;
        self.inner.counts.count(&outcome);
        outcome
    }

    /// Sends a message to the active worker; where there is none, to the one that waits or installs.
    ///
    /// Resolves when the `message` event was dispatched. What the script answers through a port of the
    /// message comes later; where the worker is stopped, its ports are closed.
    ///
    /// ```no_run
    /// # async fn example(site: waystore_worker::Site) -> Result<(), Box<dyn std::error::Error>> {
    /// use waystore_worker::{MessageEvent, MessagePort, SerializedValue};
    ///
    /// let (mut here, there) = MessagePort::channel();
    /// let data = SerializedValue::from_json(&serde_json::json!({ "type": "GET_VERSION" }));
    /// site.message(MessageEvent { data, ports: vec![there] }).await?;
    /// let version = here.receive().await.and_then(|message| message.data.to_json());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// * [`SiteError::NoWorker`]: there is none. [`SiteError::Busy`]: it has all the events it may have.
    /// * [`SiteError::Stopped`]: it did not start, or was stopped before.
    pub async fn message(&self, message: MessageEvent) -> Result<(), SiteError> {
        self.inner.counts.messages.add();
        self.inner.message(message).await
    }
}

impl Inner {
    /// Sends a request to the active worker's script; to the first one's, once it is there.
    ///
    /// Where it is not the worker whose static routes led here, its own come first.
    pub(super) async fn ask_script(self: &Arc<Self>, event: FetchEvent, way: Way) -> FetchOutcome {
        let Ok(queued) = Arc::clone(&self.queue).try_acquire_owned() else {
            return fallback(event.request, FallbackReason::Busy, None);
        };
        let deadline = Instant::now() + self.options.limits.response;
        let admitted = timeout_at(deadline, self.admitted()).await;
        let (worker, pin) = match admitted.unwrap_or(Err(FallbackReason::NoWorker)) {
            Ok(admitted) => admitted,
            Err(reason) => return fallback(event.request, reason, None),
        };
        if way.ruled != Some(worker.id) && !way.raced && !worker.routes().rules().is_empty() {
            drop((queued, pin));
            return Arc::clone(self).follow_other_routes(worker, event).await;
        }
        let FetchEvent { request, client_id, resulting_client_id } = event;
        self.control(&resulting_client_id);
        let version = Some(worker.version.clone());
        if !worker.listens("fetch") {
            return fallback(request, FallbackReason::NoListener, version);
        }
        let Ok(Ok(slot)) = timeout_at(deadline, Arc::clone(&self.slots).acquire_owned()).await else {
            return fallback(request, FallbackReason::Busy, version);
        };
        drop(queued);
        let holds = Arc::new((pin, slot));
        let loan = Loan::of(request);
        // In parallel with the start of an isolate.
        let preload = if way.raced { None } else { self.begin_preload(loan.request()) };
        let mut attempts = 0;
        while attempts < ATTEMPTS && Instant::now() < deadline {
            let isolate = match timeout_at(deadline, worker.isolate(Taker::Any)).await {
                Ok(Ok(isolate)) => isolate,
                Ok(Err(NoIsolate::Off)) => return left(loan, FallbackReason::Off, &worker),
                Ok(Err(NoIsolate::Failed(_))) | Err(_) => return left(loan, FallbackReason::Stopped, &worker),
                Ok(Err(NoIsolate::Replaced)) => {
                    // A rollback came first: the event is another version's.
                    drop(holds);
                    let Some(request) = loan.give_back() else { return body_gone(&worker) };
                    let event = FetchEvent { request, client_id, resulting_client_id };
                    return Arc::clone(self).ask_again(event, way).await;
                }
            };
            let event = Event::Fetch {
                request: Box::new(loan.lend()),
                client_id: client_id.clone(),
                resulting_client_id: resulting_client_id.clone(),
                preload: preload.clone(),
            };
            let (ticket, answer) = Ticket::new(event, Box::new(Arc::clone(&holds)));
            match self.ask(&isolate, ticket, answer).await {
                // One that was only busy costs no attempt: another one takes its events, or it comes back.
                Answer::Stopped(Stage::Queued) => attempts += usize::from(isolate.is_over()),
                answer => return outcome(loan, answer, &worker, &isolate),
            }
        }
        left(loan, FallbackReason::Stopped, &worker)
    }

    fn ask_again(self: Arc<Self>, event: FetchEvent, way: Way) -> BoxFuture<'static, FetchOutcome> {
        async move { self.ask_script(event, way).await }.boxed()
    }

    fn begin_preload(&self, request: &Request) -> Option<Preloading> {
        let preload = self.life().preload.request(request)?;
        Some(Preloading::new(self.begin_fetch(preload)))
    }

    /// The worker's answer, or that it took too long.
    async fn ask(&self, isolate: &Isolate, ticket: Ticket, answer: oneshot::Receiver<Answer>) -> Answer {
        let deadline = Instant::now() + self.options.limits.response;
        let late = "the answer took too long";
        let sent = isolate.send(ticket);
        match timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Answer::Stopped(sent.stage()),
            Err(_) if sent.stage() == Stage::Entered => Answer::Over(Err(late.to_owned())),
            Err(_) => {
                sent.take_back();
                Answer::Stopped(Stage::Dispatched)
            }
        }
    }

    /// Sends an event other than `fetch`, and returns what became of it; or why it could not be sent.
    ///
    /// An isolate may stop, being idle, in the very moment in which it is given an event; then the next
    /// one gets it.
    pub(super) async fn deliver(
        &self,
        worker: &Arc<Worker>,
        taker: Taker,
        event: impl Fn() -> Event,
        holds: Arc<dyn Any + Send + Sync>,
    ) -> Result<Answer, String> {
        let mut reason = String::new();
        let (mut attempts, mut hand_overs) = (0, 0);
        while attempts < ATTEMPTS && hand_overs < HAND_OVERS {
            let isolate = worker.isolate(taker).await.map_err(|error| error.to_string())?;
            let (ticket, answer) = Ticket::new(event(), Box::new(Arc::clone(&holds)));
            isolate.send(ticket);
            match answer.await {
                Ok(Answer::Stopped(Stage::Queued)) => {
                    let over = isolate.is_over();
                    (attempts, hand_overs) = (attempts + usize::from(over), hand_overs + usize::from(!over));
                    reason = isolate.shared.reason();
                }
                Ok(Answer::Stopped(_)) | Err(_) => return Err(isolate.shared.reason()),
                Ok(answer) => return Ok(answer),
            }
        }
        Err(reason)
    }

    /// The active worker, once it is activated; or why there is none and none will come.
    async fn admitted(self: &Arc<Self>) -> Result<(Arc<Worker>, Pin), FallbackReason> {
        let mut changes = self.ground.views.changes();
        loop {
            changes.mark_unchanged();
            {
                let mut life = self.life();
                let active = life.cycle.active.filter(|_| !life.cycle.unregistered);
                match active.map(|slot| (slot.id, slot.state)) {
                    _ if life.off => return Err(FallbackReason::Off),
                    Some((id, WorkerState::Activated)) if life.holding_for.is_none() => {
                        let worker = life.workers.get(&id).cloned().ok_or(FallbackReason::NoWorker)?;
                        life.cycle.apply(Input::EventStarted(id));
                        return Ok((worker, Pin::new(self, id)));
                    }
                    None if life.cycle.unregistered || !life.hopeful => return Err(FallbackReason::NoWorker),
                    _ => {}
                }
            }
            tokio::select! {
                changed = changes.changed() => changed.map_err(|_| FallbackReason::NoWorker)?,
                () = self.closed.cancelled() => return Err(FallbackReason::NoWorker),
            }
        }
    }

    async fn message(self: &Arc<Self>, message: MessageEvent) -> Result<(), SiteError> {
        let (worker, pin) = self.addressee()?;
        let slot = self.message_slot()?;
        let message = Message { data: message.data, ports: Parcel::new(message.ports), source: None };
        self.deliver_message(worker, (pin, slot), message).await
    }

    /// Sends a message to the version of this name, and waits for nothing. What cannot be delivered is dropped.
    ///
    /// Spec: <https://w3c.github.io/ServiceWorker/#service-worker-postmessage-options>
    pub(super) fn post(self: &Arc<Self>, version: &str, message: Message, mut place: Place) {
        if self.closed.is_cancelled() {
            return;
        }
        let found = {
            let mut life = self.life();
            let worker = life.workers.values().find(|worker| worker.version == version).cloned();
            worker.inspect(|worker| drop(life.cycle.apply(Input::EventStarted(worker.id))))
        };
        let Some(worker) = found else { return };
        let pin = Pin::new(self, worker.id);
        let slot = self.message_slot();
        let this = Arc::clone(self);
        let version = version.to_owned();
        self.ground.runtime.spawn(async move {
            place.turn().await;
            let delivered = match slot {
                Ok(slot) => this.deliver_message(worker, (pin, slot), message).await,
                Err(error) => Err(error),
            };
            if let Err(error) = delivered {
                tracing::warn!(version, %error, "a message that a worker posted is lost");
            }
        });
    }

    /// Room for a message among the events that there may be.
    pub(super) fn message_slot(&self) -> Result<OwnedSemaphorePermit, SiteError> {
        Arc::clone(&self.slots).try_acquire_owned().map_err(|_| SiteError::Busy)
    }

    /// Sends a message; `holds` is let go of when its event is over.
    pub(super) async fn deliver_message(
        &self,
        worker: Arc<Worker>,
        holds: impl Any + Send + Sync,
        message: Message,
    ) -> Result<(), SiteError> {
        if !worker.listens("message") {
            return Ok(());
        }
        let event = || Event::Message { data: message.clone() };
        let delivered = self.deliver(&worker, Taker::First, event, Arc::new(holds)).await;
        delivered.map(drop).map_err(|reason| SiteError::Stopped { reason })
    }

    fn addressee(self: &Arc<Self>) -> Result<(Arc<Worker>, Pin), SiteError> {
        if self.closed.is_cancelled() {
            return Err(SiteError::Closed);
        }
        let mut life = self.life();
        if life.off {
            return Err(SiteError::Off { scope: Box::new(self.ground.scope.clone()) });
        }
        let cycle = &life.cycle;
        let slot = [cycle.active, cycle.waiting, cycle.installing].into_iter().flatten().next();
        let worker = slot.and_then(|slot| life.workers.get(&slot.id).cloned());
        let worker = worker.ok_or_else(|| SiteError::NoWorker { scope: Box::new(self.ground.scope.clone()) })?;
        let id = worker.id;
        life.cycle.apply(Input::EventStarted(id));
        Ok((worker, Pin::new(self, id)))
    }
}

/// The row of section 7's outcome table that `answer` is.
fn outcome(loan: Loan, answer: Answer, worker: &Worker, isolate: &Isolate) -> FetchOutcome {
    let version = worker.version.clone();
    match answer {
        Answer::Left { threw: true } => left(loan, FallbackReason::Threw, worker),
        Answer::Left { threw: false } => left(loan, FallbackReason::NotAnswered, worker),
        Answer::Response(response) => match refusal(loan.request(), &response) {
            None => FetchOutcome::Response { response, version },
            Some(reason) => FetchOutcome::NetworkError { reason: reason.to_owned(), version },
        },
        Answer::Failed(reason) => {
            isolate.shared.note(Some(&name_of(loan.request())), &reason);
            FetchOutcome::NetworkError { reason, version }
        }
        Answer::Over(_) => FetchOutcome::TimedOut { version },
        Answer::Stopped(Stage::Entered) => {
            let reason = format!("the worker was stopped before it answered: {}", isolate.shared.reason());
            FetchOutcome::NetworkError { reason, version }
        }
        Answer::Stopped(_) => left(loan, FallbackReason::Stopped, worker),
    }
}

/// The worker left the request to the network, which works only where its body can still be sent.
fn left(loan: Loan, reason: FallbackReason, worker: &Worker) -> FetchOutcome {
    match loan.give_back() {
        Some(request) => fallback(request, reason, Some(worker.version.clone())),
        None => body_gone(worker),
    }
}

fn body_gone(worker: &Worker) -> FetchOutcome {
    let reason = "the worker read the request's body and did not answer; the body cannot be sent again".to_owned();
    FetchOutcome::NetworkError { reason, version: worker.version.clone() }
}

fn name_of(request: &Request) -> EventName {
    EventName { kind: "fetch", url: Some(request.url.clone()) }
}

pub(super) fn fallback(request: Request, reason: FallbackReason, version: Option<String>) -> FetchOutcome {
    FetchOutcome::Fallback { request: Box::new(request), reason, version }
}
