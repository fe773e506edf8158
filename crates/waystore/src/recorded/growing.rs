//! A body that is being written and read at the same time.
//!
//! One writer; any number of readers, each of whom starts at the beginning and waits at the end until
//! there is more. A reader never holds up the writer. What is short stays in memory, the rest is read
//! back from the store.

use std::{fmt, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::sync::{Mutex, watch};

use crate::{
    BodyError, Result, StorageKey,
    store::{BodyWriter, INLINE_BYTES, NewBody, Store, StoredBody},
};

/// See the module's doc.
pub(crate) struct Growing {
    store: Arc<dyn Store>,
    key: StorageKey,
    /// The length there will be, where it is known.
    announced: Option<u64>,
    state: Mutex<State>,
    /// Changes with every chunk and at the end.
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    length: u64,
    ended: bool,
}

enum State {
    Short(BytesMut),
    Long(Box<dyn BodyWriter>),
    WholeShort(Bytes),
    WholeLong(Arc<dyn StoredBody>),
    Failed(BodyError),
}

impl Growing {
    pub(crate) fn new(store: Arc<dyn Store>, key: StorageKey, announced: Option<u64>) -> Arc<Self> {
        let state = Mutex::new(State::Short(BytesMut::new()));
        Arc::new(Self { store, key, announced, state, progress: watch::Sender::default() })
    }

    /// Appends `chunk`.
    pub(crate) async fn append(&self, chunk: Bytes) -> Result<()> {
        let length = chunk.len() as u64;
        let mut state = self.state.lock().await;
        match &mut *state {
            State::Short(start) if start.len() + chunk.len() <= INLINE_BYTES => start.extend_from_slice(&chunk),
            State::Short(start) => {
                let mut writer = self.store.write_body(&self.key);
                writer.write(start.split().freeze()).await?;
                writer.write(chunk).await?;
                *state = State::Long(writer);
            }
            State::Long(writer) => writer.write(chunk).await?,
            State::WholeShort(_) | State::WholeLong(_) | State::Failed(_) => return Ok(()),
        }
        drop(state);
        self.progress.send_modify(|progress| progress.length += length);
        Ok(())
    }

    /// Ends the body, and returns it for a commit.
    pub(crate) async fn finish(&self) -> Result<NewBody> {
        let mut state = self.state.lock().await;
        let (whole, new) = match std::mem::replace(&mut *state, State::Failed(stopped())) {
            State::Short(bytes) => {
                let bytes = bytes.freeze();
                (State::WholeShort(bytes.clone()), NewBody::Inline(bytes))
            }
            State::Long(writer) => {
                let written = writer.finish().await?;
                (State::WholeLong(self.store.written(&written)?), NewBody::Written(written))
            }
            other @ (State::WholeShort(_) | State::WholeLong(_) | State::Failed(_)) => (other, NewBody::Null),
        };
        *state = whole;
        drop(state);
        self.progress.send_modify(|progress| progress.ended = true);
        Ok(new)
    }

    /// Ends the body with an error, which every reader gets.
    pub(crate) async fn fail(&self, error: BodyError) {
        *self.state.lock().await = State::Failed(error);
        self.progress.send_modify(|progress| progress.ended = true);
    }

    /// The writer is gone. Where it did not end the body, readers are told so.
    pub(crate) fn abandon(&self) {
        self.progress.send_modify(|progress| progress.ended = true);
    }

    /// What follows `offset`, as far as it is there.
    async fn read(&self, offset: u64, ended: bool) -> Found {
        let short =
            |bytes: &[u8]| usize::try_from(offset).ok().and_then(|at| bytes.get(at..)).map(Bytes::copy_from_slice);
        let mut state = self.state.lock().await;
        let chunk = match &mut *state {
            State::Short(bytes) => short(bytes),
            State::Long(writer) => match writer.read_back(offset).await {
                Ok(chunk) => Some(chunk),
                Err(error) => return Found::Failed(BodyError::failed(error)),
            },
            State::WholeShort(bytes) => match short(bytes).filter(|rest| !rest.is_empty()) {
                None => return Found::End,
                rest => rest,
            },
            State::WholeLong(body) => return Found::Elsewhere(Arc::clone(body)),
            State::Failed(error) => return Found::Failed(error.clone()),
        };
        match chunk.filter(|chunk| !chunk.is_empty()) {
            Some(chunk) => Found::Chunk(chunk),
            None if ended => Found::Failed(stopped()),
            None => Found::NothingYet,
        }
    }
}

fn stopped() -> BodyError {
    BodyError::failed("its writer stopped before its end")
}

/// What a reader finds at its place.
enum Found {
    Chunk(Bytes),
    NothingYet,
    End,
    /// The body is whole, and to be read there.
    Elsewhere(Arc<dyn StoredBody>),
    Failed(BodyError),
}

/// Where a reader is.
enum Reader {
    Following {
        body: Arc<Growing>,
        offset: u64,
        progress: watch::Receiver<Progress>,
    },
    /// The first bytes were read already.
    Whole {
        chunks: BoxStream<'static, Result<Bytes, BodyError>>,
        skip: u64,
    },
    Ended,
}

impl Reader {
    async fn next(mut self) -> Option<(Result<Bytes, BodyError>, Self)> {
        loop {
            match self {
                Self::Following { body, offset, mut progress } => {
                    let ended = progress.borrow_and_update().ended;
                    match body.read(offset, ended).await {
                        Found::Chunk(chunk) => {
                            let offset = offset + chunk.len() as u64;
                            return Some((Ok(chunk), Self::Following { body, offset, progress }));
                        }
                        Found::End => return None,
                        Found::Failed(error) => return Some((Err(error), Self::Ended)),
                        Found::Elsewhere(body) => self = Self::Whole { chunks: body.open(), skip: offset },
                        Found::NothingYet => {
                            // The sender lives as long as `body`.
                            let _ = progress.changed().await;
                            self = Self::Following { body, offset, progress };
                        }
                    }
                }
                Self::Whole { mut chunks, skip } => {
                    let chunk = match chunks.next().await? {
                        Ok(chunk) => chunk,
                        Err(error) => return Some((Err(error), Self::Ended)),
                    };
                    let length = chunk.len() as u64;
                    if length <= skip {
                        self = Self::Whole { chunks, skip: skip - length };
                        continue;
                    }
                    let rest = chunk.slice(usize::try_from(skip).unwrap_or(chunk.len())..);
                    return Some((Ok(rest), Self::Whole { chunks, skip: 0 }));
                }
                Self::Ended => return None,
            }
        }
    }
}

impl StoredBody for Growing {
    fn length(&self) -> u64 {
        self.progress.borrow().length
    }

    fn known_length(&self) -> Option<u64> {
        let progress = *self.progress.borrow();
        if progress.ended { Some(progress.length) } else { self.announced }
    }

    fn open(self: Arc<Self>) -> BoxStream<'static, Result<Bytes, BodyError>> {
        let progress = self.progress.subscribe();
        stream::unfold(Reader::Following { body: self, offset: 0, progress }, Reader::next).boxed()
    }
}

impl fmt::Debug for Growing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Growing({} bytes so far)", self.length())
    }
}
