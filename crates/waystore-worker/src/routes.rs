//! Static routes: what a worker said, while it was installed, about requests that need no script.
//!
//! Verifies rules, finds the one that a request meets, and says where that leads. Knows requests;
//! knows no engine, no store and no network.
//! Spec: <https://w3c.github.io/ServiceWorker/#dom-installevent-addroutes>

mod condition;
mod pattern;
mod rule;

use std::sync::Arc;

use url::Url;
use waystore::RequestHead;

use self::condition::Test;
pub(crate) use self::{
    condition::{MOST_CONDITIONS, MOST_LEVELS, mode, running},
    rule::{Condition, Parts, Pattern, Rule, Source},
};

/// The most that a worker's rules may take, as JSON. Ours: the standard counts conditions only.
const MOST_BYTES: usize = 256 * 1024;

/// The rules of one worker, in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    rules: Vec<Rule>,
    tests: Vec<Arc<Test>>,
    conditions: usize,
    bytes: usize,
}

/// Rules are equal that say the same.
impl PartialEq for Routes {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

impl Eq for Routes {}

/// What rules are verified against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ground<'a> {
    /// The worker's script, which patterns are relative to.
    pub(crate) script: &'a Url,
    /// Whether the worker listens to `fetch`.
    pub(crate) listens: bool,
}

impl Routes {
    /// The rules as they are written down.
    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// These rules and `added` after them; or the rule that is broken, in words.
    pub(crate) fn with(&self, added: Vec<Rule>, ground: Ground<'_>) -> Result<Self, String> {
        let mut all = Self {
            rules: self.rules.clone(),
            tests: self.tests.clone(),
            conditions: self.conditions,
            bytes: self.bytes,
        };
        for rule in added {
            all.add(rule, ground)?;
        }
        Ok(all)
    }

    fn add(&mut self, rule: Rule, ground: Ground<'_>) -> Result<(), String> {
        if rule.source.needs_script() && !ground.listens {
            return Err(format!("a route leads to `{}`, and the worker has no fetch listener", rule.source));
        }
        self.conditions += condition::count(&rule.condition)?;
        if self.conditions >= MOST_CONDITIONS {
            return Err(format!("the routes of a worker have fewer than {MOST_CONDITIONS} conditions in all"));
        }
        self.bytes += serde_json::to_vec(&rule).map_err(|error| error.to_string())?.len();
        if self.bytes > MOST_BYTES {
            return Err(format!("the routes of a worker are longer than {MOST_BYTES} bytes in all"));
        }
        self.tests.push(Arc::new(Test::of(&rule.condition, ground.script)?));
        self.rules.push(rule);
        Ok(())
    }

    /// Where the first rule leads that `request` meets; `is_running` tells whether the worker runs now.
    pub(crate) fn route(&self, request: &RequestHead, is_running: &dyn Fn() -> bool) -> Option<&Source> {
        let met = self.tests.iter().position(|test| test.is_met(request, is_running))?;
        self.rules.get(met).map(|rule| &rule.source)
    }
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "a condition is written where it is used")]
mod tests {
    use http::Method;
    use serde_json::{Value, json};
    use waystore::{Destination, RequestMode};

    use super::*;

    fn script() -> Url {
        Url::parse("https://a.test/app/sw.js").unwrap()
    }

    fn routes(rules: Value) -> Result<Routes, String> {
        let rules = serde_json::from_value(rules).unwrap();
        Routes::default().with(rules, Ground { script: &script(), listens: true })
    }

    /// Whether a condition is met by a `GET` of `url` that `change` changed.
    fn meets_as(condition: Value, url: &str, change: impl Fn(&mut RequestHead)) -> bool {
        let routes = routes(json!([{ "condition": condition, "source": "network" }])).unwrap();
        let mut head = RequestHead::get(script().join(url).unwrap());
        change(&mut head);
        routes.route(&head, &|| true) == Some(&Source::Network)
    }

    fn meets(condition: Value, url: &str) -> bool {
        meets_as(condition, url, |_| {})
    }

