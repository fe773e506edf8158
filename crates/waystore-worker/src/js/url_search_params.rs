//! `URLSearchParams`. Spec: <https://url.spec.whatwg.org/#interface-urlsearchparams>

use std::{cell::RefCell, rc::Rc};

use rquickjs::{Class, Ctx, IntoJs, JsLifetime, Value};
use url::form_urlencoded;

use super::{
    exception::{Outcome, Thrown},
    idl::{Arguments, Call, Convert, Interface, Nullable, interface, native_operation},
    kit::kit,
    url::Shared,
};

/// Names and values, in order.
pub(super) type Pairs = Vec<(String, String)>;

/// A list of parameters: its own, or those of a URL.
#[derive(Debug, JsLifetime)]
pub(crate) struct URLSearchParams(List);

#[derive(Debug)]
enum List {
    Own(RefCell<Pairs>),
    OfUrl(Rc<Shared>),
}

interface!(URLSearchParams);

impl URLSearchParams {
    pub(super) fn of_url(shared: Rc<Shared>) -> Self {
        Self(List::OfUrl(shared))
    }

    fn pairs(&self) -> Pairs {
        match &self.0 {
            List::Own(pairs) => pairs.borrow().clone(),
            List::OfUrl(shared) => shared.pairs(),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Pairs)) {
        match &self.0 {
            List::Own(pairs) => change(&mut pairs.borrow_mut()),
            List::OfUrl(shared) => {
                let mut pairs = shared.pairs();
                change(&mut pairs);
                shared.set_pairs(pairs);
            }
        }
    }

    /// The list as a query has it.
    pub(super) fn to_text(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(self.pairs()).finish()
    }
}

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let interface = Interface::<URLSearchParams>::constructible(ctx, 0, |arguments| {
        let pairs = arguments.optional(0).map_or(Ok(Pairs::new()), |init| given(&init))?;
        Ok(URLSearchParams(List::Own(RefCell::new(pairs))))
    })?;
    interface
        .attribute("size", |call| Ok(call.this.borrow().pairs().len() as f64))?
        .operation("append", 2, |call| {
            let (name, value) = (text(call, 0)?, text(call, 1)?);
            call.this.borrow().change(|pairs| pairs.push((name, value)));
            Ok(())
        })?
        .operation("delete", 1, |call| {
            let (name, value) = (text(call, 0)?, optional_text(call, 1)?);
            call.this.borrow().change(|pairs| pairs.retain(|pair| !matches(pair, &name, value.as_deref())));
            Ok(())
        })?
        .operation("get", 1, |call| {
            let name = text(call, 0)?;
            let mut pairs = call.this.borrow().pairs().into_iter();
            Ok(Nullable(pairs.find(|pair| pair.0 == name).map(|pair| pair.1)))
        })?
        .operation("getAll", 1, |call| {
            let name = text(call, 0)?;
            let pairs = call.this.borrow().pairs().into_iter();
            Ok(pairs.filter(|pair| pair.0 == name).map(|pair| pair.1).collect::<Vec<_>>())
        })?
        .operation("has", 1, |call| {
            let (name, value) = (text(call, 0)?, optional_text(call, 1)?);
            Ok(call.this.borrow().pairs().iter().any(|pair| matches(pair, &name, value.as_deref())))
        })?
        .operation("set", 2, |call| {
            let (name, value) = (text(call, 0)?, text(call, 1)?);
            call.this.borrow().change(|pairs| set(pairs, name, value));
            Ok(())
        })?
        .operation("sort", 0, |call| {
            call.this.borrow().change(|pairs| pairs.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16())));
            Ok(())
        })?
        .operation("toString", 0, |call| Ok(call.this.borrow().to_text()))?;
    let pairs = native_operation(ctx, "paramAt", 2, param_at)?;
    kit(ctx)?.function("pairs")?.call((interface.object().clone(), "URLSearchParams", pairs))
}

/// What the constructor is given: pairs, a record, or a query.
fn given<'js>(init: &Value<'js>) -> Outcome<'js, Pairs> {
    if let Ok(params) = Class::<URLSearchParams>::from_value(init) {
        return Ok(params.borrow().pairs());
    }
    if !init.is_object() {
        let query = init.to_usv_string()?;
        let query = query.strip_prefix('?').unwrap_or(&query);
        return Ok(form_urlencoded::parse(query.as_bytes()).into_owned().collect());
    }
    if let Some(pairs) = init.to_sequence()? {
        let pair = |pair: Value<'js>| {
            let pair = pair.to_sequence()?.ok_or_else(|| Thrown::type_error("a parameter must be a pair"))?;
            match &pair[..] {
                [name, value] => Ok((name.to_usv_string()?, value.to_usv_string()?)),
                _ => Err(Thrown::type_error(format!("a parameter must be a pair, not {} items", pair.len()))),
            }
        };
        return pairs.into_iter().map(pair).collect();
    }
    let mut pairs = Pairs::new();
    for (name, value) in init.to_record()? {
        // Two names that differ in unpaired surrogates only are one; the later value counts.
        set(&mut pairs, name.to_usv_string()?, value.to_usv_string()?);
    }
    Ok(pairs)
}

/// Gives `name` one value, in the place of its first one.
fn set(pairs: &mut Pairs, name: String, value: String) {
    let mut value = Some(value);
    pairs.retain_mut(|pair| {
        if pair.0 != name {
            return true;
        }
        match value.take() {
            Some(value) => {
                pair.1 = value;
                true
            }
            None => false,
        }
    });
    if let Some(value) = value {
        pairs.push((name, value));
    }
}

fn matches(pair: &(String, String), name: &str, value: Option<&str>) -> bool {
    pair.0 == name && value.is_none_or(|value| pair.1 == value)
}

fn text<'js>(call: &Call<'js, URLSearchParams>, index: usize) -> Outcome<'js, String> {
    call.arguments.get(index).to_usv_string()
}

fn optional_text<'js>(call: &Call<'js, URLSearchParams>, index: usize) -> Outcome<'js, Option<String>> {
    call.arguments.optional(index).map(|value| value.to_usv_string()).transpose()
}

/// For iteration: the pair at an index, or `undefined`.
fn param_at<'js>(arguments: &Arguments<'js>) -> Outcome<'js, Option<Vec<Value<'js>>>> {
    let params = Class::<URLSearchParams>::from_value(&arguments.get(0));
    let params = params.map_err(|_| Thrown::type_error("not URLSearchParams"))?;
    let index = arguments.get(1).to_double()? as usize;
    let Some((name, value)) = params.borrow().pairs().into_iter().nth(index) else { return Ok(None) };
    let ctx = arguments.ctx();
    Ok(Some(vec![name.into_js(ctx)?, value.into_js(ctx)?]))
}
