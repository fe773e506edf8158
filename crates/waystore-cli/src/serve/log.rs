//! The log: on stderr, as text or as one JSON object a line. `WAYSTORE_LOG` filters it.

use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

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

/// Starts the log of this process.
pub(super) fn start(form: LogForm) {
    let filter = EnvFilter::try_from_env("WAYSTORE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // What cannot be written is not written: telling so on the same stderr would end the process.
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    let started = match form {
        LogForm::Text => subscriber.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogForm::Json => subscriber.json().flatten_event(true).try_init(),
    };
    // Only a second log in one process can fail, and then the first one works.
    drop(started);
}
