//! The pages of the gateway's site: who is connected, and who may go on as whom.
//!
//! Knows ids, keys and numbers of pages; what a page says is its conversation's business.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use waystore::{Clock, CredentialHash, prefetch::Hints};
use waystore_worker::{ClientError, ClientInfo, ClientKind, FrameType, Site};

use super::{
    ahead::Ahead,
    arrivals::Arrivals,
    closing::Closing,
    conversation::Conversation,
    frames::{FrameKind, From, Hello, Kind},
    origin::{Place, elsewhere},
    reservations::Reservations,
    sequence::Memory,
    served::Served,
    session::Session,
    settings::PageSettings,
    wire::{Attach, Batch, Wire},
};
use crate::prefetching::{Answers, Jobs};

/// All pages. Clones are the same.
#[derive(Clone)]
pub(crate) struct Pages {
    inner: Arc<Inner>,
}

struct Inner {
    site: Arc<Site>,
    jobs: Jobs,
    answers: Answers,
    settings: PageSettings,
    memory: Memory,
    arrivals: Arrivals,
    clock: Arc<Clock>,
    began: Instant,
    stop: CancellationToken,
    tasks: TaskTracker,
    table: Mutex<Table>,
    connections: Arc<Semaphore>,
    script: Served,
}

#[derive(Default)]
struct Table {
    seats: HashMap<String, Seat>,
    reservations: Reservations,
}

/// A client that is there.
struct Seat {
    /// Hashed, so that comparing takes the same time however much of a guess is right.
    key: blake3::Hash,
    attaches: mpsc::Sender<Attach>,
    batches: mpsc::Sender<Batch>,
}

/// Who is at the other end.
pub(crate) struct Who {
    pub(crate) place: Place,
    pub(crate) credentials: Option<CredentialHash>,
    /// What the request says of the connection.
    pub(crate) hints: Hints,
}

/// What became of frames that came in a request of their own.
pub(crate) enum Taken {
    /// They were heard.
    Yes(Result<(), Closing>),
    /// There is no such client.
    NoClient,
}

