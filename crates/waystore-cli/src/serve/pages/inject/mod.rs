//! Gives pages the script that they do not load themselves: the key `inject`.
//!
//! Decides which answers are pages, and what their heads say then. Where in a page the tag goes, `place` knows.

mod known;
mod page;
mod place;
mod tags;

use bytes::Bytes;
use futures::{StreamExt, stream};
use waystore::{Body, BodyError, Destination, HeaderList, RequestHead, RequestMode, Response};

use self::page::Page;
use crate::fetch::stream::{Chunks, decoded, incoming};

/// Headers by which scripts say that they ask for a part of a page.
const PARTS: [&str; 5] = ["x-requested-with", "hx-request", "turbo-frame", "x-pjax", "x-up-version"];
/// Charsets that are not a superset of ASCII.
const WIDE: [&str; 6] = ["utf-16", "utf-32", "ucs-2", "iso-10646", "unicode", "csunicode"];
/// What is true of other bytes.
const OF_THE_BYTES: [&str; 6] =
    ["content-length", "content-md5", "content-digest", "repr-digest", "digest", "accept-ranges"];

/// Whether the answer to a request may be a page that is shown.
pub(in crate::serve) fn asks_for_page(request: &RequestHead) -> bool {
    let embedded = matches!(request.destination, Destination::Embed | Destination::Object);
    let part = || PARTS.iter().any(|name| request.headers.contains(name));
    request.mode == RequestMode::Navigate && !embedded && !part()
}

/// A request for a page is for all of it: parts of what the upstream has are not parts of what is sent.
pub(in crate::serve) fn ask_for_all(request: &mut RequestHead) {
    for name in ["range", "if-range"] {
        request.headers.remove(name);
    }
}

/// Puts the script into the answer to a request for a page, if the answer is one.
///
/// `coded` says whether the body has the codings that the head lists; those are removed.
pub(in crate::serve) fn inject(response: &mut Response, coded: bool) {
    if response.status == 304 {
        weaken(&mut response.head.headers);
        return;
    }
    if !is_page(response) {
        return;
    }
    let coding = response.headers.get_text("content-encoding").filter(|value| coded && !is_identity(value));
    // Without a body, as to HEAD, the head is that of the page all the same.
    let had_body = response.body.is_some();
    let (chunks, removed) = decoded(incoming(response.body.take().unwrap_or_default()), coding.as_deref());
    if coding.is_some() && !removed {
        // A coding that nobody knows.
        let length = response.headers.get_text("content-length").and_then(|length| length.parse().ok());
        response.body = had_body.then(|| Body::from_stream(chunks, length));
        return;
    }
    response.body = had_body.then(|| Body::from_stream(with_tag(chunks), None));
    let headers = &mut response.head.headers;
    for name in OF_THE_BYTES {
        headers.remove(name);
    }
    if removed {
        headers.remove("content-encoding");
    }
    weaken(headers);
}

fn is_identity(coding: &str) -> bool {
    coding.split(',').all(|one| matches!(one.trim(), "" | "identity"))
}

/// Whether a response is a page that a browser shows, in a charset where a tag can be written.
fn is_page(response: &Response) -> bool {
    if matches!(response.status, 101 | 204 | 205 | 206) || (300..400).contains(&response.status) {
        return false;
    }
    let headers = &response.headers;
    let kind = headers.get_text("content-type").unwrap_or_default().to_ascii_lowercase();
    let mut parameters = kind.split(';').map(str::trim);
    let html = parameters.next() == Some("text/html");
    let charset = parameters.find_map(|parameter| parameter.strip_prefix("charset="));
    let charset = charset.unwrap_or_default().trim_matches('"');
    let wide = WIDE.iter().any(|wide| charset.starts_with(wide));
    let disposition = headers.get_text("content-disposition").unwrap_or_default().to_ascii_lowercase();
    let disposition = disposition.split(';').next().unwrap_or_default().trim();
    html && !wide && matches!(disposition, "" | "inline")
}

/// The tag of other bytes that mean the same.
fn weaken(headers: &mut HeaderList) {
    let Some(tag) = headers.get("etag").filter(|tag| !tag.starts_with(b"W/")) else { return };
    let weak = [b"W/", &tag[..]].concat();
    headers.set("etag", weak);
}

