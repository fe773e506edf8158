//! The pages of a site, as its host brings them: a [`Page`] for each that is connected.
//!
//! Spec: <https://w3c.github.io/ServiceWorker/#service-worker-client-concept>

use std::{fmt, sync::Arc};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{Inner, Site, events::Pin, line::Line};
use crate::{
    Activation, Addressee, ClientChange, ClientError, ClientInfo, MessagePort, Mirror, PortMessage, SerializedValue,
    SiteError, ToPage,
    clients::Outbox,
    isolate::{Message, Source},
    lifecycle::Input,
    message::Parcel,
    worker::Worker,
};

/// Messages of one client that the worker has not ended.
const MOST_EVENTS: usize = 32;
/// Ports of one client whose other ends the worker holds.
const MOST_PORTS: usize = 64;

/// A page (or a worker of a browser) that is connected: a client, in its host's hands.
///
/// It is there until this is dropped. A host whose connections break and come again keeps it for a
/// while, so that the client, and what waits for it, is still there.
///
/// ```no_run
/// # async fn example(site: waystore_worker::Site) -> Result<(), Box<dyn std::error::Error>> {
/// use waystore_worker::{Addressee, ClientInfo, SerializedValue, ToPage};
///
/// let page = site.connect(ClientInfo::window("8e5c", "https://shop.example/p/1".parse()?))?;
/// let data = SerializedValue::from_json(&serde_json::json!({ "type": "PREFETCH", "urls": ["/p/2"] }));
/// page.message(&Addressee::Active, data.into()).await?;
/// while let Some(told) = page.receive().await {
///     if let ToPage::Message { data, .. } = told {
///         println!("the worker says {}", data.as_str());
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Page {
    site: Arc<Inner>,
    id: String,
    outbox: Outbox,
    events: Arc<Semaphore>,
    ports: Arc<Semaphore>,
    /// Messages go out in the order in which they were posted.
    line: Line,
}

/// What a message keeps until its event is over.
struct Holds {
    _pin: Pin,
    _permits: [OwnedSemaphorePermit; 3],
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Site {
    /// Reserves the client that a navigation would make, so that a script that asks for it by the
    /// event's `resultingClientId` waits until it is connected. It is the worker's if the worker gets
    /// the navigation's event, also where that leaves it to the network.
    ///
    /// Where no page connects within [`Limits::binding`](crate::Limits::binding), nobody waits any more.
    /// At most 4096 are waited for, the latest.
    pub fn reserve_client(&self, id: &str) {
        self.inner.roster.reserve(id);
    }

    /// A page is there. The first that it is told is what the registration is now.
    ///
    /// One that was reserved is controlled as its navigation was. One that was not, as after a restart, is
    /// controlled by the active worker if its URL is in the scope.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: the id is none or is taken, the URL is not at the site's origin, there are too many
    /// ([`Limits::clients`](crate::Limits::clients)), or the site is closed.
    pub fn connect(&self, info: ClientInfo) -> Result<Page, ClientError> {
        let id = info.id.clone();
        let outbox = self.inner.roster.connect(info)?;
        self.inner.recount();
        let (events, ports) = (Arc::new(Semaphore::new(MOST_EVENTS)), Arc::new(Semaphore::new(MOST_PORTS)));
        Ok(Page { site: Arc::clone(&self.inner), id, outbox, events, ports, line: Line::default() })
    }

    /// The registration as a client sees it that the active worker controls.
    pub fn mirror(&self) -> Mirror {
        self.inner.roster.mirror(true)
    }

    /// How many clients are connected.
    pub fn clients(&self) -> usize {
        self.inner.roster.len()
    }
}

impl Page {
    /// The client's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the page is told next; `None` once the site is closed. Dropping the future loses nothing.
    ///
    /// 256 messages or 16 MiB wait for a page, and 64 steps of its registration. What does not fit is gone,
    /// and told of as [`ToPage::Lost`] in its place.
    pub async fn receive(&self) -> Option<ToPage> {
        self.outbox.next().await
    }

    /// How many messages wait to be received, and their bytes.
    pub fn waiting(&self) -> (usize, usize) {
        self.outbox.waiting()
    }

    /// Something about the page changed. Giving it the focus puts it first in `clients.matchAll()`. A URL at
    /// another origin is passed over.
    pub fn update(&self, change: ClientChange) {
        self.site.roster.update(&self.id, change);
    }

    /// Whether the active worker controls the page.
    pub fn is_controlled(&self) -> bool {
        self.site.roster.is_controlled(&self.id)
    }

