//! When a put is said to be done.

use std::sync::Arc;

use super::{Cache, Prepared, write::is_set_cookie};
use crate::{
    Body, BodyError, Error, Request, Response, Result,
    info::RequestInfo,
    quota::Reservation,
    recorded::{GrowingWriter, PendingGuard},
    spec::batch::check_put,
    store::{Entry, INLINE_BYTES, NewBody},
};

/// When [`Cache::put_with`] resolves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PutLevel {
    /// When the entry is recorded, though its body still streams. This process's handles find the
    /// entry at once and read its body as it comes; other processes, and this one after a restart, find
    /// it when the body is complete. Should the body fail, its readers get the error, and what was
    /// stored before is there again.
    Recorded,
    /// When the entry is stored whole: what the standard says.
    #[default]
    Complete,
    /// When the entry is stored whole and survives power loss.
    Durable,
}

impl Cache {
    /// Stores `response` under `request` as [`put`](Self::put) does, and resolves as `level` says.
    ///
    /// [`PutLevel::Recorded`] needs a Tokio runtime to read the body on; without one, and where very
    /// many bodies stream already, it is [`PutLevel::Complete`]. A failure after it resolved is logged;
    /// the response a reader was given ends with the error.
    ///
    /// ```
    /// use waystore::{Body, CacheQueryOptions, PutLevel, Response, Waystore};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # use futures::StreamExt;
    /// let cache = Waystore::in_memory().caches("https://shop.example")?.open("v1").await?;
    /// let (mut sender, chunks) = futures::channel::mpsc::channel(1);
    /// let streaming = Response::new(Body::from_stream(chunks, None));
    /// cache.put_with("/live", streaming, PutLevel::Recorded).await?;
    ///
    /// let hit = cache.match_("/live", CacheQueryOptions::default()).await?.expect("it is recorded");
    /// let mut body = hit.body.expect("it has a body");
    /// sender.try_send(Ok("first".into()))?;
    /// assert_eq!(body.next().await.expect("it goes on")?, "first");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`put`](Self::put). Where a [`PutLevel::Durable`] put fails because the disk could not be synced
    /// ([`Error::Unavailable`]), the entry is stored, and may be lost with the power.
    pub async fn put_with<'a>(
        &self,
        request: impl Into<RequestInfo<'a>>,
        response: Response,
        level: PutLevel,
    ) -> Result<()> {
        let request = request.into().resolve(&self.base)?;
        check_put(&request.head, &response.head)?;
        let request = request.into_owned();
        match level {
            PutLevel::Recorded => self.record(request, response).await,
            PutLevel::Complete => self.put_whole(request, response).await,
            PutLevel::Durable => {
                self.put_whole(request, response).await?;
                self.store.sync().await
            }
        }
    }

    /// What `put` does by default, after its checks.
    pub(crate) async fn put_whole(&self, request: Request, response: Response) -> Result<()> {
        let prepared = self.prepare_put(request, response).await?;
        self.commit(vec![prepared]).await.map(drop)
    }

    async fn record(&self, request: Request, mut response: Response) -> Result<()> {
        let Some(body) = response.body.take_if(|body| body.as_bytes().is_none()) else {
            return self.put_whole(request, response).await;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            response.body = Some(body);
            return self.put_whole(request, response).await;
        };
        response.headers.retain(|name, _| !is_set_cookie(name));
        let entry = Entry::new(&request.head, &response.head);
        let growing = GrowingWriter::new(Arc::clone(&self.store), self.key.clone(), body.length());
        let (head, now_ms) = (request.head.clone(), self.clock.now_ms());
        let recorded = &self.shared.recorded;
        let Some(guard) = recorded.add(&self.list, head, request.visitor, entry.clone(), now_ms, growing.body()) else {
            response.body = Some(body);
            return self.put_whole(request, response).await;
        };
        let evictions = self.shared.evictions_of(&self.key);
        let put = RecordedPut { cache: self.clone(), request, response, entry, guard, evictions };
        runtime.spawn(put.complete(body, growing));
        Ok(())
    }
}

/// A put that is recorded; its body is read by a task of its own.
struct RecordedPut {
    cache: Cache,
    request: Request,
    response: Response,
    entry: Entry,
    guard: PendingGuard,
    evictions: u64,
}

impl RecordedPut {
    async fn complete(self, body: Body, mut growing: GrowingWriter) {
        let url = self.request.url.clone();
        let outcome = match self.read(body, &mut growing).await {
            Ok((body, room)) => {
                // Readers need it no more.
                drop(growing);
                self.commit(body, room).await
            }
            Err(error) => {
                growing.fail(as_body_error(&error));
                Err(error)
            }
        };
        if let Err(error) = outcome {
            tracing::warn!(%url, %error, "a recorded put was not stored; what was there before is");
        }
    }

    async fn read(&self, mut body: Body, growing: &mut GrowingWriter) -> Result<(NewBody, Option<Reservation>)> {
        let mut room: Option<Reservation> = None;
        let mut length = 0_u64;
        while let Some(chunk) = growing.next_of(&mut body).await {
            let chunk = chunk?;
            length += chunk.len() as u64;
            if length > INLINE_BYTES as u64 {
                self.cache.reserve_for(&mut room, &self.request, &self.entry, length).await?;
            }
            growing.append(chunk).await?;
        }
        Ok((growing.finish().await?, room))
    }

    async fn commit(self, body: NewBody, room: Option<Reservation>) -> Result<()> {
        let Self { cache, request, response, entry, guard, .. } = &self;
        if !guard.begin_commit().await {
            return Ok(());
        }
        let entry = cache.kept(entry.clone(), &response.head, body.length());
        let (request, evictions) = (request.without_body(), self.evictions);
        let prepared = Prepared::Put { request, entry, body, _room: room, evictions, recorded: true };
        cache.commit(vec![prepared]).await.map(drop)
    }
}

/// An error of the writer as its readers get it.
fn as_body_error(error: &Error) -> BodyError {
    match error {
        Error::Aborted => BodyError::Aborted,
        Error::Body(error) => error.clone(),
        other => BodyError::failed(other.to_string()),
    }
}
