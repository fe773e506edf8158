//! `waystore cache explain`: why a look-up finds what it finds.

use std::{io::Write, sync::Arc};

use serde::Serialize;
use waystore::{CacheQueryOptions, Considered, Waystore};

use super::{
    Place, Stop,
    columns::printable,
    data::Data,
    get::{parse_header, request},
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

pub(super) async fn explain(data: &Data, args: &ExplainArgs, out: &mut dyn Write) -> Result<(), Stop> {
    let owner = data.owner(args.place.origin.as_deref()).await?;
    data.cache(&owner, &args.cache).await?;
    let caches = Waystore::with_store(Arc::clone(&data.store), Arc::clone(&data.clock)).caches(owner.origin())?;
    let cache = caches.open(args.cache.as_str()).await?;
    let request = request(&args.url, &args.headers, &owner)?;
    let explanation = cache.explain(&request, CacheQueryOptions::default()).await?;
    let is_answer = |considered: &Considered| Some(considered.id) == explanation.answer;
    if args.json {
        let candidates = explanation.considered.iter().map(|considered| Candidate {
            url: considered.request.url.as_str(),
            verdict: considered.verdict.to_string(),
            answers: is_answer(considered),
        });
        let told = Told { hit: explanation.answer.is_some(), candidates: candidates.collect() };
        serde_json::to_writer_pretty(&mut *out, &told).map_err(std::io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    let (url, name) = (printable(request.url.as_str()), printable(&args.cache));
    match explanation.answer {
        Some(_) => writeln!(out, "hit: `{url}` is in `{name}`")?,
        None => writeln!(out, "miss: `{url}` is not in `{name}`")?,
    }
    if explanation.considered.is_empty() {
        writeln!(out, "  nothing is stored under this URL, with any query")?;
    }
    for considered in &explanation.considered {
        let verdict = if is_answer(considered) { "answers".to_owned() } else { considered.verdict.to_string() };
        writeln!(out, "  {}  {}", printable(considered.request.url.as_str()), printable(&verdict))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Told<'a> {
    hit: bool,
    candidates: Vec<Candidate<'a>>,
}

#[derive(Serialize)]
struct Candidate<'a> {
    url: &'a str,
    /// The rule that decided, in words.
    verdict: String,
    /// Whether it is what the look-up gives.
    answers: bool,
}