    /// Posts a message to a version, as `ServiceWorker.postMessage` does: a `message` event whose `source` is
    /// this client. Resolves when it was dispatched; one to a version that is gone is dropped, as the
    /// standard says. Messages are dispatched in the order of these calls, whoever polls the futures.
    ///
    /// # Errors
    ///
    /// * [`SiteError::Busy`]: the worker has not ended 32 messages of this page (or as many of all pages as a
    ///   quarter of [`Limits::concurrent_events`](crate::Limits::concurrent_events)), or holds 64 of its ports.
    /// * [`SiteError::Off`], [`SiteError::Closed`]; [`SiteError::Stopped`]: it did not start, or was stopped before.
    pub fn message(
        &self,
        to: &Addressee,
        message: PortMessage,
    ) -> impl Future<Output = Result<(), SiteError>> + Send + use<> {
        let (site, mut place) = (Arc::clone(&self.site), self.line.join());
        let taken = self.take(to, message);
        async move {
            let Some((worker, holds, message)) = taken? else { return Ok(()) };
            place.turn().await;
            site.deliver_message(worker, holds, message).await
        }
    }

    /// A message for the version that it is meant for, with all that it holds; `None` where that is gone.
    fn take(&self, to: &Addressee, message: PortMessage) -> Result<Option<(Arc<Worker>, Holds, Message)>, SiteError> {
        let site = &self.site;
        site.counts.messages.add();
        let mine = Arc::clone(&self.events).try_acquire_owned().map_err(|_| SiteError::Busy)?;
        let all = Arc::clone(&site.page_events).try_acquire_owned().map_err(|_| SiteError::Busy)?;
        let slot = site.message_slot()?;
        let PortMessage { data, mut ports } = message;
        for port in &mut ports {
            port.count_on(&self.ports).map_err(|_| SiteError::Busy)?;
        }
        let Some(client) = site.roster.info(&self.id) else { return Err(SiteError::Closed) };
        let Some((worker, pin)) = site.addressed(to)? else { return Ok(None) };
        let message = Message { data, ports: Parcel::new(ports), source: Some(Source::Client(Box::new(client))) };
        Ok(Some((worker, Holds { _pin: pin, _permits: [mine, all, slot] }, message)))
    }

    /// A channel whose second end is to be given to the worker, through another port: it counts as one of
    /// this page's 64. Ports that go with [`message`](Self::message) count by themselves.
    ///
    /// # Errors
    ///
    /// [`SiteError::Busy`]: the worker holds as many already.
    pub fn port_channel(&self) -> Result<(MessagePort, MessagePort), SiteError> {
        let (here, mut there) = MessagePort::channel();
        there.count_on(&self.ports).map_err(|_| SiteError::Busy)?;
        Ok((here, there))
    }

    /// The page has a `BroadcastChannel` of this name: it hears what the worker posts there. Whether it does:
    /// a page hears 64 names at most.
    pub fn join(&self, name: &str) -> bool {
        self.site.roster.join(&self.id, name)
    }

    /// The page has no `BroadcastChannel` of this name any more.
    pub fn leave(&self, name: &str) {
        self.site.roster.leave(&self.id, name);
    }

    /// Posts to the `BroadcastChannel`s of this name in the workers that run. No other page hears it: those
    /// of the same visitor hear each other in their browser, and those of others must not.
    pub fn broadcast(&self, name: &str, data: SerializedValue) {
        self.site.ground.airwaves.send(None, name, data);
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.site.roster.remove(&self.id);
        self.site.recount();
    }
}

impl Inner {
    /// A client came or went: a version that waits for that may have its turn.
    pub(super) fn recount(self: &Arc<Self>) {
        self.changed_hands.notify_waiters();
        if self.options.activation == Activation::Rollover {
            return;
        }
        let actions = self.decide_on(|| Input::Used(self.roster.is_used()));
        if !actions.is_empty() {
            let this = Arc::clone(self);
            self.ground.runtime.spawn(async move { this.carry_out(actions).await });
        }
    }

    /// When the next client may be given up that is about to take the place of one that was there.
    pub(super) fn look_again_at(&self) -> Option<Instant> {
        if self.options.activation == Activation::Rollover { None } else { self.roster.look_again_at().map(Into::into) }
    }

    /// The version that a client posts to, and what keeps it there; `None` where it is gone.
    fn addressed(self: &Arc<Self>, to: &Addressee) -> Result<Option<(Arc<Worker>, Pin)>, SiteError> {
        if self.closed.is_cancelled() {
            return Err(SiteError::Closed);
        }
        let mut life = self.life();
        if life.off {
            return Err(SiteError::Off { scope: Box::new(self.ground.scope.clone()) });
        }
        let slot = match to {
            Addressee::Version(version) => {
                life.workers.values().find(|worker| worker.version == *version).map(|worker| worker.id)
            }
            Addressee::Installing => life.cycle.installing.map(|slot| slot.id),
            Addressee::Waiting => life.cycle.waiting.map(|slot| slot.id),
            Addressee::Active => life.cycle.active.map(|slot| slot.id),
        };
        let worker = slot.and_then(|id| life.workers.get(&id).cloned());
        Ok(worker.map(|worker| {
            life.cycle.apply(Input::EventStarted(worker.id));
            let pin = Pin::new(self, worker.id);
            (worker, pin)
        }))
    }
}
