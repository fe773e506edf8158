//! A run: each step is done by the store and by the lists, and both are compared.

use waystore::{
    BatchOperation, Body, Bottle, Cache, CacheQueryOptions, CacheStorage, CredentialHash, EntryRange, Error,
    MultiCacheQueryOptions, Place, Request, Response, ResponseHead, ResponseType, StorageKey, Visitor, Waystore,
    store::{Candidate, Usage},
};

use super::{
    list::{self, Answer, Asked, Item, Options, Refused, Step, Who},
    place::{Opened, Where, clock},
    steps::{Action, HANDLES},
    world::World,
};

const ORIGIN: &str = "https://a.test";

/// An entry: its URL, whom it is for, and what its body is made of.
type Found = (String, Who, Option<(u32, usize)>);

pub struct Run {
    place: Where,
    opened: Opened,
    caches: CacheStorage,
    handles: [Option<Cache>; HANDLES],
    world: World,
}

/// What may have become of a step that failed.
enum Outcome {
    Done,
    /// Nothing was changed.
    Undone,
    Unknown,
}

impl Run {
    pub async fn new(place: Where) -> Self {
        let opened = place.open();
        let caches = caches_of(&opened);
        Self { place, opened, caches, handles: [const { None }; HANDLES], world: World::default() }
    }

    pub async fn step(&mut self, action: Action) {
        let before = self.world.clone();
        match self.act(&action).await {
            Outcome::Done => self.compare(&action).await,
            Outcome::Undone => {
                self.world = before;
                self.compare(&action).await;
                // A disk that failed may be refused from then on.
                self.kill(&action).await;
            }
            Outcome::Unknown => {
                let after = std::mem::replace(&mut self.world, before);
                self.reopen_killed();
                if !self.is_as_the_model().await {
                    self.world = after;
                    self.world.restart();
                    self.compare(&action).await;
                }
                // Until then, power loss may still take it.
                self.opened.store().sync().await.unwrap();
            }
        }
    }

    pub async fn end(&mut self) {
        self.kill(&Action::Kill).await;
        self.close_and_open();
        self.compare(&Action::Restart).await;
    }

    async fn act(&mut self, action: &Action) -> Outcome {
        match action.clone() {
            Action::Open { name, handle } => {
                let list = self.world.open(name);
                let opened = self.caches.open(name).await;
                self.world.handles[handle] = Some(list);
                outcome(opened.map(|cache| self.handles[handle] = Some(cache)))
            }
            Action::Has(name) => {
                assert_eq!(self.caches.has(name).await.unwrap(), self.world.find(name).is_some());
                Outcome::Done
            }
            Action::Drop(name) => {
                let there = self.world.delete(name);
                outcome(self.caches.delete(name).await.map(|done| assert_eq!(done, there)))
            }
            Action::Rename(from, to) => {
                let there = self.world.rename(from, to);
                outcome(self.caches.rename(from, to).await.map(|done| assert_eq!(done, there)))
            }
            Action::Batch(handle, steps) => self.batch(handle, steps).await,
            Action::Several(batches) => self.several(batches).await,
            Action::Tick => {
                self.opened.tick();
                Outcome::Done
            }
            Action::Restart => {
                self.close_and_open();
                Outcome::Done
            }
            Action::Kill => {
                self.kill(action).await;
                Outcome::Done
            }
            Action::LosePower(seed) => {
                if let Some(disk) = self.place.disk().filter(|_| self.place.is_strict()) {
                    disk.lose_power(seed);
                    self.reopen_killed();
                }
                Outcome::Done
            }
            Action::Fail(changes, seed) => {
                if let Some(disk) = self.place.disk() {
                    disk.fail_change_after(changes, seed);
                }
                Outcome::Done
            }
            Action::Match(..) | Action::MatchAll(..) | Action::Keys(..) | Action::MatchAny(..) => {
                self.look(action).await;
                Outcome::Done
            }
        }
    }

