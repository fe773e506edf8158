//! The payloads of names, removals and marks (`docs/format.md`, "Record").

use bytes::BufMut;

use super::{Position, u32_at, u64_at};
use crate::{Bottle, CacheName, Place, StorageKey, store::EntryId};

/// A list's name, and where it stands among the names of its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::disk) struct Named {
    pub(in crate::store::disk) place: Place,
    pub(in crate::store::disk) name: CacheName,
    /// Its rank: the names of a place are in this order.
    pub(in crate::store::disk) order: u64,
}

/// The payload of a bind, and of a renaming.
pub(in crate::store::disk) fn encode_bind(named: &Named) -> Vec<u8> {
    let Named { place, name, order } = named;
    let mut payload = Vec::new();
    payload.put_u64_le(*order);
    let partition = place.key.partition();
    for text in [place.key.origin(), &place.bucket, place.bottle.as_str(), partition.unwrap_or_default()] {
        payload.put_u32_le(u32::try_from(text.len()).expect("origins and buckets are bounded by who parsed them"));
        payload.put_slice(text.as_bytes());
    }
    payload.put_u8(u8::from(partition.is_some()));
    payload.put_slice(name.as_wtf8());
    payload
}

/// Reads the payload of a bind, and of a renaming.
pub(in crate::store::disk) fn parse_bind(payload: &[u8]) -> Option<Named> {
    let order = u64_at(payload, 0)?;
    let mut rest = payload.get(8..)?;
    let mut text = || {
        let length = usize::try_from(u32_at(rest, 0)?).ok()?;
        let (text, after) = rest.get(4..)?.split_at_checked(length)?;
        rest = after;
        std::str::from_utf8(text).ok()
    };
    let (origin, bucket, bottle, partition) = (text()?, text()?, text()?, text()?);
    let (partitioned, name) = rest.split_first()?;
    let partition = match partitioned {
        0 if partition.is_empty() => None,
        1 => Some(partition),
        _ => return None,
    };
    let bottle = [Bottle::Caches, Bottle::ServiceWorkerRegistrations].into_iter().find(|b| b.as_str() == bottle)?;
    let place = Place { key: StorageKey::from_stored(origin, partition), bucket: bucket.into(), bottle };
    Some(Named { place, name: CacheName::from_wtf8(name)?, order })
}

/// One removal: the entry, and where its record was then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::disk) struct Removed {
    pub(in crate::store::disk) entry: EntryId,
    pub(in crate::store::disk) at: Position,
}

/// The payload of a removal.
pub(in crate::store::disk) fn encode_remove(removed: &[Removed]) -> Vec<u8> {
    removed.iter().flat_map(|removed| [removed.entry.0, removed.at.0]).flat_map(u64::to_le_bytes).collect()
}

/// Reads the payload of a removal.
pub(in crate::store::disk) fn parse_remove(payload: &[u8]) -> Option<Vec<Removed>> {
    let (removed, []) = payload.as_chunks::<16>() else { return None };
    removed
        .iter()
        .map(|removed| Some(Removed { entry: EntryId(u64_at(removed, 0)?), at: Position(u64_at(removed, 8)?) }))
        .collect()
}

/// The payload of an unbinding: where the records of the list's names were then.
pub(in crate::store::disk) fn encode_unbind(bound: &[Position]) -> Vec<u8> {
    bound.iter().flat_map(|at| at.0.to_le_bytes()).collect()
}

/// Reads the payload of an unbinding.
pub(in crate::store::disk) fn parse_unbind(payload: &[u8]) -> Option<Vec<Position>> {
    let (bound, []) = payload.as_chunks::<8>() else { return None };
    Some(bound.iter().map(|at| Position(u64::from_le_bytes(*at))).collect())
}

/// The payload of a mark: the numbers of the segments before its own that are needed.
pub(in crate::store::disk) fn encode_mark(segments: &[u32]) -> Vec<u8> {
    segments.iter().flat_map(|segment| segment.to_le_bytes()).collect()
}

/// Reads the payload of a mark.
pub(in crate::store::disk) fn parse_mark(payload: &[u8]) -> Option<Vec<u32>> {
    let (segments, []) = payload.as_chunks::<4>() else { return None };
    Some(segments.iter().map(|segment| u32::from_le_bytes(*segment)).collect())
}
