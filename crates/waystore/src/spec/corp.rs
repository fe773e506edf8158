//! The [cross-origin resource policy check][spec] on what a look-up found.
//!
//! A stored opaque response may say who may embed it, and so may the reader's embedder policy. Knows
//! origins and one header; no request, no store.
//!
//! [spec]: https://fetch.spec.whatwg.org/#cross-origin-resource-policy-check

use url::{Host, Origin, Url};

use crate::{EmbedderPolicy, Error, ResponseHead, ResponseType, Result};

/// Who reads: the origin and the embedder policy of the context that looks something up.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub(crate) origin: Origin,
    pub(crate) embedder_policy: EmbedderPolicy,
}

/// What a response's `Cross-Origin-Resource-Policy` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    SameOrigin,
    SameSite,
    CrossOrigin,
}

/// Checks that `reader` may be given `response`. Only opaque responses are ever refused.
///
/// Spec: <https://w3c.github.io/ServiceWorker/#cache-matchall>, step 5.
///
/// # Errors
///
/// [`Error::Type`]: the response's policy, or the reader's, forbids it.
pub(crate) fn check_readable(response: &ResponseHead, reader: &Reader) -> Result<()> {
    if may_embed(response, reader) {
        return Ok(());
    }
    let url = response.url_list.last().map_or("a response", Url::as_str);
    let origin = reader.origin.ascii_serialization();
    let policy = reader.embedder_policy;
    Err(Error::type_error(format!(
        "`{url}` may not be read by `{origin}`: its Cross-Origin-Resource-Policy or the embedder policy `{policy}` forbids it"
    )))
}

/// Whether `reader` may be given `response`. Only opaque responses are ever refused.
///
/// Spec: <https://fetch.spec.whatwg.org/#cross-origin-resource-policy-internal-check>
pub(crate) fn may_embed(response: &ResponseHead, reader: &Reader) -> bool {
    if response.kind != ResponseType::Opaque {
        return true;
    }
    let Some(url) = response.url_list.last() else { return true };
    let policy = policy_of(response).unwrap_or(match reader.embedder_policy {
        EmbedderPolicy::RequireCorp => Policy::SameOrigin,
        EmbedderPolicy::Credentialless if response.request_includes_credentials => Policy::SameOrigin,
        EmbedderPolicy::Credentialless | EmbedderPolicy::UnsafeNone => Policy::CrossOrigin,
    });
    match policy {
        Policy::CrossOrigin => true,
        Policy::SameOrigin => reader.origin == url.origin(),
        Policy::SameSite => {
            let secure_reader = matches!(&reader.origin, Origin::Tuple(scheme, ..) if scheme == "https");
            schemelessly_same_site(&reader.origin, &url.origin()) && (secure_reader || url.scheme() != "https")
        }
    }
}

/// What the header says; `None` where it is missing, or not exactly one of the three words.
fn policy_of(response: &ResponseHead) -> Option<Policy> {
    match response.headers.get("cross-origin-resource-policy")?.as_slice() {
        b"same-origin" => Some(Policy::SameOrigin),
        b"same-site" => Some(Policy::SameSite),
        b"cross-origin" => Some(Policy::CrossOrigin),
        _ => None,
    }
}

/// Whether two origins have the same scheme, and the same host or hosts with the same registrable domain.
///
/// ```
/// use waystore::is_same_site;
///
/// let origin = |url: &str| url::Url::parse(url).map(|url| url.origin());
/// assert!(is_same_site(&origin("https://www.a.example")?, &origin("https://api.a.example:8443")?));
/// assert!(!is_same_site(&origin("https://a.example")?, &origin("http://a.example")?));
/// # Ok::<(), url::ParseError>(())
/// ```
///
/// Spec: <https://html.spec.whatwg.org/#same-site>
pub fn is_same_site(one: &Origin, two: &Origin) -> bool {
    match (one, two) {
        (Origin::Tuple(one_scheme, ..), Origin::Tuple(two_scheme, ..)) => {
            one_scheme == two_scheme && schemelessly_same_site(one, two)
        }
        _ => false,
    }
}

/// Whether two origins have the same host, or hosts with the same registrable domain.
///
/// Spec: <https://html.spec.whatwg.org/#schemelessly-same-site>
fn schemelessly_same_site(one: &Origin, two: &Origin) -> bool {
    let (Origin::Tuple(_, one, _), Origin::Tuple(_, two, _)) = (one, two) else { return false };
    one == two || registrable_domain(one).is_some_and(|domain| Some(domain) == registrable_domain(two))
}

/// Spec: <https://url.spec.whatwg.org/#host-registrable-domain>
fn registrable_domain(host: &Host<String>) -> Option<&str> {
    match host {
        Host::Domain(domain) => psl::domain_str(domain),
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: &str = "https://b.test/r";

    fn reads(reader: &str, embedder_policy: EmbedderPolicy, url: &str, header: &[&str], credentials: bool) -> bool {
        let response = ResponseHead {
            kind: ResponseType::Opaque,
            url_list: vec![Url::parse(url).unwrap()],
            headers: header.iter().map(|value| ("Cross-Origin-Resource-Policy", *value)).collect(),
            request_includes_credentials: credentials,
            ..ResponseHead::with_status(200)
        };
        let origin = Url::parse(reader).unwrap().origin();
        check_readable(&response, &Reader { origin, embedder_policy }).is_ok()
    }

    #[test]
    fn a_response_without_a_policy_is_read_unless_the_reader_requires_one() {
        use EmbedderPolicy::{Credentialless, RequireCorp, UnsafeNone};
        for (policy, credentials, expected) in [
            (UnsafeNone, true, true),
            (RequireCorp, false, false),
            (Credentialless, false, true),
            (Credentialless, true, false),
        ] {
            assert_eq!(reads("https://a.test", policy, OTHER, &[], credentials), expected, "{policy} {credentials}");
        }
        assert!(reads("https://b.test", RequireCorp, OTHER, &[], true));
    }

    #[test]
    fn same_site_goes_by_registrable_domain_and_never_down_to_http() {
        let reads = |reader, url| reads(reader, EmbedderPolicy::UnsafeNone, url, &["same-site"], false);
        assert!(reads("https://a.shop.co.uk", "https://b.shop.co.uk/r"));
        assert!(!reads("https://a.co.uk", "https://b.co.uk/r"));
        assert!(!reads("http://a.shop.co.uk", "https://b.shop.co.uk/r"));
        assert!(reads("http://a.shop.co.uk", "http://b.shop.co.uk:8080/r"));
        assert!(reads("https://127.0.0.1:1", "https://127.0.0.1:2/r"));
        assert!(!reads("https://127.0.0.1", "https://127.0.0.2/r"));
        assert!(reads("https://localhost:1", "https://localhost:2/r"));
    }

    #[test]
    fn e164_a_value_that_is_not_one_of_the_words_counts_as_absent() {
        for header in [&["same-site", "same-origin"][..], &["Same-Origin"], &[""], &["same-origin, cross-origin"]] {
            assert!(reads("https://a.test", EmbedderPolicy::UnsafeNone, OTHER, header, false), "{header:?}");
            assert!(!reads("https://a.test", EmbedderPolicy::RequireCorp, OTHER, header, false), "{header:?}");
        }
    }
}
