//! The shortest way from the hash of a URL to all that a look-up reads of a stored entry.
//!
//! In a long list everything is far: the table, the slot, the record, the counter of uses. The section of a checkpoint leads
//! from one to the next, and each is waited for. Here the hash alone tells about where to look, and what is there tells where
//! all the others are, so that they are brought near together. Only hints: what an entry is, and whether it is still there,
//! the slots say.

use std::ops::Range;

use memmap2::{Advice, MmapMut};

use crate::store::disk::{
    checkpoint::{Section, bucket_of, buckets, mark_of},
    format::Position,
    map::bring_near,
};

/// Entries from which on a list has a guide: of fewer, all there is to know is near anyhow.
const FEWEST: u32 = 16 * 1024;
/// There is room for one sign more for so many, so that most stand where they would without their neighbours.
const SPARE: u64 = 4;
/// Bytes of the head of a bucket: where its signs begin, and a bit for each hash it has.
const HEAD: usize = 8;
/// Bytes of a sign: the hash, the slot and one, the place of the record. All zeros: none.
const SIGN: usize = 16;
/// What is brought near of signs before it is known where those of a bucket begin.
const ABOUT: usize = 16 * SIGN;

/// The slots of a section by the hash of their URL, and where their records were when the section was written.
#[derive(Debug)]
pub(super) struct Guide {
    /// The heads of the buckets, then the signs. Mapped and not allocated, for in large pages the processor finds its way
    /// to any of it at once.
    memory: MmapMut,
    layout: Layout,
    /// How far the memory is used.
    end: usize,
}

/// Where the parts of an entry are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sign {
    pub(super) index: u32,
    /// Where its record was.
    pub(super) at: Position,
}

/// What stands where, by the number of entries alone.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// A power of two.
    buckets: u64,
    /// Signs that there is room for, unless the last buckets have too many.
    room: u64,
}

impl Guide {
    /// The guide to a long section. `None`: it is short, or there is no memory.
    pub(super) fn to(section: &Section) -> Option<Self> {
        let count = u64::from(section.len());
        if section.len() < FEWEST {
            return None;
        }
        // Half as many buckets as the section has: what is in its order is in this.
        let layout = Layout { buckets: buckets(section.len()) / 2, room: count + count / SPARE };
        // As if all were in the last bucket: what is not used takes no memory.
        let signs = u32::try_from(layout.room + count).ok()? as usize;
        let memory = MmapMut::map_anon(layout.heads() + signs * SIGN).ok()?;
        // Only a system without large pages refuses. One is taken as a whole, so none where it would not be full.
        let _ = memory.advise_range(Advice::HugePage, 0, layout.heads() + layout.room as usize * SIGN);
        let mut guide = Self { memory, layout, end: 0 };
        guide.fill(section).then_some(guide)
    }

    /// Returns whether all could be put where they will be looked for.
    fn fill(&mut self, section: &Section) -> bool {
        let (heads, signs) = self.memory.split_at_mut(self.layout.heads());
        let (heads, signs) = (heads.as_chunks_mut::<HEAD>().0, signs.as_chunks_mut::<SIGN>().0);
        let mut places = section.by_url().peekable();
        let mut next = 0;
        for (bucket, head) in (0..).zip(heads) {
            next = self.layout.home(bucket).max(next);
            let (start, mut marks) = (next, 0);
            while let Some((hash, index)) = places.next_if(|(hash, _)| self.layout.bucket(*hash) == bucket) {
                let (Some(sign), Some(at)) = (signs.get_mut(next), section.position(index)) else { return false };
                let parts = u128::from(at.0) << 64 | u128::from(u64::from(index) + 1) << 32 | u128::from(hash);
                *sign = parts.to_le_bytes();
                marks |= mark_of(hash);
                next += 1;
            }
            *head = (u64::from(marks) << 32 | start as u64).to_le_bytes();
        }
        self.end = self.layout.heads() + next * SIGN;
        places.next().is_none()
    }

    /// Has what leads to this hash brought near.
    pub(super) fn bring_near(&self, hash: u32) {
        let (heads, signs) = self.parts();
        let bucket = self.layout.bucket(hash);
        let about = self.layout.home(bucket) * SIGN;
        bring_near(heads.get(bucket as usize).map_or(&[], |head| head.as_slice()));
        bring_near(signs.as_flattened().get(about..about + ABOUT).unwrap_or_default());
    }

    /// The signs with this hash, oldest first.
    pub(super) fn find(&self, hash: u32) -> impl Iterator<Item = Sign> {
        let (heads, signs) = self.parts();
        let bucket = self.layout.bucket(hash) as usize;
        let head = |bucket: usize| heads.get(bucket).map_or(0, |head| u64::from_le_bytes(*head));
        // What is not here is told from one place in memory, mostly.
        let may_be_here = (head(bucket) >> 32) as u32 & mark_of(hash) != 0;
        let start_of = |bucket| head(bucket) as u32 as usize;
        let range: Range<usize> = if may_be_here { start_of(bucket)..start_of(bucket + 1) } else { 0..0 };
        let parts = signs.get(range).unwrap_or_default().iter().map(|sign| u128::from_le_bytes(*sign));
        parts.filter(move |parts| *parts as u32 == hash).filter_map(|parts| {
            let index = ((parts >> 32) as u32).checked_sub(1)?;
            Some(Sign { index, at: Position((parts >> 64) as u64) })
        })
    }

    /// Bytes of memory.
    #[cfg(test)]
    pub(super) fn length(&self) -> usize {
        self.end
    }

    fn parts(&self) -> (&[[u8; HEAD]], &[[u8; SIGN]]) {
        let (heads, signs) = self.memory.split_at(self.layout.heads());
        (heads.as_chunks().0, signs.as_chunks().0)
    }
}

impl Layout {
    /// Bytes of the heads, with one for the end.
    fn heads(self) -> usize {
        (self.buckets as usize + 1) * HEAD
    }

    fn bucket(self, hash: u32) -> u64 {
        bucket_of(hash, self.buckets)
    }

    /// Where the signs of a bucket begin, unless its neighbours before it have many.
    fn home(self, bucket: u64) -> usize {
        // Of either there are less than 2^33.
        ((u128::from(bucket) * u128::from(self.room)) >> self.buckets.trailing_zeros()) as usize
    }
}
