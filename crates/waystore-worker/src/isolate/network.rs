//! The host's network, as the threads of isolates use it: fetches run on the host's runtime.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use waystore::{Fetch, FetchError, Request, Response};

/// A [`Fetch`] that runs on a runtime of its own, and is aborted where nobody waits for it any more.
pub(crate) struct OnHost {
    fetch: Arc<dyn Fetch>,
    runtime: Handle,
}

impl OnHost {
    pub(crate) fn new(fetch: Arc<dyn Fetch>, runtime: Handle) -> Self {
        Self { fetch, runtime }
    }
}

impl fmt::Debug for OnHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnHost").finish_non_exhaustive()
    }
}

#[async_trait]
impl Fetch for OnHost {
    async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
        let fetch = Arc::clone(&self.fetch);
        let task = AbortOnDropHandle::new(self.runtime.spawn(async move { fetch.fetch(request).await }));
        task.await.unwrap_or_else(|error| Err(FetchError::Network(format!("the fetch ended early: {error}"))))
    }
}
