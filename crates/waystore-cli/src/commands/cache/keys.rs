//! `waystore cache keys`: what a cache holds, an entry a line, oldest first.

use std::io::Write;

use super::{
    Stop,
    columns::{age, age_in_minutes, printable, size, widths},
    place::{Place, Reach},
    unexpected,
};
use crate::{
    caches::{Key, Moment, Part, Question, Record},
    talk::tell,
};

/// Rows that say how wide the columns are.
const ROWS: usize = 256;

/// What `waystore cache keys` takes.
#[derive(Debug, clap::Args)]
pub(super) struct KeysArgs {
    /// The cache's name.
    #[arg(value_name = "CACHE")]
    pub(super) cache: String,
    /// Only URLs that start like this; without scheme and host, at the origin.
    #[arg(long, value_name = "URL")]
    pub(super) prefix: Option<String>,
    #[command(flatten)]
    pub(super) place: Place,
    /// Write one JSON array, with all headers.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn keys(args: &KeysArgs, reach: Reach, out: &mut dyn Write) -> Result<(), Stop> {
    let now_ms = reach.now_ms();
    let question = Question::Keys { cache: args.cache.clone(), prefix: args.prefix.clone() };
    let mut answer = args.place.ask(reach, question, None).await?;
    let mut written = 0_u64;
    let mut table = Table::default();
    while let Some(part) = answer.next().await? {
        let Part::Record(record) = part else { return Err(unexpected().into()) };
        let Record::Key(key) = *record else { return Err(unexpected().into()) };
        if args.json {
            out.write_all(if written == 0 { b"[\n" } else { b",\n" })?;
            serde_json::to_writer(&mut *out, &key).map_err(std::io::Error::from)?;
        } else {
            table.add(&key, now_ms, out)?;
        }
        written += 1;
    }
    if args.json {
        out.write_all(if written == 0 { b"[]\n" } else { b"\n]\n" })?;
    } else if written == 0 {
        let name = printable(&args.cache);
        match &args.prefix {
            Some(prefix) => tell!("no entry of `{name}` starts with `{}`", printable(prefix)),
            None => tell!("`{name}` is empty"),
        }
    }
    Ok(table.write(out)?)
}

/// Lines that wait until it is known how wide their columns are.
#[derive(Default)]
struct Table {
    widths: Option<[usize; 6]>,
    rows: Vec<([String; 6], String)>,
}

impl Table {
    fn add(&mut self, key: &Key, now_ms: u64, out: &mut dyn Write) -> std::io::Result<()> {
        let mime = key.response_header("content-type").unwrap_or_default();
        let essence = mime.split(';').next().unwrap_or_default().trim();
        let since = |then: Option<Moment>, age: fn(u64, u64) -> String| {
            then.map_or_else(|| "-".to_owned(), |then| age(then.0, now_ms))
        };
        let (stored, used) = (since(key.stored_at, age), since(key.last_used, age_in_minutes));
        let mime = printable(if essence.is_empty() { "-" } else { essence });
        self.rows.push(([status(key), size(key.bytes), stored, used, key.hits.to_string(), mime], rest(key)));
        if self.rows.len() < ROWS { Ok(()) } else { self.write(out) }
    }

    /// Writes what waits. The first rows say how wide the columns are for all.
    fn write(&mut self, out: &mut dyn Write) -> std::io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let [status, size, age, used, hits, mime] = match self.widths {
            Some(widths) => widths,
            None => {
                let head = (["STATUS", "SIZE", "AGE", "USED", "HITS", "TYPE"].map(str::to_owned), "URL".to_owned());
                self.rows.insert(0, head);
                *self.widths.insert(widths(self.rows.iter().map(|(cells, _)| cells)))
            }
        };
        for (cells, rest) in self.rows.drain(..) {
            let [a, b, c, d, e, f] = cells;
            writeln!(out, "{a:>status$}  {b:>size$}  {c:>age$}  {d:>used$}  {e:>hits$}  {f:<mime$}  {rest}")?;
        }
        Ok(())
    }
}

/// The URL, and what there is to say of it.
fn rest(key: &Key) -> String {
    let mut text = printable(&key.url);
    if let Some(vary) = key.response_header("vary") {
        text.push_str(&format!("  (varies by {})", printable(&vary)));
    }
    for (note, holds) in [("for one visitor", key.personal), ("pinned", key.pinned), ("being recorded", key.recording)]
    {
        if holds {
            text.push_str(&format!("  ({note})"));
        }
    }
    text
}

