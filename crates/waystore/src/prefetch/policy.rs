//! What a prefetch stores of what it was sent: a rule over heads.
//!
//! A prefetch is asked for by one and stored for all, so what is for one visitor is left out. Knows no cache.

use super::{Outcome, Reason, progress::Done};
use crate::{RequestHead, ResponseHead, ResponseType, spec::batch::check_put};

/// Statuses after which another attempt may bring something else.
const PASSING: [u16; 7] = [408, 425, 429, 500, 502, 503, 504];

/// Why the response is not to be stored, if it is not.
pub(super) fn refusal(request: &RequestHead, response: &ResponseHead, override_no_cache: bool) -> Option<Done> {
    let skip = |reason, detail: &str| Some(Done::because(Outcome::Skipped, reason, detail));
    match response.kind {
        ResponseType::Error => return Some(Done::because(Outcome::Failed, Reason::Network, "a network error")),
        ResponseType::Opaque | ResponseType::OpaqueRedirect => {
            return skip(Reason::Unstorable, "it is opaque, so nobody can tell whether it is an error");
        }
        _ => {}
    }
    if !response.ok() {
        return Some(Done::because(Outcome::Failed, Reason::Status, format!("the status is {}", response.status)));
    }
    let says = |directive: &str| lists(response, "cache-control", directive);
    if response.personal.is_some() {
        return skip(Reason::Personal, "it is for one visitor");
    }
    if let Some(directive) = ["private", "no-store"].into_iter().find(|directive| says(directive)) {
        return skip(Reason::Personal, &format!("its `Cache-Control` says `{directive}`"));
    }
    if lists(response, "vary", "cookie") || lists(response, "vary", "authorization") {
        return skip(Reason::Personal, "it is another one for each visitor: `Vary` says so");
    }
    if says("no-cache") && !override_no_cache {
        return skip(Reason::NoCache, "its `Cache-Control` says `no-cache`; `overrideNoCache` stores it all the same");
    }
    let error = check_put(request, response).err()?;
    skip(Reason::Unstorable, &error.to_string())
}

/// Whether another attempt may help, and the least wait that the server asks for, in milliseconds.
pub(super) fn again_after_ms(response: &ResponseHead) -> Option<u64> {
    let seconds = || response.headers.get_text("retry-after")?.trim().parse::<u64>().ok();
    PASSING.contains(&response.status).then(|| seconds().unwrap_or_default().saturating_mul(1000))
}

/// Whether the list in the header `name` has `item`, without regard to case; what follows a `=` is not looked at.
fn lists(response: &ResponseHead, name: &str, item: &str) -> bool {
    let is = |listed: &str| listed.split('=').next().unwrap_or_default().trim().eq_ignore_ascii_case(item);
    response.headers.get_text(name).is_some_and(|value| value.split(',').any(is))
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::{CredentialHash, Response};

    fn reason(head: &ResponseHead) -> Option<Reason> {
        let request = RequestHead::get(Url::parse("https://a.test/x").unwrap());
        refusal(&request, head, false).and_then(|done| done.reason)
    }

    fn with(name: &str, value: &str) -> ResponseHead {
        Response::new("").header(name, value).head
    }

    #[test]
    fn what_is_for_everybody_is_stored_and_what_is_for_one_is_not() {
        assert_eq!(reason(&with("cache-control", "max-age=0, must-revalidate")), None);
        assert_eq!(reason(&with("set-cookie", "session=1")), None);
        assert_eq!(reason(&with("vary", "accept")), None);
        for (name, value) in [
            ("cache-control", "max-age=5, Private"),
            ("cache-control", "no-store"),
            ("vary", "accept, Cookie"),
            ("vary", "Authorization"),
        ] {
            assert_eq!(reason(&with(name, value)), Some(Reason::Personal), "{name}: {value}");
        }
        let personal = ResponseHead { personal: Some(CredentialHash([1; 16])), ..ResponseHead::with_status(200) };
        assert_eq!(reason(&personal), Some(Reason::Personal));
    }

    #[test]
    fn no_cache_is_overridden_on_request_and_private_is_not() {
        let request = RequestHead::get(Url::parse("https://a.test/x").unwrap());
        let no_cache = with("cache-control", "No-Cache");
        assert_eq!(reason(&no_cache), Some(Reason::NoCache));
        assert_eq!(refusal(&request, &no_cache, true), None);
        let private = with("cache-control", "private, no-cache");
        assert_eq!(refusal(&request, &private, true).and_then(|done| done.reason), Some(Reason::Personal));
    }

    #[test]
    fn errors_and_what_the_cache_api_does_not_store_are_refused() {
        assert_eq!(reason(&ResponseHead::with_status(404)), Some(Reason::Status));
        assert_eq!(reason(&ResponseHead::error()), Some(Reason::Network));
        assert_eq!(reason(&ResponseHead::with_status(206)), Some(Reason::Unstorable));
        assert_eq!(reason(&with("vary", "*")), Some(Reason::Unstorable));
        let opaque = ResponseHead { kind: ResponseType::Opaque, ..ResponseHead::with_status(200) };
        assert_eq!(reason(&opaque), Some(Reason::Unstorable));
    }

    #[test]
    fn a_passing_error_is_tried_again_when_the_server_says() {
        assert_eq!(again_after_ms(&ResponseHead::with_status(404)), None);
        assert_eq!(again_after_ms(&ResponseHead::with_status(500)), Some(0));
        let head = ResponseHead { status: 503, ..with("retry-after", "7") };
        assert_eq!(again_after_ms(&head), Some(7000));
        let head = ResponseHead { status: 503, ..with("retry-after", "99999999999999999999") };
        assert_eq!(again_after_ms(&head), Some(0));
    }
}
