//! Files as memory: the one place that needs `unsafe`.
#![allow(unsafe_code, reason = "mapping a file is unsafe: another process could change or cut it")]

use std::{borrow::Cow, fs::File, hint::black_box, io, ops::Range, sync::Weak};

use bytes::Bytes;
use memmap2::Mmap;

use super::{io::Mapping, spare::Readers};

/// What a processor brings near at once, in bytes.
const CACHE_LINE: usize = 64;

/// A file mapped to be read.
#[derive(Debug)]
pub(super) struct FileMap {
    bytes: Bytes,
    readers: Weak<()>,
}

/// What slices of the mapping share.
struct Mapped {
    map: Mmap,
    _readers: Readers,
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

impl FileMap {
    /// Maps all of `file`.
    pub(super) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: A mapped file must not get shorter, and its bytes should not change under a
        // reader. Segments are never truncated (`docs/format.md`, "Segment"), and the one writer, which the
        // lock keeps alone, writes only beyond what the index or a read-only replay hands out. It uses a segment
        // again only when no slice is left here and no other process looks (`spare.rs`, `compact.rs`). What
        // is handed out was checked against its checksum and is read as plain bytes.
        let map = unsafe { Mmap::map(file)? };
        let readers = Readers::default();
        let watch = readers.watch();
        Ok(Self { bytes: Bytes::from_owner(Mapped { map, _readers: readers }), readers: watch })
    }
}

impl Mapping for FileMap {
    fn length(&self) -> usize {
        self.bytes.len()
    }

    fn slice(&self, range: Range<usize>) -> Option<Bytes> {
        (range.start <= range.end && range.end <= self.bytes.len()).then(|| self.bytes.slice(range))
    }

    fn view(&self, range: Range<usize>) -> Option<Cow<'_, [u8]>> {
        self.bytes.get(range).map(Cow::Borrowed)
    }

    fn touch(&self, range: Range<usize>) {
        let lines = self.bytes.get(range).unwrap_or_default().iter().step_by(CACHE_LINE);
        // Loads that do not depend on each other are waited for together.
        black_box(lines.fold(0, |all, byte| all ^ byte));
    }

    fn readers(&self) -> Weak<()> {
        Weak::clone(&self.readers)
    }
}
