//! One look at a data directory: all of it is read, nothing is changed.

use std::{collections::BTreeSet, io, sync::Arc};

use super::{
    books::{compare, load_all, recount},
    damage::Known,
    entries::{Named, check_bodies, check_records, unreadable},
    files::{Files, Meter, read_through},
    is_missing,
    report::{CheckProgress, CheckReport, Effect, Finding, Writer},
};
use crate::{
    Clock, Error, Result,
    store::disk::{
        begin::{Beginning, begin, settled},
        bodies::Bodies,
        checkpoint,
        format::{FIRST_RECORD, Position},
        home::{Mark, mark_of, not_ours},
        io::{Access, DiskIo},
        replay::{Replayed, read_log},
        report::Damage,
        segment::Segment,
        spare::Spares,
        survey::SegmentFile,
    },
};

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) report: CheckReport,
    pub(super) hurt: Hurt,
}

/// What has to be seen to.
#[derive(Debug, Default)]
pub(super) struct Hurt {
    pub(super) format: bool,
    pub(super) checkpoint: bool,
    pub(super) closed: bool,
    /// The files of bodies, and those that no entry names.
    pub(super) bodies: BTreeSet<String>,
    pub(super) strays: BTreeSet<String>,
    /// Segments without a header.
    pub(super) headless: BTreeSet<u32>,
    /// Segments in which something is damaged.
    pub(super) segments: BTreeSet<u32>,
    /// The last segment in which nobody knows what is lost.
    pub(super) unknown: Option<u32>,
    /// Files that the disk cannot read; where there is one, the log was not looked at.
    pub(super) unreadable: BTreeSet<String>,
}

impl Hurt {
    pub(super) fn note_unknown(&mut self, segment: u32) {
        self.segments.insert(segment);
        self.unknown = self.unknown.max(Some(segment));
    }
}

/// Looks at all of the directory.
pub(super) fn look(
    io: &Arc<dyn DiskIo>,
    clock: &Arc<Clock>,
    writer: Option<Writer>,
    progress: &mut dyn FnMut(CheckProgress),
) -> Result<Look> {
    let mut look = Look::default();
    look.report.writer = writer;
    look.check_format(&**io)?;
    let files = Files::list(&**io).map_err(Error::unavailable)?;
    (look.report.files, look.report.bytes) = (files.count(), files.bytes());
    let mut meter = Meter::new(files.bytes(), progress);
    look.check_folders(&files);
    look.read_through(&**io, &files, &mut meter).map_err(Error::unavailable)?;
    if look.hurt.unreadable.is_empty() && !files.missing.contains(&"log") {
        look.check_log(io, clock, &files, &mut meter)?;
    }
    Ok(look)
}

impl Look {
    pub(super) fn check_format(&mut self, io: &dyn DiskIo) -> Result<()> {
        let detail = match mark_of(io).map_err(Error::unavailable)? {
            Mark::Ours => return Ok(()),
            Mark::Other(text) => return Err(not_ours(io, &format!("its format is another: `{text}`"))),
            Mark::Unreadable => "it is damaged, and nothing can open the directory",
            Mark::None => "it is missing, and nothing can open the directory",
        };
        if !has_a_segment(io).map_err(Error::unavailable)? {
            return Err(not_ours(io, "there is no file `format` in it that says so, and no segment of a log"));
        }
        self.hurt.format = true;
        self.report.push(Finding::new("format", detail, Effect::Harmless));
        Ok(())
    }

    fn check_folders(&mut self, files: &Files) {
        for folder in &files.missing {
            let effect = if *folder == "log" { Effect::Unknown } else { Effect::Harmless };
            self.hurt.checkpoint |= *folder == "log" && files.read_whole.contains_key("checkpoint");
            self.report.push(Finding::new(*folder, "the folder is missing", effect));
        }
        for path in &files.foreign {
            self.report.push(Finding::new(path.as_str(), "it is no part of a store", Effect::Leftover));
        }
        if self.report.writer.is_none() {
            for path in files.temporary.iter().filter(|path| !path.starts_with(Spares::BEGIN)) {
                let detail = "it was being written when a process ended";
                self.report.push(Finding::new(path.as_str(), detail, Effect::Leftover));
            }
        }
    }

    fn read_through(&mut self, io: &dyn DiskIo, files: &Files, meter: &mut Meter<'_>) -> io::Result<()> {
        for path in files.read_whole.keys() {
            if let Some(found) = read_through(io, path, meter)? {
                let effect = if path == "checkpoint" { Effect::Harmless } else { Effect::Unknown };
                self.report.push(Finding::new(path.as_str(), unreadable(&found.error), effect).at(found.offset));
                self.hurt.unreadable.insert(path.clone());
            }
        }
        Ok(())
    }

    fn check_log(
        &mut self,
        io: &Arc<dyn DiskIo>,
        clock: &Arc<Clock>,
        files: &Files,
        meter: &mut Meter<'_>,
    ) -> Result<()> {
        let bodies = Bodies::new(Arc::clone(io), Arc::clone(clock), false, false);
        let others = Bodies::new(Arc::clone(io), Arc::clone(clock), false, false);
        // As who opens the directory reads it; and the log alone, where that is not the same.
        let (beginning, mut opened, mut log) = settled(Access::Read, |last_look| {
            let beginning = begin(&bodies, Access::Read, last_look || self.report.writer.is_none())?;
            let Beginning { closed, segments, base, .. } = &beginning;
            let opened = read_log(&bodies, segments, base.as_ref(), *closed)?;
            let log = base.as_ref().map(|_| read_log(&others, segments, None, None)).transpose()?;
            Ok((beginning, opened, log))
        })?;
        let named = self.load(&mut opened, log.as_mut());
        self.report.caches = named.len() as u64;
        self.report.unfinished_write = opened.report.torn_tail && self.report.writer.is_none();
        self.check_closed(&**io, &beginning)?;
        self.check_segments(&**io, &beginning.segments, &opened).map_err(Error::unavailable)?;
        let broken = check_records(&opened.index, &named, self);
        let damage = all_damage(&beginning, &opened, log.as_ref());
        let base = beginning.base.as_ref().map(|base| base.at).unwrap_or_default();
        let known = Known { segments: &beginning.segments, opened: &opened, named: &named, base, broken: &broken };
        known.report(&damage, self).map_err(Error::unavailable)?;
        check_bodies(&opened.index, &named, &broken, self, meter);
        recount(&opened, &named, self);
        if self.report.writer.is_none() {
            // Where something is damaged, they cannot say the same.
            if let Some(log) = log.as_ref().filter(|_| damage.is_empty() && broken.is_empty()) {
                compare(&opened, log, &named, self);
            }
            self.check_strays(files, &opened);
        }
        Ok(())
    }

