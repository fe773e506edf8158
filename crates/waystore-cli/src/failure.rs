//! How a command fails: what, on what, and the next step.

use std::{fmt, process::ExitCode};

use serde::{Deserialize, Serialize};

use crate::talk::printable_lines;

/// Why a command ends without having done its work. Shown as `error:` and, where there is one, `hint:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    /// It was tried and failed: exit code 1. Lower case, no full stop.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: 1 }
    }

    /// It was asked for in a way that cannot work: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, ..Self::failed(message) }
    }

    /// This failure with the next step.
    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// This failure, which says first what did not come about.
    #[must_use]
    pub(crate) fn of(self, what: impl fmt::Display) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }

    /// This failure with a next step, where it has none.
    #[must_use]
    pub(crate) fn or_hint(self, hint: impl Into<String>) -> Self {
        if self.hint.is_some() { self } else { self.hint(hint) }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names and URLs of others are in it.
        write!(f, "error: {}", printable_lines(&self.message))?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {}", printable_lines(hint)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

impl From<waystore::Error> for Failure {
    fn from(error: waystore::Error) -> Self {
        let failure = Self::failed(chain(&error));
        match error {
            waystore::Error::Locked { .. } => {
                failure.hint("stop that process, or give this one a directory of its own with `--data DIR`")
            }
            waystore::Error::NotAStore { .. } => {
                failure.hint("give an empty or a new directory with `--data DIR`; nothing in this one was changed")
            }
            waystore::Error::QuotaExceeded { .. } => failure.hint(
                "remove something first: `waystore cache ls` shows what there is, `waystore cache rm` makes room",
            ),
            _ => failure,
        }
    }
}

/// An error and what it says caused it, in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_in_use_is_named_with_its_holder_and_a_way_out() {
        let failure = Failure::from(waystore::Error::Locked { dir: "data".into(), pid: Some(7) });
        let text = failure.to_string();
        assert!(text.starts_with("error: `data` is in use by process 7\nhint: "), "{text}");
    }

    #[test]
    fn a_directory_that_is_not_ours_is_left_as_it_is() {
        let failure = Failure::from(waystore::Error::NotAStore { dir: "x".into(), reason: "it holds `a.txt`".into() });
        assert!(failure.to_string().contains("nothing in this one was changed"));
    }
}
