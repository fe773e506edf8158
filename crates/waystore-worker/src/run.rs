//! `waystore run`: scripts and modules, in order, in one global that is like a page's.
//!
//! No registration, no events of a service worker, no idle stop: it ends when nothing is pending.

use std::{cell::RefCell, fmt, future::poll_fn, pin::pin, rc::Rc, sync::Arc, task::Poll};

use tokio::sync::oneshot;
use url::Url;
use waystore::Waystore;

use crate::{
    Limits, RunError, SiteHost, WorkerType,
    isolate::{OnHost, Shared, Sliced},
    js::{
        Engine, Realm, Work,
        scope::{self, Importer, OfPage},
    },
};

/// What scripts are run with.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The URL of the page or worker that the scripts seem to run in: their `location`, their origin,
    /// and what relative URLs resolve against.
    pub url: Url,
    /// Whether `navigator.storage.persist()` is granted.
    pub may_persist: bool,
    /// What they may use.
    pub limits: Limits,
    /// What reads the files that modules import; without it, they import from the network only.
    pub files: Option<ModuleFiles>,
}

/// Reads the files that modules import, by their `file:` URLs. Its errors are told to the script.
///
/// ```
/// use waystore_worker::ModuleFiles;
///
/// let files = ModuleFiles::new(|url| Err(format!("{url} is not here")));
/// # drop(files);
/// ```
#[derive(Clone)]
pub struct ModuleFiles(Arc<ReadFile>);

type ReadFile = dyn Fn(&Url) -> Result<Vec<u8>, String> + Send + Sync;

impl ModuleFiles {
    /// Reads with `read`, which is called on the thread of the scripts and holds them up.
    pub fn new(read: impl Fn(&Url) -> Result<Vec<u8>, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    pub(crate) fn read(&self, url: &Url) -> Result<Vec<u8>, String> {
        (self.0)(url)
    }
}

impl fmt::Debug for ModuleFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModuleFiles").finish_non_exhaustive()
    }
}

/// One of the scripts of a run. A URL and bytes are a classic one.
#[derive(Debug, Clone)]
pub struct RunScript {
    /// What its errors name, and what its relative imports resolve against.
    pub url: Url,
    /// Its text, in UTF-8.
    pub source: Vec<u8>,
    /// Whether it is a classic script or a module.
    pub worker_type: WorkerType,
}

impl From<(Url, Vec<u8>)> for RunScript {
    fn from((url, source): (Url, Vec<u8>)) -> Self {
        Self { url, source, worker_type: WorkerType::Classic }
    }
}

/// Evaluates `scripts` in order, each under its URL, and waits until nothing is pending.
///
/// A module is evaluated to its end before the next script begins, whatever it awaits at its top level.
///
/// Must be called within a tokio runtime, which is where the host's [`Fetch`](waystore::Fetch) is
/// called from. What the scripts write to their console goes to the host.
///
/// # Errors
///
/// * [`RunError::Uncaught`]: a script threw, or a promise was rejected, and nothing caught it. What
///   was pending is dropped.
/// * [`RunError::Stopped`]: a script ran for too long without a pause.
/// * [`RunError::Store`]: the URL's origin cannot own storage.
pub async fn run_scripts(
    options: RunOptions,
    scripts: impl IntoIterator<Item = impl Into<RunScript>>,
    waystore: &Waystore,
    host: SiteHost,
) -> Result<(), RunError> {
    let caches = waystore.caches(options.url.as_str())?;
    let scripts = scripts.into_iter().map(Into::into).collect();
    let shared = Arc::new(Shared::new("run".to_owned(), &options.limits));
    let _stops = StopOnDrop(Arc::clone(&shared));
    let (done, ended) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    let stack_size = options.limits.stack_bytes.saturating_add(4 << 20);
    let thread = std::thread::Builder::new().name("waystore-run".to_owned()).stack_size(stack_size);
    let spawned = thread.spawn(move || {
        let local = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let result = match local {
            Ok(local) => local.block_on(run(options, scripts, caches, host, runtime, &shared)),
            Err(error) => Err(RunError::Engine { reason: error.to_string() }),
        };
        // Whoever waited may have gone.
        drop(done.send(result));
    });
    spawned.map_err(|error| RunError::Engine { reason: error.to_string() })?;
    ended.await.unwrap_or_else(|_| Err(RunError::Engine { reason: "its thread ended early".to_owned() }))
}

