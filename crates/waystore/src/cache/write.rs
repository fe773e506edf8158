//! Puts a body where the store keeps it, before anything names it.

use bytes::{Bytes, BytesMut};
use futures::StreamExt;

use super::{Cache, Prepared};
use crate::{
    AbortSignal, Body, Error, Request, Response, Result,
    store::{Entry, INLINE_BYTES, NewBody},
};

impl Cache {
    /// Reads the response's body to its end and puts it in place.
    pub(super) async fn prepare_put(&self, request: Request, mut response: Response) -> Result<Prepared> {
        let body = self.write_body(response.body.take()).await?;
        response.headers.retain(|name, _| !is_set_cookie(name));
        Ok(Prepared::Put { entry: Entry::new(&request.head, &response.head), request, body })
    }

    async fn write_body(&self, body: Option<Body>) -> Result<NewBody> {
        let Some(mut body) = body else { return Ok(NewBody::Null) };
        if let Some(bytes) = body.as_bytes().filter(|bytes| bytes.len() <= INLINE_BYTES) {
            return Ok(NewBody::Inline(bytes.clone()));
        }
        let mut start = BytesMut::new();
        while let Some(chunk) = body.next().await {
            let chunk = chunk?;
            if start.len() + chunk.len() > INLINE_BYTES {
                return self.write_long(start.freeze(), chunk, body).await;
            }
            start.extend_from_slice(&chunk);
        }
        Ok(NewBody::Inline(start.freeze()))
    }

    async fn write_long(&self, start: Bytes, chunk: Bytes, mut rest: Body) -> Result<NewBody> {
        let mut writer = self.store.write_body(&self.key);
        writer.write(start).await?;
        writer.write(chunk).await?;
        while let Some(chunk) = rest.next().await {
            writer.write(chunk?).await?;
        }
        Ok(NewBody::Written(writer.finish().await?))
    }
}

/// Waits for `work`, unless `signal` is aborted first.
pub(super) async fn unless_aborted<T>(
    signal: Option<&AbortSignal>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Some(signal) = signal else { return work.await };
    tokio::select! {
        biased;
        () = signal.wait() => Err(Error::Aborted),
        done = work => done,
    }
}

fn is_set_cookie(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"set-cookie") || name.eq_ignore_ascii_case(b"set-cookie2")
}
