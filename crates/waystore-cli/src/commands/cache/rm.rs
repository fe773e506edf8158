//! `waystore cache rm`: removes a cache, or what it holds for some URLs.

use std::io::Write;

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
    failure::Failure,
    talk::tell,
};

/// What `waystore cache rm` takes.
#[derive(Debug, clap::Args)]
pub(super) struct RmArgs {
    /// The cache's name.
    #[arg(value_name = "CACHE")]
    pub(super) cache: String,
    /// Remove only what is stored for these URLs, in every variant; without one, the whole cache.
    #[arg(value_name = "URL")]
    pub(super) urls: Vec<String>,
    #[command(flatten)]
    pub(super) place: Place,
    /// Tell what was removed as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn rm(args: &RmArgs, reach: Reach, out: &mut dyn Write) -> Result<(), Stop> {
    let question = Question::Rm { cache: args.cache.clone(), urls: args.urls.clone() };
    let answer = args.place.ask(reach, question, None).await?;
    let Record::Changed(Changed::Removed { whole, removed, missing }) = only(answer).await? else {
        return Err(unexpected().into());
    };
    let name = printable(&args.cache);
    if args.json {
        let told = Told { cache: &args.cache, whole, removed: &removed, missing: &missing };
        write_json(&told, out)?;
    } else if whole {
        tell!("removed the cache `{name}`");
    } else {
        removed.iter().for_each(|url| tell!("removed `{}` from `{name}`", printable(url)));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let missing: Vec<_> = missing.iter().map(|url| format!("`{}`", printable(url))).collect();
    let are = if missing.len() == 1 { "is" } else { "are" };
    Err(Failure::failed(format!("{} {are} not in `{name}`", missing.join(", ")))
        .hint(format!("`waystore cache keys {name}` lists what is"))
        .into())
}

#[derive(Serialize)]
struct Told<'a> {
    cache: &'a str,
    /// Whether the whole cache is gone.
    whole: bool,
    removed: &'a [String],
    missing: &'a [String],
}
