//! What places in the log that cannot be read mean for those who use the store.
//!
//! A record may be needed no more, or told twice: then nothing is lost with it.

use std::{collections::BTreeMap, io};

use hashbrown::HashSet;

use super::{
    entries::{Named, lost, url_of},
    look::Look,
    report::{Effect, Finding},
};
use crate::store::{
    EntryId, ListId,
    disk::{
        format::{FIRST_RECORD, Header, Kind, Position, Written, parse_remove},
        replay::Replayed,
        report::Damage,
        segment::Segment,
        survey::{SegmentFile, segment_of},
    },
};

/// What is there, to judge by.
pub(super) struct Known<'a> {
    pub(super) segments: &'a [SegmentFile],
    /// What a process that opens the directory would find.
    pub(super) opened: &'a Replayed,
    pub(super) named: &'a Named,
    /// Everything before this is told by the checkpoint.
    pub(super) base: Position,
    /// Entries that cannot be read: each was reported.
    pub(super) broken: &'a BTreeMap<Position, Effect>,
}

impl Known<'_> {
    /// Reports `damage`, each with what it means.
    pub(super) fn report(&self, damage: &[&Damage], look: &mut Look) -> io::Result<()> {
        let fates = Fates::of(damage, self.segments)?;
        for damage in damage {
            match damage {
                Damage::Checkpoint(detail) => {
                    look.hurt.checkpoint = true;
                    look.report.push(Finding::new("checkpoint", *detail, Effect::Harmless));
                }
                Damage::Gap { segment, from, to } => self.gap(*segment, *from, *to, look),
                Damage::Record { .. } => self.record(damage, &fates, look),
                Damage::Missing { segment } => self.segment(*segment, "it is missing", look),
                Damage::Headless { segment } => {
                    look.hurt.headless.insert(*segment);
                    self.segment(*segment, "neither of its headers can be read", look);
                }
                Damage::Body { path, list, entry } => self.body(path, *list, *entry, look),
                Damage::Nameless { list, entries } => {
                    let detail =
                        format!("the name of list {list} cannot be read, nor which cache its {entries} entries are in");
                    look.report.push(Finding::new("log", detail, Effect::Unknown));
                }
            }
        }
        Ok(())
    }

    fn segment(&self, segment: u32, detail: &str, look: &mut Look) {
        look.hurt.note_unknown(segment);
        let path = Segment::path(segment);
        let gone = self.opened.bodiless.iter().filter(|(_, removed)| removed.at.segment() == segment);
        let before = look.report.damage_count;
        for (list, removed) in gone {
            let finding = Finding::new(path.as_str(), detail, lost(self.named, *list, None));
            look.report.push(finding.at(removed.at.offset()));
        }
        if look.report.damage_count == before {
            let effect = self.unless_told(Position::new(segment, 0), Effect::Unknown);
            look.report.push(Finding::new(path, detail, effect));
        }
    }

    fn gap(&self, segment: u32, from: u32, to: Option<u32>, look: &mut Look) {
        look.hurt.note_unknown(segment);
        let (start, end) = (Position::new(segment, from), Position::new(segment, to.unwrap_or(u32::MAX)));
        if self.broken.range(start..end).next().is_some() {
            return;
        }
        let detail = match to {
            Some(to) => format!("{} bytes hold no record that can be read", to.saturating_sub(from)),
            None => "from here on no record can be read".into(),
        };
        let effect = self.unless_told(start, Effect::Unknown);
        look.report.push(Finding::new(Segment::path(segment), detail, effect).at(from));
    }

    fn record(&self, damage: &Damage, fates: &Fates, look: &mut Look) {
        let Damage::Record { at, kind, list, entry, detail, .. } = damage else { return };
        let (list, entry) = (ListId(*list), EntryId(*entry));
        look.hurt.segments.insert(at.segment());
        if self.broken.contains_key(at) {
            return;
        }
        let effect = match kind {
            Kind::Mark | Kind::Seal => Effect::Harmless,
            Kind::Insert => self.insertion(*at, list, entry, fates),
            Kind::Bind | Kind::Rename | Kind::Unbind | Kind::Remove if fates.is_told_twice(damage) => Effect::Harmless,
            Kind::Bind | Kind::Rename | Kind::Unbind | Kind::Remove => {
                look.hurt.note_unknown(at.segment());
                self.unless_told(*at, Effect::Unknown)
            }
        };
        let what = match kind {
            Kind::Bind | Kind::Rename => "a name",
            Kind::Unbind => "the deletion of a cache",
            Kind::Insert => "an entry",
            Kind::Remove => "the deletion of entries",
            Kind::Mark | Kind::Seal => "a mark",
        };
        let finding = Finding::new(Segment::path(at.segment()), format!("the record of {what}: {detail}"), effect);
        look.report.push(finding.at(at.offset()));
    }

    fn insertion(&self, at: Position, list: ListId, entry: EntryId, fates: &Fates) -> Effect {
        let index = &self.opened.index;
        let elsewhere = index.get(list, entry).is_some();
        if at < self.base || elsewhere || fates.removed.contains(&(list.0, entry.0)) {
            return Effect::Harmless;
        }
        match self.named.contains_key(&list) {
            true => {
                lost(self.named, list, segment_of(self.segments, at.segment()).and_then(|segment| url_of(segment, at)))
            }
            // It went with its cache, unless that lost its name, which is reported.
            false => Effect::Harmless,
        }
    }

    fn body(&self, path: &str, list: u64, entry: u64, look: &mut Look) {
        let removed = self.opened.bodiless.iter().find(|(of, removed)| (of.0, removed.entry.0) == (list, entry));
        let url = removed.and_then(|(_, removed)| url_of(segment_of(self.segments, removed.at.segment())?, removed.at));
        look.hurt.bodies.insert(path.to_owned());
        look.report.push(Finding::new(
            path,
            "it is missing or has another length",
            lost(self.named, ListId(list), url),
        ));
    }

    fn unless_told(&self, at: Position, effect: Effect) -> Effect {
        if at < self.base { Effect::Harmless } else { effect }
    }
}

