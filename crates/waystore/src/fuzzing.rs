//! What the fuzz targets do, for `fuzz/` and for the short run of the same targets among the tests.
//!
//! Not part of the library: what is fuzzed is private, so the doors to it are here, behind the feature `fuzzing`.
//! Each function takes any bytes and panics where something is wrong. [`seeds`] makes inputs to start from.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use crate::{
    Clock, CredentialHash, HeaderList, RequestHead, ResponseHead, ResponseType,
    prefetch::fuzz as prefetch,
    spec::vary::{differing_header, varies_by_everything},
    store::{Entry, disk::fuzz as disk},
};
pub use crate::{
    prefetch::fuzz::{links, plan},
    store::disk::fuzz::{checkpoint, records},
};

/// A target: what is done with an input.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 7] = [
    ("records", records),
    ("checkpoint", checkpoint),
    ("headers", headers),
    ("vary", vary),
    ("entry", entry),
    ("links", links),
    ("plan", plan),
];

/// Inputs to start from: by target, made of what the library writes.
pub fn seeds() -> BTreeMap<&'static str, Vec<Vec<u8>>> {
    let lists = [
        header_list(&[]),
        header_list(&[("vary", "x, Y,, x"), ("x", "1"), ("X", "2"), ("set-cookie", "a=b")]),
        header_list(&[("Vary", "*"), ("accept", "")]),
    ];
    let encoded = lists.iter().map(|list| list.as_encoded().to_vec());
    let varying = [("vary", "a", "1"), ("Vary", "a, *", "2"), ("vary", " a ,b,,c", "3")].map(|(name, names, value)| {
        let lists = [&[(name, names)][..], &[("a", value), ("A", "2")], &[("a", "1, 2"), ("b", "")]];
        lists.map(|list| chunk(header_list(list).as_encoded())).concat()
    });
    let entries = [entry_of("https://a.test/x?q#f", "GET", ResponseType::Default), {
        entry_of("https://u:p@b.test:8443/", "HEAD", ResponseType::Cors).with_padding(3).pinned()
    }];
    BTreeMap::from([
        ("records", disk::record_seeds()),
        ("checkpoint", disk::checkpoint_seeds()),
        ("headers", encoded.collect()),
        ("vary", varying.to_vec()),
        ("entry", entries.iter().map(|entry| entry.as_bytes().to_vec()).collect()),
        ("links", prefetch::link_seeds()),
        ("plan", prefetch::plan_seeds()),
    ])
}

/// The stored form of a header list.
pub fn headers(data: &[u8]) {
    let Some(list) = HeaderList::from_encoded(Bytes::copy_from_slice(data)) else { return };
    let all: Vec<_> = list.iter().collect();
    let again: HeaderList = all.iter().copied().collect();
    assert_eq!(again.as_encoded(), list.as_encoded(), "written again, it is the same");
    for (name, _) in all.iter().take(8) {
        let values: Vec<_> = all.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).collect();
        assert!(list.contains(name) && list.values(name).eq(values.iter().map(|(_, value)| *value)));
        assert_eq!(list.get(name), Some(values.iter().map(|(_, value)| *value).collect::<Vec<_>>().join(&b", "[..])));
        let mut changed = list.clone();
        changed.set(name, b"new");
        assert_eq!(changed.get(name).as_deref(), Some(&b"new"[..]));
        changed.remove(name);
        assert!(!changed.contains(name));
        assert_eq!(changed.iter().count(), all.len() - values.len());
    }
}

/// Three header lists, each after its length in two bytes: a response's, that of the request it is stored under,
/// that of another. Compared with a second reading of the rule, written the other way round.
pub fn vary(data: &[u8]) {
    let mut rest = data;
    let lists = [(); 3].map(|()| HeaderList::from_encoded(Bytes::copy_from_slice(take_chunk(&mut rest))));
    let [Some(response), Some(cached), Some(query)] = lists else { return };
    let combined = |list: &HeaderList, wanted: &[u8]| {
        let mut found = Vec::new();
        for (name, value) in list {
            if name.eq_ignore_ascii_case(wanted) {
                found.push(value.to_vec());
            }
        }
        (!found.is_empty()).then(|| found.join(&b", "[..]))
    };
    let listed = combined(&response, b"vary").unwrap_or_default();
    let names: Vec<_> = listed.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).collect();
    let any = names.contains(&&b"*"[..]);
    let differs = |name: &&&[u8]| !name.is_empty() && combined(&cached, name) != combined(&query, name);
    assert_eq!(varies_by_everything(&response), any);
    assert_eq!(differing_header(&response, &query, &cached).is_some(), any || names.iter().any(|name| differs(&name)));
    assert_eq!(differing_header(&response, &cached, &cached).is_some(), any, "a request agrees with itself");
}

/// The stored form of an entry.
pub fn entry(data: &[u8]) {
    let Ok(entry) = Entry::parse(Bytes::copy_from_slice(data)) else { return };
    let _ = (entry.url(), entry.method(), entry.status(), entry.personal(), entry.padding(), entry.is_pinned());
    let _ = (entry.kind(), entry.shows_header(b"vary"), entry.request_headers(), entry.response_headers());
    if let (Ok(request), Ok(response)) = (entry.request(), entry.response()) {
        let again = Entry::new(&request, &response);
        assert_eq!(again.request().as_ref().ok(), Some(&request), "what was decoded can be encoded");
        assert_eq!(again.response().as_ref().ok(), Some(&response));
    }
}

fn header_list(headers: &[(&str, &str)]) -> HeaderList {
    headers.iter().copied().collect()
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap_or_default().to_le_bytes()[..], bytes].concat()
}

fn take_chunk<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let Some((length, after)) = rest.split_first_chunk() else { return &[] };
    let (taken, after) = after.split_at(usize::from(u16::from_le_bytes(*length)).min(after.len()));
    *rest = after;
    taken
}

/// An entry with something in every section.
fn entry_of(url: &str, method: &str, kind: ResponseType) -> Entry {
    let url: url::Url = url.parse().expect("the URLs of the seeds are right");
    let request = RequestHead {
        method: method.parse().expect("the methods of the seeds are right"),
        headers: header_list(&[("accept", "*/*")]),
        integrity: "sha256-x".into(),
        ..RequestHead::get(url.clone())
    };
    let response = ResponseHead {
        kind,
        url_list: vec![url.clone(), url],
        status_text: Bytes::from_static(b"Odd"),
        headers: header_list(&[("vary", "accept"), ("x-a", "1")]),
        exposed_headers: vec!["x-a".into(), "vary".into()],
        personal: Some(CredentialHash([7; 16])),
        ..ResponseHead::with_status(299)
    };
    Entry::new(&request, &response)
}

/// The clock of all targets: an input does the same each time.
pub(crate) fn clock() -> Arc<Clock> {
    Arc::new(Clock::fixed(1_700_000_000_000, 7))
}
