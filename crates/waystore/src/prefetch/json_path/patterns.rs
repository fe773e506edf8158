//! The regular expressions of a path's `match` and `search`, compiled when the path is made.
//!
//! Also refuses functions that the standard does not have, since it looks at all of them.
//! Spec: <https://www.rfc-editor.org/rfc/rfc9485>.

use std::collections::HashMap;

use jsonpath_rust::parser::model::{
    Comparable, Filter, FilterAtom, FnArg, JpQuery, Literal, Segment, Selector, Test, TestFunction,
};
use regex::{Regex, RegexBuilder};

/// Expressions that a path may have.
const MOST: usize = 4;

/// Bytes that a compiled expression may take, and once more those that it may take while it searches.
const COMPILED_BYTES: usize = 1 << 16;

/// Expressions by their text, and by whether the whole text has to match.
#[derive(Debug, Clone, Default)]
pub(super) struct Patterns(HashMap<(String, bool), Regex>);

impl Patterns {
    /// Those of `query`.
    ///
    /// # Errors
    ///
    /// Why a function or its expression is refused.
    pub(super) fn of(query: &JpQuery) -> Result<Self, String> {
        let mut patterns = Self::default();
        patterns.segments(&query.segments)?;
        Ok(patterns)
    }

    pub(super) fn get(&self, pattern: &str, whole: bool) -> Option<&Regex> {
        self.0.get(&(pattern.to_owned(), whole))
    }

    fn segments(&mut self, segments: &[Segment]) -> Result<(), String> {
        segments.iter().try_for_each(|segment| match segment {
            Segment::Descendant(inner) => self.segments(std::slice::from_ref(inner)),
            Segment::Selector(selector) => self.selector(selector),
            Segment::Selectors(selectors) => selectors.iter().try_for_each(|selector| self.selector(selector)),
        })
    }

    fn selector(&mut self, selector: &Selector) -> Result<(), String> {
        match selector {
            Selector::Filter(filter) => self.filter(filter),
            _ => Ok(()),
        }
    }

    fn filter(&mut self, filter: &Filter) -> Result<(), String> {
        match filter {
            Filter::Or(filters) | Filter::And(filters) => filters.iter().try_for_each(|filter| self.filter(filter)),
            Filter::Atom(FilterAtom::Filter { expr, .. }) => self.filter(expr),
            Filter::Atom(FilterAtom::Test { expr, .. }) => match &**expr {
                Test::Function(function) if !is_test(function) => {
                    Err("`length`, `count` and `value` are compared with something".to_owned())
                }
                test => self.test(test),
            },
            Filter::Atom(FilterAtom::Comparison(comparison)) => {
                let (left, right) = comparison.vals();
                [left, right].into_iter().try_for_each(|side| match side {
                    Comparable::Function(function) => self.function(function),
                    _ => Ok(()),
                })
            }
        }
    }

    fn test(&mut self, test: &Test) -> Result<(), String> {
        match test {
            Test::RelQuery(segments) => self.segments(segments),
            Test::AbsQuery(query) => self.segments(&query.segments),
            Test::Function(function) => self.function(function),
        }
    }

    fn function(&mut self, function: &TestFunction) -> Result<(), String> {
        match function {
            TestFunction::Length(of) => self.argument(of),
            TestFunction::Value(of) | TestFunction::Count(of) => self.argument(of),
            TestFunction::Match(text, pattern) => self.argument(text).and_then(|()| self.compile(pattern, true)),
            TestFunction::Search(text, pattern) => self.argument(text).and_then(|()| self.compile(pattern, false)),
            TestFunction::Custom(name, _) => Err(format!("there is no function `{name}`")),
        }
    }

    fn argument(&mut self, argument: &FnArg) -> Result<(), String> {
        match argument {
            FnArg::Literal(_) => Ok(()),
            FnArg::Test(test) => self.test(test),
            FnArg::Filter(filter) => self.filter(filter),
        }
    }

    fn compile(&mut self, pattern: &FnArg, whole: bool) -> Result<(), String> {
        let FnArg::Literal(Literal::String(pattern)) = pattern else {
            return Err("the expression given to `match` and `search` is text in the path itself".to_owned());
        };
        if self.0.len() == MOST {
            return Err(format!("it has more than {MOST} regular expressions"));
        }
        let expression = translated(pattern);
        let expression = if whole { format!(r"\A(?:{expression})\z") } else { expression };
        let compiled = RegexBuilder::new(&expression)
            .size_limit(COMPILED_BYTES)
            .dfa_size_limit(COMPILED_BYTES)
            .nest_limit(32)
            .build();
        let compiled = compiled.map_err(|_| format!("`{pattern}` is not a regular expression, or is too large"))?;
        self.0.insert((pattern.clone(), whole), compiled);
        Ok(())
    }
}

/// Whether a function says yes or no.
fn is_test(function: &TestFunction) -> bool {
    matches!(function, TestFunction::Match(..) | TestFunction::Search(..) | TestFunction::Custom(..))
}

/// The expression as the `regex` crate has it: a dot is any character but CR and LF.
fn translated(pattern: &str) -> String {
    let mut translated = String::with_capacity(pattern.len());
    let (mut escaped, mut in_class) = (false, false);
    for character in pattern.chars() {
        match character {
            '.' if !escaped && !in_class => translated.push_str(r"[^\n\r]"),
            other => translated.push(other),
        }
        match character {
            '[' if !escaped => in_class = true,
            ']' if !escaped => in_class = false,
            _ => {}
        }
        escaped = character == '\\' && !escaped;
    }
    translated
}
