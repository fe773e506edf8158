//! A header list: names and values in order, duplicates kept, in the one form that is also stored.
//!
//! Knows bytes. Guards, forbidden names and other rules of scripts live with the script runtime.
//! Spec: <https://fetch.spec.whatwg.org/#concept-header-list>

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Bytes before each header: the name's length (`u16`) and the value's (`u32`), little-endian.
const PREFIX: usize = 6;

/// A [header list](https://fetch.spec.whatwg.org/#concept-header-list).
///
/// Keeps order, duplicates and the casing of names; looks names up without regard to case. Held in
/// its stored form, so that reading one from disk copies and parses nothing, and cloning is cheap.
///
/// ```
/// use waystore::HeaderList;
///
/// let mut headers = HeaderList::new();
/// headers.append("Accept", "a");
/// headers.append("accept", "b");
/// assert_eq!(headers.get("ACCEPT").as_deref(), Some(&b"a, b"[..]));
/// assert_eq!(headers.iter().count(), 2);
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct HeaderList(Bytes);

impl HeaderList {
    /// An empty list.
    pub const fn new() -> Self {
        Self(Bytes::new())
    }

    /// Whether the list has no header.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values in list order.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.0 }
    }

    /// Whether a header of this name is listed.
    pub fn contains(&self, name: impl AsRef<[u8]>) -> bool {
        self.values(name).next().is_some()
    }

    /// Each value of `name` in list order.
    pub fn values<'a, N: AsRef<[u8]> + 'a>(&'a self, name: N) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.iter().filter_map(move |(listed, value)| listed.eq_ignore_ascii_case(name.as_ref()).then_some(value))
    }

    /// The values of `name` joined by `, `, or `None` where the list has none.
    ///
    /// Spec: <https://fetch.spec.whatwg.org/#concept-header-list-get>
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        let mut values = self.values(name.as_ref());
        let mut combined = values.next()?.to_vec();
        for value in values {
            combined.extend_from_slice(b", ");
            combined.extend_from_slice(value);
        }
        Some(combined)
    }

    /// Like [`get`](Self::get), as text; bytes above ASCII are read as Latin-1, as script reads them.
    pub fn get_text(&self, name: impl AsRef<[u8]>) -> Option<String> {
        Some(self.get(name)?.into_iter().map(char::from).collect())
    }

    /// Adds a header at the end; where the name is listed already, with the casing it has there.
    ///
    /// Spec: <https://fetch.spec.whatwg.org/#concept-header-list-append>
    ///
    /// # Panics
    ///
    /// Where the name has 64 KiB or the value 4 GiB, or more.
    pub fn append(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let name = name.as_ref();
        let listed = self.iter().map(|(listed, _)| listed).find(|listed| listed.eq_ignore_ascii_case(name));
        let mut bytes = Vec::with_capacity(self.0.len() + PREFIX + name.len() + value.as_ref().len());
        bytes.extend_from_slice(&self.0);
        write_header(&mut bytes, listed.unwrap_or(name), value.as_ref());
        self.0 = bytes.into();
    }

    /// Gives `name` one value, in the place of its first one; the others go.
    ///
    /// Spec: <https://fetch.spec.whatwg.org/#concept-header-list-set>
    ///
    /// # Panics
    ///
    /// As [`append`](Self::append).
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (name, value) = (name.as_ref(), value.as_ref());
        let mut bytes = Vec::with_capacity(self.0.len() + PREFIX + name.len() + value.len());
        let mut done = false;
        for (listed, old) in self.iter() {
            match (listed.eq_ignore_ascii_case(name), done) {
                (true, true) => {}
                (true, false) => {
                    write_header(&mut bytes, listed, value);
                    done = true;
                }
                (false, _) => write_header(&mut bytes, listed, old),
            }
        }
        if !done {
            write_header(&mut bytes, name, value);
        }
        self.0 = bytes.into();
    }

    /// Removes every header of this name.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) {
        let name = name.as_ref();
        self.retain(|listed, _| !listed.eq_ignore_ascii_case(name));
    }

    /// Keeps the headers for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        if self.iter().all(|(name, value)| keep(name, value)) {
            return;
        }
        let mut kept = Vec::with_capacity(self.0.len());
        for (name, value) in self.iter().filter(|(name, value)| keep(name, value)) {
            write_header(&mut kept, name, value);
        }
        self.0 = kept.into();
    }

    /// The list in its stored form (`docs/format.md`, "Header list").
    pub fn as_encoded(&self) -> &Bytes {
        &self.0
    }

    /// The list with this stored form, or `None` where its lengths do not add up.
    pub fn from_encoded(bytes: Bytes) -> Option<Self> {
        Self::is_encoded(&bytes).then_some(Self(bytes))
    }

    /// Whether these bytes are a list's stored form.
    pub(crate) fn is_encoded(bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some((.., after)) = split_header(rest) else { return false };
            rest = after;
        }
        true
    }
}

