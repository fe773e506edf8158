//! `waystore worker ls` as people read it: one line for each version of each worker. Pure.
//!
//! What comes from a script may be of any length and hold anything: it is cut, and its control characters are written out.

use serde_json::Value;

use super::command::SLOTS;
use crate::talk::printable;

/// The most characters of one value.
const MOST_CHARS: usize = 80;
/// The most types of events that are named.
const MOST_EVENTS: usize = 12;

/// The table of what `waystore worker ls --json` prints whole.
pub(super) fn table(workers: &Value) -> String {
    let mut lines = vec!["SCOPE  SLOT  VERSION  STATE  RUNNING  EVENTS".split("  ").map(str::to_owned).collect()];
    for worker in workers.as_array().into_iter().flatten() {
        for slot in SLOTS {
            let Some(version) = worker[slot].as_object() else { continue };
            let text = |key: &str| cell(version.get(key));
            let running = version.get("isolates").and_then(Value::as_u64).filter(|isolates| *isolates > 0);
            lines.push(vec![
                cell(worker.get("scope")),
                slot.to_owned(),
                text("version"),
                text("state"),
                running.map_or_else(|| "no".to_owned(), |isolates| isolates.to_string()),
                events(version.get("event_types")),
            ]);
        }
    }
    aligned(&lines)
}

fn cell(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).map_or_else(|| "-".to_owned(), cut)
}

/// The first types of events, and how many more there are.
fn events(types: Option<&Value>) -> String {
    let types: Vec<_> = types.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let named = types.iter().take(MOST_EVENTS).map(|kind| cut(kind)).collect::<Vec<_>>().join(",");
    match types.len().saturating_sub(MOST_EVENTS) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => printable(&text[..end]) + "…",
        None => printable(text),
    }
}

/// Columns as wide as what is in them.
fn aligned(lines: &[Vec<String>]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_listed_a_version_a_line() {
        let active = serde_json::json!({ "version": "abc-1", "state": "activated", "isolates": 1, "event_types": ["install", "fetch"] });
        let text = table(&serde_json::json!([{ "scope": "http://a.test/", "active": active, "waiting": null }]));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            lines[1].split_whitespace().collect::<Vec<_>>(),
            ["http://a.test/", "active", "abc-1", "activated", "1", "install,fetch"]
        );
        assert_eq!(lines[0].find("VERSION"), lines[1].find("abc-1"));
    }

    #[test]
    fn values_of_any_length_are_cut_and_a_terminal_obeys_none() {
        let types: Vec<_> = (0..100_000).map(|number| format!("\u{1b}[2J{}", "x".repeat(number % 1000))).collect();
        let active = serde_json::json!({ "version": "v".repeat(100_000), "state": "activated", "event_types": types });
        let scope = format!("http://a.test/{}", "ä".repeat(100_000));
        let text =
            table(&serde_json::json!([{ "scope": scope, "active": active }, { "waiting": { "event_types": 1 } }]));
        assert!(text.chars().count() < 4000, "{}", text.len());
        assert!(text.contains("… ") && text.contains(" and 99988 more"), "{text}");
        assert!(text.chars().all(|character| character == '\n' || !character.is_control()));
    }
}
