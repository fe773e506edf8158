//! What the store says when the disk fails, and where it waits for the disk.

use std::io;

use crate::{Error, Result};

/// The error for a write of `requested` bytes that failed.
pub(super) fn disk_error(error: io::Error, requested: u64) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::QuotaExceeded { requested: Some(requested), quota: None }
        }
        _ => Error::unavailable(error),
    }
}

/// Runs what may wait for the disk on a thread that may, or here where there is no runtime.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await.map_err(Error::unavailable),
        Err(_) => Ok(work()),
    }
}
