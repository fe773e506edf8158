//! Where modules are: those of a worker among its scripts, those of a page in files and on the network.

use std::rc::Rc;

use bytes::Bytes;
use url::Url;

use super::Sources;
use crate::{
    ModuleFiles,
    js::scope::{
        Bridge,
        imports::{Importer, source},
    },
    update::ImportKind,
};

/// A service worker's: its own scripts, as `importScripts` finds them.
///
/// Spec: <https://w3c.github.io/ServiceWorker/#service-worker-script-resource-map>
pub(in crate::js::scope) struct OfWorker(pub(in crate::js::scope) Rc<Bridge>);

impl Sources for OfWorker {
    fn are_static(&self) -> bool {
        true
    }

    fn check(&self, _: &str, url: &Url) -> Result<(), &'static str> {
        // The engine knows other modules by other names: the runtime's own.
        if is_http(url) { Ok(()) } else { Err("is not at an HTTP(S) URL") }
    }

    fn source(&self, url: &Url, kind: ImportKind) -> Result<Bytes, String> {
        source(&self.0, url, kind)
    }
}

/// A page's: files beside its scripts, as far as the host reads them, and what is at HTTP(S) URLs.
pub(crate) struct OfPage {
    /// What reads files, where somebody does.
    pub(crate) files: Option<ModuleFiles>,
    /// What fetches the others.
    pub(crate) network: Importer,
}

impl Sources for OfPage {
    fn are_static(&self) -> bool {
        false
    }

    fn check(&self, base: &str, url: &Url) -> Result<(), &'static str> {
        match url.scheme() {
            "http" | "https" => Ok(()),
            "file" if self.files.is_none() => Err("is a file, and files are not read here"),
            // What came from the network must not reach the machine's files.
            "file" if !base.starts_with("file:") => Err("is a file, which only a file may import"),
            "file" => Ok(()),
            _ => Err("is neither a file nor at an HTTP(S) URL"),
        }
    }

    fn source(&self, url: &Url, kind: ImportKind) -> Result<Bytes, String> {
        match &self.files {
            Some(files) if !is_http(url) => files.read(url).map(Bytes::from),
            _ => self.network.fetch_blocking(url, kind, false),
        }
    }
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}
