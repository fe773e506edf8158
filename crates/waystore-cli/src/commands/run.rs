//! `waystore run`: evaluates classic scripts as a page would.

use crate::failure::Failure;

/// What `waystore run` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {}

pub(crate) fn run(_: RunArgs) -> Result<(), Failure> {
    Err(Failure::failed("`waystore run` is not part of this build"))
}
