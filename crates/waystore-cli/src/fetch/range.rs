//! Which part of a file a request asks for. Pure.
//!
//! One range is served; several at once are answered with the whole, as servers may.
//! Spec: RFC 9110, section 14.

use std::ops::RangeInclusive;

use waystore::HeaderList;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    All,
    Part(RangeInclusive<u64>),
    /// A part that there is not.
    Unsatisfiable,
}

/// The part of a file with this tag and length that `headers` ask for.
pub(super) fn asked(headers: &HeaderList, tag: &str, length: u64) -> Asked {
    if headers.get_text("if-range").is_some_and(|condition| condition != tag) {
        return Asked::All;
    }
    headers.get_text("range").and_then(|range| part(&range, length)).unwrap_or(Asked::All)
}

/// `None` where the range is none that is served.
fn part(range: &str, length: u64) -> Option<Asked> {
    let (first, last) = range.strip_prefix("bytes=")?.trim().split_once('-')?;
    let (start, end) = match (first, last) {
        ("", suffix) => {
            let suffix = number(suffix)?;
            if suffix == 0 {
                return Some(Asked::Unsatisfiable);
            }
            (length.saturating_sub(suffix), u64::MAX)
        }
        (first, "") => (number(first)?, u64::MAX),
        (first, last) => (number(first)?, number(last)?),
    };
    if start > end {
        return None;
    }
    Some(if start < length { Asked::Part(start..=end.min(length - 1)) } else { Asked::Unsatisfiable })
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(range: &str) -> Asked {
        asked(&[("range", range)].into_iter().collect(), "\"e\"", 10)
    }

    #[test]
    fn one_range_is_understood_in_its_three_forms() {
        assert_eq!(of("bytes=2-4"), Asked::Part(2..=4));
        assert_eq!(of("bytes=8-"), Asked::Part(8..=9));
        assert_eq!(of("bytes=-3"), Asked::Part(7..=9));
        assert_eq!(of("bytes=-30"), Asked::Part(0..=9));
        assert_eq!(of("bytes=0-99"), Asked::Part(0..=9));
    }

    #[test]
    fn what_is_not_there_is_unsatisfiable_and_what_is_no_range_is_all() {
        assert_eq!(of("bytes=10-"), Asked::Unsatisfiable);
        assert_eq!(of("bytes=-0"), Asked::Unsatisfiable);
        for odd in ["bytes=4-2", "bytes=0-1,3-4", "bytes=+1-2", "lines=1-2", "bytes=x-", "bytes=-"] {
            assert_eq!(of(odd), Asked::All, "{odd}");
        }
        assert_eq!(asked(&[("range", "bytes=-1")].into_iter().collect(), "", 0), Asked::Unsatisfiable);
    }

    #[test]
    fn a_part_of_another_version_is_not_served() {
        let with =
            |condition| asked(&[("range", "bytes=0-1"), ("if-range", condition)].into_iter().collect(), "\"e\"", 10);
        assert_eq!(with("\"e\""), Asked::Part(0..=1));
        assert_eq!(with("\"f\""), Asked::All);
    }
}
