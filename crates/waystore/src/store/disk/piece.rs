//! A piece of a body as it stands in its file: whole blocks, each followed by its checksum (`docs/format.md`, "Body file").
//!
//! Filled byte by byte; knows no file.

use bytes::Bytes;

use super::{
    blocks::{BLOCK, BLOCK_IN_FILE, checksum},
    buffers::Buffer,
};

/// The blocks of a piece.
pub(super) const BLOCKS: usize = 4;
/// The bytes of a piece in its file, at most.
pub(super) const PIECE_IN_FILE: usize = BLOCKS * BLOCK_IN_FILE;

/// A piece that is being filled.
pub(super) struct Piece {
    buffer: Buffer,
    /// The number of its first block.
    first: u64,
    /// Bytes of the body that are in it.
    length: usize,
}

impl Piece {
    /// An empty piece that begins with block `first`. `buffer` has the room for a whole one.
    pub(super) fn new(buffer: Buffer, first: u64) -> Self {
        Self { buffer, first, length: 0 }
    }

    /// Bytes of the body that are in it.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    pub(super) fn is_full(&self) -> bool {
        self.length == BLOCKS * BLOCK
    }

    /// Takes what fits of `bytes`, at most to the end of a block. Returns the rest.
    pub(super) fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if self.is_full() {
            return bytes;
        }
        let (block, within) = (self.length / BLOCK, self.length % BLOCK);
        let (now, rest) = bytes.split_at(bytes.len().min(BLOCK - within));
        let start = block * BLOCK_IN_FILE + within;
        self.buffer.as_mut()[start..start + now.len()].copy_from_slice(now);
        self.length += now.len();
        if within + now.len() == BLOCK {
            self.seal(block, BLOCK);
        }
        rest
    }

    /// Some of the body's bytes from `offset` in the piece on, to the end of a block.
    pub(super) fn bytes_at(&self, offset: usize) -> &[u8] {
        let (block, within) = (offset / BLOCK, offset % BLOCK);
        let end = self.length.saturating_sub(block * BLOCK).min(BLOCK);
        let start = block * BLOCK_IN_FILE;
        self.buffer.as_ref().get(start + within..start + end).unwrap_or_default()
    }

    /// The piece as it stands in the file: the last block of a body may be short.
    pub(super) fn into_bytes(mut self) -> Bytes {
        let (block, within) = (self.length / BLOCK, self.length % BLOCK);
        if within > 0 {
            self.seal(block, within);
        }
        let blocks = self.length.div_ceil(BLOCK);
        let length = self.length + blocks * (BLOCK_IN_FILE - BLOCK);
        self.buffer.into_bytes().slice(..length)
    }

    fn seal(&mut self, block: usize, length: usize) {
        let place = &mut self.buffer.as_mut()[block * BLOCK_IN_FILE..][..length + BLOCK_IN_FILE - BLOCK];
        let (bytes, sum) = place.split_at_mut(length);
        sum.copy_from_slice(&checksum(self.first + block as u64, bytes));
    }
}

/// The blocks of a piece as it stands in the file, without their checksums.
pub(super) fn blocks(piece: &[u8]) -> impl Iterator<Item = &[u8]> {
    piece.chunks(BLOCK_IN_FILE).filter_map(|block| block.get(..block.len().checked_sub(BLOCK_IN_FILE - BLOCK)?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::disk::buffers::Buffers;

    #[test]
    fn a_piece_is_its_blocks_each_with_the_checksum_of_its_number() {
        let body: Vec<u8> = (0..2 * BLOCK + 100).map(|at| (at % 251) as u8).collect();
        let mut piece = Piece::new(Arc::new(Buffers::default()).take(PIECE_IN_FILE), 7);
        for chunk in body.chunks(50_000) {
            let mut rest = chunk;
            while !rest.is_empty() {
                rest = piece.fill(rest);
            }
        }
        assert_eq!((piece.length(), piece.is_full()), (body.len(), false));
        assert_eq!(piece.bytes_at(BLOCK + 5), &body[BLOCK + 5..2 * BLOCK]);
        assert_eq!(
            (piece.bytes_at(2 * BLOCK + 99), piece.bytes_at(2 * BLOCK + 100)),
            (&body[body.len() - 1..], &[][..])
        );
        let in_file = piece.into_bytes();
        let expected: Vec<u8> = body
            .chunks(BLOCK)
            .zip(7..)
            .flat_map(|(block, number)| [block, &checksum(number, block)].concat())
            .collect();
        assert_eq!(in_file, expected);
        assert!(blocks(&in_file).eq(body.chunks(BLOCK)));
    }

    #[test]
    fn a_full_piece_takes_no_more() {
        let mut piece = Piece::new(Arc::new(Buffers::default()).take(PIECE_IN_FILE), 0);
        let body = vec![1; BLOCKS * BLOCK + 10];
        let mut rest = &body[..];
        (0..=BLOCKS).for_each(|_| rest = piece.fill(rest));
        assert!(piece.is_full() && rest.len() == 10);
        assert_eq!(piece.into_bytes().len(), PIECE_IN_FILE);
    }
}
