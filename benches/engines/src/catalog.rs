//! Names, the lists they are bound to, and who holds these: in memory, and as one value for the engine.
//!
//! Names are few, so all of them are written at every change of one. Knows no rows.

use std::collections::HashMap;

use waystore::{
    Bottle, CacheName, Error, Place, Result, StorageKey,
    store::{EntryId, ListId, NameChange},
};

/// Numbers are set aside this many at a time, so that none is used twice and the catalog is written seldom.
const SET_ASIDE: u64 = 1 << 20;

/// See the module's doc.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog {
    places: HashMap<Place, Vec<(CacheName, ListId)>>,
    lists: HashMap<ListId, Held>,
    last_list: u64,
    last_entry: u64,
    set_aside: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Held {
    handles: usize,
    doomed: bool,
}

impl Catalog {
    /// The number for a new entry. Larger than all before.
    pub(crate) fn next_entry(&mut self) -> EntryId {
        self.last_entry += 1;
        EntryId(self.last_entry)
    }

    /// Whether numbers were given that the written catalog does not set aside.
    pub(crate) fn must_be_written(&self) -> bool {
        self.last_entry >= self.set_aside
    }

    pub(crate) fn keys(&self) -> Vec<StorageKey> {
        let bound = self.places.iter().filter(|(_, names)| !names.is_empty());
        let mut keys: Vec<_> = bound.map(|(place, _)| place.key.clone()).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        self.places.keys()
    }

    /// Every list that has a name.
    pub(crate) fn lists(&self) -> Vec<ListId> {
        self.places.values().flatten().map(|(_, list)| *list).collect()
    }

    pub(crate) fn names(&self, place: &Place) -> &[(CacheName, ListId)] {
        self.places.get(place).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn list(&self, place: &Place, name: &CacheName) -> Option<ListId> {
        self.names(place).iter().find(|(bound, _)| bound == name).map(|(_, list)| *list)
    }

    pub(crate) fn knows(&self, list: ListId) -> bool {
        self.lists.contains_key(&list)
    }

    pub(crate) fn hold(&mut self, list: ListId) {
        self.lists.entry(list).or_default().handles += 1;
    }

    /// Takes a handle back; returns whether the list is to be freed.
    pub(crate) fn release(&mut self, list: ListId) -> bool {
        let Some(held) = self.lists.get_mut(&list) else { return false };
        held.handles -= 1;
        held.doomed && held.handles == 0
    }

    /// Applies `change`; returns the list it dooms. `Err`: a name that must be bound is not.
    pub(crate) fn change(&mut self, change: &NameChange) -> Result<Option<ListId>, Unbound> {
        let displaced = match change {
            NameChange::Bind(place, name) => {
                if self.list(place, name).is_none() {
                    self.last_list += 1;
                    let list = ListId(self.last_list);
                    self.lists.insert(list, Held::default());
                    self.places.entry(place.clone()).or_default().push((name.clone(), list));
                }
                None
            }
            NameChange::Unbind(place, name) => {
                let names = self.places.get_mut(place).ok_or(Unbound)?;
                let at = names.iter().position(|(bound, _)| bound == name).ok_or(Unbound)?;
                Some(names.remove(at).1)
            }
            NameChange::Rename { place, from, to } => {
                let names = self.places.get_mut(place).ok_or(Unbound)?;
                let at = names.iter().position(|(bound, _)| bound == from).ok_or(Unbound)?;
                match names.iter().position(|(bound, _)| bound == to) {
                    Some(same) if same == at => None,
                    Some(other) => {
                        let list = names[at].1;
                        let displaced = std::mem::replace(&mut names[other].1, list);
                        names.remove(at);
                        Some(displaced)
                    }
                    None => {
                        names[at].0 = to.clone();
                        None
                    }
                }
            }
            NameChange::Expect { place, names } => {
                let bound = self.places.get(place).map(Vec::as_slice).unwrap_or_default();
                if bound != names.as_slice() {
                    return Err(Unbound);
                }
                None
            }
        };
        if let Some(held) = displaced.and_then(|list| self.lists.get_mut(&list)) {
            held.doomed = true;
        }
        Ok(displaced)
    }

    /// The doomed lists that nobody holds.
    pub(crate) fn to_free(&self) -> Vec<ListId> {
        self.lists.iter().filter(|(_, held)| held.doomed && held.handles == 0).map(|(list, _)| *list).collect()
    }

    pub(crate) fn forget(&mut self, list: ListId) {
        self.lists.remove(&list);
    }

    /// The catalog as one value, with more numbers set aside.
    pub(crate) fn encode(&mut self) -> Vec<u8> {
        self.set_aside = self.last_entry + SET_ASIDE;
        let mut bytes = [self.set_aside.to_le_bytes(), self.last_list.to_le_bytes()].concat();
        let doomed = self.lists.iter().filter(|(_, held)| held.doomed);
        let doomed: Vec<_> = doomed.map(|(list, _)| list.0.to_le_bytes()).collect();
        put(&mut bytes, &doomed.concat());
        for (place, names) in &self.places {
            for (name, list) in names {
                put(&mut bytes, place.key.origin().as_bytes());
                put(&mut bytes, place.key.partition().unwrap_or_default().as_bytes());
                put(&mut bytes, place.bucket.as_bytes());
                put(&mut bytes, &[u8::from(place.bottle != Bottle::Caches), u8::from(place.key.partition().is_some())]);
                put(&mut bytes, name.as_wtf8());
                put(&mut bytes, &list.0.to_le_bytes());
            }
        }
        bytes
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let malformed = || Error::Damaged { detail: "a catalog whose lengths do not add up".into() };
        Self::decode_from(bytes).ok_or_else(malformed)
    }

    fn decode_from(bytes: &[u8]) -> Option<Self> {
        let (numbers, mut rest) = bytes.split_at_checked(16)?;
        let (set_aside, last_list) = (number(&numbers[..8])?, number(&numbers[8..])?);
        let mut catalog = Self { last_list, last_entry: set_aside, set_aside, ..Self::default() };
        for doomed in take(&mut rest)?.chunks(8) {
            catalog.lists.insert(ListId(number(doomed)?), Held { doomed: true, handles: 0 });
        }
        while !rest.is_empty() {
            let origin = str::from_utf8(take(&mut rest)?).ok()?;
            let partition = str::from_utf8(take(&mut rest)?).ok()?;
            let bucket = str::from_utf8(take(&mut rest)?).ok()?;
            let &[bottle, partitioned] = take(&mut rest)? else { return None };
            let name = CacheName::from_wtf8(take(&mut rest)?)?;
            let list = ListId(number(take(&mut rest)?)?);
            let key = StorageKey::from_stored(origin, (partitioned != 0).then_some(partition));
            let bottle = if bottle == 0 { Bottle::Caches } else { Bottle::ServiceWorkerRegistrations };
            catalog.lists.insert(list, Held::default());
            catalog.places.entry(Place { key, bucket: bucket.into(), bottle }).or_default().push((name, list));
        }
        Some(catalog)
    }
}

/// A name that must be bound is not.
#[derive(Debug)]
pub(crate) struct Unbound;

fn put(bytes: &mut Vec<u8>, field: &[u8]) {
    let length = u32::try_from(field.len()).expect("names and keys are bounded by who made them");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(field);
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_at_checked(4)?;
    let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
    let (field, after) = after.split_at_checked(length as usize)?;
    *rest = after;
    Some(field)
}

fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}
