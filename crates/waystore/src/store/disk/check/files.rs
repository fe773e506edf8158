//! The files of a data directory: which there are, how long they are, and whether the disk can read them.
//!
//! Knows names and lengths, nothing of what is in a file.

use std::{collections::BTreeMap, io};

use super::{is_missing, report::CheckProgress};
use crate::store::disk::{
    io::{Access, DiskFile, DiskIo},
    segment::Segment,
};

/// What is read in one go.
const WINDOW: usize = 1024 * 1024;
/// What is tried by itself where a window cannot be read.
pub(super) const PAGE: usize = 4096;

/// The files that are there, with their lengths.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Segments and the checkpoint.
    pub(super) read_whole: BTreeMap<String, u64>,
    pub(super) bodies: BTreeMap<String, u64>,
    /// What has no business in `log/` or `bodies/`.
    pub(super) foreign: Vec<String>,
    pub(super) temporary: Vec<String>,
    /// Folders that have to be there and are not.
    pub(super) missing: Vec<&'static str>,
}

impl Files {
    pub(super) fn list(io: &dyn DiskIo) -> io::Result<Self> {
        let mut files = Self::default();
        for name in files.names(io, "log")? {
            let path = format!("log/{name}");
            match Segment::number_of(&name) {
                Some(_) => files.read_whole.extend(length(io, path)?),
                None => files.foreign.push(path),
            }
        }
        files.read_whole.extend(length(io, "checkpoint".into())?);
        for owner in files.names(io, "bodies")? {
            files.list_owner(io, &format!("bodies/{owner}"))?;
        }
        files.temporary = files.names(io, "tmp")?.into_iter().map(|name| format!("tmp/{name}")).collect();
        Ok(files)
    }

    fn list_owner(&mut self, io: &dyn DiskIo, dir: &str) -> io::Result<()> {
        match io.list(dir) {
            Err(error) if is_missing(&error) => self.foreign.push(dir.to_owned()),
            Err(error) => return Err(error),
            Ok(names) => {
                for name in names {
                    self.bodies.extend(length(io, format!("{dir}/{name}"))?);
                }
            }
        }
        Ok(())
    }

    fn names(&mut self, io: &dyn DiskIo, dir: &'static str) -> io::Result<Vec<String>> {
        match io.list(dir) {
            Err(error) if is_missing(&error) => {
                self.missing.push(dir);
                Ok(Vec::new())
            }
            names => names,
        }
    }

    pub(super) fn count(&self) -> u64 {
        (self.read_whole.len() + self.bodies.len()) as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        self.read_whole.values().chain(self.bodies.values()).sum()
    }
}

/// A file with its length; nothing where it went meanwhile.
fn length(io: &dyn DiskIo, path: String) -> io::Result<Option<(String, u64)>> {
    match io.length(&path) {
        Err(error) if is_missing(&error) => Ok(None),
        length => Ok(Some((path, length?))),
    }
}

/// A place that the disk cannot read.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) offset: u64,
    pub(super) error: io::Error,
}

/// Reads all of a file, so that what is mapped later is known to be readable. Returns the first place that is not.
pub(super) fn read_through(io: &dyn DiskIo, path: &str, meter: &mut Meter<'_>) -> io::Result<Option<Unreadable>> {
    let file = match io.open(path, Access::Read) {
        // A writer took it away.
        Err(error) if is_missing(&error) => return Ok(None),
        file => file?,
    };
    let length = file.length()?;
    let mut buffer = vec![0; WINDOW.min(usize::try_from(length).unwrap_or(WINDOW))];
    let mut at = 0;
    while at < length {
        let data = file.next_data(at)?.map_or(length, |data| data.clamp(at, length));
        meter.advance(data - at);
        at = data;
        let wanted = buffer.len().min(usize::try_from(length - at).unwrap_or(WINDOW));
        if let Err(error) = file.read_at(&mut buffer[..wanted], at) {
            let offset = first_unreadable(&*file, at, wanted);
            return Ok(Some(Unreadable { offset, error }));
        }
        meter.advance(wanted as u64);
        at += wanted as u64;
    }
    Ok(None)
}

fn first_unreadable(file: &dyn DiskFile, start: u64, length: usize) -> u64 {
    let mut page = [0; PAGE];
    let pages = (0..length).step_by(PAGE).map(|offset| start + offset as u64);
    let mut pages = pages.skip_while(|at| file.read_at(&mut page, *at).is_ok());
    pages.next().unwrap_or(start)
}

/// Counts what was read.
pub(super) struct Meter<'a> {
    done: u64,
    total: u64,
    tell: &'a mut dyn FnMut(CheckProgress),
}

impl<'a> Meter<'a> {
    pub(super) fn new(total: u64, tell: &'a mut dyn FnMut(CheckProgress)) -> Self {
        Self { done: 0, total, tell }
    }

    pub(super) fn advance(&mut self, bytes: u64) {
        self.done = self.done.saturating_add(bytes).min(self.total);
        (self.tell)(CheckProgress { done: self.done, total: self.total });
    }
}
