//! One stream, two readers, bounded memory.
//!
//! The source is read when either side wants more. What the slower side still has to read waits in
//! memory up to [`HELD_BYTES`], and beyond that in an unnamed body of the store, read back as the
//! slower side goes on. The source is dropped when both sides are.
//!
//! No side ever holds what the other needs: whatever is under way belongs to both, is driven by
//! whichever is polled, and wakes both. So a side that nobody polls any more stops nothing.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker, ready},
};

use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt, future::BoxFuture, stream::BoxStream, task::AtomicWaker};

use super::Spooler;
use crate::{BodyError, Result as StoreResult, store::BodyWriter};

/// What a tee holds in memory for its slower side.
const HELD_BYTES: usize = 256 * 1024;

type Chunks = BoxStream<'static, Result<Bytes, BodyError>>;

/// The two sides of `source`.
pub(super) fn tee(source: Chunks, spooler: Spooler) -> (Chunks, Chunks) {
    let state =
        State { source: Some(source), failed: None, sides: Default::default(), spool: None, work: None, spooler };
    let shared = Arc::new(Tee { state: Mutex::new(state), wakers: Arc::default() });
    let side = |index| Side { tee: Arc::clone(&shared), index }.boxed();
    (side(0), side(1))
}

struct Tee {
    state: Mutex<State>,
    wakers: Arc<Wakers>,
}

/// Who waits, on either side.
#[derive(Default)]
struct Wakers([AtomicWaker; 2]);

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.0.iter().for_each(AtomicWaker::wake);
    }
}

struct State {
    /// `None` once it ended.
    source: Option<Chunks>,
    /// How it ended, where that was too early.
    failed: Option<BodyError>,
    sides: [Backlog; 2],
    /// While nothing is done with it.
    spool: Option<Spool>,
    /// What is done with the spool.
    work: Option<BoxFuture<'static, Done>>,
    spooler: Spooler,
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

/// What was done with the spool, for the side at `index`.
struct Done {
    spool: Spool,
    index: usize,
    outcome: Outcome,
}

enum Outcome {
    Wrote(StoreResult<u64>),
    Read(StoreResult<Bytes>),
}

struct Side {
    tee: Arc<Tee>,
    index: usize,
}

impl Stream for Side {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.tee.wakers.0[self.index].register(cx.waker());
        let both = Waker::from(Arc::clone(&self.tee.wakers));
        let item = self.tee.state().poll(self.index, &mut Context::from_waker(&both));
        if item.is_ready() {
            // What this side found out, the other may have been waiting for.
            self.tee.wakers.0[1 - self.index].wake();
        }
        item
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        let left = {
            let mut state = self.tee.state();
            let backlog = &mut state.sides[self.index];
            let spooled = std::mem::replace(backlog, Backlog { gone: true, ..Backlog::default() }).spooled;
            // Only one side ever is behind, so what is spooled is this one's.
            if spooled > 0 { state.spool.take() } else { None }
        };
        // Outside the lock: it may be a file that is removed.
        drop(left);
    }
}

impl Tee {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn poll(&mut self, me: usize, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            if let Some(chunk) = self.sides[me].take_held() {
                return Poll::Ready(Some(Ok(chunk)));
            }
            if let Some(work) = &mut self.work {
                let done = ready!(work.poll_unpin(cx));
                self.work = None;
                self.finish(done);
                continue;
            }
            if let Some(error) = &self.sides[me].failed {
                return Poll::Ready(Some(Err(error.clone())));
            }
            if self.sides[me].spooled > 0 {
                self.read_back(me);
                continue;
            }
            let Some(source) = &mut self.source else {
                return Poll::Ready(self.failed.clone().map(Err));
            };
            match ready!(source.poll_next_unpin(cx)) {
                Some(Ok(chunk)) => {
                    self.keep_for(1 - me, &chunk);
                    return Poll::Ready(Some(Ok(chunk)));
                }
                Some(Err(error)) => {
                    self.failed = Some(error);
                    self.source = None;
                }
                None => self.source = None,
            }
        }
    }

    /// Keeps `chunk` for the side that did not ask for it: in memory, where there is room and nothing later waits in
    /// the spool already.
    fn keep_for(&mut self, other: usize, chunk: &Bytes) {
        let backlog = &mut self.sides[other];
        // Chunks of nothing would wait without a bound.
        if backlog.gone || backlog.failed.is_some() || chunk.is_empty() {
            return;
        }
        if backlog.spooled == 0 && backlog.held_bytes + chunk.len() <= HELD_BYTES {
            backlog.hold(chunk.clone());
            return;
        }
        let mut spool = self.spool.take().unwrap_or_else(|| Spool { writer: self.spooler.writer(), read: 0 });
        let chunk = chunk.clone();
        self.work = Some(Box::pin(async move {
            let length = chunk.len() as u64;
            let wrote = spool.writer.write(chunk).await.map(|()| length);
            Done { spool, index: other, outcome: Outcome::Wrote(wrote) }
        }));
    }

    fn read_back(&mut self, me: usize) {
        let mut spool = self.spool.take().expect("bytes are counted as spooled after they were written");
        self.work = Some(Box::pin(async move {
            let read = spool.writer.read_back(spool.read).await;
            Done { spool, index: me, outcome: Outcome::Read(read) }
        }));
    }

    fn finish(&mut self, done: Done) {
        let Done { mut spool, index, outcome } = done;
        let backlog = &mut self.sides[index];
        if backlog.gone {
            return;
        }
        match outcome {
            Outcome::Wrote(Ok(length)) => backlog.spooled += length,
            Outcome::Read(Ok(chunk)) if !chunk.is_empty() => {
                spool.read += chunk.len() as u64;
                backlog.spooled = backlog.spooled.saturating_sub(chunk.len() as u64);
                backlog.hold(chunk);
            }
            Outcome::Read(Ok(_)) => {
                let short = "the spool ends before what was written to it";
                backlog.failed = Some(BodyError::Damaged(short.into()));
            }
            Outcome::Wrote(Err(error)) | Outcome::Read(Err(error)) => backlog.failed = Some(BodyError::failed(error)),
        }
        // What was read to its end makes room on the disk.
        self.spool = (backlog.spooled > 0).then_some(spool);
    }
}

