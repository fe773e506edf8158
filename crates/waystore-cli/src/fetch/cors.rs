//! Sharing across origins: what must be asked for first, whose consent a response gives, and what it shows. Pure.
//!
//! Knows requests, header lists and origins as text; no connection, and nothing of what was consented to before.
//!
//! Spec: <https://fetch.spec.whatwg.org/#http-cors-protocol>

use std::collections::BTreeSet;

use http::Method;
use waystore::{HeaderList, RequestCredentials, RequestHead};

/// The longest value of a header that needs no consent.
const SAFE_VALUE_BYTES: usize = 128;
/// The most bytes that the values of such headers may have together.
const SAFE_VALUES_BYTES: usize = 1024;
/// How long a consent counts where the server does not say.
const DEFAULT_MAX_AGE_S: u64 = 5;
/// The longest that one counts, whatever the server says.
const MOST_MAX_AGE_S: u64 = 2 * 60 * 60;

/// The answers that a request of another origin needs before it may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    /// Whether credentials go along.
    pub(super) credentials: bool,
    /// The method; one that needs no consent is never refused.
    pub(super) method: Method,
    /// The headers that need consent: in lower case, sorted.
    pub(super) headers: Vec<String>,
}

impl Question {
    /// What has to be asked before `request` goes out, if anything has.
    ///
    /// Of an `event`'s request, headers that the visitor's browser adds by itself do not count: no script chose them.
    pub(super) fn of(request: &RequestHead, event: bool) -> Option<Self> {
        let headers = unsafe_names(&request.headers, event);
        if is_safelisted_method(&request.method) && headers.is_empty() {
            return None;
        }
        let credentials = request.credentials == RequestCredentials::Include;
        Some(Self { credentials, method: request.method.clone(), headers })
    }

    /// Reads the consent in the response to a preflight whose [`check`] has passed.
    ///
    /// # Errors
    ///
    /// It consents to something else, or cannot be read; in words.
    pub(super) fn granted(&self, status: u16, response: &HeaderList) -> Result<Grant, String> {
        if !(200..=299).contains(&status) {
            return Err(format!("its preflight was answered with status {status}"));
        }
        let list = |name| {
            listed(response, name).map_err(|NotAList| format!("the preflight's `{name}` is not a list of names"))
        };
        let grant = Grant {
            credentials: self.credentials,
            methods: list("access-control-allow-methods")?.unwrap_or_default(),
            headers: list("access-control-allow-headers")?
                .unwrap_or_default()
                .iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
            max_age_s: max_age_s(response),
        };
        match grant.refuses(self) {
            None => Ok(grant),
            Some(Refused::Method) => Err(format!("the server does not allow the method `{}`", self.method)),
            Some(Refused::Header(name)) => Err(format!("the server does not allow the header `{name}`")),
        }
    }
}

/// What a server consented to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    /// Whether it was asked about a request with credentials. Without any, `*` stands for everything.
    pub(super) credentials: bool,
    pub(super) methods: Vec<String>,
    /// In lower case.
    pub(super) headers: Vec<String>,
    pub(super) max_age_s: u64,
}

enum Refused<'a> {
    Method,
    Header(&'a str),
}

impl Grant {
    /// Whether everything of `question` is consented to.
    pub(super) fn covers(&self, question: &Question) -> bool {
        (self.credentials || !question.credentials) && self.refuses(question).is_none()
    }

    fn refuses<'a>(&self, question: &'a Question) -> Option<Refused<'a>> {
        let lists = |list: &[String], name: &str| list.iter().any(|listed| listed == name);
        let wild = |list: &[String]| !self.credentials && lists(list, "*");
        let method = question.method.as_str();
        if !is_safelisted_method(&question.method) && !lists(&self.methods, method) && !wild(&self.methods) {
            return Some(Refused::Method);
        }
        let refused = question.headers.iter().find(|name| {
            // Never meant by a wildcard: it says who asks.
            let by_name_only = name.as_str() == "authorization";
            !lists(&self.headers, name) && (by_name_only || !wild(&self.headers))
        });
        refused.map(|name| Refused::Header(name))
    }
}

