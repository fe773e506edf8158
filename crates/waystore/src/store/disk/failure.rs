//! What the store says when the disk fails, and where it waits for the disk.

use std::io;

use rustix::io::Errno;

use crate::{Error, Result};

/// The error for a write of `requested` bytes that failed.
pub(super) fn disk_error(error: io::Error, requested: u64) -> Error {
    if is_full(&error) {
        Error::QuotaExceeded { requested: Some(requested), quota: None }
    } else {
        Error::unavailable(error)
    }
}

/// Whether there is no room: on the disk, or for whoever runs the process.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether a sync failed before the disk was asked: no file could be opened. It can be tried again.
pub(super) fn never_began(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// Runs what may wait for the disk on a thread that may, or here where there is no runtime.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    Started::new(work).finished().await
}

/// Work that may wait for the disk and goes on while nobody asks for it.
pub(super) enum Started<T> {
    There(tokio::task::JoinHandle<T>),
    Done(T),
}

impl<T: Send + 'static> Started<T> {
    /// Starts `work` on a thread that may wait, or does it here where there is no runtime.
    pub(super) fn new(work: impl FnOnce() -> T + Send + 'static) -> Self {
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => Self::There(runtime.spawn_blocking(work)),
            Err(_) => Self::Done(work()),
        }
    }

    /// Waits for the result.
    pub(super) async fn finished(self) -> Result<T> {
        match self {
            Self::There(work) => work.await.map_err(Error::unavailable),
            Self::Done(result) => Ok(result),
        }
    }
}
