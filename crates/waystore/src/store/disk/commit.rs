//! One commit: checked against what was read, turned into records, appended, shown to all.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{
    bodies::{BodyFile, owner_of},
    body_write,
    failure::disk_error,
    format::{Draft, Kind, Position, RecordBody, encode_bind, encode_insert, encode_remove},
    index::{Index, Step, UrlHashes},
    inner::Inner,
    log::{AppendError, Batch, Log},
    slot::Slot,
};
use crate::{
    Bottle, CacheName, Error, Place, Result, StorageKey,
    store::{
        Changes, Commit, EntryId, ListId, NameChange, NewBody, NewEntry, OpId, ReadSet, Usage, WrittenBody, check_names,
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
        let mut log = self.log()?;
        // Before anything is put in their place: otherwise they would be back after a restart.
        self.remove_damaged(&mut log)?;
        let plan = {
            let index = self.index();
            if is_stale(&index, read) {
                return Ok(Commit::Stale.into());
            }
            match Plan::new(self, &index, &mut log, key, changes)? {
                Some(plan) => plan,
                None => return Ok(Commit::Stale.into()),
            }
        };
        if plan.is_empty() {
            return Ok(Commit::Applied.into());
        }
        let strictly = plan.strictly || self.options.durability == super::Durability::Strict;
        match self.carry_out(&mut log, plan, owner_of(key), op) {
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
        self.append_removals(log, &damaged)
    }

    /// Removes entries for good.
    pub(super) fn remove_for_good(&self, entries: &[(ListId, EntryId)]) -> Result<()> {
        self.append_removals(&mut *self.log()?, entries)
    }

    fn append_removals(&self, log: &mut Log, entries: &[(ListId, EntryId)]) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut plan = Plan::default();
        entries.iter().for_each(|(list, entry)| plan.remove(*list, vec![*entry]));
        match self.carry_out(log, plan, [0; 16], self.clock.op_id()) {
            Ok(()) => Ok(()),
            Err(AppendError::NotDone(error)) => Err(error),
            Err(AppendError::Unknown) => Err(Error::unavailable("the disk failed")),
        }
    }

    /// Appends the records of `plan`, and shows all at once what they change.
    fn carry_out(&self, log: &mut Log, plan: Plan, owner: [u8; 16], op: OpId) -> Result<(), AppendError> {
        // Names and removals come twice: one damaged place must not bring back what is gone.
        let mut drafts: Vec<&Draft> = plan.control.iter().collect();
        drafts.extend(plan.inserts.iter().map(|insert| &insert.draft));
        drafts.extend(plan.control.iter());
        let batch = Batch { drafts: &drafts, key: owner, op, synced: self.synced() };
        let (segment, written) = log.append(batch)?;
        self.bodies.set_log_end(log.end);
        let mut index = self.index_mut();
        for step in plan.steps {
            index.apply(step);
        }
        for (insert, written) in plan.inserts.into_iter().zip(written.into_iter().skip(plan.control.len())) {
            let PlannedInsert { hashes, padding, file, .. } = insert;
            let slot = Slot { segment: Arc::clone(&segment), written, hashes, padding, file };
            index.apply(Step::Insert { list: insert.list, entry: insert.entry, slot });
        }
        Ok(())
    }
}

/// Whether any search of `read` would see something else now.
fn is_stale(index: &Index, read: &ReadSet) -> bool {
    read.0.iter().any(|seen| {
        let now = index.find(seen.list, seen.url.as_match());
        index.place_of(seen.list).is_none() || !now.iter().map(|(id, _)| id).eq(&seen.entries)
    })
}

/// What a commit writes and changes.
#[derive(Default)]
struct Plan {
    /// Names and removals.
    control: Vec<Draft>,
    steps: Vec<Step>,
    grows: Usage,
    shrinks: Usage,
    inserts: Vec<PlannedInsert>,
    strictly: bool,
}

struct PlannedInsert {
    draft: Draft,
    list: ListId,
    entry: EntryId,
    hashes: UrlHashes,
    padding: u8,
    file: Option<Arc<BodyFile>>,
}

