//! A body that is being written and read at the same time.
//!
//! One writer; any number of readers, each of whom starts at the beginning and waits at the end until
//! there is more. What is short stays in memory, the rest is read back from the store.
//!
//! Only the writer's task touches what is being written: a reader asks it for what follows its place and
//! waits for the answer. So no reader holds what the writer or another reader needs, however long it
//! is not polled.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    Body, BodyError, Result, StorageKey,
    store::{BodyWriter, INLINE_BYTES, NewBody, Store, StoredBody},
};

/// What the readers see of a body that grows.
pub(crate) struct Growing {
    /// The length there will be, where it is known.
    announced: Option<u64>,
    state: Mutex<State>,
    /// Changes with every chunk and at the end.
    progress: watch::Sender<Progress>,
    /// As long as the readers, each of whom has at most one question.
    asks: mpsc::UnboundedSender<Ask>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    length: u64,
    ended: bool,
}

enum State {
    Short(BytesMut),
    /// With its writer.
    Long,
    WholeShort(Bytes),
    WholeLong(Arc<dyn StoredBody>),
    Failed(BodyError),
}

/// A reader's question: what follows this offset?
struct Ask {
    offset: u64,
    answer: oneshot::Sender<Result<Bytes>>,
}

/// The one who appends, and answers the readers meanwhile. Dropping it before the body ended fails the
/// readers.
pub(crate) struct GrowingWriter {
    body: Arc<Growing>,
    store: Arc<dyn Store>,
    key: StorageKey,
    long: Option<Box<dyn BodyWriter>>,
    asks: mpsc::UnboundedReceiver<Ask>,
}

impl GrowingWriter {
    /// The writer of an empty body that `key` will own; `announced` is the length there will be, where it
    /// is known.
    pub(crate) fn new(store: Arc<dyn Store>, key: StorageKey, announced: Option<u64>) -> Self {
        let (sender, asks) = mpsc::unbounded_channel();
        let state = Mutex::new(State::Short(BytesMut::new()));
        let body = Arc::new(Growing { announced, state, progress: watch::Sender::default(), asks: sender });
        Self { body, store, key, long: None, asks }
    }

    /// What readers read.
    pub(crate) fn body(&self) -> &Arc<Growing> {
        &self.body
    }

    /// Waits for the next chunk of `source`, and answers readers until it is there.
    pub(crate) async fn next_of(&mut self, source: &mut Body) -> Option<Result<Bytes, BodyError>> {
        loop {
            // Neither branch loses anything when the other wins; an answer is given whole.
            let ask = tokio::select! {
                chunk = source.next() => return chunk,
                Some(ask) = self.asks.recv() => ask,
            };
            self.answer(ask).await;
        }
    }

    /// Appends `chunk`.
    pub(crate) async fn append(&mut self, chunk: Bytes) -> Result<()> {
        let length = chunk.len() as u64;
        match &mut self.long {
            Some(writer) => writer.write(chunk).await?,
            None => {
                if let Some(start) = self.body.lengthen(&chunk) {
                    let mut writer = self.store.write_body(&self.key);
                    writer.write(start).await?;
                    writer.write(chunk).await?;
                    self.long = Some(writer);
                    *self.body.state() = State::Long;
                }
            }
        }
        self.body.progress.send_modify(|progress| progress.length += length);
        Ok(())
    }

    /// Ends the body, and returns it for a commit.
    pub(crate) async fn finish(&mut self) -> Result<NewBody> {
        let (whole, new) = match self.long.take() {
            Some(writer) => {
                let written = writer.finish().await?;
                (State::WholeLong(self.store.written(&written)?), NewBody::Written(written))
            }
            None => {
                let bytes = self.body.short().unwrap_or_default();
                (State::WholeShort(bytes.clone()), NewBody::Inline(bytes))
            }
        };
        self.body.end(whole);
        Ok(new)
    }

    /// Ends the body with an error, which every reader gets.
    pub(crate) fn fail(self, error: BodyError) {
        self.body.end(State::Failed(error));
    }

