//! Jobs: register, update, unregister. One at a time, in their order.
//!
//! Spec: <https://w3c.github.io/ServiceWorker/#dfn-job-queue>, Update, Install.

use std::sync::{
    Arc, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::sync::oneshot;

use super::{Inner, Life, Site, link::SiteLink};
use crate::{
    SiteError,
    isolate::Event,
    lifecycle::Input,
    script::{ScriptMap, version_name},
    update::{Check, Found, Newest},
    worker::{Taker, Worker},
};

/// A registration is stale a day after its last check.
const STALE_MS: u64 = 86_400_000;

/// What an update came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Updated {
    /// The scripts are the same, byte for byte.
    Unchanged,
    /// A new version was installed; it is active as soon as the old one's events are over.
    Installed {
        /// Its name.
        version: String,
    },
}

/// An update that waits or runs, for those who ask for the same meanwhile.
#[derive(Clone)]
pub(super) struct Queued {
    forced: bool,
    /// Whether it has yet to compare: set by the job itself, in the moment in which that changes.
    open: Arc<AtomicBool>,
    /// When the install of a new version begins, or there is none to begin: what a script waits for.
    pub(super) begun: Settled<()>,
    done: Settled<Updated>,
}

type Settled<T> = Shared<BoxFuture<'static, Result<T, SiteError>>>;

impl Site {
    /// Checks for an update, in the background. Calls while a check waits or runs are that check. A
    /// registration that was removed, or a worker that is off, is left alone.
    ///
    /// Spec: <https://w3c.github.io/ServiceWorker/#soft-update>
    pub fn soft_update(&self) {
        {
            let life = self.inner.life();
            if life.off || life.cycle.unregistered {
                return;
            }
        }
        // The job runs in a task of its own; nobody has to wait for it.
        drop(self.inner.queue_update(false));
    }

    /// Fetches the script and, where it or what it imports changed, installs the new version; where
    /// the registration was removed, registers again. With `force`, past every HTTP cache, and also where
    /// the new version is one that was rolled back from. A worker that is off stays so.
    ///
    /// # Errors
    ///
    /// * [`SiteError::Script`]: it could not be fetched, or may not be used.
    /// * [`SiteError::Start`], [`SiteError::Install`]: the new version failed. The old one stays.
    pub async fn update(&self, force: bool) -> Result<Updated, SiteError> {
        self.inner.queue_update(force).done.await
    }

    /// As [`update`](Self::update) without force, but only until the install of a new version begins, or there is none
    /// to begin: what a page's `registration.update()` waits for.
    ///
    /// # Errors
    ///
    /// [`SiteError::Script`]: it could not be fetched, or may not be used.
    pub async fn begin_update(&self) -> Result<(), SiteError> {
        self.inner.queue_update(false).begun.await
    }

    /// Removes the registration, and tells whether there was one. Its worker ends the events it has;
    /// [`update`](Self::update) registers again.
    ///
    /// Spec: <https://w3c.github.io/ServiceWorker/#navigator-service-worker-unregister>
    pub async fn unregister(&self) -> bool {
        self.inner.unregister().await
    }
}

/// A job's way to say that its install begins. Dropped, it says that there is none.
struct Begins {
    open: Arc<AtomicBool>,
    told: Option<oneshot::Sender<()>>,
}

impl Begins {
    fn tell(mut self) {
        self.open.store(false, Ordering::SeqCst);
        if let Some(told) = self.told.take() {
            // Whoever asked may be gone.
            told.send(()).ok();
        }
    }
}

impl Drop for Begins {
    fn drop(&mut self) {
        self.open.store(false, Ordering::SeqCst);
    }
}

