//! Numbers as people read them: sizes, ages, times. And text that cannot steer a terminal.

use std::time::{Duration, UNIX_EPOCH};

/// A number of bytes: `17 B`, `4.2 KiB`.
pub(in crate::commands) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut scaled = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        // What would be shown as 1024.0 is one of the next unit.
        if scaled < 1023.95 {
            break;
        }
        scaled /= 1024.0;
        unit = larger;
    }
    format!("{scaled:.1} {unit}")
}

/// The time from `then_ms` to `now_ms`, in its largest unit. A clock that was set back shows as none.
pub(super) fn age(then_ms: u64, now_ms: u64) -> String {
    let seconds = now_ms.saturating_sub(then_ms) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A time for programs, as RFC 3339 has it; `None` where it is beyond the year 9999.
pub(super) fn timestamp(ms: u64) -> Option<String> {
    let time = UNIX_EPOCH.checked_add(Duration::from_millis(ms))?;
    let mut text = String::new();
    std::fmt::write(&mut text, format_args!("{}", humantime::format_rfc3339_millis(time))).ok()?;
    Some(text)
}

/// `text` with its control characters written out, so that a name cannot move a terminal's cursor.
pub(in crate::commands) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let escaped = character.is_control().then(|| character.escape_default());
            let plain = escaped.is_none().then_some(character);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_one_digit_after_the_point_and_never_reaches_1024() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1024), "1.0 KiB");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(1024 * 1024 - 1), "1.0 MiB");
        assert_eq!(size(5 << 30), "5.0 GiB");
    }

    #[test]
    fn an_age_is_told_in_its_largest_unit() {
        assert_eq!(age(0, 59_999), "59 s");
        assert_eq!(age(0, 60_000), "1 min");
        assert_eq!(age(0, 7_199_999), "1 h");
        assert_eq!(age(0, 86_400_000 * 3), "3 d");
        assert_eq!(age(5000, 0), "0 s", "the clock was set back");
    }

    #[test]
    fn a_time_is_utc_to_the_millisecond() {
        assert_eq!(timestamp(1_000).as_deref(), Some("1970-01-01T00:00:01.000Z"));
        assert_eq!(timestamp(u64::MAX), None);
    }

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(printable("a\u{1b}[2Jb\u{e9}"), "a\\u{1b}[2Jb\u{e9}");
    }
}
