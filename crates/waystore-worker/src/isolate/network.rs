//! The host's network, as the threads of isolates use it: fetches run on the host's runtime, under the policies that the
//! worker's script came with.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use url::Url;
use waystore::{
    EmbedderPolicy, Fetch, FetchError, Referrer, ReferrerPolicy, Request, RequestCredentials, RequestMode, Response,
};

use crate::policy::ScriptPolicy;

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

/// A network whose requests and responses meet the policies of a worker.
#[derive(Debug)]
pub(crate) struct Governed {
    network: OnHost,
    policy: ScriptPolicy,
    script: Url,
}

impl Governed {
    pub(super) fn new(network: OnHost, policy: ScriptPolicy, script: Url) -> Self {
        Self { network, policy, script }
    }

    /// Whether `request` comes from the script: an event's comes from its page, and heeds that one's policy.
    fn is_own(&self, request: &Request) -> bool {
        match &request.referrer {
            Referrer::Client => true,
            Referrer::Url(url) => **url == self.script,
            Referrer::NoReferrer => false,
        }
    }
}

#[async_trait]
impl Fetch for Governed {
    async fn fetch(&self, mut request: Request) -> Result<Response, FetchError> {
        let ScriptPolicy { embedder, referrer } = self.policy;
        if request.referrer_policy == ReferrerPolicy::Empty && self.is_own(&request) {
            request.referrer_policy = referrer;
        }
        let origin = self.script.origin();
        let foreign = request.mode == RequestMode::NoCors && request.url.origin() != origin;
        if embedder == EmbedderPolicy::Credentialless && foreign {
            request.credentials = RequestCredentials::Omit;
        }
        let response = self.network.fetch(request).await?;
        if response.may_be_embedded_by(&origin, embedder) {
            return Ok(response);
        }
        let url = response.url_list.last().map_or("the response", Url::as_str);
        Err(FetchError::Network(format!(
            "`{url}` does not say in its Cross-Origin-Resource-Policy that it may be used, as `{embedder}` of the worker demands"
        )))
    }
}
