//! A script of operations, what there is after each, and a look at what there is.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures::StreamExt;
use url::Url;
use waystore::{
    BodyError, Bottle, CacheName, Clock, Place, RequestHead, ResponseHead, Result, StorageKey,
    store::{
        Candidate, CandidateBody, Changes, Commit, Entry, INLINE_BYTES, List, ListChange, NameChange, NewBody,
        NewEntry, Read, ReadSet, Store, UrlMatch, Usage,
        disk::{DiskOptions, DiskStore, Durability, sim::SimDisk},
    },
};

pub fn key() -> StorageKey {
    StorageKey::new("https://a.test").unwrap()
}

pub fn place() -> Place {
    Place::new(key(), Bottle::Caches)
}

/// Options without a thread, so that a run can be repeated, and with short segments.
pub fn options(durability: Durability) -> DiskOptions {
    DiskOptions::default().durability(durability).sync_every(None).segment_bytes(128 * 1024)
}

pub fn relaxed() -> DiskOptions {
    options(Durability::Relaxed)
}

pub fn clock() -> Arc<Clock> {
    Arc::new(Clock::fixed(1_700_000_000_000, 7))
}

pub fn open(disk: &SimDisk, options: DiskOptions) -> Result<DiskStore> {
    DiskStore::open_on(Arc::new(disk.clone()), Arc::new(Clock::fixed(1_700_000_000_000, disk.changes())), options)
}

