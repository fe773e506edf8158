//! What is kept of a registration between two runs, and how it is written down.
//!
//! One cache of the bottle of registrations, named by the scope's URL, with an entry for the state
//! and one for each script of each version. All of them carry the request header
//! `Waystore-Worker`, and vary by it: `state` marks the state, a version's name its scripts. Whatever
//! changes is one batch, so that a process that is killed leaves the old registration or the new one.
//! Knows no engine and no lifecycle.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use http::Method;
use serde::{Deserialize, Serialize};
use url::Url;
use waystore::{BatchOperation, Cache, CacheQueryOptions, CacheStorage, Error, Request, RequestMode, Response};

use crate::{
    UpdateViaCache, WorkerType,
    lifecycle::WorkerState,
    policy::ScriptPolicy,
    routes::{self, Routes, Rule},
};

/// The header that tells versions of one URL apart.
const MARK: &str = "waystore-worker";
/// The longest state that is read.
const STATE_BYTES: usize = 4 << 20;

/// A registration as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) update_via_cache: UpdateViaCache,
    pub(crate) last_check_ms: Option<u64>,
    pub(crate) preload: Preload,
    /// How many versions there have been.
    pub(crate) versions: u64,
    pub(crate) waiting: Option<KeptWorker>,
    pub(crate) active: Option<KeptWorker>,
    /// The one that was active before.
    pub(crate) previous: Option<KeptWorker>,
    /// What a rollback led away from.
    pub(crate) barred: Option<Barred>,
    /// Whether the worker is switched off.
    pub(crate) off: bool,
}

/// A version as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptWorker {
    pub(crate) version: String,
    pub(crate) script: Url,
    pub(crate) state: WorkerState,
    pub(crate) event_types: BTreeSet<String>,
    pub(crate) routes: Arc<Routes>,
    pub(crate) worker_type: WorkerType,
    pub(crate) policy: ScriptPolicy,
    pub(crate) main: Bytes,
    pub(crate) imports: BTreeMap<Url, Bytes>,
}

/// The scripts of a version that update checks do not install again, by their hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Barred {
    pub(crate) version: String,
    main: String,
    imports: BTreeMap<Url, String>,
}

impl Barred {
    pub(crate) fn new(version: &str, main: &[u8], imports: &BTreeMap<Url, Bytes>) -> Self {
        let imports = imports.iter().map(|(url, script)| (url.clone(), hash(script))).collect();
        Self { version: version.to_owned(), main: hash(main), imports }
    }

    pub(crate) fn has_main(&self, main: &[u8]) -> bool {
        self.main == hash(main)
    }

    pub(crate) fn imports(&self) -> impl Iterator<Item = &Url> {
        self.imports.keys()
    }

    pub(crate) fn has_import(&self, url: &Url, script: &[u8]) -> bool {
        self.imports.get(url).is_some_and(|known| *known == hash(script))
    }
}

fn hash(script: &[u8]) -> String {
    blake3::hash(script).to_hex().to_string()
}

/// The state of navigation preload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Preload {
    pub(crate) enabled: bool,
    pub(crate) header_value: String,
}

impl Preload {
    /// The preload of `request`, if there is to be one.
    ///
    /// Spec: <https://w3c.github.io/ServiceWorker/#handle-fetch>
    pub(crate) fn request(&self, request: &Request) -> Option<Request> {
        if !self.enabled || request.mode != RequestMode::Navigate || request.method != Method::GET {
            return None;
        }
        // Script gave a byte string: a character is a byte.
        let value: Vec<u8> = self.header_value.chars().filter_map(|byte| u8::try_from(byte).ok()).collect();
        Some(request.without_body().header("Service-Worker-Navigation-Preload", value))
    }
}

impl Default for Preload {
    fn default() -> Self {
        Self { enabled: false, header_value: "true".to_owned() }
    }
}

/// The state entry's body.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    update_via_cache: UpdateViaCache,
    last_check_ms: Option<u64>,
    preload: Preload,
    versions: u64,
    waiting: Option<WorkerEntry>,
    active: Option<WorkerEntry>,
    #[serde(default)]
    previous: Option<WorkerEntry>,
    #[serde(default)]
    barred: Option<Barred>,
    #[serde(default)]
    off: bool,
}

/// One version in the state entry.
#[derive(Debug, Serialize, Deserialize)]
struct WorkerEntry {
    version: String,
    script: Url,
    state: WorkerState,
    event_types: BTreeSet<String>,
    #[serde(default)]
    routes: Vec<Rule>,
    #[serde(default)]
    worker_type: WorkerType,
    #[serde(default)]
    policy: ScriptPolicy,
    imports: Vec<Url>,
}

