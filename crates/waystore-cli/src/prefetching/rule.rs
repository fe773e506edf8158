//! Rules of the configuration: a message of this type from a page is a wish to prefetch, and needs no script.
//!
//! Knows messages as JSON: not how they came, nor who may send them.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use waystore::prefetch::{MAX_URLS, Prefetch, Target};

/// A rule as it was written: a table of the file, or JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct RuleText(Value);

impl FromStr for RuleText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map(Self).map_err(|error| format!("it is not JSON: {error}"))
    }
}

/// A rule: which messages it answers, where in them the URLs are, and the plan that they complete.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rule {
    /// The `type` of the messages.
    message: String,
    /// A JSON Pointer to a URL, or to a list of them.
    urls: String,
    plan: Prefetch,
}

impl Rule {
    /// Reads a rule: `message` and `urls`, and beside them the members of a plan, also `with_underscores`.
    ///
    /// # Errors
    ///
    /// It is none, in words.
    pub(crate) fn new(text: &RuleText) -> Result<Self, String> {
        let Value::Object(mut members) = camel_case(&text.0) else { return Err("it is not a table".to_owned()) };
        let message = taken(&mut members, "message", "the `type` of the messages that it answers")?;
        let urls = taken(&mut members, "urls", "a JSON Pointer into the message, such as `/payload/urls`")?;
        if !urls.is_empty() && !urls.starts_with('/') {
            return Err(format!("`urls` is `{urls}`, which is not a JSON Pointer such as `/payload/urls`"));
        }
        if !members.contains_key("cache") {
            return Err("`cache` is missing: the name of the cache to store into".to_owned());
        }
        members.insert("urls".to_owned(), Value::Array(Vec::new()));
        let plan = serde_json::from_value(Value::Object(members)).map_err(|error| error.to_string())?;
        Ok(Self { message, urls, plan })
    }

    /// The plan that `message` asks for; `None` where the rule is not about it.
    ///
    /// # Errors
    ///
    /// It is about it, and the URLs are not where the rule has them.
    pub(crate) fn of(&self, message: &Value) -> Option<Result<Prefetch, String>> {
        if message.get("type").and_then(Value::as_str) != Some(&self.message) {
            return None;
        }
        let urls = message.pointer(&self.urls).and_then(texts);
        let Some(urls) = urls else {
            return Some(Err(format!("the message has no URL, and no list of them, at `{}`", self.urls)));
        };
        if urls.len() > MAX_URLS {
            return Some(Err(format!("the message names {} URLs, and may name {MAX_URLS}", urls.len())));
        }
        let urls = urls.into_iter().map(Target::optional).collect();
        Some(Ok(Prefetch { urls, ..self.plan.clone() }))
    }
}

fn taken(members: &mut Map<String, Value>, name: &str, what: &str) -> Result<String, String> {
    match members.remove(name) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(format!("`{name}` is {other}, and has to be {what}")),
        None => Err(format!("`{name}` is missing: {what}")),
    }
}

/// One text, or a list of nothing else.
fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(items) => items.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

/// The same with names as a page writes them: `override_no_cache` is `overrideNoCache`.
fn camel_case(value: &Value) -> Value {
    let name = |name: &str| {
        let mut words = name.split('_');
        let first = words.next().unwrap_or_default().to_owned();
        words.fold(first, |all, word| {
            let mut letters = word.chars();
            all + &letters.next().map(|first| first.to_ascii_uppercase()).map(String::from).unwrap_or_default()
                + letters.as_str()
        })
    };
    match value {
        Value::Object(members) => {
            Value::Object(members.iter().map(|(key, value)| (name(key), camel_case(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(camel_case).collect()),
        plain => plain.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(value: Value) -> Result<Rule, String> {
        Rule::new(&RuleText(value))
    }

    fn guide() -> Rule {
        let plan = json!({ "cache": "v1", "follow": ["$.productPic"], "override_no_cache": true, "limits": { "document_urls": 7 } });
        let mut members = plan.as_object().unwrap().clone();
        members.extend(json!({ "message": "PREFETCH", "urls": "/payload/urls" }).as_object().unwrap().clone());
        rule(Value::Object(members)).unwrap()
    }

    #[test]
    fn a_message_of_its_type_completes_its_plan() {
        let message = json!({ "type": "PREFETCH", "payload": { "urls": ["/a.json", "b.json"] } });
        let plan = guide().of(&message).unwrap().unwrap();
        let urls: Vec<_> = plan.urls.iter().map(|target| target.url.as_str()).collect();
        assert_eq!((urls, plan.cache.as_deref()), (vec!["/a.json", "b.json"], Some("v1")));
        assert!(plan.override_no_cache && plan.follow.len() == 1 && plan.limits.document_urls == 7);
        let single = json!({ "type": "PREFETCH", "payload": { "urls": "/a.json" } });
        assert_eq!(guide().of(&single).unwrap().unwrap().urls, [Target::optional("/a.json")]);
    }

    #[test]
    fn other_messages_are_none_of_its_business() {
        for message in [json!({ "type": "OTHER" }), json!({ "payload": {} }), json!("PREFETCH"), json!(null)] {
            assert_eq!(guide().of(&message), None);
        }
    }

    #[test]
    fn a_message_without_urls_where_they_should_be_is_told_so() {
        for payload in [json!({}), json!({ "urls": 7 }), json!({ "urls": ["/a", 7] }), json!({ "urls": {} })] {
            let message = json!({ "type": "PREFETCH", "payload": payload });
            assert!(guide().of(&message).unwrap().unwrap_err().contains("at `/payload/urls`"), "{message}");
        }
        let many = json!({ "type": "PREFETCH", "payload": { "urls": vec![""; MAX_URLS + 1] } });
        assert!(guide().of(&many).unwrap().unwrap_err().contains("may name 50000"));
    }

    #[test]
    fn a_rule_that_cannot_be_followed_says_what_is_wrong() {
        let with = |name: &str, value: Value| {
            let mut members = json!({ "message": "A", "urls": "/urls", "cache": "v1" });
            members[name] = value;
            rule(members).unwrap_err()
        };
        assert!(rule(json!([])).unwrap_err().contains("not a table"));
        assert!(rule(json!({ "urls": "/urls" })).unwrap_err().contains("`message` is missing"));
        assert!(rule(json!({ "message": "A", "urls": "/urls" })).unwrap_err().contains("`cache` is missing"));
        assert!(with("urls", json!(["/a"])).contains("JSON Pointer"));
        assert!(with("urls", json!("urls")).contains("`urls`, which is not a JSON Pointer"));
        assert!(with("follow", json!(["productPic"])).contains("productPic"));
        assert!(with("pancakes", json!(1)).contains("`pancakes`"));
    }
}
