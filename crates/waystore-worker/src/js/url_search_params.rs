//! `URLSearchParams`: a list of pairs, alone or tied to the query of a `URL`.
//!
//! Every change is written to that URL's query at once; the URL writes its own changes back with
//! [`reread`](URLSearchParams::reread). Spec: <https://url.spec.whatwg.org/#interface-urlsearchparams>

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use rquickjs::{Class, Ctx, JsLifetime, Value};
use url::{Url, form_urlencoded};

use super::{
    exception::{Outcome, Thrown},
    idl::{Arguments, Call, Convert, Interface, Nullable, interface, native_operation},
    kit::kit,
};

/// What one list may hold, alone and as the query of a URL: it lies outside of the heap that the
/// engine bounds.
const MAX_BYTES: usize = 64 * 1024 * 1024;
const MAX_QUERY_BYTES: usize = 2 * 1024 * 1024;

type Pair = (String, String);

/// The list, and the URL whose query it is.
#[derive(Debug, Default, JsLifetime)]
pub(crate) struct URLSearchParams {
    list: RefCell<Vec<Pair>>,
    /// What the list holds, at the least.
    bytes: Cell<usize>,
    url: Option<Rc<RefCell<Url>>>,
}

interface!(URLSearchParams);

impl URLSearchParams {
    /// The query of `url`, both ways.
    pub(super) fn of(url: &Rc<RefCell<Url>>) -> Self {
        let params = Self { url: Some(Rc::clone(url)), ..Self::default() };
        params.reread();
        params
    }

    /// Takes the list anew from the URL's query, which changed.
    pub(super) fn reread(&self) {
        if let Some(url) = &self.url {
            self.list.replace(parsed(url.borrow().query().unwrap_or_default()));
            self.recount();
        }
    }

    /// The list as `application/x-www-form-urlencoded`.
    pub(super) fn to_text(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(self.list.borrow().iter()).finish()
    }

    /// Adds `pair` to the list alone.
    fn push<'js>(&self, pair: Pair) -> Outcome<'js, ()> {
        self.bytes.set(self.room_for(&pair)?);
        self.list.borrow_mut().push(pair);
        Ok(())
    }

    /// Changes the list, then the URL's query.
    fn change(&self, change: impl FnOnce(&mut Vec<Pair>)) {
        change(&mut self.list.borrow_mut());
        self.recount();
        self.update();
    }

    /// Spec: <https://url.spec.whatwg.org/#concept-urlsearchparams-update>
    fn update(&self) {
        if let Some(url) = &self.url {
            let query = self.to_text();
            url.borrow_mut().set_query(Some(query.as_str()).filter(|query| !query.is_empty()));
        }
    }

    /// What the list would hold with `pair`, if it may.
    fn room_for<'js>(&self, pair: &Pair) -> Outcome<'js, usize> {
        let bytes = self.bytes.get() + bytes_of(pair);
        let most = if self.url.is_some() { MAX_QUERY_BYTES } else { MAX_BYTES };
        if bytes > most {
            return Err(Thrown::Range(format!("the parameters would pass {most} bytes")));
        }
        Ok(bytes)
    }

    fn recount(&self) {
        self.bytes.set(self.list.borrow().iter().map(bytes_of).sum());
    }
}

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let interface = Interface::constructible(ctx, 0, make)?;
    interface
        .attribute("size", |call| Ok(call.this.borrow().list.borrow().len() as f64))?
        .operation("append", 2, append)?
        .operation("delete", 1, delete)?
        .operation("get", 1, |call| {
            let name = name(call)?;
            Ok(Nullable(call.this.borrow().list.borrow().iter().find(|pair| pair.0 == name).map(|pair| pair.1.clone())))
        })?
        .operation("getAll", 1, |call| {
            let name = name(call)?;
            let params = call.this.borrow();
            let list = params.list.borrow();
            Ok(list.iter().filter(|pair| pair.0 == name).map(|pair| pair.1.clone()).collect::<Vec<_>>())
        })?
        .operation("has", 1, has)?
        .operation("set", 2, set)?
        .operation("sort", 0, sort)?
        .operation("toString", 0, |call| Ok(call.this.borrow().to_text()))?;
    let at = native_operation(ctx, "searchParamAt", 2, param_at)?;
    kit(ctx)?.function("pairs")?.call((interface.object().clone(), "URLSearchParams", at))
}

