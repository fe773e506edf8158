//! Numbers as people read them: sizes, ages. And columns that are as wide as what is in them.

pub(in crate::commands) use crate::talk::printable;

/// No column is wider: what is longer than this stands out of its line.
const WIDEST: usize = 40;

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
pub(in crate::commands) fn age(then_ms: u64, now_ms: u64) -> String {
    let seconds = now_ms.saturating_sub(then_ms) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// The same for a time that is known to the minute.
pub(super) fn age_in_minutes(then_ms: u64, now_ms: u64) -> String {
    if now_ms.saturating_sub(then_ms) < 60_000 { "<1 min".to_owned() } else { age(then_ms, now_ms) }
}

/// The widths of columns that hold these rows.
pub(in crate::commands) fn widths<'a, const N: usize>(rows: impl IntoIterator<Item = &'a [String; N]>) -> [usize; N] {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().clamp(*width, WIDEST.max(*width));
        }
    }
    widths
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
        assert_eq!((&*age_in_minutes(0, 59_999), &*age_in_minutes(0, 60_000)), ("<1 min", "1 min"));
    }

    #[test]
    fn a_column_is_as_wide_as_its_cells_and_has_an_end() {
        let rows = [["a".to_owned(), "x".repeat(100_000)], ["abc".to_owned(), String::new()]];
        assert_eq!(widths(&rows), [3, WIDEST]);
        assert_eq!(widths::<2>([]), [0, 0]);
    }
}
