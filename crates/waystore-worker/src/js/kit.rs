//! The prelude: our own JavaScript, and the object through which it and the native side meet.
//!
//! Each file of `prelude/` exports a function that is given the kit, takes what it needs from it and
//! adds what it makes. It runs before any script of the site, so it holds the built-ins as they were.
//! The files are parsed when this crate is compiled; what is in the program is the engine's bytecode.

use rquickjs::{
    Ctx, Function, JsLifetime, Object, Value,
    loader::{Bundle, Loader},
};

/// Compiles the files, and has the compiler look at them again where one changed.
macro_rules! prelude {
    ($($name:tt : $path:tt,)*) => {
        static PRELUDE: Bundle = rquickjs::embed! { $($name: $path),* };
        const _: &[&str] = &[$(include_str!(concat!("../../", $path))),*];
    };
}

prelude! {
    "waystore:abort": "src/js/prelude/abort.js",
    "waystore:broadcast": "src/js/prelude/broadcast.js",
    "waystore:console": "src/js/prelude/console.js",
    "waystore:crypto": "src/js/prelude/crypto.js",
    "waystore:event": "src/js/prelude/event.js",
    "waystore:file": "src/js/prelude/file.js",
    "waystore:file_reader": "src/js/prelude/file_reader.js",
    "waystore:form_data": "src/js/prelude/form_data.js",
    "waystore:inspect": "src/js/prelude/inspect.js",
    "waystore:kit": "src/js/prelude/kit.js",
    "waystore:messages": "src/js/prelude/messages.js",
    "waystore:packed": "src/js/prelude/packed.js",
    "waystore:pairs": "src/js/prelude/pairs.js",
    "waystore:performance": "src/js/prelude/performance.js",
    "waystore:prefetch": "src/js/prelude/prefetch.js",
    "waystore:streams": "src/js/prelude/streams/base.js",
    "waystore:streams_bodies": "src/js/prelude/streams/bodies.js",
    "waystore:streams_bytes": "src/js/prelude/streams/bytes.js",
    "waystore:streams_codecs": "src/js/prelude/streams/codecs.js",
    "waystore:streams_pipe": "src/js/prelude/streams/pipe.js",
    "waystore:streams_readable": "src/js/prelude/streams/readable.js",
    "waystore:streams_readers": "src/js/prelude/streams/readers.js",
    "waystore:streams_tee": "src/js/prelude/streams/tee.js",
    "waystore:streams_transfer": "src/js/prelude/streams/transfer.js",
    "waystore:streams_transform": "src/js/prelude/streams/transform.js",
    "waystore:streams_writable": "src/js/prelude/streams/writable.js",
    "waystore:structured_clone": "src/js/prelude/structured_clone.js",
    "waystore:values": "src/js/prelude/values.js",
    "waystore:clients": "src/js/scope/clients.js",
    "waystore:events": "src/js/scope/events.js",
    "waystore:service_worker": "src/js/scope/service_worker.js",
    "waystore:worker": "src/js/scope/worker.js",
}

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

    /// Runs one file of the prelude: its function is called with the kit.
    pub(crate) fn run(&self, name: &str) -> rquickjs::Result<()> {
        let mut prelude = PRELUDE;
        let (file, _) = prelude.load(self.0.ctx(), &format!("waystore:{name}"), None)?.eval()?;
        file.get::<_, Function<'js>>("default")?.call((self.0.clone(),))
    }
}

/// The kit of `ctx`.
pub(crate) fn kit<'js>(ctx: &Ctx<'js>) -> rquickjs::Result<Kit<'js>> {
    let kit = ctx.userdata::<Kit<'js>>().map(|kit| (*kit).clone());
    kit.ok_or_else(|| rquickjs::Exception::throw_internal(ctx, "the interfaces are not installed"))
}

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let kit = Kit(Object::new(ctx.clone())?);
    kit.run("kit")?;
    kit.run("values")?;
    kit.run("pairs")?;
    ctx.store_userdata(kit)?;
    Ok(())
}