/// Checks that a response consents to being read by `origin`.
///
/// Spec: <https://fetch.spec.whatwg.org/#concept-cors-check>
///
/// # Errors
///
/// It does not; in words.
pub(super) fn check(response: &HeaderList, origin: &str, credentials: RequestCredentials) -> Result<(), String> {
    let Some(allowed) = response.get("access-control-allow-origin") else {
        return Err("the response has no `Access-Control-Allow-Origin`".to_owned());
    };
    let with_credentials = credentials == RequestCredentials::Include;
    if !with_credentials && allowed == b"*" {
        return Ok(());
    }
    if allowed != origin.as_bytes() {
        let allowed = allowed.escape_ascii();
        return Err(format!("`Access-Control-Allow-Origin` is `{allowed}`, and who asks is `{origin}`"));
    }
    if with_credentials && response.get("access-control-allow-credentials").as_deref() != Some(b"true") {
        return Err("the request has credentials, and `Access-Control-Allow-Credentials` is not `true`".to_owned());
    }
    Ok(())
}

/// The names of the headers that script may see beyond those it always may.
///
/// Spec: <https://fetch.spec.whatwg.org/#concept-main-fetch>, the step on `Access-Control-Expose-Headers`
pub(super) fn exposed(response: &HeaderList, credentials: RequestCredentials) -> Vec<String> {
    let Ok(Some(names)) = listed(response, "access-control-expose-headers") else { return Vec::new() };
    if credentials != RequestCredentials::Include && names.iter().any(|name| name == "*") {
        return all_names(response);
    }
    names
}

/// The names of all headers, in lower case.
pub(super) fn all_names(headers: &HeaderList) -> Vec<String> {
    let names = headers.iter().map(|(name, _)| String::from_utf8_lossy(name).to_ascii_lowercase());
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Spec: <https://fetch.spec.whatwg.org/#cors-safelisted-method>
fn is_safelisted_method(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::POST].contains(method)
}

/// The names of the headers that need consent: in lower case, sorted.
///
/// Spec: <https://fetch.spec.whatwg.org/#cors-unsafe-request-header-names>
fn unsafe_names(headers: &HeaderList, event: bool) -> Vec<String> {
    let (mut names, mut safe, mut safe_bytes) = (BTreeSet::new(), Vec::new(), 0);
    for (name, value) in headers.iter() {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if event && is_added_by_browsers(&name) {
            continue;
        }
        if is_safelisted(&name, value) {
            safe.push(name);
            safe_bytes += value.len();
        } else {
            names.insert(name);
        }
    }
    if safe_bytes > SAFE_VALUES_BYTES {
        names.extend(safe);
    }
    names.into_iter().collect()
}

/// What comes with the requests of browsers though no script set it.
fn is_added_by_browsers(name: &str) -> bool {
    matches!(
        name,
        "accept"
            | "accept-language"
            | "cache-control"
            | "dnt"
            | "if-modified-since"
            | "if-none-match"
            | "origin"
            | "pragma"
            | "priority"
            | "referer"
            | "save-data"
            | "upgrade-insecure-requests"
            | "user-agent"
            | "via"
    )
}

/// Whether a header (its name in lower case) needs no consent.
///
/// Spec: <https://fetch.spec.whatwg.org/#cors-safelisted-request-header>
fn is_safelisted(name: &str, value: &[u8]) -> bool {
    if value.len() > SAFE_VALUE_BYTES {
        return false;
    }
    match name {
        "accept" => !value.iter().copied().any(is_unsafe_byte),
        "accept-language" | "content-language" => {
            value.iter().all(|byte| byte.is_ascii_alphanumeric() || b" *,-.;=".contains(byte))
        }
        "content-type" => !value.iter().copied().any(is_unsafe_byte) && is_form_type(value),
        "range" => is_simple_range(value),
        _ => false,
    }
}

/// Spec: <https://fetch.spec.whatwg.org/#cors-unsafe-request-header-byte>
fn is_unsafe_byte(byte: u8) -> bool {
    byte < 0x20 && byte != b'\t' || b"\"():<>?@[\\]{}\x7F".contains(&byte)
}

/// Whether a content type is one of those that forms have always been able to send.
fn is_form_type(value: &[u8]) -> bool {
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    let forms: [&[u8]; 3] = [b"application/x-www-form-urlencoded", b"multipart/form-data", b"text/plain"];
    forms.contains(&essence.as_slice())
}

