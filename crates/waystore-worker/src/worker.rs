//! One version of a worker: its scripts, what they listen to, and its isolates.
//!
//! Knows no lifecycle: whether an event may be sent is decided before.

mod pool;

use std::{
    fmt,
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use url::Url;
use waystore::{CacheStorage, RequestHead};

use self::pool::Pool;
pub(crate) use self::pool::{NoIsolate, Taker};
use crate::{
    Limits, SiteHost, UpdateViaCache,
    airwaves::Airwaves,
    isolate::{EventTypes, Isolate, Launch, Views},
    js::scope::Link,
    lifecycle::{Id, WorkerState},
    registration::KeptWorker,
    routes::{self, Routes, Rule, Source},
    script::ScriptMap,
    trouble::{LastError, Trouble},
};

/// A version of a worker.
pub(crate) struct Worker {
    pub(crate) id: Id,
    pub(crate) version: String,
    pub(crate) script: Url,
    pub(crate) scripts: Arc<ScriptMap>,
    event_types: OnceLock<EventTypes>,
    routes: RwLock<Arc<Routes>>,
    ground: Ground,
    link: Arc<dyn Link>,
    pool: Pool,
    pub(crate) trouble: Arc<Trouble>,
}

/// What every worker of a site stands on.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) scope: Url,
    pub(crate) update_via_cache: UpdateViaCache,
    pub(crate) caches: CacheStorage,
    pub(crate) host: SiteHost,
    pub(crate) limits: Limits,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) views: Arc<Views>,
    pub(crate) airwaves: Arc<Airwaves>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Worker {
    /// A new version, not evaluated yet.
    pub(crate) fn new(
        id: Id,
        version: String,
        script: Url,
        scripts: ScriptMap,
        ground: Ground,
        link: Arc<dyn Link>,
    ) -> Self {
        Self {
            id,
            version,
            script,
            scripts: Arc::new(scripts),
            event_types: OnceLock::new(),
            routes: RwLock::default(),
            pool: Pool::new(ground.limits.isolates),
            trouble: Arc::new(Trouble::new(Arc::clone(&ground.host.clock))),
            ground,
            link,
        }
    }

    /// A version that was installed before.
    pub(crate) fn restored(id: Id, kept: KeptWorker, ground: Ground, link: Arc<dyn Link>) -> Self {
        let scripts = ScriptMap::stored(kept.worker_type, kept.policy, kept.main, kept.imports);
        let worker = Self::new(id, kept.version, kept.script, scripts, ground, link);
        Self { event_types: OnceLock::from(kept.event_types), routes: RwLock::new(kept.routes), ..worker }
    }

    /// What is kept of it.
    pub(crate) fn kept(&self, state: WorkerState) -> KeptWorker {
        KeptWorker {
            version: self.version.clone(),
            script: self.script.clone(),
            state,
            event_types: self.event_types.get().cloned().unwrap_or_default(),
            routes: self.routes(),
            worker_type: self.scripts.worker_type(),
            policy: self.scripts.policy(),
            main: self.scripts.main().clone(),
            imports: self.scripts.imports(),
        }
    }

    /// The types of events that its first evaluation ever listened to.
    pub(crate) fn event_types(&self) -> Option<&EventTypes> {
        self.event_types.get()
    }

    /// Whether it listens to events of this type; before its first evaluation nobody knows, so it may.
    pub(crate) fn listens(&self, event_type: &str) -> bool {
        self.event_types.get().is_none_or(|types| types.contains(event_type))
    }

    /// Its static routes.
    pub(crate) fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds static routes, all or none.
    pub(crate) fn add_routes(&self, rules: Vec<Rule>) -> Result<(), String> {
        let listens = self.event_types.get().is_some_and(|types| types.contains("fetch"));
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        *routes = Arc::new(routes.with(rules, routes::Ground { script: &self.script, listens })?);
        Ok(())
    }

    /// Where a static route leads that `request` meets.
    pub(crate) fn route(&self, request: &RequestHead) -> Option<Source> {
        self.routes().route(request, &|| self.is_running()).cloned()
    }

    /// Whether an isolate runs.
    pub(crate) fn is_running(&self) -> bool {
        self.pool.first().is_some()
    }

    /// The isolates that run.
    pub(crate) fn isolates(&self) -> Vec<Isolate> {
        self.pool.running()
    }

    /// The isolate that takes an event; a new one where none runs, or those that run are busy in script.
    pub(crate) async fn isolate(self: &Arc<Self>, taker: Taker) -> Result<Isolate, NoIsolate> {
        self.pool.isolate(self, taker).await
    }

    /// Lets the isolates end what they do, and starts no other.
    pub(crate) async fn retire(&self) {
        self.pool.retire().await;
    }

    /// Lets the isolates end what they do; the next event starts another.
    pub(crate) fn rest(&self) {
        self.pool.rest();
    }

    /// Stops the isolates at once.
    pub(crate) fn stop(&self, reason: &str) {
        self.pool.stop(reason);
    }

    /// What went wrong last.
    pub(crate) fn last_error(&self) -> Option<LastError> {
        self.trouble.last()
    }

    async fn launch(&self) -> Result<Isolate, String> {
        let Ground { scope, update_via_cache, caches, host, limits, runtime, views, airwaves } = self.ground.clone();
        let limit = limits.start;
        // What is put while it installs is the site's own choice of what has to be there.
        let scripts = Arc::clone(&self.scripts);
        let embedder = scripts.policy().embedder;
        let caches = caches.pinning_while(move || scripts.is_open()).with_embedder_policy(embedder);
        let launch = Launch {
            version: self.version.clone(),
            script: self.script.clone(),
            scope,
            update_via_cache,
            scripts: Arc::clone(&self.scripts),
            caches: caches.with_base(self.script.clone()),
            host,
            limits,
            link: Arc::clone(&self.link),
            trouble: Arc::clone(&self.trouble),
            runtime: runtime.clone(),
            airwaves,
        };
        let started = Isolate::start(launch, &runtime, views.follow());
        let (isolate, started) = started.map_err(|error| format!("no thread could be started: {error}"))?;
        let types = match tokio::time::timeout(limit, started).await {
            Ok(Ok(evaluated)) => evaluated?,
            Ok(Err(_)) => return Err(isolate.shared.reason()),
            Err(_) => {
                isolate.revoke("its start took too long");
                return Err(format!("its start took longer than {limit:?}"));
            }
        };
        // What the first evaluation ever found counts for the worker's whole life (6.2).
        self.event_types.get_or_init(|| types);
        tracing::debug!(version = self.version, "worker started");
        Ok(isolate)
    }
}
