//! The site's worker in the gateway: opened, watched, its console in the log.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use url::Url;
use waystore::{Clock, Waystore};
use waystore_worker::{ConsoleLevel, ConsoleLine, Prefetcher, Site, SiteHost, SiteOptions};

use super::{
    config::{Script, Worker},
    keeping::Keeping,
    public::Public,
    script_url,
};
use crate::{
    failure::{Failure, chain},
    fetch::Network,
};

/// Opens the site; its first version may still be on its way then.
///
/// # Errors
///
/// The configuration cannot be registered.
pub(super) async fn open(
    worker: &Worker,
    keeping: &Keeping,
    public: &Public,
    store: &Waystore,
    network: Network,
    jobs: Arc<dyn Prefetcher>,
    clock: Arc<Clock>,
) -> Result<Arc<Site>, Failure> {
    let not_here = |what: &str| Failure::usage(format!("`{what}` is not a path at {}", public.serialized()));
    let script = match &worker.script {
        Script::File { name, .. } => script_url(public, name).ok_or_else(|| not_here("worker"))?,
        Script::Origin(text) => at_origin(public, text).ok_or_else(|| not_here("worker"))?,
    };
    let scope = worker.scope.as_deref().map(|text| at_origin(public, text).ok_or_else(|| not_here("scope")));
    let options = SiteOptions {
        script,
        scope: scope.transpose()?,
        worker_type: worker.kind,
        update_via_cache: worker.update_via_cache,
        activation: worker.activation,
        limits: worker.limits.clone(),
        policies: keeping.policies.clone(),
    };
    let host = SiteHost { fetch: Arc::new(network), clock, console: Arc::new(log), prefetch: Some(jobs) };
    let site = Site::open(options, store, host).await;
    site.map(Arc::new).map_err(|error| Failure::failed(format!("the worker cannot be registered: {}", chain(&error))))
}

/// The URL of a path, or a URL, at the public origin.
fn at_origin(public: &Public, text: &str) -> Option<Url> {
    let url = public.origin().join(text).ok()?;
    public.owns(&url).then_some(url)
}

/// Says whether the worker came up, then looks for a new script now and then.
pub(super) async fn watch(site: Arc<Site>, interval: Duration, stop: CancellationToken) {
    let watching = async {
        match site.ready().await {
            Ok(()) => tracing::info!(target: "waystore::worker", scope = %site.scope(), "the worker is active"),
            Err(error) => tracing::error!(
                target: "waystore::worker", scope = %site.scope(), error = chain(&error),
                "no worker is active; the upstream answers"
            ),
        }
        loop {
            tokio::time::sleep(interval).await;
            site.soft_update();
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = watching => {}
    }
}

/// Writes a line of the script's console to the log.
fn log(line: ConsoleLine) {
    let ConsoleLine { level, text, version, event, url, position, .. } = line;
    let (version, url, position) = (version.as_deref(), url.as_ref().map(Url::as_str), position.as_deref());
    match level {
        ConsoleLevel::Debug => tracing::debug!(target: "waystore::console", version, event, url, "{text}"),
        ConsoleLevel::Info => tracing::info!(target: "waystore::console", version, event, url, "{text}"),
        ConsoleLevel::Warn => tracing::warn!(target: "waystore::console", version, event, url, "{text}"),
        ConsoleLevel::Error => tracing::error!(target: "waystore::console", version, event, url, position, "{text}"),
    }
}