/// One range with a start, and an end that is not before it if it has one.
fn is_simple_range(value: &[u8]) -> bool {
    let Some((start, end)) = str::from_utf8(value).ok().and_then(|text| text.strip_prefix("bytes=")?.split_once('-'))
    else {
        return false;
    };
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    match (number(start), end) {
        (Some(_), "") => true,
        (Some(start), end) => number(end).is_some_and(|end| start <= end),
        (None, _) => false,
    }
}

/// A header that should list names does not.
#[derive(Debug, PartialEq, Eq)]
struct NotAList;

/// The names that a header lists, or `None` where there is no such header.
///
/// Spec: <https://fetch.spec.whatwg.org/#extract-header-list-values>
fn listed(headers: &HeaderList, name: &str) -> Result<Option<Vec<String>>, NotAList> {
    let Some(combined) = headers.get(name) else { return Ok(None) };
    let items = combined.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty());
    let names = items.map(|item| {
        let is_token = item.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte));
        str::from_utf8(item).ok().filter(|_| is_token).map(str::to_owned).ok_or(NotAList)
    });
    names.collect::<Result<_, _>>().map(Some)
}

/// How long a consent counts, in seconds.
fn max_age_s(response: &HeaderList) -> u64 {
    let text = response.get_text("access-control-max-age").unwrap_or_default();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // Digits that are no number are more than the most.
    let given = digits.then(|| text.parse().unwrap_or(u64::MAX));
    given.unwrap_or(DEFAULT_MAX_AGE_S).min(MOST_MAX_AGE_S)
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    const SHOP: &str = "https://shop.example";

    fn headers(list: &[(&str, &str)]) -> HeaderList {
        list.iter().copied().collect()
    }

    fn request(method: &str, list: &[(&str, &str)]) -> RequestHead {
        let mut head = RequestHead::get(Url::parse("https://cdn.example/x").unwrap());
        head.method = method.parse().unwrap();
        head.headers = headers(list);
        head
    }

    fn asked(list: &[(&str, &str)]) -> Vec<String> {
        Question::of(&request("GET", list), false).map_or(Vec::new(), |question| question.headers)
    }

    #[test]
    fn f79_a_response_must_name_who_asks() {
        use RequestCredentials::{Include, SameOrigin};
        let passes = |list: &[(&str, &str)], credentials| check(&headers(list), SHOP, credentials).is_ok();
        assert!(!passes(&[], SameOrigin));
        assert!(passes(&[("access-control-allow-origin", "*")], SameOrigin));
        assert!(!passes(&[("access-control-allow-origin", "*")], Include));
        assert!(passes(&[("access-control-allow-origin", SHOP)], SameOrigin));
        assert!(!passes(&[("access-control-allow-origin", SHOP)], Include));
        let both = |allows| [("access-control-allow-origin", SHOP), ("access-control-allow-credentials", allows)];
        assert!(passes(&both("true"), Include));
        assert!(!passes(&both("True"), Include));
        assert!(!passes(&[("access-control-allow-origin", "https://SHOP.example")], SameOrigin));
        assert!(!passes(&[("access-control-allow-origin", "*"), ("access-control-allow-origin", "*")], SameOrigin));
    }

    #[test]
    fn f80_a_star_exposes_everything_but_to_who_has_credentials() {
        use RequestCredentials::{Include, Omit};
        let response = headers(&[("access-control-expose-headers", "*"), ("X-A", "1"), ("*", "2")]);
        assert_eq!(exposed(&response, Omit), ["*", "access-control-expose-headers", "x-a"]);
        assert_eq!(exposed(&response, Include), ["*"]);
        let listed = headers(&[("access-control-expose-headers", "X-A, , x-b")]);
        assert_eq!(exposed(&listed, Include), ["X-A", "x-b"]);
        assert!(exposed(&headers(&[("access-control-expose-headers", "x y")]), Omit).is_empty());
        assert!(exposed(&headers(&[("x-a", "1")]), Omit).is_empty());
    }

    #[test]
    fn what_a_form_can_send_needs_no_consent() {
        assert_eq!(Question::of(&request("POST", &[("Content-Type", "Text/Plain; charset=x")]), false), None);
        assert_eq!(Question::of(&request("GET", &[("accept", "a/b"), ("range", "bytes=1-")]), false), None);
        assert_eq!(asked(&[("content-type", "application/json")]), ["content-type"]);
        assert_eq!(asked(&[("X-B", "1"), ("authorization", "x"), ("x-b", "2")]), ["authorization", "x-b"]);
        assert_eq!(asked(&[("accept", "\"")]), ["accept"]);
        assert_eq!(asked(&[("accept-language", "de_DE")]), ["accept-language"]);
        assert_eq!(asked(&[("accept", &"x".repeat(129))]), ["accept"]);
        for odd in ["bytes=-1", "bytes=2-1", "bytes=1-2,4-5", "bytes= 1-2", "lines=1-"] {
            assert_eq!(asked(&[("range", odd)]), ["range"], "{odd}");
        }
        let question = Question::of(&request("PUT", &[]), false).unwrap();
        assert_eq!((question.method, question.headers.len()), (Method::PUT, 0));
    }

    #[test]
    fn many_harmless_values_together_need_consent() {
        let value = "x".repeat(128);
        let eight: Vec<_> = std::iter::repeat_n(("accept", value.as_str()), 8).collect();
        assert!(asked(&eight).is_empty());
        assert_eq!(asked(&[&eight[..], &[("accept-language", "de")]].concat()), ["accept", "accept-language"]);
    }

    #[test]
    fn what_browsers_add_by_themselves_needs_no_consent() {
        let from_browser = request("GET", &[("user-agent", "x"), ("if-none-match", "\"e\""), ("x-own", "1")]);
        assert_eq!(Question::of(&from_browser, true).unwrap().headers, ["x-own"]);
        assert_eq!(Question::of(&from_browser, false).unwrap().headers.len(), 3);
    }

    fn grants(question: &RequestHead, status: u16, list: &[(&str, &str)]) -> bool {
        Question::of(question, false).unwrap().granted(status, &headers(list)).is_ok()
    }

    #[test]
    fn a_preflight_has_to_allow_the_method_and_every_header() {
        let put = request("PUT", &[("X-A", "1")]);
        let allowed = [("access-control-allow-methods", "PUT"), ("access-control-allow-headers", "x-b, X-a")];
        assert!(grants(&put, 204, &allowed));
        assert!(!grants(&put, 404, &allowed) && !grants(&put, 302, &allowed));
        assert!(!grants(&put, 200, &allowed[..1]) && !grants(&put, 200, &allowed[1..]));
        assert!(!grants(&put, 200, &[("access-control-allow-methods", "put"), allowed[1]]), "methods have case");
        assert!(!grants(&put, 200, &[("access-control-allow-methods", "PUT, (x)"), allowed[1]]));
        assert!(grants(&request("POST", &[("x-a", "1")]), 200, &allowed[1..]), "POST needs no consent");
    }

    #[test]
    fn a_star_allows_all_but_authorization_and_nothing_with_credentials() {
        let stars = [("access-control-allow-methods", "*"), ("access-control-allow-headers", "*")];
        let mut put = request("PUT", &[("x-a", "1")]);
        assert!(grants(&put, 200, &stars));
        put.credentials = RequestCredentials::Include;
        assert!(!grants(&put, 200, &stars));
        let authorized = request("GET", &[("authorization", "x")]);
        assert!(!grants(&authorized, 200, &stars));
        assert!(grants(&authorized, 200, &[("access-control-allow-headers", "*, Authorization")]));
    }

    #[test]
    fn a_consent_counts_for_some_seconds_and_never_for_days() {
        let age = |text: &str| max_age_s(&headers(&[("access-control-max-age", text)]));
        assert_eq!((age("60"), age("0"), age("999999"), age(&"9".repeat(30))), (60, 0, 7200, 7200));
        assert_eq!((age("-1"), age("x"), max_age_s(&headers(&[]))), (5, 5, 5));
    }

    #[test]
    fn a_consent_without_credentials_is_none_to_a_request_with_them() {
        let mut put = request("PUT", &[]);
        let question = Question::of(&put, false).unwrap();
        let grant = question.granted(200, &headers(&[("access-control-allow-methods", "PUT")])).unwrap();
        put.credentials = RequestCredentials::Include;
        assert!(grant.covers(&question) && !grant.covers(&Question::of(&put, false).unwrap()));
    }
}
