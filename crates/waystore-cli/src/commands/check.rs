//! `waystore check`: verifies a data directory, also while a gateway writes to it, and repairs it while none does.
//!
//! Says what was found; what a check looks at is the library's business.

mod told;

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use waystore::{
    Error,
    store::disk::{CheckProgress, CheckReport, DiskStore, RepairReport},
};

use super::cache::progress::Line;
use crate::{failure::Failure, store};

/// What `waystore check` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The data directory.
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// Keep all that is whole, and move what is damaged to `DIR/damaged`. No gateway may run on the directory.
    #[arg(long)]
    repair: bool,
    /// Write one JSON object.
    #[arg(long)]
    json: bool,
}

/// Verifies, and repairs where asked to. Damage that was found, and is left, is a failure.
pub(crate) fn run(args: &CheckArgs) -> Result<(), Failure> {
    store::must_exist(&args.data)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("the runtime did not start: {error}")))?;
    let mut out = BufWriter::new(io::stdout().lock());
    if args.repair {
        let report = runtime.block_on(DiskStore::repair(&args.data, progress("repairing")));
        let report = report.map_err(|error| refused(&args.data, error))?;
        written(told::repair(&report, &args.data, args.json, &mut out).and_then(|()| out.flush()))?;
        return left(&report, &args.data);
    }
    let report = runtime.block_on(DiskStore::check(&args.data, progress("checking")));
    let report = report.map_err(|error| refused(&args.data, error))?;
    written(told::check(&report, &args.data, args.json, &mut out).and_then(|()| out.flush()))?;
    found(&report, &args.data)
}

/// Shows how far it is, where somebody looks.
fn progress(verb: &'static str) -> impl FnMut(CheckProgress) + Send + 'static {
    let mut line = Line::new(verb, None);
    move |progress| line.set(progress.done, progress.total)
}

fn refused(data: &Path, error: Error) -> Failure {
    match error {
        Error::NotAStore { reason, .. } => store::none(data, &format!(": {reason}")),
        error @ Error::Locked { .. } => Failure::failed(error.to_string())
            .hint("stop the gateway first; without `--repair` the directory can be checked while it runs"),
        error => store::unopened(data, error),
    }
}

/// Whoever read the output, such as `head`, may have seen enough.
fn written(done: io::Result<()>) -> Result<(), Failure> {
    match done {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("writing the output failed: {error}")))
        }
        _ => Ok(()),
    }
}

fn found(report: &CheckReport, data: &Path) -> Result<(), Failure> {
    if report.is_whole() {
        return Ok(());
    }
    let repair = format!("`waystore check --repair --data {}` keeps all that is whole", data.display());
    let failure = Failure::failed(format!("`{}` is damaged: {}", data.display(), told::counted(report)));
    Err(match report.writer {
        Some(writer) => {
            let process = writer.pid.map_or_else(|| "the process".to_owned(), |pid| format!("process {pid}"));
            failure.hint(format!("stop {process} that writes to it, then {repair}"))
        }
        None => failure.hint(repair),
    })
}

fn left(report: &RepairReport, data: &Path) -> Result<(), Failure> {
    if report.after.is_whole() {
        return Ok(());
    }
    let told = told::counted(&report.after);
    Err(Failure::failed(format!("`{}` is damaged still: {told}", data.display()))
        .hint("the disk may be failing: copy the directory to another, and repair it there"))
}
