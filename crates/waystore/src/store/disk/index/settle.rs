//! The end of the log: what can only be said of lists and names once all records were read.

use hashbrown::HashSet;

use super::{Content, Index};
use crate::store::{ListId, Usage};

impl Index {
    /// The log is read to its end. Returns the lists whose name was never found, with the number of
    /// their entries; they are not there.
    pub(in crate::store::disk) fn settle(&mut self) -> Vec<(ListId, usize)> {
        let nameless = self.lists.extract_if(|_, entries| entries.place.is_none());
        let nameless: Vec<_> = nameless.map(|(list, entries)| (list, entries.len(), entries.bytes)).collect();
        for (_, _, bytes) in &nameless {
            bytes.iter().for_each(|(segment, bytes)| self.usage.take_live(*segment, *bytes));
        }
        self.settle_names();
        self.trash.clear();
        for entries in self.lists.values_mut() {
            if let Content::Loaded(slots) = &mut entries.content {
                slots.settle();
            }
        }
        self.gone = None;
        nameless.into_iter().map(|(list, entries, _)| (list, entries)).collect()
    }

    /// Tells which list has which name, and what that costs whom. Not before the end of the log: compaction moves names
    /// there, past others that were changed since.
    fn settle_names(&mut self) {
        let mut named: Vec<_> = self.lists.iter().map(|(list, entries)| (entries.bound.0, *list)).collect();
        // The youngest record first: what has the same name had it before, and the record that took it away was lost
        // to damage. A list that is gone is not moved any more.
        named.sort_unstable_by(|one, other| other.cmp(one));
        let displaced: Vec<ListId> = {
            let mut taken = HashSet::new();
            let mut is_first = |list: &ListId| {
                let entries = &self.lists[list];
                taken.insert((&entries.place, &entries.name))
            };
            named.into_iter().map(|(_, list)| list).filter(|list| !is_first(list)).collect()
        };
        displaced.into_iter().for_each(|list| self.unbind(list));
        let mut named: Vec<_> = self.lists.iter().map(|(list, entries)| (entries.order, *list)).collect();
        named.sort_unstable();
        for (_, list) in named {
            let entries = &self.lists[&list];
            if let (Some(place), Some(name)) = (&entries.place, &entries.name) {
                self.ledger.charge(place, Usage::of_name(name));
                self.ledger.charge(place, entries.usage);
                self.places.entry(place.clone()).or_default().insert(name.clone(), list);
            }
        }
    }
}
