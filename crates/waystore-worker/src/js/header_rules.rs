//! Which headers script may write where: validity, forbidden names, safelists.
//!
//! Knows bytes and rules, no script. Spec: <https://fetch.spec.whatwg.org/#terminology-headers>

use waystore::HeaderList;

use crate::js::mime;

/// The longest name; header lists keep lengths of names in 16 bits.
const MAX_NAME_BYTES: usize = u16::MAX as usize;
/// The longest value of a request without CORS.
const MAX_NO_CORS_VALUE_BYTES: usize = 128;

/// What a list of headers is for, and so who may write what into it.
///
/// Spec: <https://fetch.spec.whatwg.org/#concept-headers-guard>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    None,
    Request,
    RequestNoCors,
    Response,
    Immutable,
}

/// What becomes of a header that script wants to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Write,
    /// Left out without an error.
    Ignore,
    /// A `TypeError`, for this reason.
    Refuse(&'static str),
}

impl Guard {
    /// Whether `name` may be given `value`, on top of what `list` has where `appends`.
    ///
    /// Spec: <https://fetch.spec.whatwg.org/#headers-validate>, and the steps of append and set
    pub(super) fn judge(self, list: &HeaderList, name: &[u8], value: &[u8], appends: bool) -> Verdict {
        if !is_name(name) {
            return Verdict::Refuse("it is not a header name");
        }
        if !is_value(value) {
            return Verdict::Refuse("it is not a header value");
        }
        match self {
            Self::Immutable => Verdict::Refuse("these headers are immutable"),
            Self::Request if is_forbidden_request_header(name, value) => Verdict::Ignore,
            Self::Response if is_forbidden_response_header(name) => Verdict::Ignore,
            Self::RequestNoCors => {
                let mut combined = if appends { list.get(name).unwrap_or_default() } else { Vec::new() };
                if appends && list.contains(name) {
                    combined.extend_from_slice(b", ");
                }
                combined.extend_from_slice(value);
                if is_no_cors_safelisted(name, &combined) { Verdict::Write } else { Verdict::Ignore }
            }
            Self::None | Self::Request | Self::Response => Verdict::Write,
        }
    }

    /// Whether the headers of this name may be deleted.
    ///
    /// Spec: <https://fetch.spec.whatwg.org/#dom-headers-delete>
    pub(super) fn judge_delete(self, name: &[u8]) -> Verdict {
        if !is_name(name) {
            return Verdict::Refuse("it is not a header name");
        }
        match self {
            Self::Immutable => Verdict::Refuse("these headers are immutable"),
            Self::Request if is_forbidden_request_header(name, b"") => Verdict::Ignore,
            Self::Response if is_forbidden_response_header(name) => Verdict::Ignore,
            Self::RequestNoCors if !is_no_cors_name(name) && !name.eq_ignore_ascii_case(b"range") => Verdict::Ignore,
            _ => Verdict::Write,
        }
    }
}

/// `value` without HTTP whitespace at its ends.
pub(super) fn normalized(value: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' ');
    let start = value.iter().position(|byte| !is_space(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}

/// Whether `name` is a header name: a token, and no longer than lists can keep.
pub(super) fn is_name(name: &[u8]) -> bool {
    name.len() <= MAX_NAME_BYTES && is_token(name)
}

/// Spec: <https://httpwg.org/specs/rfc9110.html#tokens>
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Whether `value`, normalized, is a header value.
pub(super) fn is_value(value: &[u8]) -> bool {
    !value.iter().any(|byte| matches!(byte, 0 | b'\n' | b'\r')) && u32::try_from(value.len()).is_ok()
}

/// Spec: <https://fetch.spec.whatwg.org/#forbidden-method>
pub(super) fn is_forbidden_method(method: &[u8]) -> bool {
    ["connect", "trace", "track"].iter().any(|forbidden| method.eq_ignore_ascii_case(forbidden.as_bytes()))
}

/// Spec: <https://fetch.spec.whatwg.org/#forbidden-request-header>
fn is_forbidden_request_header(name: &[u8], value: &[u8]) -> bool {
    const NAMES: [&str; 21] = [
        "accept-charset",
        "accept-encoding",
        "access-control-request-headers",
        "access-control-request-method",
        "connection",
        "content-length",
        "cookie",
        "cookie2",
        "date",
        "dnt",
        "expect",
        "host",
        "keep-alive",
        "origin",
        "referer",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    ];
    const OVERRIDES: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];
    let is = |listed: &&str| name.eq_ignore_ascii_case(listed.as_bytes());
    let starts = |prefix: &str| name.get(..prefix.len()).is_some_and(|s| s.eq_ignore_ascii_case(prefix.as_bytes()));
    let overrides = || OVERRIDES.iter().any(is);
    NAMES.iter().any(is)
        || starts("proxy-")
        || starts("sec-")
        || overrides() && split_at_commas(value).iter().any(|method| is_forbidden_method(method))
}

