//! One version of a worker, and the isolate that runs it when there is something to do.
//!
//! Starts an isolate with the first event, once however many wait for it; starts another where the
//! last one stopped. Knows no lifecycle: whether an event may be sent is decided before.

use std::{
    fmt,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::{Duration, Instant},
};

use url::Url;
use waystore::{CacheStorage, RequestHead};

use crate::{
    Limits, SiteHost, UpdateViaCache,
    isolate::{EventTypes, Isolate, Launch, Views, too_many_abandoned},
    js::scope::Link,
    lifecycle::{Id, WorkerState},
    registration::KeptWorker,
    routes::{self, Routes, Rule, Source},
    script::ScriptMap,
};

/// The longest pause between starts that fail.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

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
    isolate: RwLock<Option<Isolate>>,
    starts: tokio::sync::Mutex<Starts>,
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
}

/// How starts went.
#[derive(Debug, Default)]
struct Starts {
    /// Failures in a row.
    failures: u32,
    not_before: Option<Instant>,
    retired: bool,
}

/// Why there is no isolate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoIsolate {
    /// The script did not start: its error, or the limit that was reached.
    Failed(String),
    /// Too many threads are stuck in this process: the worker is off.
    Off,
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
            ground,
            link,
            isolate: RwLock::default(),
            starts: tokio::sync::Mutex::default(),
        }
    }

    /// A version that was installed before.
    pub(crate) fn restored(id: Id, kept: KeptWorker, ground: Ground, link: Arc<dyn Link>) -> Self {
        let scripts = ScriptMap::stored(kept.worker_type, kept.main, kept.imports);
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
        self.routes().route(request, &|| self.running().is_some()).cloned()
    }

    /// The isolate, if one runs.
    pub(crate) fn running(&self) -> Option<Isolate> {
        let isolate = self.isolate.read().unwrap_or_else(PoisonError::into_inner);
        isolate.as_ref().filter(|isolate| !isolate.is_over()).cloned()
    }

    /// The isolate; a new one where none runs.
    pub(crate) async fn isolate(self: &Arc<Self>) -> Result<Isolate, NoIsolate> {
        if let Some(running) = self.running() {
            return Ok(running);
        }
        // In a task of its own: whoever asked first may go away, and others wait for the same start.
        let this = Arc::clone(self);
        let started = self.ground.runtime.spawn(async move { this.start().await }).await;
        started.unwrap_or_else(|error| Err(NoIsolate::Failed(format!("the start ended early: {error}"))))
    }

    /// Lets the isolate end what it does, and starts no other.
    pub(crate) async fn retire(&self) {
        self.starts.lock().await.retired = true;
        self.isolate.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Stops the isolate at once.
    pub(crate) fn stop(&self, reason: &str) {
        let isolate = self.isolate.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(isolate) = isolate {
            isolate.revoke(reason);
        }
    }

    async fn start(&self) -> Result<Isolate, NoIsolate> {
        let mut starts = self.starts.lock().await;
        if let Some(running) = self.running() {
            return Ok(running);
        }
        if too_many_abandoned() {
            tracing::error!(
                version = self.version,
                "the worker is off: too many threads of this process are stuck in script"
            );
            return Err(NoIsolate::Off);
        }
        if starts.retired {
            return Err(NoIsolate::Failed("it was replaced".to_owned()));
        }
        if starts.not_before.is_some_and(|time| Instant::now() < time) {
            return Err(NoIsolate::Failed("it failed to start a moment ago".to_owned()));
        }
        match self.launch().await {
            Ok(isolate) => {
                starts.failures = 0;
                starts.not_before = None;
                *self.isolate.write().unwrap_or_else(PoisonError::into_inner) = Some(isolate.clone());
                Ok(isolate)
            }
            Err(reason) => {
                let pause = Duration::from_millis(250).saturating_mul(1 << starts.failures.min(16));
                starts.failures += 1;
                starts.not_before = Some(Instant::now() + pause.min(LONGEST_PAUSE));
                tracing::error!(version = self.version, failures = starts.failures, reason, "worker did not start");
                Err(NoIsolate::Failed(reason))
            }
        }
    }

    async fn launch(&self) -> Result<Isolate, String> {
        let Ground { scope, update_via_cache, caches, host, limits, runtime, views } = self.ground.clone();
        let limit = limits.start;
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
            runtime: runtime.clone(),
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
