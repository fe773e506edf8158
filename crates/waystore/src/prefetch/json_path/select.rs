//! Segments and selectors: from values to the values in them.
//!
//! Each value that is looked at is a step of the work that is allowed.

use jsonpath_rust::parser::model::{Segment, Selector};
use serde_json::Value;

use super::{TooMuchWork, Work, patterns::Patterns};

/// The evaluation of a path on a document.
pub(super) struct Evaluation<'d, 'e> {
    pub(super) root: &'d Value,
    pub(super) patterns: &'e Patterns,
    pub(super) work: &'e mut Work,
}

impl<'d> Evaluation<'d, '_> {
    /// The values that `segments` lead to from `start`.
    pub(super) fn nodes(&mut self, start: &'d Value, segments: &[Segment]) -> Result<Vec<&'d Value>, TooMuchWork> {
        let mut nodes = vec![start];
        for segment in segments {
            let mut found = Vec::new();
            for node in nodes {
                self.segment(node, segment, &mut found)?;
            }
            nodes = found;
        }
        Ok(nodes)
    }

    fn segment(&mut self, node: &'d Value, segment: &Segment, found: &mut Vec<&'d Value>) -> Result<(), TooMuchWork> {
        match segment {
            Segment::Selector(selector) => self.selector(node, selector, found),
            Segment::Selectors(selectors) => {
                selectors.iter().try_for_each(|selector| self.selector(node, selector, found))
            }
            Segment::Descendant(inner) => {
                let mut waiting = vec![node];
                while let Some(node) = waiting.pop() {
                    self.segment(node, inner, found)?;
                    let before = waiting.len();
                    waiting.extend(children(node));
                    self.work.spend(1 + waiting.len() - before)?;
                    waiting[before..].reverse();
                }
                Ok(())
            }
        }
    }

    fn selector(
        &mut self,
        node: &'d Value,
        selector: &Selector,
        found: &mut Vec<&'d Value>,
    ) -> Result<(), TooMuchWork> {
        self.work.spend(1)?;
        match selector {
            Selector::Name(name) => found.extend(node.as_object().and_then(|object| object.get(name))),
            Selector::Index(index) => found.extend(node.as_array().and_then(|list| at(list, *index))),
            Selector::Slice(start, end, step) => {
                let Some(list) = node.as_array() else { return Ok(()) };
                for index in slice(list.len(), *start, *end, step.unwrap_or(1)) {
                    self.work.spend(1)?;
                    found.extend(list.get(index));
                }
            }
            Selector::Wildcard => {
                for child in children(node) {
                    self.work.spend(1)?;
                    found.push(child);
                }
            }
            Selector::Filter(filter) => {
                for child in children(node) {
                    self.work.spend(1)?;
                    if self.holds(child, filter)? {
                        found.push(child);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The value at an index, which counts from the end where it is negative.
pub(super) fn at(list: &[Value], index: i64) -> Option<&Value> {
    let from_end = || list.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?);
    list.get(if index < 0 { from_end()? } else { usize::try_from(index).ok()? })
}

fn children(node: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match node {
        Value::Array(list) => Box::new(list.iter()),
        Value::Object(object) => Box::new(object.values()),
        _ => Box::new(std::iter::empty()),
    }
}

/// The indices of a slice of a list of `length`.
///
/// Spec: <https://www.rfc-editor.org/rfc/rfc9535#section-2.3.4.2.2>
fn slice(length: usize, start: Option<i64>, end: Option<i64>, step: i64) -> Box<dyn Iterator<Item = usize>> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let stride = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
    let normal = |index: i64| if index < 0 { length.saturating_add(index) } else { index };
    let index = |index: i64| usize::try_from(index).unwrap_or_default();
    match step {
        0 => Box::new(std::iter::empty()),
        1.. => {
            let lower = normal(start.unwrap_or(0)).clamp(0, length);
            let upper = normal(end.unwrap_or(length)).clamp(0, length);
            Box::new((index(lower)..index(upper)).step_by(stride))
        }
        _ => {
            let upper = normal(start.unwrap_or(length - 1)).clamp(-1, length - 1);
            let lower = end.map_or(-1, normal).clamp(-1, length - 1);
            Box::new((index(lower + 1)..index(upper + 1)).rev().step_by(stride))
        }
    }
}
