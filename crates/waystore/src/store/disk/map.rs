//! Files as memory: the one place that needs `unsafe`.
#![allow(unsafe_code, reason = "mapping a file is unsafe: another process could change or cut it")]

use std::{fs::File, io, ops::Range};

use bytes::Bytes;
use memmap2::Mmap;

use super::io::Mapping;

/// A file mapped to be read.
#[derive(Debug)]
pub(super) struct FileMap(Bytes);

impl FileMap {
    /// Maps all of `file`.
    pub(super) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: A mapped file must not get shorter, and its bytes should not change under a
        // reader. Segments are never truncated (`docs/format.md`, "Segment"), and the one writer, which the
        // lock keeps alone, writes only beyond what the index or a read-only replay hands out. What
        // is handed out was checked against its checksum and is read as plain bytes.
        let map = unsafe { Mmap::map(file)? };
        Ok(Self(Bytes::from_owner(map)))
    }
}

impl Mapping for FileMap {
    fn length(&self) -> usize {
        self.0.len()
    }

    fn slice(&self, range: Range<usize>) -> Option<Bytes> {
        (range.start <= range.end && range.end <= self.0.len()).then(|| self.0.slice(range))
    }
}
