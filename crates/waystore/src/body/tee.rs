//! One stream, two readers, bounded memory.
//!
//! The source is read when either side wants more. What the slower side still has to read waits in
//! memory up to [`HELD_BYTES`], and beyond that in an unnamed body of the store, read back as the
//! slower side goes on. The source is dropped when both sides are.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::sync::Mutex as AsyncMutex;

use super::Spooler;
use crate::{BodyError, store::BodyWriter};

/// What a tee holds in memory for its slower side.
const HELD_BYTES: usize = 256 * 1024;

type Chunks = BoxStream<'static, Result<Bytes, BodyError>>;

/// The two sides of `source`.
pub(super) fn tee(source: Chunks, spooler: Spooler) -> (Chunks, Chunks) {
    let shared = Arc::new(Tee {
        source: AsyncMutex::new(source),
        spool: AsyncMutex::new(None),
        state: Mutex::default(),
        spooler,
    });
    (Side::new(&shared, 0).into_stream(), Side::new(&shared, 1).into_stream())
}

struct Tee {
    /// Held by the side that waits for the next chunk.
    source: AsyncMutex<Chunks>,
    spool: AsyncMutex<Option<Spool>>,
    state: Mutex<State>,
    spooler: Spooler,
}

#[derive(Default)]
struct State {
    sides: [Backlog; 2],
    end: Option<Option<BodyError>>,
}

/// What one side has still to read: first the chunks held, then the spooled bytes.
#[derive(Default)]
struct Backlog {
    gone: bool,
    held: VecDeque<Bytes>,
    held_bytes: usize,
    spooled: u64,
    failed: Option<BodyError>,
}

struct Spool {
    writer: Box<dyn BodyWriter>,
    read: u64,
}

/// What a side finds when it looks for its next chunk.
enum Found {
    Chunk(Bytes),
    Spooled,
    Nothing,
    End(Option<BodyError>),
}

struct Side {
    tee: Arc<Tee>,
    index: usize,
}

impl Side {
    fn new(tee: &Arc<Tee>, index: usize) -> Self {
        Self { tee: Arc::clone(tee), index }
    }

    fn into_stream(self) -> Chunks {
        stream::unfold(Some(self), |side| async move {
            let side = side?;
            match side.tee.next(side.index).await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some(side))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        let mut state = self.tee.state();
        state.sides[self.index] = Backlog { gone: true, ..Backlog::default() };
    }
}

impl Tee {
    async fn next(&self, me: usize) -> Result<Option<Bytes>, BodyError> {
        loop {
            match self.find(me) {
                Found::Chunk(chunk) => return Ok(Some(chunk)),
                Found::Spooled => return self.read_spool(me).await.map(Some),
                Found::End(None) => return Ok(None),
                Found::End(Some(error)) => return Err(error),
                Found::Nothing => {}
            }
            let mut source = self.source.lock().await;
            // The other side may have read on while this one waited for its turn.
            if !matches!(self.find_without_taking(me), Found::Nothing) {
                continue;
            }
            match source.next().await {
                Some(Ok(chunk)) => {
                    self.keep_for(1 - me, &chunk).await;
                    return Ok(Some(chunk));
                }
                Some(Err(error)) => self.state().end = Some(Some(error)),
                None => self.state().end = Some(None),
            }
        }
    }

    fn find(&self, me: usize) -> Found {
        let mut state = self.state();
        let backlog = &mut state.sides[me];
        if let Some(chunk) = backlog.held.pop_front() {
            backlog.held_bytes -= chunk.len();
            return Found::Chunk(chunk);
        }
        drop(state);
        self.find_without_taking(me)
    }

    fn find_without_taking(&self, me: usize) -> Found {
        let state = self.state();
        let backlog = &state.sides[me];
        match (&backlog.failed, &state.end) {
            _ if !backlog.held.is_empty() => Found::Chunk(Bytes::new()),
            (Some(error), _) => Found::End(Some(error.clone())),
            _ if backlog.spooled > 0 => Found::Spooled,
            (None, Some(end)) => Found::End(end.clone()),
            (None, None) => Found::Nothing,
        }
    }

    /// Keeps `chunk` for the side that did not ask for it.
    async fn keep_for(&self, other: usize, chunk: &Bytes) {
        if self.hold(other, chunk) {
            return;
        }
        let mut spool = self.spool.lock().await;
        let spool = spool.get_or_insert_with(|| Spool { writer: self.spooler.writer(), read: 0 });
        let written = spool.writer.write(chunk.clone()).await;
        let mut state = self.state();
        match written {
            Ok(()) => state.sides[other].spooled += chunk.len() as u64,
            Err(error) => state.sides[other].failed = Some(BodyError::failed(error)),
        }
    }

    /// Holds `chunk` in memory, where there is room and nothing later waits in the spool already.
    fn hold(&self, other: usize, chunk: &Bytes) -> bool {
        let mut state = self.state();
        let backlog = &mut state.sides[other];
        if backlog.gone || backlog.failed.is_some() {
            return true;
        }
        let fits = backlog.spooled == 0 && backlog.held_bytes + chunk.len() <= HELD_BYTES;
        if fits {
            backlog.held_bytes += chunk.len();
            backlog.held.push_back(chunk.clone());
        }
        fits
    }

    async fn read_spool(&self, me: usize) -> Result<Bytes, BodyError> {
        let mut slot = self.spool.lock().await;
        let spool = slot.as_mut().expect("bytes are counted as spooled after they were written");
        let chunk = spool.writer.read_back(spool.read).await.map_err(BodyError::failed)?;
        if chunk.is_empty() {
            return Err(BodyError::Damaged("the spool ends before what was written to it".into()));
        }
        spool.read += chunk.len() as u64;
        let mut state = self.state();
        let left = &mut state.sides[me].spooled;
        *left = left.saturating_sub(chunk.len() as u64);
        if *left == 0 {
            *slot = None;
        }
        Ok(chunk)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