    fn accepts(condition: Value) -> bool {
        routes(json!([{ "condition": condition, "source": "network" }])).is_ok()
    }

    fn text(pattern: &str) -> Value {
        json!({ "urlPattern": { "text": pattern } })
    }

    #[test]
    fn w57_a_condition_says_something_and_or_and_not_stand_alone() {
        assert!(!accepts(json!({})));
        assert!(!accepts(json!({ "or": [], "requestMethod": "get" })));
        assert!(!accepts(json!({ "not": { "requestMethod": "get" }, "or": [] })));
        assert!(!accepts(json!({ "or": [{}] })));
        assert!(!accepts(json!({ "not": {} })));
        assert!(accepts(json!({ "or": [] })));
        assert!(!meets(json!({ "or": [] }), "/"));
        assert!(meets(json!({ "not": { "or": [] } }), "/"));
    }

    #[test]
    fn w58_a_pattern_is_relative_to_the_script_and_any_query_will_do() {
        assert!(meets(text("/form/*"), "https://a.test/form/x"));
        assert!(meets(text("/form/*"), "https://a.test/form/x?y#z"));
        assert!(!meets(text("/form/*"), "https://b.test/form/x"));
        assert!(!meets(text("/form/*"), "https://a.test/app/form/x"));
        assert!(meets(text("img/*"), "https://a.test/app/img/x"));
        assert!(meets(text("https://*.b.test/*"), "https://c.b.test/x"));
        let parts = json!({ "urlPattern": { "parts": { "pathname": "/*.png" } } });
        assert!(meets(parts.clone(), "https://a.test/x.png"));
        assert!(!meets(parts, "https://b.test/x.png"));
        let based = json!({ "urlPattern": { "parts": { "pathname": "x", "baseURL": "https://b.test/y/" } } });
        assert!(meets(based, "https://b.test/y/x"));
        let whole = json!({ "urlPattern": { "whole": { "pathname": "/x/*" } } });
        assert!(meets(whole, "https://b.test/x/y"));
    }

    #[test]
    fn w59_a_pattern_has_no_regular_expressions() {
        assert!(!accepts(text("/(a|b)/*")));
        assert!(!accepts(json!({ "urlPattern": { "parts": { "hostname": "(a)" } } })));
        assert!(!accepts(text("https://[/")));
        assert!(accepts(text("/:id/*")));
        assert!(meets(text("/:id/*"), "/a/b"));
        assert!(!meets(text("/:id"), "/a/b"));
        assert!(meets(text("/a{/b}?/c"), "/a/c"));
        assert!(!meets(text("/a{/b}?/c"), "/a/d/c"));
        assert!(accepts(json!({ "urlPattern": { "parts": { "pathname": "/*.png" } } })));
    }

    #[test]
    fn w60_methods_are_normalized_and_some_are_forbidden() {
        let post = |head: &mut RequestHead| head.method = Method::POST;
        assert!(meets_as(json!({ "requestMethod": "post" }), "/", post));
        assert!(!meets(json!({ "requestMethod": "post" }), "/"));
        let patch = |head: &mut RequestHead| head.method = Method::PATCH;
        assert!(!meets_as(json!({ "requestMethod": "patch" }), "/", patch));
        for refused in ["TRACE", "track", "Connect", "", "a b", "\u{e9}"] {
            assert!(!accepts(json!({ "requestMethod": refused })), "{refused}");
        }
    }

    #[test]
    fn w65_there_are_1023_conditions_and_ten_levels_at_most() {
        let many = |count: usize| {
            let rule = json!({ "condition": { "requestMethod": "get" }, "source": "network" });
            Value::Array(vec![rule; count])
        };
        assert!(routes(many(1023)).is_ok());
        assert!(routes(many(1024)).is_err());
        let leaf = json!({ "requestMethod": "get" });
        let list = |count: usize| json!({ "or": vec![leaf.clone(); count] });
        assert!(accepts(list(1022)));
        assert!(!accepts(list(1023)));
        let nested = |count: usize| (0..count).fold(leaf.clone(), |inner, _| json!({ "not": inner }));
        assert!(accepts(nested(9)));
        assert!(!accepts(nested(10)));
    }