/// Where the registration of one scope is kept.
#[derive(Debug)]
pub(crate) struct Registrations {
    storage: CacheStorage,
    scope: Url,
}

impl Registrations {
    pub(crate) fn new(storage: CacheStorage, scope: Url) -> Self {
        Self { storage, scope }
    }

    /// Reads what is kept; `None` where nothing is, or where it cannot be used any more.
    pub(crate) async fn load(&self, script_bytes: usize) -> waystore::Result<Option<Kept>> {
        if !self.storage.has(self.scope.as_str()).await? {
            return Ok(None);
        }
        let cache = self.storage.open(self.scope.as_str()).await?;
        let Some(state) = read(&cache, &self.state_request(), STATE_BYTES).await? else { return Ok(None) };
        let state: State = match serde_json::from_slice(&state) {
            Ok(state) => state,
            Err(error) => {
                tracing::warn!(scope = %self.scope, %error, "the kept registration is unreadable; registering anew");
                return Ok(None);
            }
        };
        Ok(Some(Kept {
            update_via_cache: state.update_via_cache,
            last_check_ms: state.last_check_ms,
            preload: state.preload,
            versions: state.versions,
            waiting: self.load_worker(&cache, state.waiting, script_bytes).await?,
            active: self.load_worker(&cache, state.active, script_bytes).await?,
            previous: self.load_worker(&cache, state.previous, script_bytes).await?,
            barred: state.barred,
            off: state.off,
        }))
    }

    async fn load_worker(
        &self,
        cache: &Cache,
        entry: Option<WorkerEntry>,
        script_bytes: usize,
    ) -> waystore::Result<Option<KeptWorker>> {
        let Some(entry) = entry else { return Ok(None) };
        let ground = routes::Ground { script: &entry.script, listens: entry.event_types.contains("fetch") };
        let routes = match Routes::default().with(entry.routes, ground) {
            Ok(routes) => Arc::new(routes),
            Err(reason) => {
                tracing::warn!(scope = %self.scope, version = entry.version, reason, "a kept route cannot be used; the version is dropped");
                return Ok(None);
            }
        };
        let gone = |url: &Url| {
            tracing::warn!(scope = %self.scope, version = entry.version, script = %url, "a kept script is gone; the version is dropped");
        };
        let Some(main) = read(cache, &marked(&entry.script, &entry.version), script_bytes).await? else {
            gone(&entry.script);
            return Ok(None);
        };
        let mut imports = BTreeMap::new();
        for url in &entry.imports {
            let Some(script) = read(cache, &import_request(url, &entry.version), script_bytes).await? else {
                gone(url);
                return Ok(None);
            };
            imports.insert(url.clone(), script);
        }
        let WorkerEntry { version, script, state, event_types, worker_type, policy, .. } = entry;
        Ok(Some(KeptWorker { version, script, state, event_types, routes, worker_type, policy, main, imports }))
    }

    /// Writes `new` in the place of `old`, in one batch.
    pub(crate) async fn save(&self, old: Option<&Kept>, new: &Kept) -> waystore::Result<()> {
        let cache = self.storage.open(self.scope.as_str()).await?;
        let mut batch = Vec::new();
        for worker in old.into_iter().flat_map(Kept::workers) {
            if new.workers().all(|kept| kept.version != worker.version) {
                batch.extend(scripts(worker).map(|(request, _)| {
                    let options = CacheQueryOptions::default();
                    BatchOperation::Delete { request, options }
                }));
            }
        }
        for worker in new.workers() {
            if old.into_iter().flat_map(Kept::workers).all(|kept| kept.version != worker.version) {
                batch.extend(scripts(worker).map(|(request, script)| put(request, script.clone())));
            }
        }
        batch.push(put(self.state_request(), self.encode(new)?));
        cache.batch(batch).await.map(drop)
    }

    /// Removes the registration.
    pub(crate) async fn remove(&self) -> waystore::Result<bool> {
        self.storage.delete(self.scope.as_str()).await
    }

    fn encode(&self, kept: &Kept) -> waystore::Result<Bytes> {
        let entry = |worker: &KeptWorker| WorkerEntry {
            version: worker.version.clone(),
            script: worker.script.clone(),
            state: worker.state,
            event_types: worker.event_types.clone(),
            routes: worker.routes.rules().to_vec(),
            worker_type: worker.worker_type,
            policy: worker.policy,
            imports: worker.imports.keys().cloned().collect(),
        };
        let state = State {
            update_via_cache: kept.update_via_cache,
            last_check_ms: kept.last_check_ms,
            preload: kept.preload.clone(),
            versions: kept.versions,
            waiting: kept.waiting.as_ref().map(entry),
            active: kept.active.as_ref().map(entry),
            previous: kept.previous.as_ref().map(entry),
            barred: kept.barred.clone(),
            off: kept.off,
        };
        serde_json::to_vec(&state).map(Bytes::from).map_err(Error::unavailable)
    }

