//! `waystore cache`: looks at the caches in a data directory, also while a gateway writes to it, and changes
//! them while none does.
//!
//! Each subcommand is a module that writes to whatever it is given; this one knows
//! the terminal's side of it.

mod add;
mod change;
pub(super) mod columns;
mod data;
mod explain;
mod get;
mod keys;
mod ls;
pub(super) mod progress;
mod put;
mod rm;
#[cfg(test)]
mod samples;
mod transfer;

use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use self::{change::Changing, data::Data};
use crate::failure::Failure;

/// What `waystore cache` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct CacheArgs {
    #[command(subcommand)]
    command: CacheCommand,
}

#[derive(Debug, clap::Subcommand)]
enum CacheCommand {
    /// List the caches: entries, sizes, ages.
    Ls(ls::LsArgs),
    /// List what a cache holds, oldest first.
    Keys(keys::KeysArgs),
    /// Write the body of a stored response to stdout.
    Get(get::GetArgs),
    /// Store a file as a response.
    Put(put::PutArgs),
    /// Fetch URLs and store all the responses, or none.
    Add(add::AddArgs),
    /// Remove a cache, or what it holds for some URLs.
    Rm(rm::RmArgs),
    /// Tell why a look-up hits or misses.
    Explain(explain::ExplainArgs),
    /// Write a cache to one file.
    Export(transfer::ExportArgs),
    /// Make a cache of such a file.
    Import(transfer::ImportArgs),
}

/// Which data directory, and whose caches in it.
#[derive(Debug, clap::Args)]
struct Place {
    /// The data directory.
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// Whose caches, such as `https://shop.example`. Needed only where the directory holds several origins.
    #[arg(long, value_name = "URL")]
    origin: Option<String>,
}

pub(crate) fn run(args: CacheArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("the runtime did not start: {error}")))?;
    let mut out = BufWriter::new(io::stdout().lock());
    match runtime.block_on(carry_out(args.command, &mut out)) {
        Ok(()) | Err(Stop::NobodyReads) => Ok(()),
        Err(Stop::Failed(failure)) => Err(failure),
    }
}

async fn carry_out(command: CacheCommand, out: &mut dyn Write) -> Result<(), Stop> {
    match command {
        CacheCommand::Ls(args) => ls::ls(&Data::open(&args.place.data).await?, &args, out).await?,
        CacheCommand::Keys(args) => keys::keys(&Data::open(&args.place.data).await?, &args, out).await?,
        CacheCommand::Get(args) => get::get(&Data::open(&args.place.data).await?, &args, out).await?,
        CacheCommand::Explain(args) => explain::explain(&Data::open(&args.place.data).await?, &args, out).await?,
        CacheCommand::Export(args) => transfer::export(&Data::open(&args.place.data).await?, &args, out).await?,
        CacheCommand::Put(args) => {
            // First: what cannot be read is no reason to make a directory.
            let body = put::open(&args.file).await?;
            let data = Changing::open(&args.place.data).await?;
            put::put(&data, body, &args, out).await?;
            data.close().await?;
        }
        CacheCommand::Add(args) => {
            let data = Changing::open(&args.place.data).await?;
            add::add(&data, &args, out).await?;
            data.close().await?;
        }
        CacheCommand::Rm(args) => {
            let data = Changing::open_existing(&args.place.data).await?;
            rm::rm(&data, &args, out).await?;
            data.close().await?;
        }
        CacheCommand::Import(args) => {
            let file = put::open(&args.file).await?;
            let data = Changing::open(&args.place.data).await?;
            transfer::import(&data, file, &args, out).await?;
            data.close().await?;
        }
    }
    Ok(out.flush()?)
}

/// Why a command stops before its end.
#[derive(Debug)]
enum Stop {
    Failed(Failure),
    /// Whoever read the output, such as `head`, has seen enough. Not a failure.
    NobodyReads,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<waystore::Error> for Stop {
    fn from(error: waystore::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Of writing to stdout: files have messages of their own.
impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::NobodyReads,
            _ => Self::Failed(Failure::failed(format!("writing the output failed: {error}"))),
        }
    }
}
