//! The `Request` constructor: what it reads, checks and takes over, in the standard's order.
//!
//! Spec: <https://fetch.spec.whatwg.org/#dom-request>

use http::Method;
use rquickjs::{Class, Ctx, Object, Value};
use url::Url;
use waystore::{
    Referrer, ReferrerPolicy, RequestCache, RequestCredentials, RequestHead, RequestMode, RequestRedirect,
    parse_request_url,
};

use super::{Request, Signal};
use crate::js::{
    abort,
    body::{BodySlot, Extracted, extract},
    exception::{Outcome, Thrown},
    header_rules::{Guard, is_forbidden_method, is_token},
    headers::Headers,
    idl::Convert,
    realm::{Realm, realm},
};

/// A `RequestInit` as it was given.
#[derive(Default)]
struct Init<'js> {
    body: Option<Value<'js>>,
    cache: Option<RequestCache>,
    credentials: Option<RequestCredentials>,
    duplex: Option<()>,
    headers: Option<Value<'js>>,
    integrity: Option<String>,
    keepalive: Option<bool>,
    method: Option<Vec<u8>>,
    mode: Option<RequestMode>,
    priority: Option<()>,
    redirect: Option<RequestRedirect>,
    referrer: Option<String>,
    referrer_policy: Option<ReferrerPolicy>,
    signal: Option<Value<'js>>,
    window: Option<Value<'js>>,
}

impl<'js> Init<'js> {
    /// Reads the members, in the order of their names.
    fn read(value: &Value<'js>) -> Outcome<'js, Self> {
        let given = value.to_dictionary("a Request's init")?;
        Ok(Self {
            body: given.member("body")?,
            cache: given.word("cache", RequestCache::from_word)?,
            credentials: given.word("credentials", RequestCredentials::from_word)?,
            duplex: given.word("duplex", |word| (word == "half").then_some(()))?,
            headers: given.member("headers")?,
            integrity: given.member("integrity")?.map(|value| value.to_usv_string()).transpose()?,
            keepalive: given.member("keepalive")?.map(|value| value.to_boolean()).transpose()?,
            method: given.member("method")?.map(|value| value.to_byte_string()).transpose()?,
            mode: given.word("mode", script_mode)?,
            priority: given.word("priority", |word| matches!(word, "high" | "low" | "auto").then_some(()))?,
            redirect: given.word("redirect", RequestRedirect::from_word)?,
            referrer: given.member("referrer")?.map(|value| value.to_usv_string()).transpose()?,
            referrer_policy: given.word("referrerPolicy", ReferrerPolicy::from_word)?,
            signal: given.member("signal")?,
            window: given.member("window")?,
        })
    }

    fn is_empty(&self) -> bool {
        self.body.is_none()
            && self.cache.is_none()
            && self.credentials.is_none()
            && self.duplex.is_none()
            && self.headers.is_none()
            && self.integrity.is_none()
            && self.keepalive.is_none()
            && self.method.is_none()
            && self.mode.is_none()
            && self.priority.is_none()
            && self.redirect.is_none()
            && self.referrer.is_none()
            && self.referrer_policy.is_none()
            && self.signal.is_none()
            && self.window.is_none()
    }
}

/// The modes that are values of the enumeration; a WebSocket's is not.
fn script_mode(word: &str) -> Option<RequestMode> {
    RequestMode::from_word(word).filter(|mode| *mode != RequestMode::WebSocket)
}

/// Makes a request of `input` and `init`, as `new Request(input, init)` does.
pub(in crate::js) fn construct<'js>(
    ctx: &Ctx<'js>,
    input: &Value<'js>,
    init: &Value<'js>,
) -> Outcome<'js, Request<'js>> {
    let realm = realm(ctx)?;
    let source = Class::<Request<'js>>::from_value(input).ok();
    let url = if source.is_none() { Some(input.to_usv_string()?) } else { None };
    let init = Init::read(init)?;

    let mut native = match (&source, url) {
        (Some(source), _) => source.borrow().native().without_body(),
        (None, url) => parse_request_url(&url.unwrap_or_default(), Some(&realm.base))?.into(),
    };
    let from_string = source.is_none();
    change_head(&mut native.head, &init, from_string, &realm)?;

    let signal = match (&init.signal, &source) {
        (Some(signal), _) => given_signal(signal)?,
        (None, Some(source)) => source.borrow().signal_to_follow(),
        (None, None) => Signal::None,
    };
    let guard = if native.mode == RequestMode::NoCors { Guard::RequestNoCors } else { Guard::Request };
    if guard == Guard::RequestNoCors && ![Method::GET, Method::HEAD, Method::POST].contains(&native.method) {
        return Err(Thrown::type_error(format!("`{}` is no method of a request without CORS", native.method)));
    }
    let headers = filled_headers(&native.head, &init, guard)?;
    let body = body_of(ctx, &init, source.as_ref(), &native.head, &headers)?;
    native.head.headers = headers.list.into_inner();
    Ok(Request::new(native, guard, body, signal))
}

