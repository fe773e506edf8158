//! `Clear-Site-Data` of the site's own responses, where the configuration honours it.
//!
//! In a browser it clears what one person stored. Here that is everybody's, which is why it is off by default.
//! Spec: <https://www.w3.org/TR/clear-site-data/>

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use waystore::{HeaderList, Waystore};
use waystore_worker::Site;

use crate::{
    failure::{Failure, chain},
    prefetching::Jobs,
};

/// Between two looks whether the worker that was removed has ended its events.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Told by responses, and waited for by who clears. Several that come at once are one.
#[derive(Debug, Default)]
pub(crate) struct Clear(Notify);

impl Clear {
    /// Notes what a response to a visitor says.
    pub(crate) fn note(&self, headers: &HeaderList) {
        if asks(headers) {
            self.0.notify_one();
        }
    }
}

/// Whether caches and registrations are to go. `"cache"` means the HTTP cache, which there is none of.
fn asks(headers: &HeaderList) -> bool {
    let types = headers.values("clear-site-data").flat_map(|value| value.split(|byte| *byte == b','));
    types.map(<[u8]>::trim_ascii).any(|kind| kind == b"\"storage\"" || kind == b"\"*\"")
}

/// Clears whenever it is asked for, until `stop`.
pub(crate) async fn watch(
    clear: Arc<Clear>,
    store: Waystore,
    origin: String,
    site: Option<Arc<Site>>,
    jobs: Jobs,
    stop: CancellationToken,
) {
    let watching = async {
        loop {
            clear.0.notified().await;
            // What they would still store goes too; durable ones are forgotten.
            jobs.abort_all();
            match wipe(&store, &origin, site.as_deref()).await {
                Ok(()) => {
                    tracing::warn!(target: "waystore::storage", origin, "cleared, as a response asked with Clear-Site-Data");
                }
                Err(failure) => {
                    tracing::error!(target: "waystore::storage", origin, %failure, "not everything could be cleared");
                }
            }
            if let Some(site) = &site {
                register_again(site).await;
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = watching => {}
    }
}

/// Removes the registration and every cache.
async fn wipe(store: &Waystore, origin: &str, site: Option<&Site>) -> Result<(), Failure> {
    if let Some(site) = site {
        site.unregister().await;
    }
    let caches = store.caches(origin)?;
    for name in caches.keys().await? {
        caches.delete(name).await?;
    }
    Ok(())
}

/// There is no page that would register the worker again: the configuration does, when the old one has ended.
async fn register_again(site: &Site) {
    loop {
        let status = site.status();
        if status.active.is_none() && status.waiting.is_none() && status.installing.is_none() {
            break;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    if let Err(error) = site.update(false).await {
        tracing::error!(target: "waystore::worker", error = chain(&error), "the worker could not be registered again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s42_only_storage_and_everything_clear() {
        let asks = |value: &str| asks(&[("Clear-Site-Data", value)].into_iter().collect());
        assert!(asks("\"storage\"") && asks("\"cache\", \"storage\"") && asks("\"*\""));
        assert!(!asks("\"cache\"") && !asks("storage") && !asks("\"cookies\""));
    }
}
