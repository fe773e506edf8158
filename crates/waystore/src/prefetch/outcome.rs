//! What became of each URL. Values only.

use serde::{Deserialize, Serialize};

/// What became of one URL: a row of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prefetched {
    /// The URL, absolute; where it is none, as it was written.
    pub url: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The status of the response, where there was one.
    pub status: Option<u16>,
    /// The length of the body: what was stored, or came until it ended.
    pub bytes: u64,
    /// Where the response came from, where there was one.
    pub source: Option<Source>,
    /// The URLs that were taken out of it, and were new.
    pub followed: Vec<String>,
    /// The document that named it; `None` where it was asked for.
    pub from: Option<String>,
    /// Whether it is required.
    pub required: bool,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was not stored, or its document not followed.
    pub reason: Option<Reason>,
    /// The same in words, with the numbers.
    pub detail: Option<String>,
}

/// What became of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It was fetched and is stored, whole.
    Stored,
    /// It was in the cache, or somebody else had just fetched it.
    Cached,
    /// It was left out; the reason says why. What was in the cache before stays.
    Skipped,
    /// It could not be had. What was in the cache before stays.
    Failed,
    /// All was aborted before it was done.
    Aborted,
}

/// Where a response came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// The network.
    Network,
    /// The cache.
    Cache,
}

/// Why something was not stored, or not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// The asker wants to save data, or has a slow connection.
    SaveData,
    /// It is not a URL, or not one that can be stored: HTTP(S) without user name and password.
    Url,
    /// The same URL comes earlier.
    Duplicate,
    /// As many URLs as allowed were taken already.
    Count,
    /// As many bytes as allowed had come already.
    Bytes,
    /// Its body is longer than allowed.
    ResponseBytes,
    /// The time for all of it was over.
    Time,
    /// It took longer than one attempt may, or the network gave up waiting.
    TimedOut,
    /// There was no response: a network error, or the network refuses to go there.
    Network,
    /// The status is not 200 to 299.
    Status,
    /// Its `Cache-Control` says `no-cache`, and that was not to be overridden.
    NoCache,
    /// It is for one visitor, or not to be stored at all: `Cache-Control` says `private` or `no-store`, or `Vary`
    /// names `Cookie`.
    Personal,
    /// The Cache API does not store it: it is opaque, a part, or varies by everything.
    Unstorable,
    /// There is no room in the store.
    Quota,
    /// The store failed.
    Store,
    /// The body ended early.
    Body,
    /// It is stored and was not searched for URLs, or not to its end: too long, too deep, broken, or too much work.
    Document,
    /// All was aborted.
    Aborted,
}