    async fn batch(&mut self, handle: usize, steps: Vec<Step>) -> Outcome {
        let Some(cache) = self.handles[handle].clone() else { return Outcome::Done };
        let expected = self.world.batch(&[(handle, steps.clone())]).map(|removed| removed[0].clone());
        // Where it is one step, the method for that is called.
        let done = match (&steps[..], operations(&steps).pop().unwrap()) {
            ([_], BatchOperation::Put { request, response }) => {
                let removed = expected.clone().unwrap_or_default();
                cache.put(request, response).await.map(|()| removed)
            }
            ([_], BatchOperation::Delete { request, options }) => {
                let removed = expected.clone().unwrap_or_default();
                let there = removed.first().is_some_and(|count| *count > 0);
                cache.delete(request, options).await.map(|done| assert_eq!(done, there)).map(|()| removed)
            }
            _ => cache.batch(operations(&steps)).await,
        };
        agree(done, expected)
    }

    async fn several(&mut self, mut batches: Vec<(usize, Vec<Step>)>) -> Outcome {
        batches.retain(|(handle, _)| self.handles[*handle].is_some());
        let expected = self.world.batch(&batches);
        let cache = |handle: usize| self.handles[handle].clone().unwrap();
        let all = batches.iter().map(|(handle, steps)| (cache(*handle), operations(steps))).collect();
        agree(self.caches.batch(all).await, expected)
    }

    async fn look(&self, action: &Action) {
        match action {
            Action::Match(handle, asked, how) => {
                let (Some(cache), Some(list)) = (&self.handles[*handle], self.list(*handle)) else { return };
                let found = cache.match_(&request(asked), options(*how)).await.unwrap();
                let expected = list::query(list, asked, *how).into_iter().next();
                assert_eq!(answers(found).await, expected.map(|item| item.answer.body).into_iter().collect::<Vec<_>>());
            }
            Action::MatchAll(handle, asked, how) => {
                let (Some(cache), Some(list)) = (&self.handles[*handle], self.list(*handle)) else { return };
                let (found, expected) = match asked {
                    Some(asked) => {
                        (cache.match_all(&request(asked), options(*how)).await, list::query(list, asked, *how))
                    }
                    None => (cache.match_all((), options(*how)).await, list::all(list)),
                };
                let expected: Vec<_> = expected.into_iter().map(|item| item.answer.body).collect();
                assert_eq!(answers(found.unwrap()).await, expected);
            }
            Action::Keys(handle, asked, how) => {
                let (Some(cache), Some(list)) = (&self.handles[*handle], self.list(*handle)) else { return };
                let (found, expected) = match asked {
                    Some(asked) => (cache.keys(&request(asked), options(*how)).await, list::keys(list, asked, *how)),
                    None => (cache.keys((), options(*how)).await, list.clone()),
                };
                let found: Vec<_> = found.unwrap().iter().map(|key| key.url.to_string()).collect();
                assert_eq!(found, expected.iter().map(|item| url(&item.asked)).collect::<Vec<_>>());
            }
            Action::MatchAny(name, asked, how) => {
                let how_many = MultiCacheQueryOptions { query: options(*how), cache_name: name.map(Into::into) };
                let found = self.caches.match_(&request(asked), how_many).await.unwrap();
                let searched = self.world.names.iter().filter(|(other, _)| name.is_none_or(|name| name == *other));
                let mut expected = searched
                    .flat_map(|(_, list)| list::query(&self.world.lists[*list], asked, *how).into_iter().next());
                let expected: Vec<_> = expected.next().map(|item| item.answer.body).into_iter().collect();
                assert_eq!(answers(found).await, expected);
            }
            _ => {}
        }
    }

    fn list(&self, handle: usize) -> Option<&list::List> {
        Some(&self.world.lists[self.world.handles[handle]?])
    }

    /// Closes the store, and opens it again.
    fn close_and_open(&mut self) {
        if !self.opened.forgets() {
            return;
        }
        self.let_go();
        self.open_again();
    }

