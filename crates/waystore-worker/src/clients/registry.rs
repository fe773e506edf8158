//! Who is there: the clients of a site, those that navigations are about to make, and who controls them.
//!
//! A site has one registration, so a client is controlled by its active worker or by none. Pure: what
//! time it is comes from outside, and what is to be told is returned. Knows no queue but as something
//! that is kept for each client.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use url::Url;

use super::{ClientChange, ClientError, ClientInfo, ClientKind};

/// Navigations whose pages have not connected yet; beyond that, the oldest are not waited for.
const MOST_RESERVED: usize = 4096;
/// Of an id, in bytes.
const MOST_ID: usize = 128;

/// The clients of a site; for each, an `A` is kept.
#[derive(Debug)]
pub(crate) struct Registry<A> {
    origin: url::Origin,
    scope: String,
    most: usize,
    /// How long a reserved client is waited for.
    binding: Duration,
    clients: HashMap<String, Client<A>>,
    /// How many of them are controlled.
    controlled: usize,
    reserved: HashMap<String, Reserved>,
    /// Their ids, oldest first; some may be gone already.
    reservations: VecDeque<(Instant, u64, String)>,
    /// Counts creations and gains of the focus.
    moment: u64,
}

/// One that is there.
#[derive(Debug)]
struct Client<A> {
    info: ClientInfo,
    /// Whether its creation URL is in the scope: what it is claimed by, whatever it shows now.
    covered: bool,
    created: u64,
    focused_at: Option<u64>,
    controlled: bool,
    kept: A,
}

/// One that a navigation is about to make.
#[derive(Debug)]
struct Reserved {
    created: u64,
    until: Instant,
    controlled: bool,
    /// Whether a page used the worker when it was reserved: then this one may be about to take its place.
    succeeds: bool,
    settled: CancellationToken,
}

/// Which clients are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Of which type.
    pub(crate) kind: Type,
    /// Whether by the active worker or by nobody, too.
    pub(crate) controlled_only: bool,
}

/// A type in a question. Spec: <https://w3c.github.io/ServiceWorker/#enumdef-clienttype>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// One.
    Of(ClientKind),
    /// Any.
    All,
}

/// What is known of an id.
#[derive(Debug)]
pub(crate) enum Known {
    /// It is there.
    Here(Box<ClientInfo>),
    /// A navigation is about to make it: look again when the token is cancelled, or this time has come.
    Reserved(CancellationToken, Instant),
    /// There is none.
    None,
}

impl<A> Registry<A> {
    pub(crate) fn new(scope: &Url, most: usize, binding: Duration) -> Self {
        Self {
            origin: scope.origin(),
            scope: scope.as_str().to_owned(),
            most,
            binding,
            clients: HashMap::new(),
            controlled: 0,
            reserved: HashMap::new(),
            reservations: VecDeque::new(),
            moment: 0,
        }
    }

    /// Reserves the client that a navigation would make.
    pub(crate) fn reserve(&mut self, id: &str, now: Instant) {
        self.discard_late(now);
        if id.is_empty() || id.len() > MOST_ID || self.clients.contains_key(id) || self.reserved.contains_key(id) {
            return;
        }
        if self.reservations.len() >= MOST_RESERVED {
            self.discard_oldest();
        }
        let created = self.next_moment();
        let until = now + self.binding;
        let succeeds = self.controlled > 0;
        let reserved = Reserved { created, until, controlled: false, succeeds, settled: CancellationToken::new() };
        self.reserved.insert(id.to_owned(), reserved);
        self.reservations.push_back((until, created, id.to_owned()));
    }

    /// The navigation that reserved `id` was the active worker's: its client will be, too.
    pub(crate) fn control_reserved(&mut self, id: &str) {
        if let Some(reserved) = self.reserved.get_mut(id) {
            reserved.controlled = true;
        }
    }

    /// Takes a client in. It is controlled where its navigation was; one that nobody reserved is where a
    /// worker is active and its URL in the scope. Returns whether it is.
    pub(crate) fn connect(
        &mut self,
        info: ClientInfo,
        kept: A,
        has_worker: bool,
        now: Instant,
    ) -> Result<bool, ClientError> {
        self.discard_late(now);
        let bytes = info.id.len();
        if bytes == 0 || bytes > MOST_ID {
            return Err(ClientError::Id { bytes });
        }
        if info.url.origin() != self.origin {
            return Err(ClientError::Origin { url: Box::new(info.url) });
        }
        if self.clients.contains_key(&info.id) {
            return Err(ClientError::Taken { id: info.id });
        }
        if self.clients.len() >= self.most {
            return Err(ClientError::TooMany { most: self.most });
        }
        let reserved = self.reserved.remove(&info.id);
        let covered = info.url.as_str().starts_with(&self.scope);
        let controlled = has_worker && reserved.as_ref().map_or(covered, |reserved| reserved.controlled);
        let created = reserved.as_ref().map_or_else(|| self.next_moment(), |reserved| reserved.created);
        let focused_at = info.focused.then(|| self.next_moment());
        self.controlled += usize::from(controlled);
        self.clients.insert(info.id.clone(), Client { info, covered, created, focused_at, controlled, kept });
        if let Some(reserved) = reserved {
            reserved.settled.cancel();
        }
        Ok(controlled)
    }

