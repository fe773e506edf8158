//! Fetching `data:` URLs. Spec: <https://fetch.spec.whatwg.org/#data-url-processor>

use bytes::Bytes;
use http::Method;
use waystore::{Body, FetchError, Request, Response, ResponseHead, ResponseType};

use crate::js::{base64, mime::Mime};

/// The response that the request's URL holds.
pub(super) fn fetch(request: &Request) -> Result<Response, FetchError> {
    let broken = || FetchError::Network("the `data:` URL is broken".to_owned());
    let mut url = request.url.clone();
    url.set_fragment(None);
    let (_, text) = url.as_str().split_once(':').ok_or_else(broken)?;
    let (kind, data) = text.split_once(',').ok_or_else(broken)?;
    let bytes = percent_decoded(data.as_bytes());
    let kind = kind.trim_matches([' ', '\t', '\n', '\r', '\x0C']);
    let (kind, bytes) = match without_base64(kind) {
        Some(kind) => (kind, base64::forgiving(&bytes).ok_or_else(broken)?),
        None => (kind, bytes),
    };
    let kind = if kind.starts_with(';') { format!("text/plain{kind}") } else { kind.to_owned() };
    let kind = Mime::parse(&kind).map_or_else(|| "text/plain;charset=US-ASCII".to_owned(), |mime| mime.serialize());
    let mut head = ResponseHead::with_status(200);
    head.kind = ResponseType::Basic;
    head.status_text = Bytes::from_static(b"OK");
    head.url_list = vec![request.url.clone()];
    head.headers.append("Content-Type", kind);
    let body = (request.method != Method::HEAD).then(|| Body::from(bytes));
    Ok(Response::from_parts(head, body))
}

/// The type without `;base64` at its end, if it has that.
fn without_base64(kind: &str) -> Option<&str> {
    let at = kind.len().checked_sub("base64".len())?;
    let (before, word) = kind.split_at_checked(at)?;
    if !word.eq_ignore_ascii_case("base64") {
        return None;
    }
    before.trim_end_matches(' ').strip_suffix(';')
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        let hex = |digit: u8| char::from(digit).to_digit(16);
        if *byte == b'%'
            && let [high, low, tail @ ..] = after
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            bytes.push((high * 16 + low) as u8);
            rest = tail;
        } else {
            bytes.push(*byte);
            rest = after;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched(url: &str) -> (String, Bytes) {
        let response = fetch(&Request::from(url::Url::parse(url).unwrap())).unwrap();
        let kind = response.headers.get_text("content-type").unwrap();
        (kind, response.body.unwrap().as_bytes().unwrap().clone())
    }

    #[test]
    fn f68_a_data_url_holds_its_response() {
        assert_eq!(fetched("data:text/plain,hi#x"), ("text/plain".into(), "hi".into()));
        assert_eq!(fetched("data:,a%20b"), ("text/plain;charset=US-ASCII".into(), "a b".into()));
        assert_eq!(fetched("data:image/png; base64,aGk"), ("image/png".into(), "hi".into()));
        assert_eq!(fetched("data:;charset=utf-8,x"), ("text/plain;charset=utf-8".into(), "x".into()));
    }

    #[test]
    fn a_type_that_is_none_is_text_and_parameters_stay() {
        let kind = |url| fetched(url).0;
        assert_eq!(kind("data:x,"), "text/plain;charset=US-ASCII");
        assert_eq!(kind("data:;x=y;base64,"), "text/plain;x=y");
        assert_eq!(kind("data:Text/HTML;charset=\"a b\",x"), "text/html;charset=\"a b\"");
        assert_eq!(kind("data:text/plain;base64;x,eA"), "text/plain", "base64 is not at the end");
        assert_eq!(kind("data: image/png ,x"), "image/png");
    }

    #[test]
    fn base64_is_read_as_the_web_reads_it() {
        let data = |data: &str| fetched(&format!("data:;BASE64,{data}")).1;
        assert_eq!([data("aGk="), data("aGk"), data("a%47%6B"), data("a%20Gk%3D")], ["hi"; 4].map(Bytes::from));
        assert_eq!(fetched("data:,%zz%4").1, "%zz%4");
        for broken in ["aGk==", "a", "aG=k", "a-_b"] {
            let request = Request::from(url::Url::parse(&format!("data:;base64,{broken}")).unwrap());
            assert!(fetch(&request).is_err(), "{broken}");
        }
    }

    #[test]
    fn one_without_a_comma_is_broken() {
        assert!(fetch(&Request::from(url::Url::parse("data:text/plain").unwrap())).is_err());
        assert!(fetch(&Request::from(url::Url::parse("data:;base64,a").unwrap())).is_err());
    }
}
