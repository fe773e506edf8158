//! The update check: fetches a worker's scripts and compares them, byte for byte, with those it runs.
//!
//! Knows the network as a [`Fetch`] and the rules for a script's response; knows no engine, and not
//! what is done about the result.
//! Spec: <https://w3c.github.io/ServiceWorker/#update-algorithm>

use std::collections::BTreeMap;

use bytes::Bytes;
use url::Url;
use waystore::{
    Destination, Fetch, Request, RequestCache, RequestCredentials, RequestHead, RequestMode, RequestRedirect, Response,
    ResponseType,
};

use crate::{UpdateViaCache, WorkerType, policy::ScriptPolicy, registration::Barred};

/// The JavaScript MIME type essences. Spec: <https://mimesniff.spec.whatwg.org/#javascript-mime-type>
const JAVASCRIPT: [&str; 16] = [
    "application/ecmascript",
    "application/javascript",
    "application/x-ecmascript",
    "application/x-javascript",
    "text/ecmascript",
    "text/javascript",
    "text/javascript1.0",
    "text/javascript1.1",
    "text/javascript1.2",
    "text/javascript1.3",
    "text/javascript1.4",
    "text/javascript1.5",
    "text/jscript",
    "text/livescript",
    "text/x-ecmascript",
    "text/x-javascript",
];

/// Why a script cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// A `TypeError` of the standard: it could not be fetched.
    #[error("the script {url} could not be fetched: {reason}")]
    Fetch {
        /// The script.
        url: Url,
        /// What went wrong.
        reason: String,
    },
    /// A `SecurityError` of the standard: what was fetched may not be used so.
    #[error("the script {url} may not be used: {reason}")]
    Security {
        /// The script.
        url: Url,
        /// The rule.
        reason: String,
    },
}

/// What to check, and against what.
#[derive(Debug)]
pub(crate) struct Check<'a> {
    pub(crate) script: &'a Url,
    pub(crate) scope: &'a Url,
    pub(crate) worker_type: WorkerType,
    pub(crate) update_via_cache: UpdateViaCache,
    /// Past the HTTP cache: the check is forced, or the last one is too long ago.
    pub(crate) forced: bool,
    pub(crate) script_bytes: usize,
    /// The newest worker's script and what it imported.
    pub(crate) newest: Option<Newest>,
    /// A version that is not wanted though it is the latest.
    pub(crate) barred: Option<&'a Barred>,
}

/// The worker that is compared with.
#[derive(Debug)]
pub(crate) struct Newest {
    pub(crate) script: Url,
    pub(crate) worker_type: WorkerType,
    pub(crate) main: Bytes,
    pub(crate) imports: BTreeMap<Url, Bytes>,
}

/// What the check found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The same bytes.
    Unchanged,
    /// A new version: its main script, what the response demands that it came in, and the imports that were fetched on
    /// the way.
    Changed { main: Bytes, policy: ScriptPolicy, imports: BTreeMap<Url, Bytes> },
    /// The version that is not wanted.
    Barred,
}

