//! The prelude: our own JavaScript, and the object through which it and the native side meet.
//!
//! Each file of `prelude/` is a function that is given the kit, takes what it needs from it and adds
//! what it makes. It runs before any script of the site, so it holds the built-ins as they were.

use rquickjs::{Ctx, Function, JsLifetime, Object, Value, context::EvalOptions};

/// The object that prelude and native side share.
#[derive(Debug, Clone, JsLifetime)]
pub(crate) struct Kit<'js>(Object<'js>);

impl<'js> Kit<'js> {
    /// A function that the prelude made.
    pub(crate) fn function(&self, name: &str) -> rquickjs::Result<Function<'js>> {
        self.0.get(name)
    }

    /// Anything that the prelude made.
    pub(crate) fn get(&self, name: &str) -> rquickjs::Result<Value<'js>> {
        self.0.get(name)
    }

    /// Gives the prelude a value.
    pub(crate) fn set(&self, name: &str, value: Value<'js>) -> rquickjs::Result<()> {
        self.0.set(name, value)
    }

    /// Gives the prelude a native function.
    pub(crate) fn give(&self, name: &str, native: Function<'js>) -> rquickjs::Result<()> {
        self.0.set(name, native)
    }

    /// Evaluates one file of the prelude: a function that is called with the kit.
    pub(crate) fn run(&self, name: &str, source: &str) -> rquickjs::Result<()> {
        let mut options = EvalOptions::default();
        options.filename = Some(format!("waystore:{name}"));
        let file: Function<'js> = self.0.ctx().eval_with_options(source, options)?;
        file.call((self.0.clone(),))
    }
}

/// The kit of `ctx`.
pub(crate) fn kit<'js>(ctx: &Ctx<'js>) -> rquickjs::Result<Kit<'js>> {
    let kit = ctx.userdata::<Kit<'js>>().map(|kit| (*kit).clone());
    kit.ok_or_else(|| rquickjs::Exception::throw_internal(ctx, "the interfaces are not installed"))
}

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let kit = Kit(Object::new(ctx.clone())?);
    kit.run("kit", include_str!("prelude/kit.js"))?;
    kit.run("values", include_str!("prelude/values.js"))?;
    kit.run("pairs", include_str!("prelude/pairs.js"))?;
    ctx.store_userdata(kit)?;
    Ok(())
}
