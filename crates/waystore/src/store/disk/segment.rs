//! One segment of the log: a file of fixed length, mapped to be read.
//!
//! Finds records in it; what they mean, and which of them count, is for `replay.rs`.

use std::{
    borrow::Cow,
    io,
    ops::Range,
    sync::{Arc, Weak},
};

use bytes::Bytes;

use super::{
    format::{
        ALIGNMENT, FIRST_RECORD, HEADER, Header, Position, RECORD_MAGIC, SECOND_HEADER, SEGMENT_HEADER, SegmentHeader,
        Written, body_checksum, record_length, sealed_length,
    },
    io::{Access, DiskFile, DiskIo, Mapping},
};
use crate::checksum::xxh3;

/// What is looked at in one go when records are searched for.
const SEARCH_BYTES: usize = 64 * 1024;

/// Of so many bytes one tells whether they are in memory: the system reads no less in one go.
const PROBED: usize = 128 * 1024;

/// What is brought near of a record that will be read: the heads, mostly.
const BEGINNING: usize = 1024;

/// A segment, open.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) header: SegmentHeader,
    file: Arc<dyn DiskFile>,
    map: Arc<dyn Mapping>,
}

impl Segment {
    /// The path of segment `number`.
    pub(super) fn path(number: u32) -> String {
        format!("log/{number:010}.seg")
    }

    /// The number of the segment with this file name.
    pub(super) fn number_of(name: &str) -> Option<u32> {
        let number = name.strip_suffix(".seg").filter(|digits| digits.len() == 10)?;
        number.parse().ok().filter(|number| *number > 0)
    }

    /// Makes a segment, and makes it survive power loss.
    pub(super) fn create(io: &dyn DiskIo, header: SegmentHeader, temporary: &str) -> io::Result<Self> {
        let made = io.create(temporary).and_then(|file| {
            file.allocate(header.length.into())?;
            Self::begin(io, file, header, temporary)
        });
        if made.is_err() {
            // Whatever is left of it is removed at the next open.
            let _ = io.unlink(temporary);
        }
        made
    }

    /// Makes a segment of a file that is long enough, and makes it survive power loss.
    pub(super) fn begin(
        io: &dyn DiskIo,
        file: Arc<dyn DiskFile>,
        header: SegmentHeader,
        temporary: &str,
    ) -> io::Result<Self> {
        file.write_at(&header.encode(), 0)?;
        // Synced before the rename: otherwise power loss can leave a name on an empty file.
        file.sync()?;
        io.rename(temporary, &Self::path(header.number))?;
        io.sync_dir("log")?;
        let map = file.map()?;
        Ok(Self { header, file, map })
    }

    /// Opens a segment. `None`: neither copy of its header is right.
    pub(super) fn open(io: &dyn DiskIo, number: u32, access: Access) -> io::Result<Option<Self>> {
        let file = io.open(&Self::path(number), access)?;
        let mut start = vec![0; FIRST_RECORD as usize];
        let read = file.read_at(&mut start, 0)?;
        start.truncate(read);
        let copies = [0, SECOND_HEADER].map(|at| start.get(at..at + SEGMENT_HEADER).and_then(SegmentHeader::parse));
        let Some(header) = copies.into_iter().flatten().find(|header| header.number == number) else {
            return Ok(None);
        };
        if access == Access::Write {
            // A file that somebody cut gets its length back, so that the log can go on in it.
            file.allocate(header.length.into())?;
        }
        let map = file.map()?;
        Ok(Some(Self { header, file, map }))
    }

    /// The number in its name.
    pub(super) fn number(&self) -> u32 {
        self.header.number
    }

    /// Gone once nobody reads from it.
    pub(super) fn readers(&self) -> Weak<()> {
        self.map.readers()
    }

    /// Writes at `offset`.
    pub(super) fn write(&self, bytes: &[u8], offset: u32) -> io::Result<()> {
        self.file.write_at(bytes, offset.into())
    }

    /// Has some of its pages at hand for who reads from it.
    pub(super) fn populate(&self, range: Range<u32>) {
        self.map.populate(range.start as usize..range.end.min(self.header.length) as usize);
    }

    /// Makes what was written survive power loss.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    /// Bytes as they are now.
    pub(super) fn bytes(&self, range: Range<usize>) -> Option<Bytes> {
        self.map.slice(range)
    }

    /// A payload, where its bytes are still what was written.
    pub(super) fn payload(&self, written: Written) -> Option<Bytes> {
        let payload = self.map.slice(payload_range(written)?)?;
        let body = &payload[self.sealed_of(written, &payload)?..];
        // Only an inline body is not sealed.
        (body.is_empty() || body_checksum(&payload)? == self.checksum(body)).then_some(payload)
    }

