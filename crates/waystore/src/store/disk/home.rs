//! The data directory itself: whose it is, who writes to it.

use std::{any::Any, io};

use super::{
    format::FORMAT,
    io::{Access, DiskIo, Lock},
};
use crate::{Error, Result};

/// What `format` begins with, whatever the version.
const FORMAT_BEGINS: &str = "waystore data directory, format ";

/// Opens the directory to write, made where it is missing. What is returned keeps others out.
pub(super) fn claim(io: &dyn DiskIo) -> Result<Box<dyn Any + Send + Sync>> {
    io.create_dir("").map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => not_ours(io, "it is not a directory"),
        _ => Error::unavailable(error),
    })?;
    if !is_ours(io)? {
        refuse_what_is_not_empty(io)?;
    }
    let held = lock(io)?;
    make_ready(io)?;
    Ok(held)
}

/// Keeps other writers out of a directory that is ours.
pub(super) fn lock(io: &dyn DiskIo) -> Result<Box<dyn Any + Send + Sync>> {
    match io.lock("lock", std::process::id()).map_err(Error::unavailable)? {
        Lock::Held(held) => Ok(held),
        Lock::Busy(pid) => Err(Error::Locked { dir: io.root().into(), pid }),
    }
}

/// Makes what is missing in a directory whose lock is held.
pub(super) fn make_ready(io: &dyn DiskIo) -> Result<()> {
    // There before anybody can look: a reader shares it.
    drop(io.lock("readers", std::process::id()).map_err(Error::unavailable)?);
    // Looked at again: who held the lock until now may have made it.
    if !is_ours(io)? {
        mark(io).map_err(Error::unavailable)?;
    }
    for dir in ["log", "bodies", "tmp"] {
        io.create_dir(dir).map_err(Error::unavailable)?;
    }
    io.sync_dir("").map_err(Error::unavailable)
}

/// Looks whether the directory can be read as ours. While what is returned is there, the writer uses no segment again.
pub(super) fn look(io: &dyn DiskIo) -> Result<Box<dyn Any + Send + Sync>> {
    if !is_ours(io)? {
        return Err(not_ours(io, "there is no file `format` in it"));
    }
    io.share("readers").map_err(Error::unavailable)
}

/// Whether nobody looks at the directory now. While what is returned is there, nobody begins to.
pub(super) fn exclude_readers(io: &dyn DiskIo) -> io::Result<Option<Box<dyn Any + Send + Sync>>> {
    Ok(match io.lock("readers", std::process::id())? {
        Lock::Held(held) => Some(held),
        Lock::Busy(_) => None,
    })
}

/// Whether the directory is marked as ours, and of this format.
fn is_ours(io: &dyn DiskIo) -> Result<bool> {
    match mark_of(io).map_err(Error::unavailable)? {
        Mark::Ours => Ok(true),
        Mark::None => Ok(false),
        Mark::Other(text) => Err(not_ours(io, &format!("its format is another: `{text}`"))),
        Mark::Unreadable => Err(not_ours(io, "its file `format` is not ours, or damaged")),
    }
}

/// What `format` says of the directory.
pub(super) enum Mark {
    Ours,
    /// It is of another version.
    Other(String),
    Unreadable,
    None,
}

pub(super) fn mark_of(io: &dyn DiskIo) -> io::Result<Mark> {
    let file = match io.open("format", Access::Read) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Mark::None);
        }
        Err(error) => return Err(error),
    };
    let mut text = [0; 64];
    let read = file.read_at(&mut text, 0)?;
    Ok(match std::str::from_utf8(&text[..read]) {
        Ok(FORMAT) => Mark::Ours,
        Ok(text) if text.strip_prefix(FORMAT_BEGINS).is_some_and(is_version) => Mark::Other(text.trim().into()),
        _ => Mark::Unreadable,
    })
}

fn is_version(text: &str) -> bool {
    text.strip_suffix('\n').is_some_and(|version| version.parse::<u32>().is_ok())
}

/// An empty directory can become ours, and one whose making was interrupted.
fn refuse_what_is_not_empty(io: &dyn DiskIo) -> Result<()> {
    let names = io.list("").map_err(Error::unavailable)?;
    match names.iter().find(|name| !matches!(name.as_str(), "lock" | "readers" | "format.new")) {
        Some(name) => Err(not_ours(io, &format!("there is no file `format` in it, but `{name}`"))),
        None => Ok(()),
    }
}

pub(super) fn mark(io: &dyn DiskIo) -> io::Result<()> {
    match io.unlink("format.new") {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = io.create("format.new")?;
    file.write_at(FORMAT.as_bytes(), 0)?;
    // Synced before the rename: otherwise power loss can leave the name on an empty file.
    file.sync()?;
    io.rename("format.new", "format")?;
    io.sync_dir("")
}

pub(super) fn not_ours(io: &dyn DiskIo, reason: &str) -> Error {
    Error::NotAStore { dir: io.root().into(), reason: reason.into() }
}
