//! An open file of the simulated disk.

use std::{
    fmt, io,
    ops::Range,
    sync::{Arc, Weak},
};

use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    super::{
        io::{DiskFile, Mapping},
        spare::Readers,
    },
    SimDisk,
    state::SECTOR,
};

pub(super) struct Handle {
    pub(super) disk: SimDisk,
    pub(super) process: u64,
    pub(super) file: usize,
    pub(super) path: String,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

impl DiskFile for Handle {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        state.alive(Some(self.process))?;
        if state.faults.unreadable.as_ref().is_some_and(|beginning| self.path.starts_with(beginning)) {
            return Err(io::Error::other("the disk cannot read"));
        }
        let last = (offset as usize).saturating_add(buffer.len().max(1) - 1) / SECTOR;
        let wanted = (self.file, offset as usize / SECTOR)..=(self.file, last);
        if state.faults.bad_sectors.range(wanted).next().is_some() {
            return Err(io::Error::other("the disk cannot read this sector"));
        }
        let bytes = state.content.bytes_of(self.file);
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let read = buffer.len().min(bytes.len() - start);
        buffer[..read].copy_from_slice(&bytes[start..start + read]);
        Ok(read)
    }

    fn read_at_hand(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        if self.disk.state().faults.far {
            return Ok(None);
        }
        self.read_at(buffer, offset).map(Some)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let goes_on = state.change(Some(self.process))?;
        let seed = state.faults.seed ^ state.changes;
        let part = StdRng::seed_from_u64(seed).random_range(0..=bytes.len());
        let failing = std::mem::take(&mut state.faults.fails_now)
            || state.faults.write_fails_after.is_some_and(|at| state.changes > at);
        let (written, error) = match state.faults.room {
            _ if !goes_on => (part, Some(io::Error::other("the process ends here"))),
            _ if failing => {
                state.faults.write_fails_after = None;
                (part, Some(io::Error::other("the disk cannot write")))
            }
            Some(room) if (room as usize) < bytes.len() => {
                (room as usize, Some(io::Error::from(io::ErrorKind::StorageFull)))
            }
            _ => (bytes.len(), None),
        };
        if let Some(room) = &mut state.faults.room {
            *room -= written as u64;
        }
        state.content.file_mut(self.file).write(&bytes[..written], offset);
        error.map_or(Ok(()), Err)
    }

    fn length(&self) -> io::Result<u64> {
        let state = self.disk.state();
        state.alive(Some(self.process))?;
        Ok(state.content.bytes_of(self.file).len() as u64)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let length = usize::try_from(length).map_err(io::Error::other)?;
        if state.content.bytes_of(self.file).len() >= length {
            return state.alive(Some(self.process));
        }
        state.change_whole(Some(self.process))?;
        if state.faults.longest.is_some_and(|longest| longest < length) {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        state.content.file_mut(self.file).grow(length);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.change_whole(Some(self.process))?;
        if state.faults.syncs_fail {
            return Err(io::Error::other("the disk cannot sync"));
        }
        state.content.file_mut(self.file).sync();
        state.syncs += 1;
        Ok(())
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        Ok(Some(offset))
    }

    fn map(&self) -> io::Result<Arc<dyn Mapping>> {
        let length = usize::try_from(self.length()?).map_err(io::Error::other)?;
        Ok(Arc::new(Mapped { disk: self.disk.clone(), file: self.file, length, readers: Readers::default() }))
    }
}

/// Shows the file as it is; copies what is looked at.
#[derive(Debug)]
struct Mapped {
    disk: SimDisk,
    file: usize,
    length: usize,
    readers: Readers,
}

/// A slice, as good as one of a real mapping.
struct Copied {
    bytes: Vec<u8>,
    _readers: Readers,
}

impl AsRef<[u8]> for Copied {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Mapping for Mapped {
    fn length(&self) -> usize {
        self.length
    }

    fn slice(&self, range: Range<usize>) -> Option<Bytes> {
        let state = self.disk.state();
        let bytes = state.content.bytes_of(self.file).get(range)?;
        Some(Bytes::from_owner(Copied { bytes: bytes.to_vec(), _readers: self.readers.clone() }))
    }

    fn readers(&self) -> Weak<()> {
        self.readers.watch()
    }
}
