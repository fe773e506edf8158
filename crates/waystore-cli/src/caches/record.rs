//! What answers tell of caches, entries and changes. Written to a program's stdout as they are.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use waystore::{
    HeaderList, StoredEntry,
    prefetch::{Prefetched, Summary as PrefetchSummary},
};

use crate::prefetching::{JobStatus, Steps};

/// One thing an answer tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Record {
    /// A cache.
    Summary(Summary),
    /// An entry.
    Key(Key),
    /// A response that was found; its body follows.
    Found(Found),
    /// The file of a cache follows, of about so many bytes.
    Exporting { about: u64 },
    /// Why a look-up hits or misses.
    Explained(Explained),
    /// What became of a change.
    Changed(Changed),
    /// A prefetch that runs or waits.
    Job(JobStatus),
    /// A prefetch that is told to stop.
    Stopped(String),
    /// How far a prefetch is.
    Prefetching(Steps),
    /// What became of a URL of it.
    Prefetched(Prefetched),
    /// Its end.
    Prefetch(PrefetchSummary),
}

/// One cache in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) origin: String,
    pub(crate) cache: String,
    pub(crate) entries: u64,
    /// Of the bodies.
    pub(crate) bytes: u64,
    pub(crate) oldest: Option<Moment>,
    pub(crate) newest: Option<Moment>,
    /// When a look-up was last answered from it, to the minute.
    #[serde(default)]
    pub(crate) used: Option<Moment>,
    /// How many look-ups were answered from what it holds now.
    #[serde(default)]
    pub(crate) hits: u64,
    /// Entries whose bodies still come; they do not count above.
    #[serde(default)]
    pub(crate) recording: u64,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Key {
    pub(crate) url: String,
    pub(crate) method: String,
    pub(crate) request_headers: Vec<(String, String)>,
    pub(crate) status: u16,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) response_headers: Vec<(String, String)>,
    pub(crate) bytes: u64,
    pub(crate) stored_at: Option<Moment>,
    /// When a look-up last answered with it, to the minute.
    #[serde(default)]
    pub(crate) last_used: Option<Moment>,
    /// How many look-ups answered with it.
    #[serde(default)]
    pub(crate) hits: u64,
    /// Whether it is for one visitor only.
    pub(crate) personal: bool,
    /// Whether no budget evicts it.
    #[serde(default)]
    pub(crate) pinned: bool,
    /// Whether its body still comes: then `bytes` is what has come.
    #[serde(default)]
    pub(crate) recording: bool,
}

impl Key {
    /// # Errors
    ///
    /// The entry cannot be decoded.
    pub(super) fn of(entry: &StoredEntry, recording: bool) -> waystore::Result<Self> {
        let request = entry.request()?;
        Ok(Self {
            url: entry.url().to_owned(),
            method: request.method.to_string(),
            request_headers: pairs(&request.headers),
            status: entry.status(),
            kind: entry.kind().as_str().to_owned(),
            response_headers: pairs(&entry.response_headers()),
            bytes: entry.body_length().unwrap_or_default(),
            stored_at: Moment::of(entry.stored_at()),
            last_used: entry.last_used().and_then(Moment::of),
            hits: entry.hits(),
            personal: entry.personal().is_some(),
            pinned: entry.is_pinned(),
            recording,
        })
    }

    /// A header of the response, its values joined.
    pub(crate) fn response_header(&self, name: &str) -> Option<String> {
        let values = self.response_headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let values: Vec<_> = values.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}

/// What a response says that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Found {
    pub(crate) url: Option<String>,
    pub(crate) status: u16,
    pub(crate) status_text: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) bytes: Option<u64>,
}

/// Why a look-up hits or misses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Explained {
    /// The URL that was looked up.
    pub(crate) url: String,
    pub(crate) hit: bool,
    pub(crate) candidates: Vec<Candidate>,
}

/// An entry that a look-up considered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Candidate {
    pub(crate) url: String,
    /// The rule that decided, in words.
    pub(crate) verdict: String,
    /// Whether it is what the look-up gives.
    pub(crate) answers: bool,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Changed {
    Put { url: String, status: u16 },
    Added { urls: Vec<String> },
    Removed { whole: bool, removed: Vec<String>, missing: Vec<String> },
    Imported { entries: u64 },
}

/// A time, in milliseconds since 1970; written as RFC 3339 has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    /// `None` where it cannot be written.
    pub(super) fn of(time: SystemTime) -> Option<Self> {
        let moment = Self(u64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?);
        moment.text().map(|_| moment)
    }

    /// `None` where it is beyond the year 9999.
    fn text(self) -> Option<String> {
        let time = UNIX_EPOCH.checked_add(Duration::from_millis(self.0))?;
        let mut text = String::new();
        std::fmt::write(&mut text, format_args!("{}", humantime::format_rfc3339_millis(time))).ok()?;
        Some(text)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = humantime::parse_rfc3339(&text).map_err(serde::de::Error::custom)?;
        Self::of(time).ok_or_else(|| serde::de::Error::custom("a time before 1970"))
    }
}

/// Names and values as text; bytes above ASCII are read as Latin-1, as script reads them.
pub(crate) fn pairs(headers: &HeaderList) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect();
    headers.iter().map(|(name, value)| (text(name), text(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_utc_to_the_millisecond_and_comes_back() {
        let text = serde_json::to_string(&Moment(1_007)).unwrap();
        assert_eq!(text, "\"1970-01-01T00:00:01.007Z\"");
        assert_eq!(serde_json::from_str::<Moment>(&text).unwrap(), Moment(1_007));
        assert_eq!(Moment::of(UNIX_EPOCH + Duration::from_secs(1 << 40)), None, "beyond the year 9999");
    }
}
