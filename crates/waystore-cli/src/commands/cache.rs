//! `waystore cache`: looks at the caches of an origin.

use crate::failure::Failure;

/// What `waystore cache` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct CacheArgs {}

pub(crate) fn run(_: CacheArgs) -> Result<(), Failure> {
    Err(Failure::failed("`waystore cache` is not part of this build"))
}
