//! What `Referer` says: as much of where a request comes from as its policy lets out. Pure.
//!
//! Spec: <https://w3c.github.io/webappsec-referrer-policy/#determine-requests-referrer>

use url::{Host, Origin, Url};
use waystore::{HeaderList, Referrer, ReferrerPolicy, RequestHead};

/// A longer one is cut down to its origin.
const MOST_BYTES: usize = 4096;

/// The value of `Referer` for `request`, if there is one.
pub(super) fn of(request: &RequestHead) -> Option<String> {
    let Referrer::Url(url) = &request.referrer else { return None };
    let mut full = (**url).clone();
    if !matches!(full.scheme(), "http" | "https") {
        return None;
    }
    // A URL with a host can have no credentials: neither fails.
    let _ = (full.set_username(""), full.set_password(None));
    full.set_fragment(None);
    let origin = || Some(full.origin().ascii_serialization() + "/");
    let whole = || if full.as_str().len() > MOST_BYTES { origin() } else { Some(full.to_string()) };
    let same = full.origin() == request.url.origin();
    let downgrade = is_trustworthy(&full) && !is_trustworthy(&request.url);
    match request.referrer_policy {
        ReferrerPolicy::NoReferrer => None,
        ReferrerPolicy::Origin => origin(),
        ReferrerPolicy::UnsafeUrl => whole(),
        ReferrerPolicy::StrictOrigin => origin().filter(|_| !downgrade),
        ReferrerPolicy::SameOrigin => whole().filter(|_| same),
        ReferrerPolicy::OriginWhenCrossOrigin if same => whole(),
        ReferrerPolicy::OriginWhenCrossOrigin => origin(),
        ReferrerPolicy::NoReferrerWhenDowngrade => whole().filter(|_| !downgrade),
        ReferrerPolicy::StrictOriginWhenCrossOrigin | ReferrerPolicy::Empty if same => whole(),
        ReferrerPolicy::StrictOriginWhenCrossOrigin | ReferrerPolicy::Empty => origin().filter(|_| !downgrade),
    }
}

/// The policy that a response sets for the next hop: the last of `Referrer-Policy` that is known.
pub(super) fn set_by(response: &HeaderList) -> Option<ReferrerPolicy> {
    let text = response.get_text("referrer-policy")?;
    let words = text.split(',').rev().map(|word| word.trim().to_ascii_lowercase());
    words.filter(|word| !word.is_empty()).find_map(|word| ReferrerPolicy::from_word(&word))
}

/// Whether the way to `url` cannot be listened to.
///
/// Spec: <https://w3c.github.io/webappsec-secure-contexts/#is-url-trustworthy>
pub(super) fn is_trustworthy(url: &Url) -> bool {
    let local = match url.origin() {
        Origin::Tuple(_, Host::Domain(name), _) => name == "localhost" || name.ends_with(".localhost"),
        Origin::Tuple(_, Host::Ipv4(address), _) => address.is_loopback(),
        Origin::Tuple(_, Host::Ipv6(address), _) => address.is_loopback(),
        Origin::Opaque(_) => false,
    };
    local || url.scheme() == "https"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(policy: &str, to: &str) -> Option<String> {
        let mut request = RequestHead::get(Url::parse(to).unwrap());
        request.referrer = Referrer::Url(Box::new(Url::parse("https://me:secret@a.test/p?q#f").unwrap()));
        request.referrer_policy = ReferrerPolicy::from_word(policy).unwrap();
        of(&request)
    }

    #[test]
    fn each_policy_lets_out_what_it_says() {
        let (whole, origin) = (Some("https://a.test/p?q"), Some("https://a.test/"));
        for (policy, own, other, unsafe_place) in [
            ("", whole, origin, None),
            ("strict-origin-when-cross-origin", whole, origin, None),
            ("no-referrer", None, None, None),
            ("no-referrer-when-downgrade", whole, whole, None),
            ("same-origin", whole, None, None),
            ("origin", origin, origin, origin),
            ("strict-origin", origin, origin, None),
            ("origin-when-cross-origin", whole, origin, origin),
            ("unsafe-url", whole, whole, whole),
        ] {
            let sent = |to| sent(policy, to);
            assert_eq!(sent("https://a.test/x").as_deref(), own, "{policy}");
            assert_eq!(sent("https://b.test/x").as_deref(), other, "{policy}");
            assert_eq!(sent("http://b.test/x").as_deref(), unsafe_place, "{policy}");
        }
    }

    #[test]
    fn what_is_too_long_is_cut_down_to_its_origin() {
        let mut request = RequestHead::get(Url::parse("https://a.test/x").unwrap());
        let long = format!("https://a.test/{}", "x".repeat(MOST_BYTES));
        request.referrer = Referrer::Url(Box::new(Url::parse(&long).unwrap()));
        assert_eq!(of(&request).as_deref(), Some("https://a.test/"));
        request.referrer = Referrer::NoReferrer;
        assert_eq!(of(&request), None);
    }

    #[test]
    fn the_last_policy_that_is_known_counts() {
        let set = |text: &str| set_by(&[("referrer-policy", text)].into_iter().collect());
        assert_eq!(set("no-referrer, Origin, new-policy"), Some(ReferrerPolicy::Origin));
        assert_eq!((set("x"), set("")), (None, None));
    }
}
