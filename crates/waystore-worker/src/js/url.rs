//! `URL`. Parsing and setters are the `url` crate's. Spec: <https://url.spec.whatwg.org/#url-class>

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use rquickjs::{
    Class, Ctx, JsLifetime,
    class::{Trace, Tracer},
};
use url::{Url, form_urlencoded, quirks};

use super::{
    exception::{Outcome, Thrown},
    idl::{Arguments, Call, Convert, Interface, Nullable, interface},
    url_search_params::{Pairs, URLSearchParams},
};

/// A URL, and the parameters of its query once script asked for them.
#[derive(JsLifetime)]
#[expect(clippy::upper_case_acronyms, reason = "the name of the interface")]
pub(crate) struct URL<'js> {
    shared: Rc<Shared>,
    params: RefCell<Option<Class<'js, URLSearchParams>>>,
}

/// A URL and the parameters of its query, each of which changes the other.
#[derive(Debug)]
pub(super) struct Shared {
    url: RefCell<Url>,
    pairs: RefCell<Pairs>,
    /// Whether anybody has the parameters, so that they must follow the URL.
    has_params: Cell<bool>,
}

impl Shared {
    pub(super) fn pairs(&self) -> Pairs {
        self.pairs.borrow().clone()
    }

    /// Gives the URL these parameters as its query.
    pub(super) fn set_pairs(&self, pairs: Pairs) {
        let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let query = Some(text.as_str()).filter(|text| !text.is_empty());
        self.url.borrow_mut().set_query(query);
        self.pairs.replace(pairs);
    }

    fn read_query(&self) {
        if self.has_params.get() {
            let url = self.url.borrow();
            self.pairs.replace(url.query_pairs().map(|(name, value)| (name.into(), value.into())).collect());
        }
    }
}

impl<'js> Trace<'js> for URL<'js> {
    fn trace<'a>(&self, tracer: Tracer<'a, 'js>) {
        if let Ok(params) = self.params.try_borrow() {
            params.trace(tracer);
        }
    }
}

interface!(URL<'js>);

impl<'js> URL<'js> {
    fn new(url: Url) -> Self {
        let shared = Shared { url: RefCell::new(url), pairs: RefCell::default(), has_params: Cell::new(false) };
        Self { shared: Rc::new(shared), params: RefCell::default() }
    }
}

/// An attribute that the `url` crate reads and writes as the standard says.
macro_rules! part {
    ($interface:expr, $name:literal, $get:path, $set:expr) => {
        $interface.writable_attribute(
            $name,
            |call| Ok($get(&call.this.borrow().shared.url.borrow()).to_owned()),
            |call| {
                let value = call.arguments.get(0).to_usv_string()?;
                let this = call.this.borrow();
                // A value that does not fit changes nothing, and is no error.
                let _unchanged = $set(&mut this.shared.url.borrow_mut(), &value);
                this.shared.read_query();
                Ok(())
            },
        )?
    };
}

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let interface = Interface::<URL<'_>>::constructible(ctx, 1, |arguments| parsed(arguments).map(URL::new))?;
    part!(interface, "protocol", quirks::protocol, quirks::set_protocol);
    part!(interface, "username", quirks::username, quirks::set_username);
    part!(interface, "password", quirks::password, quirks::set_password);
    part!(interface, "host", quirks::host, quirks::set_host);
    part!(interface, "hostname", quirks::hostname, quirks::set_hostname);
    part!(interface, "port", quirks::port, quirks::set_port);
    part!(interface, "pathname", quirks::pathname, quirks::set_pathname);
    part!(interface, "search", quirks::search, quirks::set_search);
    part!(interface, "hash", quirks::hash, quirks::set_hash);
    interface
        .writable_attribute("href", href, |call| {
            let value = call.arguments.get(0).to_usv_string()?;
            let url = Url::parse(&value).map_err(|error| invalid(&value, error))?;
            let this = call.this.borrow();
            this.shared.url.replace(url);
            this.shared.read_query();
            Ok(())
        })?
        .attribute("origin", |call| Ok(quirks::origin(&call.this.borrow().shared.url.borrow())))?
        .attribute("searchParams", search_params)?
        .operation("toString", 0, href)?
        .operation("toJSON", 0, href)?
        .static_operation("canParse", 1, |arguments| Ok(can_parse(arguments)?.is_some()))?
        .static_operation("parse", 1, |arguments| {
            let url = can_parse(arguments)?;
            let object = url.map(|url| Class::instance(arguments.ctx().clone(), URL::new(url))).transpose()?;
            Ok(Nullable(object))
        })?;
    Ok(())
}

fn href<'js>(call: &Call<'js, URL<'js>>) -> Outcome<'js, String> {
    Ok(call.this.borrow().shared.url.borrow().to_string())
}

fn search_params<'js>(call: &Call<'js, URL<'js>>) -> Outcome<'js, Class<'js, URLSearchParams>> {
    let this = call.this.borrow();
    if let Some(params) = &*this.params.borrow() {
        return Ok(params.clone());
    }
    this.shared.has_params.set(true);
    this.shared.read_query();
    let params = Class::instance(call.ctx().clone(), URLSearchParams::of_url(Rc::clone(&this.shared)))?;
    this.params.replace(Some(params.clone()));
    Ok(params)
}

fn parsed<'js>(arguments: &Arguments<'js>) -> Outcome<'js, Url> {
    let (text, base) = (arguments.get(0).to_usv_string()?, arguments.optional(1));
    let base = base.map(|base| base.to_usv_string()).transpose()?;
    let base = base.map(|base| Url::parse(&base).map_err(|error| invalid(&base, error))).transpose()?;
    Url::options().base_url(base.as_ref()).parse(&text).map_err(|error| invalid(&text, error))
}

fn can_parse<'js>(arguments: &Arguments<'js>) -> Outcome<'js, Option<Url>> {
    match parsed(arguments) {
        Err(Thrown::Type(_)) => Ok(None),
        parsed => parsed.map(Some),
    }
}

fn invalid<'js>(text: &str, error: url::ParseError) -> Thrown<'js> {
    Thrown::type_error(format!("`{text}` is not a URL: {error}"))
}
