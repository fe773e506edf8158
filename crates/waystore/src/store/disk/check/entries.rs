//! The entries that there are: whether each can be read, and whether its body can.
//!
//! Asks what a look-up would ask, of every entry.

use std::{collections::BTreeMap, io};

use hashbrown::HashMap;
use url::Url;

use super::{
    files::Meter,
    look::Look,
    report::{Effect, Finding, LostEntry},
};
use crate::{
    CacheName, Place,
    spec::url_key::without_fragment,
    store::{
        Entry, ListId, UrlMatch,
        disk::{
            blocks::{BLOCK, BLOCK_IN_FILE, BlockError},
            bodies::BodyFile,
            format::{INSERT_FIXED, Kind, Position, RecordBody, Written, parse_insert},
            index::Index,
            segment::Segment,
            slot::Near,
            slots::Slot,
        },
    },
};

/// The lists that have a name.
pub(super) type Named = HashMap<ListId, (Place, CacheName)>;

/// What is known to be lost where nobody knows whose it was is something unknown.
pub(super) fn lost(named: &Named, list: ListId, url: Option<String>) -> Effect {
    match named.get(&list) {
        Some((place, cache)) => Effect::Entry(LostEntry::new(place, cache, url)),
        None => Effect::Unknown,
    }
}

/// Reads the record of every entry. Returns those that cannot be read, by their position.
pub(super) fn check_records(index: &Index, named: &Named, look: &mut Look) -> BTreeMap<Position, Effect> {
    let mut broken = BTreeMap::new();
    for (list, slot) in index.all() {
        let Err(detail) = read(index, list, &slot) else {
            look.report.entries += 1;
            continue;
        };
        let url = index.usage.segment(slot.at.segment()).and_then(|segment| url_of(segment, slot.at));
        // It says nothing wrong where the index knows it, too.
        let url = url.filter(|url| index.hashes(url) == slot.hashes);
        let effect = lost(named, list, url);
        let finding = Finding::new(Segment::path(slot.at.segment()), detail, effect.clone());
        look.report.push(finding.at(slot.at.offset()));
        look.hurt.segments.insert(slot.at.segment());
        broken.insert(slot.at, effect);
    }
    broken
}

/// Reads an entry as a look-up would, and more: all that is told of it is the same.
fn read(index: &Index, list: ListId, slot: &Slot) -> Result<(), &'static str> {
    let segment = index.usage.segment(slot.at.segment()).ok_or("the segment of an entry is missing")?;
    let header = segment.record_at(slot.at.offset()).ok_or("the header of an entry's record is damaged")?;
    if (header.kind, header.list, header.entry) != (Kind::Insert, list.0, slot.entry.0) {
        return Err("another record stands in an entry's place");
    }
    let written = Written::of(&header).ok_or("an entry's record is too long")?;
    let payload = segment.payload(written).ok_or("an entry's record fails its checksum")?;
    let malformed = "an entry's record is malformed";
    let (_, entry, body) = parse_insert(&payload).ok_or(malformed)?;
    let entry = Entry::parse(entry).map_err(|_| malformed)?;
    let same_body = match (&body, &slot.file) {
        (RecordBody::File { hash, length }, Some(file)) => {
            (*hash, header.key, *length) == (file.name.hash, file.name.owner, file.length)
        }
        (RecordBody::Null | RecordBody::Inline(_), None) => true,
        _ => false,
    };
    let same = (header.payload_length, entry.padding()) == (slot.payload_length, slot.padding)
        && index.hashes(entry.url()) == slot.hashes;
    if !same || !same_body {
        return Err("the checkpoint tells something else of an entry than its record");
    }
    let search = UrlMatch::Exact(without_fragment(entry.url()));
    let is_found = index.find(list, search, Near::Later).any(|found| found.entry == slot.entry);
    if is_found { Ok(()) } else { Err("the checkpoint does not lead from its URL to an entry") }
}

