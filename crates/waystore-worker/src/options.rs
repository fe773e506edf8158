//! What a site is told when it is opened, and the rules for it that need no network.
//!
//! Spec: <https://w3c.github.io/ServiceWorker/#start-register-algorithm>

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use url::Url;
use waystore::{CachePolicies, Clock, Fetch};

use crate::{ConsoleLine, Limits, Prefetcher, SiteError};

/// A registration, as a page would ask for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteOptions {
    /// The URL of the worker's script, at the site's public origin.
    pub script: Url,
    /// The requests the worker answers: those whose URL starts with this one. `None` is the script's folder.
    pub scope: Option<Url>,
    /// How the script is evaluated.
    pub worker_type: WorkerType,
    /// Which scripts the update check may take from an HTTP cache.
    pub update_via_cache: UpdateViaCache,
    /// What the worker may use.
    pub limits: Limits,
    /// When a new version takes the place of the active one.
    pub activation: Activation,
    /// How its caches keep what it puts into them. What it puts while it installs is pinned.
    pub policies: CachePolicies,
}

impl SiteOptions {
    /// The defaults of `navigator.serviceWorker.register(script)`.
    pub fn new(script: Url) -> Self {
        Self {
            script,
            scope: None,
            worker_type: WorkerType::default(),
            update_via_cache: UpdateViaCache::default(),
            limits: Limits::default(),
            activation: Activation::default(),
            policies: CachePolicies::default(),
        }
    }

    /// The script and the scope without their fragments, if they are allowed together.
    pub(crate) fn urls(&self) -> Result<(Url, Url), SiteError> {
        let mut script = self.script.clone();
        script.set_fragment(None);
        check_url("script", &script)?;
        let mut scope = match &self.scope {
            Some(scope) => scope.clone(),
            None => script.join("./").map_err(|_| refused("scope", &script, "it is not a URL"))?,
        };
        scope.set_fragment(None);
        check_url("scope", &scope)?;
        if scope.origin() == script.origin() {
            Ok((script, scope))
        } else {
            Err(refused("scope", &scope, "its origin is not that of the script"))
        }
    }
}

fn check_url(what: &'static str, url: &Url) -> Result<(), SiteError> {
    let path = url.path().to_ascii_lowercase();
    if !matches!(url.scheme(), "http" | "https") {
        Err(refused(what, url, "its scheme is not http or https"))
    } else if path.contains("%2f") || path.contains("%5c") {
        Err(refused(what, url, "its path holds an escaped slash or backslash"))
    } else {
        Ok(())
    }
}

fn refused(what: &'static str, url: &Url, reason: &'static str) -> SiteError {
    SiteError::Url { what, url: Box::new(url.clone()), reason }
}

/// How a worker's script is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerType {
    /// As a classic script.
    #[default]
    Classic,
    /// As a module: it imports others with `import`, never with `importScripts` or `import()`, and has
    /// no `await` at its top level.
    Module,
}

/// Which scripts the update check may take from an HTTP cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpdateViaCache {
    /// Imported ones.
    #[default]
    Imports,
    /// All.
    All,
    /// None.
    None,
}

impl UpdateViaCache {
    /// The word that scripts see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Imports => "imports",
            Self::All => "all",
            Self::None => "none",
        }
    }
}

/// When a new version, once it is installed, takes the place of the active one.
///
/// Either way it waits for the end of the events that the active one was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// At once: pages that are connected get the new one, and are told with a `controllerchange` event.
    #[default]
    Rollover,
    /// When no page is connected that the active one controls, or the new one calls `skipWaiting()`, as
    /// in a browser; at the latest after [`Limits::hold`].
    Hold,
}

/// What a site's host does for it.
#[derive(Clone)]
pub struct SiteHost {
    /// The network, and the worker's script.
    pub fetch: Arc<dyn Fetch>,
    /// Time and randomness.
    pub clock: Arc<Clock>,
    /// Where the worker's console goes, and what it did not catch.
    pub console: Arc<dyn Fn(ConsoleLine) + Send + Sync>,
    /// Who prefetches for scripts; without one, they find no global `waystore`.
    pub prefetch: Option<Arc<dyn Prefetcher>>,
}

impl fmt::Debug for SiteHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiteHost").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(script: &str, scope: Option<&str>) -> Option<String> {
        let script = Url::parse(script).unwrap();
        let scope = scope.map(|scope| script.join(scope).unwrap());
        let options = SiteOptions { scope, ..SiteOptions::new(script) };
        options.urls().ok().map(|(_, scope)| scope.to_string())
    }

    #[test]
    fn w5_the_scope_defaults_to_the_folder_of_the_script() {
        assert_eq!(urls("https://a.test/app/sw.js#x", None).as_deref(), Some("https://a.test/app/"));
    }

    #[test]
    fn w8_a_script_or_scope_with_an_escaped_slash_or_a_foreign_origin_is_refused() {
        assert_eq!(urls("https://a.test/a%2fsw.js", None), None);
        assert_eq!(urls("https://a.test/sw.js", Some("/x%5Cy")), None);
        assert_eq!(urls("data:text/javascript,1", None), None);
        assert_eq!(urls("https://a.test/sw.js", Some("https://b.test/")), None);
    }
}
