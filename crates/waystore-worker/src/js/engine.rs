//! The engine itself, within its limits.
//!
//! What the rest of the crate sees of it is a context to run things in. Knows no thread and no event.

use rquickjs::{AsyncContext, AsyncRuntime};

use super::scope;
use crate::Limits;

/// A fresh engine and its one context; script in it is interrupted once `interrupt` says so.
pub(crate) async fn engine(
    limits: &Limits,
    interrupt: impl Fn() -> bool + Send + 'static,
) -> rquickjs::Result<AsyncContext> {
    let runtime = AsyncRuntime::new()?;
    runtime.set_memory_limit(limits.memory_bytes).await;
    runtime.set_max_stack_size(limits.stack_bytes).await;
    runtime.set_interrupt_handler(Some(Box::new(interrupt))).await;
    runtime.set_host_promise_rejection_tracker(Some(Box::new(scope::track_rejection))).await;
    AsyncContext::full(&runtime).await
}