/// The URL in the record of an insertion, whatever became of the record.
pub(super) fn url_of(segment: &Segment, at: Position) -> Option<String> {
    // Without its header the length is not known: what follows does not matter.
    let rest = (at.offset() as usize).checked_add(crate::store::disk::format::HEADER)?;
    let fixed = segment.bytes(rest..rest.checked_add(INSERT_FIXED)?)?;
    let length = u32::from_le_bytes(fixed.get(8..12)?.try_into().ok()?) as usize;
    let start = rest.checked_add(INSERT_FIXED)?;
    let entry = Entry::parse(segment.bytes(start..start.checked_add(length)?)?).ok()?;
    Url::parse(entry.url()).ok().filter(|url| url.as_str() == entry.url()).map(String::from)
}

/// Reads the file of every large body. An entry that is `broken` anyway is not lost once more.
pub(super) fn check_bodies(
    index: &Index,
    named: &Named,
    broken: &BTreeMap<Position, Effect>,
    look: &mut Look,
    meter: &mut Meter<'_>,
) {
    let mut files: BTreeMap<String, Vec<(ListId, Slot)>> = BTreeMap::new();
    for (list, slot) in index.all() {
        if let Some(path) = slot.file.as_ref().map(|file| file.name.path()) {
            files.entry(path).or_default().push((list, slot));
        }
    }
    for (path, users) in files {
        let file = users.first().and_then(|(_, slot)| slot.file.as_ref());
        let verified = file.map_or(Ok(()), |file| verify(file, meter));
        let Err((offset, detail)) = verified else { continue };
        let finding = |effect| {
            let finding = Finding::new(path.as_str(), detail.as_str(), effect);
            Finding { offset, ..finding }
        };
        let before = look.report.damage_count;
        for (list, slot) in users.into_iter().filter(|(_, slot)| !broken.contains_key(&slot.at)) {
            let url = index.usage.segment(slot.at.segment()).and_then(|segment| url_of(segment, slot.at));
            look.report.push(finding(lost(named, list, url)));
            look.report.entries = look.report.entries.saturating_sub(1);
        }
        if look.report.damage_count == before {
            look.report.push(finding(Effect::Harmless));
        }
        look.hurt.bodies.insert(path);
    }
}

/// Reads a body to its end: the checksum of every block, and that it is the body its name says.
fn verify(file: &BodyFile, meter: &mut Meter<'_>) -> Result<(), (Option<u64>, String)> {
    let told = |error| match error {
        BlockError::Damaged(detail) => detail,
        BlockError::Io(error) => unreadable(&error),
    };
    let open = file.blocks().map_err(|error| (None, told(error)))?;
    let mut hasher = blake3::Hasher::new();
    for number in 0..file.length.div_ceil(BLOCK as u64) {
        let read = open.read(number, 1).map_err(|error| (Some(number * BLOCK_IN_FILE as u64), told(error)))?;
        for block in read {
            hasher.update(&block);
            meter.advance(block.len() as u64 + 8);
        }
    }
    if *hasher.finalize().as_bytes() == file.name.hash {
        return Ok(());
    }
    Err((None, "it holds another body than its name says".into()))
}

pub(super) fn unreadable(error: &io::Error) -> String {
    format!("the disk cannot read it: {error}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        Clock,
        store::disk::{
            blocks::{checksum, checksum_of_first},
            bodies::{Bodies, BodyName},
            io::DiskIo,
            sim::SimDisk,
        },
    };

    #[test]
    fn every_bit_of_a_body_is_checked() {
        let disk = SimDisk::default();
        let bodies = Bodies::new(Arc::new(disk.clone()), Arc::new(Clock::fixed(0, 0)), false, false);
        let body = b"the body of a response";
        let hash = *blake3::hash(body).as_bytes();
        let file = bodies.get(BodyName { owner: [1; 16], hash }, body.len() as u64);
        let written = [&body[..], &checksum_of_first(checksum(0, body), &hash)].concat();
        disk.create_dir(&file.name.dir()).unwrap();
        disk.create(&file.name.path()).unwrap().write_at(&written, 0).unwrap();
        let mut ignored = |_| {};
        let mut meter = Meter::new(0, &mut ignored);
        assert!(verify(&file, &mut meter).is_ok());
        for bit in 0..written.len() * 8 {
            let turn = |bytes: &mut Vec<u8>| bytes[bit / 8] ^= 1 << (bit % 8);
            disk.edit(&file.name.path(), turn);
            assert!(verify(&file, &mut meter).is_err(), "bit {bit}");
            disk.edit(&file.name.path(), turn);
        }
    }
}
