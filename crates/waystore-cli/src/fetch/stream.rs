//! What happens to a body on its way: time limits, codings removed, aborts, the length kept to.
//!
//! Each is a stream around a stream; none holds more than a chunk.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream::BoxStream};
use tokio::{
    io::{AsyncRead, BufReader},
    time::{Instant, Sleep},
};
use tokio_util::io::{ReaderStream, StreamReader};
use waystore::{AbortSignal, Body, BodyError};

/// The chunks of a body.
pub(crate) type Chunks = BoxStream<'static, Result<Bytes, BodyError>>;

/// Bytes that are read of a file or a decoder at a time.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;

/// The data of an HTTP body; trailers are dropped.
pub(crate) fn incoming<B>(body: B) -> Chunks
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let frames = http_body_util::BodyStream::new(body).map_err(BodyError::failed);
    frames.try_filter_map(|frame| async move { Ok(frame.into_data().ok()) }).boxed()
}

/// The chunks of `inner`, and an error where one takes longer than `limit`. Made inside the runtime.
pub(crate) fn timed(inner: Chunks, limit: Duration, whose: &'static str) -> Chunks {
    Timed { inner, limit, whose, waiting: false, sleep: Box::pin(tokio::time::sleep(limit)) }.boxed()
}

struct Timed {
    inner: Chunks,
    limit: Duration,
    whose: &'static str,
    /// Whether the sleep counts: only while the reader waits.
    waiting: bool,
    sleep: Pin<Box<Sleep>>,
}

impl Stream for Timed {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(item) = self.inner.poll_next_unpin(cx) {
            self.waiting = false;
            return Poll::Ready(item);
        }
        if !self.waiting {
            self.waiting = true;
            let deadline = Instant::now() + self.limit;
            self.sleep.as_mut().reset(deadline);
        }
        let (whose, limit) = (self.whose, self.limit);
        self.sleep.as_mut().poll(cx).map(|()| {
            let text = format!("{whose} sent nothing for {limit:?}");
            Some(Err(BodyError::failed(io::Error::new(io::ErrorKind::TimedOut, text))))
        })
    }
}

/// The chunks of `inner` until `signal` is aborted.
pub(crate) fn until_aborted(inner: Chunks, signal: AbortSignal) -> Chunks {
    let aborted: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move { signal.wait().await });
    Abortable { inner: Some(inner), aborted }.boxed()
}

struct Abortable {
    inner: Option<Chunks>,
    aborted: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Stream for Abortable {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.inner.is_some() && self.aborted.as_mut().poll(cx).is_ready() {
            self.inner = None;
            return Poll::Ready(Some(Err(BodyError::Aborted)));
        }
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let item = std::task::ready!(inner.poll_next_unpin(cx));
        if item.is_none() {
            self.inner = None;
        }
        Poll::Ready(item)
    }
}

/// The bytes of a reader, and an error where they are fewer than `length`.
pub(crate) fn exactly(reader: impl AsyncRead + Send + 'static, length: u64) -> Body {
    let chunks = ReaderStream::with_capacity(reader, CHUNK_BYTES).map_err(BodyError::failed);
    let counted = futures::stream::try_unfold((Box::pin(chunks), length), |(mut chunks, left)| async move {
        match chunks.try_next().await? {
            Some(chunk) => {
                let left = left.saturating_sub(chunk.len() as u64);
                Ok(Some((chunk, (chunks, left))))
            }
            None if left == 0 => Ok(None),
            None => Err(BodyError::failed(format!("it ended {left} bytes early"))),
        }
    });
    Body::from_stream(counted, Some(length))
}

/// `inner` without the codings that `Content-Encoding` lists, and whether there were any.
///
/// A coding nobody knows stays, as in browsers.
pub(crate) fn decoded(inner: Chunks, content_encoding: Option<&str>) -> (Chunks, bool) {
    let listed = content_encoding.unwrap_or_default().split(',').map(|coding| coding.trim().to_ascii_lowercase());
    let codings: Vec<String> = listed.filter(|coding| !coding.is_empty() && coding != "identity").collect();
    let known = |coding: &String| matches!(coding.as_str(), "gzip" | "x-gzip" | "deflate" | "br" | "zstd");
    if codings.is_empty() || !codings.iter().all(known) {
        return (inner, false);
    }
    (codings.iter().rev().fold(inner, |inner, coding| decode(inner, coding)), true)
}

