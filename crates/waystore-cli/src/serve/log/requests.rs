//! The lines of requests, as text: those of the library's format, byte by byte, for a tenth of its work.
//!
//! There is one for each request, and of all that a request costs the library's way of writing it down would be a
//! fifth. What is out of the ordinary is left to the library. Knows events, not requests.

use std::{
    fmt::{self, Debug, Write},
    time::SystemTime,
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// The room that is made for a line: few are longer.
const USUAL_BYTES: usize = 256;
/// From here on the library writes numbers with fractions: exactness ends far beyond.
const LARGE: f64 = 1e12;

/// Writes the lines of one target, and leaves all others to `F`.
#[derive(Debug)]
pub(super) struct Requests<F> {
    target: &'static str,
    others: F,
}

impl<F> Requests<F> {
    pub(super) fn of(target: &'static str, others: F) -> Self {
        Self { target, others }
    }
}

impl<S, N, F> FormatEvent<S, N> for Requests<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let ours = metadata.target() == self.target && *metadata.level() == Level::INFO;
        if ours && !writer.has_ansi_escapes() && ctx.event_scope().is_none() {
            let mut line = Line::begun(SystemTime::now(), self.target)?;
            event.record(&mut line);
            if let Ok(text) = line.ended() {
                return writer.write_str(&text);
            }
        }
        self.others.format_event(ctx, writer, event)
    }
}

/// A line, as far as it is written.
struct Line {
    text: String,
    /// Whether a field stands before the next one.
    apart: bool,
    /// An error: what came last is not written here.
    result: fmt::Result,
}

impl Line {
    fn begun(now: SystemTime, target: &str) -> Result<Self, fmt::Error> {
        let mut text = String::with_capacity(USUAL_BYTES);
        write!(text, "{}  INFO ", humantime::format_rfc3339_micros(now))?;
        text.push_str(target);
        text.push_str(": ");
        Ok(Self { text, apart: false, result: Ok(()) })
    }

    fn ended(mut self) -> Result<String, fmt::Error> {
        self.text.push('\n');
        self.result.map(|()| self.text)
    }

    fn field(&mut self, field: &Field, write: impl FnOnce(&mut String) -> fmt::Result) {
        if std::mem::replace(&mut self.apart, true) {
            self.text.push(' ');
        }
        self.text.push_str(field.name());
        self.text.push('=');
        self.result = self.result.and(write(&mut self.text));
    }

    /// The event's own words stand without a name, where they need no escapes.
    fn message(&mut self, words: &dyn Debug) {
        if std::mem::replace(&mut self.apart, true) {
            self.text.push(' ');
        }
        let start = self.text.len();
        let written = write!(self.text, "{words:?}");
        let plain = written.and(if is_plain(&self.text[start..]) { Ok(()) } else { Err(fmt::Error) });
        self.result = self.result.and(plain);
    }
}

impl Visit for Line {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field, |text| write_number(text, value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, |text| write!(text, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, |text| {
            push_digits(text, value);
            Ok(())
        });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            return self.message(&format_args!("{value}"));
        }
        self.field(field, |text| {
            if !is_plain(value) {
                return write!(text, "{value:?}");
            }
            text.push('"');
            text.push_str(value);
            text.push('"');
            Ok(())
        });
    }

    /// The library lists what an error comes from.
    fn record_error(&mut self, _: &Field, _: &(dyn std::error::Error + 'static)) {
        self.result = Err(fmt::Error);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            return self.message(value);
        }
        self.field(field, |text| write!(text, "{value:?}"));
    }
}

/// Whether a text stands in quotes as it is.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
}

/// Writes a number as `{:?}` does; one of few digits, such as milliseconds, digit by digit.
fn write_number(text: &mut String, value: f64) -> fmt::Result {
    let thousandths = (value * 1000.0).round();
    if value.is_sign_negative() || thousandths >= LARGE || thousandths / 1000.0 != value {
        return write!(text, "{value:?}");
    }
    let thousandths = thousandths as u64;
    push_digits(text, thousandths / 1000);
    text.push('.');
    let digits = [thousandths / 100 % 10, thousandths / 10 % 10, thousandths % 10];
    let last = digits.iter().rposition(|digit| *digit > 0).unwrap_or(0);
    text.extend(digits[..=last].iter().map(|digit| char::from(b'0' + *digit as u8)));
    Ok(())
}

