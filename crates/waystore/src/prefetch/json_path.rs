//! A JSONPath, checked when it is made, and evaluated with a bound.
//!
//! The syntax is a crate's; the evaluation is ours, since it must end soon however a path and a document
//! are made. Spec: <https://www.rfc-editor.org/rfc/rfc9535>.

mod filter;
mod patterns;
mod select;

use std::str::FromStr;

use jsonpath_rust::parser::{model::JpQuery, parse_json_path};
use serde_json::Value;

use self::{patterns::Patterns, select::Evaluation};
use super::WrongRule;

/// How deep function calls may be nested: the parser's time multiplies with each level.
const DEEPEST_CALL: usize = 2;

/// A [JSONPath](https://www.rfc-editor.org/rfc/rfc9535): `$.products[*].productPic`.
///
/// All of RFC 9535, but that the expression given to `match` and `search` is written out in the path. A path has at
/// most 1,024 bytes, two levels of function calls, and four such expressions of a moderate size.
///
/// ```
/// use waystore::prefetch::JsonPath;
///
/// let path: JsonPath = "$.products[?@.inStock == true].productPic".parse()?;
/// assert!("$.products[?@.inStock".parse::<JsonPath>().is_err());
/// # assert_eq!(path.as_str(), "$.products[?@.inStock == true].productPic");
/// # Ok::<(), waystore::prefetch::WrongRule>(())
/// ```
#[derive(Debug, Clone)]
pub struct JsonPath {
    text: String,
    query: JpQuery,
    patterns: Patterns,
}

/// A path asks for more than may be done for one document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMuchWork;

/// Steps that may still be made for a document. One is about what it takes to look at one value.
#[derive(Debug)]
pub(super) struct Work(u64);

impl Work {
    pub(super) fn new(steps: u64) -> Self {
        Self(steps)
    }

    fn spend(&mut self, steps: usize) -> Result<(), TooMuchWork> {
        self.0 = self.0.checked_sub(steps as u64).ok_or(TooMuchWork)?;
        Ok(())
    }
}

