//! Zeros behind what is written, a block at a time: the kernel makes the pages of a block together, and writing into them
//! takes a third of the time that it takes to make them one by one.
//!
//! Knows a segment and how far it was written; no record.

use std::io;

use super::{failure::is_full, segment::Segment};

/// What is filled by one write. Larger ones would save little more, and hold up who happens to make them.
const BLOCK: u32 = 64 * 1024;
/// Writes this long or longer make their pages together anyway.
const LONG: usize = 16 * 1024;
static ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];

/// How far a segment is filled, or written.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Filled(u32);

impl Filled {
    /// Writes `bytes` at `offset`, behind all that was written to `segment` before, and zeros behind them where there are
    /// none. After an error any of both may have been written.
    pub(super) fn write(&mut self, segment: &Segment, bytes: &[u8], offset: u32) -> io::Result<()> {
        let end = u32::try_from(bytes.len()).ok().and_then(|length| offset.checked_add(length)).unwrap_or(u32::MAX);
        if end > self.0 && bytes.len() < LONG {
            match self.fill(segment, offset, end) {
                // There may be room for what is written, if not for what may come.
                Err(error) if is_full(&error) => {}
                filled => filled?,
            }
        }
        segment.write(bytes, offset)?;
        self.0 = self.0.max(end);
        Ok(())
    }

    /// First: the pages of what will be written are made with the others.
    fn fill(&mut self, segment: &Segment, offset: u32, end: u32) -> io::Result<()> {
        let start = offset.max(self.0);
        let end = end_of_block(end, segment.header.length);
        for at in (start..end).step_by(ZEROS.len()) {
            segment.write(&ZEROS[..ZEROS.len().min((end - at) as usize)], at)?;
        }
        self.0 = end;
        Ok(())
    }
}

/// Where the block that `offset` is in ends, in a segment of `length` bytes.
fn end_of_block(offset: u32, length: u32) -> u32 {
    offset.checked_next_multiple_of(BLOCK).unwrap_or(u32::MAX).min(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::{
        format::SegmentHeader,
        io::{Access, DiskIo},
        sim::SimDisk,
    };

    const LENGTH: u32 = 2 * BLOCK + 1000;

    /// A segment full of what it held in a former use.
    fn used_before(disk: &SimDisk) -> Segment {
        ["tmp", "log"].iter().for_each(|dir| disk.create_dir(dir).unwrap());
        let header = SegmentHeader { number: 1, length: LENGTH, seed: 0, recycled: true };
        let segment = Segment::create(disk, header, "tmp/1").unwrap();
        segment.write(&vec![7; LENGTH as usize], 0).unwrap();
        segment
    }

    fn content(disk: &SimDisk) -> Vec<u8> {
        let file = disk.open(&Segment::path(1), Access::Read).unwrap();
        let mut bytes = vec![0; file.length().unwrap() as usize];
        file.read_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn a_short_write_fills_its_block_and_the_next_in_it_does_not() {
        let disk = SimDisk::default();
        let (segment, mut filled) = (used_before(&disk), Filled::default());
        filled.write(&segment, &[1; 100], 1000).unwrap();
        let before = disk.changes();
        filled.write(&segment, &[2; 100], 1100).unwrap();
        assert_eq!(disk.changes(), before + 1);
        let after = vec![7; (LENGTH - BLOCK) as usize];
        let parts = [vec![7; 1000], vec![1; 100], vec![2; 100], vec![0; BLOCK as usize - 1200], after];
        assert_eq!(content(&disk), parts.concat());
    }

    #[test]
    fn a_write_into_the_next_block_leaves_what_is_in_the_one_before() {
        let disk = SimDisk::default();
        let (segment, mut filled) = (used_before(&disk), Filled::default());
        filled.write(&segment, &vec![1; BLOCK as usize - 1000], 0).unwrap();
        filled.write(&segment, &[2; 2000], BLOCK - 1000).unwrap();
        let zeros = vec![0; BLOCK as usize - 1000];
        let parts = [vec![1; BLOCK as usize - 1000], vec![2; 2000], zeros, vec![7; 1000]];
        assert_eq!(content(&disk), parts.concat());
    }

    #[test]
    fn a_long_write_is_one_write() {
        let disk = SimDisk::default();
        let (segment, mut filled) = (used_before(&disk), Filled::default());
        let before = disk.changes();
        filled.write(&segment, &[1; LONG], 10).unwrap();
        assert_eq!(disk.changes(), before + 1);
    }

    #[test]
    fn filling_ends_with_the_segment() {
        let disk = SimDisk::default();
        let (segment, mut filled) = (used_before(&disk), Filled::default());
        filled.write(&segment, &[1; 10], LENGTH - 500).unwrap();
        filled.write(&segment, &[2; 10], LENGTH - 10).unwrap();
        let parts = [vec![7; LENGTH as usize - 500], vec![1; 10], vec![0; 480], vec![2; 10]];
        assert_eq!(content(&disk), parts.concat());
    }

    #[test]
    fn the_last_block_of_the_longest_segment_ends_with_it() {
        assert_eq!(end_of_block(1, u32::MAX), BLOCK);
        assert_eq!(end_of_block(u32::MAX - 5, u32::MAX - 3), u32::MAX - 3);
    }

    #[test]
    fn what_there_is_room_for_is_written_though_there_is_none_for_its_block() {
        let disk = SimDisk::default();
        let (segment, mut filled) = (used_before(&disk), Filled::default());
        disk.set_room(Some(500));
        filled.write(&segment, &[1; 100], 0).unwrap();
        assert_eq!(content(&disk)[..500], [vec![1; 100], vec![0; 400]].concat());
    }
}
