//! Bodies on their way in: streamed to a temporary file, 256 KiB at a time.
//!
//! While who brings the body gathers one piece, those before it are hashed and written, side by side: at most five
//! pieces are in memory.

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    blocks::{BLOCK, BlockError, Blocks, checksum_of_first},
    bodies::{Bodies, BodyFile, BodyName},
    failure::{blocking, disk_error},
    io::DiskFile,
    lane::{Lane, Work},
    piece::{PIECE_IN_FILE, Piece, blocks},
};
use crate::{
    Error, Result, StorageKey,
    store::{BodyWriter, WrittenBody},
};

/// A body that is being written.
pub(super) struct Writer {
    key: StorageKey,
    /// Bytes of whole blocks that were handed over.
    handed: u64,
    /// Bytes that were not; made at the first.
    gathered: Option<Piece>,
    /// Where pieces go; made with the first that is full.
    lanes: Option<(Lane<Hashing>, Lane<Writing>)>,
    /// Where the first block's checksum is, and what it is until the whole body is known.
    first: Option<(u64, [u8; 8])>,
    bodies: Arc<Bodies>,
}

/// Hashes pieces.
#[derive(Default)]
struct Hashing(blake3::Hasher);

impl Work for Hashing {
    fn take(&mut self, piece: &Bytes) -> io::Result<()> {
        for block in blocks(piece) {
            self.0.update(block);
        }
        Ok(())
    }
}

/// Writes pieces, one behind the other.
struct Writing {
    bodies: Arc<Bodies>,
    /// Made with the first piece.
    file: Option<Temporary>,
    at: u64,
}

impl Writing {
    fn new(bodies: &Arc<Bodies>) -> Self {
        Self { bodies: Arc::clone(bodies), file: None, at: 0 }
    }
}

impl Work for Writing {
    fn take(&mut self, piece: &Bytes) -> io::Result<()> {
        let temporary = match &mut self.file {
            Some(temporary) => temporary,
            none => none.insert(create(&self.bodies)?),
        };
        temporary.file.write_at(piece, self.at)?;
        self.at += piece.len() as u64;
        Ok(())
    }
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
        Self { key: key.clone(), handed: 0, gathered: None, lanes: None, first: None, bodies: Arc::clone(bodies) }
    }

    /// The bytes taken so far.
    fn length(&self) -> u64 {
        self.handed + self.gathered.as_ref().map_or(0, |piece| piece.length() as u64)
    }

    fn failed(&self, error: io::Error) -> Error {
        disk_error(error, self.length())
    }

    /// Hands over what was gathered, once there is room for it.
    async fn hand_over(&mut self) -> Result<()> {
        let new = || (Lane::new(Hashing::default()), Lane::new(Writing::new(&self.bodies)));
        let (hashing, writing) = self.lanes.get_or_insert_with(new);
        let room = match hashing.room().await {
            Ok(()) => writing.room().await,
            error => error,
        };
        room.map_err(|error| disk_error(error, self.handed))?;
        // No more waiting from here on: a piece is handed to both or to none.
        let Some(piece) = self.gathered.take() else { return Ok(()) };
        self.handed += piece.length() as u64;
        let piece = piece.into_bytes();
        self.first.get_or_insert_with(|| checksum_in(&piece));
        hashing.push(piece.clone());
        writing.push(piece);
        Ok(())
    }

    /// Writes a body that never was more than one piece, which is most of them.
    async fn finish_short(self) -> Result<(BodyName, Temporary)> {
        let Self { key, gathered, bodies, .. } = self;
        let piece = gathered.map(Piece::into_bytes).unwrap_or_default();
        let length = piece.len() as u64;
        let done = blocking(move || {
            let (mut hashing, mut writing) = (Hashing::default(), Writing::new(&bodies));
            hashing.take(&piece)?;
            let name = BodyName::new(&key, *hashing.0.finalize().as_bytes());
            writing.take(&piece)?;
            let temporary = writing.file.take().ok_or_else(no_file)?;
            complete(&temporary, (!piece.is_empty()).then(|| checksum_in(&piece)), &name, bodies.strict)?;
            Ok((name, temporary))
        });
        done.await?.map_err(|error| disk_error(error, length))
    }

    async fn finish_long(mut self, length: u64) -> Result<(BodyName, Temporary)> {
        if self.gathered.as_ref().is_some_and(|piece| piece.length() > 0) {
            self.hand_over().await?;
        }
        let Self { key, lanes, first, bodies, .. } = self;
        let (hashing, writing) = lanes.ok_or_else(|| Error::unavailable(no_file()))?;
        let (hashing, writing) = (hashing.finish().await, writing.finish().await);
        let in_file = |error| disk_error(error, length);
        let (hashing, mut writing) = (hashing.map_err(in_file)?, writing.map_err(in_file)?);
        let done = blocking(move || {
            let name = BodyName::new(&key, *hashing.0.finalize().as_bytes());
            let temporary = writing.file.take().ok_or_else(no_file)?;
            complete(&temporary, first, &name, bodies.strict)?;
            Ok((name, temporary))
        });
        done.await?.map_err(in_file)
    }
}

