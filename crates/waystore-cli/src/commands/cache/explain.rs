//! `waystore cache explain`: why a look-up finds what it finds.

use std::io::Write;

use serde::Serialize;

use super::{
    Stop,
    columns::printable,
    get::parse_header,
    only,
    place::{Place, Reach},
    unexpected,
};
use crate::{
    caches::{Candidate, Question, Record},
    commands::json::write_json,
};

/// What `waystore cache explain` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// The cache's name.
    #[arg(value_name = "CACHE")]
    pub(super) cache: String,
    /// The URL; without scheme and host, at the origin.
    #[arg(value_name = "URL")]
    pub(super) url: String,
    /// A header of the request. May be given more than once.
    #[arg(long = "header", value_name = "K: V", value_parser = parse_header)]
    pub(super) headers: Vec<(String, String)>,
    #[command(flatten)]
    pub(super) place: Place,
    /// Write one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn explain(args: &ExplainArgs, reach: Reach, out: &mut dyn Write) -> Result<(), Stop> {
    let ExplainArgs { cache, url, headers, .. } = args;
    let question = Question::Explain { cache: cache.clone(), url: url.clone(), headers: headers.clone() };
    let Record::Explained(explained) = only(args.place.ask(reach, question, None).await?).await? else {
        return Err(unexpected().into());
    };
    if args.json {
        let told = Told { hit: explained.hit, candidates: &explained.candidates };
        return Ok(write_json(&told, out)?);
    }
    let (url, name) = (printable(&explained.url), printable(cache));
    if explained.hit {
        writeln!(out, "hit: `{url}` is in `{name}`")?;
    } else {
        writeln!(out, "miss: `{url}` is not in `{name}`")?;
    }
    if explained.candidates.is_empty() {
        writeln!(out, "  nothing is stored under this URL, with any query")?;
    }
    for candidate in &explained.candidates {
        let verdict = if candidate.answers { "answers" } else { &candidate.verdict };
        writeln!(out, "  {}  {}", printable(&candidate.url), printable(verdict))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Told<'a> {
    hit: bool,
    candidates: &'a [Candidate],
}