    /// The client has gone.
    pub(crate) fn remove(&mut self, id: &str) -> Option<A> {
        let client = self.clients.remove(id)?;
        self.controlled -= usize::from(client.controlled);
        Some(client.kept)
    }

    /// Something about a client changed.
    pub(crate) fn update(&mut self, id: &str, change: ClientChange) {
        let moment = self.next_moment();
        let Some(client) = self.clients.get_mut(id) else { return };
        let ClientChange { url, visible, focused } = change;
        if let Some(url) = url.filter(|url| url.origin() == self.origin) {
            client.info.url = url;
        }
        client.info.visible = visible.unwrap_or(client.info.visible);
        client.info.focused = focused.unwrap_or(client.info.focused);
        if focused == Some(true) {
            client.focused_at = Some(moment);
        }
    }

    /// What is known of `id`.
    pub(crate) fn get(&mut self, id: &str, now: Instant) -> Known {
        self.discard_late(now);
        if let Some(client) = self.clients.get(id) {
            return Known::Here(Box::new(client.info.clone()));
        }
        self.reserved.get(id).map_or(Known::None, |reserved| Known::Reserved(reserved.settled.clone(), reserved.until))
    }

    /// Those that are wanted: windows that had the focus, the last one first, then other windows, then
    /// workers, each by when they were made.
    ///
    /// Spec: <https://w3c.github.io/ServiceWorker/#clients-matchall>
    pub(crate) fn matching(&self, wanted: Wanted) -> Vec<ClientInfo> {
        let is_wanted = |client: &&Client<A>| {
            (client.controlled || !wanted.controlled_only)
                && match wanted.kind {
                    Type::All => true,
                    Type::Of(kind) => client.info.kind == kind,
                }
        };
        let mut found: Vec<_> = self.clients.values().filter(is_wanted).collect();
        found.sort_unstable_by_key(|client| {
            let is_window = client.info.kind == ClientKind::Window;
            let focused_at = client.focused_at.filter(|_| is_window);
            (!is_window, focused_at.is_none(), focused_at.map(std::cmp::Reverse), client.created)
        });
        found.into_iter().map(|client| client.info.clone()).collect()
    }

    /// A worker takes every client over that is in its scope; returns those that were nobody's.
    ///
    /// Spec: <https://w3c.github.io/ServiceWorker/#clients-claim>
    pub(crate) fn claim(&mut self) -> Vec<&A> {
        let free = self.clients.values_mut().filter(|client| !client.controlled && client.covered);
        let mut claimed: Vec<_> = free.collect();
        self.controlled += claimed.len();
        claimed.sort_unstable_by_key(|client| client.created);
        claimed.iter_mut().for_each(|client| client.controlled = true);
        claimed.into_iter().map(|client| &client.kept).collect()
    }

    /// No worker is active any more; returns the clients that had one.
    pub(crate) fn free(&mut self) -> Vec<&A> {
        self.reserved.values_mut().for_each(|reserved| reserved.controlled = false);
        self.controlled = 0;
        let mut held: Vec<_> = self.clients.values_mut().filter(|client| client.controlled).collect();
        held.iter_mut().for_each(|client| client.controlled = false);
        held.into_iter().map(|client| &client.kept).collect()
    }

    /// What is kept for each, and whether it is controlled.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&A, bool)> {
        self.clients.values().map(|client| (&client.kept, client.controlled))
    }

    /// One that is there, what is kept for it, and whether it is controlled.
    pub(crate) fn one(&mut self, id: &str) -> Option<(&ClientInfo, &mut A, bool)> {
        self.clients.get_mut(id).map(|client| (&client.info, &mut client.kept, client.controlled))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether a client uses the active worker: one that it controls, or one that is about to take the place
    /// of such a one, as when a page is reloaded.
    pub(crate) fn is_used(&mut self, now: Instant) -> bool {
        self.controlled > 0 || self.last_successor(now).is_some()
    }

    /// How long those last that are about to take a place.
    pub(crate) fn last_successor(&mut self, now: Instant) -> Option<Instant> {
        self.discard_late(now);
        let successors = self.reserved.values().filter(|reserved| reserved.controlled && reserved.succeeds);
        successors.map(|reserved| reserved.until).max()
    }

    fn next_moment(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }

    fn discard_late(&mut self, now: Instant) {
        while self.reservations.front().is_some_and(|(until, ..)| *until <= now) {
            self.discard_oldest();
        }
    }

    fn discard_oldest(&mut self) {
        let Some((_, created, id)) = self.reservations.pop_front() else { return };
        if self.reserved.get(&id).is_some_and(|reserved| reserved.created == created)
            && let Some(reserved) = self.reserved.remove(&id)
        {
            reserved.settled.cancel();
        }
    }
}