/// Where the checksum of a piece's first block is, and what it is.
fn checksum_in(piece: &[u8]) -> (u64, [u8; 8]) {
    let at = blocks(piece).next().map_or(0, <[u8]>::len);
    let sum = piece.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
    (at as u64, sum)
}

/// Ends a file whose blocks are all written, now that it is known whose they are.
fn complete(temporary: &Temporary, first: Option<(u64, [u8; 8])>, name: &BodyName, sync: bool) -> io::Result<()> {
    if let Some((at, own)) = first {
        temporary.file.write_at(&checksum_of_first(own, &name.hash), at)?;
    }
    if sync { temporary.file.sync() } else { Ok(()) }
}

fn no_file() -> io::Error {
    io::Error::other("the body's file is gone")
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
            let piece = self
                .gathered
                .get_or_insert_with(|| Piece::new(self.bodies.buffers.take(PIECE_IN_FILE), self.handed / BLOCK as u64));
            rest = piece.fill(rest);
            if piece.is_full() {
                self.hand_over().await?;
            }
        }
        Ok(())
    }

    async fn read_back(&mut self, offset: u64) -> Result<Bytes> {
        if let Some(ahead) = offset.checked_sub(self.handed) {
            let Some(piece) = &self.gathered else { return Ok(Bytes::new()) };
            return Ok(Bytes::copy_from_slice(piece.bytes_at(usize::try_from(ahead).unwrap_or(usize::MAX))));
        }
        let Some((_, writing)) = &self.lanes else { return Ok(Bytes::new()) };
        let file = writing.at_rest(|writing| Some(Arc::clone(&writing.file.as_ref()?.file))).await;
        let file = file.map_err(|error| self.failed(error))?;
        let file = file.ok_or_else(|| Error::unavailable(no_file()))?;
        let (number, within) = (offset / BLOCK as u64, (offset % BLOCK as u64) as usize);
        let blocks = Blocks { file, length: self.handed, hash: None, buffers: Arc::clone(&self.bodies.buffers) };
        let read = blocking(move || blocks.read(number, 1)).await?;
        let read = read.map_err(|error| match error {
            BlockError::Damaged(detail) => Error::Damaged { detail: format!("a body being written: {detail}") },
            BlockError::Io(error) => Error::unavailable(error),
        })?;
        Ok(read.first().map_or_else(Bytes::new, |block| block.slice(within.min(block.len())..)))
    }

    async fn finish(self: Box<Self>) -> Result<WrittenBody> {
        let (length, synced) = (self.length(), self.bodies.strict);
        let (name, temporary) =
            if self.lanes.is_some() { self.finish_long(length).await? } else { self.finish_short().await? };
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