fn decode(inner: Chunks, coding: &str) -> Chunks {
    let reader = BufReader::new(StreamReader::new(inner.map_err(io::Error::other)));
    let reader: Pin<Box<dyn AsyncRead + Send>> = match coding {
        "deflate" => Box::pin(ZlibDecoder::new(reader)),
        "br" => Box::pin(BrotliDecoder::new(reader)),
        "zstd" => Box::pin(ZstdDecoder::new(reader)),
        _ => {
            let mut gzip = GzipDecoder::new(reader);
            gzip.multiple_members(true);
            Box::pin(gzip)
        }
    };
    ReaderStream::with_capacity(reader, CHUNK_BYTES).map_err(BodyError::failed).boxed()
}

#[cfg(test)]
mod tests {
    use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
    use futures::stream;
    use tokio::io::AsyncReadExt;

    use super::*;

    fn chunks(bytes: &[u8]) -> Chunks {
        let pieces: Vec<_> = bytes.chunks(3).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        stream::iter(pieces).boxed()
    }

    async fn all(chunks: Chunks) -> Result<Bytes, BodyError> {
        Body::from_stream(chunks, None).collect(1 << 20).await
    }

    async fn encoded(coding: &str) -> Vec<u8> {
        let text = &b"hello hello hello"[..];
        let mut bytes = Vec::new();
        match coding {
            "gzip" => GzipEncoder::new(text).read_to_end(&mut bytes).await,
            "deflate" => ZlibEncoder::new(text).read_to_end(&mut bytes).await,
            "br" => BrotliEncoder::new(text).read_to_end(&mut bytes).await,
            _ => ZstdEncoder::new(text).read_to_end(&mut bytes).await,
        }
        .unwrap();
        bytes
    }

    #[tokio::test]
    async fn f69_every_coding_is_removed() {
        for coding in ["gzip", "deflate", "br", "zstd"] {
            let (plain, was) = decoded(chunks(&encoded(coding).await), Some(coding));
            assert!(was, "{coding}");
            assert_eq!(all(plain).await.unwrap(), "hello hello hello", "{coding}");
        }
    }

    #[tokio::test]
    async fn a_coding_nobody_knows_stays() {
        let (same, was) = decoded(chunks(b"x"), Some("rot13"));
        assert!(!was);
        assert_eq!(all(same).await.unwrap(), "x");
    }

    #[tokio::test]
    async fn a_coded_body_that_ends_early_is_an_error() {
        let mut bytes = encoded("gzip").await;
        bytes.truncate(bytes.len() - 4);
        assert!(all(decoded(chunks(&bytes), Some("gzip")).0).await.is_err());
    }

    #[tokio::test]
    async fn a_body_that_stands_still_is_an_error() {
        let still = stream::iter([Ok(Bytes::from_static(b"a"))]).chain(stream::pending()).boxed();
        let mut timed = timed(still, Duration::from_millis(1), "the upstream");
        assert_eq!(timed.next().await.unwrap().unwrap(), "a");
        assert!(timed.next().await.unwrap().unwrap_err().to_string().contains("sent nothing for 1ms"));
    }

    #[tokio::test]
    async fn an_abort_ends_a_body_that_waits() {
        let signal = AbortSignal::new();
        let mut body = until_aborted(stream::pending().boxed(), signal.clone());
        assert!(futures::poll!(body.next()).is_pending());
        signal.abort();
        assert!(matches!(body.next().await, Some(Err(BodyError::Aborted))));
        assert!(body.next().await.is_none());
    }

    #[tokio::test]
    async fn a_file_that_shrank_is_an_error() {
        assert_eq!(exactly(&b"ab"[..], 2).collect(9).await.unwrap(), "ab");
        assert!(exactly(&b"ab"[..], 3).collect(9).await.is_err());
    }
}
