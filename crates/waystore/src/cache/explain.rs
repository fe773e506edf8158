//! Why a look-up hits or misses: every entry that came near, and the rule that decided on it.
//!
//! Not in the standard. The rules are those of `spec/`, asked for their reasons.

use std::fmt;

use bytes::Bytes;

use super::Cache;
use crate::{
    CacheQueryOptions, RequestHead, Result,
    info::RequestInfo,
    spec::{
        audience::Audience,
        matching::{Mismatch, compare},
        query::{may_match, query_cache},
        url_key::without_query,
    },
    store::{EntryId, UrlMatch},
};

/// What a look-up considered: see [`Cache::explain`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Whether any entry can match at all; without `ignore_method`, only `GET` requests are looked up.
    pub method_is_looked_up: bool,
    /// The entries whose URLs are the request's, queries aside, oldest first.
    pub considered: Vec<Considered>,
    /// The entry that [`Cache::match_`] answers with.
    pub answer: Option<EntryId>,
}

/// One entry that a look-up considered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Considered {
    /// Its number.
    pub id: EntryId,
    /// Its request.
    pub request: RequestHead,
    /// What became of it.
    pub verdict: Verdict,
}

/// The rule that decided on an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It matches.
    Matches,
    /// It was stored under a request that is not a `GET`.
    Method,
    /// Its URL differs.
    Url,
    /// Its URL has another query.
    Query,
    /// Its response varies by a header that the two requests differ in.
    Vary {
        /// The header.
        name: String,
        /// Its value in the stored request.
        stored: Option<String>,
        /// Its value in the request that was looked up.
        asked: Option<String>,
    },
    /// It belongs to a visitor, who is not the one who asks.
    Personal,
}

impl Cache {
    /// Returns why `request` matches or does not: the entries that came near, and the rule that
    /// decided on each.
    ///
    /// ```
    /// use waystore::{CacheQueryOptions, Response, Verdict, Waystore};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let cache = Waystore::in_memory().caches("https://shop.example")?.open("v1").await?;
    /// cache.put("/x?page=1", Response::new("1")).await?;
    /// let explanation = cache.explain("/x", CacheQueryOptions::default()).await?;
    /// assert_eq!(explanation.answer, None);
    /// assert_eq!(explanation.considered[0].verdict, Verdict::Query);
    /// # Ok::<(), waystore::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`match_`](Self::match_).
    pub async fn explain<'a>(
        &self,
        request: impl Into<RequestInfo<'a>>,
        options: CacheQueryOptions,
    ) -> Result<Explanation> {
        let request = request.into().resolve(&self.base)?;
        let audience = Audience::of(request.visitor);
        let method_is_looked_up = may_match(&request.head, options);
        let url = UrlMatch::WithoutQuery(without_query(request.url.as_str()));
        let candidates = self.search(url).await?;
        let found = query_cache(&candidates, &request.head, options, audience);
        let answer = found.first().filter(|_| method_is_looked_up).map(|candidate| candidate.id);
        let mut considered = Vec::with_capacity(candidates.len());
        for candidate in &candidates {
            let stored = candidate.entry.request()?;
            let verdict = match compare(&request.head, &candidate.entry, options) {
                Err(mismatch) => Verdict::of(&mismatch, &stored, &request.head),
                Ok(()) if audience.admits(candidate.entry.personal()) => Verdict::Matches,
                Ok(()) => Verdict::Personal,
            };
            considered.push(Considered { id: candidate.id, request: stored, verdict });
        }
        Ok(Explanation { method_is_looked_up, considered, answer })
    }
}

impl Verdict {
    fn of(mismatch: &Mismatch, stored: &RequestHead, asked: &RequestHead) -> Self {
        match mismatch {
            Mismatch::Method => Self::Method,
            Mismatch::Url => Self::Url,
            Mismatch::Query => Self::Query,
            Mismatch::Vary(name) => Self::Vary {
                name: text(name),
                stored: stored.headers.get_text(name),
                asked: asked.headers.get_text(name),
            },
        }
    }
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A sentence for people.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: &Option<String>| value.as_ref().map_or("nothing".into(), |value| format!("`{value}`"));
        match self {
            Self::Matches => f.write_str("matches"),
            Self::Method => f.write_str("stored under a request that is not a GET"),
            Self::Url => f.write_str("has another URL"),
            Self::Query => f.write_str("has another query"),
            Self::Vary { name, .. } if name == "*" => f.write_str("varies by everything"),
            Self::Vary { name, stored, asked } => {
                write!(f, "varies by `{name}`: stored with {}, asked with {}", value(stored), value(asked))
            }
            Self::Personal => f.write_str("belongs to another visitor"),
        }
    }
}
