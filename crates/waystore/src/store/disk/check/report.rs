//! What a check of a data directory found, in values and in words.
//!
//! Looks at nothing itself.

use std::fmt;

use crate::{Bottle, CacheName, Place, StorageKey};

/// How many findings are kept; beyond that they are only counted.
const KEPT: usize = 1000;

/// What a check found: [`Waystore::check`](crate::Waystore::check).
///
/// ```
/// use waystore::{Response, Waystore};
///
/// # let parent = tempfile::tempdir()?;
/// # let dir = parent.path().join("data");
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let store = Waystore::open(&dir).await?;
/// store.caches("https://shop.example")?.open("v1").await?.put("/x", Response::new("kept")).await?;
/// drop(store);
///
/// let report = Waystore::check(&dir).await?;
/// assert!(report.is_whole(), "{:?}", report.findings);
/// assert_eq!((report.caches, report.entries), (1, 1));
///
/// std::fs::write(dir.join("checkpoint"), "not a checkpoint").map_err(waystore::Error::unavailable)?;
/// let report = Waystore::check(&dir).await?;
/// assert_eq!(report.findings[0].file, "checkpoint");
/// assert_eq!(report.lost_entries, 0, "the log says the same");
///
/// let repaired = Waystore::repair(&dir).await?;
/// assert!(repaired.after.is_whole());
/// # Ok::<(), waystore::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// The first thousand findings.
    pub findings: Vec<Finding>,
    /// How many there are of [damage](Finding::is_damage).
    pub damage_count: u64,
    /// How many files there are that a process left when it ended.
    pub leftover_count: u64,
    /// How many entries are known to be lost. What was in bytes that tell nothing cannot be counted.
    pub lost_entries: u64,
    /// Caches and registrations with a name.
    pub caches: u64,
    /// Entries in them that can be read.
    pub entries: u64,
    /// Files that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether the log ends in a write that never did: a crash, not damage.
    pub unfinished_write: bool,
    /// Who wrote to the directory meanwhile. Then it is not known whether there are files that nobody needs, nor whether the
    /// checkpoint says what the log does.
    pub writer: Option<Writer>,
}

/// A process that has the directory open to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Writer {
    /// Its process id, where it left one.
    pub pid: Option<u32>,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The file, relative to the data directory.
    pub file: String,
    /// Where in it, in bytes.
    pub offset: Option<u64>,
    /// What is wrong, in words.
    pub detail: String,
    /// What that means.
    pub effect: Effect,
}

/// What a finding means for those who use the store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// Nothing: a process that ended left it, and the next one that opens the directory removes it.
    Leftover,
    /// No entry is lost: what was there is told elsewhere, or nobody needs it any more.
    Harmless,
    /// An entry is lost.
    Entry(LostEntry),
    /// Something may be lost, or what was deleted may be back: the bytes that would tell are gone.
    Unknown,
}

/// An entry that cannot be read any more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LostEntry {
    /// Whose it is.
    pub key: StorageKey,
    /// Whether it is of a cache or of registrations.
    pub bottle: Bottle,
    /// The cache's name.
    pub cache: CacheName,
    /// Its URL, where that can still be read.
    pub url: Option<String>,
}

/// How far a check has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckProgress {
    /// Bytes read.
    pub done: u64,
    /// Bytes there are.
    pub total: u64,
}

/// What a repair did: [`Waystore::repair`](crate::Waystore::repair).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairReport {
    /// What was found first.
    pub before: CheckReport,
    /// What a second check found.
    pub after: CheckReport,
    /// Where what was damaged is now, relative to the data directory; `None`: nothing was moved.
    pub set_aside: Option<String>,
}

impl CheckReport {
    /// Whether nothing is damaged.
    pub fn is_whole(&self) -> bool {
        self.damage_count == 0
    }

    /// What was found again. What was only found once is as good as not found.
    pub(super) fn seen_before_in(mut self, first: &Self) -> Self {
        let again = std::mem::take(&mut self.findings);
        (self.damage_count, self.leftover_count, self.lost_entries) = (0, 0, 0);
        again.into_iter().filter(|finding| first.findings.contains(finding)).for_each(|finding| self.push(finding));
        self
    }

    pub(super) fn push(&mut self, finding: Finding) {
        match &finding.effect {
            Effect::Leftover => self.leftover_count += 1,
            _ => self.damage_count += 1,
        }
        self.lost_entries += u64::from(matches!(finding.effect, Effect::Entry(_)));
        if self.findings.len() < KEPT {
            self.findings.push(finding);
        }
    }
}

impl Finding {
    pub(super) fn new(file: impl Into<String>, detail: impl Into<String>, effect: Effect) -> Self {
        Self { file: file.into(), offset: None, detail: detail.into(), effect }
    }

    pub(super) fn at(self, offset: impl Into<u64>) -> Self {
        Self { offset: Some(offset.into()), ..self }
    }

    /// Whether bytes are not what was written.
    pub fn is_damage(&self) -> bool {
        self.effect != Effect::Leftover
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(offset) = self.offset {
            write!(f, ", byte {offset}")?;
        }
        write!(f, ": {}: {}", self.detail, self.effect)
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leftover => f.write_str("the next process that opens the directory removes it"),
            Self::Harmless => f.write_str("no entry is lost"),
            Self::Entry(lost) => write!(f, "{lost} is lost"),
            Self::Unknown => f.write_str("what that takes away or brings back is not known"),
        }
    }
}

impl LostEntry {
    pub(super) fn new(place: &Place, cache: &CacheName, url: Option<String>) -> Self {
        Self { key: place.key.clone(), bottle: place.bottle, cache: cache.clone(), url }
    }
}

impl fmt::Display for LostEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.url {
            Some(url) => write!(f, "`{url}`")?,
            None => f.write_str("an entry whose URL cannot be read")?,
        }
        let kind = match self.bottle {
            Bottle::Caches => "cache",
            Bottle::ServiceWorkerRegistrations => "registrations",
        };
        write!(f, " in {kind} `{}` of {}", self.cache, self.key)
    }
}