/// The status, or why a script sees none.
fn status(key: &Key) -> String {
    match key.kind.as_str() {
        kind @ ("opaque" | "opaqueredirect") => kind.to_owned(),
        _ => key.status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::commands::cache::samples::{Sample, block_on, failure, place};

    fn run(sample: &Sample, cache: &str, prefix: Option<&str>, json: bool) -> Result<String, String> {
        let args = KeysArgs { cache: cache.to_owned(), prefix: prefix.map(str::to_owned), place: place(None), json };
        let mut out = Vec::new();
        let done = block_on(async { keys(&args, sample.reach(), &mut out).await });
        done.map(|()| String::from_utf8(out).unwrap()).map_err(failure)
    }

    #[test]
    fn a_line_has_status_size_ages_hits_type_and_url() {
        let sample = Sample::new();
        sample.put("https://a.test", "v1", "/x?y#z", "hello");
        let table = run(&sample, "v1", None, false).unwrap();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(
            lines[0].split_whitespace().collect::<Vec<_>>(),
            ["STATUS", "SIZE", "AGE", "USED", "HITS", "TYPE", "URL"]
        );
        assert_eq!(
            lines[1].split_whitespace().collect::<Vec<_>>(),
            ["200", "5", "B", "0", "s", "-", "0", "text/plain", "https://a.test/x?y#z"]
        );
        assert_eq!(lines[0].find("URL"), lines[1].find("https:"), "the columns are aligned");
    }

    #[test]
    fn more_entries_than_a_page_are_all_listed_once_and_in_order() {
        let sample = Sample::new();
        for number in 0..600 {
            sample.put("https://a.test", "v1", &format!("/{number}"), "x");
        }
        let table = run(&sample, "v1", None, false).unwrap();
        let urls: Vec<_> = table.lines().skip(1).filter_map(|line| line.split_whitespace().last()).collect();
        let expected: Vec<_> = (0..600).map(|number| format!("https://a.test/{number}")).collect();
        assert_eq!(urls, expected);
    }

    #[test]
    fn a_prefix_may_be_a_path_or_a_url() {
        let sample = Sample::new();
        for path in ["/a/1", "/a/2", "/b"] {
            sample.put("https://a.test", "v1", path, "x");
        }
        for prefix in ["/a/", "https://a.test/a/"] {
            let table = run(&sample, "v1", Some(prefix), false).unwrap();
            assert_eq!(table.lines().count(), 3, "{table}");
        }
        assert_eq!(run(&sample, "v1", Some("/c"), false).unwrap(), "");
        assert_eq!(run(&sample, "v1", Some("/c"), true).unwrap(), "[]\n");
    }

    #[test]
    fn json_has_the_headers_of_both_sides() {
        let sample = Sample::new();
        sample.put("https://a.test", "v1", "/", "hello");
        sample.put("https://a.test", "v1", "/2", "hello");
        let keys: Value = serde_json::from_str(&run(&sample, "v1", None, true).unwrap()).unwrap();
        assert_eq!(keys.as_array().unwrap().len(), 2);
        assert_eq!(keys[0]["url"], "https://a.test/");
        assert_eq!(keys[0]["responseHeaders"][0], serde_json::json!(["content-type", "text/plain"]));
        assert_eq!(keys[0]["personal"], false);
    }

    #[test]
    fn an_unknown_cache_is_an_error_that_names_the_known_ones() {
        let sample = Sample::new();
        sample.put("https://a.test", "v1", "/", "x");
        let error = run(&sample, "v2", None, false).unwrap_err();
        assert_eq!(error, "error: `https://a.test` has no cache `v2`\nhint: its caches are `v1`");
    }

    #[test]
    fn several_origins_want_one_to_be_named() {
        let sample = Sample::new();
        sample.put("https://a.test", "v1", "/", "x");
        sample.put("https://b.test", "v1", "/", "x");
        let error = run(&sample, "v1", None, false).unwrap_err();
        assert!(error.contains("`--origin`: `https://a.test`, `https://b.test`"), "{error}");
    }
}