fn push_digits(text: &mut String, mut number: u64) {
    // As many as the largest number has.
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] += (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    text.extend(digits[first..].iter().copied().map(char::from));
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use proptest::prelude::*;
    use tracing_subscriber::fmt::{format, time::FormatTime};

    use super::*;

    const TARGET: &str = "test::requests";

    /// A time that does not go on.
    #[derive(Debug, Clone)]
    struct Still;

    impl FormatTime for Still {
        fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
            writer.write_str("0000-00-00T00:00:00.000000Z")
        }
    }

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        /// What was written, without the time at the beginning of each line.
        fn lines(&self) -> Vec<String> {
            let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
            let without_time = |line: &str| line.get("0000-00-00T00:00:00.000000Z".len()..).unwrap_or(line).to_owned();
            text.split_inclusive('\n').map(without_time).collect()
        }
    }

    /// What the library makes of the events of `log`, and what is made of them here.
    fn both(ansi: bool, log: impl Fn()) -> (Vec<String>, Vec<String>) {
        let (theirs, ours) = (Written::default(), Written::default());
        let (to_theirs, to_ours) = (theirs.clone(), ours.clone());
        let library = format().with_timer(Still).with_ansi(ansi);
        let theirs_ = tracing_subscriber::fmt().with_writer(move || to_theirs.clone()).with_ansi(ansi);
        let ours_ = tracing_subscriber::fmt().with_writer(move || to_ours.clone()).with_ansi(ansi);
        tracing::subscriber::with_default(theirs_.event_format(library.clone()).finish(), &log);
        let format = Requests::of(TARGET, library);
        tracing::subscriber::with_default(ours_.event_format(format).finish(), &log);
        (theirs.lines(), ours.lines())
    }

    /// One request's line.
    fn request(path: &str, version: Option<&str>, bytes: u64, ms: f64, error: Option<&str>) {
        tracing::info!(
            target: TARGET, method = %http::Method::GET, path = %path, route = "cache", version, status = 200_u16,
            bytes, ms, odd = -1_i64, error, "request"
        );
    }

    proptest! {
        #[test]
        fn a_line_says_what_the_librarys_own_would(
            path in any::<String>(), version in any::<Option<String>>(), bytes in any::<u64>(),
            ms in prop_oneof![any::<f64>(), (0_u64..10_000_000).prop_map(|micros| micros as f64 / 1000.0)],
            error in any::<Option<String>>(),
        ) {
            let (theirs, ours) = both(false, || request(&path, version.as_deref(), bytes, ms, error.as_deref()));
            prop_assert_eq!(theirs, ours);
        }
    }

    #[test]
    fn what_is_out_of_the_ordinary_is_as_the_library_has_it() {
        let (theirs, ours) = both(false, || {
            request("/a?b=\"c\"", Some("v1"), 0, 0.0, None);
            tracing::info!(target: TARGET, "an escape: \x1b[31m, \u{9b}");
            let failed = io::Error::other(io::Error::other("inner"));
            tracing::info!(target: TARGET, error = &failed as &dyn std::error::Error, "failed");
            tracing::warn!(target: TARGET, "of another level");
            tracing::info!("of another target");
            let span = tracing::info_span!("within", number = 1);
            span.in_scope(|| request("/x", None, 1, 1.5, Some("lost\n")));
        });
        assert_eq!(theirs.len(), 6);
        assert_eq!(theirs, ours);
        let (theirs, ours) = both(true, || request("/x", None, 1, 1.5, None));
        assert_eq!(theirs, ours);
    }

    #[test]
    fn the_time_is_written_in_microseconds() {
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_micros(1_795_357_053_000_042);
        let line = Line::begun(time, TARGET).unwrap().ended().unwrap();
        assert_eq!(line, "2026-11-22T14:17:33.000042Z  INFO test::requests: \n");
    }
}
