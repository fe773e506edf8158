//! `importScripts`: the one call of a worker that blocks its thread.
//!
//! The network is the host's, on the host's runtime; the thread waits on a channel with a deadline.
//! Spec: <https://w3c.github.io/ServiceWorker/#importscripts>

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;
use rquickjs::Ctx;
use url::Url;
use waystore::Fetch;

use super::{Bridge, evaluate};
use crate::{
    Limits, UpdateViaCache, WorkerType,
    isolate::Shared,
    js::{Outcome, Thrown, idl::native_operation, kit},
    update::{ImportKind, fetch_import},
};

pub(super) fn install(ctx: &Ctx<'_>, bridge: &Rc<Bridge>) -> rquickjs::Result<()> {
    let bridge = Rc::clone(bridge);
    let import = native_operation(ctx, "importScripts", 1, move |arguments| {
        let urls: Vec<String> = arguments.get(0).get()?;
        import_scripts(arguments.ctx(), &bridge, &urls)
    })?;
    kit(ctx)?.give("importScripts", import)
}

fn import_scripts<'js>(ctx: &Ctx<'js>, bridge: &Bridge, urls: &[String]) -> Outcome<'js, ()> {
    if bridge.scripts.worker_type() == WorkerType::Module {
        return Err(Thrown::type_error("importScripts: a module imports with `import`"));
    }
    let parse = |url: &String| {
        let parsed = bridge.script.join(url);
        parsed.map_err(|_| Thrown::Dom("SyntaxError", format!("importScripts: `{url}` is not a URL")))
    };
    let urls = urls.iter().map(parse).collect::<Result<Vec<Url>, _>>()?;
    for url in urls {
        let fails = |reason| Thrown::Dom("NetworkError", format!("importScripts: {reason}"));
        let script = source(bridge, &url, ImportKind::Classic).map_err(fails)?;
        evaluate(ctx, &script, url.as_str())?;
    }
    Ok(())
}

/// The script's stored copy; while the worker installs, a fetched one where there is none.
pub(super) fn source(bridge: &Bridge, url: &Url, kind: ImportKind) -> Result<Bytes, String> {
    // Where it is kept, and on the wire, a fragment does not count.
    let mut url = url.clone();
    url.set_fragment(None);
    if let Some(stored) = bridge.scripts.import(&url) {
        return Ok(stored);
    }
    if !bridge.scripts.is_open() {
        return Err(format!("{url} was not imported while the worker was installed"));
    }
    let no_cache = bridge.update_via_cache == UpdateViaCache::None;
    let script = bridge.importer().fetch_blocking(&url, kind, no_cache)?;
    tell_of_absent(bridge, &script, &url);
    bridge.scripts.add(url, script.clone());
    Ok(script)
}

/// Says in the log what a script that is installed asks for and does not find.
pub(super) fn tell_of_absent(bridge: &Bridge, script: &[u8], url: &Url) {
    const NAME: &[u8] = b"indexedDB";
    if bridge.scripts.is_open() && script.windows(NAME.len()).any(|window| window == NAME) {
        tracing::warn!(version = bridge.version, %url, "the script names indexedDB, which is not there: what needs it fails");
    }
}

impl Bridge {
    fn importer(&self) -> Importer {
        Importer {
            fetch: Arc::clone(&self.fetch),
            runtime: self.runtime.clone(),
            shared: Arc::clone(&self.shared),
            limits: self.limits.clone(),
        }
    }
}

/// Fetches scripts while the thread that asks for them waits.
pub(crate) struct Importer {
    /// The host's network.
    pub(crate) fetch: Arc<dyn Fetch>,
    /// The host's runtime.
    pub(crate) runtime: tokio::runtime::Handle,
    /// Of the thread that waits.
    pub(crate) shared: Arc<Shared>,
    /// How long it waits, and for how much.
    pub(crate) limits: Limits,
}

impl Importer {
    pub(super) fn fetch_blocking(&self, url: &Url, kind: ImportKind, no_cache: bool) -> Result<Bytes, String> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let (fetch, revoked) = (Arc::clone(&self.fetch), self.shared.revoked.clone());
        let (url, limits) = (url.clone(), self.limits.clone());
        self.runtime.spawn(async move {
            let fetched = async {
                let fetching = fetch_import(&*fetch, &url, kind, no_cache, limits.script_bytes);
                match tokio::time::timeout(limits.response, fetching).await {
                    Ok(fetched) => fetched.map_err(|error| error.to_string()),
                    Err(_) => Err(format!("{url} took longer than {:?}", limits.response)),
                }
            };
            let fetched = tokio::select! {
                biased;
                () = revoked.cancelled() => Err("the worker was stopped".to_owned()),
                fetched = fetched => fetched,
            };
            // The thread may have ended meanwhile.
            drop(sender.send(fetched));
        });
        // Waiting is not running: the slice ends here and another begins.
        self.shared.pulse.end();
        let fetched = receiver.recv().unwrap_or_else(|_| Err("the host is shutting down".to_owned()));
        self.shared.pulse.begin();
        fetched
    }
}
