//! Questions that change caches. What was changed is synced before it is told.

use std::sync::Arc;

use futures::StreamExt;
use waystore::{Body, Cache, CacheQueryOptions, CacheStorage, EntryRange, Fetch, Request, Response, StorageKey};

use super::{Asked, Changed, Desk, Line, Out, Question, Record, look::url_at};
use crate::{
    commands::run::network,
    failure::Failure,
    fetch::{Network, private::PrivateOrigins},
};

impl Desk {
    pub(super) async fn change(&self, asked: Asked, input: Option<Body>, out: &Out) -> Result<(), Failure> {
        let input = input.unwrap_or_default();
        let changed = match &asked.question {
            Question::Put { cache, url, status, headers, .. } => {
                self.put(&asked, cache, url, *status, headers, input).await?
            }
            Question::Add { cache, urls } => tokio::select! {
                added = self.add(&asked, cache, urls) => added?,
                () = out.closed() => return Err(Failure::failed("nobody waits for the responses any more")),
            },
            Question::Import { cache, file, .. } => {
                let owner = self.owner_to_be(&asked, None).await?;
                let imported = self.caches_of(&owner)?.import(cache.as_str(), input).await;
                Changed::Imported { entries: imported.map_err(|error| wrong_file(file, error))? }
            }
            Question::Rm { cache, urls } => self.rm(&asked, cache, urls).await?,
            _ => return Err(Failure::failed("this question changes nothing")),
        };
        self.store.sync().await?;
        out.record(Record::Changed(changed)).await
    }

    async fn put(
        &self,
        asked: &Asked,
        cache: &str,
        url: &str,
        status: u16,
        headers: &[(String, String)],
        body: Body,
    ) -> Result<Changed, Failure> {
        let owner = self.owner_to_be(asked, Some(url)).await?;
        let url = url_at(&owner, url)?;
        let mut response = match body_of(status, body).await? {
            Some(body) => Response::new(body),
            None => Response::empty(status),
        };
        response.status = status;
        for (name, value) in headers {
            response = response.header(name, value);
        }
        let opened = self.opened(&owner, cache).await?;
        let put = opened.settle(opened.cache.put(Request::from(url.clone()), response).await).await;
        put.map_err(|failure| {
            let hint = "the Cache API has rules for what is stored; `--status` and `--header` say what the response is";
            failure.of(format_args!("`{url}` was not stored")).or_hint(hint)
        })?;
        Ok(Changed::Put { url: url.into(), status })
    }

    async fn add(&self, asked: &Asked, cache: &str, urls: &[String]) -> Result<Changed, Failure> {
        let owner = self.owner_to_be(asked, urls.first().map(String::as_str)).await?;
        let urls = urls.iter().map(|url| url_at(&owner, url)).collect::<Result<Vec<_>, _>>()?;
        let fetch = self.fetch(&owner)?;
        let opened = self.opened(&owner, cache).await?;
        let added = opened.settle(opened.cache.add_all(&*fetch, urls.iter().cloned().map(Request::from)).await).await;
        added.map_err(|failure| {
            failure.or_hint("none of the URLs was stored: `waystore cache add` stores all or nothing")
        })?;
        Ok(Changed::Added { urls: urls.into_iter().map(String::from).collect() })
    }

    /// The cache of this name, made where there is none.
    async fn opened<'a>(&self, owner: &StorageKey, name: &'a str) -> Result<Opened<'a>, Failure> {
        let caches = self.caches_of(owner)?;
        let made = !caches.has(name).await?;
        Ok(Opened { cache: caches.open(name).await?, caches, name, made })
    }

    /// Fetches as a page of the origin would.
    pub(super) fn fetch(&self, owner: &StorageKey) -> Result<Arc<dyn Fetch>, Failure> {
        let of_home = self.home.as_deref() == Some(owner.origin());
        match &self.network {
            Line::Gateway(network) if of_home => Ok(Arc::new(Network::clone(network))),
            Line::Gateway(_) => {
                Ok(Arc::new(network(&url_at(owner, "/")?, None, PrivateOrigins::default(), &self.clock)?))
            }
            Line::Plain { authorities } => Ok(Arc::new(network(
                &url_at(owner, "/")?,
                authorities.as_deref(),
                PrivateOrigins::default(),
                &self.clock,
            )?)),
        }
    }

    async fn rm(&self, asked: &Asked, name: &str, urls: &[String]) -> Result<Changed, Failure> {
        let owner = self.owner_to_be(asked, None).await?;
        let cache = self.cache(&owner, name).await?;
        let (mut removed, mut missing) = (Vec::new(), Vec::new());
        // All of them are checked before the first is removed.
        let parsed = urls.iter().map(|url| url_at(&owner, url)).collect::<Result<Vec<_>, _>>()?;
        if urls.is_empty() {
            self.caches_of(&owner)?.delete(name).await?;
        }
        for url in parsed {
            let every_variant = CacheQueryOptions { ignore_vary: true, ..Default::default() };
            let found = cache.delete(&url, every_variant).await?;
            if found { &mut removed } else { &mut missing }.push(url.into());
        }
        Ok(Changed::Removed { whole: urls.is_empty(), removed, missing })
    }
}

/// The body of a response with this status: some have none.
async fn body_of(status: u16, mut body: Body) -> Result<Option<Body>, Failure> {
    if !matches!(status, 204 | 205 | 304) {
        return Ok(Some(body));
    }
    while let Some(chunk) = body.next().await {
        if !chunk.map_err(waystore::Error::from)?.is_empty() {
            return Err(Failure::usage(format!("a response with status {status} has no body"))
                .hint("give an empty file, such as `/dev/null`, or another `--status`"));
        }
    }
    Ok(None)
}

/// Why a file was not imported.
fn wrong_file(file: &str, error: waystore::Error) -> Failure {
    match error {
        waystore::Error::Damaged { detail } => Failure::failed(format!("`{file}` was not imported: {detail}"))
            .hint("it has to be a file that `waystore cache export` wrote, whole and unchanged"),
        other => Failure::from(other).of(format_args!("`{file}` was not imported")).or_hint("no cache was changed"),
    }
}

/// A cache that something is put into.
struct Opened<'a> {
    cache: Cache,
    caches: CacheStorage,
    name: &'a str,
    /// Whether it is there only since then.
    made: bool,
}

impl Opened<'_> {
    /// Takes the cache away again where it was made for what failed.
    async fn settle(&self, done: waystore::Result<()>) -> Result<(), Failure> {
        let is_empty = self.cache.recording().is_empty()
            && self.cache.entries(&EntryRange::all())?.next().await.is_ok_and(|first| first.is_none());
        if done.is_err() && self.made && is_empty {
            // The failure that led here is the one to tell.
            let _ = self.caches.delete(self.name).await;
        }
        Ok(done?)
    }
}
