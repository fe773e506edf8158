//! Files as memory: the one place that needs `unsafe`.
#![allow(unsafe_code, reason = "mapping a file is unsafe: another process could change or cut it")]

use std::{
    borrow::Cow,
    fs::File,
    io,
    ops::Range,
    sync::{Arc, Weak},
};

use bytes::Bytes;
use memmap2::{Advice, Mmap};

use super::{io::Mapping, spare::Readers};

/// What a processor brings near at once, in bytes.
const CACHE_LINE: usize = 64;

/// A file mapped to be read.
#[derive(Debug)]
pub(super) struct FileMap {
    map: Arc<Mmap>,
    bytes: Bytes,
    readers: Weak<()>,
}

/// What slices of the mapping share.
struct Mapped {
    map: Arc<Mmap>,
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
        let map = Arc::new(unsafe { Mmap::map(file)? });
        let readers = Readers::default();
        let watch = readers.watch();
        let mapped = Mapped { map: Arc::clone(&map), _readers: readers };
        Ok(Self { map, bytes: Bytes::from_owner(mapped), readers: watch })
    }
}

/// Has `bytes` brought near without waiting for them: most of the time that reading an entry takes is waiting for memory.
pub(super) fn bring_near(bytes: &[u8]) {
    for line in bytes.chunks(CACHE_LINE) {
        #[cfg(target_arch = "x86_64")]
        hint(line.as_ptr());
        #[cfg(not(target_arch = "x86_64"))]
        // A load is waited for in the end, but not before those after it began.
        std::hint::black_box(line[0]);
    }
}

/// Has a small `value` brought near without waiting for it, where the processor takes such hints.
pub(super) fn bring_value_near<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        let start = std::ptr::from_ref(value).cast::<u8>();
        hint(start);
        hint(start.wrapping_add(size_of::<T>().saturating_sub(1)));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Says that what is at this address will be read.
#[cfg(target_arch = "x86_64")]
fn hint(address: *const u8) {
    // SAFETY: a hint changes nothing and cannot fault, whatever the address; every such processor has it.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
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
        bring_near(self.bytes.get(range).unwrap_or_default());
    }

    fn populate(&self, range: Range<usize>) {
        if range.start < range.end && range.end <= self.map.len() {
            // Only an older system refuses, and then pages are made one by one, as they are needed.
            let _ = self.map.advise_range(Advice::PopulateRead, range.start, range.len());
        }
    }

    fn readers(&self) -> Weak<()> {
        Weak::clone(&self.readers)
    }
}
