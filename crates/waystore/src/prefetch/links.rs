//! Which URLs follow from a document: a function of its bytes, its type, the rules and its own URL.
//!
//! However a document is made, what is done with it is bounded: its length by who gives it, its depth, the
//! work of a rule, and the number of URLs. Knows no fetching.

mod html;
mod json;
mod srcset;

use std::collections::HashSet;

use url::Url;

use super::{Follow, Select, json_path::Work};

/// Steps that the rules may make in one document together. A document of the default size has at most an
/// eighth of it in values.
const STEPS: u64 = 4_000_000;

/// Bytes of a URL that is followed.
const LONGEST_URL: usize = 8 << 10;

/// What kind of document it is: which rules apply to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Json,
    Html,
}

/// URLs that were found, and why the search ended before the document did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) links: Vec<Link>,
    pub(crate) stopped: Option<String>,
}

/// A URL that a document names: absolute, HTTP(S), without fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) url: Url,
    pub(crate) required: bool,
}

impl Kind {
    /// The kind of what has this `Content-Type`, if it is one that can be searched.
    pub(crate) fn of(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" | "text/json" => Some(Self::Json),
            "text/html" | "application/xhtml+xml" => Some(Self::Html),
            other => other.ends_with("+json").then_some(Self::Json),
        }
    }

    /// Whether one of `rules` applies.
    pub(crate) fn has_rule(self, rules: &[Follow]) -> bool {
        rules.iter().any(|rule| matches!(rule.select, Select::Html(_)) == (self == Self::Html))
    }
}

/// Finds what `rules` pick out of `document`, which came from `base`: at most `most` URLs, each once, those of
/// the first rule first.
pub(crate) fn links_of(kind: Kind, document: &[u8], base: &Url, rules: &[Follow], most: usize) -> Found {
    let mut collector = Collector { base: base.clone(), most, seen: HashSet::new(), found: Found::default() };
    let stopped = match kind {
        Kind::Json => json::search(document, rules, &mut Work::new(STEPS), &mut collector),
        Kind::Html => html::search(document, rules, &mut collector),
    };
    if let Err(Stop(reason)) = stopped {
        collector.found.stopped = Some(reason);
    }
    collector.found
}

/// Why a search ends.
#[derive(Debug)]
struct Stop(String);

/// Takes what rules find.
struct Collector {
    base: Url,
    most: usize,
    seen: HashSet<Url>,
    found: Found,
}

impl Collector {
    /// Takes `text` as a URL. What is none, or cannot be stored, is passed over: a document may say anything.
    fn take(&mut self, text: &str, required: bool) -> Result<(), Stop> {
        let Some(url) = self.resolve(text.trim_matches(|character: char| character <= ' ')) else { return Ok(()) };
        if self.seen.contains(&url) {
            return Ok(());
        }
        if self.found.links.len() == self.most {
            return Err(Stop(format!("it names more than {} URLs", self.most)));
        }
        self.seen.insert(url.clone());
        self.found.links.push(Link { url, required });
        Ok(())
    }

    fn resolve(&self, text: &str) -> Option<Url> {
        if text.is_empty() || text.len() > LONGEST_URL {
            return None;
        }
        storable(self.base.join(text).ok()?)
    }
}

