//! What the interfaces need from whoever runs them. One per context, on its one thread.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
    sync::Arc,
};

use rquickjs::{Ctx, Exception, JsLifetime};
use tokio::sync::Notify;
use url::Url;

use crate::{event::ConsoleLine, isolate::Revocation};

/// The world outside one context.
pub(crate) struct Realm {
    /// The caches of the script's origin; relative URLs resolve against the script's URL.
    pub(crate) caches: waystore::CacheStorage,
    /// The network. Its fetches skip service workers.
    pub(crate) fetch: Arc<dyn waystore::Fetch>,
    /// Who prefetches, where somebody does.
    pub(crate) prefetch: Option<Arc<dyn crate::Prefetcher>>,
    /// The API base URL: the script's URL.
    pub(crate) base: Url,
    /// Whether who asks for persistent storage is granted it; `None` where nobody can ask, as in a worker.
    pub(crate) persistence: Option<bool>,
    /// Where a clone of a body puts what it cannot hold.
    pub(crate) spooler: waystore::Spooler,
    /// Takes what the script writes to its console.
    pub(crate) console: Rc<dyn Fn(ConsoleLine)>,
    /// Takes what a callback threw and nobody caught, described in words, after the console did.
    pub(crate) uncaught: Rc<dyn Fn(&str)>,
    /// Time and randomness.
    pub(crate) clock: Arc<waystore::Clock>,
    /// Cancelled when the isolate is abandoned: every native call fails from then on.
    pub(crate) revoked: Revocation,
    /// What the script waits for.
    pub(crate) work: Work,
}

impl fmt::Debug for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Realm").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// Counts what a script waits for: native operations under way, and timers. Clones count together.
///
/// A watcher that only waits for somebody else (an abort signal's) is not counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Work(Rc<Counter>);

#[derive(Debug, Default)]
struct Counter {
    pending: Cell<usize>,
    idle: Notify,
}

impl Work {
    /// Counts one more until the guard is dropped.
    pub(crate) fn begin(&self) -> Working {
        self.0.pending.set(self.0.pending.get() + 1);
        Working(Rc::clone(&self.0))
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.0.pending.get() == 0
    }

    /// Waits until nothing is under way. What finished may have queued jobs of the engine that begin
    /// more: who wants to know whether a script is done also asks the engine for its jobs.
    pub(crate) async fn idle(&self) {
        loop {
            let changed = self.0.idle.notified();
            if self.is_idle() {
                return;
            }
            changed.await;
        }
    }
}

/// One piece of work under way.
#[derive(Debug)]
pub(crate) struct Working(Rc<Counter>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.pending.set(self.0.pending.get() - 1);
        if self.0.pending.get() == 0 {
            self.0.idle.notify_waiters();
        }
    }
}

#[derive(JsLifetime)]
struct Slot(RefCell<Rc<Realm>>);

/// Keeps `realm` where [`realm`] finds it.
pub(super) fn store(ctx: &Ctx<'_>, realm: Rc<Realm>) -> rquickjs::Result<()> {
    ctx.store_userdata(Slot(RefCell::new(realm)))?;
    Ok(())
}

/// The realm of `ctx`; an exception where the isolate was abandoned.
pub(crate) fn realm(ctx: &Ctx<'_>) -> rquickjs::Result<Rc<Realm>> {
    let slot = ctx.userdata::<Slot>();
    let realm = slot.map(|slot| Rc::clone(&slot.0.borrow()));
    match realm {
        Some(realm) if !realm.revoked.is_cancelled() => Ok(realm),
        _ => Err(stopped(ctx)),
    }
}

/// What tells that the isolate of `ctx` was abandoned, for who asks often; and what is thrown then.
pub(super) fn revocation(ctx: &Ctx<'_>) -> rquickjs::Result<Revocation> {
    Ok(realm(ctx)?.revoked.clone())
}

/// Throws that the isolate was abandoned.
pub(super) fn stopped(ctx: &Ctx<'_>) -> rquickjs::Error {
    Exception::throw_internal(ctx, "this worker was stopped")
}