/// What the rest of the log tells of damaged records.
#[derive(Default)]
struct Fates {
    /// Entries that were removed later.
    removed: HashSet<(u64, u64)>,
    /// Names and removals of which a copy can be read.
    copies: HashSet<(u64, u8, u64)>,
}

impl Fates {
    fn of(damage: &[&Damage], segments: &[SegmentFile]) -> io::Result<Self> {
        let mut fates = Self::default();
        let mut inserted = HashSet::new();
        let mut control = HashSet::new();
        for damage in damage {
            match damage {
                Damage::Record { kind: Kind::Insert, list, entry, .. } => drop(inserted.insert((*list, *entry))),
                Damage::Record { kind, batch, list, .. } => drop(control.insert((*batch, *kind as u8, *list))),
                _ => {}
            }
        }
        if inserted.is_empty() && control.is_empty() {
            return Ok(fates);
        }
        each_record(segments, |segment, header| {
            let Some(payload) = Written::of(header).and_then(|written| segment.payload(written)) else { return };
            let id = (header.batch, header.kind as u8, header.list);
            if control.contains(&id) {
                fates.copies.insert(id);
            }
            if header.kind == Kind::Remove {
                let removed = parse_remove(&payload).unwrap_or_default();
                let removed = removed.into_iter().map(|removed| (header.list, removed.entry.0));
                fates.removed.extend(removed.filter(|removed| inserted.contains(removed)));
            }
        })?;
        Ok(fates)
    }

    fn is_told_twice(&self, damage: &Damage) -> bool {
        match damage {
            Damage::Record { kind, batch, list, .. } => self.copies.contains(&(*batch, *kind as u8, *list)),
            _ => false,
        }
    }
}

/// Every record whose header can be read, whether it counts or not.
fn each_record(segments: &[SegmentFile], mut visit: impl FnMut(&Segment, &Header)) -> io::Result<()> {
    for segment in segments.iter().filter_map(|(_, segment)| segment.as_ref()) {
        let mut at = FIRST_RECORD;
        while let Some(header) = segment.next_record(at, |_| true)? {
            visit(segment, &header);
            at = header.next().unwrap_or(u32::MAX);
        }
    }
    Ok(())
}