/// From a string, a sequence of pairs, or an object's properties.
///
/// Spec: <https://url.spec.whatwg.org/#dom-urlsearchparams-urlsearchparams>
fn make<'js>(arguments: &Arguments<'js>) -> Outcome<'js, URLSearchParams> {
    let params = URLSearchParams::default();
    let Some(init) = arguments.optional(0) else { return Ok(params) };
    if !init.is_object() {
        let text = init.to_usv_string()?;
        let list = parsed(text.strip_prefix('?').unwrap_or(&text));
        list.into_iter().try_for_each(|pair| params.push(pair))?;
    } else if let Some(pairs) = init.to_sequence()? {
        pairs.iter().try_for_each(|pair| params.push(pair_of(pair)?))?;
    } else {
        init.to_record()?.iter().try_for_each(|(name, value)| add_property(&params, name, value))?;
    }
    Ok(params)
}

fn pair_of<'js>(pair: &Value<'js>) -> Outcome<'js, Pair> {
    let items = pair.to_sequence()?.ok_or_else(|| Thrown::type_error("a parameter must be a pair"))?;
    match &items[..] {
        [name, value] => Ok((name.to_usv_string()?, value.to_usv_string()?)),
        _ => Err(Thrown::type_error(format!("a parameter must be a pair, not {} items", items.len()))),
    }
}

/// Names that unpaired surrogates alone tell apart are one, with the last value.
fn add_property<'js>(params: &URLSearchParams, name: &Value<'js>, value: &Value<'js>) -> Outcome<'js, ()> {
    let added = (name.to_usv_string()?, value.to_usv_string()?);
    if added.0.contains(char::REPLACEMENT_CHARACTER)
        && let Some(known) = params.list.borrow_mut().iter_mut().find(|pair| pair.0 == added.0)
    {
        params.bytes.set(params.room_for(&added)?);
        known.1 = added.1;
        return Ok(());
    }
    params.push(added)
}

fn append<'js>(call: &Call<'js, URLSearchParams>) -> Outcome<'js, ()> {
    let added = (name(call)?, call.arguments.get(1).to_usv_string()?);
    let params = call.this.borrow();
    params.push(added)?;
    params.update();
    Ok(())
}

fn delete<'js>(call: &Call<'js, URLSearchParams>) -> Outcome<'js, ()> {
    let (name, value) = (name(call)?, value(call)?);
    call.this.borrow().change(|list| list.retain(|pair| !is(pair, &name, value.as_deref())));
    Ok(())
}

fn has<'js>(call: &Call<'js, URLSearchParams>) -> Outcome<'js, bool> {
    let (name, value) = (name(call)?, value(call)?);
    Ok(call.this.borrow().list.borrow().iter().any(|pair| is(pair, &name, value.as_deref())))
}

/// The first of the name takes the value, the others go; where there is none, it is appended.
fn set<'js>(call: &Call<'js, URLSearchParams>) -> Outcome<'js, ()> {
    let set = (name(call)?, call.arguments.get(1).to_usv_string()?);
    let params = call.this.borrow();
    params.room_for(&set)?;
    params.change(|list| {
        let place = list.iter().position(|pair| pair.0 == set.0).unwrap_or(list.len());
        list.retain(|pair| pair.0 != set.0);
        list.insert(place, set);
    });
    Ok(())
}

/// By the UTF-16 code units of the names; those with the same name keep their order.
fn sort<'js>(call: &Call<'js, URLSearchParams>) -> Outcome<'js, ()> {
    call.this.borrow().change(|list| list.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16())));
    Ok(())
}

/// For iteration, which reads the live list at every step: the pair at an index, or `undefined`.
fn param_at<'js>(arguments: &Arguments<'js>) -> Outcome<'js, Option<Vec<String>>> {
    let params = Class::<URLSearchParams>::from_value(&arguments.get(0));
    let params = params.map_err(|_| Thrown::type_error("not URLSearchParams"))?;
    let index = arguments.get(1).to_double()? as usize;
    let pair = params.borrow().list.borrow().get(index).cloned();
    Ok(pair.map(|(name, value)| vec![name, value]))
}

fn name<'js>(call: &Call<'js, URLSearchParams>) -> Outcome<'js, String> {
    call.arguments.get(0).to_usv_string()
}

/// The value that narrows a name, where it was given.
fn value<'js>(call: &Call<'js, URLSearchParams>) -> Outcome<'js, Option<String>> {
    call.arguments.optional(1).map(|value| value.to_usv_string()).transpose()
}

fn is(pair: &Pair, name: &str, value: Option<&str>) -> bool {
    pair.0 == name && value.is_none_or(|value| pair.1 == value)
}

fn parsed(query: &str) -> Vec<Pair> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

fn bytes_of(pair: &Pair) -> usize {
    size_of::<Pair>() + pair.0.len() + pair.1.len()
}