impl Pages {
    /// Pages of `site`, whose prefetches are the desk's, whose tasks are among `tasks` and end at `stop`.
    pub(crate) fn new(
        site: Arc<Site>,
        (jobs, answers): (Jobs, Answers),
        settings: PageSettings,
        clock: Arc<Clock>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let inner = Inner {
            memory: Memory::new(settings.memory_bytes),
            arrivals: Arrivals::new(settings.arriving_bytes, settings.rules.frame_bytes),
            connections: Arc::new(Semaphore::new(settings.most.min(Semaphore::MAX_PERMITS))),
            began: Instant::now(),
            script: Served::default(),
            table: Mutex::default(),
            site,
            jobs,
            answers,
            settings,
            clock,
            stop,
            tasks,
        };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn site(&self) -> &Arc<Site> {
        &self.inner.site
    }

    /// The script that its pages load.
    pub(crate) fn script(&self) -> &Served {
        &self.inner.script
    }

    /// The most bytes of a frame.
    pub(crate) fn frame_bytes(&self) -> usize {
        self.inner.settings.rules.frame_bytes
    }

    /// How long a page may take to say `hello`.
    pub(crate) fn hello_time(&self) -> Duration {
        self.inner.settings.rules.times.hello
    }

    /// What arrives from all of them.
    pub(crate) fn arrivals(&self) -> &Arrivals {
        &self.inner.arrivals
    }

    /// Room for a connection, if there is any.
    pub(crate) fn room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.inner.connections).try_acquire_owned().ok()
    }

    /// Runs what belongs to a connection.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.inner.tasks.spawn(task);
    }

    /// An id for the client that a navigation will make.
    pub(crate) fn reserve(&self, credentials: Option<CredentialHash>) -> String {
        let id = uuid(self.inner.clock.random());
        self.table().reservations.reserve(id.clone(), credentials, self.now_ms());
        self.inner.site.reserve_client(&id);
        id
    }

    /// A connection begins: of a client that is there, or of a new one.
    ///
    /// # Errors
    ///
    /// What the page is told instead of a welcome.
    pub(crate) async fn connect(&self, hello: &Hello, who: Who, wire: Wire) -> Result<(), Closing> {
        let Some(url) = who.place.public(&hello.url) else { return Err(elsewhere()) };
        let attach = Attach { wire, received: hello.received, resumed: true };
        let Some(attach) = self.resume(hello, attach).await else { return Ok(()) };
        let info = ClientInfo {
            id: String::new(),
            url,
            kind: kind(hello.kind),
            frame: frame(hello.frame_type),
            visible: hello.visible,
            focused: hello.focused,
        };
        self.begin(hello, info, who, attach)
    }

    /// Takes frames that came in a request of their own.
    pub(crate) async fn take(&self, from: &From, lines: String) -> Taken {
        let batches =
            self.table().seats.get(&from.client).filter(|seat| seat.fits(&from.key)).map(|seat| seat.batches.clone());
        let Some(batches) = batches else { return Taken::NoClient };
        let (done, heard) = oneshot::channel();
        if batches.send(Batch { lines, done }).await.is_err() {
            return Taken::NoClient;
        }
        heard.await.map_or(Taken::NoClient, Taken::Yes)
    }

    /// Gives the connection to the client that is asked for, or back.
    async fn resume(&self, hello: &Hello, attach: Attach) -> Option<Attach> {
        let (Some(client), Some(key)) = (&hello.client, &hello.key) else { return Some(attach) };
        let attaches = self.table().seats.get(client).filter(|seat| seat.fits(key)).map(|seat| seat.attaches.clone());
        match attaches {
            // Where one is on its way already, this one comes after it.
            Some(attaches) => attaches.send(attach).await.err().map(|error| error.0),
            None => Some(attach),
        }
    }

    /// The id of a new client: that of its navigation, if it has one and may have it.
    fn id(&self, table: &mut Table, hello: &Hello, credentials: Option<CredentialHash>) -> String {
        let told = hello.client.as_ref().filter(|_| hello.key.is_none());
        let claimed = told.filter(|id| table.reservations.claim(id, credentials, self.now_ms()));
        claimed.cloned().unwrap_or_else(|| uuid(self.inner.clock.random()))
    }

    fn begin(&self, hello: &Hello, info: ClientInfo, who: Who, attach: Attach) -> Result<(), Closing> {
        let inner = &self.inner;
        let key = format!("{:032x}", inner.clock.random());
        let (attaches, attached) = mpsc::channel(1);
        let (batches, batched) = mpsc::channel(1);
        let attach = Attach { received: 0, resumed: false, ..attach };
        // It is the first, and fits.
        let _ = attaches.try_send(attach);
        let chair = {
            let mut table = self.table();
            if table.seats.len() >= inner.settings.most {
                // The id of its navigation waits for it.
                return Err(Closing::full());
            }
            let id = self.id(&mut table, hello, who.credentials);
            table.seats.insert(id.clone(), Seat { key: blake3::hash(key.as_bytes()), attaches, batches });
            Chair { pages: self.clone(), id }
        };
        let page = inner.site.connect(ClientInfo { id: chair.id.clone(), ..info }).map_err(refused)?;
        tracing::info!(target: "waystore::pages", client = page.id(), "a page connected");
        let conversation = Conversation {
            ahead: Ahead::new(inner.jobs.clone(), page.id(), who.hints),
            answers: inner.answers.clone(),
            page: Arc::new(page),
            site: Arc::clone(&inner.site),
            session: Session::new(Arc::clone(&inner.settings.rules), inner.memory.clone(), self.now_ms()),
            rules: Arc::clone(&inner.settings.rules),
            key,
            place: who.place,
            attaches: attached,
            batches: batched,
            stop: inner.stop.clone(),
            began: inner.began,
        };
        let stop = inner.stop.clone();
        self.spawn(async move {
            let under_way = conversation.run().await;
            drop(chair);
            tokio::select! {
                () = under_way.finish() => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.inner.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.inner.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Seat {
    fn fits(&self, key: &str) -> bool {
        self.key == blake3::hash(key.as_bytes())
    }
}

/// A client's place at the table, while it is there.
struct Chair {
    pages: Pages,
    id: String,
}

impl Drop for Chair {
    fn drop(&mut self) {
        self.pages.table().seats.remove(&self.id);
        tracing::info!(target: "waystore::pages", client = self.id, "a page is gone");
    }
}

fn refused(error: ClientError) -> Closing {
    tracing::warn!(target: "waystore::pages", %error, "a page was refused");
    match error {
        ClientError::TooMany { .. } => Closing::full(),
        ClientError::Closed => Closing::stopping(),
        error => Closing::wrong(error.to_string()),
    }
}

fn kind(kind: Kind) -> ClientKind {
    match kind {
        Kind::Window => ClientKind::Window,
        Kind::Worker => ClientKind::Worker,
        Kind::SharedWorker => ClientKind::SharedWorker,
    }
}

fn frame(frame: FrameKind) -> FrameType {
    match frame {
        FrameKind::TopLevel => FrameType::TopLevel,
        FrameKind::Nested => FrameType::Nested,
        FrameKind::Auxiliary => FrameType::Auxiliary,
        FrameKind::None => FrameType::None,
    }
}

/// A random UUID. Spec: RFC 9562, section 5.4.
pub(crate) fn uuid(random: u128) -> String {
    let bits = random & !(0xF << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g10_a_navigation_gets_a_fresh_client_id() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
