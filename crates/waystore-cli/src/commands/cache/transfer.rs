//! `waystore cache export` and `import`: a cache as one file.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use waystore::{Body, Waystore};

use super::{
    Place, Stop,
    change::Changing,
    columns::printable,
    data::Data,
    get::{write_body, write_file},
    progress::watched,
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

pub(super) async fn export(data: &Data, args: &ExportArgs, out: &mut dyn Write) -> Result<(), Stop> {
    let owner = data.owner(args.place.origin.as_deref()).await?;
    data.cache(&owner, &args.cache).await?;
    let caches = Waystore::with_store(Arc::clone(&data.store), Arc::clone(&data.clock)).caches(owner.origin())?;
    let file = watched(caches.open(args.cache.as_str()).await?.export(), "exporting");
    if args.file == Path::new("-") {
        return write_body(file, out).await;
    }
    write_file(file, &args.file).await?;
    eprintln!("exported `{}` to `{}`", printable(&args.cache), args.file.display());
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

pub(super) async fn import(data: &Changing, file: Body, args: &ImportArgs, out: &mut dyn Write) -> Result<(), Stop> {
    let caches = data.caches(&args.place, None).await?;
    let entries = caches.import(args.cache.as_str(), watched(file, "importing")).await?;
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &Told { cache: &args.cache, entries }).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        let entries = if entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") };
        eprintln!("imported {entries} to `{}`", printable(&args.cache));
    }
    Ok(())
}

#[derive(Serialize)]
struct Told<'a> {
    cache: &'a str,
    entries: u64,
}
