//! `waystore cache keys`: what a cache holds, an entry a line, oldest first.

use std::io::Write;

use serde::Serialize;
use waystore::{HeaderList, ResponseType, parse_request_url, store::Candidate};

use super::{
    Place, Stop,
    columns::{age, printable, size, timestamp},
    data::{Data, body_bytes},
};
use crate::failure::Failure;

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

pub(super) async fn keys(data: &Data, args: &KeysArgs, out: &mut dyn Write) -> Result<(), Stop> {
    let owner = data.owner(args.place.origin.as_deref()).await?;
    let list = data.cache(&owner, &args.cache).await?;
    let prefix = args.prefix.as_deref().map(|prefix| absolute(prefix, owner.origin())).transpose()?;
    let wanted = |entry: &Candidate| prefix.as_deref().is_none_or(|prefix| entry.entry.url().starts_with(prefix));

    let now_ms = data.clock.now_ms();
    let mut written = 0;
    if args.json {
        write!(out, "[")?;
    }
    let write_one = |entry: &Candidate| {
        if !wanted(entry) {
            return Ok(());
        }
        if args.json {
            out.write_all(if written == 0 { b"\n" } else { b",\n" })?;
            serde_json::to_writer(&mut *out, &Key::of(entry)).map_err(std::io::Error::from)?;
        } else {
            if written == 0 {
                writeln!(out, "{:>14}  {:>10}  {:>7}  {:<24}  URL", "STATUS", "SIZE", "AGE", "TYPE")?;
            }
            write_line(entry, now_ms, out)?;
        }
        written += 1;
        Ok(())
    };
    data.each_entry(&list, write_one).await?;
    if args.json {
        writeln!(out, "{}]", if written == 0 { "" } else { "\n" })?;
    } else if written == 0 {
        eprintln!(
            "no entry of `{}` {}",
            args.cache,
            prefix.map_or("is there".to_owned(), |url| format!("starts with `{url}`"))
        );
    }
    Ok(())
}

/// `prefix` at `origin`, where it is a path. A URL is taken as it is, since it may end anywhere.
fn absolute(prefix: &str, origin: &str) -> Result<String, Failure> {
    if prefix.contains("://") {
        return Ok(prefix.to_owned());
    }
    let base = parse_request_url(origin, None)?;
    Ok(parse_request_url(prefix, Some(&base))?.to_string())
}

fn write_line(found: &Candidate, now_ms: u64, out: &mut dyn Write) -> Result<(), Stop> {
    let headers = found.entry.response_headers();
    let mime = headers.get_text("content-type").unwrap_or_default();
    let essence = mime.split(';').next().unwrap_or_default().trim();
    write!(
        out,
        "{:>14}  {:>10}  {:>7}  {:<24}  {}",
        status(found),
        size(body_bytes(&found.body)),
        age(found.stored_at_ms, now_ms),
        printable(if essence.is_empty() { "-" } else { essence }),
        printable(found.entry.url()),
    )?;
    if let Some(vary) = headers.get_text("vary") {
        write!(out, "  (varies by {})", printable(&vary))?;
    }
    if found.entry.personal().is_some() {
        write!(out, "  (for one visitor)")?;
    }
    Ok(writeln!(out)?)
}

/// The status, or why a script sees none.
fn status(found: &Candidate) -> String {
    match found.entry.kind() {
        ResponseType::Opaque => "opaque".to_owned(),
        ResponseType::OpaqueRedirect => "opaqueredirect".to_owned(),
        _ => found.entry.status().to_string(),
    }
}

/// One entry, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Key<'a> {
    url: &'a str,
    method: &'a str,
    request_headers: Vec<(String, String)>,
    status: u16,
    #[serde(rename = "type")]
    kind: &'static str,
    response_headers: Vec<(String, String)>,
    bytes: u64,
    stored_at: Option<String>,
    /// Whether it is for one visitor only.
    personal: bool,
}

impl<'a> Key<'a> {
    fn of(found: &'a Candidate) -> Self {
        let entry = &found.entry;
        Self {
            url: entry.url(),
            method: entry.method(),
            request_headers: pairs(&entry.request_headers()),
            status: entry.status(),
            kind: entry.kind().as_str(),
            response_headers: pairs(&entry.response_headers()),
            bytes: body_bytes(&found.body),
            stored_at: timestamp(found.stored_at_ms),
            personal: entry.personal().is_some(),
        }
    }
}

/// Names and values as text; bytes above ASCII are read as Latin-1, as script reads them.
pub(super) fn pairs(headers: &HeaderList) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect();
    headers.iter().map(|(name, value)| (text(name), text(value))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::commands::cache::samples::{Sample, block_on, failure, place};

    fn run(sample: &Sample, cache: &str, prefix: Option<&str>, json: bool) -> Result<String, String> {
        let args = KeysArgs { cache: cache.to_owned(), prefix: prefix.map(str::to_owned), place: place(None), json };
        let mut out = Vec::new();
        let done = block_on(keys(&sample.data(), &args, &mut out));
        done.map(|()| String::from_utf8(out).unwrap()).map_err(failure)
    }

    #[test]
    fn a_line_has_status_size_age_type_and_url() {
        let sample = Sample::new();
        sample.put("https://a.test", "v1", "/x?y#z", "hello");
        let table = run(&sample, "v1", None, false).unwrap();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["STATUS", "SIZE", "AGE", "TYPE", "URL"]);
        assert_eq!(
            lines[1].split_whitespace().collect::<Vec<_>>(),
            ["200", "5", "B", "0", "s", "text/plain", "https://a.test/x?y#z"]
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