impl Inner {
    /// An update job; the last one in the queue, where that is as good: where it has yet to compare.
    pub(super) fn queue_update(self: &Arc<Self>, forced: bool) -> Queued {
        let mut last = self.last_job.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queued) = &*last
            && queued.forced >= forced
            && queued.open.load(Ordering::SeqCst)
        {
            return queued.clone();
        }
        let this = Arc::clone(self);
        let (begins, begun) = oneshot::channel();
        let open = Arc::new(AtomicBool::new(true));
        let begins = Begins { open: Arc::clone(&open), told: Some(begins) };
        let task = self.ground.runtime.spawn(async move {
            let _turn = this.turn.lock().await;
            let result = this.update(forced, begins).await;
            this.end_job(&result);
            result
        });
        let done = task.map(|joined| joined.unwrap_or(Err(SiteError::Closed))).boxed().shared();
        let ended = done.clone();
        // The other end is dropped where the job ended without an install.
        let begun = async move { if begun.await.is_ok() { Ok(()) } else { ended.await.map(drop) } }.boxed().shared();
        let queued = Queued { forced, open, begun, done };
        *last = Some(queued.clone());
        queued
    }

    /// Removes the registration; its worker ends the events it has. Whether there was one.
    pub(super) async fn unregister(self: &Arc<Self>) -> bool {
        let _turn = self.turn.lock().await;
        let known = !self.life().cycle.unregistered && self.life().cycle.newest().is_some();
        if known {
            tracing::info!(scope = %self.ground.scope, "registration removed");
            let actions = self.decide(Input::Unregister);
            self.forget().await;
            self.announce();
            self.carry_out(actions).await;
        }
        known
    }

    fn end_job(&self, result: &Result<Updated, SiteError>) {
        let without_worker = {
            let mut life = self.life();
            life.hopeful = false;
            life.last_failure = result.as_ref().err().map(ToString::to_string);
            life.cycle.newest().is_none()
        };
        if let Err(error) = result {
            tracing::error!(scope = %self.ground.scope, %error, "the update check failed");
            if without_worker {
                self.ready.send_replace(Some(Err(error.clone())));
            }
        }
        self.announce();
    }

    /// Spec: <https://w3c.github.io/ServiceWorker/#update-algorithm>
    ///
    /// `begins` is told when an install does.
    async fn update(self: &Arc<Self>, forced: bool, begins: Begins) -> Result<Updated, SiteError> {
        if self.closed.is_cancelled() {
            return Err(SiteError::Closed);
        }
        let now = self.ground.host.clock.now_ms();
        let (newest, barred, stale) = {
            let mut life = self.life();
            life.register_again();
            let newest = life.cycle.newest().and_then(|id| life.workers.get(&id).cloned());
            let barred = life.barred.clone().filter(|_| !forced);
            (newest, barred, life.last_check_ms.is_some_and(|last| now.saturating_sub(last) > STALE_MS))
        };
        let check = Check {
            script: &self.script,
            scope: &self.ground.scope,
            worker_type: self.options.worker_type,
            update_via_cache: self.options.update_via_cache,
            forced: forced || (stale && newest.is_some()),
            script_bytes: self.options.limits.script_bytes,
            newest: newest.map(|worker| Newest {
                script: worker.script.clone(),
                worker_type: worker.scripts.worker_type(),
                main: worker.scripts.main().clone(),
                imports: worker.scripts.imports(),
            }),
            barred: barred.as_ref(),
        };
        let found = check.run(&*self.ground.host.fetch).await?;
        self.life().last_check_ms = Some(now);
        self.life().update_via_cache = self.options.update_via_cache;
        match found {
            Found::Unchanged => {
                self.save().await;
                Ok(Updated::Unchanged)
            }
            Found::Barred => {
                tracing::info!(scope = %self.ground.scope, "the script is still that of the version that was rolled back from; it is not installed");
                self.save().await;
                Ok(Updated::Unchanged)
            }
            Found::Changed { main, policy, imports } => {
                let scripts = ScriptMap::new(self.options.worker_type, policy, main, imports);
                self.install(scripts, begins).await
            }
        }
    }

    /// Evaluates and installs a new version. Spec: <https://w3c.github.io/ServiceWorker/#installation-algorithm>
    async fn install(self: &Arc<Self>, scripts: ScriptMap, begins: Begins) -> Result<Updated, SiteError> {
        let worker = self.parsed(scripts);
        let version = worker.version.clone();
        self.counts.installs.add();
        if let Err(error) = worker.isolate(Taker::First).await {
            self.life().workers.remove(&worker.id);
            return Err(SiteError::Start { version, reason: error.to_string() });
        }
        let actions = self.decide(Input::Install(worker.id));
        self.carry_out(actions).await;
        begins.tell();
        let installed = match worker.listens("install") {
            true => self.dispatch(&worker, || Event::Install).await,
            false => Ok(()),
        };
        worker.scripts.seal();
        if installed.is_ok() {
            self.life().barred = None;
        }
        let actions = self.decide(Input::InstallEnded { ok: installed.is_ok() });
        if installed.is_ok() {
            tracing::info!(version, scope = %self.ground.scope, "worker installed");
        }
        self.carry_out(actions).await;
        if self.life().cycle.waiting.is_some_and(|slot| slot.id == worker.id) {
            self.ground.runtime.spawn(Arc::clone(self).make_room(worker.id));
        }
        installed.map(|()| Updated::Installed { version: version.clone() }).map_err(|reason| {
            worker.stop("its install failed");
            SiteError::Install { version, reason }
        })
    }

    /// A new worker in the state parsed.
    fn parsed(self: &Arc<Self>, scripts: ScriptMap) -> Arc<Worker> {
        let mut life = self.life();
        life.versions += 1;
        let id = life.take_id();
        let version = version_name(scripts.main(), life.versions);
        let link = Arc::new(SiteLink::new(Arc::downgrade(self), id));
        let worker = Worker::new(id, version, self.script.clone(), scripts, self.ground.clone(), link);
        let worker = Arc::new(worker);
        life.workers.insert(id, Arc::clone(&worker));
        worker
    }
}

impl Life {
    /// A registration that was removed, and whose workers are gone, begins anew.
    fn register_again(&mut self) {
        if self.cycle.unregistered && self.cycle.newest().is_none() {
            self.cycle = self.cycle.anew();
            self.hopeful = true;
        }
    }
}
