//! Where the store is opened: the one place that knows which kind it is.

use std::{io, path::Path};

use waystore::{Error, Waystore, store::disk::DiskOptions};

use crate::failure::Failure;

/// Fails where there is no directory at `data`, or none that may be looked into.
pub(crate) fn must_exist(data: &Path) -> Result<(), Failure> {
    match std::fs::read_dir(data) {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::NotFound => none(data, ""),
            io::ErrorKind::NotADirectory => none(data, ": it is not a directory"),
            _ => refused(data, &error),
        }),
    }
}

/// Why the store at `data` could not be opened.
pub(crate) fn unopened(data: &Path, error: Error) -> Failure {
    let Error::Unavailable { source } = &error else { return error.into() };
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&**source);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return refused(data, error);
        }
        cause = error.source();
    }
    Failure::from(error).of(format_args!("`{}` cannot be opened", data.display()))
}

/// The disk refused the directory `data`.
pub(crate) fn refused(data: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("`{}` cannot be opened: {error}", data.display())).hint(match error.kind() {
        io::ErrorKind::PermissionDenied => "run this as the user whose directory it is: it is closed to others",
        io::ErrorKind::StorageFull => "make room on the volume that it is on, or name another place with `--data DIR`",
        _ => "look whether the disk is in order; another place is given with `--data DIR`",
    })
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
    Waystore::open_with(data, options).await.map_err(|error| unopened(data, error))
}
