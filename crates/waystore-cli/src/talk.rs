//! Talk: what a person reads on stderr, beside the data on stdout. Nobody may be listening, which is no failure.

use std::{fmt, io::Write};

/// Writes a line of talk.
macro_rules! tell {
    ($($text:tt)*) => { $crate::talk::line(format_args!($($text)*)) };
}

pub(crate) use tell;

/// Writes a line to stderr. A full disk behind it, or a reader that is gone, changes nothing of what was done.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// `text` with its control characters written out, so that a name cannot move a terminal's cursor.
pub(crate) fn printable(text: &str) -> String {
    escaped(text, |character| character.is_control())
}

/// The same for text of several lines.
pub(crate) fn printable_lines(text: &str) -> String {
    escaped(text, |character| character.is_control() && character != '\n' && character != '\t')
}

fn escaped(text: &str, is_to_be: impl Fn(char) -> bool) -> String {
    text.chars()
        .flat_map(|character| {
            let escaped = is_to_be(character).then(|| character.escape_default());
            let plain = escaped.is_none().then_some(character);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(printable("a\u{1b}[2Jb\u{e9}\n"), "a\\u{1b}[2Jb\u{e9}\\n");
        assert_eq!(printable_lines("a\u{1b}\nb"), "a\\u{1b}\nb");
    }
}
