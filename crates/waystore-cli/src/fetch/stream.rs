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

use async_compression::tokio::bufread::{BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use bytes::Bytes;
use futures::{
    Stream, StreamExt, TryFutureExt, TryStreamExt,
    stream::{self, BoxStream},
};
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

/// Codings of one body, one around the other, that are removed.
const MOST_CODINGS: usize = 5;

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
    let counted = stream::try_unfold((Box::pin(chunks), length), |(mut chunks, left)| async move {
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
    if codings.len() > MOST_CODINGS {
        let reason = format!("its body was coded {} times, and {MOST_CODINGS} is the most", codings.len());
        return (stream::iter([Err(BodyError::failed(reason))]).boxed(), true);
    }
    (codings.iter().rev().fold(inner, |inner, coding| decode(inner, coding)), true)
}

/// `inner` without one coding. A body without a byte needs no decoder: servers label empty ones, too.
fn decode(inner: Chunks, coding: &str) -> Chunks {
    let coding = coding.to_owned();
    let decoded = async move {
        let (start, inner) = started(inner).await?;
        let Some(start) = start else { return Ok(stream::empty().boxed()) };
        let kind = if coding == "deflate" && !has_zlib_header(&start) { "raw deflate" } else { &coding };
        let whole = stream::iter([Ok(start)]).chain(inner).map_err(io::Error::other);
        let reader = BufReader::new(StreamReader::new(whole));
        let reader: Pin<Box<dyn AsyncRead + Send>> = match kind {
            "deflate" => Box::pin(ZlibDecoder::new(reader)),
            "raw deflate" => Box::pin(DeflateDecoder::new(reader)),
            "br" => Box::pin(BrotliDecoder::new(reader)),
            "zstd" => {
                let mut zstd = ZstdDecoder::new(reader);
                zstd.multiple_members(true);
                Box::pin(zstd)
            }
            _ => {
                let mut gzip = GzipDecoder::new(reader);
                gzip.multiple_members(true);
                Box::pin(gzip)
            }
        };
        Ok::<_, BodyError>(ReaderStream::with_capacity(reader, CHUNK_BYTES).map_err(BodyError::failed).boxed())
    };
    decoded.try_flatten_stream().boxed()
}

/// The first two bytes or more, as far as there are any, and the rest.
async fn started(mut inner: Chunks) -> Result<(Option<Bytes>, Chunks), BodyError> {
    let mut start = Bytes::new();
    while start.len() < 2 {
        match inner.try_next().await? {
            Some(chunk) if start.is_empty() => start = chunk,
            Some(chunk) => start = [start, chunk].concat().into(),
            None => break,
        }
    }
    Ok(((!start.is_empty()).then_some(start), inner))
}

/// Whether what is called `deflate` has the header it should have; many servers leave it out.
fn has_zlib_header(start: &[u8]) -> bool {
    let &[method, flags, ..] = start else { return false };
    method & 0x0F == 8 && u16::from_be_bytes([method, flags]) % 31 == 0
}

#[cfg(test)]
mod tests {
    use async_compression::tokio::bufread::{BrotliEncoder, DeflateEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
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
        coded(coding, b"hello hello hello").await
    }

    async fn coded(coding: &str, text: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        match coding {
            "gzip" => GzipEncoder::new(text).read_to_end(&mut bytes).await,
            "raw deflate" => DeflateEncoder::new(text).read_to_end(&mut bytes).await,
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
    async fn several_codings_are_removed_from_the_last_to_the_first() {
        let twice = coded("br", &encoded("gzip").await).await;
        assert_eq!(all(decoded(chunks(&twice), Some("gzip, BR")).0).await.unwrap(), "hello hello hello");
        assert!(all(decoded(chunks(&twice), Some("br, gzip")).0).await.is_err());
    }

    #[tokio::test]
    async fn a_body_that_was_coded_again_and_again_is_an_error() {
        let mut bytes = b"hello".to_vec();
        for _ in 0..5 {
            bytes = coded("gzip", &bytes).await;
        }
        assert_eq!(all(decoded(chunks(&bytes), Some("gzip,gzip,gzip,gzip,gzip")).0).await.unwrap(), "hello");
        let bytes = coded("gzip", &bytes).await;
        assert!(all(decoded(chunks(&bytes), Some("gzip,gzip,gzip,gzip,gzip,gzip")).0).await.is_err());
    }

    #[tokio::test]
    async fn deflate_may_come_without_its_header() {
        let raw = encoded("raw deflate").await;
        assert_eq!(all(decoded(chunks(&raw), Some("deflate")).0).await.unwrap(), "hello hello hello");
    }

    #[tokio::test]
    async fn an_empty_body_is_empty_whatever_it_is_called() {
        for coding in ["gzip", "deflate", "br", "zstd"] {
            assert_eq!(all(decoded(chunks(b""), Some(coding)).0).await.unwrap(), "", "{coding}");
        }
    }

    #[tokio::test]
    async fn what_is_not_coded_as_it_says_is_an_error() {
        for coding in ["gzip", "br", "zstd", "deflate"] {
            assert!(all(decoded(chunks(b"\xFFplain text"), Some(coding)).0).await.is_err(), "{coding}");
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
