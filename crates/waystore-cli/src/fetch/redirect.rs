//! What a redirect does to a request. Pure.
//!
//! Spec: <https://fetch.spec.whatwg.org/#http-redirect-fetch>

use http::Method;
use url::Url;
use waystore::{RequestHead, RequestMode, RequestRedirect, ResponseType};

use super::follow::Taken;
use crate::serve::public::Public;

/// Redirects that are followed for one request.
const MOST: usize = 20;

/// What to do with a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Hand it out.
    Done,
    /// Hand it out as a redirect that was not followed.
    Opaque,
    /// Ask again, as [`follow`] changes the request.
    Follow(Box<Url>),
    /// There is no response, for this reason.
    Error(String),
}

/// Decides on a response with `status` and `location` to `request`, on the way `taken`.
pub(super) fn step(request: &RequestHead, status: u16, location: Option<&str>, public: &Public, taken: &Taken) -> Step {
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return Step::Done;
    }
    match request.redirect {
        RequestRedirect::Error => {
            return Step::Error(format!("`{}` redirects, which this request forbids", request.url));
        }
        RequestRedirect::Manual => return Step::Opaque,
        RequestRedirect::Follow => {}
    }
    let Some(location) = location else { return Step::Done };
    let Ok(mut url) = request.url.join(location) else {
        return Step::Error(format!("`{}` redirects to `{location}`, which is not a URL", request.url));
    };
    if url.fragment().is_none() {
        url.set_fragment(request.url.fragment());
    }
    if request.mode == RequestMode::SameOrigin && !public.owns(&url) {
        return Step::Error(format!("`{}` redirects to another origin, which this request forbids", request.url));
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Step::Error(format!("`{}` redirects to `{url}`, which is not HTTP", request.url));
    }
    if taken.redirects >= MOST {
        return Step::Error(format!("more than {MOST} redirects"));
    }
    let names_user = !url.username().is_empty() || url.password().is_some();
    let to_other = request.mode == RequestMode::Cors && !public.owns(&url);
    if names_user && (to_other || taken.tainting == ResponseType::Cors) {
        return Step::Error(format!("`{}` redirects to a URL with credentials", request.url));
    }
    Step::Follow(Box::new(url))
}

/// Makes `request` the one to ask at `url` after a redirect with `status`; tells whether its body goes along.
pub(super) fn follow(request: &mut RequestHead, url: Url, status: u16) -> bool {
    let posts = request.method == Method::POST && matches!(status, 301 | 302);
    let turns = posts || status == 303 && request.method != Method::GET && request.method != Method::HEAD;
    if turns {
        request.method = Method::GET;
        for name in ["content-encoding", "content-language", "content-location", "content-type", "content-length"] {
            request.headers.remove(name);
        }
    }
    if url.origin() != request.url.origin() {
        request.headers.remove("authorization");
        request.headers.remove("cookie");
    }
    request.url = url;
    !turns
}

#[cfg(test)]
mod tests {
    use ResponseType::{Basic, Cors, Opaque};

    use super::*;

    fn request(method: &str, url: &str) -> RequestHead {
        let mut head = RequestHead::get(Url::parse(url).unwrap());
        head.method = method.parse().unwrap();
        head
    }

    /// What `request` does, of a page at `https://a.test`.
    fn step_after(request: &RequestHead, status: u16, location: Option<&str>, taken: &Taken) -> Step {
        let public = Public::new(Url::parse("https://a.test").unwrap(), &[]).unwrap();
        step(request, status, location, &public, taken)
    }

