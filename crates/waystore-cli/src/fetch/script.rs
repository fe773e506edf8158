//! The worker's script, where it is a file of this machine: its URL is its name at the public origin.

use std::path::PathBuf;

use url::Url;
use waystore::{Body, FetchError, RequestHead, Response, ResponseSource, ResponseType};

/// A script in a file.
#[derive(Debug, Clone)]
pub(crate) struct LocalScript {
    pub(crate) path: PathBuf,
    pub(crate) url: Url,
}

impl LocalScript {
    /// Whether `request` is for this script as a worker's; a page that asks for the same URL gets the upstream's.
    pub(super) fn is_asked_for(&self, request: &RequestHead) -> bool {
        super::is_for_worker(request) && request.url == self.url
    }

    pub(super) async fn read(&self) -> Result<Response, FetchError> {
        let unreadable = |error| FetchError::Network(format!("`{}` cannot be read: {error}", self.path.display()));
        let bytes = tokio::fs::read(&self.path).await.map_err(unreadable)?;
        let mut response = Response::new(Body::from(bytes))
            .header("content-type", "text/javascript; charset=utf-8")
            .header("service-worker-allowed", "/");
        response.head.kind = ResponseType::Basic;
        response.head.url_list = vec![self.url.clone()];
        response.source = ResponseSource::Network;
        Ok(response)
    }
}
