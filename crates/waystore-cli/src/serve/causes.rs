//! Says in the log what made responses personal: an operator sees which cookie keeps a page from being shared.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use url::Url;

use super::personal::Cause;

/// Causes that are told apart; visitors choose the names of cookies.
const MOST: usize = 256;

/// How often each cause made a response personal.
#[derive(Debug, Default)]
pub(crate) struct Causes(Mutex<HashMap<Cause, u64>>);

impl Causes {
    /// Counts, and says so the first time and at every power of ten.
    pub(crate) fn count(&self, cause: &Cause, url: &Url) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST && !counts.contains_key(cause) {
            return;
        }
        let count = counts.entry(cause.clone()).or_default();
        *count += 1;
        let (count, round) = (*count, (*count).ilog10());
        drop(counts);
        if count == 10_u64.pow(round) {
            let advice = if matches!(cause, Cause::Cookie(_)) {
                "; `ignore_cookies` lists cookies that identify nobody"
            } else {
                ""
            };
            tracing::info!(target: "waystore::personal", count, path = url.path(), "personal because of {cause}{advice}");
        }
    }
}
