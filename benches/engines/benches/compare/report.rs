//! What was measured, as Markdown tables: each row with its target, where it has one, and whether it is met.

use std::time::Duration;

use crate::measure::Measured;

/// Collects the rows that have a target, for the summary.
#[derive(Debug, Default)]
pub(crate) struct Report {
    title: String,
    judged: Vec<(String, Row)>,
}

/// A row of a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    what: String,
    who: String,
    value: String,
    detail: Option<[Duration; 3]>,
    ratio: Option<f64>,
    verdict: Option<Verdict>,
}

#[derive(Debug, Clone)]
struct Verdict {
    target: String,
    measured: String,
    met: bool,
}

/// What a figure must be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Report {
    /// Begins a table.
    pub(crate) fn section(&mut self, title: &str) {
        title.clone_into(&mut self.title);
        println!("\n### {title}\n");
        println!("| | | each | processor | p50 | p99 | times ours | target | measured | met |");
        println!("| --- | --- | ---: | ---: | ---: | ---: | ---: | --- | ---: | --- |");
    }

    pub(crate) fn row(&mut self, row: Row) {
        let [processor, p50, p99] = row.detail.map_or_else(Default::default, |detail| detail.map(shown));
        let ratio = row.ratio.map(times).unwrap_or_default();
        let (target, measured, met) = row.verdict_cells();
        println!(
            "| {} | {} | {} | {processor} | {p50} | {p99} | {ratio} | {target} | {measured} | {met} |",
            row.what, row.who, row.value
        );
        if row.verdict.is_some() {
            self.judged.push((self.title.clone(), row));
        }
    }

    /// A row for each contender; the first one is ours.
    pub(crate) fn compared(&mut self, what: &str, all: &[Measured], judge: impl Fn(Row, &Measured, &Measured) -> Row) {
        let Some(ours) = all.first() else { return };
        for one in all {
            let ratio = one.each.as_secs_f64() / ours.each.as_secs_f64();
            let row = Row::new(what, one.name).time(one.each).detail(one).ratio(ratio);
            self.row(judge(row, ours, one));
        }
    }

    /// All targets again, and how many are met.
    pub(crate) fn summary(&self) {
        let met = self.judged.iter().filter(|(_, row)| row.verdict.as_ref().is_some_and(|verdict| verdict.met)).count();
        println!("\n### Targets: {met} of {} met\n", self.judged.len());
        println!("| | | | target | measured | met |");
        println!("| --- | --- | --- | --- | ---: | --- |");
        for (title, row) in &self.judged {
            let (target, measured, met) = row.verdict_cells();
            println!("| {title} | {} | {} | {target} | {measured} | {met} |", row.what, row.who);
        }
    }
}

impl Row {
    pub(crate) fn new(what: &str, who: &str) -> Self {
        Self { what: what.to_owned(), who: who.to_owned(), ..Self::default() }
    }

    pub(crate) fn time(self, time: Duration) -> Self {
        Self { value: shown(time), ..self }
    }

    pub(crate) fn value(self, value: String) -> Self {
        Self { value, ..self }
    }

    /// The processor's time, and percentiles.
    fn detail(self, of: &Measured) -> Self {
        Self { detail: Some([of.processor, of.p50, of.p99]), ..self }
    }

    pub(crate) fn ratio(self, ratio: f64) -> Self {
        Self { ratio: Some(ratio), ..self }
    }

    /// Judges the ratio `measured`.
    pub(crate) fn judged(self, what: &str, target: Target, measured: f64) -> Self {
        let (sign, bound) = target.parts();
        self.verdict(
            format!("{what} {sign} {}", times(bound)).trim_start().to_owned(),
            times(measured),
            target.met(measured),
        )
    }

    /// Judges a time.
    pub(crate) fn within(self, most: Duration, measured: Duration) -> Self {
        self.verdict(format!("≤ {}", shown(most)), shown(measured), measured <= most)
    }

    /// Judges a number with a unit.
    pub(crate) fn at_most(self, most: f64, measured: f64, unit: &str) -> Self {
        self.verdict(format!("≤ {most} {unit}"), format!("{measured:.1} {unit}"), measured <= most)
    }

    fn verdict(self, target: String, measured: String, met: bool) -> Self {
        Self { verdict: Some(Verdict { target, measured, met }), ..self }
    }

    fn verdict_cells(&self) -> (&str, &str, &str) {
        let Some(verdict) = &self.verdict else { return ("", "", "") };
        (&verdict.target, &verdict.measured, if verdict.met { "yes" } else { "**no**" })
    }
}

impl Target {
    fn parts(self) -> (char, f64) {
        match self {
            Self::AtLeast(bound) => ('≥', bound),
            Self::AtMost(bound) => ('≤', bound),
        }
    }

    fn met(self, measured: f64) -> bool {
        match self {
            Self::AtLeast(bound) => measured >= bound,
            Self::AtMost(bound) => measured <= bound,
        }
    }
}

fn times(ratio: f64) -> String {
    match ratio {
        10.0.. => format!("{ratio:.1}×"),
        _ => format!("{ratio:.2}×"),
    }
}

/// A time as people read it.
pub(crate) fn shown(time: Duration) -> String {
    match time.as_nanos() {
        0..10_000 => format!("{} ns", time.as_nanos()),
        10_000..10_000_000 => format!("{:.1} µs", time.as_nanos() as f64 / 1e3),
        _ => format!("{:.1} ms", time.as_nanos() as f64 / 1e6),
    }
}