/// One step of a script. Bodies are named by their length; each has its own content.
#[derive(Debug, Clone, Copy)]
pub enum Op {
    Open(&'static str),
    Drop(&'static str),
    Rename(&'static str, &'static str),
    Put(&'static str, &'static [(&'static str, usize)]),
    Delete(&'static str, &'static str),
    /// One batch over several caches: what is put in each.
    PutInto(&'static [(&'static str, &'static [(&'static str, usize)])]),
    /// Every name of the origin goes at once.
    DropAll,
    Tick,
    /// The store is closed and opened again; for whoever runs the script to do.
    Reopen,
}

/// What there is: names in order, and in each the URLs and lengths in order.
pub type State = Vec<(String, Vec<(String, usize)>)>;

/// What there is after `op`.
pub fn after(state: &State, op: Op) -> State {
    let mut state = state.clone();
    let find = |state: &State, name: &str| state.iter().position(|(other, _)| other == name);
    match op {
        Op::Open(name) if find(&state, name).is_none() => state.push((name.into(), Vec::new())),
        Op::Drop(name) => state.retain(|(other, _)| other != name),
        Op::Rename(from, to) => {
            let place = find(&state, from).unwrap();
            let mut renamed = state.remove(place);
            renamed.0 = to.into();
            match find(&state, to) {
                Some(at) => state[at] = renamed,
                None => state.insert(place, renamed),
            }
        }
        Op::Put(name, puts) => return after_put(state, &[(name, puts)]),
        Op::PutInto(caches) => return after_put(state, caches),
        Op::DropAll => state.clear(),
        Op::Delete(name, url) => {
            let at = find(&state, name).unwrap();
            state[at].1.retain(|(other, _)| other != url);
        }
        Op::Open(_) | Op::Tick | Op::Reopen => {}
    }
    state
}

fn after_put(mut state: State, caches: &[(&str, &[(&str, usize)])]) -> State {
    for (name, puts) in caches {
        let entries = &mut state.iter_mut().find(|(other, _)| other == name).unwrap().1;
        entries.retain(|(url, _)| !puts.iter().any(|put| put.0 == url));
        entries.extend(puts.iter().map(|(url, length)| ((*url).to_owned(), *length)));
    }
    state
}

/// The states before the first and after each of `ops`.
pub fn states(ops: &[Op]) -> Vec<State> {
    let mut states = vec![State::new()];
    for op in ops {
        let next = after(states.last().unwrap(), *op);
        states.push(next);
    }
    states
}

/// Does `op`; whether it is said to be done.
pub async fn apply(store: &DiskStore, op: Op) -> bool {
    let done = match op {
        Op::Open(name) => names(store, NameChange::Bind(place(), name.into())).await,
        Op::Drop(name) => names(store, NameChange::Unbind(place(), name.into())).await,
        Op::Rename(from, to) => {
            names(store, NameChange::Rename { place: place(), from: from.into(), to: to.into() }).await
        }
        Op::Put(name, puts) => put(store, name, puts).await,
        Op::PutInto(caches) => put_into(store, caches).await,
        Op::Delete(name, url) => delete(store, name, url).await,
        Op::DropAll => drop_all(store).await,
        Op::Tick => store.tick().map(|()| Commit::Applied),
        Op::Reopen => Ok(Commit::Applied),
    };
    matches!(done, Ok(Commit::Applied))
}

pub async fn names(store: &DiskStore, change: NameChange) -> Result<Commit> {
    commit(store, &ReadSet::default(), Changes { names: vec![change], lists: vec![] }).await
}

pub async fn put(store: &DiskStore, name: &str, puts: &[(&str, usize)]) -> Result<Commit> {
    put_into(store, &[(name, puts)]).await
}

/// Puts into several caches in one commit.
pub async fn put_into(store: &DiskStore, caches: &[(&str, &[(&str, usize)])]) -> Result<Commit> {
    let (mut read, mut lists) = (ReadSet::default(), Vec::new());
    for (name, puts) in caches {
        let list = list(store, name).await;
        let urls: Vec<_> = puts.iter().map(|(url, _)| full(url)).collect();
        let reads: Vec<_> = urls.iter().map(|url| Read { list: &list, url: UrlMatch::Exact(url) }).collect();
        let (seen, old) = store.candidates(&reads).await?;
        let mut insert = Vec::new();
        for (url, length) in *puts {
            insert.push(NewEntry { entry: entry(url), body: new_body(store, *length).await? });
        }
        read.0.extend(seen.0);
        let remove = old.iter().map(|candidate| candidate.id).collect();
        lists.push(ListChange { list: list.clone(), remove, insert });
    }
    commit(store, &read, Changes { names: vec![], lists }).await
}

/// What eviction of the origin does.
pub async fn drop_all(store: &DiskStore) -> Result<Commit> {
    let bound = store.names(&place()).await?.into_iter();
    let names = bound.map(|(name, _)| NameChange::Unbind(place(), name)).collect();
    commit(store, &ReadSet::default(), Changes { names, lists: vec![] }).await
}

pub async fn delete(store: &DiskStore, name: &str, url: &str) -> Result<Commit> {
    let list = list(store, name).await;
    let url = full(url);
    let (read, old) = store.candidates(&[Read { list: &list, url: UrlMatch::Exact(&url) }]).await?;
    let remove = old.iter().map(|candidate| candidate.id).collect();
    let change = ListChange { list: list.clone(), remove, insert: vec![] };
    commit(store, &read, Changes { names: vec![], lists: vec![change] }).await
}

pub async fn commit(store: &DiskStore, read: &ReadSet, changes: Changes) -> Result<Commit> {
    store.commit(&key(), Clock::fixed(0, 1).op_id(), read, &changes).await
}

pub async fn list(store: &DiskStore, name: &str) -> List {
    store.list(&place(), &CacheName::from(name)).await.unwrap().unwrap()
}

pub fn full(url: &str) -> String {
    format!("https://a.test{url}")
}

pub fn entry(url: &str) -> Entry {
    let url = Url::parse(&full(url)).unwrap();
    Entry::new(&RequestHead::get(url), &ResponseHead::default())
}

/// A body of `length` bytes: the same length always gives the same bytes, made once.
pub fn content(length: usize) -> Bytes {
    static MADE: Mutex<BTreeMap<usize, Bytes>> = Mutex::new(BTreeMap::new());
    let make = || (0..length).map(|at| (at.wrapping_mul(31) ^ (at >> 8) ^ length) as u8).collect();
    MADE.lock().unwrap_or_else(PoisonError::into_inner).entry(length).or_insert_with(make).clone()
}

pub async fn new_body(store: &DiskStore, length: usize) -> Result<NewBody> {
    if length <= INLINE_BYTES {
        return Ok(NewBody::Inline(content(length)));
    }
    let mut writer = store.write_body(&key());
    for chunk in content(length).chunks(50_000) {
        writer.write(Bytes::copy_from_slice(chunk)).await?;
    }
    Ok(NewBody::Written(writer.finish().await?))
}

pub async fn read(candidate: &Candidate) -> Result<Bytes, BodyError> {
    match &candidate.body {
        CandidateBody::Null => Ok(Bytes::new()),
        CandidateBody::Inline(bytes) => Ok(bytes.clone()),
        CandidateBody::Stored(_) | CandidateBody::Among(..) => {
            let mut bytes = Vec::new();
            let mut stream = candidate.body.stored().unwrap().open();
            while let Some(chunk) = stream.next().await {
                bytes.extend_from_slice(&chunk?);
            }
            Ok(bytes.into())
        }
    }
}

/// What there is. Every body is read; one that fails is as good as no entry, one that is wrong is
/// the end of the test.
pub async fn state(store: &DiskStore) -> State {
    let mut state = State::new();
    for (name, list) in store.names(&place()).await.unwrap() {
        let mut entries = Vec::new();
        for candidate in store.page(&list, None, usize::MAX).await.unwrap() {
            let url = candidate.entry.url().strip_prefix("https://a.test").unwrap().to_owned();
            if let Ok(body) = read(&candidate).await {
                assert_eq!(body, content(body.len()), "{url} has bytes that nobody stored");
                entries.push((url, body.len()));
            }
        }
        state.push((name.to_string(), entries));
    }
    state
}

/// The books say what a look at everything says.
pub async fn assert_counted(store: &DiskStore, what: &str) {
    let mut counted = Vec::new();
    for (name, list) in store.names(&place()).await.unwrap() {
        counted.push(Usage::of_name(&name));
        counted.extend(store.page(&list, None, usize::MAX).await.unwrap().iter().map(Candidate::usage));
    }
    let counted: Usage = counted.into_iter().sum();
    assert_eq!(store.usage(Some(&key())).await.unwrap(), counted, "{what}");
    assert_eq!(store.usage(None).await.unwrap(), counted, "{what}");
}

/// The lengths of the large bodies in `state`, each once: there is a file for each and no other.
pub fn assert_no_strays(disk: &SimDisk, state: &State) {
    let mut wanted: Vec<_> = state
        .iter()
        .flat_map(|(_, entries)| entries.iter().map(|(_, length)| *length))
        .filter(|length| *length > INLINE_BYTES)
        .map(|length| length + 8 * length.div_ceil(64 * 1024))
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    let files = disk.files();
    let mut bodies: Vec<_> =
        files.iter().filter(|(path, _)| path.starts_with("bodies/")).map(|(_, length)| *length).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, wanted, "in {files:?}");
    assert!(!files.iter().any(|(path, _)| path.starts_with("tmp/")), "in {files:?}");
}