/// Interrupts the scripts where nobody waits for them any more.
struct StopOnDrop(Arc<Shared>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.revoke("nobody waits for it");
    }
}

async fn run(
    options: RunOptions,
    scripts: Vec<RunScript>,
    caches: waystore::CacheStorage,
    host: SiteHost,
    runtime: tokio::runtime::Handle,
    shared: &Arc<Shared>,
) -> Result<(), RunError> {
    let engine = Engine::new(&options.limits, shared.interrupt()).await;
    let engine = engine.map_err(|reason| RunError::Engine { reason })?;
    let uncaught = Rc::new(RefCell::new(None));
    let (first, console) = (Rc::clone(&uncaught), Arc::clone(&host.console));
    let work = Work::default();
    let network = Importer {
        fetch: Arc::clone(&host.fetch),
        runtime: runtime.clone(),
        shared: Arc::clone(shared),
        limits: options.limits.clone(),
    };
    let sources = OfPage { files: options.files, network };
    let realm = Realm {
        spooler: caches.spooler(),
        caches: caches.with_base(options.url.clone()),
        fetch: Arc::new(OnHost::new(host.fetch, runtime)),
        prefetch: host.prefetch,
        base: options.url.clone(),
        persistence: Some(options.may_persist),
        console: Rc::new(move |line| console(line)),
        uncaught: Rc::new(move |words| {
            first.borrow_mut().get_or_insert_with(|| words.to_owned());
        }),
        clock: host.clock,
        revoked: shared.revoked.clone(),
        work: work.clone(),
    };
    let root = engine.run(async |context| {
        let page = scope::install_page(&context, &options.url, realm, sources);
        let page = page.map_err(|reason| RunError::Engine { reason })?;
        // Runs what is pending until nothing is, something was not caught, or `is_done`.
        let run_until = async |is_done: &dyn Fn() -> bool| {
            let mut idle = pin!(work.idle());
            poll_fn(|cx| {
                shared.pulse.begin();
                page.checkpoint(&shared.pulse);
                page.notify_rejections();
                let is_over = uncaught.borrow().is_some() || shared.pulse.tripped() || shared.revoked.is_cancelled();
                if is_over || is_done() {
                    return Poll::Ready(());
                }
                idle.as_mut().poll(cx)
            })
            .await;
            // What finished last may have rejected something.
            page.checkpoint(&shared.pulse);
            page.notify_rejections();
        };
        for RunScript { url, source, worker_type } in &scripts {
            let begun = match worker_type {
                WorkerType::Classic => page.evaluate(source, url).map(|()| None),
                WorkerType::Module => page.begin_module(source, url).map(Some),
            };
            let module = begun.or_else(|text| stopped(shared).and(Err(RunError::Uncaught { text })))?;
            page.checkpoint(&shared.pulse);
            page.notify_rejections();
            let Some(module) = module else { continue };
            run_until(&|| !module.is_pending()).await;
            if uncaught.borrow().is_some() || shared.pulse.tripped() {
                return Ok(());
            }
            if module.is_pending() {
                return Err(RunError::Uncaught { text: format!("{url} awaits what never comes") });
            }
        }
        run_until(&|| false).await;
        Ok(())
    });
    Sliced::new(shared, root).await?;
    stopped(shared)?;
    let uncaught = uncaught.borrow_mut().take();
    uncaught.map_or(Ok(()), |text| Err(RunError::Uncaught { text }))
}

fn stopped(shared: &Shared) -> Result<(), RunError> {
    if shared.pulse.tripped() {
        return Err(RunError::Stopped { reason: "a script ran for too long without a pause".to_owned() });
    }
    Ok(())
}