    async fn kill(&mut self, action: &Action) {
        if let Some(disk) = self.place.disk() {
            disk.restart();
            self.reopen_killed();
            self.compare(action).await;
        }
    }

    /// What is open is of a process that ended.
    fn reopen_killed(&mut self) {
        if let Some(disk) = self.place.disk() {
            // A second time does no harm, and nothing that is closed now changes anything.
            disk.stop_after(0, 0);
            self.let_go();
            self.place.disk().into_iter().for_each(|disk| disk.restart());
            self.open_again();
        }
    }

    /// Lets go of whatever keeps the store open.
    fn let_go(&mut self) {
        self.handles = [const { None }; HANDLES];
        self.world.restart();
        let nothing = Where::memory().open();
        self.caches = caches_of(&nothing);
        self.opened = nothing;
    }

    fn open_again(&mut self) {
        self.opened = self.place.open();
        self.caches = caches_of(&self.opened);
    }

    async fn compare(&self, action: &Action) {
        let (found, expected) = (self.everything().await, self.expected());
        assert_eq!(found, expected, "after {action:?}");
        let doomed =
            self.world.handles.iter().flatten().any(|list| self.world.names.iter().all(|name| name.1 != *list));
        if !doomed {
            self.assert_counted(action).await;
        }
    }

    async fn is_as_the_model(&self) -> bool {
        self.everything().await == self.expected()
    }

    /// Names in order, and what is in the list of each; then what is in that of each handle.
    async fn everything(&self) -> Vec<(String, Vec<Found>)> {
        let mut all = Vec::new();
        for name in self.caches.keys().await.unwrap() {
            let cache = self.caches.open(&name).await.unwrap();
            all.push((name.to_string(), entries(&cache).await));
        }
        for (number, handle) in self.handles.iter().enumerate() {
            if let Some(cache) = handle {
                all.push((format!("handle {number}"), entries(cache).await));
            }
        }
        all
    }

    fn expected(&self) -> Vec<(String, Vec<Found>)> {
        let items = |list: usize| {
            let item = |item: &Item| (url(&item.asked), item.owner(), item.answer.body);
            self.world.lists[list].iter().map(item).collect()
        };
        let mut all: Vec<_> = self.world.names.iter().map(|(name, list)| ((*name).to_owned(), items(*list))).collect();
        for (number, handle) in self.world.handles.iter().enumerate() {
            all.extend(handle.map(|list| (format!("handle {number}"), items(list))));
        }
        all
    }

    /// The books say what a look at everything says.
    async fn assert_counted(&self, action: &Action) {
        let store = self.opened.store();
        let place = Place::new(StorageKey::new(ORIGIN).unwrap(), Bottle::Caches);
        let mut counted = Usage::default();
        for (name, list) in store.names(&place).await.unwrap() {
            counted += Usage::of_name(&name);
            counted += store.page(&list, None, usize::MAX).await.unwrap().iter().map(Candidate::usage).sum();
        }
        assert_eq!(store.usage(None).await.unwrap(), counted, "after {action:?}");
    }
}

fn caches_of(opened: &Opened) -> CacheStorage {
    Waystore::with_store(opened.store(), clock()).caches(ORIGIN).unwrap()
}

/// What an error says about what was changed.
fn outcome(done: waystore::Result<()>) -> Outcome {
    match done {
        Ok(()) => Outcome::Done,
        Err(Error::OutcomeUnknown { .. }) => Outcome::Unknown,
        Err(Error::Unavailable { .. } | Error::QuotaExceeded { .. }) => Outcome::Undone,
        Err(error) => panic!("{error}"),
    }
}

/// A batch is done or refused as the model has it; or the disk failed.
fn agree<T: PartialEq + std::fmt::Debug>(done: waystore::Result<T>, expected: Result<T, Refused>) -> Outcome {
    match (done, expected) {
        (Ok(done), Ok(expected)) => assert_eq!(done, expected),
        (Err(Error::Type { .. }), Err(Refused::Type)) | (Err(Error::Duplicate { .. }), Err(Refused::InvalidState)) => {}
        (Err(error @ (Error::OutcomeUnknown { .. } | Error::Unavailable { .. } | Error::QuotaExceeded { .. })), _) => {
            return outcome(Err(error));
        }
        (done, expected) => panic!("{done:?}, and not {expected:?}"),
    }
    Outcome::Done
}