impl Plan {
    /// Plans `changes`. `None`: a name to take away or change is not bound.
    fn new(inner: &Inner, index: &Index, log: &mut Log, key: &StorageKey, changes: &Changes) -> Result<Option<Self>> {
        let mut plan = Self::default();
        if !plan.names(index, log, &changes.names) {
            return Ok(None);
        }
        for change in &changes.lists {
            let list = change.list.id();
            plan.note_bottle(index.place_of(list).ok_or_else(|| super::unknown_list(list))?);
            let present = change.remove.iter().copied().filter(|entry| index.contains(list, *entry));
            let present: Vec<_> = present.collect();
            if !present.is_empty() {
                plan.shrinks += present.iter().map(|entry| index.usage_of(list, *entry)).sum();
                plan.remove(list, present);
            }
            plan.grows += change.insert.iter().map(NewEntry::usage).sum();
        }
        index.ledger.check(key, plan.grows, plan.shrinks)?;
        for change in &changes.lists {
            for new in &change.insert {
                plan.insert(inner, index, log, change.list.id(), new)?;
            }
        }
        Ok(Some(plan))
    }

    fn is_empty(&self) -> bool {
        self.control.is_empty() && self.inserts.is_empty()
    }

    fn note_bottle(&mut self, place: &Place) {
        self.strictly |= place.bottle == Bottle::ServiceWorkerRegistrations;
    }

    /// Returns whether every name to take away or change is bound.
    fn names(&mut self, index: &Index, log: &mut Log, changes: &[NameChange]) -> bool {
        // What earlier changes of the same commit made of a name.
        let mut changed: HashMap<(&Place, &CacheName), Option<ListId>> = HashMap::new();
        for change in changes {
            let (NameChange::Bind(place, name)
            | NameChange::Unbind(place, name)
            | NameChange::Rename { place, from: name, .. }) = change;
            self.note_bottle(place);
            let bound = changed.get(&(place, name)).copied().unwrap_or_else(|| index.list(place, name));
            match (change, bound) {
                (NameChange::Bind(..), None) => {
                    let list = ListId(log.next.list);
                    log.next.list += 1;
                    self.grows += Usage::of_name(name);
                    self.control.push(Draft::new(Kind::Bind, list.0, 0, encode_bind(place, name)));
                    self.steps.push(Step::Bind { list, place: place.clone(), name: name.clone() });
                    changed.insert((place, name), Some(list));
                }
                (NameChange::Unbind(..), Some(list)) => {
                    self.control.push(Draft::new(Kind::Unbind, list.0, 0, Vec::new()));
                    self.shrinks += Usage::of_name(name);
                    self.steps.push(Step::Unbind { list });
                    changed.insert((place, name), None);
                }
                (NameChange::Rename { to, .. }, Some(list)) if to != name => {
                    self.shrinks += Usage::of_name(name);
                    if index.list(place, to).is_none() {
                        self.grows += Usage::of_name(to);
                    }
                    self.control.push(Draft::new(Kind::Rename, list.0, 0, encode_bind(place, to)));
                    self.steps.push(Step::Rename { list, place: place.clone(), name: to.clone() });
                }
                (NameChange::Bind(..) | NameChange::Rename { .. }, Some(_)) => {}
                (NameChange::Unbind(..) | NameChange::Rename { .. }, None) => return false,
            }
        }
        true
    }

    fn remove(&mut self, list: ListId, entries: Vec<EntryId>) {
        let numbers: Vec<u64> = entries.iter().map(|entry| entry.0).collect();
        self.control.push(Draft::new(Kind::Remove, list.0, 0, encode_remove(&numbers)));
        self.steps.push(Step::Remove { list, entries });
    }

    fn insert(&mut self, inner: &Inner, index: &Index, log: &mut Log, list: ListId, new: &NewEntry) -> Result<()> {
        let (body, file) = match &new.body {
            NewBody::Null => (RecordBody::Null, None),
            NewBody::Inline(bytes) => (RecordBody::Inline(bytes.clone()), None),
            NewBody::Written(body) => {
                let file = inner.place(body)?;
                (RecordBody::File { hash: file.name.hash, length: file.length }, Some(file))
            }
        };
        let entry = EntryId(log.next.entry);
        log.next.entry += 1;
        let payload = encode_insert(inner.clock.now_ms(), new.entry.as_bytes(), body);
        let hashes = index.hashes(new.entry.url());
        let draft = Draft { kind: Kind::Insert, list: list.0, entry: entry.0, payload };
        self.inserts.push(PlannedInsert { draft, list, entry, hashes, padding: new.entry.padding(), file });
        Ok(())
    }
}
