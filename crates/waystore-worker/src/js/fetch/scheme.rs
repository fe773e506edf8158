//! The network as a script uses it: what the host's network is not asked for, and what is added on the way.
//!
//! Spec: <https://fetch.spec.whatwg.org/#concept-scheme-fetch>

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use url::Url;
use waystore::{Fetch, FetchError, Referrer, Request, Response, Spooler};

use super::{data_url, integrity};
use crate::js::Realm;

/// The longest body of a request that outlives its maker.
const KEEPALIVE_BYTES: u64 = 64 * 1024;

/// The host's network, for the requests of one script.
pub(in crate::js) struct ScriptFetch {
    network: Arc<dyn Fetch>,
    script: Url,
    spooler: Spooler,
}

impl ScriptFetch {
    pub(in crate::js) fn of(realm: &Realm) -> Self {
        Self { network: Arc::clone(&realm.fetch), script: realm.base.clone(), spooler: realm.spooler.clone() }
    }
}

impl fmt::Debug for ScriptFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptFetch").field("script", &self.script.as_str()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Fetch for ScriptFetch {
    async fn fetch(&self, mut request: Request) -> Result<Response, FetchError> {
        if request.referrer == Referrer::Client {
            request.referrer = Referrer::Url(Box::new(self.script.clone()));
        }
        let length = request.body.as_ref().and_then(waystore::Body::length);
        if request.keepalive && length.is_some_and(|bytes| bytes > KEEPALIVE_BYTES) {
            let reason = format!("the body of a request with `keepalive` has {KEEPALIVE_BYTES} bytes at most");
            return Err(FetchError::Network(reason));
        }
        let promised = request.integrity.clone();
        let response = match request.url.scheme() {
            "http" | "https" => self.network.fetch(request).await?,
            "data" => data_url::fetch(&request)?,
            scheme => {
                let reason = format!("`{}`: nothing is fetched by `{scheme}:`", request.url);
                return Err(FetchError::Network(reason));
            }
        };
        if promised.is_empty() { Ok(response) } else { integrity::checked(response, &promised, &self.spooler).await }
    }
}
