//! How the bytes of a body stand in its file: blocks of 64 KiB, each followed by its checksum
//! (`docs/format.md`, "Body file").

use std::{io, sync::Arc};

use bytes::Bytes;

use super::{buffers::Buffers, io::DiskFile};
use crate::checksum::xxh3;

/// The bytes of a block.
pub(super) const BLOCK: usize = 64 * 1024;
/// A block with its checksum.
pub(super) const BLOCK_IN_FILE: usize = BLOCK + CHECKSUM;
const CHECKSUM: usize = 8;
/// Blocks that are read by one call to the disk.
const AT_ONCE: usize = 4;

/// The length of the file of a body of `length` bytes, or `None` where there is no such file.
pub(super) fn file_length(length: u64) -> Option<u64> {
    length.checked_add(length.div_ceil(BLOCK as u64).checked_mul(CHECKSUM as u64)?)
}

/// The checksum that follows block `number`.
pub(super) fn checksum(number: u64, block: &[u8]) -> [u8; CHECKSUM] {
    xxh3(block, number).to_le_bytes()
}

/// The checksum of the first block of the body with this BLAKE3, made of the block's own: a file in the place of another
/// is damaged.
pub(super) fn checksum_of_first(own: [u8; CHECKSUM], hash: &[u8; 32]) -> [u8; CHECKSUM] {
    std::array::from_fn(|at| own[at] ^ hash[at])
}

/// Why blocks could not be read.
#[derive(Debug)]
pub(super) enum BlockError {
    /// The bytes are not what was written.
    Damaged(String),
    /// The disk gave an error.
    Io(io::Error),
}

/// A body's blocks, to be read from its file.
#[derive(Debug, Clone)]
pub(super) struct Blocks {
    pub(super) file: Arc<dyn DiskFile>,
    /// The length of the body.
    pub(super) length: u64,
    /// The body's BLAKE3, once that is known.
    pub(super) hash: Option<[u8; 32]>,
    pub(super) buffers: Arc<Buffers>,
}

impl Blocks {
    /// Reads up to `count` blocks from block `first` on, each verified.
    ///
    /// # Errors
    ///
    /// [`BlockError::Damaged`] where they are not what was written, [`BlockError::Io`] where the disk cannot read them.
    pub(super) fn read(&self, first: u64, count: usize) -> Result<Vec<Bytes>, BlockError> {
        let read = self.read_by(first, count, |buffer, offset| self.file.read_at(buffer, offset).map(Some));
        read.map(Option::unwrap_or_default)
    }

    /// The same without waiting for the disk. `None`: somebody has to.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(super) fn read_at_hand(&self, first: u64, count: usize) -> Result<Option<Vec<Bytes>>, BlockError> {
        self.read_by(first, count, |buffer, offset| self.file.read_at_hand(buffer, offset))
    }

    fn read_by(
        &self,
        first: u64,
        count: usize,
        read: impl Fn(&mut [u8], u64) -> io::Result<Option<usize>>,
    ) -> Result<Option<Vec<Bytes>>, BlockError> {
        let left = first.checked_mul(BLOCK as u64).and_then(|start| self.length.checked_sub(start)).unwrap_or(0);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(count * BLOCK);
        let length = wanted + wanted.div_ceil(BLOCK) * CHECKSUM;
        let mut buffer = self.buffers.take(length);
        let mut number = first;
        // A few at a time: they are still near when they are verified.
        for some in buffer.as_mut().chunks_mut(AT_ONCE * BLOCK_IN_FILE) {
            let read = read(some, number.saturating_mul(BLOCK_IN_FILE as u64)).map_err(BlockError::Io)?;
            let Some(read) = read else { return Ok(None) };
            if read < some.len() {
                return Err(BlockError::Damaged(format!("it ends {} bytes early", some.len() - read)));
            }
            for block in some.chunks(BLOCK_IN_FILE) {
                self.verify(number, block)?;
                number += 1;
            }
        }
        let buffer = buffer.into_bytes();
        let places = (0..length).step_by(BLOCK_IN_FILE);
        Ok(Some(places.map(|start| buffer.slice(start..length.min(start + BLOCK_IN_FILE) - CHECKSUM)).collect()))
    }

    fn verify(&self, number: u64, block: &[u8]) -> Result<(), BlockError> {
        let (bytes, stored) = block.split_at(block.len() - CHECKSUM);
        let own = checksum(number, bytes);
        let right = self.hash.filter(|_| number == 0).map_or(own, |hash| checksum_of_first(own, &hash));
        if right != stored {
            return Err(BlockError::Damaged(format!("block {number} fails its checksum")));
        }
        Ok(())
    }
}