impl Check<'_> {
    /// Fetches and compares.
    pub(crate) async fn run(&self, fetch: &dyn Fetch) -> Result<Found, ScriptError> {
        let (main, policy) = self.fetch_main(fetch).await?;
        let Some(newest) = &self.newest else { return Ok(Found::Changed { main, policy, imports: BTreeMap::new() }) };
        let is_same = newest.script == *self.script && newest.worker_type == self.worker_type && newest.main == main;
        let barred = self.barred.filter(|barred| barred.has_main(&main));
        let mut imports = BTreeMap::new();
        if is_same {
            // All are fetched, even after the first difference: the new version will want them.
            self.fetch_imports(fetch, newest.imports.keys(), &mut imports).await;
            if imports.iter().all(|(url, script)| newest.imports.get(url) == Some(script)) {
                return Ok(Found::Unchanged);
            }
        }
        let Some(barred) = barred else { return Ok(Found::Changed { main, policy, imports }) };
        self.fetch_imports(fetch, barred.imports(), &mut imports).await;
        // One that cannot be fetched counts as the same, as it does above.
        let same = barred.imports().all(|url| imports.get(url).is_none_or(|script| barred.has_import(url, script)));
        Ok(if same { Found::Barred } else { Found::Changed { main, policy, imports } })
    }

    /// Adds the scripts that can be fetched and are not there yet.
    async fn fetch_imports(
        &self,
        fetch: &dyn Fetch,
        urls: impl Iterator<Item = &Url>,
        imports: &mut BTreeMap<Url, Bytes>,
    ) {
        let kind = match self.worker_type {
            WorkerType::Classic => ImportKind::Classic,
            WorkerType::Module => ImportKind::ModuleOrJson,
        };
        let no_cache = self.forced || self.update_via_cache == UpdateViaCache::None;
        for url in urls {
            if !imports.contains_key(url)
                && let Ok(script) = fetch_import(fetch, url, kind, no_cache, self.script_bytes).await
            {
                imports.insert(url.clone(), script);
            }
        }
    }

    async fn fetch_main(&self, fetch: &dyn Fetch) -> Result<(Bytes, ScriptPolicy), ScriptError> {
        let fails = |reason: String| ScriptError::Fetch { url: self.script.clone(), reason };
        let response = fetch.fetch(self.main_request()).await.map_err(|error| fails(error.to_string()))?;
        if response.kind == ResponseType::Error || response.url_list.len() > 1 {
            return Err(fails("it was redirected, which a worker's script must not be".to_owned()));
        }
        if !is_ok(&response) {
            return Err(fails(format!("the status is {}", response.status)));
        }
        check_mime(self.script, &response)?;
        check_path(self.script, self.scope, response.headers.get_text("service-worker-allowed"))?;
        let policy = ScriptPolicy::of(&response.headers);
        let body = response.body.unwrap_or_default().collect(self.script_bytes);
        body.await.map(|main| (main, policy)).map_err(|error| fails(error.to_string()))
    }

    /// Spec: <https://w3c.github.io/ServiceWorker/#update-algorithm>, the perform the fetch hook.
    fn main_request(&self) -> Request {
        let head = RequestHead {
            mode: RequestMode::SameOrigin,
            credentials: RequestCredentials::SameOrigin,
            redirect: RequestRedirect::Error,
            destination: Destination::ServiceWorker,
            cache: if self.forced || self.update_via_cache != UpdateViaCache::All {
                RequestCache::NoCache
            } else {
                RequestCache::Default
            },
            ..RequestHead::get(self.script.clone())
        };
        Request::from(head).header("Service-Worker", "script")
    }
}

/// How a script is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImportKind {
    /// By `importScripts`.
    Classic,
    /// By a module, as a module.
    Module,
    /// By a module, as JSON.
    Json,
    /// By a module, which may mean either.
    ModuleOrJson,
}

/// Fetches a script that another one imports.
///
/// Spec: <https://w3c.github.io/ServiceWorker/#importscripts>,
/// <https://html.spec.whatwg.org/#fetch-a-single-module-script>
pub(crate) async fn fetch_import(
    fetch: &dyn Fetch,
    url: &Url,
    kind: ImportKind,
    no_cache: bool,
    script_bytes: usize,
) -> Result<Bytes, ScriptError> {
    let fails = |reason: String| ScriptError::Fetch { url: url.clone(), reason };
    let head = RequestHead {
        cache: if no_cache { RequestCache::NoCache } else { RequestCache::Default },
        ..kind.request(url.clone())
    };
    let response = fetch.fetch(Request::from(head)).await.map_err(|error| fails(error.to_string()))?;
    if !is_ok(&response) {
        return Err(fails(format!("the status is {}", response.status)));
    }
    kind.check_mime(url, &response)?;
    let body = response.body.unwrap_or_default().collect(script_bytes);
    body.await.map_err(|error| fails(error.to_string()))
}

