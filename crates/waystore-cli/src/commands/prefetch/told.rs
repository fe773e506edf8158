//! What became of a prefetch: a table that people read, rows that programs read, and whether it is a failure.

use std::io::Write;

use waystore::prefetch::{Outcome, Prefetched, Summary};

use crate::{
    commands::{
        cache::{
            Stop,
            columns::{printable, size, widths},
        },
        json::write_json,
    },
    failure::Failure,
    talk::tell,
};

/// URLs that are named beside the table; the rest is counted.
const NAMED: usize = 20;

/// All that was told.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) rows: Vec<Prefetched>,
    pub(super) summary: Summary,
}

impl Report {
    pub(super) fn write(&self, json: bool, out: &mut dyn Write) -> Result<(), Stop> {
        if json {
            return Ok(write_json(&self.rows, out)?);
        }
        self.write_table(out)?;
        self.tell_of_the_missing();
        Ok(())
    }

    fn write_table(&self, out: &mut dyn Write) -> Result<(), Stop> {
        let mut lines = vec![["OUTCOME", "URLS", "SIZE"].map(str::to_owned)];
        for outcome in [Outcome::Stored, Outcome::Cached, Outcome::Skipped, Outcome::Failed, Outcome::Aborted] {
            let of = self.rows.iter().filter(|row| row.outcome == outcome);
            let (urls, bytes) = of.fold((0, 0), |(urls, bytes), row| (urls + 1, bytes + row.bytes));
            if urls > 0 {
                let size = if is_there(outcome) { size(bytes) } else { "-".to_owned() };
                lines.push([word(outcome).to_owned(), urls.to_string(), size]);
            }
        }
        let fetched =
            format!("{} fetched in {:.1} s", size(self.summary.bytes), self.summary.elapsed_ms as f64 / 1000.0);
        let widths = widths(&lines);
        for [outcome, urls, size] in &lines {
            writeln!(out, "{outcome:<0$}  {urls:>1$}  {size:>2$}", widths[0], widths[1], widths[2])?;
        }
        Ok(writeln!(out, "{fetched}")?)
    }

    /// Names what is not there, and why, to whoever reads along.
    fn tell_of_the_missing(&self) {
        let missing: Vec<_> = self.rows.iter().filter(|row| !is_there(row.outcome)).collect();
        for row in missing.iter().take(NAMED) {
            let reason = row.detail.as_deref().unwrap_or("no reason is known");
            tell!("{}: `{}`: {}", word(row.outcome), printable(&row.url), printable(reason));
        }
        if missing.len() > NAMED {
            tell!("and {} more; `--json` has them all", missing.len() - NAMED);
        }
    }
}

const fn is_there(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Stored | Outcome::Cached)
}

const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Stored => "stored",
        Outcome::Cached => "cached",
        Outcome::Skipped => "skipped",
        Outcome::Failed => "failed",
        Outcome::Aborted => "aborted",
    }
}

/// Fails where something that is required is not in the cache, or somebody stopped it.
pub(super) fn missing(report: &Report, cache: &str) -> Result<(), Failure> {
    let Summary { missing, aborted, .. } = report.summary;
    let again = "what is stored stays; run it again to go on";
    if aborted > 0 {
        return Err(Failure::failed(format!("interrupted: {aborted} URLs were not fetched")).hint(again));
    }
    if missing == 0 {
        return Ok(());
    }
    let required = report.rows.iter().filter(|row| row.required).count();
    Err(Failure::failed(format!("{missing} of {required} URLs are not in `{}`", printable(cache)))
        .hint(format!("{again}, or say `--optional` to do without")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(url: &str, outcome: Outcome, bytes: u64) -> Prefetched {
        Prefetched {
            url: url.to_owned(),
            outcome,
            status: None,
            bytes,
            source: None,
            followed: Vec::new(),
            from: None,
            required: true,
            attempts: 1,
            reason: None,
            detail: None,
        }
    }

    #[test]
    fn the_table_counts_each_outcome_that_there_is() {
        let rows = vec![
            row("/a", Outcome::Stored, 1024),
            row("/b", Outcome::Stored, 1024),
            row("/c", Outcome::Cached, 512),
            row("/d", Outcome::Failed, 7),
        ];
        let summary = Summary { bytes: 2055, missing: 1, elapsed_ms: 1250, ..Summary::default() };
        let report = Report { rows, summary };
        let mut out = Vec::new();
        report.write(false, &mut out).map_err(|_| ()).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "OUTCOME  URLS     SIZE\n\
             stored      2  2.0 KiB\n\
             cached      1    512 B\n\
             failed      1        -\n\
             2.0 KiB fetched in 1.2 s\n"
        );
        let failure = missing(&report, "v1").unwrap_err().to_string();
        assert!(failure.contains("1 of 4 URLs are not in `v1`") && failure.contains("--optional"), "{failure}");
    }

    #[test]
    fn what_was_interrupted_is_a_failure_and_what_is_complete_is_none() {
        let report = Report { rows: vec![row("/a", Outcome::Stored, 1)], ..Report::default() };
        missing(&report, "v1").unwrap();
        let summary = Summary { aborted: 3, ..Summary::default() };
        let failure = missing(&Report { summary, ..report }, "v1").unwrap_err().to_string();
        assert!(failure.starts_with("error: interrupted: 3 URLs"), "{failure}");
    }
}
