//! `URL`. Parsing and the rules of the setters are those of the `url` crate.
//!
//! `createObjectURL` is absent, as it is in every service worker. Spec: <https://url.spec.whatwg.org/#url-class>

use std::{cell::RefCell, rc::Rc};

use rquickjs::{
    Class, Ctx, JsLifetime,
    class::{Trace, Tracer},
};
use url::{Url, quirks};

use super::{
    exception::{Outcome, Thrown},
    idl::{Arguments, Call, Convert, Interface, Nullable, interface},
    url_search_params::URLSearchParams,
};

/// What one URL may hold: it lies outside of the heap that the engine bounds.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// A URL, and the object of its query once script asked for it.
#[derive(JsLifetime)]
#[expect(clippy::upper_case_acronyms, reason = "the interface has this name")]
pub(crate) struct URL<'js> {
    url: Rc<RefCell<Url>>,
    params: RefCell<Option<Class<'js, URLSearchParams>>>,
}

interface!(URL<'js>);

impl<'js> Trace<'js> for URL<'js> {
    fn trace<'a>(&self, tracer: Tracer<'a, 'js>) {
        if let Ok(params) = self.params.try_borrow() {
            params.trace(tracer);
        }
    }
}

impl<'js> URL<'js> {
    fn new(url: Url) -> Self {
        Self { url: Rc::new(RefCell::new(url)), params: RefCell::default() }
    }

    /// The same object each time.
    fn search_params(&self, ctx: &Ctx<'js>) -> Outcome<'js, Class<'js, URLSearchParams>> {
        let mut params = self.params.borrow_mut();
        if let Some(known) = &*params {
            return Ok(known.clone());
        }
        let made = Class::instance(ctx.clone(), URLSearchParams::of(&self.url))?;
        Ok(params.insert(made).clone())
    }

    /// Tells the object of the query that the query changed.
    fn query_changed(&self) {
        if let Some(params) = &*self.params.borrow() {
            params.borrow().reread();
        }
    }
}

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let interface = Interface::constructible(ctx, 1, |arguments| parse(arguments).map(URL::new))?;
    interface
        .static_operation("parse", 1, |arguments| match parse(arguments) {
            Ok(url) => Ok(Nullable(Some(Class::instance(arguments.ctx().clone(), URL::new(url))?))),
            Err(Thrown::Type(_)) => Ok(Nullable(None)),
            Err(thrown) => Err(thrown),
        })?
        .static_operation("canParse", 1, |arguments| match parse(arguments) {
            Ok(_) => Ok(true),
            Err(Thrown::Type(_)) => Ok(false),
            Err(thrown) => Err(thrown),
        })?
        .writable_attribute("href", reading(quirks::href), set_href)?
        .attribute("origin", |call| Ok(quirks::origin(&call.this.borrow().url.borrow())))?
        .writable_attribute("protocol", reading(quirks::protocol), writing(quirks::set_protocol))?
        .writable_attribute("username", reading(quirks::username), writing(quirks::set_username))?
        .writable_attribute("password", reading(quirks::password), writing(quirks::set_password))?
        .writable_attribute("host", reading(quirks::host), writing(quirks::set_host))?
        .writable_attribute("hostname", reading(quirks::hostname), writing(quirks::set_hostname))?
        .writable_attribute("port", reading(quirks::port), writing(quirks::set_port))?
        .writable_attribute("pathname", reading(quirks::pathname), writing(quirks::set_pathname))?
        .writable_attribute("search", reading(quirks::search), set_search)?
        .attribute("searchParams", |call| call.this.borrow().search_params(call.ctx()))?
        .writable_attribute("hash", reading(quirks::hash), writing(quirks::set_hash))?
        .operation("toString", 0, reading(quirks::href))?
        .operation("toJSON", 0, reading(quirks::href))?;
    Ok(())
}

/// The URL that a string names, against a base where one is given.
///
/// Spec: <https://url.spec.whatwg.org/#api-url-parser>
fn parse<'js>(arguments: &Arguments<'js>) -> Outcome<'js, Url> {
    let input = arguments.get(0).to_usv_string()?;
    let base = arguments.optional(1).map(|base| base.to_usv_string()).transpose()?;
    let base = base.map(|base| parse_text(&base, None)).transpose()?;
    parse_text(&input, base.as_ref())
}

fn parse_text<'js>(text: &str, base: Option<&Url>) -> Outcome<'js, Url> {
    check_length(text.len())?;
    let parsed = Url::options().base_url(base).parse(text);
    parsed.map_err(|error| Thrown::type_error(format!("`{}` is not a URL: {error}", shortened(text))))
}

fn reading<'js>(read: fn(&Url) -> &str) -> impl Fn(&Call<'js, URL<'js>>) -> Outcome<'js, String> + 'js {
    move |call| Ok(read(&call.this.borrow().url.borrow()).to_owned())
}

/// A part that cannot be what it is given stays as it is.
fn writing<'js, R: 'static>(write: fn(&mut Url, &str) -> R) -> impl Fn(&Call<'js, URL<'js>>) -> Outcome<'js, ()> + 'js {
    move |call| {
        let value = written(call)?;
        let _unchanged_if_it_fails = write(&mut call.this.borrow().url.borrow_mut(), &value);
        Ok(())
    }
}

/// Spec: <https://url.spec.whatwg.org/#dom-url-href>
fn set_href<'js>(call: &Call<'js, URL<'js>>) -> Outcome<'js, ()> {
    let parsed = parse_text(&call.arguments.get(0).to_usv_string()?, None)?;
    let this = call.this.borrow();
    *this.url.borrow_mut() = parsed;
    this.query_changed();
    Ok(())
}

/// Spec: <https://url.spec.whatwg.org/#dom-url-search>
fn set_search<'js>(call: &Call<'js, URL<'js>>) -> Outcome<'js, ()> {
    let value = written(call)?;
    let this = call.this.borrow();
    quirks::set_search(&mut this.url.borrow_mut(), &value);
    this.query_changed();
    Ok(())
}

fn written<'js>(call: &Call<'js, URL<'js>>) -> Outcome<'js, String> {
    let value = call.arguments.get(0).to_usv_string()?;
    check_length(value.len())?;
    Ok(value)
}

fn check_length<'js>(bytes: usize) -> Outcome<'js, ()> {
    if bytes > MAX_BYTES {
        return Err(Thrown::type_error(format!("a URL of {bytes} bytes passes the bound of {MAX_BYTES}")));
    }
    Ok(())
}

/// What fits into a message.
fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(200)]
}
