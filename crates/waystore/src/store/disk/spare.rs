//! Freed segments that are used again: their blocks are written already, which makes a sync cheaper.
//!
//! A freed segment may still be mapped by somebody who reads from it. It waits until nobody has it.

use std::{
    io,
    sync::{Arc, Weak},
};

use super::{
    format::SegmentHeader,
    io::{Access, DiskIo},
    segment::Segment,
};

/// Segments that are kept, at most.
const KEPT: usize = 2;

/// Freed segments, in `tmp/`.
#[derive(Debug, Default)]
pub(super) struct Spares(Vec<Spare>);

#[derive(Debug)]
struct Spare {
    path: String,
    length: u32,
    /// Gone when nobody reads from it any more.
    readers: Weak<()>,
}

impl Spares {
    /// How many more can be kept. Those that somebody reads from still make room.
    pub(super) fn make_room(&mut self, io: &dyn DiskIo) -> io::Result<usize> {
        self.0.extract_if(.., |spare| spare.readers.strong_count() > 0).try_for_each(|spare| io.unlink(&spare.path))?;
        Ok(KEPT.saturating_sub(self.0.len()))
    }

    /// What the paths of freed segments begin with.
    pub(super) const BEGIN: &str = "tmp/spare-";

    /// Where the freed segment `number` waits.
    pub(super) fn path(number: u32) -> String {
        format!("{}{number:010}", Self::BEGIN)
    }

    /// Keeps a freed segment that was renamed.
    pub(super) fn keep(&mut self, number: u32, length: u32, readers: Weak<()>) {
        self.0.push(Spare { path: Self::path(number), length, readers });
    }

    /// Makes a segment of one that nobody reads and whose length is in `lengths`. `None`: there is none.
    pub(super) fn make(
        &mut self,
        io: &dyn DiskIo,
        number: u32,
        seed: u64,
        lengths: std::ops::RangeInclusive<u32>,
    ) -> Option<Segment> {
        let fits = |spare: &Spare| lengths.contains(&spare.length) && spare.readers.strong_count() == 0;
        let spare = self.0.swap_remove(self.0.iter().position(fits)?);
        let header = SegmentHeader { number, length: spare.length, seed, recycled: true };
        let made = io.open(&spare.path, Access::Write).and_then(|file| Segment::begin(io, file, header, &spare.path));
        made.inspect_err(|error| tracing::warn!(%error, path = spare.path, "a freed segment cannot be used again")).ok()
    }

    /// The bytes of what is kept.
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|spare| u64::from(spare.length)).sum()
    }

    /// Gives back what is kept.
    pub(super) fn clear(&mut self, io: &dyn DiskIo) -> io::Result<()> {
        self.0.drain(..).try_for_each(|spare| io.unlink(&spare.path))
    }
}

/// Something that is alive as long as somebody can read from a mapping.
#[derive(Debug, Default, Clone)]
pub(super) struct Readers(Arc<()>);

impl Readers {
    pub(super) fn watch(&self) -> Weak<()> {
        Arc::downgrade(&self.0)
    }
}