/// The members of `init` that say something about the head.
fn change_head<'js>(head: &mut RequestHead, init: &Init<'js>, from_string: bool, realm: &Realm) -> Outcome<'js, ()> {
    if init.window.as_ref().is_some_and(|window| !window.is_null()) {
        return Err(Thrown::type_error("`window` must be null"));
    }
    if !init.is_empty() {
        if head.mode == RequestMode::Navigate {
            head.mode = RequestMode::SameOrigin;
        }
        head.is_reload_navigation = false;
        head.is_history_navigation = false;
        head.referrer = Referrer::Client;
        head.referrer_policy = ReferrerPolicy::Empty;
    }
    if let Some(referrer) = &init.referrer {
        head.referrer = parsed_referrer(referrer, &realm.base)?;
    }
    head.referrer_policy = init.referrer_policy.unwrap_or(head.referrer_policy);
    match init.mode {
        Some(RequestMode::Navigate) => {
            return Err(Thrown::type_error("`navigate` is a mode that script cannot ask for"));
        }
        Some(mode) => head.mode = mode,
        None if from_string => head.mode = RequestMode::Cors,
        None => {}
    }
    head.credentials = init.credentials.unwrap_or(head.credentials);
    head.cache = init.cache.unwrap_or(head.cache);
    if head.cache == RequestCache::OnlyIfCached && head.mode != RequestMode::SameOrigin {
        return Err(Thrown::type_error("`only-if-cached` needs the mode `same-origin`"));
    }
    head.redirect = init.redirect.unwrap_or(head.redirect);
    if let Some(integrity) = &init.integrity {
        head.integrity.clone_from(integrity);
    }
    head.keepalive = init.keepalive.unwrap_or(head.keepalive);
    if let Some(method) = &init.method {
        head.method = parsed_method(method)?;
    }
    Ok(())
}

/// Spec: <https://fetch.spec.whatwg.org/#concept-method-normalize>
fn parsed_method<'js>(method: &[u8]) -> Outcome<'js, Method> {
    let refused = || Thrown::type_error(format!("`{}` is not a method that script may use", method.escape_ascii()));
    if !is_token(method) || is_forbidden_method(method) {
        return Err(refused());
    }
    let normalized = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"];
    let known = normalized.iter().find(|known| method.eq_ignore_ascii_case(known.as_bytes()));
    Method::from_bytes(known.map_or(method, |known| known.as_bytes())).map_err(|_| refused())
}

fn parsed_referrer<'js>(referrer: &str, base: &Url) -> Outcome<'js, Referrer> {
    if referrer.is_empty() {
        return Ok(Referrer::NoReferrer);
    }
    let url = base.join(referrer).map_err(|error| Thrown::type_error(format!("referrer `{referrer}`: {error}")))?;
    let is_client = url.scheme() == "about" && url.path() == "client";
    let is_other = url.origin() != base.origin();
    Ok(if is_client || is_other { Referrer::Client } else { Referrer::Url(Box::new(url)) })
}

fn given_signal<'js>(signal: &Value<'js>) -> Outcome<'js, Signal<'js>> {
    if signal.is_null() {
        return Ok(Signal::None);
    }
    let object: Option<&Object<'js>> = signal.as_object();
    match object {
        Some(object) if abort::is_signal(signal)? => Ok(Signal::Follows(object.clone())),
        _ => Err(Thrown::type_error("`signal` is not an AbortSignal")),
    }
}

/// The headers, through the guard: what was given, or else what the input has.
fn filled_headers<'js>(head: &RequestHead, init: &Init<'js>, guard: Guard) -> Outcome<'js, Headers> {
    if init.is_empty() {
        return Ok(Headers::new(head.headers.clone(), guard));
    }
    let headers = Headers::new(waystore::HeaderList::new(), guard);
    match &init.headers {
        Some(given) => headers.fill(given)?,
        None => head.headers.iter().try_for_each(|(name, value)| headers.append(name, value))?,
    }
    Ok(headers)
}

/// The body that was given, or else the input's, which is then used.
fn body_of<'js>(
    ctx: &Ctx<'js>,
    init: &Init<'js>,
    source: Option<&Class<'js, Request<'js>>>,
    head: &RequestHead,
    headers: &Headers,
) -> Outcome<'js, BodySlot<'js>> {
    let given = init.body.as_ref().filter(|body| !body.is_null());
    let inherits = source.is_some_and(|source| !source.borrow().body.is_null());
    if (given.is_some() || inherits) && (head.method == Method::GET || head.method == Method::HEAD) {
        return Err(Thrown::type_error(format!("a {} request has no body", head.method)));
    }
    if let Some(given) = given {
        let Extracted { slot, content_type, is_stream } = extract(given)?;
        if is_stream && head.keepalive {
            return Err(Thrown::type_error("a request with `keepalive` takes no stream"));
        }
        if is_stream && init.duplex.is_none() {
            return Err(Thrown::type_error("a stream as a request's body needs `duplex: \"half\"`"));
        }
        if is_stream && !matches!(head.mode, RequestMode::Cors | RequestMode::SameOrigin) {
            return Err(Thrown::type_error("a stream as a request's body needs the mode `cors` or `same-origin`"));
        }
        if let Some(kind) = content_type
            && !headers.list.borrow().contains("content-type")
        {
            headers.append(b"Content-Type", kind.as_bytes())?;
        }
        return Ok(slot);
    }
    match source {
        Some(source) => {
            let (body, signal) = source.borrow().body.take(ctx)?.into_parts();
            Ok(BodySlot::new(body).aborted_by(signal))
        }
        None => Ok(BodySlot::default()),
    }
}
