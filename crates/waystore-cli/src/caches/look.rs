//! Questions that change nothing: which caches there are, what is in one, why something is found.

use futures::StreamExt;
use url::Url;
use waystore::{
    Body, Cache, CacheQueryOptions, EntryRange, Explanation, Request, Response, StorageKey, StoredEntry, Verdict,
    parse_request_url, store::EntryId,
};

use super::{Asked, Candidate, Desk, Explained, Found, Key, Moment, Out, Part, Question, Record, Summary, pairs};
use crate::failure::{Failure, chain};

/// Entries between two pauses in which others may run.
const TURN: u64 = 256;

impl Desk {
    pub(super) async fn look(&self, asked: Asked, out: &Out) -> Result<(), Failure> {
        match &asked.question {
            Question::Keys { cache, prefix } => self.keys(&asked, cache, prefix.as_deref(), out).await,
            Question::Get { cache, url, headers } => get(self.look_up(&asked, cache, url, headers).await?, out).await,
            Question::Explain { cache, url, headers } => {
                explain(self.look_up(&asked, cache, url, headers).await?, out).await
            }
            Question::Export { cache, watched } => {
                let owner = self.owner(&asked).await?;
                let cache = self.cache(&owner, cache).await?;
                if *watched {
                    out.record(Record::Exporting { about: cache.export_length().await? }).await?;
                }
                send_body(cache.export(), out).await
            }
            _ => self.ls(&asked, out).await,
        }
    }

    async fn ls(&self, asked: &Asked, out: &Out) -> Result<(), Failure> {
        let owners = match &asked.origin {
            Some(_) => vec![self.owner(asked).await?],
            None => self.owners().await?,
        };
        for owner in &owners {
            for name in self.caches_of(owner)?.keys().await? {
                let summary = self.summary(owner, &name).await?;
                out.record(Record::Summary(summary)).await?;
            }
        }
        Ok(())
    }

    async fn summary(&self, owner: &StorageKey, name: &waystore::CacheName) -> Result<Summary, Failure> {
        let mut summary = Summary {
            origin: owner.to_string(),
            cache: name.to_string(),
            entries: 0,
            bytes: 0,
            oldest: None,
            newest: None,
            used: None,
            hits: 0,
            recording: 0,
        };
        let cache = self.caches_of(owner)?.open(name).await?;
        summary.recording = cache.recording().len() as u64;
        let mut entries = cache.entries(&EntryRange::all())?;
        while let Some(entry) = entries.next().await? {
            summary.entries += 1;
            summary.bytes += entry.body_length().unwrap_or_default();
            summary.newest = Moment::of(entry.stored_at());
            summary.oldest = summary.oldest.or(summary.newest);
            summary.used = summary.used.max(entry.last_used().and_then(Moment::of));
            summary.hits = summary.hits.saturating_add(entry.hits());
            if summary.entries.is_multiple_of(TURN) {
                tokio::task::yield_now().await;
            }
        }
        Ok(summary)
    }

    async fn keys(&self, asked: &Asked, cache: &str, prefix: Option<&str>, out: &Out) -> Result<(), Failure> {
        let owner = self.owner(asked).await?;
        let cache = self.cache(&owner, cache).await?;
        let prefix: Option<String> = match prefix {
            Some(prefix) if !prefix.contains("://") => Some(url_at(&owner, prefix)?.into()),
            prefix => prefix.map(str::to_owned),
        };
        let range = EntryRange::all();
        let mut entries = cache.entries(&prefix.clone().map_or(range.clone(), |prefix| range.under(prefix)))?;
        // First: what is committed meanwhile comes at the end of the walk.
        let recording = cache.recording();
        while let Some(entry) = entries.next().await? {
            out.record(Record::Key(Key::of(&entry, false)?)).await?;
        }
        for entry in recording {
            if prefix.as_deref().is_none_or(|prefix| entry.url().starts_with(prefix)) {
                out.record(Record::Key(Key::of(&entry, true)?)).await?;
            }
        }
        Ok(())
    }

    async fn look_up(
        &self,
        asked: &Asked,
        name: &str,
        url: &str,
        headers: &[(String, String)],
    ) -> Result<LookUp, Failure> {
        let owner = self.owner(asked).await?;
        let cache = self.cache(&owner, name).await?;
        let request = request(url, headers, &owner)?;
        let explanation = cache.explain(&request, CacheQueryOptions::default()).await?;
        Ok(LookUp { name: name.to_owned(), cache, request, explanation })
    }
}

