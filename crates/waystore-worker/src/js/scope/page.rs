//! The global of a page without a document, and so without events of its own.

use std::rc::Rc;

use rquickjs::{Ctx, Promise, promise::PromiseState};
use url::Url;

use super::{Global, Rejected, checkpoint, evaluate, install_worker, modules, notify, words_of};
use crate::{
    isolate::Pulse,
    js::{Kit, Realm, install, kit},
};

/// A context with the global of a page.
pub(crate) struct Page<'js> {
    ctx: Ctx<'js>,
    kit: Kit<'js>,
    rejected: Rejected,
}

/// A module that is being evaluated.
pub(crate) struct Loading<'js>(Promise<'js>);

impl Loading<'_> {
    /// Whether it awaits something.
    pub(crate) fn is_pending(&self) -> bool {
        self.0.state() == PromiseState::Pending
    }
}

/// Makes the global of `ctx`, which is fresh, that of a page at `url`, whose modules are in `sources`.
pub(crate) fn install_page<'js>(
    ctx: &Ctx<'js>,
    url: &Url,
    realm: Realm,
    sources: modules::OfPage,
) -> Result<Page<'js>, String> {
    let install = || {
        install(ctx, Rc::new(realm))?;
        modules::install(ctx, Rc::new(sources))?;
        let rejected = install_worker(ctx, url, Global::Page)?;
        Ok(Page { ctx: ctx.clone(), kit: kit(ctx)?, rejected })
    };
    install().map_err(|error| words_of(ctx, &error))
}

impl<'js> Page<'js> {
    /// Evaluates a classic script.
    pub(crate) fn evaluate(&self, source: &[u8], url: &Url) -> Result<(), String> {
        evaluate(&self.ctx, source, url.as_str()).map_err(|error| words_of(&self.ctx, &error))
    }

    /// Links a module and begins to evaluate it. What it throws then is reported as a script's error is.
    pub(crate) fn begin_module(&self, source: &[u8], url: &Url) -> Result<Loading<'js>, String> {
        let begin = || {
            let module = modules::begin(&self.ctx, source, url).map_err(|thrown| thrown.throw(&self.ctx))?;
            self.kit.function("followModule")?.call::<_, ()>((module.clone(),))?;
            Ok(Loading(module))
        };
        begin().map_err(|error| words_of(&self.ctx, &error))
    }

    /// Runs the microtasks that wait, and those they queue, while the slice lasts.
    pub(crate) fn checkpoint(&self, pulse: &Pulse) {
        checkpoint(&self.ctx, pulse);
    }

    /// Tells of rejections that nobody handled.
    pub(crate) fn notify_rejections(&self) {
        notify(&self.ctx, &self.kit, &self.rejected);
    }
}