/// Iterator over a [`HeaderList`].
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value, rest) = split_header(self.rest)?;
        self.rest = rest;
        Some((name, value))
    }
}

impl<'a> IntoIterator for &'a HeaderList {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for HeaderList {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(headers: I) -> Self {
        let mut bytes = Vec::new();
        for (name, value) in headers {
            write_header(&mut bytes, name.as_ref(), value.as_ref());
        }
        Self(bytes.into())
    }
}

impl From<&HeaderMap> for HeaderList {
    fn from(map: &HeaderMap) -> Self {
        map.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
    }
}

impl TryFrom<&HeaderList> for HeaderMap {
    type Error = http::Error;

    fn try_from(list: &HeaderList) -> Result<Self, http::Error> {
        let mut map = HeaderMap::with_capacity(list.iter().count());
        for (name, value) in list {
            map.append(HeaderName::from_bytes(name)?, HeaderValue::from_bytes(value)?);
        }
        Ok(map)
    }
}

impl fmt::Debug for HeaderList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        f.debug_map().entries(self.iter().map(|(name, value)| (text(name), text(value)))).finish()
    }
}

fn write_header(bytes: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let name_length = u16::try_from(name.len()).expect("header names are bounded by who parsed them");
    let value_length = u32::try_from(value.len()).expect("header values are bounded by who parsed them");
    bytes.extend_from_slice(&name_length.to_le_bytes());
    bytes.extend_from_slice(&value_length.to_le_bytes());
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(value);
}

/// Splits the first header off: its name, its value and what follows.
fn split_header(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (prefix, rest) = bytes.split_at_checked(PREFIX)?;
    let name_length = usize::from(u16::from_le_bytes([prefix[0], prefix[1]]));
    let value_length = u32::from_le_bytes([prefix[2], prefix[3], prefix[4], prefix[5]]);
    let (name, rest) = rest.split_at_checked(name_length)?;
    let (value, rest) = rest.split_at_checked(usize::try_from(value_length).ok()?)?;
    Some((name, value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(headers: &[(&str, &str)]) -> HeaderList {
        headers.iter().copied().collect()
    }

    #[test]
    fn f5_names_are_looked_up_without_case_and_values_combined() {
        let mut headers = HeaderList::new();
        headers.append("a", "1");
        headers.append("A", "2");
        assert_eq!(headers, list(&[("a", "1"), ("a", "2")]));
        assert_eq!(headers.get("a").unwrap(), b"1, 2");
    }

    #[test]
    fn set_replaces_the_first_and_drops_the_others() {
        let mut headers = list(&[("a", "1"), ("b", "2"), ("A", "3")]);
        headers.set("A", "4");
        assert_eq!(headers, list(&[("a", "4"), ("b", "2")]));
        headers.set("c", "5");
        assert_eq!(headers, list(&[("a", "4"), ("b", "2"), ("c", "5")]));
    }

    #[test]
    fn lengths_that_do_not_add_up_are_refused() {
        let good = list(&[("a", "1")]).as_encoded().clone();
        assert!(HeaderList::from_encoded(good.clone()).is_some());
        assert!(HeaderList::from_encoded(good.slice(..good.len() - 1)).is_none());
        assert!(HeaderList::from_encoded(Bytes::from_static(&[0xFF; 7])).is_none());
    }
}
