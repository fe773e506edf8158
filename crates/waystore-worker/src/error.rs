//! Why a site cannot be opened, updated or reached: one variant for each thing a host can do about it.

use std::sync::Arc;

use url::Url;

use crate::update::ScriptError;

/// Why an operation on a site failed. Its workers are as they were before, unless the variant says so.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SiteError {
    /// The script or the scope may not be used: change the configuration.
    #[error("the {what} {url} cannot be registered: {reason}")]
    Url {
        /// `script` or `scope`.
        what: &'static str,
        /// The URL.
        url: Box<Url>,
        /// The rule.
        reason: &'static str,
    },
    /// The script could not be fetched, or may not be used.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// The script did not evaluate.
    #[error("the worker {version} did not start: {reason}")]
    Start {
        /// The version.
        version: String,
        /// The script's error with its position, or the limit that was reached.
        reason: String,
    },
    /// The `install` event failed; the version is gone.
    #[error("the worker {version} did not install: {reason}")]
    Install {
        /// The version.
        version: String,
        /// What a promise given to `waitUntil` was rejected with, or why the event ended.
        reason: String,
    },
    /// There is no worker: none was registered, or it was unregistered.
    #[error("no worker is registered for {scope}")]
    NoWorker {
        /// The scope.
        scope: Box<Url>,
    },
    /// No version was active before the one that is.
    #[error("there is no previous version of the worker for {scope}")]
    NoPrevious {
        /// The scope.
        scope: Box<Url>,
    },
    /// The worker is switched off.
    #[error("the worker for {scope} is off")]
    Off {
        /// The scope.
        scope: Box<Url>,
    },
    /// The worker has all the events that its limits allow; try again.
    #[error("the worker is busy")]
    Busy,
    /// The worker was stopped before it took the event.
    #[error("the worker was stopped: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
    /// The store.
    #[error("the registration of {scope}: {source}")]
    Store {
        /// The scope.
        scope: Box<Url>,
        /// What the store said.
        source: Arc<waystore::Error>,
    },
    /// The site was closed.
    #[error("the site is closed")]
    Closed,
}

/// Why `run_scripts` ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A script threw, or a promise was rejected, and nothing caught it.
    #[error("{text}")]
    Uncaught {
        /// The error, with its position.
        text: String,
    },
    /// A limit was reached.
    #[error("stopped: {reason}")]
    Stopped {
        /// Which one.
        reason: String,
    },
    /// The engine or its thread could not be started.
    #[error("the script engine did not start: {reason}")]
    Engine {
        /// What it said.
        reason: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] waystore::Error),
}
