//! `Headers`. Spec: <https://fetch.spec.whatwg.org/#headers-class>

use std::cell::RefCell;

use rquickjs::{Class, Ctx, IntoJs, JsLifetime, Value};
use waystore::HeaderList;

use super::{
    exception::{Outcome, Thrown},
    header_rules::{Guard, Verdict, is_name, normalized},
    idl::{Arguments, ByteString, Call, Convert, Interface, Nullable, interface, native_operation},
    kit::kit,
};

/// What one list may hold: names, values and their lengths, in bytes.
const MAX_LIST_BYTES: usize = 1024 * 1024;

/// A header list as script sees it, and what it may do to it.
#[derive(Debug, JsLifetime)]
pub(crate) struct Headers {
    pub(super) list: RefCell<HeaderList>,
    pub(super) guard: Guard,
}

interface!(Headers);

impl Headers {
    pub(super) fn new(list: HeaderList, guard: Guard) -> Self {
        Self { list: RefCell::new(list), guard }
    }

    /// Adds every header that `init` lists, as its guard allows.
    ///
    /// Spec: <https://fetch.spec.whatwg.org/#concept-headers-fill>
    pub(super) fn fill<'js>(&self, init: &Value<'js>) -> Outcome<'js, ()> {
        if let Ok(headers) = Class::<Self>::from_value(init) {
            let headers = sorted(&headers.borrow().list.borrow());
            return headers.into_iter().try_for_each(|(name, value)| self.append(&name, &value));
        }
        if !init.is_object() {
            return Err(Thrown::type_error("headers must be a Headers object, a sequence of pairs or an object"));
        }
        if let Some(pairs) = init.to_sequence()? {
            for pair in pairs {
                let pair = pair.to_sequence()?.ok_or_else(|| Thrown::type_error("a header must be a pair"))?;
                let [name, value] = &pair[..] else {
                    return Err(Thrown::type_error(format!("a header must be a pair, not {} items", pair.len())));
                };
                self.append(&name.to_byte_string()?, &value.to_byte_string()?)?;
            }
            return Ok(());
        }
        let pairs: Outcome<'js, Vec<_>> = init
            .to_record()?
            .iter()
            .map(|(name, value)| Ok((name.to_byte_string()?, value.to_byte_string()?)))
            .collect();
        pairs?.into_iter().try_for_each(|(name, value)| self.append(&name, &value))
    }

    /// Spec: <https://fetch.spec.whatwg.org/#concept-headers-append>
    pub(super) fn append<'js>(&self, name: &[u8], value: &[u8]) -> Outcome<'js, ()> {
        let value = normalized(value);
        if self.allows(name, value, true)? {
            self.list.borrow_mut().append(name, value);
            self.drop_privileged();
        }
        Ok(())
    }

    fn set<'js>(&self, name: &[u8], value: &[u8]) -> Outcome<'js, ()> {
        let value = normalized(value);
        if self.allows(name, value, false)? {
            self.list.borrow_mut().set(name, value);
            self.drop_privileged();
        }
        Ok(())
    }

    fn delete<'js>(&self, name: &[u8]) -> Outcome<'js, ()> {
        if verdict(name, self.guard.judge_delete(name))? && self.list.borrow().contains(name) {
            self.list.borrow_mut().remove(name);
            self.drop_privileged();
        }
        Ok(())
    }

    fn allows<'js>(&self, name: &[u8], value: &[u8], appends: bool) -> Outcome<'js, bool> {
        if self.list.borrow().as_encoded().len() + name.len() + value.len() > MAX_LIST_BYTES {
            return Err(Thrown::type_error(format!("the headers are longer than {MAX_LIST_BYTES} bytes")));
        }
        verdict(name, self.guard.judge(&self.list.borrow(), name, value, appends))
    }

    /// Spec: <https://fetch.spec.whatwg.org/#concept-headers-remove-privileged-no-cors-request-headers>
    fn drop_privileged(&self) {
        if self.guard == Guard::RequestNoCors {
            self.list.borrow_mut().remove("range");
        }
    }
}

