//! URL patterns, made ready to be compared with many URLs.
//!
//! Parsing is the library's; of what it makes only the matchers are kept, and those that match
//! everything are left out. Spec: <https://urlpattern.spec.whatwg.org/#match>

use url::Url;
use urlpattern::{
    UrlPattern, UrlPatternInit,
    matcher::{InnerMatcher, Matcher},
    regexp::RegExp,
};

use super::rule::{Parts, Pattern};

type Regex = <UrlPattern as Engine>::Regex;

/// The regular expressions that the library compiles to where a pattern is no plain wildcard.
trait Engine {
    type Regex: RegExp;
}

impl<R: RegExp> Engine for UrlPattern<R> {
    type Regex = R;
}

/// A pattern's components; `None` where anything will do.
#[derive(Debug)]
pub(super) struct UrlTest {
    protocol: Option<Matcher<Regex>>,
    username: Option<Matcher<Regex>>,
    password: Option<Matcher<Regex>>,
    hostname: Option<Matcher<Regex>>,
    port: Option<Matcher<Regex>>,
    pathname: Option<Matcher<Regex>>,
    search: Option<Matcher<Regex>>,
    hash: Option<Matcher<Regex>>,
}

impl UrlTest {
    /// Parses `pattern`, relative to `script`.
    pub(super) fn of(pattern: &Pattern, script: &Url) -> Result<Self, String> {
        let refused = |error: urlpattern::Error| format!("a URL pattern of a route cannot be used: {error}");
        let init = match pattern {
            Pattern::Text(text) => {
                UrlPatternInit::parse_constructor_string::<Regex>(text, Some(script.clone())).map_err(refused)?
            }
            Pattern::Parts(parts) => {
                let base = parts.base_url.as_deref().map_or_else(|| Ok(script.clone()), Url::parse);
                let base = base.map_err(|error| format!("the base of a URL pattern is not a URL: {error}"))?;
                init(parts, Some(base))
            }
            Pattern::Whole(parts) => init(parts, None),
        };
        let parsed = UrlPattern::parse(init, Default::default()).map_err(refused)?;
        if parsed.has_regexp_groups() {
            return Err("a URL pattern of a route has no regular expressions in it".to_owned());
        }
        Ok(Self {
            protocol: picky(parsed.protocol.matcher),
            username: picky(parsed.username.matcher),
            password: picky(parsed.password.matcher),
            hostname: picky(parsed.hostname.matcher),
            port: picky(parsed.port.matcher),
            pathname: picky(parsed.pathname.matcher),
            search: picky(parsed.search.matcher),
            hash: picky(parsed.hash.matcher),
        })
    }

    /// Whether `url` matches. What differs most is compared first.
    pub(super) fn is_met(&self, url: &Url) -> bool {
        let fits = |matcher: &Option<Matcher<Regex>>, part: &str| {
            matcher.as_ref().is_none_or(|matcher| matcher.matches(part).is_some())
        };
        fits(&self.pathname, url.path())
            && fits(&self.search, url.query().unwrap_or_default())
            && fits(&self.hostname, url.host_str().unwrap_or_default())
            && fits(&self.port, url::quirks::port(url))
            && fits(&self.protocol, url.scheme())
            && fits(&self.hash, url.fragment().unwrap_or_default())
            && fits(&self.username, url.username())
            && fits(&self.password, url.password().unwrap_or_default())
    }
}

/// The matcher, unless it matches everything.
fn picky(matcher: Matcher<Regex>) -> Option<Matcher<Regex>> {
    let anything = matcher.prefix.is_empty()
        && matcher.suffix.is_empty()
        && matches!(matcher.inner, InnerMatcher::SingleCapture { filter: None, allow_empty: true });
    (!anything).then_some(matcher)
}

fn init(parts: &Parts, base_url: Option<Url>) -> UrlPatternInit {
    let Parts { protocol, username, password, hostname, port, pathname, search, hash, base_url: _ } = parts.clone();
    UrlPatternInit { protocol, username, password, hostname, port, pathname, search, hash, base_url }
}
