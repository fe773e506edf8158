//! A JSONPath, checked when it is made.
//!
//! The syntax is a crate's; the evaluation is ours, since it must end however a path and a document are made.
//! Spec: <https://www.rfc-editor.org/rfc/rfc9535>.

use std::str::FromStr;

use jsonpath_rust::parser::{model::JpQuery, parse_json_path};

use super::WrongRule;

/// How deep function calls may be nested: the parser's time doubles with each level.
const DEEPEST_CALL: usize = 2;

/// A [JSONPath](https://www.rfc-editor.org/rfc/rfc9535): `$.products[*].productPic`.
#[derive(Debug, Clone)]
pub struct JsonPath {
    text: String,
    #[expect(dead_code, reason = "the evaluation comes next")]
    query: JpQuery,
}

impl JsonPath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for JsonPath {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl FromStr for JsonPath {
    type Err = WrongRule;

    fn from_str(path: &str) -> Result<Self, WrongRule> {
        WrongRule::check_length(path)?;
        if nested_calls(path) > DEEPEST_CALL {
            return Err(WrongRule::new(path, format!("function calls are nested deeper than {DEEPEST_CALL}")));
        }
        match parse_json_path(path) {
            Ok(query) => Ok(Self { text: path.to_owned(), query }),
            Err(_) => Err(WrongRule::new(path, "it is not a JSONPath of RFC 9535")),
        }
    }
}

/// How deep calls such as `length(value(@))` are nested. What is in quotes does not count.
fn nested_calls(path: &str) -> usize {
    let mut open: Vec<bool> = Vec::new();
    let (mut quote, mut before, mut deepest) = (None, ' ', 0);
    let mut characters = path.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(_), '\\') => drop(characters.next()),
            (Some(end), _) if end == character => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, '(') => {
                open.push(before.is_ascii_alphanumeric() || before == '_');
                deepest = deepest.max(open.iter().filter(|call| **call).count());
            }
            (None, ')') => drop(open.pop()),
            (None, _) => {}
        }
        before = character;
    }
    deepest
}