fn verdict<'js>(name: &[u8], verdict: Verdict) -> Outcome<'js, bool> {
    match verdict {
        Verdict::Write => Ok(true),
        Verdict::Ignore => Ok(false),
        Verdict::Refuse(why) => Err(Thrown::type_error(format!("`{}`: {why}", name.escape_ascii()))),
    }
}

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let interface = Interface::constructible(ctx, 0, |arguments| {
        let headers = Headers::new(HeaderList::new(), Guard::None);
        arguments.optional(0).map_or(Ok(()), |init| headers.fill(&init))?;
        Ok(headers)
    })?;
    interface
        .operation("append", 2, |call| {
            let (name, value) = (call.arguments.get(0).to_byte_string()?, call.arguments.get(1).to_byte_string()?);
            call.this.borrow().append(&name, &value)
        })?
        .operation("delete", 1, |call| call.this.borrow().delete(&call.arguments.get(0).to_byte_string()?))?
        .operation("get", 1, get)?
        .operation("getSetCookie", 0, get_set_cookie)?
        .operation("has", 1, |call| Ok(call.this.borrow().list.borrow().contains(name(call)?)))?
        .operation("set", 2, |call| {
            let (name, value) = (call.arguments.get(0).to_byte_string()?, call.arguments.get(1).to_byte_string()?);
            call.this.borrow().set(&name, &value)
        })?;
    let kit = kit(ctx)?;
    let pairs = native_operation(ctx, "headerAt", 2, header_at)?;
    kit.function("pairs")?.call((interface.object().clone(), "Headers", pairs))
}

fn name<'js>(call: &Call<'js, Headers>) -> Outcome<'js, Vec<u8>> {
    let name = call.arguments.get(0).to_byte_string()?;
    if is_name(&name) {
        Ok(name)
    } else {
        Err(Thrown::type_error(format!("`{}` is not a header name", name.escape_ascii())))
    }
}

fn get<'js>(call: &Call<'js, Headers>) -> Outcome<'js, Nullable<ByteString>> {
    let name = name(call)?;
    Ok(Nullable(call.this.borrow().list.borrow().get(name).map(ByteString)))
}

fn get_set_cookie<'js>(call: &Call<'js, Headers>) -> Outcome<'js, Vec<ByteString>> {
    Ok(call.this.borrow().list.borrow().values("set-cookie").map(|value| ByteString(value.to_vec())).collect())
}

/// For iteration, which reads the live list at every step: the pair at an index, or `undefined`.
fn header_at<'js>(arguments: &Arguments<'js>) -> Outcome<'js, Option<Vec<Value<'js>>>> {
    let headers = Class::<Headers>::from_value(&arguments.get(0)).map_err(|_| Thrown::type_error("not Headers"))?;
    let index = arguments.get(1).to_double()? as usize;
    let pair = sorted(&headers.borrow().list.borrow()).into_iter().nth(index);
    let Some((name, value)) = pair else { return Ok(None) };
    let ctx = arguments.ctx();
    Ok(Some(vec![ByteString(name).into_js(ctx)?, ByteString(value).into_js(ctx)?]))
}

/// Names in lower case and in order, each once with its combined value; `set-cookie` once a value.
///
/// Spec: <https://fetch.spec.whatwg.org/#concept-header-list-sort-and-combine>
fn sorted(list: &HeaderList) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut names: Vec<Vec<u8>> = list.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    names.dedup();
    let mut pairs = Vec::with_capacity(names.len());
    for name in names {
        if name == b"set-cookie" {
            pairs.extend(list.values(&name).map(|value| (name.clone(), value.to_vec())));
        } else if let Some(value) = list.get(&name) {
            pairs.push((name, value));
        }
    }
    pairs
}
