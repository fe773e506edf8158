//! One commit: checked against what was read, turned into records, appended, shown to all.

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;

use super::{
    bodies::{BodyFile, owner_of},
    body_write,
    failure::disk_error,
    format::{
        Draft, Header, Kind, Named, Position, RecordBody, Removed, Written, encode_bind, encode_insert, encode_remove,
        encode_unbind, record_length,
    },
    index::{Index, Step},
    inner::Inner,
    log::{AppendError, Batch, Log},
    slot::Near,
    slots::{Found, Gone, Slot, UrlHashes},
};
use crate::{
    Bottle, CacheName, Error, Place, Result, StorageKey,
    store::{
        Changes, Commit, EntryId, Growth, ListId, NameChange, NewBody, NewEntry, OpId, ReadSet, Usage, WrittenBody,
        check_names, minute_of,
    },
};

/// What became of a commit, and how far the log must be synced before that is said.
pub(super) struct Committed {
    pub(super) outcome: Commit,
    pub(super) wait_for: Option<Position>,
}

impl From<Commit> for Committed {
    fn from(outcome: Commit) -> Self {
        Self { outcome, wait_for: None }
    }
}

impl Inner {
    /// Applies `changes` whole or not at all. Does not wait for the disk to sync.
    pub(super) fn commit(&self, key: &StorageKey, op: OpId, read: &ReadSet, changes: &Changes) -> Result<Committed> {
        check_names(&changes.names)?;
        drop(self.index_for(read.0.iter().map(|seen| (seen.list, seen.url.as_match())))?);
        self.load(changes.lists.iter().map(|change| change.list.id()))?;
        let mut log = self.log()?;
        // Before anything is put in their place: otherwise they would be back after a restart.
        self.remove_damaged(&mut log)?;
        let plan = {
            let index = self.index();
            let Some(seen) = still_seen(&index, read) else { return Ok(Commit::Stale.into()) };
            match Plan::new(self, &index, &mut log, key, changes, &seen)? {
                Some(plan) => plan,
                None => return Ok(Commit::Stale.into()),
            }
        };
        let strictly = plan.strictly || self.options.durability == super::Durability::Strict;
        if plan.is_empty() {
            // What is so already may not be on the disk yet.
            return Ok(Committed { outcome: Commit::Applied, wait_for: strictly.then_some(log.end) });
        }
        let owner = log.owner_of(key);
        match self.carry_out(&mut log, plan, owner, op) {
            Ok(()) => Ok(Committed { outcome: Commit::Applied, wait_for: strictly.then_some(log.end) }),
            Err(AppendError::NotDone(error)) => Err(error),
            Err(AppendError::Unknown) => Ok(Commit::OutcomeUnknown.into()),
        }
    }

    /// Puts a finished body where entries find it.
    pub(super) fn place(&self, body: &WrittenBody) -> Result<Arc<BodyFile>> {
        let written = body.hold::<body_write::Written>().filter(|written| written.is_of(&self.bodies));
        let written = written.ok_or_else(|| Error::unavailable("the body was written to another store"))?;
        written.place(&self.bodies).map_err(|error| disk_error(error, body.length()))
    }

    /// Removes entries that were found damaged from the log too, so that they stay absent.
    pub(super) fn remove_damaged(&self, log: &mut Log) -> Result<()> {
        let damaged = self.take_damaged();
        self.append_removals(log, &damaged).inspect_err(|_| self.keep_damaged(damaged))
    }

    /// Removes entries for good.
    pub(super) fn remove_for_good(&self, entries: &[(ListId, Removed)]) -> Result<()> {
        self.append_removals(&mut *self.log()?, entries)
    }

