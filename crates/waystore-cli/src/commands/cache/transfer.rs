//! `waystore cache export` and `import`: a cache as one file.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use serde::Serialize;
use waystore::Body;

use super::{
    Stop,
    columns::printable,
    only,
    output::{Incoming, to_file, to_stdout},
    place::{Place, Reach},
    progress::{is_watched, watched},
    unexpected,
};
use crate::{
    caches::{Changed, Question, Record},
    commands::json::write_json,
    talk::tell,
};

/// What `waystore cache export` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// The cache's name.
    #[arg(value_name = "CACHE")]
    pub(super) cache: String,
    /// The file to write, whole or not at all; `-` is stdout.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) place: Place,
}

pub(super) async fn export(args: &ExportArgs, reach: Reach, out: &mut dyn Write) -> Result<(), Stop> {
    let question = Question::Export { cache: args.cache.clone(), watched: is_watched() };
    let answer = args.place.ask(reach, question, None).await?;
    let file = Incoming::rest(answer, "exporting", None);
    if args.file == Path::new("-") {
        return to_stdout(file, out).await;
    }
    to_file(file, &args.file).await?;
    tell!("exported `{}` to `{}`", printable(&args.cache), args.file.display());
    Ok(())
}

/// What `waystore cache import` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// The name the cache gets. One that has it already is replaced, once the file was read to its end.
    #[arg(value_name = "CACHE")]
    pub(super) cache: String,
    /// A file that `waystore cache export` wrote; `-` is stdin.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) place: Place,
    /// Tell what was imported as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn import(args: &ImportArgs, reach: Reach, file: Body, out: &mut dyn Write) -> Result<(), Stop> {
    let name = if args.file == Path::new("-") { "stdin".to_owned() } else { args.file.display().to_string() };
    let question = Question::Import { cache: args.cache.clone(), file: name, length: file.length() };
    let answer = args.place.ask(reach, question, Some(watched(file, "importing"))).await?;
    let Record::Changed(Changed::Imported { entries }) = only(answer).await? else { return Err(unexpected().into()) };
    if args.json {
        write_json(&Told { cache: &args.cache, entries }, out)?;
    } else {
        let entries = if entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") };
        tell!("imported {entries} to `{}`", printable(&args.cache));
    }
    Ok(())
}

#[derive(Serialize)]
struct Told<'a> {
    cache: &'a str,
    entries: u64,
}