    async fn answer(&mut self, ask: Ask) {
        let Some(writer) = &mut self.long else { return };
        // Who asked may be gone.
        let _ = ask.answer.send(writer.read_back(ask.offset).await);
    }
}

impl Drop for GrowingWriter {
    fn drop(&mut self) {
        self.body.end(State::Failed(stopped()));
    }
}

impl Growing {
    /// Appends `chunk` where the body stays short; else returns what there is before it.
    fn lengthen(&self, chunk: &Bytes) -> Option<Bytes> {
        match &mut *self.state() {
            State::Short(start) if start.len() + chunk.len() <= INLINE_BYTES => {
                start.extend_from_slice(chunk);
                None
            }
            State::Short(start) => Some(start.clone().freeze()),
            State::Long | State::WholeShort(_) | State::WholeLong(_) | State::Failed(_) => None,
        }
    }

    fn short(&self) -> Option<Bytes> {
        match &*self.state() {
            State::Short(bytes) => Some(bytes.clone().freeze()),
            State::Long | State::WholeShort(_) | State::WholeLong(_) | State::Failed(_) => None,
        }
    }

    /// Ends the body, unless it has ended.
    fn end(&self, end: State) {
        let mut state = self.state();
        if matches!(*state, State::Short(_) | State::Long) {
            *state = end;
            drop(state);
            self.progress.send_modify(|progress| progress.ended = true);
        }
    }

    /// What follows `offset`, as far as it is there.
    async fn read(&self, offset: u64, progress: &mut watch::Receiver<Progress>) -> Found {
        match self.look(offset) {
            Look::Found(found) => found,
            Look::WithTheWriter => {
                let (answer, answered) = oneshot::channel();
                // Where the writer is gone, it has left word how the body ended.
                let _ = self.asks.send(Ask { offset, answer });
                let answered = tokio::select! {
                    biased;
                    answered = answered => answered.ok(),
                    _ = progress.wait_for(|progress| progress.ended) => None,
                };
                match answered {
                    Some(Ok(chunk)) if chunk.is_empty() => Found::Failed(BodyError::Damaged(SHORT.into())),
                    Some(Ok(chunk)) => Found::Chunk(chunk),
                    Some(Err(error)) => Found::Failed(BodyError::failed(error)),
                    None => Found::Moved,
                }
            }
        }
    }

    fn look(&self, offset: u64) -> Look {
        let rest = |bytes: &[u8]| {
            let rest = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
            (!rest.is_empty()).then(|| Bytes::copy_from_slice(rest))
        };
        let length = self.progress.borrow().length;
        Look::Found(match &*self.state() {
            State::Short(bytes) => rest(bytes).map_or(Found::NothingYet, Found::Chunk),
            State::Long if offset < length => return Look::WithTheWriter,
            State::Long => Found::NothingYet,
            State::WholeShort(bytes) => rest(bytes).map_or(Found::End, Found::Chunk),
            State::WholeLong(body) => Found::Elsewhere(Arc::clone(body)),
            State::Failed(error) => Found::Failed(error.clone()),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const SHORT: &str = "less can be read back than was written";

fn stopped() -> BodyError {
    BodyError::failed("its writer stopped before its end")
}

/// What a look at the state tells.
enum Look {
    Found(Found),
    /// What follows is to be asked for.
    WithTheWriter,
}

/// What a reader finds at its place.
enum Found {
    Chunk(Bytes),
    NothingYet,
    /// It was not answered: the body has ended, and is to be looked at again.
    Moved,
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
                    // Before the look: what comes after it is waited for.
                    progress.mark_unchanged();
                    match body.read(offset, &mut progress).await {
                        Found::Chunk(chunk) => {
                            let offset = offset + chunk.len() as u64;
                            return Some((Ok(chunk), Self::Following { body, offset, progress }));
                        }
                        Found::Moved => self = Self::Following { body, offset, progress },
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
