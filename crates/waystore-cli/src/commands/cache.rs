//! `waystore cache`: looks at caches and changes them, in a data directory or in the gateway that runs on it.
//!
//! Each subcommand is a module: what it takes, what it asks, how it shows the answer. The answers come from
//! `crate::caches`, wherever that runs; this one knows the terminal's side of it.

mod add;
pub(super) mod columns;
mod explain;
mod get;
pub(super) mod input;
pub(super) mod interrupt;
mod keys;
mod ls;
mod output;
pub(super) mod place;
pub(super) mod progress;
mod put;
mod rm;
#[cfg(test)]
mod samples;
mod transfer;

use std::io::{self, BufWriter, Write};

use self::interrupt::Interrupt;
use crate::{
    caches::{Answer, Part, Record},
    failure::Failure,
};

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

pub(crate) fn run(args: CacheArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("the runtime did not start: {error}")))?;
    let mut out = BufWriter::new(io::stdout().lock());
    let done = runtime.block_on(carry_out(args.command, &mut out));
    // A read of stdin that nobody waits for any more.
    runtime.shutdown_background();
    ended(done, &mut out)
}

/// How a command ended that wrote to `out`.
pub(super) fn ended(done: Result<(), Stop>, out: &mut dyn Write) -> Result<(), Failure> {
    let Err(stop) = done else { return Ok(()) };
    // What was written before it failed counts, and comes before the error.
    let flushed = out.flush();
    match stop {
        Stop::NobodyReads => Ok(()),
        Stop::Failed(_) if flushed.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) => Ok(()),
        Stop::Failed(failure) => Err(failure),
    }
}

async fn carry_out(command: CacheCommand, out: &mut dyn Write) -> Result<(), Stop> {
    match command {
        CacheCommand::Ls(args) => ls::ls(&args, args.place.look().await?, out).await?,
        CacheCommand::Keys(args) => keys::keys(&args, args.place.look().await?, out).await?,
        CacheCommand::Get(args) => get::get(&args, args.place.look().await?, out).await?,
        CacheCommand::Explain(args) => explain::explain(&args, args.place.look().await?, out).await?,
        CacheCommand::Export(args) => transfer::export(&args, args.place.look().await?, out).await?,
        CacheCommand::Put(args) => {
            let interrupt = Interrupt::listen()?;
            // First: what cannot be read is no reason to make a directory.
            let body = input::open(&args.file, &interrupt).await?;
            interrupt.told(put::put(&args, args.place.make(None).await?, body, out).await)?;
        }
        CacheCommand::Add(args) => add::add(&args, args.place.make(args.cacert.clone()).await?, out).await?,
        CacheCommand::Rm(args) => rm::rm(&args, args.place.change().await?, out).await?,
        CacheCommand::Import(args) => {
            let interrupt = Interrupt::listen()?;
            let file = input::open(&args.file, &interrupt).await?;
            interrupt.told(transfer::import(&args, args.place.make(None).await?, file, out).await)?;
        }
    }
    Ok(out.flush()?)
}

/// The one record that an answer is.
async fn only(mut answer: Answer) -> Result<Record, Stop> {
    let mut only = None;
    while let Some(part) = answer.next().await? {
        if let Part::Record(record) = part {
            only = Some(*record);
        }
    }
    Ok(only.ok_or_else(unexpected)?)
}

/// The answer is to another question.
pub(super) fn unexpected() -> Failure {
    Failure::failed("the gateway answered something else than was asked").hint("start it anew with this version")
}

/// Why a command stops before its end.
#[derive(Debug)]
pub(super) enum Stop {
    Failed(Failure),
    /// Whoever read the output, such as `head`, has seen enough. Not a failure.
    NobodyReads,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
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
