//! Bodies on their way in: streamed to a temporary file, 256 KiB at a time.

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    blocks::{BLOCK, BLOCK_IN_FILE, BlockError, checksum, checksum_of_first, read_blocks},
    bodies::{Bodies, BodyFile, BodyName},
    failure::{blocking, disk_error},
    io::DiskFile,
};
use crate::{
    Error, Result, StorageKey,
    store::{BodyWriter, WrittenBody},
};

/// What a writer gathers before it writes.
const GATHERED: usize = 4 * BLOCK;

/// A body that is being written.
pub(super) struct Writer {
    key: StorageKey,
    /// Bytes of whole blocks that are in the file.
    written: u64,
    /// Bytes that are not; a whole number of blocks but at the end.
    gathered: Vec<u8>,
    file: Option<Temporary>,
    /// Where the first block's checksum is, and what it is until the whole body is known.
    first: Option<(u64, [u8; 8])>,
    hasher: blake3::Hasher,
    bodies: Arc<Bodies>,
}

/// A file in `tmp/`, removed when it is dropped before it was placed.
struct Temporary {
    path: String,
    file: Arc<dyn DiskFile>,
    bodies: Arc<Bodies>,
    placed: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.placed {
            // What is left of it is removed at the next open.
            let _ = self.bodies.io.unlink(&self.path);
        }
    }
}

impl Writer {
    pub(super) fn new(bodies: &Arc<Bodies>, key: &StorageKey) -> Self {
        Self {
            key: key.clone(),
            written: 0,
            gathered: Vec::new(),
            file: None,
            first: None,
            hasher: blake3::Hasher::new(),
            bodies: Arc::clone(bodies),
        }
    }

    /// The bytes taken so far.
    fn length(&self) -> u64 {
        self.written + self.gathered.len() as u64
    }

    /// Writes what was gathered, on a thread that may wait.
    async fn flush(&mut self) -> Result<()> {
        let gathered = std::mem::take(&mut self.gathered);
        let (bodies, first, offset) = (Arc::clone(&self.bodies), self.written / BLOCK as u64, self.length());
        let (mut hasher, temporary) = (std::mem::take(&mut self.hasher), self.file.take());
        let length = gathered.len() as u64;
        if let Some(block) = gathered.chunks(BLOCK).next().filter(|_| first == 0) {
            self.first = Some((block.len() as u64, checksum(0, block)));
        }
        let requested = offset + length;
        let done = blocking(move || {
            let temporary = temporary.map_or_else(|| create(&bodies), Ok)?;
            hasher.update(&gathered);
            let blocks = gathered.len().div_ceil(BLOCK);
            let mut in_file = bodies.buffers.take(gathered.len() + blocks * (BLOCK_IN_FILE - BLOCK));
            let places = in_file.as_mut().chunks_mut(BLOCK_IN_FILE);
            for ((block, number), place) in gathered.chunks(BLOCK).zip(first..).zip(places) {
                place[..block.len()].copy_from_slice(block);
                place[block.len()..].copy_from_slice(&checksum(number, block));
            }
            temporary.file.write_at(in_file.as_ref(), first * BLOCK_IN_FILE as u64)?;
            Ok((temporary, hasher))
        });
        let (temporary, hasher) = done.await?.map_err(|error: io::Error| disk_error(error, requested))?;
        (self.file, self.hasher) = (Some(temporary), hasher);
        self.written += length;
        Ok(())
    }
}

/// Makes a temporary file with a name that nobody had before.
fn create(bodies: &Arc<Bodies>) -> io::Result<Temporary> {
    if !bodies.writable {
        return Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "the store was opened to be read only"));
    }
    let path = format!("tmp/{:032x}", bodies.clock.random());
    let file = bodies.io.create(&path)?;
    Ok(Temporary { path, file, bodies: Arc::clone(bodies), placed: false })
}

#[async_trait]
impl BodyWriter for Writer {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(GATHERED - self.gathered.len()));
            self.gathered.extend_from_slice(now);
            rest = later;
            if self.gathered.len() == GATHERED {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn read_back(&mut self, offset: u64) -> Result<Bytes> {
        if let Some(ahead) = offset.checked_sub(self.written) {
            let start = usize::try_from(ahead).unwrap_or(usize::MAX).min(self.gathered.len());
            let end = self.gathered.len().min(start.saturating_add(BLOCK));
            return Ok(Bytes::copy_from_slice(&self.gathered[start..end]));
        }
        let Some(temporary) = &self.file else { return Ok(Bytes::new()) };
        let (file, length) = (Arc::clone(&temporary.file), self.written);
        let (number, within) = (offset / BLOCK as u64, (offset % BLOCK as u64) as usize);
        let buffers = Arc::clone(&self.bodies.buffers);
        let blocks = blocking(move || read_blocks(&*file, length, None, number, 1, &buffers)).await?;
        let blocks = blocks.map_err(|error| match error {
            BlockError::Damaged(detail) => Error::Damaged { detail: format!("a body being written: {detail}") },
            BlockError::Io(error) => Error::unavailable(error),
        })?;
        Ok(blocks.first().map_or_else(Bytes::new, |block| block.slice(within.min(block.len())..)))
    }

    async fn finish(mut self: Box<Self>) -> Result<WrittenBody> {
        if !self.gathered.is_empty() || self.file.is_none() {
            self.flush().await?;
        }
        let length = self.written;
        let temporary = self.file.take().ok_or_else(|| Error::unavailable("the body's file is gone"))?;
        let synced = self.bodies.strict;
        let name = BodyName::new(&self.key, *self.hasher.finalize().as_bytes());
        let first = self.first.map(|(at, own)| (at, checksum_of_first(own, &name.hash)));
        let file = Arc::clone(&temporary.file);
        let finished = blocking(move || {
            first.map_or(Ok(()), |(at, checksum)| file.write_at(&checksum, at))?;
            if synced { file.sync() } else { Ok(()) }
        });
        finished.await?.map_err(|error| disk_error(error, length))?;
        let state = Mutex::new(State::Temporary(temporary));
        Ok(WrittenBody::new(length, Arc::new(Written { name, length, synced, state })))
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writer({} bytes for {})", self.length(), self.key)
    }
}

/// A body that is written, for a commit to name.
pub(super) struct Written {
    name: BodyName,
    length: u64,
    synced: bool,
    state: Mutex<State>,
}

enum State {
    Temporary(Temporary),
    /// A commit was tried, so it is where it belongs; it goes again with the last who has it.
    Placed(Arc<BodyFile>),
}

impl Written {
    /// Whether `bodies` wrote it.
    pub(super) fn is_of(&self, bodies: &Arc<Bodies>) -> bool {
        let owner = match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Temporary(temporary) => Arc::as_ptr(&temporary.bodies),
            State::Placed(file) => Arc::as_ptr(&file.bodies),
        };
        owner == Arc::as_ptr(bodies)
    }

    /// Puts the file where entries find it.
    pub(super) fn place(&self, bodies: &Arc<Bodies>) -> io::Result<Arc<BodyFile>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match &mut *state {
            State::Placed(file) => return Ok(Arc::clone(file)),
            State::Temporary(temporary) => {
                let file = bodies.place(&temporary.path, self.name, self.length, self.synced)?;
                temporary.placed = true;
                file
            }
        };
        *state = State::Placed(Arc::clone(&file));
        Ok(file)
    }
}