/// The page with the script's tag in its place; nothing of it waits for more than the next 1024 bytes.
fn with_tag(chunks: Chunks) -> Chunks {
    let states = stream::unfold(Some((chunks, Page::default())), |state| async move {
        let (mut chunks, mut page) = state?;
        loop {
            let mut out = Vec::new();
            match chunks.next().await {
                Some(Ok(chunk)) if page.is_done() => return Some((Ok(chunk), Some((chunks, page)))),
                Some(Ok(chunk)) => page.take(&chunk, &mut out),
                Some(Err(error)) => return Some((Err::<Bytes, BodyError>(error), None)),
                None => {
                    page.end(&mut out);
                    return (!out.is_empty()).then(|| (Ok(out.into()), None));
                }
            }
            if !out.is_empty() {
                return Some((Ok(out.into()), Some((chunks, page))));
            }
        }
    });
    states.boxed()
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)]) -> Response {
        let mut response = Response::new("<head>");
        response.head.status = status;
        response.head.headers = headers.iter().copied().collect();
        response
    }

    fn injected(status: u16, headers: &[(&str, &str)]) -> bool {
        let mut response = answer(status, headers);
        inject(&mut response, true);
        response.body.is_some_and(|body| body.length().is_none())
    }

    const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");

    #[test]
    fn pages_are_html_that_is_shown() {
        assert!(injected(200, &[HTML]) && injected(404, &[("content-type", "Text/HTML")]));
        assert!(injected(200, &[HTML, ("content-disposition", "inline")]));
        assert!(injected(200, &[("content-type", "text/html;charset=\"windows-1252\"")]));
        for headers in [
            &[][..],
            &[("content-type", "text/plain")],
            &[("content-type", "application/xhtml+xml")],
            &[("content-type", "text/html; charset=UTF-16LE")],
            &[HTML, ("content-disposition", "Attachment; filename=a.html")],
        ] {
            assert!(!injected(200, headers), "{headers:?}");
        }
        for status in [204, 206, 301, 304] {
            assert!(!injected(status, &[HTML]), "{status}");
        }
    }

    #[test]
    fn what_is_true_of_other_bytes_is_not_said() {
        let mut response = answer(
            200,
            &[
                HTML,
                ("content-length", "6"),
                ("etag", "\"e\""),
                ("accept-ranges", "bytes"),
                ("repr-digest", "x"),
                ("last-modified", "then"),
            ],
        );
        inject(&mut response, true);
        let names: Vec<_> =
            response.headers.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
        assert_eq!(names, ["content-type", "etag", "last-modified"]);
        assert_eq!(response.headers.get_text("etag").as_deref(), Some("W/\"e\""));
    }

    #[test]
    fn not_modified_has_the_tag_of_the_page_that_was_sent() {
        let mut response = answer(304, &[("etag", "\"e\"")]);
        inject(&mut response, true);
        assert_eq!(response.headers.get_text("etag").as_deref(), Some("W/\"e\""));
    }

    #[test]
    fn head_says_what_get_would() {
        let mut response = answer(200, &[HTML, ("content-length", "6"), ("content-encoding", "gzip")]);
        response.body = None;
        inject(&mut response, true);
        assert!(!response.headers.contains("content-length") && !response.headers.contains("content-encoding"));
    }

    #[test]
    fn a_coding_that_nobody_knows_is_left_alone() {
        let mut response = answer(200, &[HTML, ("content-encoding", "rot13"), ("content-length", "6")]);
        inject(&mut response, true);
        assert!(response.headers.contains("content-length"));
    }

    #[test]
    fn parts_of_pages_are_none() {
        let mut request = RequestHead::get(Url::parse("https://shop.example/").unwrap());
        assert!(!asks_for_page(&request));
        (request.mode, request.destination) = (RequestMode::Navigate, Destination::Document);
        assert!(asks_for_page(&request));
        request.headers = [("X-Requested-With", "XMLHttpRequest")].into_iter().collect();
        assert!(!asks_for_page(&request));
        request.destination = Destination::Embed;
        assert!(!asks_for_page(&request));
    }
}
