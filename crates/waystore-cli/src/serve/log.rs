//! The log: on stderr, as text or as one JSON object a line. `WAYSTORE_LOG` filters it.

mod lines;
mod requests;

use tracing_subscriber::EnvFilter;

use self::{lines::Lines, requests::Requests};
use super::access;
use crate::failure::Failure;

/// What stands where lines are missing, after their number.
const LOST: &str = "lines of the log were lost here: they came faster than they were read";

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogForm {
    Text,
    Json,
}

impl LogForm {
    pub(super) fn parse(word: Option<&str>) -> Result<Self, Failure> {
        match word {
            None | Some("text") => Ok(Self::Text),
            Some("json") => Ok(Self::Json),
            Some(other) => {
                Err(Failure::usage(format!("`log` is `{other}`, which is no form")).hint("it is `text` or `json`"))
            }
        }
    }
}

/// The log of this process. Dropped, it waits until what was logged is written.
pub(super) struct Log(Lines);

impl Drop for Log {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// Starts the log of this process.
///
/// # Errors
///
/// Its thread cannot be started.
pub(super) fn start(form: LogForm) -> std::io::Result<Log> {
    let lost = match form {
        LogForm::Text => |count| format!("{count} {LOST}"),
        LogForm::Json => |count| format!(r#"{{"level":"WARN","message":"{count} {LOST}"}}"#),
    };
    let lines = Lines::written_to(std::io::stderr(), lost)?;
    let log = Log(lines.clone());
    let filter = EnvFilter::try_from_env("WAYSTORE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines).log_internal_errors(false);
    let started = match form {
        LogForm::Text => {
            let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
            let format = Requests::of(access::TARGET, tracing_subscriber::fmt::format());
            subscriber.with_ansi(ansi).event_format(format).try_init()
        }
        LogForm::Json => subscriber.json().flatten_event(true).try_init(),
    };
    // Only a second log in one process can fail, and then the first one works.
    drop(started);
    Ok(log)
}
