//! What is known of each URL, as a value that can be kept and given back.
//!
//! Knows no order and no limits.

use serde::{Deserialize, Serialize};

use super::{Outcome, Prefetched, Reason, Source, Summary};
use crate::{Error, Result};

/// How far a prefetch is: what [`Running::progress`](super::Running::progress) gives and
/// [`Prefetch::resume`](super::Prefetch::resume) takes.
///
/// What is done is done; what was under way is to be fetched again. A document is done together with the URLs
/// that it names, so none of them is lost.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    pub(super) rows: Vec<Row>,
    /// Bytes that came from the network.
    pub(super) bytes: u64,
    /// Milliseconds that it has run for.
    pub(super) spent_ms: u64,
}

/// One URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) url: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) required: bool,
    #[serde(default)]
    pub(super) depth: u32,
    /// The row of the document that named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<usize>,
    #[serde(default)]
    pub(super) attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) done: Option<Done>,
}

/// How a URL ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Done {
    pub(super) outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(default)]
    pub(super) bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<Source>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Reason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<String>,
    /// The rows that were new in it: from the first to before the second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) followed: Option<(usize, usize)>,
}

impl Done {
    pub(super) fn because(outcome: Outcome, reason: Reason, detail: impl Into<String>) -> Self {
        let (reason, detail) = (Some(reason), Some(detail.into()));
        Self { outcome, status: None, bytes: 0, source: None, reason, detail, followed: None }
    }
}

impl Progress {
    /// URLs whose outcome is known.
    pub fn done(&self) -> usize {
        self.rows.iter().filter(|row| row.done.is_some()).count()
    }

    /// URLs known so far.
    pub fn total(&self) -> usize {
        self.rows.len()
    }

    /// What became of each URL whose outcome is known: those that were asked for in the order asked, then those that
    /// were followed.
    pub fn rows(&self) -> Vec<Prefetched> {
        (0..self.rows.len()).filter_map(|index| self.row(index)).collect()
    }

    /// All of it in numbers.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary { bytes: self.bytes, elapsed_ms: self.spent_ms, ..Summary::default() };
        for row in &self.rows {
            let outcome = row.done.as_ref().map(|done| done.outcome);
            summary.count(outcome, row.required, row.from.is_some());
        }
        summary
    }

    pub(super) fn row(&self, index: usize) -> Option<Prefetched> {
        let row = self.rows.get(index)?;
        let done = row.done.as_ref()?;
        let url_of = |index: usize| self.rows.get(index).map(|row| row.url.clone());
        let (first, end) = done.followed.unwrap_or_default();
        Some(Prefetched {
            url: row.url.clone(),
            outcome: done.outcome,
            status: done.status,
            bytes: done.bytes,
            source: done.source,
            followed: (first..end).filter_map(url_of).collect(),
            from: row.from.and_then(url_of),
            required: row.required,
            attempts: row.attempts,
            reason: done.reason,
            detail: done.detail.clone(),
        })
    }

    /// Whether it holds together: it may come from a file.
    pub(super) fn check(&self) -> Result<()> {
        let count = self.rows.len();
        // A row is new in one document, so that all documents together name no more rows than there are.
        let mut left = count;
        let mut fits = |row: &Row| {
            let (first, end) = row.done.as_ref().and_then(|done| done.followed).unwrap_or_default();
            let length = end.checked_sub(first).filter(|_| end <= count);
            let rest = length.and_then(|length| left.checked_sub(length));
            left = rest.unwrap_or_default();
            rest.is_some() && row.from.is_none_or(|from| from < count)
        };
        if !self.rows.iter().all(&mut fits) {
            return Err(Error::type_error("the progress of a prefetch does not hold together; start it anew"));
        }
        Ok(())
    }
}