/// What was looked up where, and what came of it.
struct LookUp {
    name: String,
    cache: Cache,
    request: Request,
    explanation: Explanation,
}

async fn get(LookUp { name, cache, request, explanation }: LookUp, out: &Out) -> Result<(), Failure> {
    let entry = match explanation.answer {
        Some(id) => entry(&cache, id).await?,
        None => None,
    };
    let Some(entry) = entry else {
        return Err(why_not(&name, &request, explanation.considered.iter().map(|entry| &entry.verdict)));
    };
    let response = entry.response()?;
    out.record(Record::Found(found(&response))).await?;
    match response.body {
        Some(body) => send_body(body, out).await,
        None => Ok(()),
    }
}

async fn explain(LookUp { request, explanation, .. }: LookUp, out: &Out) -> Result<(), Failure> {
    let candidates = explanation.considered.iter().map(|considered| Candidate {
        url: considered.request.url.to_string(),
        verdict: considered.verdict.to_string(),
        answers: Some(considered.id) == explanation.answer,
    });
    let (url, hit) = (request.url.to_string(), explanation.answer.is_some());
    out.record(Record::Explained(Explained { url, hit, candidates: candidates.collect() })).await
}

/// The URL that somebody wrote, at the origin of `owner` where it does not say another.
pub(super) fn url_at(owner: &StorageKey, text: &str) -> Result<Url, Failure> {
    let at = |base: Option<&Url>, text: &str| {
        parse_request_url(text, base)
            .map_err(|error| Failure::usage(chain(&error)).hint("such as `/page`, or `https://shop.example/page`"))
    };
    at(Some(&at(None, owner.origin())?), text)
}

/// The entry of this number, taken without counting as a use.
async fn entry(cache: &Cache, id: EntryId) -> Result<Option<StoredEntry>, Failure> {
    if let Some(recording) = cache.recording().into_iter().find(|entry| entry.id() == id) {
        return Ok(Some(recording));
    }
    let from_here = EntryRange::all().after(EntryId(id.0.saturating_sub(1)));
    Ok(cache.entries(&from_here)?.next().await?.filter(|entry| entry.id() == id))
}

/// The request that a look-up is made with.
fn request(url: &str, headers: &[(String, String)], owner: &StorageKey) -> Result<Request, Failure> {
    let mut request = Request::from(url_at(owner, url)?);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    Ok(request)
}

fn found(response: &Response) -> Found {
    let head = &response.head;
    Found {
        url: head.url().map(String::from),
        status: head.status,
        status_text: head.status_text.iter().copied().map(char::from).collect(),
        kind: head.kind.as_str().to_owned(),
        headers: pairs(&head.headers),
        bytes: response.body.as_ref().map_or(Some(0), Body::length),
    }
}

/// Why a look-up found nothing, and what to try instead.
fn why_not<'a>(cache: &str, request: &Request, verdicts: impl Iterator<Item = &'a Verdict>) -> Failure {
    let url = &request.url;
    let (mut vary, mut personal) = (None, false);
    for verdict in verdicts {
        match verdict {
            Verdict::Vary { name, .. } => vary = vary.or(Some(name)),
            Verdict::Personal => personal = true,
            _ => {}
        }
    }
    match vary {
        Some(name) => Failure::failed(format!("`{url}` is in `{cache}`, but not for a request with these headers"))
            .hint(format!("it varies by `{name}`: say with `--header 'NAME: VALUE'` what the request said")),
        None if personal => Failure::failed(format!("`{url}` is in `{cache}` for one visitor only"))
            .hint("what belongs to a visitor is given to nobody else"),
        None => Failure::failed(format!("`{url}` is not in `{cache}`")).hint(format!(
            "`waystore cache keys {cache}` lists what is, `waystore cache explain {cache} {url}` says why"
        )),
    }
}

async fn send_body(mut body: Body, out: &Out) -> Result<(), Failure> {
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| Failure::failed(format!("the body ended early: {}", chain(&error))))?;
        out.send(Part::Bytes(chunk)).await?;
    }
    Ok(())
}
