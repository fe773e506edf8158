//! Questions and answers on a wire: frames of a kind, a length and as many bytes.
//!
//! Both ways are the same: JSON where a value is told, bytes where a body goes, and an end that says whether
//! all went well. What breaks off without one is known to be cut.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use serde::{Serialize, de::DeserializeOwned};

use crate::failure::Failure;

/// The longest frame that is taken: a record has the headers of an entry, a question the words of a command.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// Bodies are cut into frames of this length.
const CHUNK_BYTES: usize = 256 * 1024;

const JSON: u8 = b'j';
const BYTES: u8 = b'b';
const END: u8 = b'.';
const FAILED: u8 = b'!';

/// One frame as it was read.
#[derive(Debug)]
pub(crate) enum Frame {
    /// A question, or a record.
    Json(Bytes),
    /// A piece of a body.
    Bytes(Bytes),
    /// All of it came.
    End,
    /// It failed; nothing comes after this.
    Failed(Failure),
}

/// A frame with `value` as JSON.
pub(crate) fn json(value: &impl Serialize) -> Bytes {
    match serde_json::to_vec(value) {
        Ok(text) if text.len() <= MOST_BYTES => frame(JSON, &text),
        Ok(_) => failed(&Failure::failed("what there is to tell is too long")),
        Err(error) => failed(&Failure::failed(format!("what there is to tell cannot be written: {error}"))),
    }
}

/// Frames of a body's chunk.
pub(crate) fn chunk(chunk: &Bytes) -> impl Iterator<Item = Bytes> {
    chunk.chunks(CHUNK_BYTES).map(|part| frame(BYTES, part))
}

/// The frame after the last.
pub(crate) fn end() -> Bytes {
    frame(END, &[])
}

/// The frame that ends it early.
pub(crate) fn failed(failure: &Failure) -> Bytes {
    frame(FAILED, &serde_json::to_vec(failure).unwrap_or_default())
}

fn frame(kind: u8, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + payload.len());
    frame.put_u8(kind);
    frame.put_u32(u32::try_from(payload.len()).expect("records and chunks are bounded"));
    frame.put_slice(payload);
    frame.freeze()
}

/// Takes a stream of bytes apart.
#[derive(Debug)]
pub(crate) struct Frames<S> {
    bytes: S,
    ready: BytesMut,
}

impl<S: Stream<Item = Result<Bytes, E>> + Unpin, E: std::error::Error + 'static> Frames<S> {
    pub(crate) fn new(bytes: S) -> Self {
        Self { bytes, ready: BytesMut::new() }
    }

    /// The next frame.
    ///
    /// # Errors
    ///
    /// The stream failed, ended before its last frame, or holds something else, in words.
    pub(crate) async fn next(&mut self) -> Result<Frame, String> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(frame);
            }
            match self.bytes.next().await {
                Some(Ok(chunk)) => self.ready.extend_from_slice(&chunk),
                Some(Err(error)) => return Err(crate::failure::chain(&error)),
                None => return Err("it broke off".to_owned()),
            }
        }
    }

    fn take(&mut self) -> Result<Option<Frame>, String> {
        let Some((head, _)) = self.ready.split_first_chunk::<5>() else { return Ok(None) };
        let [kind, length @ ..] = *head;
        let length = u32::from_be_bytes(length) as usize;
        if length > MOST_BYTES {
            return Err(format!("it holds a frame of {length} bytes, which is too long"));
        }
        if self.ready.len() < 5 + length {
            self.ready.reserve(5 + length - self.ready.len());
            return Ok(None);
        }
        self.ready.advance(5);
        let payload = self.ready.split_to(length).freeze();
        Ok(Some(match kind {
            JSON => Frame::Json(payload),
            BYTES => Frame::Bytes(payload),
            END => Frame::End,
            FAILED => Frame::Failed(value(&payload)?),
            _ => return Err("it is not what was expected".to_owned()),
        }))
    }
}

/// What a frame's JSON says.
///
/// # Errors
///
/// It says something else, in words.
pub(crate) fn value<T: DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;

    use super::*;

    /// The frames of `bytes`, which come `step` at a time, and what is told of the rest.
    fn read(bytes: &[u8], step: usize) -> (Vec<String>, Result<(), String>) {
        let chunks = bytes.chunks(step).map(|part| Ok::<_, Infallible>(Bytes::copy_from_slice(part)));
        let chunks: Vec<_> = chunks.collect();
        let mut frames = Frames::new(stream::iter(chunks));
        let mut read = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let ended = runtime.block_on(async {
            loop {
                let frame = frames.next().await?;
                read.push(format!("{frame:?}"));
                if matches!(frame, Frame::End | Frame::Failed(_)) {
                    return Ok(());
                }
            }
        });
        (read, ended)
    }

    #[test]
    fn frames_come_back_however_they_are_cut() {
        let mut wire = json(&"x").to_vec();
        chunk(&vec![7; CHUNK_BYTES + 1].into()).for_each(|frame| wire.extend_from_slice(&frame));
        wire.extend_from_slice(&end());
        for step in [1, 2, 5, 6, 7, 1000, wire.len()] {
            let (frames, ended) = read(&wire, step);
            assert_eq!((frames.len(), ended), (4, Ok(())), "{step}");
            assert_eq!((&*frames[0], &*frames[3]), ("Json(b\"\\\"x\\\"\")", "End"));
        }
    }

    #[test]
    fn a_stream_without_its_end_is_known_to_be_cut() {
        let wire = [json(&"x"), end()].concat();
        for length in 0..wire.len() {
            assert_eq!(read(&wire[..length], 3).1, Err("it broke off".to_owned()), "{length}");
        }
    }

    #[test]
    fn a_failure_comes_over_with_its_hint() {
        let failure = Failure::usage("no").hint("yes");
        let (frames, ended) = read(&failed(&failure), 4);
        assert_eq!((frames, ended), (vec![format!("{:?}", Frame::Failed(failure))], Ok(())));
    }

    #[test]
    fn what_is_no_frame_is_refused_before_it_takes_memory() {
        assert!(read(b"HTTP/1.1 404", 4).1.unwrap_err().contains("too long"));
        assert!(read(b"?\0\0\0\0", 5).1.is_err());
        assert!(read(b"!\0\0\0\x01x", 5).1.is_err());
    }
}
