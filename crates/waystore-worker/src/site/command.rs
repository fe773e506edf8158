//! What whoever runs a site can do about its worker: go back to the version before, switch it off and on.

use std::sync::Arc;

use super::{Inner, Life, Site, link::SiteLink};
use crate::{
    SiteError,
    lifecycle::{Action, Input},
    registration::Barred,
    worker::Worker,
};

impl Site {
    /// Makes the version active again that was so before, at once and durably, and returns its name.
    ///
    /// It gets no `install` and no `activate` event: its scripts, its static routes and the events it
    /// listens to are as they were. What the newer version did to the caches stays done; an older one
    /// asks the network for what that deleted. Events under way end with the version they began with.
    /// Versions that wait or install are dropped. The version that was left is the previous one now, so
    /// a second rollback leads back to it. Update checks do not install it again, until the script at the
    /// origin is another one or [`update`](Self::update) is called with `force`.
    ///
    /// # Errors
    ///
    /// * [`SiteError::NoPrevious`]: there was no version before. [`SiteError::Closed`].
    /// * [`SiteError::Store`]: it could not be written; the rollback holds until the process ends.
    pub async fn rollback(&self) -> Result<String, SiteError> {
        let inner = &self.inner;
        if inner.closed.is_cancelled() {
            return Err(SiteError::Closed);
        }
        let (barred, installing) = {
            let life = inner.life();
            if life.previous.is_none() {
                return Err(inner.no_previous());
            }
            let installing = life.cycle.installing.and_then(|slot| life.workers.get(&slot.id).cloned());
            (life.newest_barred(), installing)
        };
        if let Some(worker) = installing {
            worker.stop("a rollback was asked for");
        }
        let _turn = inner.turn.lock().await;
        let (id, version) = {
            let mut life = inner.life();
            let previous = life.previous.take().ok_or_else(|| inner.no_previous())?;
            let version = previous.version.clone();
            // Who goes back to what was barred wants it again.
            let again = life.barred.as_ref().is_some_and(|barred| barred.version == version);
            life.barred = barred.filter(|_| !again);
            let id = life.take_id();
            let link = Arc::new(SiteLink::new(Arc::downgrade(inner), id));
            life.workers.insert(id, Arc::new(Worker::restored(id, previous, inner.ground.clone(), link)));
            (id, version)
        };
        tracing::warn!(version, scope = %self.scope(), "rolled back: this version is active again");
        let actions = inner.decide(Input::Rollback(id));
        inner.carry_out(actions).await;
        inner.write_down().await?;
        Ok(version)
    }

    /// Switches the worker off, durably: requests are left to the network, messages refused, and no
    /// update is looked for but by [`update`](Self::update). Events under way end.
    ///
    /// # Errors
    ///
    /// [`SiteError::Store`]: it could not be written; it holds until the process ends.
    pub async fn switch_off(&self) -> Result<(), SiteError> {
        let workers: Vec<_> = {
            let mut life = self.inner.life();
            life.off = true;
            life.workers.values().cloned().collect()
        };
        tracing::warn!(scope = %self.scope(), "the worker was switched off; the network answers");
        self.inner.announce();
        for worker in workers {
            worker.rest();
        }
        self.inner.write_down().await
    }

    /// Switches the worker on again, durably, and looks for an update.
    ///
    /// # Errors
    ///
    /// [`SiteError::Store`]: it could not be written; it holds until the process ends.
    pub async fn switch_on(&self) -> Result<(), SiteError> {
        let deferred = {
            let mut life = self.inner.life();
            life.off = false;
            std::mem::take(&mut life.deferred)
        };
        tracing::info!(scope = %self.scope(), "the worker was switched on");
        self.inner.announce();
        self.inner.begin(deferred);
        self.inner.write_down().await
    }
}

impl Inner {
    /// Goes on where the registration was left, and looks for an update; unless the worker is off.
    pub(super) fn begin(self: &Arc<Self>, actions: Vec<Action>) {
        {
            let mut life = self.life();
            if life.off {
                life.deferred = actions;
                drop(life);
                tracing::warn!(scope = %self.ground.scope, "the worker is off; the network answers until it is switched on");
                return;
            }
        }
        let this = Arc::clone(self);
        self.ground.runtime.spawn(async move { this.carry_out(actions).await });
        // The job runs in a task of its own; nobody has to wait for it.
        drop(self.queue_update(false));
    }

    async fn write_down(&self) -> Result<(), SiteError> {
        let scope = || Box::new(self.ground.scope.clone());
        self.try_save().await.map_err(|source| SiteError::Store { scope: scope(), source: Arc::new(source) })
    }

    fn no_previous(&self) -> SiteError {
        SiteError::NoPrevious { scope: Box::new(self.ground.scope.clone()) }
    }
}

impl Life {
    /// The newest version, as one that is not wanted.
    fn newest_barred(&self) -> Option<Barred> {
        let worker = self.workers.get(&self.cycle.newest()?)?;
        Some(Barred::new(&worker.version, worker.scripts.main(), &worker.scripts.imports()))
    }
}
