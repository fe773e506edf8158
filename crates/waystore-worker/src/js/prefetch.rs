//! `waystore.prefetch()`: a plan out of script, to the host, and its rows back.
//!
//! What is checked before is in the prelude; what a plan means is the library's business. Not in any standard; the rules
//! are those of WebIDL for an operation that returns a promise.

use rquickjs::{Ctx, Function, Value};
use waystore::prefetch::{Event, Prefetch};

use super::{
    abort,
    exception::{Outcome, Thrown, report},
    idl::{Arguments, native_operation, promised},
    kit::kit,
    realm::realm,
};
use crate::{PrefetchJob, PrefetchRefused, PrefetchStep};

/// Puts `waystore` onto the global, where the host prefetches.
pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    if realm(ctx)?.prefetch.is_none() {
        return Ok(());
    }
    let kit = kit(ctx)?;
    kit.give("startPrefetch", native_operation(ctx, "startPrefetch", 3, start)?)?;
    kit.run("prefetch")
}

fn start<'js>(arguments: &Arguments<'js>) -> Outcome<'js, Value<'js>> {
    let signal = arguments.get(1).into_object();
    if let Some(reason) = signal.as_ref().map(abort::reason).transpose()?.flatten() {
        return Err(reason);
    }
    let heard = arguments.get(2).into_function();
    let aborted = signal.as_ref().map(abort::native_signal).transpose()?;
    let mut job = begin(arguments)?;
    let ctx = arguments.ctx().clone();
    let rows = async move {
        loop {
            let aborts = async {
                match &aborted {
                    Some(aborted) => aborted.wait().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                // Dropping the job aborts it.
                () = aborts => return Err(why(signal.as_ref())),
                step = job.next() => match step {
                    PrefetchStep::Event(event) => tell(&ctx, heard.as_ref(), &event),
                    PrefetchStep::Ended { rows, summary } => {
                        tell(&ctx, heard.as_ref(), &Event::Ended(summary));
                        return serde_json::to_string(&rows).map_err(|error| Thrown::Type(error.to_string()));
                    }
                    PrefetchStep::Failed(reason) => return Err(Thrown::Dom("OperationError", reason)),
                },
            }
        }
    };
    Ok(promised(arguments.ctx(), Ok(rows))?)
}

/// Begins the plan that the first argument is, in JSON.
fn begin<'js>(arguments: &Arguments<'js>) -> Outcome<'js, Box<dyn PrefetchJob>> {
    let realm = realm(arguments.ctx())?;
    let text: String = arguments.get(0).get()?;
    let plan: Prefetch =
        serde_json::from_str(&text).map_err(|error| Thrown::Type(format!("that is no plan: {error}")))?;
    let plan = Prefetch { base: plan.base.or_else(|| Some(realm.base.clone())), ..plan };
    let Some(host) = &realm.prefetch else { return Err(Thrown::type_error("nobody prefetches here")) };
    host.start(plan).map_err(|refused| match refused {
        PrefetchRefused::Plan { reason } => Thrown::Type(reason),
        PrefetchRefused::Busy { reason } => Thrown::Dom("NotAllowedError", reason),
    })
}

/// Why it was aborted.
fn why<'js>(signal: Option<&rquickjs::Object<'js>>) -> Thrown<'js> {
    match signal.map(abort::reason) {
        Some(Ok(Some(reason)) | Err(reason)) => reason,
        _ => Thrown::aborted(),
    }
}

/// Has the script's listener, where there is one, hear of `event`.
fn tell<'js>(ctx: &Ctx<'js>, heard: Option<&Function<'js>>, event: &Event) {
    let (Some(heard), Ok(text)) = (heard, serde_json::to_string(event)) else { return };
    if heard.call::<_, Value<'js>>((text,)).is_err() {
        let thrown = ctx.catch();
        report(ctx, &thrown);
    }
}
