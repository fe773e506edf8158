//! `waystore run`: classic scripts, in order, in one global that is like a worker's.
//!
//! No registration, no events of a service worker, no idle stop: it ends when nothing is pending.

use std::{cell::RefCell, future::poll_fn, pin::pin, rc::Rc, sync::Arc, task::Poll};

use tokio::sync::oneshot;
use url::Url;
use waystore::Waystore;

use crate::{
    Limits, RunError, SiteHost,
    isolate::{OnHost, Shared, Sliced},
    js::{Engine, Realm, Work, scope},
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
}

/// Evaluates `scripts` in order, each under its URL, and waits until nothing is pending.
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
    scripts: Vec<(Url, Vec<u8>)>,
    waystore: &Waystore,
    host: SiteHost,
) -> Result<(), RunError> {
    let caches = waystore.caches(options.url.as_str())?;
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
    scripts: Vec<(Url, Vec<u8>)>,
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
        let global = scope::install_plain(&context, &options.url, realm);
        let global = global.map_err(|reason| RunError::Engine { reason })?;
        for (url, source) in &scripts {
            if let Err(words) = global.evaluate(source, url) {
                stopped(shared)?;
                return Err(RunError::Uncaught { text: words });
            }
            global.checkpoint(&shared.pulse);
            global.notify_rejections();
        }
        let mut idle = pin!(work.idle());
        poll_fn(|cx| {
            shared.pulse.begin();
            global.checkpoint(&shared.pulse);
            global.notify_rejections();
            if uncaught.borrow().is_some() || shared.pulse.tripped() || shared.revoked.is_cancelled() {
                return Poll::Ready(());
            }
            idle.as_mut().poll(cx)
        })
        .await;
        // What finished last may have rejected something.
        global.checkpoint(&shared.pulse);
        global.notify_rejections();
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
