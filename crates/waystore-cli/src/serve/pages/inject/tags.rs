//! Where a tag of HTML ends: attributes and their quotes. Pure.
//!
//! Spec: <https://html.spec.whatwg.org/#before-attribute-name-state> and the states after it.

/// Inside a tag, after its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InTag {
    BeforeName,
    Name,
    AfterName,
    BeforeValue,
    Quoted(u8),
    Unquoted,
}

/// What separates words inside a tag.
pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | 0x0C | b'\r' | b' ')
}

impl InTag {
    /// The state after a byte; `None` where that ends the tag.
    pub(super) fn after(self, byte: u8) -> Option<Self> {
        use InTag::{AfterName, BeforeName, BeforeValue, Name, Quoted, Unquoted};
        Some(match (self, byte) {
            (Quoted(quote), byte) => return Some(if byte == quote { BeforeName } else { self }),
            (_, b'>') => return None,
            (BeforeValue, b'"' | b'\'') => Quoted(byte),
            (BeforeValue, byte) if is_space(byte) => BeforeValue,
            (BeforeValue, _) => Unquoted,
            (Unquoted, byte) if is_space(byte) => BeforeName,
            (Unquoted, _) => Unquoted,
            (_, b'/') => BeforeName,
            (Name | AfterName, b'=') => BeforeValue,
            (BeforeName, byte) if is_space(byte) => BeforeName,
            (Name | AfterName, byte) if is_space(byte) => AfterName,
            (BeforeName | Name | AfterName, _) => Name,
        })
    }
}

/// The length of the tag that `bytes` begin with after its name, its `>` included; `None` where it does not end.
pub(super) fn rest_of_tag(bytes: &[u8]) -> Option<usize> {
    let mut state = InTag::BeforeName;
    for (at, byte) in bytes.iter().enumerate() {
        match state.after(*byte) {
            Some(next) => state = next,
            None => return Some(at + 1),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_ends_at_the_first_bracket_outside_of_quotes() {
        for (tag, rest) in [
            (">", ""),
            (" a=1>", "x"),
            (" a='>' b=\">\">", "x"),
            (" a = '>'>", "x"),
            (" a=b'>", "'>"),
            (" a\">", "\">"),
            (" ='>", "'>"),
            (" a=>", "x"),
            ("/>", "x"),
            (" a=b/>", "x"),
            (" a='b'c=\"d>\">", "x"),
        ] {
            let whole = format!("{tag}{rest}");
            assert_eq!(rest_of_tag(whole.as_bytes()), Some(tag.len()), "{whole}");
        }
        for open in ["", " a='>", " a=\"x>", " a"] {
            assert_eq!(rest_of_tag(open.as_bytes()), None, "{open}");
        }
    }
}