fn operations(steps: &[Step]) -> Vec<BatchOperation> {
    let operation = |step: &Step| match step {
        Step::Put(asked, answer) => BatchOperation::Put { request: request(asked), response: response(asked, answer) },
        Step::Delete(asked, how) => BatchOperation::Delete { request: request(asked), options: options(*how) },
    };
    steps.iter().map(operation).collect()
}

fn url(asked: &Asked) -> String {
    format!("{ORIGIN}{}{}{}", asked.path, asked.query, asked.fragment)
}

fn request(asked: &Asked) -> Request {
    let mut request = Request::get(&url(asked)).unwrap();
    request.head.method = asked.method.parse().unwrap();
    for (name, lines) in [("X", asked.x), ("y", asked.y)] {
        request = lines.iter().fold(request, |request, line| request.header(name, line));
    }
    request.visitor = match asked.who {
        Who::Anybody => None,
        Who::Visitor(number) => Some(Visitor { credentials: Some(hash(number)), event: hash(100) }),
        Who::Event(number) => Some(Visitor { credentials: None, event: hash(50 + number) }),
    };
    request
}

fn response(asked: &Asked, answer: &Answer) -> Response {
    let personal = match asked.who {
        _ if !answer.personal => None,
        Who::Anybody => None,
        Who::Visitor(number) => Some(hash(number)),
        Who::Event(number) => Some(hash(50 + number)),
    };
    let kind = if answer.opaque { ResponseType::Opaque } else { ResponseType::Default };
    let head = ResponseHead { kind, personal, ..ResponseHead::with_status(200) };
    let body = answer.body.map(|(seed, length)| Body::from(content(seed, length)));
    let response = Response::from_parts(head, body);
    if answer.vary.is_empty() { response } else { response.header("Vary", answer.vary) }
}

fn options(how: Options) -> CacheQueryOptions {
    CacheQueryOptions { ignore_search: how.search, ignore_method: how.method, ignore_vary: how.vary }
}

fn hash(number: u8) -> CredentialHash {
    CredentialHash([number; 16])
}

/// Whose hash this is.
fn who(personal: Option<CredentialHash>) -> Who {
    match personal.map(|hash| hash.0[0]) {
        None => Who::Anybody,
        Some(number @ 0..50) => Who::Visitor(number),
        Some(number) => Who::Event(number - 50),
    }
}

/// The seed again and again, and the rest of the length.
fn content(seed: u32, length: usize) -> Vec<u8> {
    let (seed, length) = (seed.to_le_bytes(), length + 4);
    seed.iter().copied().cycle().take(length).collect()
}

/// The seed and the length that make this content; any other is the end of the test.
async fn body(body: Option<Body>) -> Option<(u32, usize)> {
    let bytes = body?.collect(1 << 20).await.unwrap();
    let seed = u32::from_le_bytes(*bytes.first_chunk().unwrap());
    let length = bytes.len() - 4;
    assert!(bytes == content(seed, length), "a body has bytes that nobody stored");
    Some((seed, length))
}

async fn answers(found: impl IntoIterator<Item = Response>) -> Vec<Option<(u32, usize)>> {
    let mut answers = Vec::new();
    for response in found {
        answers.push(body(response.body).await);
    }
    answers
}

async fn entries(cache: &Cache) -> Vec<Found> {
    let mut walk = cache.entries(&EntryRange::all()).unwrap();
    let mut entries = Vec::new();
    while let Some(entry) = walk.next().await.unwrap() {
        let answer = body(entry.response().unwrap().body).await;
        entries.push((entry.url().to_owned(), who(entry.personal()), answer));
    }
    entries
}