/// The URL without its fragment, if a response can be stored under it.
pub(crate) fn storable(mut url: Url) -> Option<Url> {
    let http = matches!(url.scheme(), "http" | "https");
    url.set_fragment(None);
    (http && url.username().is_empty() && url.password().is_none() && url.as_str().len() <= LONGEST_URL).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(kind: Kind, document: &str, rules: &[&str]) -> Found {
        let rules: Vec<Follow> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        let base = Url::parse("https://shop.example/api/top.json").unwrap();
        links_of(kind, document.as_bytes(), &base, &rules, 10)
    }

    fn urls(found: &Found) -> Vec<&str> {
        found.links.iter().map(|link| link.url.as_str()).collect()
    }

    #[test]
    fn the_guides_picture_is_found_by_a_pointer_and_by_a_path() {
        let banana = r#"{
            "productName": "banana",
            "productPic": "https://cdn.example.com/product_images/banana.jpeg",
            "unitPrice": "1.99"
        }"#;
        for rule in ["/productPic", "$.productPic", "$..[?search(@, '^https:')]"] {
            let found = search(Kind::Json, banana, &[rule]);
            assert_eq!(urls(&found), ["https://cdn.example.com/product_images/banana.jpeg"], "{rule}");
        }
    }

    #[test]
    fn relative_urls_are_resolved_against_the_document_and_each_is_taken_once() {
        let document = r#"{"a": ["../x", "/x#top", " y?z ", "https://shop.example/x"], "b": "/x"}"#;
        let found = search(Kind::Json, document, &["/a", "/b"]);
        assert_eq!(urls(&found), ["https://shop.example/x", "https://shop.example/api/y?z"]);
    }

    #[test]
    fn what_is_no_url_that_can_be_stored_is_passed_over() {
        let document =
            r#"["", 7, null, {"a": "/no"}, ["/no"], "data:,x", "ftp://a.test/", "https://", "https://u:p@a.test/"]"#;
        assert_eq!(search(Kind::Json, document, &[""]), Found::default());
        let long = format!(r#"["{}"]"#, "x".repeat(9000));
        assert_eq!(search(Kind::Json, &long, &[""]), Found::default());
    }

    #[test]
    fn what_a_rule_finds_is_required_where_the_rule_says_so() {
        let rules = [Follow::json_pointer("/a").unwrap().required(), Follow::json_pointer("/b").unwrap()];
        let base = Url::parse("https://shop.example").unwrap();
        let found = links_of(Kind::Json, br#"{"a": "/1", "b": "/2"}"#, &base, &rules, 10);
        assert_eq!(found.links.iter().map(|link| link.required).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn as_many_urls_are_taken_as_allowed_and_the_rest_is_told() {
        let document = format!("[{}]", (0..1000).map(|number| format!("\"/{number}\"")).collect::<Vec<_>>().join(","));
        let found = search(Kind::Json, &document, &["$[*]"]);
        assert_eq!(found.links.len(), 10);
        assert!(found.stopped.unwrap().contains("more than 10 URLs"));
    }

    #[test]
    fn json_that_is_deep_or_broken_or_not_text_is_told_and_not_followed() {
        for document in
            ["[".repeat(100_000), "[".repeat(100_000) + &"]".repeat(100_000), "{\"a\": ".into(), "\u{1}".into()]
        {
            let found = search(Kind::Json, &document, &["$..*"]);
            assert!(found.links.is_empty());
            assert!(found.stopped.unwrap().contains("JSON"));
        }
        let base = Url::parse("https://a.test").unwrap();
        let rules = [Follow::json_pointer("").unwrap()];
        assert!(links_of(Kind::Json, b"\"\xFF\"", &base, &rules, 10).stopped.is_some());
    }

    #[test]
    fn a_path_that_is_too_much_work_leaves_what_was_found_before() {
        let deep = format!("{}\"/x\"{}", "[".repeat(100), "]".repeat(100));
        let document = format!(r#"{{"first": "/1", "deep": {deep}}}"#);
        let found = search(Kind::Json, &document, &["/first", "$..*..*..*..*..*..*..*..*", "/first"]);
        assert_eq!(urls(&found), ["https://shop.example/1"]);
        assert!(found.stopped.unwrap().contains("$..*..*"));
    }

    #[test]
    fn the_type_says_which_rules_apply() {
        assert_eq!(Kind::of("Application/JSON; charset=utf-8"), Some(Kind::Json));
        assert_eq!(Kind::of("application/ld+json"), Some(Kind::Json));
        assert_eq!(Kind::of("text/html;charset=x"), Some(Kind::Html));
        assert_eq!(Kind::of("image/jpeg"), None);
        let rules = ["/a".parse().unwrap()];
        assert!(Kind::Json.has_rule(&rules) && !Kind::Html.has_rule(&rules));
        assert!(search(Kind::Json, r#"["<img src=/a>"]"#, &["html"]).links.is_empty());
    }
}