    fn load(&mut self, opened: &mut Replayed, log: Option<&mut Replayed>) -> Named {
        let told = opened.index.checkpoint(opened.end, opened.next).lists;
        let named: Named = told.into_iter().map(|told| (told.list, (told.named.place, told.named.name))).collect();
        for list in load_all(&mut opened.index, named.keys().copied()) {
            self.hurt.checkpoint = true;
            let name = &named[&list].1;
            let detail = format!("what it tells of `{name}` fails its checksum");
            self.report.push(Finding::new("checkpoint", detail, Effect::Harmless));
        }
        if let Some(log) = log {
            let lists = log.index.checkpoint(log.end, log.next).lists;
            load_all(&mut log.index, lists.into_iter().map(|told| told.list));
        }
        named
    }

    fn check_closed(&mut self, io: &dyn DiskIo, beginning: &Beginning) -> Result<()> {
        let length = match io.length(checkpoint::CLOSED) {
            Err(error) if is_missing(&error) => return Ok(()),
            length => length.map_err(Error::unavailable)?,
        };
        let at = beginning.base.as_ref().map(|base| base.at);
        let detail = match beginning.closed {
            // Somebody opened the directory meanwhile.
            _ if self.report.writer.is_some() => return Ok(()),
            None => "it is damaged",
            Some(_) if length != checkpoint::CLOSED_LENGTH => "it is longer than it should be",
            Some(closed) if at.is_some_and(|at| at != closed) => "it is of another checkpoint",
            Some(_) => return Ok(()),
        };
        self.hurt.closed = true;
        self.report.push(Finding::new(checkpoint::CLOSED, detail, Effect::Harmless));
        Ok(())
    }

    /// The headers of the segments, and their lengths.
    fn check_segments(&mut self, io: &dyn DiskIo, segments: &[SegmentFile], opened: &Replayed) -> io::Result<()> {
        for (number, segment) in segments {
            let path = Segment::path(*number);
            if *number > opened.end.segment() && self.report.writer.is_none() {
                self.report.push(Finding::new(path, "it comes after the end of the log", Effect::Leftover));
                continue;
            }
            let Some(segment) = segment else { continue };
            let start = segment.bytes(0..FIRST_RECORD as usize).unwrap_or_default();
            let written = segment.header.encode();
            if let Some(at) = written.iter().zip(&start).position(|(written, now)| written != now) {
                let detail = "the segment's header is damaged; its other copy is whole";
                self.report.push(Finding::new(path.as_str(), detail, Effect::Harmless).at(at as u64));
                self.hurt.segments.insert(*number);
            }
            let length = match io.length(&path) {
                Err(error) if is_missing(&error) => continue,
                length => length?,
            };
            if length != u64::from(segment.header.length) {
                let detail = format!("it has {length} bytes instead of {}", segment.header.length);
                self.report.push(Finding::new(path, detail, Effect::Harmless));
                self.hurt.segments.insert(*number);
            }
        }
        Ok(())
    }

    fn check_strays(&mut self, files: &Files, opened: &Replayed) {
        let wanted: BTreeSet<String> =
            opened.index.all().filter_map(|(_, slot)| Some(slot.file.as_ref()?.name.path())).collect();
        for path in files.bodies.keys() {
            if !wanted.contains(path) && !self.hurt.bodies.contains(path) {
                self.hurt.strays.insert(path.clone());
                self.report.push(Finding::new(path.as_str(), "no entry has this body", Effect::Leftover));
            }
        }
    }
}

/// The damage that who opens the directory meets, and that in the part of the log which the checkpoint spares them.
fn all_damage<'a>(beginning: &'a Beginning, opened: &'a Replayed, log: Option<&'a Replayed>) -> Vec<&'a Damage> {
    let mut all: Vec<&Damage> = beginning.damage.iter().chain(&opened.damage).collect();
    let base = beginning.base.as_ref().map(|base| base.at).unwrap_or_default();
    let is_new = |damage: &&Damage| match damage {
        Damage::Gap { segment, from, .. } => Position::new(*segment, *from) < base,
        Damage::Record { at, .. } => *at < base,
        Damage::Missing { .. } | Damage::Headless { .. } => !opened.damage.contains(damage),
        // What the checkpoint tells of them counts.
        Damage::Body { .. } | Damage::Nameless { .. } | Damage::Checkpoint(_) => false,
    };
    all.extend(log.into_iter().flat_map(|log| &log.damage).filter(is_new));
    all
}

fn has_a_segment(io: &dyn DiskIo) -> io::Result<bool> {
    let names = match io.list("log") {
        Err(error) if is_missing(&error) => return Ok(false),
        names => names?,
    };
    for number in names.iter().filter_map(|name| Segment::number_of(name)) {
        if Segment::open(io, number, Access::Read)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
