//! The script that pages load, put together from its parts.
//!
//! Knows no request and no answer: who serves it says what the registration is at the moment.

use std::sync::LazyLock;

use serde_json::Value;

/// In the order in which they need each other.
const PARTS: [&str; 12] = [
    include_str!("client/values.js"),
    include_str!("client/events.js"),
    include_str!("client/wires.js"),
    include_str!("client/link.js"),
    include_str!("client/post.js"),
    include_str!("client/container.js"),
    include_str!("client/mirror.js"),
    include_str!("client/desk.js"),
    include_str!("client/broadcasts.js"),
    include_str!("client/prefetch.js"),
    include_str!("client/links.js"),
    include_str!("client/start.js"),
];

/// All parts, without indentation and the comments that have lines of their own: no line of theirs is part of a text.
static BODY: LazyLock<String> = LazyLock::new(|| {
    let lines = PARTS.iter().flat_map(|part| part.lines()).map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with("//")).flat_map(|line| [line, "\n"]).collect()
});

/// The script, with the registration as it is now, in the form of the frame `registration` (`null`: there is none).
///
/// A page may ask for its controller in its first line, before anything could be sent to it; so the state comes with the script.
pub(super) fn script(registration: &Value) -> String {
    format!(
        "(() => {{\n\"use strict\";\nif (globalThis.waystore?.serviceWorker) return;\nconst TOLD = {registration};\n{}}})();\n",
        *BODY
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_script_says_the_registration_first_and_holds_no_comments() {
        let script = script(&json!({ "scope": "https://shop.example/" }));
        let told =
            script.find("const TOLD = {\"scope\":\"https://shop.example/\"};").expect("it says the registration");
        assert!(told < script.find("class Link").expect("it holds its parts"));
        assert!(!script.contains("\n//"), "{script}");
    }

    #[test]
    fn the_script_is_small() {
        assert!(script(&Value::Null).len() < 48 * 1024);
    }
}
