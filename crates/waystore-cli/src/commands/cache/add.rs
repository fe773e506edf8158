//! `waystore cache add`: fetches URLs and stores all of them, or none.

use std::{io::Write, path::PathBuf};

use serde::Serialize;

use super::{
    Stop,
    columns::printable,
    only,
    place::{Place, Reach},
    unexpected,
};
use crate::{
    caches::{Changed, Question, Record},
    commands::json::write_json,
    talk::tell,
};

/// What `waystore cache add` takes.
#[derive(Debug, clap::Args)]
pub(super) struct AddArgs {
    /// The cache's name; made where there is none.
    #[arg(value_name = "CACHE")]
    pub(super) cache: String,
    /// The URLs to fetch; without scheme and host, at the origin.
    #[arg(value_name = "URL", required = true)]
    pub(super) urls: Vec<String>,
    /// A PEM file of certificate authorities to trust, beside the well-known ones. Of no use while a gateway runs,
    /// which fetches itself, as it does for its worker.
    #[arg(long, value_name = "FILE")]
    pub(super) cacert: Option<PathBuf>,
    #[command(flatten)]
    pub(super) place: Place,
    /// Tell what was stored as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn add(args: &AddArgs, reach: Reach, out: &mut dyn Write) -> Result<(), Stop> {
    let question = Question::Add { cache: args.cache.clone(), urls: args.urls.clone() };
    let answer = args.place.ask(reach, question, None).await?;
    let Record::Changed(Changed::Added { urls }) = only(answer).await? else { return Err(unexpected().into()) };
    if args.json {
        let told = Told { cache: &args.cache, urls: &urls };
        write_json(&told, out)?;
    } else {
        let what = match &urls[..] {
            [only] => format!("`{}`", printable(only)),
            several => format!("{} responses", several.len()),
        };
        tell!("stored {what} in `{}`", printable(&args.cache));
    }
    Ok(())
}

#[derive(Serialize)]
struct Told<'a> {
    cache: &'a str,
    urls: &'a [String],
}
