//! Work on pieces of a body, in order, beside who brings them.
//!
//! Knows neither files nor hashes. No thread is kept while there is nothing to do: a body may come slowly. Who brings more
//! than is done waits.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::Notify;

use super::failure::Started;

/// Pieces that wait, at most; one more is being worked on.
const WAITING: usize = 2;

/// Does something with each piece, and may wait for the disk.
pub(super) trait Work: Send + 'static {
    /// Takes the next piece. After an error there is no next one.
    fn take(&mut self, piece: &Bytes) -> io::Result<()>;
}

/// The pieces on their way to one worker. Dropping it drops those that wait, and then the worker.
pub(super) struct Lane<W: Work>(Arc<Shared<W>>);

struct Shared<W> {
    state: Mutex<State<W>>,
    moved: Notify,
}

struct State<W> {
    /// `None` while it works; for good, where the thread it worked on ended.
    worker: Option<W>,
    works: bool,
    waiting: VecDeque<Bytes>,
    /// For good: what comes after a piece that was not taken would stand in its place.
    failed: Option<io::Error>,
}

impl<W: Work> Lane<W> {
    pub(super) fn new(worker: W) -> Self {
        let state = State { worker: Some(worker), works: false, waiting: VecDeque::new(), failed: None };
        Self(Arc::new(Shared { state: Mutex::new(state), moved: Notify::new() }))
    }

    /// Waits until one more piece can be pushed.
    ///
    /// # Errors
    ///
    /// What the worker said of an earlier piece.
    pub(super) async fn room(&self) -> io::Result<()> {
        self.0.until(|state| state.waiting.len() < WAITING).await
    }

    /// Hands a piece over. The caller waited until there is room.
    pub(super) fn push(&self, piece: Bytes) {
        let worker = {
            let mut state = self.0.state();
            if state.failed.is_some() {
                return;
            }
            state.waiting.push_back(piece);
            state.worker.take().inspect(|_| state.works = true)
        };
        if let Some(worker) = worker {
            let turn = Turn { shared: Arc::clone(&self.0), is_over: false };
            drop(Started::new(move || turn.work(worker)));
        }
    }

    /// Waits until nothing is left to do, and looks at the worker.
    ///
    /// # Errors
    ///
    /// As [`room`](Self::room).
    pub(super) async fn at_rest<T>(&self, look: impl FnOnce(&W) -> T) -> io::Result<T> {
        self.0.until(|state| !state.works).await?;
        self.0.state().worker.as_ref().map(look).ok_or_else(ended)
    }

    /// Waits until everything is done, and gives the worker back.
    ///
    /// # Errors
    ///
    /// As [`room`](Self::room).
    pub(super) async fn finish(self) -> io::Result<W> {
        self.0.until(|state| !state.works).await?;
        self.0.state().worker.take().ok_or_else(ended)
    }
}

impl<W: Work> Drop for Lane<W> {
    fn drop(&mut self) {
        let at_rest = {
            let mut state = self.0.state();
            state.waiting.clear();
            state.worker.take()
        };
        // Here, and not with the thread that worked last, which may not have ended yet.
        drop(at_rest);
    }
}

impl<W> Shared<W> {
    fn state(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn until(&self, is_so: impl Fn(&State<W>) -> bool) -> io::Result<()> {
        loop {
            // Before the look: what moves after it is not missed.
            let moved = self.moved.notified();
            {
                let state = self.state();
                if let Some(error) = &state.failed {
                    return Err(again(error));
                }
                if is_so(&state) {
                    return Ok(());
                }
            }
            moved.await;
        }
    }
}

/// The worker's time on a thread.
struct Turn<W: Work> {
    shared: Arc<Shared<W>>,
    is_over: bool,
}

impl<W: Work> Turn<W> {
    fn work(mut self, mut worker: W) {
        loop {
            let piece = {
                let mut state = self.shared.state();
                let Some(piece) = state.waiting.pop_front() else {
                    (state.worker, state.works) = (Some(worker), false);
                    self.is_over = true;
                    break;
                };
                piece
            };
            self.shared.moved.notify_waiters();
            if let Err(error) = worker.take(&piece) {
                let mut state = self.shared.state();
                state.waiting.clear();
                state.failed = Some(error);
            }
        }
    }
}

impl<W: Work> Drop for Turn<W> {
    fn drop(&mut self) {
        if !self.is_over {
            // The thread ended before its time, or never began: nobody waits for ever.
            let mut state = self.shared.state();
            state.waiting.clear();
            state.works = false;
            state.failed.get_or_insert_with(ended);
        }
        self.shared.moved.notify_waiters();
    }
}

/// The same error, for one more who asks.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
}

