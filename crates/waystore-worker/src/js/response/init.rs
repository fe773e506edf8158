//! The ways script makes a response: the constructor, `error`, `redirect`, `json`.
//!
//! Spec: <https://fetch.spec.whatwg.org/#initialize-a-response>

use rquickjs::{Class, Value};
use waystore::{HeaderList, ResponseHead, ResponseSource};

use super::Response;
use crate::js::{
    body::{BodySlot, Extracted, extract},
    exception::{Outcome, Thrown},
    header_rules::{Guard, normalized},
    headers::Headers,
    idl::{Arguments, Convert},
    realm::realm,
};

/// Spec: <https://fetch.spec.whatwg.org/#null-body-status>
const NULL_BODY_STATUS: [u16; 5] = [101, 103, 204, 205, 304];
/// Spec: <https://fetch.spec.whatwg.org/#redirect-status>
const REDIRECT_STATUS: [u16; 5] = [301, 302, 303, 307, 308];

/// A `ResponseInit` as it was given.
struct Init<'js> {
    headers: Option<Value<'js>>,
    status: u16,
    status_text: Vec<u8>,
}

impl<'js> Init<'js> {
    /// Reads the members, in the order of their names.
    fn read(value: &Value<'js>) -> Outcome<'js, Self> {
        let given = value.to_dictionary("a Response's init")?;
        Ok(Self {
            headers: given.member("headers")?,
            status: given.member("status")?.map_or(Ok(200), |status| to_status(&status))?,
            status_text: given.member("statusText")?.map_or(Ok(Vec::new()), |text| text.to_byte_string())?,
        })
    }
}

/// A number as WebIDL's `unsigned short` has it.
fn to_status<'js>(value: &Value<'js>) -> Outcome<'js, u16> {
    let number = value.to_double()?;
    Ok(if number.is_finite() { number.trunc().rem_euclid(65536.0) as u16 } else { 0 })
}

/// `new Response(body, init)`.
pub(super) fn construct<'js>(arguments: &Arguments<'js>) -> Outcome<'js, Response<'js>> {
    let body = arguments.optional(0).filter(|body| !body.is_null());
    let init = Init::read(&arguments.get(1))?;
    let extracted = body.map(|body| extract(&body)).transpose()?;
    initialized(init, extracted)
}

fn initialized<'js>(init: Init<'js>, body: Option<Extracted<'js>>) -> Outcome<'js, Response<'js>> {
    if !(200..=599).contains(&init.status) {
        return Err(Thrown::Range(format!("a status must be 200 to 599, not {}", init.status)));
    }
    if !init.status_text.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..)) {
        return Err(Thrown::type_error("`statusText` holds a character that no status line can"));
    }
    let headers = Headers::new(HeaderList::new(), Guard::Response);
    if let Some(given) = &init.headers {
        headers.fill(given)?;
    }
    let mut slot = BodySlot::default();
    if let Some(Extracted { slot: given, content_type, .. }) = body {
        if NULL_BODY_STATUS.contains(&init.status) {
            return Err(Thrown::type_error(format!("a response of status {} has no body", init.status)));
        }
        slot = given;
        if let Some(kind) = content_type
            && !headers.list.borrow().contains("content-type")
        {
            headers.append(b"Content-Type", normalized(kind.as_bytes()))?;
        }
    }
    let mut head = ResponseHead::with_status(init.status);
    head.status_text = init.status_text.into();
    head.headers = headers.list.into_inner();
    Ok(Response::new(head, Guard::Response, slot, ResponseSource::Made))
}

/// Spec: <https://fetch.spec.whatwg.org/#dom-response-error>
pub(super) fn error<'js>(arguments: &Arguments<'js>) -> Outcome<'js, Class<'js, Response<'js>>> {
    let error = Response::new(ResponseHead::error(), Guard::Immutable, BodySlot::default(), ResponseSource::Made);
    Ok(Class::instance(arguments.ctx().clone(), error)?)
}

/// Spec: <https://fetch.spec.whatwg.org/#dom-response-redirect>
pub(super) fn redirect<'js>(arguments: &Arguments<'js>) -> Outcome<'js, Class<'js, Response<'js>>> {
    let url = arguments.get(0).to_usv_string()?;
    let status = arguments.optional(1).map_or(Ok(302), |status| to_status(&status))?;
    let base = &realm(arguments.ctx())?.base;
    let location = base.join(&url).map_err(|error| Thrown::type_error(format!("`{url}` is not a URL: {error}")))?;
    if !REDIRECT_STATUS.contains(&status) {
        return Err(Thrown::Range(format!("{status} is not the status of a redirect")));
    }
    let mut head = ResponseHead::with_status(status);
    head.headers.append("Location", location.as_str());
    let redirect = Response::new(head, Guard::Immutable, BodySlot::default(), ResponseSource::Made);
    Ok(Class::instance(arguments.ctx().clone(), redirect)?)
}

/// Spec: <https://fetch.spec.whatwg.org/#dom-response-json>
pub(super) fn json<'js>(arguments: &Arguments<'js>) -> Outcome<'js, Class<'js, Response<'js>>> {
    let ctx = arguments.ctx();
    let init = Init::read(&arguments.get(1))?;
    let text = ctx.json_stringify(arguments.get(0))?;
    let text = text.ok_or_else(|| Thrown::type_error("the value has no JSON"))?;
    let slot = BodySlot::new(Some(text.into_value().to_usv_string()?.into()));
    let content_type = Some("application/json".to_owned());
    let made = initialized(init, Some(Extracted { slot, content_type, is_stream: false }))?;
    Ok(Class::instance(ctx.clone(), made)?)
}
