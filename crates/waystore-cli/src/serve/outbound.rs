//! From a response to the head that goes to the client. Pure.
//!
//! Knows which headers still hold for the bytes that are sent; not where the response came from.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use hyper::ext::ReasonPhrase;
use waystore::{HeaderList, ResponseHead};

use super::inbound::{connection_options, is_hop_by_hop};

/// Whether a response's bytes are those its headers speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// As the upstream sent them.
    AsReceived,
    /// Content codings removed, as `fetch` does.
    Removed,
}

/// What there is to say about a response besides its head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) method: &'a Method,
    pub(crate) coding: Coding,
    /// The length of the bytes at hand; `None` where it is unknown.
    pub(crate) length: Option<u64>,
    /// Whether there are bytes at all.
    pub(crate) has_body: bool,
    /// Whether `Set-Cookie` may go to this client.
    pub(crate) cookies: bool,
}

/// The head for the client, or why the response cannot be sent.
pub(crate) fn head(response: &ResponseHead, about: About<'_>) -> Result<http::Response<()>, &'static str> {
    let status = StatusCode::from_u16(response.status).map_err(|_| "the response is a network error")?;
    if status.is_informational() {
        return Err("the response has an interim status");
    }
    let mut built = http::Response::new(());
    *built.status_mut() = status;
    *built.headers_mut() = headers(&response.headers, status, about);
    if !response.status_text.is_empty()
        && status.canonical_reason().map(str::as_bytes) != Some(&response.status_text)
        && let Ok(reason) = ReasonPhrase::try_from(response.status_text.clone())
    {
        built.extensions_mut().insert(reason);
    }
    Ok(built)
}

fn headers(list: &HeaderList, status: StatusCode, about: About<'_>) -> HeaderMap {
    let connection = connection_options(list.values("connection"));
    let recoded = about.coding == Coding::Removed && list.contains("content-encoding");
    let mut length = content_length(list, status, recoded, about);
    let mut headers = HeaderMap::with_capacity(list.iter().count() + 1);
    for (name, value) in list {
        let Ok(name) = HeaderName::from_bytes(name) else { continue };
        // A part of the list, not a copy.
        let Ok(mut value) = HeaderValue::from_maybe_shared(list.as_encoded().slice_ref(value)) else { continue };
        if name == header::CONTENT_LENGTH {
            // Kept where it is true, and not written anew.
            if length.is_some() && length == written_length(value.as_bytes()) {
                headers.append(name, value);
                length = None;
            }
            continue;
        }
        let text = name.as_str();
        let dropped = is_hop_by_hop(text)
            || connection.iter().any(|option| option == text)
            || is_cookie(text) && !about.cookies
            || recoded && matches!(text, "content-encoding" | "content-digest" | "content-md5")
            // It names another way to the upstream, past this gateway.
            || name == header::ALT_SVC;
        if dropped {
            continue;
        }
        if recoded && name == header::ETAG {
            value = weakened(value);
        }
        headers.append(name, value);
    }
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    headers
}

/// The length to announce, where one is true.
fn content_length(list: &HeaderList, status: StatusCode, recoded: bool, about: About<'_>) -> Option<u64> {
    if status == StatusCode::NO_CONTENT {
        return None;
    }
    if about.has_body && status != StatusCode::NOT_MODIFIED {
        return about.length;
    }
    // Without bytes, to HEAD or with 304, the length is that of the body there would be.
    let announces = *about.method == Method::HEAD || status == StatusCode::NOT_MODIFIED;
    if announces && !recoded {
        return list.get_text("content-length")?.parse().ok();
    }
    (!announces).then_some(0)
}

/// The number that these bytes are, written as it would be here.
fn written_length(value: &[u8]) -> Option<u64> {
    let plain = value.iter().all(u8::is_ascii_digit) && (value == b"0" || !value.starts_with(b"0"));
    std::str::from_utf8(value).ok().filter(|_| plain)?.parse().ok()
}

fn is_cookie(name: &str) -> bool {
    matches!(name, "set-cookie" | "set-cookie2")
}

/// The tag of other bytes that mean the same.
fn weakened(tag: HeaderValue) -> HeaderValue {
    if tag.as_bytes().starts_with(b"W/") {
        return tag;
    }
    HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &[(&str, &str)]) -> ResponseHead {
        ResponseHead { headers: headers.iter().copied().collect(), ..ResponseHead::with_status(status) }
    }

    fn about(method: &Method) -> About<'_> {
        About { method, coding: Coding::Removed, length: Some(2), has_body: true, cookies: true }
    }

    fn sent(response: &ResponseHead, about: About<'_>) -> HeaderMap {
        head(response, about).unwrap().into_parts().0.headers
    }

    const CODED: [(&str, &str); 4] =
        [("content-encoding", "gzip"), ("content-length", "22"), ("etag", "\"e\""), ("content-type", "text/plain")];

    #[test]
    fn g19_w72_a_decoded_body_is_not_said_to_be_coded() {
        let headers = sent(&response(200, &CODED), about(&Method::GET));
        assert!(!headers.contains_key("content-encoding"));
        assert_eq!(headers["content-length"], "2");
        assert_eq!(headers["etag"], "W/\"e\"");
        assert_eq!(headers["content-type"], "text/plain");
    }

    #[test]
    fn f70_what_goes_through_untouched_keeps_its_coding() {
        let about = About { coding: Coding::AsReceived, length: Some(22), ..about(&Method::GET) };
        let headers = sent(&response(200, &CODED), about);
        assert_eq!((&headers["content-encoding"], &headers["content-length"]), (&"gzip".parse().unwrap(), &22.into()));
        assert_eq!(headers["etag"], "\"e\"");
    }

    #[test]
    fn g8_w73_cookies_go_only_where_they_may() {
        let with = response(200, &[("Set-Cookie", "a=1"), ("set-cookie", "b=2")]);
        assert_eq!(sent(&with, about(&Method::GET)).get_all("set-cookie").iter().count(), 2);
        assert!(!sent(&with, About { cookies: false, ..about(&Method::GET) }).contains_key("set-cookie"));
    }

    #[test]
    fn headers_about_a_connection_are_not_replayed() {
        let stored = [("connection", "x-once"), ("x-once", "1"), ("transfer-encoding", "chunked"), ("alt-svc", "h3")];
        let headers = sent(&response(200, &stored), about(&Method::GET));
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["content-length"]);
    }

    #[test]
    fn g20_head_announces_the_length_it_was_told() {
        let without = About { has_body: false, length: None, ..about(&Method::HEAD) };
        assert_eq!(sent(&response(200, &[("content-length", "9")]), without)["content-length"], "9");
        assert!(!sent(&response(200, &CODED), without).contains_key("content-length"), "22 is the coded length");
        assert_eq!(sent(&response(200, &[]), about(&Method::HEAD))["content-length"], "2");
        assert!(!sent(&response(204, &[("content-length", "0")]), about(&Method::GET)).contains_key("content-length"));
    }

    #[test]
    fn there_is_one_content_length_and_it_is_that_of_the_bytes() {
        for stored in [&["2"][..], &["3"], &["02"], &["+2"], &[" 2"], &["2", "2"], &["3", "2"], &["x", "2"], &[]] {
            let list: Vec<_> = stored.iter().map(|length| ("content-length", *length)).collect();
            let headers = sent(&response(200, &list), about(&Method::GET));
            let lengths: Vec<_> = headers.get_all("content-length").iter().collect();
            assert_eq!(lengths, ["2"], "{stored:?}");
        }
    }

    #[test]
    fn a_header_that_http_does_not_have_is_left_out() {
        let headers = sent(&response(200, &[("good", "1"), ("b d", "1"), ("bad", "a\nb")]), about(&Method::GET));
        assert_eq!(headers.len(), 2);
    }

    #[test]
    fn what_is_no_http_response_is_refused() {
        assert!(head(&ResponseHead::error(), about(&Method::GET)).is_err());
        assert!(head(&response(103, &[]), about(&Method::GET)).is_err());
    }

    #[test]
    fn the_reason_of_the_upstream_is_kept() {
        let odd = ResponseHead { status_text: "Fine".into(), ..ResponseHead::with_status(200) };
        let built = head(&odd, about(&Method::GET)).unwrap();
        assert_eq!(built.extensions().get::<ReasonPhrase>().unwrap().as_bytes(), b"Fine");
    }
}