fn ended() -> io::Error {
    io::Error::other("the thread that wrote the body ended before its time")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Notes what it is given, once it is allowed to.
    struct Noting {
        allowed: mpsc::Receiver<()>,
        noted: Vec<u8>,
    }

    impl Work for Noting {
        fn take(&mut self, piece: &Bytes) -> io::Result<()> {
            self.allowed.recv().map_err(io::Error::other)?;
            self.noted.push(piece[0]);
            if piece[0] == 9 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
    }

    fn noting() -> (mpsc::Sender<()>, Lane<Noting>) {
        let (allow, allowed) = mpsc::channel();
        (allow, Lane::new(Noting { allowed, noted: Vec::new() }))
    }

    async fn bring(lane: &Lane<Noting>, piece: u8) -> io::Result<()> {
        lane.room().await?;
        lane.push(Bytes::from(vec![piece]));
        Ok(())
    }

    #[tokio::test]
    async fn pieces_are_taken_in_order_and_who_brings_too_many_waits() {
        let (allow, lane) = noting();
        for piece in 0..=WAITING as u8 {
            bring(&lane, piece).await.unwrap();
        }
        assert!(futures::poll!(std::pin::pin!(lane.room())).is_pending());
        for piece in WAITING as u8 + 1..6 {
            allow.send(()).unwrap();
            bring(&lane, piece).await.unwrap();
        }
        (0..=WAITING).for_each(|_| allow.send(()).unwrap());
        assert_eq!(lane.at_rest(|worker| worker.noted.len()).await.unwrap(), 6);
        assert_eq!(lane.finish().await.unwrap().noted, [0, 1, 2, 3, 4, 5]);
    }

    #[tokio::test]
    async fn an_error_reaches_who_brings_the_next_piece() {
        let (allow, lane) = noting();
        (0..4).for_each(|_| allow.send(()).unwrap());
        bring(&lane, 9).await.unwrap();
        let error = lane.at_rest(|_| ()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[tokio::test]
    async fn an_error_is_told_to_all_who_ask_and_nothing_is_taken_after_it() {
        let (allow, lane) = noting();
        (0..4).for_each(|_| allow.send(()).unwrap());
        bring(&lane, 9).await.unwrap();
        for _ in 0..2 {
            assert_eq!(lane.at_rest(|_| ()).await.unwrap_err().kind(), io::ErrorKind::StorageFull);
            assert_eq!(lane.room().await.unwrap_err().kind(), io::ErrorKind::StorageFull);
        }
        lane.push(Bytes::from_static(&[1]));
        assert_eq!(lane.finish().await.err().map(|error| error.kind()), Some(io::ErrorKind::StorageFull));
    }

    #[tokio::test]
    async fn dropping_a_lane_at_rest_drops_its_worker_at_once() {
        struct Held(#[expect(dead_code, reason = "it is only to be dropped")] Arc<()>);
        impl Work for Held {
            fn take(&mut self, _: &Bytes) -> io::Result<()> {
                Ok(())
            }
        }
        let held = Arc::new(());
        let lane = Lane::new(Held(Arc::clone(&held)));
        // The thread that worked last may not have gone yet.
        let thread = Arc::clone(&lane.0);
        drop(lane);
        assert_eq!(Arc::strong_count(&held), 1);
        drop(thread);
    }

    #[tokio::test]
    async fn a_worker_that_panics_leaves_nobody_waiting() {
        struct Panics;
        impl Work for Panics {
            fn take(&mut self, _: &Bytes) -> io::Result<()> {
                panic!("on purpose")
            }
        }
        let lane = Lane::new(Panics);
        for _ in 0..=WAITING {
            lane.push(Bytes::new());
        }
        assert!(lane.room().await.is_err());
        assert!(lane.finish().await.is_err());
    }

    #[test]
    fn without_a_runtime_the_work_is_done_at_once() {
        let (allow, lane) = noting();
        allow.send(()).unwrap();
        lane.push(Bytes::from_static(&[1]));
        assert_eq!(lane.0.state().worker.as_ref().unwrap().noted, [1]);
    }
}