/// Spec: <https://fetch.spec.whatwg.org/#forbidden-response-header-name>
fn is_forbidden_response_header(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"set-cookie") || name.eq_ignore_ascii_case(b"set-cookie2")
}

fn is_no_cors_name(name: &[u8]) -> bool {
    let names = ["accept", "accept-language", "content-language", "content-type"];
    names.iter().any(|listed| name.eq_ignore_ascii_case(listed.as_bytes()))
}

/// Spec: <https://fetch.spec.whatwg.org/#no-cors-safelisted-request-header>
fn is_no_cors_safelisted(name: &[u8], value: &[u8]) -> bool {
    let is = |listed: &str| name.eq_ignore_ascii_case(listed.as_bytes());
    if !is_no_cors_name(name) || value.len() > MAX_NO_CORS_VALUE_BYTES {
        return false;
    }
    if is("accept") {
        return !value.iter().any(|byte| is_cors_unsafe(*byte));
    }
    if is("content-type") {
        let simple = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];
        let essence = mime::essence(&value.iter().copied().map(char::from).collect::<String>());
        return !value.iter().any(|byte| is_cors_unsafe(*byte))
            && essence.is_some_and(|essence| simple.contains(&essence.as_str()));
    }
    value.iter().all(|byte| byte.is_ascii_alphanumeric() || b" *,-.;=".contains(byte))
}

/// Spec: <https://fetch.spec.whatwg.org/#cors-unsafe-request-header-byte>
fn is_cors_unsafe(byte: u8) -> bool {
    byte < 0x20 && byte != b'\t' || b"\"():<>?@[\\]{}\x7F".contains(&byte)
}

/// The items of a combined value: split at commas outside of quotes, trimmed, empty ones kept.
///
/// Spec: <https://fetch.spec.whatwg.org/#header-value-get-decode-and-split>
pub(super) fn split_at_commas(value: &[u8]) -> Vec<&[u8]> {
    let mut items = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in value.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                items.push(value[start..at].trim_ascii());
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(value[start..].trim_ascii());
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f12_an_override_of_a_forbidden_method_is_forbidden() {
        assert!(is_forbidden_request_header(b"X-HTTP-Method-Override", b"GET, TRACE"));
        assert!(!is_forbidden_request_header(b"X-HTTP-Method-Override", b"GET, POST"));
    }

    #[test]
    fn f19_commas_in_quotes_do_not_split() {
        assert_eq!(split_at_commas(b"x;test=\"a,b\",y"), [&b"x;test=\"a,b\""[..], b"y"]);
        assert_eq!(split_at_commas(b","), [&b""[..], b""]);
    }

    #[test]
    fn names_that_no_list_could_keep_are_no_names() {
        assert!(is_name(&[b'a'; MAX_NAME_BYTES]));
        assert!(!is_name(&[b'a'; MAX_NAME_BYTES + 1]));
        assert!(!is_name(b"a b"));
    }
}
