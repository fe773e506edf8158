//! Cache names: DOMStrings, kept to the code unit.
//!
//! Knows text encodings only. Spec: <https://w3c.github.io/ServiceWorker/#cachestorage-interface>

use std::{fmt, sync::Arc};

/// The name of a cache: any sequence of UTF-16 code units, compared exactly.
///
/// Nothing is normalised, trimmed or folded; the empty name, NUL and unpaired surrogates are legal.
/// Kept as WTF-8, so an ordinary name is its UTF-8 bytes.
///
/// ```
/// use waystore::CacheName;
///
/// let name = CacheName::from("v1");
/// assert_eq!(name.to_string(), "v1");
/// let odd = CacheName::from_utf16(&[0x61, 0xD800]);
/// assert_ne!(odd, CacheName::from("a\u{FFFD}"));
/// assert_eq!(odd.to_utf16(), [0x61, 0xD800]);
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheName(Arc<[u8]>);

impl CacheName {
    /// The name with these UTF-16 code units.
    pub fn from_utf16(units: &[u16]) -> Self {
        let mut bytes = Vec::with_capacity(units.len());
        for unit in char::decode_utf16(units.iter().copied()) {
            match unit {
                Ok(character) => {
                    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Err(lone) => bytes.extend_from_slice(&three_bytes(lone.unpaired_surrogate())),
            }
        }
        Self(bytes.into())
    }

    /// The name's UTF-16 code units.
    pub fn to_utf16(&self) -> Vec<u16> {
        let mut units = Vec::with_capacity(self.0.len());
        let mut rest = &self.0[..];
        while !rest.is_empty() {
            let valid = std::str::from_utf8(rest).map_or_else(|error| error.valid_up_to(), str::len);
            let (text, after) = rest.split_at(valid);
            units.extend(String::from_utf8_lossy(text).encode_utf16());
            rest = match after {
                [] => after,
                [0xED, second @ 0xA0..=0xBF, third @ 0x80..=0xBF, tail @ ..] => {
                    units.push(0xD000 | u16::from(second & 0x3F) << 6 | u16::from(third & 0x3F));
                    tail
                }
                [_, tail @ ..] => {
                    units.push(0xFFFD);
                    tail
                }
            };
        }
        units
    }

    /// The name as WTF-8: what stores keep.
    pub fn as_wtf8(&self) -> &[u8] {
        &self.0
    }

    /// The name with these WTF-8 bytes, or `None` where they are not WTF-8 in its one canonical form.
    pub fn from_wtf8(bytes: &[u8]) -> Option<Self> {
        let name = Self(bytes.into());
        (Self::from_utf16(&name.to_utf16()) == name).then_some(name)
    }
}

/// The generalised UTF-8 of one surrogate.
fn three_bytes(unit: u16) -> [u8; 3] {
    let low_six = |shift: u32| 0x80 | ((unit >> shift) & 0x3F) as u8;
    [0xE0 | (unit >> 12) as u8, low_six(6), low_six(0)]
}

impl From<&str> for CacheName {
    fn from(name: &str) -> Self {
        Self(name.as_bytes().into())
    }
}

impl From<String> for CacheName {
    fn from(name: String) -> Self {
        Self(name.into_bytes().into())
    }
}

impl From<&CacheName> for CacheName {
    fn from(name: &CacheName) -> Self {
        name.clone()
    }
}

/// Shows unpaired surrogates as U+FFFD.
impl fmt::Display for CacheName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf16_lossy(&self.to_utf16()))
    }
}

impl fmt::Debug for CacheName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sequence_of_code_units_survives() {
        for units in [&[][..], &[0], &[0xD800], &[0xDC00, 0xD800], &[0xD83D, 0xDE00], &[0x61, 0xDFFF, 0x7A]] {
            let name = CacheName::from_utf16(units);
            assert_eq!(name.to_utf16(), units);
            assert_eq!(CacheName::from_wtf8(name.as_wtf8()), Some(name));
        }
    }

    #[test]
    fn a_pair_written_as_two_surrogates_is_refused() {
        assert_eq!(CacheName::from_wtf8(&[0xED, 0xA0, 0xBD, 0xED, 0xB8, 0x80]), None);
        assert_eq!(CacheName::from_wtf8(&[0xFF]), None);
    }
}