    fn append_removals(&self, log: &mut Log, entries: &[(ListId, Removed)]) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut plan = Plan::default();
        entries.iter().for_each(|(list, removed)| plan.remove(*list, vec![(*removed).into()]));
        Ok(self.carry_out(log, plan, [0; 16], self.clock.op_id())?)
    }

    /// Appends the records of `plan`, and shows all at once what they change.
    pub(super) fn carry_out(&self, log: &mut Log, plan: Plan, owner: [u8; 16], op: OpId) -> Result<(), AppendError> {
        // Names and removals come twice: one damaged place must not bring back what is gone.
        let mut drafts: Vec<&Draft> = Vec::with_capacity(2 * plan.control.len() + plan.inserts.len());
        drafts.extend(plan.control.iter().map(|control| &control.draft));
        drafts.extend(plan.inserts.iter().map(|insert| &insert.draft));
        drafts.extend(plan.control.iter().map(|control| &control.draft));
        let batch = Batch { drafts: &drafts, key: owner, op, synced: self.synced() };
        let (segment, written) = log.append(batch)?;
        self.bodies.set_log_end(log.end);
        let place_of = |written: &Written| Position::new(segment.number(), written.offset());
        let mut index = self.index_mut();
        index.usage.add(&segment);
        let inserts = written.iter().skip(plan.control.len());
        for (control, written) in plan.control.into_iter().zip(&written) {
            let bytes = 2 * record_length(written.payload_length as usize) as u64;
            let list = ListId(control.draft.list);
            match control.change {
                Change::Name(named) => {
                    index.apply(Step::Bind { list, named, at: place_of(written), bytes });
                }
                Change::Unbind(bound) => {
                    index.apply(Step::Unbind { list });
                    let targets = bound.iter().map(|at| at.segment()).collect();
                    index.apply(Step::Removal { segment: segment.number(), targets, bytes });
                }
                Change::Remove(entries) => {
                    let targets = entries.iter().map(|gone| gone.removed.at.segment()).collect();
                    index.apply(Step::Remove { list, entries });
                    index.apply(Step::Removal { segment: segment.number(), targets, bytes });
                }
            }
        }
        for (insert, written) in plan.inserts.into_iter().zip(inserts) {
            let PlannedInsert { draft, hashes, padding, file, stored_in } = insert;
            let (entry, at, payload_length) = (EntryId(draft.entry), place_of(written), written.payload_length);
            let slot = Slot { entry, at, payload_length, hashes, file, padding };
            index.apply(Step::Insert { list: ListId(draft.list), slot, stored_in });
        }
        log.live = index.usage.live();
        if index.has_trash() {
            log.wake();
        }
        Ok(())
    }
}

/// What the searches of `read` saw, in the order of lists and entries. `None`: some would see something else now.
fn still_seen(index: &Index, read: &ReadSet) -> Option<Vec<(ListId, Found)>> {
    let mut all = Vec::new();
    for seen in &read.0 {
        let before = all.len();
        all.extend(index.find(seen.list, seen.url.as_match(), Near::Later).map(|found| (seen.list, found)));
        let now = all[before..].iter().map(|(_, found)| found.entry);
        if index.place_of(seen.list).is_none() || !now.eq(seen.entries.iter().copied()) {
            return None;
        }
    }
    all.sort_unstable_by_key(|(list, found)| (*list, found.entry));
    Some(all)
}

/// Whether names are what `change` needs them to be before the commit.
fn is_as_expected(index: &Index, change: &NameChange) -> bool {
    let NameChange::Expect { place, names } = change else { return true };
    index.names(place).eq(names.iter().map(|(name, list)| (name, *list)))
}

/// What a batch writes and changes.
#[derive(Default)]
pub(super) struct Plan {
    /// Names and removals.
    control: Vec<Control>,
    growth: Growth,
    inserts: Vec<PlannedInsert>,
    strictly: bool,
}

struct Control {
    draft: Draft,
    change: Change,
}

enum Change {
    Name(Named),
    Unbind(Vec<Position>),
    Remove(Vec<Gone>),
}

struct PlannedInsert {
    draft: Draft,
    hashes: UrlHashes,
    padding: u8,
    file: Option<Arc<BodyFile>>,
    /// The minute, or 0 for a copy.
    stored_in: u32,
}

impl Plan {
    /// Plans `changes`. `None`: a name to take away or change is not bound.
    fn new(
        inner: &Inner,
        index: &Index,
        log: &mut Log,
        key: &StorageKey,
        changes: &Changes,
        seen: &[(ListId, Found)],
    ) -> Result<Option<Self>> {
        let mut plan = Self::default();
        plan.control.reserve_exact(changes.names.len() + changes.lists.len());
        plan.inserts.reserve_exact(changes.lists.iter().map(|change| change.insert.len()).sum());
        if !plan.names(index, log, &changes.names) {
            return Ok(None);
        }
        for change in &changes.lists {
            let list = change.list.id();
            let place = index.place_of(list).ok_or_else(|| super::unknown_list(list))?;
            plan.note_bottle(place);
            // What is removed was seen, mostly: it need not be looked for.
            let known = |entry: &EntryId| {
                let at = seen.binary_search_by_key(&(list, *entry), |(list, found)| (*list, found.entry));
                at.map_or_else(|_| index.get(list, *entry), |at| Some(seen[at].1.clone()))
            };
            let present: Vec<_> = change.remove.iter().filter_map(known).collect();
            if !present.is_empty() {
                plan.growth.shrink(place, present.iter().map(|slot| slot.usage()).sum());
                plan.remove(list, present.iter().map(Found::gone).collect());
            }
            plan.growth.grow(place, change.insert.iter().map(NewEntry::usage).sum());
        }
        index.ledger.check(key, &plan.growth)?;
        for change in &changes.lists {
            for new in &change.insert {
                plan.new_entry(inner, index, log, change.list.id(), new)?;
            }
        }
        Ok(Some(plan))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.control.is_empty() && self.inserts.is_empty()
    }

    fn note_bottle(&mut self, place: &Place) {
        self.strictly |= place.bottle == Bottle::ServiceWorkerRegistrations;
    }

