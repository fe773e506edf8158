//! Module workers: the graph of static imports, and `import()`, which a service worker may not call.
//!
//! A module is linked and evaluated by the engine; here is how it finds what it imports: in the
//! worker's scripts, like `importScripts` does, and by the network only while the worker is installed.
//! Spec: <https://html.spec.whatwg.org/#hostloadimportedmodule>,
//! <https://html.spec.whatwg.org/#resolve-a-module-specifier>

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
};

use rquickjs::{
    Ctx, JsLifetime, Module, Result,
    loader::{ImportAttributes, Loader, Resolver},
    module::Declared,
    promise::PromiseState,
};
use url::Url;

use super::{Bridge, imports::source, text_of};
use crate::{
    js::exception::{Outcome, Thrown},
    update::ImportKind,
};

/// Of one worker, its main module included. What is linked is linked in one piece on one stack.
const MOST_MODULES: usize = 1024;
/// Before the URL of a module that is JSON: as the same URL's script it would be another module.
const JSON: &str = "json:";

/// What the engine's loader needs of the worker that it links.
#[derive(Clone, JsLifetime)]
struct Linker(Rc<Linking>);

struct Linking {
    bridge: Rc<Bridge>,
    /// Set while the main module is linked: what is asked for then is a static import.
    active: Cell<bool>,
    known: RefCell<BTreeSet<String>>,
}

/// Lets modules find what they import in the scripts of `bridge`.
pub(super) fn install(ctx: &Ctx<'_>, bridge: &Rc<Bridge>) -> Result<()> {
    let linking = Linking { bridge: Rc::clone(bridge), active: Cell::default(), known: RefCell::default() };
    ctx.store_userdata(Linker(Rc::new(linking)))?;
    Ok(())
}

/// Links and evaluates the worker's main module.
pub(super) fn evaluate<'js>(ctx: &Ctx<'js>, script: &[u8], url: &Url) -> Outcome<'js, ()> {
    let linker = ctx.userdata::<Linker>().ok_or_else(|| Thrown::type_error("there are no modules here"))?.0.clone();
    linker.known.borrow_mut().insert(url.as_str().to_owned());
    linker.active.set(true);
    let declared = declare(ctx, url.as_str(), script);
    linker.active.set(false);
    let (_, evaluated) = declared?.eval()?;
    match evaluated.state() {
        PromiseState::Resolved => Ok(()),
        // What awaits nothing is settled by now, even where its promise has reactions.
        PromiseState::Pending => {
            Err(Thrown::type_error("a service worker's modules have no `await` at their top level"))
        }
        PromiseState::Rejected => Ok(evaluated.result::<()>().transpose().map(drop)?),
    }
}

fn declare<'js>(ctx: &Ctx<'js>, url: &str, script: &[u8]) -> Result<Module<'js, Declared>> {
    let module = Module::declare(ctx.clone(), url, text_of(script))?;
    module.meta()?.set("url", url)?;
    Ok(module)
}

/// Says which module an import means, and finds it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Modules;

impl Resolver for Modules {
    fn resolve<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        base: &str,
        name: &str,
        attributes: Option<ImportAttributes<'js>>,
    ) -> Result<String> {
        resolve(ctx, base, name, attributes.as_ref()).map_err(|thrown| thrown.throw(ctx))
    }
}

impl Loader for Modules {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<Module<'js, Declared>> {
        load(ctx, name).map_err(|thrown| thrown.throw(ctx))
    }
}

fn linking<'js>(ctx: &Ctx<'js>) -> Outcome<'js, Rc<Linking>> {
    let linker = ctx.userdata::<Linker>().map(|linker| Rc::clone(&linker.0));
    linker.filter(|linker| linker.active.get()).ok_or_else(|| {
        Thrown::type_error("import(): a service worker imports at the top of its modules, or with importScripts")
    })
}

fn resolve<'js>(
    ctx: &Ctx<'js>,
    base: &str,
    name: &str,
    attributes: Option<&ImportAttributes<'js>>,
) -> Outcome<'js, String> {
    linking(ctx)?;
    let fails = |reason: String| Thrown::Type(format!("`{name}`, imported by {base}, {reason}"));
    let relative = ["/", "./", "../"].iter().any(|start| name.starts_with(start));
    let url = match Url::parse(name) {
        Err(_) if relative => Url::parse(base).and_then(|base| base.join(name)).ok(),
        parsed => parsed.ok(),
    };
    // The engine knows other modules by other names: the runtime's own.
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.ok_or_else(|| {
        fails("is not at an HTTP(S) URL: what is imported begins with `/`, `./` or `../`, or is a whole URL".to_owned())
    })?;
    let mut is_json = false;
    if let Some(attributes) = attributes {
        for key in attributes.keys() {
            let key = key?;
            let value = attributes.get(&key)?;
            is_json = key == "type" && value.as_deref() == Some("json");
            if !is_json {
                return Err(fails(format!("has an attribute that is not known: `{key}`")));
            }
        }
    }
    Ok(if is_json { format!("{JSON}{url}") } else { url.into() })
}

fn load<'js>(ctx: &Ctx<'js>, name: &str) -> Outcome<'js, Module<'js, Declared>> {
    let linking = linking(ctx)?;
    let known = {
        let mut known = linking.known.borrow_mut();
        known.insert(name.to_owned());
        known.len()
    };
    if known > MOST_MODULES {
        return Err(Thrown::Range(format!("a worker has at most {MOST_MODULES} modules")));
    }
    let parse = |url: &str| Url::parse(url).map_err(|_| Thrown::Type(format!("`{url}` is not a URL")));
    let fails = |reason: String| Thrown::Type(format!("import: {reason}"));
    match name.strip_prefix(JSON) {
        None => {
            let script = source(&linking.bridge, &parse(name)?, ImportKind::Module, fails)?;
            Ok(declare(ctx, name, &script)?)
        }
        Some(url) => {
            let json = source(&linking.bridge, &parse(url)?, ImportKind::Json, fails)?;
            let value = ctx.json_parse(text_of(&json))?;
            let module = Module::declare(ctx.clone(), name, "export default import.meta.json")?;
            module.meta()?.set("json", value)?;
            Ok(module)
        }
    }
}
