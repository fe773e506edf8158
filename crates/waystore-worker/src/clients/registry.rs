//! Who is there: the clients of a site, those that navigations are about to make, and who controls them.
//!
//! A site has one registration, so a client is controlled by its active worker or by none. Pure: what
//! time it is comes from outside, and what is to be told is returned. Knows no queue but as something
//! that is kept for each client.

use std::{
    collections::{HashMap, VecDeque},
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

#[cfg(test)]
mod tests {
    use super::*;

    const BINDING: Duration = Duration::from_secs(10);

    fn registry() -> Registry<&'static str> {
        Registry::new(&Url::parse("https://a.test/app/").unwrap(), 3, BINDING)
    }

    fn page(id: &str, path: &str) -> ClientInfo {
        ClientInfo::window(id, Url::parse("https://a.test/").unwrap().join(path).unwrap())
    }

    fn connect(registry: &mut Registry<&'static str>, info: ClientInfo) -> bool {
        registry.connect(info, "kept", true, Instant::now()).unwrap()
    }

    fn ids(registry: &Registry<&'static str>, kind: Type, controlled_only: bool) -> String {
        let found = registry.matching(Wanted { kind, controlled_only });
        found.iter().map(|client| client.id.as_str()).collect()
    }

    const WINDOWS: Type = Type::Of(ClientKind::Window);

    #[test]
    fn a_client_that_nobody_reserved_is_controlled_in_the_scope_only_and_where_there_is_a_worker() {
        let mut registry = registry();
        assert!(connect(&mut registry, page("a", "/app/x")));
        assert!(!connect(&mut registry, page("b", "/other")));
        assert!(!registry.connect(page("c", "/app/x"), "kept", false, Instant::now()).unwrap());
    }

    #[test]
    fn a_reserved_client_is_controlled_as_its_navigation_was() {
        let mut registry = registry();
        let now = Instant::now();
        registry.reserve("free", now);
        registry.reserve("held", now);
        registry.control_reserved("held");
        assert!(!connect(&mut registry, page("free", "/app/")));
        assert!(connect(&mut registry, page("held", "/app/")));
    }

    #[test]
    fn a_reservation_ends_after_its_time() {
        let mut registry = registry();
        let now = Instant::now();
        registry.reserve("a", now);
        let Known::Reserved(settled, until) = registry.get("a", now) else { panic!("it is reserved") };
        assert_eq!(until, now + BINDING);
        assert!(matches!(registry.get("a", until), Known::None));
        assert!(settled.is_cancelled());
    }

    #[test]
    fn reservations_are_bounded_and_the_oldest_go_first() {
        let mut registry = registry();
        let now = Instant::now();
        for number in 0..MOST_RESERVED + 1 {
            registry.reserve(&number.to_string(), now);
        }
        assert_eq!(registry.reserved.len(), MOST_RESERVED);
        assert!(matches!(registry.get("0", now), Known::None));
        assert!(matches!(registry.get("1", now), Known::Reserved(..)));
        // An id that was bound and reserved again is not discarded with its first reservation.
        connect(&mut registry, page("1", "/app/"));
        registry.remove("1");
        registry.reserve("1", now);
        assert!(matches!(registry.get("1", now), Known::Reserved(..)));
    }

    #[test]
    fn clients_come_by_the_focus_they_had_last_then_by_their_creation_and_workers_come_last() {
        let mut registry = Registry::new(&Url::parse("https://a.test/").unwrap(), 9, BINDING);
        let worker = ClientInfo { kind: ClientKind::Worker, ..page("w", "/w.js") };
        connect(&mut registry, worker);
        registry.reserve("1", Instant::now());
        registry.control_reserved("1");
        for id in ["2", "3", "4"] {
            connect(&mut registry, page(id, "/x"));
        }
        connect(&mut registry, page("1", "/x"));
        let focus = ClientChange { focused: Some(true), ..ClientChange::default() };
        for id in ["2", "4"] {
            registry.update(id, focus.clone());
        }
        assert_eq!(ids(&registry, WINDOWS, true), "4213");
        assert_eq!(ids(&registry, Type::All, true), "4213w");
        assert_eq!(ids(&registry, Type::Of(ClientKind::Worker), false), "w");
        assert_eq!(ids(&registry, Type::Of(ClientKind::SharedWorker), false), "");
    }

    #[test]
    fn w54_only_controlled_clients_are_found_unless_others_are_asked_for() {
        let mut registry = registry();
        connect(&mut registry, page("a", "/other"));
        connect(&mut registry, page("b", "/app/"));
        assert_eq!(ids(&registry, WINDOWS, true), "b");
        assert_eq!(ids(&registry, WINDOWS, false), "ab");
    }

    #[test]
    fn who_claims_gets_the_free_clients_in_the_scope() {
        let mut registry = registry();
        registry.connect(page("a", "/app/"), "a", false, Instant::now()).unwrap();
        registry.connect(page("b", "/other"), "b", false, Instant::now()).unwrap();
        registry.connect(page("c", "/app/"), "c", true, Instant::now()).unwrap();
        assert_eq!(registry.claim(), [&"a"]);
        assert!(registry.claim().is_empty());
        let mut freed = registry.free();
        freed.sort();
        assert_eq!(freed, [&"a", &"c"]);
        assert!(!registry.is_used(Instant::now()));
    }

    #[test]
    fn who_is_too_many_or_a_stranger_or_there_already_is_refused() {
        let mut registry = registry();
        let mut refused = |info: ClientInfo| registry.connect(info, "kept", true, Instant::now()).unwrap_err();
        assert_eq!(refused(page("", "/")), ClientError::Id { bytes: 0 });
        assert_eq!(refused(page(&"x".repeat(129), "/")), ClientError::Id { bytes: 129 });
        let url = Url::parse("https://b.test/app/").unwrap();
        assert_eq!(refused(ClientInfo::window("a", url.clone())), ClientError::Origin { url: Box::new(url) });
        for id in ["a", "b", "c"] {
            registry.connect(page(id, "/app/"), "kept", true, Instant::now()).unwrap();
        }
        let again = registry.connect(page("a", "/app/"), "kept", true, Instant::now());
        assert_eq!(again, Err(ClientError::Taken { id: "a".to_owned() }));
        let more = registry.connect(page("d", "/app/"), "kept", true, Instant::now());
        assert_eq!(more, Err(ClientError::TooMany { most: 3 }));
    }

    #[test]
    fn a_page_that_is_reloaded_uses_the_worker_until_the_next_one_had_its_time() {
        let mut registry = registry();
        let now = Instant::now();
        registry.reserve("early", now);
        registry.control_reserved("early");
        assert!(!registry.is_used(now), "nobody's place is taken");
        connect(&mut registry, page("a", "/app/"));
        registry.reserve("b", now);
        registry.control_reserved("b");
        registry.remove("a");
        assert!(registry.is_used(now));
        registry.reserve("c", now);
        registry.control_reserved("c");
        assert_eq!(registry.last_successor(now), Some(now + BINDING));
        assert!(!registry.is_used(now + BINDING), "successors have no successors");
    }

    #[test]
    fn a_hundred_thousand_clients_that_come_and_go_leave_nothing() {
        let mut registry = registry();
        let now = Instant::now();
        for number in 0..100_000 {
            let id = number.to_string();
            registry.reserve(&id, now);
            assert!(registry.connect(page(&id, "/app/"), "kept", true, now).is_ok());
            registry.remove(&id);
        }
        assert!(registry.clients.is_empty() && registry.reserved.is_empty());
        assert!(registry.reservations.len() <= MOST_RESERVED && !registry.is_used(now));
    }
}