impl Backlog {
    fn hold(&mut self, chunk: Bytes) {
        self.held_bytes += chunk.len();
        self.held.push_back(chunk);
    }

    fn take_held(&mut self) -> Option<Bytes> {
        let chunk = self.held.pop_front()?;
        self.held_bytes -= chunk.len();
        Some(chunk)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use futures::stream;

    use super::*;
    use crate::{
        Body, StorageKey,
        store::{WrittenBody, memory::MemoryStore},
    };

    /// A spool that says how many of it there are.
    #[derive(Debug)]
    struct Counted(Arc<AtomicUsize>);

    #[async_trait]
    impl BodyWriter for Counted {
        async fn write(&mut self, _: Bytes) -> StoreResult<()> {
            Ok(())
        }

        async fn read_back(&mut self, _: u64) -> StoreResult<Bytes> {
            Ok(Bytes::new())
        }

        async fn finish(self: Box<Self>) -> StoreResult<WrittenBody> {
            Ok(WrittenBody::new(0, Arc::new(())))
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn spooler() -> Spooler {
        let clock = Arc::new(crate::Clock::fixed(0, 0));
        Spooler::new(Arc::new(MemoryStore::new(clock)), StorageKey::new("https://a.test").unwrap())
    }

    /// The sides of a tee, as they are inside.
    fn sides(chunks: impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static) -> [Side; 2] {
        let source = Some(chunks.boxed());
        let state =
            State { source, failed: None, sides: Default::default(), spool: None, work: None, spooler: spooler() };
        let tee = Arc::new(Tee { state: Mutex::new(state), wakers: Arc::default() });
        [0, 1].map(|index| Side { tee: Arc::clone(&tee), index })
    }

    #[tokio::test]
    async fn what_waits_for_a_side_goes_when_it_leaves() {
        let [mut stays, leaves] = sides(stream::iter([Ok(Bytes::from_static(b"x"))]).chain(stream::pending()));
        let spools = Arc::new(AtomicUsize::new(1));
        {
            let mut state = leaves.tee.state();
            state.spool = Some(Spool { writer: Box::new(Counted(Arc::clone(&spools))), read: 0 });
            state.sides[leaves.index].spooled = 1;
        }
        drop(leaves);
        assert_eq!(spools.load(Ordering::Relaxed), 0, "its spool takes up room for nobody");
        assert_eq!(stays.next().await.unwrap().unwrap(), "x");
    }

    #[tokio::test]
    async fn a_spool_of_the_other_side_stays() {
        let [leaves, stays] = sides(stream::pending());
        let spools = Arc::new(AtomicUsize::new(1));
        {
            let mut state = leaves.tee.state();
            state.spool = Some(Spool { writer: Box::new(Counted(Arc::clone(&spools))), read: 0 });
            state.sides[stays.index].spooled = 1;
        }
        drop(leaves);
        assert_eq!(spools.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn chunks_of_nothing_do_not_wait() {
        let chunks = stream::iter((0..1000).map(|_| Ok(Bytes::new()))).chain(stream::iter([Ok("x".into())]));
        let [mut fast, mut slow] = sides(chunks);
        assert_eq!(fast.by_ref().map(Result::unwrap).collect::<Vec<_>>().await.concat(), b"x");
        assert_eq!(slow.tee.state().sides[slow.index].held.len(), 1);
        assert_eq!(slow.next().await.unwrap().unwrap(), "x");
    }

    #[tokio::test]
    async fn both_sides_are_given_all() {
        let (one, two) = Body::from_stream(stream::iter([Ok("a".into()), Ok("b".into())]), None).tee(&spooler());
        assert_eq!(one.collect(10).await.unwrap(), "ab");
        assert_eq!(two.collect(10).await.unwrap(), "ab");
    }
}
