//! Filters: whether a value is wanted.
//!
//! Spec: <https://www.rfc-editor.org/rfc/rfc9535#section-2.3.5>.

use std::cmp::Ordering;

use jsonpath_rust::parser::model::{
    Comparable, Comparison, Filter, FilterAtom, FnArg, Literal, SingularQuery, SingularQuerySegment, Test, TestFunction,
};
use serde_json::Value;

use super::{
    TooMuchWork,
    select::{Evaluation, at},
};

/// Bytes of text that are compared or searched in one step.
const BYTES_A_STEP: usize = 32;

/// What is compared.
#[derive(Clone, Copy)]
enum Operand<'v> {
    /// A query that found nothing, or a function without a result.
    Nothing,
    Null,
    Bool(bool),
    Number(f64),
    Text(&'v str),
    /// An array or an object.
    Tree(&'v Value),
}

impl<'d> Evaluation<'d, '_> {
    /// Whether `filter` holds for `current`.
    pub(super) fn holds(&mut self, current: &'d Value, filter: &Filter) -> Result<bool, TooMuchWork> {
        self.work.spend(1)?;
        match filter {
            Filter::Or(filters) => {
                for filter in filters {
                    if self.holds(current, filter)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Filter::And(filters) => {
                for filter in filters {
                    if !self.holds(current, filter)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Filter::Atom(FilterAtom::Filter { expr, not }) => Ok(self.holds(current, expr)? != *not),
            Filter::Atom(FilterAtom::Test { expr, not }) => Ok(self.test(current, expr)? != *not),
            Filter::Atom(FilterAtom::Comparison(comparison)) => self.compare(current, comparison),
        }
    }

    fn test(&mut self, current: &'d Value, test: &Test) -> Result<bool, TooMuchWork> {
        match test {
            Test::RelQuery(_) | Test::AbsQuery(_) => Ok(!self.query(current, test)?.is_empty()),
            Test::Function(function) => match &**function {
                TestFunction::Match(text, pattern) => self.matches(current, text, pattern, true),
                TestFunction::Search(text, pattern) => self.matches(current, text, pattern, false),
                // Has no truth of its own; the syntax refuses it.
                _ => Ok(false),
            },
        }
    }

    /// What a query in a filter finds.
    fn query(&mut self, current: &'d Value, test: &Test) -> Result<Vec<&'d Value>, TooMuchWork> {
        match test {
            Test::RelQuery(segments) => self.nodes(current, segments),
            Test::AbsQuery(query) => self.nodes(self.root, &query.segments),
            Test::Function(_) => Ok(Vec::new()),
        }
    }

    fn matches(&mut self, current: &'d Value, text: &FnArg, pattern: &FnArg, whole: bool) -> Result<bool, TooMuchWork> {
        let Operand::Text(text) = self.argument(current, text)? else { return Ok(false) };
        let FnArg::Literal(Literal::String(pattern)) = pattern else { return Ok(false) };
        self.work.spend(1 + text.len() / BYTES_A_STEP)?;
        Ok(self.patterns.get(pattern, whole).is_some_and(|pattern| pattern.is_match(text)))
    }

    fn compare(&mut self, current: &'d Value, comparison: &Comparison) -> Result<bool, TooMuchWork> {
        let (left, right) = comparison.vals();
        let (left, right) = (self.operand(current, left)?, self.operand(current, right)?);
        match comparison {
            Comparison::Eq(..) => self.equal(left, right),
            Comparison::Ne(..) => Ok(!self.equal(left, right)?),
            Comparison::Lt(..) => self.less(left, right),
            Comparison::Gt(..) => self.less(right, left),
            Comparison::Lte(..) => Ok(self.less(left, right)? || self.equal(left, right)?),
            Comparison::Gte(..) => Ok(self.less(right, left)? || self.equal(left, right)?),
        }
    }

    fn operand<'v>(&mut self, current: &'d Value, comparable: &'v Comparable) -> Result<Operand<'v>, TooMuchWork>
    where
        'd: 'v,
    {
        match comparable {
            Comparable::Literal(literal) => Ok(Operand::literal(literal)),
            Comparable::SingularQuery(query) => self.singular(current, query),
            Comparable::Function(function) => self.call(current, function),
        }
    }

    fn singular<'v>(&mut self, current: &'d Value, query: &SingularQuery) -> Result<Operand<'v>, TooMuchWork>
    where
        'd: 'v,
    {
        let (start, segments) = match query {
            SingularQuery::Current(segments) => (current, segments),
            SingularQuery::Root(segments) => (self.root, segments),
        };
        self.work.spend(segments.len())?;
        let step = |value: &'d Value, segment: &SingularQuerySegment| match segment {
            SingularQuerySegment::Name(name) => value.as_object()?.get(name),
            SingularQuerySegment::Index(index) => at(value.as_array()?, *index),
        };
        Ok(segments.iter().try_fold(start, step).map_or(Operand::Nothing, Operand::value))
    }

    fn call<'v>(&mut self, current: &'d Value, function: &'v TestFunction) -> Result<Operand<'v>, TooMuchWork>
    where
        'd: 'v,
    {
        match function {
            TestFunction::Length(of) => {
                let length = match self.argument(current, of)? {
                    Operand::Text(text) => {
                        self.work.spend(text.len() / BYTES_A_STEP)?;
                        text.chars().count()
                    }
                    Operand::Tree(Value::Array(list)) => list.len(),
                    Operand::Tree(Value::Object(object)) => object.len(),
                    _ => return Ok(Operand::Nothing),
                };
                Ok(Operand::Number(length as f64))
            }
            TestFunction::Count(FnArg::Test(query)) => Ok(Operand::Number(self.query(current, query)?.len() as f64)),
            TestFunction::Value(of) => self.argument(current, of),
            _ => Ok(Operand::Nothing),
        }
    }

    /// The value of a function's argument: where a query finds several, there is none.
    fn argument<'v>(&mut self, current: &'d Value, argument: &'v FnArg) -> Result<Operand<'v>, TooMuchWork>
    where
        'd: 'v,
    {
        match argument {
            FnArg::Literal(literal) => Ok(Operand::literal(literal)),
            FnArg::Test(test) => match &**test {
                Test::Function(function) => self.call(current, function),
                query => match self.query(current, query)?[..] {
                    [only] => Ok(Operand::value(only)),
                    _ => Ok(Operand::Nothing),
                },
            },
            FnArg::Filter(_) => Ok(Operand::Nothing),
        }
    }

    fn equal(&mut self, left: Operand<'_>, right: Operand<'_>) -> Result<bool, TooMuchWork> {
        self.work.spend(1)?;
        Ok(match (left, right) {
            (Operand::Nothing, Operand::Nothing) | (Operand::Null, Operand::Null) => true,
            (Operand::Bool(left), Operand::Bool(right)) => left == right,
            (Operand::Number(left), Operand::Number(right)) => left == right,
            (Operand::Text(left), Operand::Text(right)) => {
                self.work.spend(left.len().min(right.len()) / BYTES_A_STEP)?;
                left == right
            }
            (Operand::Tree(left), Operand::Tree(right)) => self.equal_trees(left, right)?,
            _ => false,
        })
    }

    fn equal_trees(&mut self, left: &Value, right: &Value) -> Result<bool, TooMuchWork> {
        match (left, right) {
            (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
                for (left, right) in left.iter().zip(right) {
                    if !self.equal(Operand::value(left), Operand::value(right))? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Value::Object(left), Value::Object(right)) if left.len() == right.len() => {
                for (name, left) in left {
                    let Some(right) = right.get(name) else { return Ok(false) };
                    self.work.spend(name.len() / BYTES_A_STEP)?;
                    if !self.equal(Operand::value(left), Operand::value(right))? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn less(&mut self, left: Operand<'_>, right: Operand<'_>) -> Result<bool, TooMuchWork> {
        Ok(match (left, right) {
            (Operand::Number(left), Operand::Number(right)) => left < right,
            (Operand::Text(left), Operand::Text(right)) => {
                self.work.spend(1 + left.len().min(right.len()) / BYTES_A_STEP)?;
                left.cmp(right) == Ordering::Less
            }
            _ => false,
        })
    }
}

impl<'v> Operand<'v> {
    fn value(value: &'v Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => number.as_f64().map_or(Self::Nothing, Self::Number),
            Value::String(text) => Self::Text(text),
            tree => Self::Tree(tree),
        }
    }

    fn literal(literal: &'v Literal) -> Self {
        match literal {
            Literal::Int(number) => Self::Number(*number as f64),
            Literal::Float(number) => Self::Number(*number),
            Literal::String(text) => Self::Text(text),
            Literal::Bool(value) => Self::Bool(*value),
            Literal::Null => Self::Null,
        }
    }
}