impl JsonPath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The values of `document` at this path, in the order of the standard.
    ///
    /// # Errors
    ///
    /// [`TooMuchWork`]: there were not steps enough left.
    pub(super) fn select<'d>(&self, document: &'d Value, work: &mut Work) -> Result<Vec<&'d Value>, TooMuchWork> {
        Evaluation { root: document, patterns: &self.patterns, work }.nodes(document, &self.query.segments)
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
        let query = parse_json_path(path)
            .map_err(|_| WrongRule::new(path, "it is not a JSONPath of RFC 9535, such as `$.products[*].picture`"))?;
        let patterns = Patterns::of(&query).map_err(|reason| WrongRule::new(path, reason))?;
        Ok(Self { text: path.to_owned(), query, patterns })
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The texts and numbers at `path`, as JSON.
    fn at(path: &str, document: &Value) -> String {
        let path: JsonPath = path.parse().unwrap();
        let found = path.select(document, &mut Work::new(100_000)).unwrap();
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    fn shop() -> Value {
        json!({
            "name": "shop",
            "items": [
                {"id": 1, "pic": "/1.jpg", "tags": ["a", "b"], "more": {"pic": "/1b.jpg"}},
                {"id": 2, "pic": "/2.png", "tags": []},
                {"id": 3, "pic": null},
            ],
            "limit": 2,
        })
    }

    #[test]
    fn names_indices_wildcards_slices_and_descendants_are_selected() {
        let shop = shop();
        assert_eq!(at("$.items[*].pic", &shop), r#""/1.jpg" "/2.png" null"#);
        assert_eq!(at("$['items'][-1].id", &shop), "3");
        assert_eq!(at("$.items[0,1]['id','pic']", &shop), r#"1 "/1.jpg" 2 "/2.png""#);
        assert_eq!(at("$.items[::-2].id", &shop), "3 1");
        assert_eq!(at("$.items[1:].id", &shop), "2 3");
        assert_eq!(at("$.items[-2:-1].id", &shop), "2");
        assert_eq!(at("$.items[::0].id", &shop), "");
        assert_eq!(at("$.items[0]..pic", &shop), r#""/1.jpg" "/1b.jpg""#);
        assert_eq!(at("$.nothing[*].pic", &shop), "");
        assert_eq!(at("$.name.length", &shop), "");
    }

    #[test]
    fn filters_compare_test_and_call() {
        let shop = shop();
        let ids = |filter: &str| at(&format!("$.items[?{filter}].id"), &shop);
        assert_eq!(ids("@.id < 3"), "1 2");
        assert_eq!(ids("@.id <= $.limit && @.pic"), "1 2");
        assert_eq!(ids("!@.tags || @.pic == null"), "3");
        assert_eq!(ids("@.more"), "1");
        assert_eq!(ids("@.missing == @.absent"), "1 2 3");
        assert_eq!(ids("@.pic != 1"), "1 2 3");
        assert_eq!(ids("@.pic > '/1z'"), "2");
        assert_eq!(ids("length(@.tags) == 2"), "1");
        assert_eq!(ids("count(@.tags[*]) > 0"), "1");
        assert_eq!(ids("value(@..more.pic) == '/1b.jpg'"), "1");
        assert_eq!(ids("match(@.pic, '/.\\\\.jpg')"), "1");
        assert_eq!(ids("search(@.pic, 'png$|^/1')"), "1 2");
        assert_eq!(ids("!search(@.pic, 'p')"), "3");
        assert_eq!(ids("@.tags[?@ == 'b']"), "1");
        assert_eq!(ids("@.tags == $.items[0].tags"), "1");
    }

    #[test]
    fn what_is_no_path_is_refused_with_its_text() {
        for path in ["$.", "$[", "items", "$.a[?match(@.b, @.c)]", "$[?match(@.b, '(')]", "$[?in(@.a, @.b)]"] {
            let wrong = path.parse::<JsonPath>().unwrap_err();
            assert_eq!(wrong.rule, path);
        }
        let searching =
            |count| (0..count).map(|number| format!("search(@, '{number}')")).collect::<Vec<_>>().join("||");
        assert!(format!("$[?{}]", searching(4)).parse::<JsonPath>().is_ok());
        assert!(format!("$[?{}]", searching(5)).parse::<JsonPath>().unwrap_err().reason.contains("more than 4"));
        assert!("$[?search(@, '((a{99}){99}){99}')]".parse::<JsonPath>().unwrap_err().reason.contains("too large"));
        let long = format!("$.{}", "a".repeat(2000));
        assert!(long.parse::<JsonPath>().unwrap_err().to_string().contains("2002 bytes"));
    }

    #[test]
    fn nested_calls_are_refused_before_they_are_parsed() {
        let path = format!("$[?{}@{}", "length(".repeat(100), ")".repeat(100));
        assert!(path.parse::<JsonPath>().unwrap_err().reason.contains("nested deeper"));
        assert!("$[?length(value(@.a)) == 1 && count(@['length(value(length('])==0]".parse::<JsonPath>().is_ok());
        let deep = format!("${}", "[?@".repeat(300));
        assert!(deep.parse::<JsonPath>().is_err());
        let deep = format!("$[?{}1==1{}]", "(".repeat(400), ")".repeat(400));
        assert!(deep.parse::<JsonPath>().is_err());
    }

    #[test]
    fn a_path_that_multiplies_what_it_finds_is_stopped() {
        let mut nested = json!("/end");
        for _ in 0..100 {
            nested = json!([nested]);
        }
        let wide = json!((0..2000).collect::<Vec<_>>());
        let repeated = format!("${}", "[0,0,0,0,0,0,0,0]".repeat(60));
        let paths = [
            ("$..*..*..*..*..*..*..*..*..*".to_owned(), &nested),
            (repeated, &nested),
            ("$[?count($[*]) > 0]".to_owned(), &wide),
            ("$[?search($[?@ == 1], 'x')]".to_owned(), &wide),
            ("$[?$ == $][?$ == $]".to_owned(), &wide),
        ];
        for (path, document) in paths {
            let path: JsonPath = path.parse().unwrap();
            let mut work = Work::new(1_000_000);
            assert_eq!(path.select(document, &mut work), Err(TooMuchWork), "{}", path.as_str());
        }
    }
}
