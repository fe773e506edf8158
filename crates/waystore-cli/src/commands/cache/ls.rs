//! `waystore cache ls`: the caches, how much is in them, and since when.

use std::io::Write;

use serde::Serialize;
use waystore::{CacheName, StorageKey, store::List};

use super::{
    Place, Stop,
    columns::{age, printable, size, timestamp},
    data::{Data, body_bytes},
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

pub(super) async fn ls(data: &Data, args: &LsArgs, out: &mut dyn Write) -> Result<(), Stop> {
    let owners = match &args.place.origin {
        Some(origin) => vec![data.owner(Some(origin)).await?],
        None => data.owners().await?,
    };
    let mut caches = Vec::new();
    for owner in &owners {
        for (name, list) in data.caches(owner).await? {
            caches.push(Summary::of(data, owner, &name, &list).await?);
        }
    }
    match () {
        () if args.json => write_json(&caches, out),
        () if caches.is_empty() => {
            eprintln!("`{}` holds no caches", data.dir());
            Ok(())
        }
        () => write_table(&caches, owners.len() > 1, data.clock.now_ms(), out),
    }
}

/// One cache in a line.
#[derive(Debug, Serialize)]
struct Summary {
    origin: String,
    cache: String,
    entries: u64,
    /// Of the bodies.
    bytes: u64,
    oldest: Option<Stored>,
    newest: Option<Stored>,
}

/// When something was stored, in milliseconds since 1970; as a timestamp in JSON.
#[derive(Debug, Clone, Copy)]
struct Stored(u64);

impl Serialize for Stored {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        timestamp(self.0).serialize(serializer)
    }
}

impl Summary {
    async fn of(data: &Data, owner: &StorageKey, name: &CacheName, list: &List) -> Result<Self, Stop> {
        let mut summary = Self {
            origin: owner.to_string(),
            cache: name.to_string(),
            entries: 0,
            bytes: 0,
            oldest: None,
            newest: None,
        };
        let count = |entry: &waystore::store::Candidate| {
            let stored = Stored(entry.stored_at_ms);
            summary.entries += 1;
            summary.bytes += body_bytes(&entry.body);
            summary.oldest.get_or_insert(stored);
            summary.newest = Some(stored);
            Ok(())
        };
        data.each_entry(list, count).await?;
        Ok(summary)
    }
}

fn write_json(caches: &[Summary], out: &mut dyn Write) -> Result<(), Stop> {
    serde_json::to_writer_pretty(&mut *out, caches).map_err(std::io::Error::from)?;
    Ok(writeln!(out)?)
}

fn write_table(caches: &[Summary], with_origin: bool, now_ms: u64, out: &mut dyn Write) -> Result<(), Stop> {
    let mut rows = vec![["ORIGIN", "CACHE", "ENTRIES", "SIZE", "OLDEST", "NEWEST"].map(str::to_owned)];
    let age_of = |stored: Option<Stored>| stored.map_or_else(|| "-".to_owned(), |Stored(then)| age(then, now_ms));
    rows.extend(caches.iter().map(|cache| {
        [
            printable(&cache.origin),
            printable(&cache.cache),
            cache.entries.to_string(),
            size(cache.bytes),
            age_of(cache.oldest),
            age_of(cache.newest),
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    for [origin, cache, numbers @ ..] in &rows {
        if with_origin {
            write!(out, "{origin:<0$}  ", widths[0])?;
        }
        write!(out, "{cache:<0$}", widths[1])?;
        for (number, width) in numbers.iter().zip(&widths[2..]) {
            write!(out, "  {number:>width$}")?;
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
        let done = block_on(ls(&sample.data(), &LsArgs { place: place(origin), json }, &mut out));
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
            "CACHE        ENTRIES     SIZE  OLDEST  NEWEST\n\
             pages              2  2.0 KiB     0 s     0 s\n\
             empty-after        1      1 B     0 s     0 s\n"
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
