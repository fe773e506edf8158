//! Bodies: bytes on their way, never whole in memory unless they are small.
//!
//! A body is what is known of it at the time: bytes at hand, a reference to stored ones that is
//! opened at the first read, or a stream. Knows no headers and no files.

mod tee;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use http_body::{Frame, SizeHint};
use sync_wrapper::SyncWrapper;

use crate::{
    BodyError, StorageKey,
    store::{BodyWriter, Store, StoredBody},
};

/// The bytes of a request or response, read once.
///
/// ```
/// use waystore::Body;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let body = Body::from("hello");
/// assert_eq!(body.length(), Some(5));
/// assert_eq!(body.collect(1024).await?, "hello");
/// # Ok::<(), waystore::BodyError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct Body {
    source: Source,
    /// Bytes still to come, where that is known.
    remaining: Option<u64>,
}

#[derive(Default)]
enum Source {
    #[default]
    End,
    Bytes(Bytes),
    /// Not opened yet.
    Stored(Arc<dyn StoredBody>),
    /// Wrapped, so that a body, and what holds one, can be shared between threads by reference.
    Stream(SyncWrapper<BoxStream<'static, Result<Bytes, BodyError>>>),
}

impl Body {
    /// A body of no bytes; not the same as no body.
    pub const fn empty() -> Self {
        Self { source: Source::End, remaining: Some(0) }
    }

    /// A body whose bytes come from `stream`; `length` is their number, where it is known. Where fewer come, reading
    /// ends with an error, so that nothing is stored that broke off.
    pub fn from_stream(
        stream: impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
        length: Option<u64>,
    ) -> Self {
        Self { source: Source::Stream(SyncWrapper::new(stream.boxed())), remaining: length }
    }

    /// A body whose bytes come from another library's, such as that of axum, hyper or reqwest. Trailers are
    /// left out.
    ///
    /// ```
    /// use http_body_util::Full;
    /// use waystore::{Body, Response};
    ///
    /// let answer = http::Response::new(Full::from("hello"));
    /// let response = Response::from(answer.map(Body::from_http));
    /// assert_eq!(response.body.expect("it has a body").length(), Some(5));
    /// ```
    pub fn from_http<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let length = body.size_hint().exact();
        let mut body = Box::pin(body);
        let chunks = stream::poll_fn(move |cx| {
            loop {
                match ready!(body.as_mut().poll_frame(cx)).transpose() {
                    Ok(Some(frame)) => {
                        if let Ok(chunk) = frame.into_data() {
                            return Poll::Ready(Some(Ok(chunk)));
                        }
                    }
                    Ok(None) => return Poll::Ready(None),
                    Err(error) => return Poll::Ready(Some(Err(BodyError::failed(error)))),
                }
            }
        });
        Self::from_stream(chunks, length)
    }

    /// A body that a store keeps. Nothing is opened before the first read.
    pub fn stored(body: Arc<dyn StoredBody>) -> Self {
        Self { remaining: body.known_length(), source: Source::Stored(body) }
    }

    /// The number of bytes still to come, where it is known.
    pub fn length(&self) -> Option<u64> {
        self.remaining
    }

    /// All that is still to come, where it is at hand in memory: nothing, where the body was read to its end.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        static EMPTY: Bytes = Bytes::new();
        match &self.source {
            Source::Bytes(bytes) => Some(bytes),
            Source::End => Some(&EMPTY),
            Source::Stored(body) => body.at_hand(),
            Source::Stream(_) => None,
        }
    }

    /// Reads the rest into memory.
    ///
    /// # Errors
    ///
    /// The body's own error, or [`BodyError::Failed`] where it is longer than `limit` bytes.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, BodyError> {
        if let Some(bytes) = self.as_bytes().filter(|bytes| bytes.len() <= limit) {
            return Ok(bytes.clone());
        }
        let mut collected = BytesMut::new();
        while let Some(chunk) = self.next().await {
            let chunk = chunk?;
            if collected.len() + chunk.len() > limit {
                return Err(BodyError::failed(format!("it is longer than {limit} bytes")));
            }
            collected.extend_from_slice(&chunk);
        }
        Ok(collected.freeze())
    }

    /// The body twice. Bytes at hand and stored bodies are shared; a stream is read once for both,
    /// as fast as the faster side reads: see [`Response::tee`](crate::Response::tee).
    #[must_use]
    pub fn tee(self, spooler: &Spooler) -> (Self, Self) {
        let remaining = self.remaining;
        let pair = match self.source {
            Source::End => (Source::End, Source::End),
            Source::Bytes(bytes) => (Source::Bytes(bytes.clone()), Source::Bytes(bytes)),
            Source::Stored(body) => (Source::Stored(Arc::clone(&body)), Source::Stored(body)),
            Source::Stream(stream) => {
                let (one, two) = tee::tee(stream.into_inner(), spooler.clone());
                (Source::Stream(SyncWrapper::new(one)), Source::Stream(SyncWrapper::new(two)))
            }
        };
        (Self { source: pair.0, remaining }, Self { source: pair.1, remaining })
    }
}

impl Stream for Body {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Source::Stored(body) = &this.source {
            this.source = match body.at_hand() {
                Some(bytes) => Source::Bytes(bytes.clone()),
                None => Source::Stream(SyncWrapper::new(Arc::clone(body).open())),
            };
        }
        let item = match &mut this.source {
            Source::Stream(stream) => ready!(stream.get_mut().poll_next_unpin(cx)),
            Source::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                this.source = Source::End;
                (!bytes.is_empty()).then_some(Ok(bytes))
            }
            Source::End | Source::Stored(_) => None,
        };
        if let Some(Ok(chunk)) = &item {
            this.remaining = this.remaining.map(|left| left.saturating_sub(chunk.len() as u64));
            return Poll::Ready(item);
        }
        this.source = Source::End;
        match (this.remaining.replace(0), &item) {
            (Some(left @ 1..), None) => {
                Poll::Ready(Some(Err(BodyError::failed(format!("it ended {left} bytes early")))))
            }
            _ => Poll::Ready(item),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.poll_next(cx).map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::End)
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        let bytes = bytes.into();
        Self { remaining: Some(bytes.len() as u64), source: Source::Bytes(bytes) }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.source {
            Source::End => "ended",
            Source::Bytes(_) => "bytes",
            Source::Stored(_) => "stored",
            Source::Stream(_) => "stream",
        };
        f.debug_struct("Body").field("kind", &kind).field("remaining", &self.remaining).finish()
    }
}

/// Where a tee puts what one side has read and the other has not, beyond 256 KiB.
#[derive(Clone)]
pub struct Spooler {
    store: Arc<dyn Store>,
    key: StorageKey,
}

/// Not what the store has to show of itself.
impl fmt::Debug for Spooler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spooler").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Spooler {
    /// Spools to unnamed bodies that `key` owns in `store`.
    pub fn new(store: Arc<dyn Store>, key: StorageKey) -> Self {
        Self { store, key }
    }

    pub(crate) fn writer(&self) -> Box<dyn BodyWriter> {
        self.store.write_body(&self.key)
    }
}
