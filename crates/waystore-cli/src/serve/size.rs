//! A number of bytes as people write it: `512 MiB`, `1.5GB`, `0`.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Units and their bytes; the first of each length is the one that is written.
const UNITS: [(&str, u64); 13] = [
    ("PIB", 1 << 50),
    ("TIB", 1 << 40),
    ("GIB", 1 << 30),
    ("MIB", 1 << 20),
    ("KIB", 1 << 10),
    ("PB", 1_000_000_000_000_000),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("BYTES", 1),
    ("B", 1),
    ("", 1),
];

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
pub(crate) struct Size(pub(crate) u64);

/// A size in a file: a text, or a plain number of bytes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Text(String),
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("`{text}` is not a size such as `512 MiB`: {why}");
        let upper = text.trim().to_ascii_uppercase();
        let digits =
            upper.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(upper.len());
        let (number, unit) = upper.split_at(digits);
        let unit = unit.trim();
        let (_, bytes) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(|| wrong("its unit is none of KiB, MiB, GiB, KB, MB, GB"))?;
        if let Ok(number) = number.parse::<u64>() {
            return number.checked_mul(*bytes).map(Self).ok_or_else(|| wrong("that is more than can be counted"));
        }
        let number: f64 = number.parse().map_err(|_| wrong("it does not begin with a number"))?;
        let bytes = number * *bytes as f64;
        if bytes < u64::MAX as f64 { Ok(Self(bytes as u64)) } else { Err(wrong("that is more than can be counted")) }
    }
}

impl TryFrom<Written> for Size {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Number(bytes) => Ok(Self(bytes)),
            Written::Text(text) => text.parse(),
        }
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit_of_either_kind_or_is_in_bytes() {
        let size = |text: &str| text.parse::<Size>().map(|size| size.0);
        assert_eq!(size("1024"), Ok(1024));
        assert_eq!(size("64 KiB"), Ok(65536));
        assert_eq!(size("1.5gib"), Ok(3 << 29));
        assert_eq!(size(" 2 MB "), Ok(2_000_000));
        for wrong in ["", "many", "5 parsec", "-1", "1e99", "99999999999 PiB", "1.2.3 MB", ".", "\0"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
