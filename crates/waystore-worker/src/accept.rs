//! Which answers of a worker a request may be given: the rules of Fetch's HTTP fetch.
//!
//! Spec: <https://fetch.spec.whatwg.org/#http-fetch>, steps 5 and 6.

use waystore::{RequestHead, RequestMode, RequestRedirect, ResponseHead, ResponseType};

/// Returns why `answer` may not be given to `request`, if so.
pub(crate) fn refusal(request: &RequestHead, answer: &ResponseHead) -> Option<&'static str> {
    match answer.kind {
        ResponseType::Error => Some("the answer is a network error"),
        ResponseType::Cors if request.mode == RequestMode::SameOrigin => {
            Some("the answer is of type cors, and the request's mode is same-origin")
        }
        ResponseType::Opaque if request.mode != RequestMode::NoCors => {
            Some("the answer is opaque, and the request's mode is not no-cors")
        }
        ResponseType::OpaqueRedirect if request.redirect != RequestRedirect::Manual => {
            Some("the answer is an opaque redirect, and the request's redirect mode is not manual")
        }
        _ if request.redirect == RequestRedirect::Error && matches!(answer.status, 301 | 302 | 303 | 307 | 308) => {
            Some("the answer is a redirect, and the request's redirect mode is error")
        }
        _ if answer.url_list.len() > 1 && request.redirect != RequestRedirect::Follow => Some(
            "the answer was redirected, and the request's redirect mode is not follow; \
             `new Response(response.body, response)` makes one that was not",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn refused(mode: RequestMode, redirect: RequestRedirect, kind: ResponseType, urls: usize) -> bool {
        let url = Url::parse("https://a.test/").unwrap();
        let request = RequestHead { mode, redirect, ..RequestHead::get(url.clone()) };
        let answer = ResponseHead { kind, url_list: vec![url; urls], ..ResponseHead::with_status(200) };
        refusal(&request, &answer).is_some()
    }

    #[test]
    fn w43_w77_a_navigation_takes_no_redirected_answer() {
        use {RequestMode::*, RequestRedirect::*};
        assert!(refused(Navigate, Manual, ResponseType::Basic, 2));
        assert!(refused(Cors, Error, ResponseType::Basic, 2));
        assert!(!refused(Cors, Follow, ResponseType::Basic, 2));
        assert!(!refused(Navigate, Manual, ResponseType::Default, 0));
    }

    #[test]
    fn w46_a_request_that_must_not_be_redirected_takes_no_redirect() {
        let url = Url::parse("https://a.test/").unwrap();
        let refused = |redirect: RequestRedirect, status: u16| {
            let request = RequestHead { redirect, ..RequestHead::get(url.clone()) };
            refusal(&request, &ResponseHead::with_status(status)).is_some()
        };
        assert!(refused(RequestRedirect::Error, 302));
        assert!(!refused(RequestRedirect::Error, 304));
        assert!(!refused(RequestRedirect::Follow, 302));
        assert!(!refused(RequestRedirect::Manual, 308));
    }

    #[test]
    fn w44_only_no_cors_requests_take_opaque_answers() {
        use {RequestMode::*, RequestRedirect::*};
        assert!(!refused(NoCors, Follow, ResponseType::Opaque, 1));
        for mode in [Cors, SameOrigin, Navigate] {
            assert!(refused(mode, Follow, ResponseType::Opaque, 1));
        }
        assert!(refused(SameOrigin, Follow, ResponseType::Cors, 1));
        assert!(!refused(Cors, Follow, ResponseType::Cors, 1));
    }

    #[test]
    fn only_manual_requests_take_opaque_redirects_and_none_takes_an_error() {
        use {RequestMode::*, RequestRedirect::*};
        assert!(!refused(Navigate, Manual, ResponseType::OpaqueRedirect, 1));
        assert!(refused(Cors, Follow, ResponseType::OpaqueRedirect, 1));
        assert!(refused(NoCors, Follow, ResponseType::Error, 0));
    }
}