    fn state_request(&self) -> Request {
        marked(&self.scope, "state")
    }
}

impl Kept {
    fn workers(&self) -> impl Iterator<Item = &KeptWorker> {
        self.waiting.iter().chain(&self.active).chain(&self.previous)
    }
}

/// The entries of a version's scripts.
fn scripts(worker: &KeptWorker) -> impl Iterator<Item = (Request, &Bytes)> {
    let main = (marked(&worker.script, &worker.version), &worker.main);
    let imports = worker.imports.iter().map(|(url, script)| (import_request(url, &worker.version), script));
    std::iter::once(main).chain(imports)
}

/// An import has a mark of its own: a script may import its own URL, and get other bytes.
fn import_request(url: &Url, version: &str) -> Request {
    marked(url, &format!("{version} import"))
}

fn marked(url: &Url, mark: &str) -> Request {
    Request::from(url.clone()).header(MARK, mark)
}

fn put(request: Request, body: Bytes) -> BatchOperation {
    let response = Response::new(body).header("vary", MARK);
    BatchOperation::Put { request, response }
}

async fn read(cache: &Cache, request: &Request, limit: usize) -> waystore::Result<Option<Bytes>> {
    let Some(found) = cache.match_(request, CacheQueryOptions::default()).await? else { return Ok(None) };
    Ok(Some(found.body.unwrap_or_default().collect(limit).await?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use waystore::{EmbedderPolicy, ReferrerPolicy, Waystore};

    use super::*;

    fn worker(version: &str, state: WorkerState) -> KeptWorker {
        let script = Url::parse("https://a.test/sw.js").unwrap();
        let rule = json!({ "condition": { "urlPattern": { "text": "/x" } }, "source": "fetch-event" });
        let rule = serde_json::from_value(rule).unwrap();
        let ground = routes::Ground { script: &script, listens: true };
        KeptWorker {
            version: version.to_owned(),
            script: script.clone(),
            state,
            event_types: ["fetch".to_owned()].into(),
            routes: Arc::new(Routes::default().with(vec![rule], ground).unwrap()),
            worker_type: WorkerType::Module,
            policy: ScriptPolicy { embedder: EmbedderPolicy::RequireCorp, referrer: ReferrerPolicy::Origin },
            main: Bytes::from(format!("main of {version}")),
            imports: [(script, Bytes::from("imports itself"))].into(),
        }
    }

    fn kept(waiting: Option<KeptWorker>, active: Option<KeptWorker>) -> Kept {
        let preload = Preload::default();
        let previous = Some(worker("z", WorkerState::Redundant));
        let barred = Some(Barred::new("y", b"main", &BTreeMap::new()));
        let (update_via_cache, last_check_ms) = (UpdateViaCache::All, Some(7));
        Kept { update_via_cache, last_check_ms, preload, versions: 3, waiting, active, previous, barred, off: true }
    }

    #[tokio::test]
    async fn what_was_saved_is_loaded_and_old_versions_are_gone() {
        let storage = Waystore::in_memory().registrations("https://a.test/").unwrap();
        let scope = Url::parse("https://a.test/").unwrap();
        let registrations = Registrations::new(storage.clone(), scope);
        assert_eq!(registrations.load(100).await.unwrap(), None);
        let one = kept(Some(worker("b", WorkerState::Installed)), Some(worker("a", WorkerState::Activated)));
        registrations.save(None, &one).await.unwrap();
        assert_eq!(registrations.load(100).await.unwrap().as_ref(), Some(&one));
        let two = kept(None, Some(worker("b", WorkerState::Activating)));
        registrations.save(Some(&one), &two).await.unwrap();
        assert_eq!(registrations.load(100).await.unwrap().as_ref(), Some(&two));
        let cache = storage.open("https://a.test/").await.unwrap();
        assert_eq!(cache.keys((), CacheQueryOptions::default()).await.unwrap().len(), 5);
    }

    #[tokio::test]
    async fn an_unreadable_state_counts_as_none() {
        let storage = Waystore::in_memory().registrations("https://a.test/").unwrap();
        let scope = Url::parse("https://a.test/").unwrap();
        let registrations = Registrations::new(storage.clone(), scope);
        let cache = storage.open("https://a.test/").await.unwrap();
        cache.put(registrations.state_request(), Response::new("{").header("vary", MARK)).await.unwrap();
        assert_eq!(registrations.load(100).await.unwrap(), None);
    }
}
