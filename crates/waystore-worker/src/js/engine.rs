//! The engine: a runtime within its limits, and its one context.
//!
//! Whoever starts a thread for script gets one here, and names nothing else of it.

use std::fmt;

use rquickjs::{AsyncContext, AsyncRuntime, Ctx};

use super::scope;
use crate::Limits;

/// An engine with one context.
pub(crate) struct Engine(AsyncContext);

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine within `limits`, whose script is cut off as soon as `interrupted` says so.
    pub(crate) async fn new(limits: &Limits, interrupted: impl Fn() -> bool + Send + 'static) -> Result<Self, String> {
        let runtime = AsyncRuntime::new().map_err(|error| error.to_string())?;
        runtime.set_memory_limit(limits.memory_bytes).await;
        runtime.set_max_stack_size(limits.stack_bytes).await;
        runtime.set_interrupt_handler(Some(Box::new(interrupted))).await;
        runtime.set_host_promise_rejection_tracker(Some(Box::new(scope::track_rejection))).await;
        runtime.set_loader(scope::Modules, scope::Modules).await;
        let context = AsyncContext::full(&runtime).await.map_err(|error| error.to_string())?;
        Ok(Self(context))
    }

    /// Runs `root` in the context, and what script begins meanwhile beside it.
    pub(crate) async fn run<R: 'static>(&self, root: impl AsyncFnOnce(Ctx<'_>) -> R) -> R {
        self.0.async_with(root).await
    }
}
