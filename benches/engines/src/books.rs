//! Who uses how much: what a quota is checked against. In memory, counted again when a store is opened.
//!
//! Knows no engine and decides nothing about rows.

use std::collections::HashMap;

use waystore::{
    Limits, Place, Result, StorageKey,
    store::{Changes, EntryId, Growth, Ledger, ListId, NewEntry, Usage},
};

use crate::catalog::Catalog;

/// See the module's doc.
#[derive(Debug)]
pub(crate) struct Books {
    ledger: Ledger,
    lists: HashMap<ListId, OfList>,
}

#[derive(Debug)]
struct OfList {
    place: Place,
    usage: Usage,
    entries: HashMap<EntryId, Usage>,
}

impl Books {
    /// The books of an empty store.
    pub(crate) fn new() -> Self {
        Self { ledger: Ledger::new(None), lists: HashMap::new() }
    }

    /// Charges the names of a store that was there before.
    pub(crate) fn charge_names(&mut self, catalog: &Catalog) {
        for place in catalog.places() {
            self.ledger.charge(place, of_names(catalog, place));
        }
        self.learn_lists(catalog);
    }

    /// Checks whether `changes` fit, where `next`, if there is one, is the catalog after them.
    pub(crate) fn check(
        &self,
        key: &StorageKey,
        changes: &Changes,
        catalog: &Catalog,
        next: Option<&Catalog>,
    ) -> Result<()> {
        let mut growth = Growth::default();
        if let Some(next) = next {
            let of_key = |catalog| Catalog::places(catalog).filter(|place| place.key == *key);
            of_key(next).for_each(|place| growth.grow(place, of_names(next, place)));
            of_key(catalog).for_each(|place| growth.shrink(place, of_names(catalog, place)));
        }
        for change in &changes.lists {
            let Some(list) = self.lists.get(&change.list.id()) else { continue };
            growth.grow(&list.place, change.insert.iter().map(NewEntry::usage).sum());
            growth.shrink(&list.place, change.remove.iter().filter_map(|id| list.entries.get(id)).copied().sum());
        }
        self.ledger.check(key, &growth)
    }

    /// The catalog changed from `catalog` to `next`.
    pub(crate) fn rename(&mut self, catalog: &Catalog, next: &Catalog) {
        for place in catalog.places() {
            self.ledger.discharge(place, of_names(catalog, place));
        }
        self.charge_names(next);
    }

    pub(crate) fn insert(&mut self, list: ListId, id: EntryId, usage: Usage) {
        let Some(of_list) = self.lists.get_mut(&list) else { return };
        of_list.entries.insert(id, usage);
        of_list.usage += usage;
        self.ledger.charge(&of_list.place, usage);
    }

    pub(crate) fn remove(&mut self, list: ListId, id: EntryId) {
        let Some(of_list) = self.lists.get_mut(&list) else { return };
        let Some(usage) = of_list.entries.remove(&id) else { return };
        of_list.usage -= usage;
        self.ledger.discharge(&of_list.place, usage);
    }

    /// The rows of `list` are gone.
    pub(crate) fn free(&mut self, list: ListId) {
        if let Some(gone) = self.lists.remove(&list) {
            self.ledger.discharge(&gone.place, gone.usage);
        }
    }

    pub(crate) fn usage(&self, key: Option<&StorageKey>) -> Usage {
        self.ledger.usage(key)
    }

    pub(crate) fn bucket_usage(&self, key: &StorageKey, bucket: &str) -> Usage {
        self.ledger.bucket_usage(key, bucket)
    }

    pub(crate) fn limits(&self) -> &Limits {
        self.ledger.limits()
    }

    pub(crate) fn set_bucket_limit(&mut self, key: &StorageKey, bucket: &str, bytes: Option<u64>) {
        self.ledger.set_bucket_limit(key, bucket, bytes);
    }

    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.ledger.set_limits(limits);
    }

    /// Makes the lists of `catalog` known.
    fn learn_lists(&mut self, catalog: &Catalog) {
        for place in catalog.places() {
            for (_, list) in catalog.names(place) {
                let unused = || OfList { place: place.clone(), usage: Usage::default(), entries: HashMap::new() };
                self.lists.entry(*list).or_insert_with(unused);
            }
        }
    }
}

fn of_names(catalog: &Catalog, place: &Place) -> Usage {
    catalog.names(place).iter().map(|(name, _)| Usage::of_name(name)).sum()
}
