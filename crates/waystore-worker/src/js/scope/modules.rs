//! Modules: the graph of imports, and `import()`.
//!
//! A module is linked and evaluated by the engine; here is how it finds what it imports, for a worker
//! ([`OfWorker`]) and for a page ([`OfPage`]): what each may import, and where that is, is theirs to say.
//! Spec: <https://html.spec.whatwg.org/#hostloadimportedmodule>,
//! <https://html.spec.whatwg.org/#resolve-a-module-specifier>

mod awaits;
mod sources;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
};

use bytes::Bytes;
use rquickjs::{
    Ctx, JsLifetime, Module, Promise, Result,
    loader::{ImportAttributes, Loader, Resolver},
    module::Declared,
    promise::PromiseState,
};
use url::Url;

use self::awaits::awaits_at_the_top;
pub(crate) use self::sources::OfPage;
pub(super) use self::sources::OfWorker;
use super::text_of;
use crate::{
    js::exception::{Outcome, Thrown},
    update::ImportKind,
};

/// Of one global, main modules included. What is linked is linked in one piece on one stack.
const MOST_MODULES: usize = 1024;
/// Before the URL of a module that is JSON: as the same URL's script it would be another module.
const JSON: &str = "json:";

/// Where the modules of a global are.
pub(super) trait Sources {
    /// Whether modules import at their top only, and await nothing there: a service worker's.
    fn are_static(&self) -> bool;

    /// Whether the module or script at `base` may import `url`; else why not.
    fn check(&self, base: &str, url: &Url) -> std::result::Result<(), &'static str>;

    /// The bytes of what is imported.
    fn source(&self, url: &Url, kind: ImportKind) -> std::result::Result<Bytes, String>;
}

/// What the engine's loader needs of the global that it links for.
#[derive(Clone, JsLifetime)]
struct Linker(Rc<Linking>);

struct Linking {
    sources: Rc<dyn Sources>,
    /// Set while a main module is linked: what is asked for then is a static import.
    active: Cell<bool>,
    known: RefCell<BTreeSet<String>>,
}

/// Lets modules find what they import in `sources`.
pub(super) fn install(ctx: &Ctx<'_>, sources: Rc<dyn Sources>) -> Result<()> {
    let linking = Linking { sources, active: Cell::default(), known: RefCell::default() };
    ctx.store_userdata(Linker(Rc::new(linking)))?;
    Ok(())
}

/// Links and evaluates a worker's main module.
pub(super) fn evaluate<'js>(ctx: &Ctx<'js>, script: &[u8], url: &Url) -> Outcome<'js, ()> {
    let evaluated = begin(ctx, script, url)?;
    match evaluated.state() {
        PromiseState::Resolved => Ok(()),
        // What awaits nothing is settled by now, even where its promise has reactions.
        PromiseState::Pending => Err(awaits()),
        PromiseState::Rejected => Ok(evaluated.result::<()>().transpose().map(drop)?),
    }
}

/// Links a main module and begins to evaluate it.
pub(super) fn begin<'js>(ctx: &Ctx<'js>, script: &[u8], url: &Url) -> Outcome<'js, Promise<'js>> {
    let linker = ctx.userdata::<Linker>().ok_or_else(|| Thrown::type_error("there are no modules here"))?.0.clone();
    linker.known.borrow_mut().insert(url.as_str().to_owned());
    linker.active.set(true);
    let declared = declare(ctx, &linker, url.as_str(), script);
    linker.active.set(false);
    let (_, evaluated) = declared?.eval()?;
    Ok(evaluated)
}

fn declare<'js>(ctx: &Ctx<'js>, linking: &Linking, url: &str, script: &[u8]) -> Outcome<'js, Module<'js, Declared>> {
    let module = Module::declare(ctx.clone(), url, text_of(script))?;
    module.meta()?.set("url", url)?;
    if linking.sources.are_static() && awaits_at_the_top(&module, script)? {
        return Err(awaits());
    }
    Ok(module)
}

/// Spec: <https://w3c.github.io/ServiceWorker/#update-algorithm>
fn awaits<'js>() -> Thrown<'js> {
    Thrown::type_error("a service worker's modules have no `await` at their top level")
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
    linker.filter(|linker| linker.active.get() || !linker.sources.are_static()).ok_or_else(|| {
        Thrown::type_error("import(): a service worker imports at the top of its modules, or with importScripts")
    })
}

fn resolve<'js>(
    ctx: &Ctx<'js>,
    base: &str,
    name: &str,
    attributes: Option<&ImportAttributes<'js>>,
) -> Outcome<'js, String> {
    let linking = linking(ctx)?;
    let fails = |reason: String| Thrown::Type(format!("`{name}`, imported by {base}, {reason}"));
    let relative = ["/", "./", "../"].iter().any(|start| name.starts_with(start));
    let url = match Url::parse(name) {
        Err(_) if relative => Url::parse(base).and_then(|base| base.join(name)).ok(),
        parsed => parsed.ok(),
    };
    let url = url.ok_or_else(|| {
        fails("is no URL: what is imported begins with `/`, `./` or `../`, or is a whole URL".to_owned())
    })?;
    linking.sources.check(base, &url).map_err(|rule| fails(rule.to_owned()))?;
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
        return Err(Thrown::Range(format!("there are at most {MOST_MODULES} modules")));
    }
    let parse = |url: &str| Url::parse(url).map_err(|_| Thrown::Type(format!("`{url}` is not a URL")));
    let fails = |reason: String| Thrown::Type(format!("import: {reason}"));
    match name.strip_prefix(JSON) {
        None => {
            let script = linking.sources.source(&parse(name)?, ImportKind::Module).map_err(fails)?;
            declare(ctx, &linking, name, &script)
        }
        Some(url) => {
            let json = linking.sources.source(&parse(url)?, ImportKind::Json).map_err(fails)?;
            let value = ctx.json_parse(text_of(&json))?;
            let module = Module::declare(ctx.clone(), name, "export default import.meta.json")?;
            module.meta()?.set("json", value)?;
            Ok(module)
        }
    }
}
