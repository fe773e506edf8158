//! Temporary: the worker's face until it is merged.
#![allow(dead_code, missing_docs, clippy::unused_async)]
use std::{sync::Arc, time::Duration};
use url::Url;
use waystore::{Clock, Fetch, Waystore};
use waystore_worker::*;

#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum WorkerType {
    #[default]
    Classic,
    Module,
}
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum UpdateViaCache {
    #[default]
    Imports,
    All,
    None,
}
pub(crate) struct SiteOptions {
    pub script: Url,
    pub scope: Option<Url>,
    pub worker_type: WorkerType,
    pub update_via_cache: UpdateViaCache,
    pub limits: Limits,
}
pub(crate) struct SiteHost {
    pub fetch: Arc<dyn Fetch>,
    pub clock: Arc<Clock>,
    pub console: Arc<dyn Fn(ConsoleLine) + Send + Sync>,
}
#[derive(Debug, thiserror::Error)]
#[error("no")]
pub(crate) struct SiteError;
#[derive(Debug, serde::Serialize)]
pub(crate) struct SiteStatus {}
#[derive(Debug)]
pub(crate) enum Updated {
    Unchanged,
}
pub(crate) struct Site {
    scope: Url,
    _host: SiteHost,
}
impl Site {
    pub(crate) async fn open(options: SiteOptions, _: &Waystore, host: SiteHost) -> Result<Self, SiteError> {
        Ok(Self { scope: options.scope.unwrap_or_else(|| options.script.join("./").unwrap()), _host: host })
    }
    pub(crate) fn scope(&self) -> &Url {
        &self.scope
    }
    pub(crate) async fn fetch(&self, event: FetchEvent) -> FetchOutcome {
        FetchOutcome::Fallback { request: Box::new(event.request), reason: FallbackReason::NoWorker, version: None }
    }
    pub(crate) async fn message(&self, _: MessageEvent) -> Result<(), SiteError> {
        Ok(())
    }
    pub(crate) fn soft_update(&self) {}
    pub(crate) async fn update(&self, _: bool) -> Result<Updated, SiteError> {
        Ok(Updated::Unchanged)
    }
    pub(crate) async fn ready(&self) -> Result<(), SiteError> {
        Ok(())
    }
    pub(crate) fn status(&self) -> SiteStatus {
        SiteStatus {}
    }
    pub(crate) async fn close(&self, _: Duration) {}
}
