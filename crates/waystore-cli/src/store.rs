//! Where the store is opened: the one place that knows which kind it is.

use std::path::Path;

use waystore::{Waystore, store::disk::DiskOptions};

use crate::failure::Failure;

/// Fails where there is nothing at `data`.
pub(crate) fn must_exist(data: &Path) -> Result<(), Failure> {
    if data.exists() { Ok(()) } else { Err(none(data, "")) }
}

/// There is no store at `data`.
pub(crate) fn none(data: &Path, reason: &str) -> Failure {
    Failure::failed(format!("no cache store at `{}`{reason}", data.display()))
        .hint("`waystore serve` makes one; another place is given with `--data DIR`")
}

/// Opens the store in the directory `data`, which is made where there is none.
///
/// # Errors
///
/// Another process holds it, it is not ours, or the disk refused.
pub(crate) async fn open(data: &Path) -> Result<Waystore, Failure> {
    open_with(data, DiskOptions::default()).await
}

/// Opens the store in the directory `data` in this way.
///
/// # Errors
///
/// As [`open`].
pub(crate) async fn open_with(data: &Path, options: DiskOptions) -> Result<Waystore, Failure> {
    Ok(Waystore::open_with(data, options).await?)
}
