//! Where the store is opened: the one place that knows which kind it is.

use std::path::Path;

use waystore::Waystore;

use crate::failure::Failure;

/// Opens the store in the directory `data`, which is made where there is none.
///
/// # Errors
///
/// Another process holds it, it is not ours, or the disk refused.
pub(crate) async fn open(data: &Path) -> Result<Waystore, Failure> {
    Ok(Waystore::open(data).await?)
}
