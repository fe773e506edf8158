//! Which messages visitors may send: in a browser a page commands its own user's worker, here it
//! would command everybody's. Pure.
//!
//! Reads of a value (`docs/messages.md`) no more than its `type`; and where two readings are possible,
//! none: what a script sees must be what was allowed.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Stands for every type, and for values that have none.
const EVERYTHING: &str = "*";

/// What the key `messages` lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Allowed {
    everything: bool,
    types: BTreeSet<String>,
}

/// A call of a page that is no message, and is allowed by a name of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// `registration.update()`
    Update,
    /// `registration.unregister()`
    Unregister,
    /// `waystore.prefetch()`
    Prefetch,
}

impl Call {
    /// Its entry in `messages`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Update => "UPDATE",
            Self::Unregister => "UNREGISTER",
            Self::Prefetch => "WAYSTORE_PREFETCH",
        }
    }
}

impl Allowed {
    pub(crate) fn new<'a>(types: impl IntoIterator<Item = &'a str>) -> Self {
        let types: BTreeSet<_> = types.into_iter().map(str::to_owned).collect();
        Self { everything: types.contains(EVERYTHING), types }
    }

    /// Whether a page may make this call.
    pub(crate) fn call(&self, call: Call) -> bool {
        self.everything || self.types.contains(call.name())
    }

    /// # Errors
    ///
    /// The type of a value that may not be sent; `None` where it has none that could be listed.
    pub(crate) fn message(&self, data: &RawValue) -> Result<(), Option<String>> {
        if self.everything {
            return Ok(());
        }
        match type_of(data) {
            Some(name) if self.types.contains(&name) => Ok(()),
            other => Err(other),
        }
    }
}

/// Why a message was refused, in words.
pub(crate) fn reason(kind: Option<&str>) -> String {
    match kind {
        Some(kind) => format!(
            "messages of the type {} are not in `messages` of this gateway's configuration",
            serde_json::Value::from(shortened(kind))
        ),
        None => {
            "only objects with a `type` that is in `messages` of this gateway's configuration may be sent".to_owned()
        }
    }
}

/// So much of a name as an answer repeats.
fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(64)]
}

/// The `type` of a value that is a plain object, where it is a string and there is exactly one.
fn type_of(data: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Reference<'a> {
        #[serde(borrow)]
        is: &'a RawValue,
        id: usize,
    }
    #[derive(Deserialize)]
    struct Node<'a> {
        #[serde(borrow)]
        kind: &'a RawValue,
        #[serde(borrow, default)]
        entries: Vec<(&'a RawValue, &'a RawValue)>,
    }

    let (root, nodes): (&RawValue, Vec<&RawValue>) = serde_json::from_str(data.get()).ok()?;
    let root: Reference<'_> = serde_json::from_str(root.get()).ok()?;
    if text(root.is).as_deref() != Some("object") {
        return None;
    }
    let node: Node<'_> = serde_json::from_str(nodes.get(root.id)?.get()).ok()?;
    if text(node.kind).as_deref() != Some("Object") {
        return None;
    }
    let mut types = node.entries.iter().filter(|(name, _)| text(name).as_deref() == Some("type"));
    let (_, found) = types.next()?;
    // A script would see the last one.
    if types.next().is_some() { None } else { text(found) }
}

fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use waystore_worker::SerializedValue;

    use super::*;

    fn refused(allowed: &[&str], text: &str) -> Option<Option<String>> {
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        Allowed::new(allowed.iter().copied()).message(raw).err()
    }

    fn refused_json(allowed: &[&str], value: &serde_json::Value) -> Option<Option<String>> {
        refused(allowed, SerializedValue::from_json(value).as_str())
    }

    #[test]
    fn only_listed_types_may_be_sent() {
        assert_eq!(refused_json(&["PREFETCH"], &json!({ "type": "PREFETCH", "urls": ["/a"] })), None);
        assert_eq!(refused_json(&["PREFETCH"], &json!({ "type": "CLEAR" })), Some(Some("CLEAR".into())));
        assert_eq!(refused_json(&[], &json!({ "type": "PREFETCH" })), Some(Some("PREFETCH".into())));
    }

    #[test]
    fn what_has_no_type_needs_the_star() {
        for value in
            [json!("PREFETCH"), json!(null), json!([]), json!({}), json!({ "type": 1 }), json!({ "type": ["A"] })]
        {
            assert_eq!(refused_json(&["PREFETCH", "A", "1"], &value), Some(None), "{value}");
            assert_eq!(refused_json(&["*"], &value), None, "{value}");
        }
    }

    #[test]
    fn a_value_that_scripts_could_read_otherwise_has_no_type() {
        for text in [
            r#"[{"is":"object","id":0},[{"kind":"Object","entries":[["type","A"],["type","B"]]}]]"#,
            r#"[{"is":"object","id":0},[{"kind":"Object","entries":[["type","A"],["\u0074ype","B"]]}]]"#,
            r#"[{"is":"object","id":0,"id":1},[{"kind":"Object","entries":[["type","A"]]},{"kind":"Object","entries":[]}]]"#,
            r#"[{"is":"object","id":0},[{"kind":"Object","kind":"Map","entries":[["type","A"]]}]]"#,
            r#"[{"is":"object","id":0},[{"kind":"Object","entries":[["type","A"]],"entries":[["type","B"]]}]]"#,
            r#"[{"is":"object","id":0},[{"kind":"Array","length":0,"entries":[["type","A"]]}]]"#,
            r#"[{"is":"object","id":7},[]]"#,
            r#"[{"is":"object","id":0},[{"kind":"Object","entries":[["__proto__",{"is":"object","id":1}]]},{"kind":"Object","entries":[["type","A"]]}]]"#,
        ] {
            assert_eq!(refused(&["A"], text), Some(None), "{text}");
        }
    }

    #[test]
    fn half_a_surrogate_elsewhere_does_not_hide_the_type() {
        let text = r#"[{"is":"object","id":0},[{"kind":"Object","entries":[["\ud800","\udfff"],["type","A"]]}]]"#;
        assert_eq!(refused(&["A"], text), None);
    }

    #[test]
    fn calls_are_allowed_by_their_names() {
        let some = Allowed::new(["UPDATE"]);
        assert!(some.call(Call::Update) && !some.call(Call::Unregister) && !some.call(Call::Prefetch));
        assert!(Allowed::new(["*"]).call(Call::Prefetch) && !Allowed::default().call(Call::Update));
    }
}
