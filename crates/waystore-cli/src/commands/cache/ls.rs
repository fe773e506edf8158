//! `waystore cache ls`: the caches, how much is in them, and since when.

use std::io::Write;

use super::{
    Stop,
    columns::{age, age_in_minutes, printable, size, widths},
    place::{Place, Reach},
    unexpected,
};
use crate::{
    caches::{Moment, Part, Question, Record, Summary},
    commands::json::write_json,
    talk::tell,
};

/// What `waystore cache ls` takes.
#[derive(Debug, clap::Args)]
pub(super) struct LsArgs {
    #[command(flatten)]
    pub(super) place: Place,
    /// Write one JSON array.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn ls(args: &LsArgs, reach: Reach, out: &mut dyn Write) -> Result<(), Stop> {
    let now_ms = reach.now_ms();
    let mut answer = args.place.ask(reach, Question::Ls, None).await?;
    let mut caches = Vec::new();
    while let Some(part) = answer.next().await? {
        match part {
            Part::Record(record) => match *record {
                Record::Summary(summary) => caches.push(summary),
                _ => return Err(unexpected().into()),
            },
            Part::Bytes(_) => return Err(unexpected().into()),
        }
    }
    match () {
        () if args.json => Ok(write_json(&caches, out)?),
        () if caches.is_empty() => {
            tell!("`{}` holds no caches", args.place.data.display());
            Ok(())
        }
        () => write_table(&caches, now_ms, out),
    }
}

fn write_table(caches: &[Summary], now_ms: u64, out: &mut dyn Write) -> Result<(), Stop> {
    let with_origin = caches.iter().any(|cache| cache.origin != caches[0].origin);
    let mut rows = vec![["ORIGIN", "CACHE", "ENTRIES", "SIZE", "OLDEST", "NEWEST", "USED", "HITS"].map(str::to_owned)];
    let age_of = |stored: Option<Moment>| stored.map_or_else(|| "-".to_owned(), |Moment(then)| age(then, now_ms));
    rows.extend(caches.iter().map(|cache| {
        [
            printable(&cache.origin),
            printable(&cache.cache),
            cache.entries.to_string(),
            size(cache.bytes),
            age_of(cache.oldest),
            age_of(cache.newest),
            cache.used.map_or_else(|| "-".to_owned(), |used| age_in_minutes(used.0, now_ms)),
            cache.hits.to_string(),
        ]
    }));
    let widths = widths(&rows);
    let recording = caches.iter().map(|cache| cache.recording);
    for ([origin, cache, numbers @ ..], recording) in rows.iter().zip(std::iter::once(0).chain(recording)) {
        if with_origin {
            write!(out, "{origin:<0$}  ", widths[0])?;
        }
        write!(out, "{cache:<0$}", widths[1])?;
        for (number, width) in numbers.iter().zip(&widths[2..]) {
            write!(out, "  {number:>width$}")?;
        }
        if recording > 0 {
            write!(out, "  ({recording} more being recorded)")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::commands::cache::samples::{Sample, block_on, failure, place};

    fn run(sample: &Sample, origin: Option<&str>, json: bool) -> Result<String, String> {
        let mut out = Vec::new();
        let done = block_on(async { ls(&LsArgs { place: place(origin), json }, sample.reach(), &mut out).await });
        done.map(|()| String::from_utf8(out).unwrap()).map_err(failure)
    }

    #[test]
    fn the_table_has_a_line_for_each_cache_in_the_order_they_were_made() {
        let sample = Sample::new();
        sample.put("https://a.test", "pages", "/", "hello");
        sample.put("https://a.test", "empty-after", "/x", "x");
        sample.put("https://a.test", "pages", "/b", &"b".repeat(2000));
        let table = run(&sample, None, false).unwrap();
        assert_eq!(
            table,
            "CACHE        ENTRIES     SIZE  OLDEST  NEWEST  USED  HITS\n\
             pages              2  2.0 KiB     0 s     0 s     -     0\n\
             empty-after        1      1 B     0 s     0 s     -     0\n"
        );
    }

    #[test]
    fn origins_are_named_only_where_there_are_several() {
        let sample = Sample::new();
        sample.put("https://a.test", "v1", "/", "1");
        sample.put("https://b.test", "v1", "/", "2");
        let table = run(&sample, None, false).unwrap();
        assert!(table.starts_with("ORIGIN          CACHE  ENTRIES"), "{table}");
        let table = run(&sample, Some("https://b.test/any/path"), false).unwrap();
        assert!(table.starts_with("CACHE  ENTRIES"), "{table}");
    }

    #[test]
    fn json_has_numbers_as_numbers_and_times_as_timestamps() {
        let sample = Sample::new();
        sample.put("https://a.test", "v1", "/", "hello");
        let caches: Value = serde_json::from_str(&run(&sample, None, true).unwrap()).unwrap();
        assert_eq!(caches[0]["origin"], "https://a.test");
        assert_eq!((&caches[0]["entries"], &caches[0]["bytes"]), (&json!(1), &json!(5)));
        assert!(caches[0]["oldest"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn nothing_is_an_empty_table_and_an_empty_array() {
        let sample = Sample::new();
        assert_eq!(run(&sample, None, false).unwrap(), "");
        assert_eq!(run(&sample, None, true).unwrap(), "[]\n");
    }

    #[test]
    fn an_origin_without_caches_is_an_error_that_names_those_with() {
        let sample = Sample::new();
        sample.put("https://a.test", "v1", "/", "1");
        let error = run(&sample, Some("https://b.test"), false).unwrap_err();
        assert!(
            error.contains("`https://b.test`") && error.contains("hint: it holds those of `https://a.test`"),
            "{error}"
        );
        let error = run(&sample, Some("data:,x"), false).unwrap_err();
        assert!(error.contains("`data:,x` is not an origin"), "{error}");
    }
}