    #[test]
    fn what_was_added_before_counts_and_stays_where_more_is_refused() {
        let rule = json!({ "condition": { "requestMethod": "get" }, "source": "network" });
        let first = routes(Value::Array(vec![rule.clone(); 1023])).unwrap();
        let more = serde_json::from_value(json!([rule])).unwrap();
        assert!(first.with(more, Ground { script: &script(), listens: true }).is_err());
        assert_eq!(first.rules().len(), 1023);
    }

    #[test]
    fn rules_that_are_too_long_are_refused() {
        assert!(accepts(text(&"x".repeat(MOST_BYTES / 2))));
        assert!(!accepts(text(&"x".repeat(MOST_BYTES))));
    }

    #[test]
    fn mode_and_destination_are_compared_exactly_and_everything_has_to_hold() {
        let navigate = |head: &mut RequestHead| head.mode = RequestMode::Navigate;
        assert!(meets_as(json!({ "requestMode": "navigate" }), "/", navigate));
        assert!(!meets(json!({ "requestMode": "navigate" }), "/"));
        assert!(meets(json!({ "requestDestination": "" }), "/"));
        let image = |head: &mut RequestHead| head.destination = Destination::Image;
        assert!(!meets_as(json!({ "requestDestination": "" }), "/", image));
        let both = json!({ "requestDestination": "image", "urlPattern": { "text": "/x" } });
        assert!(meets_as(both.clone(), "/x", image));
        assert!(!meets_as(both.clone(), "/y", image));
        assert!(!meets(both, "/x"));
    }

    #[test]
    fn or_is_met_by_one_and_not_by_none() {
        let either = json!({ "or": [{ "requestMethod": "post" }, { "urlPattern": { "text": "/x" } }] });
        assert!(meets(either.clone(), "/x"));
        assert!(!meets(either.clone(), "/y"));
        let neither = json!({ "not": either });
        assert!(!meets(neither.clone(), "/x"));
        assert!(meets(neither, "/y"));
    }

    #[test]
    fn w62_the_first_rule_that_is_met_counts_and_may_ask_whether_the_worker_runs() {
        let routes = routes(json!([
            { "condition": { "urlPattern": { "text": "/a/*" }, "runningStatus": "running" }, "source": "fetch-event" },
            { "condition": { "urlPattern": { "text": "/a/*" } }, "source": { "cacheName": "v1" } },
        ]))
        .unwrap();
        let head = RequestHead::get(script().join("/a/b").unwrap());
        assert_eq!(routes.route(&head, &|| true), Some(&Source::FetchEvent));
        assert_eq!(routes.route(&head, &|| false), Some(&Source::CacheName("v1".into())));
        let other = RequestHead::get(script().join("/b").unwrap());
        assert_eq!(routes.route(&other, &|| true), None);
    }

    #[test]
    fn a_route_to_the_script_needs_a_listener() {
        for (source, refused) in [("fetch-event", true), ("race-network-and-fetch-handler", true), ("cache", false)] {
            let rules = json!([{ "condition": { "requestMethod": "get" }, "source": source }]);
            let rules = serde_json::from_value(rules).unwrap();
            let deaf = Ground { script: &script(), listens: false };
            assert_eq!(Routes::default().with(rules, deaf).is_err(), refused, "{source}");
        }
    }

    #[test]
    fn rules_come_back_as_they_were_written() {
        let name = waystore::CacheName::from_utf16(&[0x61, 0xD800]);
        let odd = Source::CacheName(name);
        let written = serde_json::to_string(&odd).unwrap();
        assert_eq!(serde_json::from_str::<Source>(&written).unwrap(), odd);
        let plain = serde_json::to_value(Source::CacheName("v1".into())).unwrap();
        assert_eq!(plain, json!({ "cacheName": "v1" }));
    }
}
