//! One entry as one value: heads and a small body together, with a checksum, and what finds it.
//!
//! The checksum is there because Waystore checks what it reads, too. Whether it is verified is up to the
//! reader, so that both can be measured.

use bytes::Bytes;
use twox_hash::XxHash3_64;
use waystore::{
    Error, Result,
    store::{Entry, ListId, UrlMatch},
};

/// Bytes before the heads: the two hashes, the time, the checksum, the heads' length, the kind of body.
const FIXED: usize = 40;

// The kinds of bodies.
const NULL: u8 = 0;
const INLINE: u8 = 1;
const FILE: u8 = 2;

/// How rows are found by URL: by hashes that the list goes into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlKey {
    /// By both hashes.
    Exact {
        /// Of the URL without query.
        path: u64,
        /// Of the URL without fragment.
        url: u64,
    },
    /// By the hash of the URL without query.
    Path(u64),
    /// All rows.
    Any,
}

impl UrlKey {
    /// What finds `wanted` in `list`.
    pub fn of(list: ListId, wanted: UrlMatch<'_>) -> Self {
        match wanted {
            UrlMatch::Exact(url) => Self::exact(list, url),
            UrlMatch::WithoutQuery(url) => Self::Path(hash(list, url)),
            UrlMatch::Any => Self::Any,
        }
    }

    /// What finds exactly `url` in `list`.
    fn exact(list: ListId, url: &str) -> Self {
        let url = url.split('#').next().unwrap_or_default();
        let path = url.split('?').next().unwrap_or_default();
        Self::Exact { path: hash(list, path), url: hash(list, url) }
    }
}

fn hash(list: ListId, text: &str) -> u64 {
    XxHash3_64::oneshot_with_seed(list.0, text.as_bytes())
}

/// A value to be written: its parts, where they are.
#[derive(Debug, Clone)]
pub struct Value<'a> {
    fixed: [u8; FIXED],
    entry: &'a [u8],
    body: BodyPart<'a>,
}

#[derive(Debug, Clone)]
enum BodyPart<'a> {
    Bytes(&'a [u8]),
    File([u8; 16]),
}

/// A body to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BodyRef<'a> {
    Null,
    Inline(&'a [u8]),
    /// In this file, this long.
    File(u64, u64),
}

impl<'a> Value<'a> {
    /// The value of an entry of `list` with a small body.
    pub fn inline(list: ListId, stored_at_ms: u64, entry: &'a Entry, body: &'a [u8]) -> Self {
        Self::new(list, stored_at_ms, entry, BodyRef::Inline(body))
    }

    pub(crate) fn new(list: ListId, stored_at_ms: u64, entry: &'a Entry, body: BodyRef<'a>) -> Self {
        let (kind, body) = match body {
            BodyRef::Null => (NULL, BodyPart::Bytes(&[])),
            BodyRef::Inline(bytes) => (INLINE, BodyPart::Bytes(bytes)),
            BodyRef::File(number, length) => {
                let mut reference = [0; 16];
                reference[..8].copy_from_slice(&number.to_le_bytes());
                reference[8..].copy_from_slice(&length.to_le_bytes());
                (FILE, BodyPart::File(reference))
            }
        };
        let UrlKey::Exact { path, url } = UrlKey::exact(list, entry.url()) else {
            unreachable!("`exact` gives both hashes");
        };
        let bytes = entry.as_bytes();
        let mut value = Self { fixed: [0; FIXED], entry: bytes, body };
        let length = u32::try_from(bytes.len()).expect("heads are bounded by who parsed them");
        value.fixed[..8].copy_from_slice(&path.to_le_bytes());
        value.fixed[8..16].copy_from_slice(&url.to_le_bytes());
        value.fixed[16..24].copy_from_slice(&stored_at_ms.to_le_bytes());
        let sum = checksum(value.entry, value.body());
        value.fixed[24..32].copy_from_slice(&sum.to_le_bytes());
        value.fixed[32..36].copy_from_slice(&length.to_le_bytes());
        value.fixed[36] = kind;
        value
    }

    /// The hashes it is found by, of the URL without query and of the URL without fragment.
    pub fn hashes(&self) -> (u64, u64) {
        (u64_at(&self.fixed, 0), u64_at(&self.fixed, 8))
    }