    /// A payload to be looked at now, where the bytes of its sealed part are still what was written. Nobody looked at what comes
    /// after that.
    pub(super) fn sealed(&self, written: Written) -> Option<Cow<'_, [u8]>> {
        let payload = self.map.view(payload_range(written)?)?;
        self.sealed_of(written, &payload).map(|_| payload)
    }

    /// How long the sealed part of a payload is, where that is what was written.
    fn sealed_of(&self, written: Written, payload: &[u8]) -> Option<usize> {
        let sealed = sealed_length(written.kind, payload)?;
        (self.checksum(&payload[..sealed]) == written.checksum).then_some(sealed)
    }

    /// What bytes of this segment are verified by.
    fn checksum(&self, bytes: &[u8]) -> u64 {
        xxh3(bytes, self.header.seed)
    }

    /// Has the beginning of the record at `offset` with a payload this long brought near.
    pub(super) fn touch(&self, offset: u32, payload_length: u32) {
        let start = offset as usize;
        let length = BEGINNING.min(record_length(payload_length as usize));
        self.map.touch(start..start.saturating_add(length).min(self.map.length()));
    }

    /// Has a `piece` of its pages at hand, if they are in memory. Returns whether they are, as far as one can tell from some.
    pub(super) fn populate_at_hand(&self, piece: Range<usize>) -> bool {
        let is_at_hand = piece.clone().step_by(PROBED).all(|at| self.file.is_at_hand(at as u64));
        if is_at_hand {
            self.map.populate(piece);
        }
        is_at_hand
    }

    /// The record at `offset`.
    pub(super) fn record_at(&self, offset: u32) -> Option<Header> {
        let start = offset as usize;
        let bytes = self.map.view(start..start.checked_add(HEADER)?)?;
        let header = Header::parse(&bytes, Position::new(self.number(), offset), self.header.seed)?;
        header.next().filter(|next| *next <= self.header.length)?;
        Some(header)
    }

    /// The record at `offset`, or else the next that `counts`.
    pub(super) fn next_record(&self, offset: u32, counts: impl Fn(&Header) -> bool) -> io::Result<Option<Header>> {
        match self.record_at(offset).filter(&counts) {
            Some(header) => Ok(Some(header)),
            None => self.find_record(offset, counts),
        }
    }

    /// The first record from `offset` on that `counts`.
    fn find_record(&self, offset: u32, counts: impl Fn(&Header) -> bool) -> io::Result<Option<Header>> {
        let end = self.map.length().min(self.header.length as usize);
        let mut at = (offset as usize).next_multiple_of(ALIGNMENT);
        while at.saturating_add(HEADER) <= end {
            match self.file.next_data(at as u64)?.and_then(|data| usize::try_from(data).ok()) {
                // A record can begin in the zeros before what the disk calls data.
                Some(data) => at = at.max(data.saturating_sub(HEADER) / ALIGNMENT * ALIGNMENT),
                None => return Ok(None),
            }
            let window = at..end.min(at.saturating_add(SEARCH_BYTES));
            let Some(bytes) = self.map.slice(window.clone()) else { return Ok(None) };
            for (index, word) in bytes.chunks(ALIGNMENT).enumerate() {
                if !word.starts_with(&RECORD_MAGIC) {
                    continue;
                }
                let found = u32::try_from(at + index * ALIGNMENT).ok().and_then(|offset| self.record_at(offset));
                if let Some(header) = found.filter(&counts) {
                    return Ok(Some(header));
                }
            }
            at = window.end.next_multiple_of(ALIGNMENT);
        }
        Ok(None)
    }

    /// Takes away every record from `offset` on, and makes that survive power loss. Returns whether
    /// there was anything.
    pub(super) fn clear_from(&self, offset: u32) -> io::Result<bool> {
        if self.header.recycled { self.clear_headers_from(offset) } else { self.clear_bytes_from(offset) }
    }

    /// What stands there from a former use is no record here.
    fn clear_headers_from(&self, offset: u32) -> io::Result<bool> {
        let mut cleared = false;
        let mut at = offset;
        while let Some(header) = self.next_record(at, |_| true)? {
            self.file.write_at(&[0; HEADER], header.position.offset().into())?;
            at = header.position.offset();
            cleared = true;
        }
        if cleared {
            self.file.sync()?;
        }
        Ok(cleared)
    }

    fn clear_bytes_from(&self, offset: u32) -> io::Result<bool> {
        let end = self.map.length();
        let mut cleared = false;
        let mut at = offset as usize;
        while at < end {
            match self.file.next_data(at as u64)?.and_then(|data| usize::try_from(data).ok()) {
                Some(data) => at = at.max(data),
                None => break,
            }
            let window = at..end.min(at.saturating_add(SEARCH_BYTES));
            if self.map.slice(window.clone()).is_some_and(|bytes| bytes.iter().any(|byte| *byte != 0)) {
                self.file.write_at(&vec![0; window.len()], window.start as u64)?;
                cleared = true;
            }
            at = window.end;
        }
        if cleared {
            self.file.sync()?;
        }
        Ok(cleared)
    }

    /// Whether something stands where a record would begin that was written there.
    pub(super) fn has_bytes_at(&self, offset: u32) -> bool {
        if self.header.recycled {
            return false;
        }
        let start = offset as usize;
        let end = start.saturating_add(HEADER).min(self.map.length());
        self.map.slice(start..end).is_some_and(|bytes| bytes.iter().any(|byte| *byte != 0))
    }
}

/// Where a payload stands in its segment.
fn payload_range(written: Written) -> Option<Range<usize>> {
    let start = written.payload_at as usize;
    Some(start..start.checked_add(written.payload_length as usize)?)
}