    fn first(tainting: ResponseType) -> Taken {
        Taken { redirects: 0, tainting }
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn f73_the_method_and_the_body_go_along_by_the_status() {
        let after = |method: &str, status| {
            let mut head = request(method, "https://a.test/x");
            head.headers.append("content-type", "text/plain");
            let body = follow(&mut head, url("https://a.test/y"), status);
            (head.method.to_string(), body, head.headers.contains("content-type"))
        };
        assert_eq!(after("POST", 302), ("GET".into(), false, false));
        assert_eq!(after("POST", 307), ("POST".into(), true, true));
        assert_eq!(after("PUT", 302), ("PUT".into(), true, true));
        assert_eq!(after("PUT", 303), ("GET".into(), false, false));
        assert_eq!(after("HEAD", 303), ("HEAD".into(), true, true));
    }

    #[test]
    fn f74_a_fragment_is_inherited() {
        let to = |location| step_after(&request("GET", "https://a.test/x#f"), 302, Some(location), &first(Basic));
        assert_eq!(to("/y"), Step::Follow(Box::new(url("https://a.test/y#f"))));
        assert_eq!(to("/y#g"), Step::Follow(Box::new(url("https://a.test/y#g"))));
    }

    #[test]
    fn f75_twenty_redirects_are_followed_and_no_more() {
        let after = |redirects| {
            step_after(&request("GET", "https://a.test/"), 302, Some("/"), &Taken { redirects, tainting: Basic })
        };
        assert!(matches!(after(19), Step::Follow(_)) && matches!(after(20), Step::Error(_)));
    }

    #[test]
    fn f76_elsewhere_than_http_is_an_error_and_nowhere_is_the_answer() {
        let to = |location| step_after(&request("GET", "https://a.test/"), 302, location, &first(Basic));
        assert!(matches!(to(Some("ftp://x")), Step::Error(_)) && matches!(to(Some("http://")), Step::Error(_)));
        assert_eq!(to(None), Step::Done);
    }

    #[test]
    fn credentials_in_a_location_are_refused_wherever_cors_is_asked_for() {
        let to = |mode, tainting, location| {
            let head = RequestHead { mode, ..request("GET", "https://a.test/") };
            step_after(&head, 302, Some(location), &first(tainting))
        };
        assert!(matches!(to(RequestMode::Cors, Basic, "https://u:p@b.test/"), Step::Error(_)));
        assert!(matches!(to(RequestMode::Cors, Cors, "https://u@a.test/"), Step::Error(_)), "by another origin");
        assert!(matches!(to(RequestMode::Cors, Basic, "https://u@a.test/"), Step::Follow(_)));
        assert!(matches!(to(RequestMode::NoCors, Opaque, "https://u@b.test/"), Step::Follow(_)));
    }

    #[test]
    fn a_same_origin_request_is_not_redirected_elsewhere() {
        let head = RequestHead { mode: RequestMode::SameOrigin, ..request("GET", "https://a.test/") };
        assert!(matches!(step_after(&head, 302, Some("https://b.test/"), &first(Basic)), Step::Error(_)));
        assert!(matches!(step_after(&head, 302, Some("/y"), &first(Basic)), Step::Follow(_)));
    }

    #[test]
    fn f77_what_identifies_somebody_stays_at_its_origin() {
        let mut head = request("GET", "https://a.test/x");
        head.headers.append("authorization", "Basic x");
        head.headers.append("accept", "*/*");
        follow(&mut head, url("https://a.test/y"), 302);
        assert!(head.headers.contains("authorization"));
        follow(&mut head, url("https://b.test/"), 302);
        assert!(!head.headers.contains("authorization") && head.headers.contains("accept"));
    }

    #[test]
    fn f60_manual_hands_the_redirect_out_and_error_does_not() {
        let mut head = request("GET", "https://a.test/r");
        head.redirect = RequestRedirect::Manual;
        assert_eq!(step_after(&head, 302, Some("/y"), &first(Basic)), Step::Opaque);
        head.redirect = RequestRedirect::Error;
        assert!(matches!(step_after(&head, 302, Some("/y"), &first(Basic)), Step::Error(_)));
        assert_eq!(step_after(&head, 304, None, &first(Basic)), Step::Done);
    }
}