    /// Returns whether every name to take away or change is bound, and names are as expected.
    fn names(&mut self, index: &Index, log: &mut Log, changes: &[NameChange]) -> bool {
        if !changes.iter().all(|change| is_as_expected(index, change)) {
            return false;
        }
        // What earlier changes of the same commit made of a name.
        let mut changed: HashMap<(&Place, &CacheName), Option<ListId>> = HashMap::new();
        for change in changes {
            let (NameChange::Bind(place, name)
            | NameChange::Unbind(place, name)
            | NameChange::Rename { place, from: name, .. }) = change
            else {
                continue;
            };
            self.note_bottle(place);
            let bound = changed.get(&(place, name)).copied().unwrap_or_else(|| index.list(place, name));
            match (change, bound) {
                (NameChange::Bind(..), None) => {
                    let list = ListId(log.next.list);
                    log.next.list += 1;
                    self.growth.grow(place, Usage::of_name(name));
                    // A new name is the last.
                    let named = Named { place: place.clone(), name: name.clone(), order: list.0 };
                    self.name(Kind::Bind, list, named);
                    changed.insert((place, name), Some(list));
                }
                (NameChange::Unbind(..), Some(list)) => {
                    self.growth.shrink(place, Usage::of_name(name));
                    self.unbind(list, index.bound_at(list));
                    changed.insert((place, name), None);
                }
                (NameChange::Rename { to, .. }, Some(list)) if to != name => {
                    self.growth.shrink(place, Usage::of_name(name));
                    let displaced = index.list(place, to);
                    if displaced.is_none() {
                        self.growth.grow(place, Usage::of_name(to));
                    }
                    let order = index.named(displaced.unwrap_or(list)).map_or(list.0, |named| named.order);
                    let named = Named { place: place.clone(), name: to.clone(), order };
                    // First, for it is shown first: it takes the place of the one that goes.
                    self.name(Kind::Rename, list, named);
                    if let Some(displaced) = displaced {
                        self.unbind(displaced, index.bound_at(displaced));
                    }
                }
                (NameChange::Bind(..) | NameChange::Rename { .. }, Some(_)) | (NameChange::Expect { .. }, _) => {}
                (NameChange::Unbind(..) | NameChange::Rename { .. }, None) => return false,
            }
        }
        true
    }

    /// Gives a list a name; `kind` is a bind or a renaming.
    pub(super) fn name(&mut self, kind: Kind, list: ListId, named: Named) {
        let mut draft = Draft::new(kind, list.0, 0, encode_bind(&named));
        draft.key = Some(owner_of(&named.place.key));
        self.control.push(Control { draft, change: Change::Name(named) });
    }

    pub(super) fn unbind(&mut self, list: ListId, bound: Vec<Position>) {
        let draft = Draft::new(Kind::Unbind, list.0, 0, encode_unbind(&bound));
        self.control.push(Control { draft, change: Change::Unbind(bound) });
    }

    pub(super) fn remove(&mut self, list: ListId, entries: Vec<Gone>) {
        let removed: Vec<_> = entries.iter().map(|gone| gone.removed).collect();
        let draft = Draft::new(Kind::Remove, list.0, 0, encode_remove(&removed));
        self.control.push(Control { draft, change: Change::Remove(entries) });
    }

    /// Writes an entry that there is once more, with the same number.
    pub(super) fn copy(&mut self, header: &Header, payload: Bytes, slot: &Slot) {
        let mut draft = Draft::new(Kind::Insert, header.list, header.entry, Vec::new());
        draft.key = Some(header.key);
        draft.payload[0] = payload;
        let Slot { hashes, padding, ref file, .. } = *slot;
        self.inserts.push(PlannedInsert { draft, hashes, padding, file: file.clone(), stored_in: 0 });
    }

    fn new_entry(&mut self, inner: &Inner, index: &Index, log: &mut Log, list: ListId, new: &NewEntry) -> Result<()> {
        let (body, file) = match &new.body {
            NewBody::Null => (RecordBody::Null, None),
            NewBody::Inline(bytes) => (RecordBody::Inline(bytes.clone()), None),
            NewBody::Written(body) => {
                // First: a file that no entry will name would stay in its place.
                log.check()?;
                let file = inner.place(body)?;
                (RecordBody::File { hash: file.name.hash, length: file.length }, Some(file))
            }
        };
        let entry = EntryId(log.next.entry);
        log.next.entry += 1;
        let mut draft = Draft::new(Kind::Insert, list.0, entry.0, Vec::new());
        let now_ms = inner.clock.now_ms();
        draft.payload = encode_insert(now_ms, new.entry.as_bytes(), body);
        let (hashes, padding) = (index.hashes(new.entry.url()), new.entry.padding());
        self.inserts.push(PlannedInsert { draft, hashes, padding, file, stored_in: minute_of(now_ms) });
        Ok(())
    }
}