impl ImportKind {
    fn request(self, url: Url) -> RequestHead {
        let (mode, credentials) = match self {
            Self::Classic => (RequestMode::NoCors, RequestCredentials::Include),
            _ => (RequestMode::Cors, RequestCredentials::Omit),
        };
        let destination = if self == Self::Json { Destination::Json } else { Destination::Script };
        RequestHead { mode, credentials, destination, ..RequestHead::get(url) }
    }

    fn check_mime(self, url: &Url, response: &Response) -> Result<(), ScriptError> {
        let is_json = is_json(&essence(response));
        match self {
            Self::Classic | Self::Module => check_mime(url, response),
            Self::ModuleOrJson if is_json => Ok(()),
            Self::ModuleOrJson => check_mime(url, response),
            Self::Json if is_json => Ok(()),
            Self::Json => Err(ScriptError::Security {
                url: url.clone(),
                reason: format!("its content type `{}` is not a JSON MIME type", given_mime(response)),
            }),
        }
    }
}

/// The internal status decides: an imported script may be opaque.
fn is_ok(response: &Response) -> bool {
    response.kind != ResponseType::Error && (200..=299).contains(&response.status)
}

fn check_mime(url: &Url, response: &Response) -> Result<(), ScriptError> {
    if JAVASCRIPT.contains(&essence(response).as_str()) {
        return Ok(());
    }
    let reason = format!("its content type `{}` is not a JavaScript MIME type", given_mime(response));
    Err(ScriptError::Security { url: url.clone(), reason })
}

fn given_mime(response: &Response) -> String {
    response.headers.get_text("content-type").unwrap_or_default()
}

fn essence(response: &Response) -> String {
    given_mime(response).split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Spec: <https://mimesniff.spec.whatwg.org/#json-mime-type>
fn is_json(essence: &str) -> bool {
    matches!(essence, "application/json" | "text/json") || essence.contains('/') && essence.ends_with("+json")
}

/// The path rule: a scope lies in the script's folder, unless the script's response allows more.
fn check_path(script: &Url, scope: &Url, allowed: Option<String>) -> Result<(), ScriptError> {
    let refused = |reason: String| ScriptError::Security { url: script.clone(), reason };
    let allowed = match allowed {
        None => script.join("./").map_err(|error| refused(error.to_string()))?,
        Some(value) => script.join(&value).map_err(|error| ScriptError::Fetch {
            url: script.clone(),
            reason: format!("its Service-Worker-Allowed `{value}` is not a URL: {error}"),
        })?,
    };
    if allowed.origin() == script.origin() && scope.path().starts_with(allowed.path()) {
        return Ok(());
    }
    Err(refused(format!(
        "the scope {scope} is not under {allowed}; a Service-Worker-Allowed header on the script can allow more"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(scope: &str, allowed: Option<&str>) -> bool {
        let script = Url::parse("https://a.test/app/sw.js").unwrap();
        check_path(&script, &script.join(scope).unwrap(), allowed.map(str::to_owned)).is_ok()
    }

    #[test]
    fn w5_w6_w7_a_scope_lies_in_the_folder_of_the_script_or_where_its_header_allows() {
        assert!(allows("./", None));
        assert!(allows("/app/x", None));
        assert!(!allows("/", None));
        assert!(!allows("/app", None));
        assert!(allows("/", Some("/")));
        assert!(!allows("/", Some("/foo")));
        assert!(!allows("/", Some("https://b.test/")));
    }

    #[test]
    fn w9_a_script_has_a_javascript_mime_type() {
        let url = Url::parse("https://a.test/sw.js").unwrap();
        let allowed = |mime: &str| check_mime(&url, &Response::new("").header("content-type", mime)).is_ok();
        assert!(allowed("text/javascript; charset=x"));
        assert!(allowed("application/javascript"));
        assert!(!allowed("text/plain"));
        assert!(!allowed(""));
    }
}