    /// Its parts, which stand one after the other.
    pub fn parts(&self) -> [&[u8]; 3] {
        [&self.fixed, self.entry, self.body()]
    }

    /// Its length in bytes.
    pub fn length(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }

    fn body(&self) -> &[u8] {
        match &self.body {
            BodyPart::Bytes(bytes) => bytes,
            BodyPart::File(reference) => reference,
        }
    }
}

fn checksum(entry: &[u8], body: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot(entry), body)
}

/// A value that was read.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) stored_at_ms: u64,
    pub(crate) entry: Entry,
    pub(crate) body: ReadBody,
}

#[derive(Debug)]
pub(crate) enum ReadBody {
    Null,
    Inline(Bytes),
    File(u64, u64),
}

impl Read {
    /// Takes a value apart without copying; verifies its checksum where told to.
    pub(crate) fn parse(value: &Bytes, verify: bool) -> Result<Self> {
        let (heads, body) = bounds(value)?;
        if verify && u64_at(value, 24) != checksum(&value[FIXED..heads], &value[heads..]) {
            return Err(Error::Damaged { detail: "a value does not have its checksum".into() });
        }
        Ok(Self {
            stored_at_ms: u64_at(value, 16),
            entry: Entry::parse(value.slice(FIXED..heads))?,
            body: match body {
                NULL => ReadBody::Null,
                INLINE => ReadBody::Inline(value.slice(heads..)),
                _ => {
                    let (number, length) = reference(&value[heads..]).ok_or_else(malformed)?;
                    ReadBody::File(number, length)
                }
            },
        })
    }
}

/// The hashes that `value` is found by.
pub(crate) fn hashes_of(value: &[u8]) -> Result<(u64, u64)> {
    bounds(value)?;
    Ok((u64_at(value, 0), u64_at(value, 8)))
}

/// Where the heads end, and the kind of the body.
fn bounds(value: &[u8]) -> Result<(usize, u8)> {
    let fixed = value.get(..FIXED).ok_or_else(malformed)?;
    let length = u32::from_le_bytes([fixed[32], fixed[33], fixed[34], fixed[35]]) as usize;
    if length > value.len() - FIXED {
        return Err(malformed());
    }
    Ok((FIXED + length, fixed[36]))
}

fn reference(body: &[u8]) -> Option<(u64, u64)> {
    (body.len() == 16).then(|| (u64_at(body, 0), u64_at(body, 8)))
}

/// The number at `at` of bytes that were found to be long enough.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

fn malformed() -> Error {
    Error::Damaged { detail: "a value whose lengths do not add up".into() }
}

#[cfg(test)]
mod tests {
    use waystore::{RequestHead, ResponseHead};

    use super::*;

    const LIST: ListId = ListId(1);

    fn written() -> Vec<u8> {
        let request = RequestHead::get("https://a.test/x?q#f".parse().expect("it is a URL"));
        let entry = Entry::new(&request, &ResponseHead::with_status(200));
        Value::new(LIST, 7, &entry, BodyRef::Inline(b"body")).parts().concat()
    }

    #[test]
    fn a_changed_byte_of_heads_or_body_is_found_when_asked_for() {
        let good = written();
        assert!(Read::parse(&good.clone().into(), true).is_ok());
        for at in FIXED..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(Read::parse(&bad.into(), true).is_err(), "byte {at}");
        }
    }

    #[test]
    fn fragments_do_not_count_and_queries_do_for_one_hash() {
        let of = |url| UrlKey::of(LIST, UrlMatch::Exact(url));
        let (path, url) = hashes_of(&written()).expect("it was just written");
        assert_eq!(of("https://a.test/x?q"), UrlKey::Exact { path, url });
        assert_eq!(UrlKey::of(LIST, UrlMatch::WithoutQuery("https://a.test/x")), UrlKey::Path(path));
        assert_ne!(of("https://a.test/x"), UrlKey::Exact { path, url });
        assert_ne!(UrlKey::of(ListId(2), UrlMatch::Exact("https://a.test/x?q")), UrlKey::Exact { path, url });
    }
}
