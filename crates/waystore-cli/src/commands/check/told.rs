//! What a check found, for people and for programs.

use std::{io, io::Write, path::Path};

use serde::Serialize;
use waystore::store::disk::{CheckReport, Effect, Finding, RepairReport};

use crate::{
    commands::{
        cache::columns::{printable, size},
        json::write_json,
    },
    talk::tell,
};

pub(super) fn check(report: &CheckReport, data: &Path, json: bool, out: &mut dyn Write) -> io::Result<()> {
    if json {
        return write_json(&Told::of(report, data), out);
    }
    write_findings(report, out)?;
    if report.unfinished_write {
        tell!("note: the log ends in a write that never ended; the next process that opens it goes on before that");
    }
    if let Some(writer) = report.writer {
        let process = writer.pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
        tell!("note: {process} writes to it: whether there are files that nobody needs cannot be told meanwhile");
    }
    let verdict = if report.is_whole() { "whole".to_owned() } else { counted(report) };
    writeln!(out, "{}: {verdict}", held(report))
}

pub(super) fn repair(report: &RepairReport, data: &Path, json: bool, out: &mut dyn Write) -> io::Result<()> {
    if json {
        let set_aside = report.set_aside.as_ref().map(|aside| data.join(aside).display().to_string());
        let told =
            ToldRepair { before: Told::of(&report.before, data), after: Told::of(&report.after, data), set_aside };
        return write_json(&told, out);
    }
    write_findings(&report.before, out)?;
    if report.before.is_whole() {
        return writeln!(out, "{}: whole, nothing was changed", held(&report.before));
    }
    writeln!(out, "{}: {}", held(&report.before), counted(&report.before))?;
    if let Some(aside) = &report.set_aside {
        writeln!(out, "what was damaged is in `{}`; it may be deleted", data.join(aside).display())?;
    }
    write_findings(&report.after, out)?;
    let verdict = if report.after.is_whole() { "whole now".to_owned() } else { counted(&report.after) };
    writeln!(out, "{}: {verdict}", held(&report.after))
}

/// How much was checked: `2 caches, 17 entries, 3.4 MiB in 5 files`.
fn held(report: &CheckReport) -> String {
    let (caches, entries) = (several(report.caches, "cache", "caches"), several(report.entries, "entry", "entries"));
    format!("{caches}, {entries}, {} in {}", size(report.bytes), several(report.files, "file", "files"))
}

/// How much is wrong: `3 places are damaged, 1 entry is lost`.
pub(super) fn counted(report: &CheckReport) -> String {
    let places = several(report.damage_count, "place is damaged", "places are damaged");
    let unknown = report.findings.iter().any(|finding| finding.effect == Effect::Unknown);
    match report.lost_entries {
        0 if unknown => format!("{places}, and not everything is known that is lost"),
        0 => format!("{places}, no entry is lost"),
        lost => format!("{places}, {}", several(lost, "entry is lost", "entries are lost")),
    }
}

fn several(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

fn write_findings(report: &CheckReport, out: &mut dyn Write) -> io::Result<()> {
    for finding in &report.findings {
        writeln!(out, "{}", printable(&finding.to_string()))?;
    }
    let more = (report.damage_count + report.leftover_count).saturating_sub(report.findings.len() as u64);
    if more > 0 { writeln!(out, "and {more} more") } else { Ok(()) }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToldRepair {
    before: Told,
    after: Told,
    set_aside: Option<String>,
}

/// A report for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    data: String,
    whole: bool,
    damage_count: u64,
    leftover_count: u64,
    lost_entries: u64,
    caches: u64,
    entries: u64,
    files: u64,
    bytes: u64,
    unfinished_write: bool,
    written_by: Option<Writer>,
    findings: Vec<ToldFinding>,
}

#[derive(Serialize)]
struct Writer {
    pid: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToldFinding {
    file: String,
    offset: Option<u64>,
    detail: String,
    effect: &'static str,
    lost: Option<Lost>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Lost {
    owner: String,
    bottle: &'static str,
    cache: String,
    url: Option<String>,
}

impl Told {
    fn of(report: &CheckReport, data: &Path) -> Self {
        Self {
            data: data.display().to_string(),
            whole: report.is_whole(),
            damage_count: report.damage_count,
            leftover_count: report.leftover_count,
            lost_entries: report.lost_entries,
            caches: report.caches,
            entries: report.entries,
            files: report.files,
            bytes: report.bytes,
            unfinished_write: report.unfinished_write,
            written_by: report.writer.map(|writer| Writer { pid: writer.pid }),
            findings: report.findings.iter().map(ToldFinding::of).collect(),
        }
    }
}

impl ToldFinding {
    fn of(finding: &Finding) -> Self {
        let (effect, lost) = match &finding.effect {
            Effect::Leftover => ("leftover", None),
            Effect::Harmless => ("harmless", None),
            Effect::Entry(lost) => ("entry", Some(lost)),
            // What a later version of the library tells apart is more than is known here.
            _ => ("unknown", None),
        };
        let lost = lost.map(|lost| Lost {
            owner: lost.key.to_string(),
            bottle: lost.bottle.as_str(),
            cache: lost.cache.to_string(),
            url: lost.url.clone(),
        });
        Self { file: finding.file.clone(), offset: finding.offset, detail: finding.detail.clone(), effect, lost }
    }
}
