//! What a running script can ask of its site's clients.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};

use super::{Inner, link::SiteLink};
use crate::{
    ClientInfo, MirrorWorker, PortMessage, SerializedValue, clients::Wanted, js::scope::ClientLink, lifecycle::Id,
};

impl ClientLink for SiteLink {
    fn client(&self, id: String) -> BoxFuture<'static, Option<ClientInfo>> {
        let Some(site) = self.site() else { return futures::future::ready(None).boxed() };
        async move { site.roster.get(&id).await }.boxed()
    }

    /// Only the active worker controls anybody.
    fn clients(&self, wanted: Wanted) -> Vec<ClientInfo> {
        let site = self.site().filter(|site| !wanted.controlled_only || site.is_active(self.id()));
        site.map(|site| site.roster.matching(wanted)).unwrap_or_default()
    }

    fn controls(&self, id: &str) -> bool {
        self.site().is_some_and(|site| site.is_active(self.id()) && site.roster.is_controlled(id))
    }

    fn claim(&self) -> bool {
        self.site().is_some_and(|site| site.claim(self.id()))
    }

    fn post_to_client(&self, id: &str, (version, script_url): (&str, &str), message: PortMessage) {
        let Some(site) = self.site() else { return };
        let state = site.life().cycle.state(self.id());
        let source = MirrorWorker { version: version.to_owned(), script_url: script_url.to_owned(), state };
        site.roster.post(id, source, message.data, message.ports);
    }

    fn is_heard(&self, name: &str) -> bool {
        self.site().is_some_and(|site| site.roster.hears(name))
    }

    fn broadcast(&self, name: &str, data: &SerializedValue) {
        if let Some(site) = self.site() {
            site.roster.broadcast(name, data);
        }
    }
}

impl Inner {
    fn is_active(&self, id: Id) -> bool {
        self.life().cycle.active.is_some_and(|active| active.id == id)
    }

    /// Spec: <https://w3c.github.io/ServiceWorker/#clients-claim>
    fn claim(self: &Arc<Self>, id: Id) -> bool {
        {
            let life = self.life();
            if life.cycle.active.is_none_or(|active| active.id != id) {
                return false;
            }
            self.roster.claim();
        }
        self.recount();
        true
    }
}
