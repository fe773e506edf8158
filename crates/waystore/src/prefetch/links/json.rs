//! URLs in JSON.

use serde_json::Value;

use super::{Collector, Stop};
use crate::prefetch::{Follow, Select, json_path::Work};

/// Takes what the JSON rules find.
pub(super) fn search(document: &[u8], rules: &[Follow], work: &mut Work, found: &mut Collector) -> Result<(), Stop> {
    // Nested deeper than 128 levels is an error of the parser, which would need as much stack otherwise.
    let document: Value =
        serde_json::from_slice(document).map_err(|error| Stop(format!("it is not JSON that can be read: {error}")))?;
    for rule in rules {
        match &rule.select {
            Select::JsonPointer(pointer) => take(document.pointer(pointer.as_str()), rule, found)?,
            Select::JsonPath(path) => {
                let selected = path.select(&document, work);
                let selected = selected.map_err(|_| Stop(format!("`{}` is too much work for it", path.as_str())))?;
                take(selected, rule, found)?;
            }
            Select::Html(_) => {}
        }
    }
    Ok(())
}

/// Takes the texts among `values`, and those of arrays among them.
fn take<'v>(values: impl IntoIterator<Item = &'v Value>, rule: &Follow, found: &mut Collector) -> Result<(), Stop> {
    for value in values {
        let texts = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for text in texts.iter().filter_map(Value::as_str) {
            found.take(text, rule.required)?;
        }
    }
    Ok(())
}
