//! What a running script can ask of its registration.

use std::sync::{Arc, Weak};

use futures::{FutureExt, future::BoxFuture};

use super::{Inner, line::Line};
use crate::{
    PortMessage, SiteError, WorkerState,
    isolate::{Message, Source},
    js::scope::{Link, UpdateRefused},
    lifecycle::{Id, Input},
    message::Parcel,
    registration::Preload,
    routes::Rule,
    update::ScriptError,
};

/// One worker's way to its site.
pub(super) struct SiteLink {
    site: Weak<Inner>,
    id: Id,
    /// What it posts goes out in its order.
    line: Line,
}

impl SiteLink {
    pub(super) fn new(site: Weak<Inner>, id: Id) -> Self {
        Self { site, id, line: Line::default() }
    }

    pub(super) fn site(&self) -> Option<Arc<Inner>> {
        self.site.upgrade()
    }

    pub(super) fn id(&self) -> Id {
        self.id
    }
}

impl Link for SiteLink {
    fn skip_waiting(&self) {
        if let Some(site) = self.site.upgrade() {
            site.apply(Input::SkipWaiting(self.id));
        }
    }

    /// Spec: <https://w3c.github.io/ServiceWorker/#service-worker-registration-update>
    fn update(&self) -> BoxFuture<'static, Result<(), UpdateRefused>> {
        let refused = |refused| futures::future::ready(Err(refused)).boxed();
        let Some(site) = self.site.upgrade() else {
            return refused(UpdateRefused::Failed("the site was closed".to_owned()));
        };
        let (newest, state, unregistered) = {
            let life = site.life();
            (life.cycle.newest(), life.cycle.state(self.id), life.cycle.unregistered)
        };
        if newest.is_none() {
            return refused(UpdateRefused::State("update: there is no worker to update".to_owned()));
        }
        if state == WorkerState::Installing {
            return refused(UpdateRefused::State("update: this worker is being installed".to_owned()));
        }
        if site.life().off {
            return refused(UpdateRefused::Failed("update: the worker is off".to_owned()));
        }
        if unregistered {
            return refused(UpdateRefused::Failed("update: the registration was removed".to_owned()));
        }
        let begun = site.queue_update(false).begun;
        async move {
            match begun.await {
                Ok(()) => Ok(()),
                Err(SiteError::Script(error @ ScriptError::Security { .. })) => {
                    Err(UpdateRefused::Security(error.to_string()))
                }
                Err(error) => Err(UpdateRefused::Failed(error.to_string())),
            }
        }
        .boxed()
    }

    fn unregister(&self) -> BoxFuture<'static, bool> {
        let Some(site) = self.site.upgrade() else { return futures::future::ready(false).boxed() };
        async move { site.unregister().await }.boxed()
    }

    fn preload(&self) -> Preload {
        self.site.upgrade().map(|site| site.life().preload.clone()).unwrap_or_default()
    }

    fn set_preload(&self, preload: Preload) {
        let Some(site) = self.site.upgrade() else { return };
        site.life().preload = preload;
        let saving = Arc::clone(&site);
        site.ground.runtime.spawn(async move { saving.save().await });
    }

    fn post(&self, version: String, message: PortMessage) {
        let Some(site) = self.site.upgrade() else { return };
        let source = site.life().workers.get(&self.id).map(|worker| Source::Worker(worker.version.clone()));
        let PortMessage { data, ports } = message;
        site.post(&version, Message { data, ports: Parcel::new(ports), source }, self.line.join());
    }

    fn add_routes(&self, rules: Vec<Rule>) -> Result<(), String> {
        let worker = self.site.upgrade().and_then(|site| site.life().workers.get(&self.id).cloned());
        worker.map_or_else(|| Err("the worker is gone".to_owned()), |worker| worker.add_routes(rules))
    }
}
