//! One change to buckets after the other, whether or not those who wait for them are polled.
//!
//! A lock would be handed to a future that is not polled any more, and stay with it: an isolate may be stuck for ever. So
//! changes run on a thread of their own, in the order in which they were asked for. It is there only while there is
//! something to do. Knows nothing of buckets.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake},
    thread::{self, Thread},
};

use futures::{FutureExt, future::BoxFuture};
use tokio::{runtime::Handle, sync::oneshot};

use crate::{Error, Result};

/// Changes that wait at a time.
const MOST: usize = 4096;

/// The changes that wait for their turn.
#[derive(Default)]
pub(super) struct Turns(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    waiting: VecDeque<Turn>,
    /// Whether there is a thread that takes them.
    runs: bool,
}

struct Turn {
    work: BoxFuture<'static, ()>,
    /// Of who asked: a store may need it.
    runtime: Option<Handle>,
}

impl Turns {
    /// Does `work` when all that was asked for before is done. Once begun, it goes on whether or not anybody waits for
    /// it; before that, it goes with who asked.
    ///
    /// # Errors
    ///
    /// Those of `work`; [`Error::Unavailable`]: too many wait already, or there is no thread to be had.
    pub(super) async fn take<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (done, outcome) = oneshot::channel();
        let work = async move {
            if !done.is_closed() {
                // With all that it holds, the work is gone before anybody hears of it.
                let result = work.await;
                let _ = done.send(result);
            }
        };
        self.push(Turn { work: work.boxed(), runtime: Handle::try_current().ok() })?;
        outcome.await.map_err(|_| Error::unavailable("a change to buckets ended before its time"))?
    }

    fn push(&self, turn: Turn) -> Result<()> {
        let mut state = lock(&self.0);
        if state.waiting.len() >= MOST {
            return Err(Error::unavailable(format!("{MOST} changes to buckets wait already")));
        }
        if !state.runs {
            let shared = Arc::clone(&self.0);
            let thread = thread::Builder::new().name("waystore-buckets".into());
            thread.spawn(move || take_all(&shared)).map_err(Error::unavailable)?;
            state.runs = true;
        }
        state.waiting.push_back(turn);
        Ok(())
    }
}

fn take_all(shared: &Mutex<State>) {
    loop {
        let turn = {
            let mut state = lock(shared);
            let Some(turn) = state.waiting.pop_front() else {
                state.runs = false;
                return;
            };
            turn
        };
        let Turn { work, runtime } = turn;
        let done = catch_unwind(AssertUnwindSafe(|| match runtime {
            Some(runtime) => runtime.block_on(work),
            None => block_on(work),
        }));
        if done.is_err() {
            // Who asked is told; the others have their turn.
            tracing::error!("a change to buckets panicked");
        }
    }
}

/// Runs `work` on this thread, where there is no runtime.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let (mut work, waker) = (pin!(work), Arc::new(Unpark(thread::current())).into());
    loop {
        if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
            return done;
        }
        thread::park();
    }
}

fn lock(shared: &Mutex<State>) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Turns({} wait)", lock(&self.0).waiting.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Asks for its turn, and is not polled again.
    fn ask<T: Send + 'static>(
        turns: &Turns,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Option<Result<T>> {
        turns.take(work).now_or_never()
    }

    #[test]
    fn turns_are_taken_in_order_whoever_waits() {
        let turns = Turns::default();
        let (tell, told) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let mut first = Box::pin(turns.take(async move { wait.recv().map_err(Error::unavailable) }));
        assert!(first.as_mut().now_or_never().is_none());
        let mut asked: Vec<_> = (0..5)
            .map(|number| {
                let tell = tell.clone();
                let work = async move { tell.send(number).map_err(Error::unavailable) };
                Box::pin(turns.take(work))
            })
            .collect();
        assert!(asked.iter_mut().all(|turn| turn.as_mut().now_or_never().is_none()));
        // Who gave up before its turn is passed over.
        drop(asked.remove(2));
        go.send(()).unwrap();
        drop(tell);
        assert_eq!(told.iter().collect::<Vec<_>>(), [0, 1, 3, 4]);
        asked.into_iter().for_each(|turn| block_on(turn).unwrap());
        block_on(first).unwrap();
    }

    #[test]
    fn a_turn_that_panics_ends_alone() {
        let turns = Turns::default();
        let panics = async { if turns_go_wrong() { panic!("on purpose") } else { Ok(()) } };
        assert!(matches!(block_on(turns.take(panics)), Err(Error::Unavailable { .. })));
        assert_eq!(block_on(turns.take(async { Ok(7) })).unwrap(), 7);
    }

    fn turns_go_wrong() -> bool {
        true
    }

    #[test]
    fn more_than_may_wait_are_refused() {
        let turns = Turns::default();
        let (go, wait) = mpsc::channel::<()>();
        let (begun, begins) = mpsc::channel();
        let mut first = Box::pin(turns.take(async move {
            begun.send(()).map_err(Error::unavailable)?;
            wait.recv().map_err(Error::unavailable)
        }));
        assert!(first.as_mut().now_or_never().is_none());
        begins.recv().unwrap();
        assert!((1..MOST).all(|_| ask(&turns, async { Ok(()) }).is_none()));
        let mut last = Box::pin(turns.take(async { Ok(()) }));
        assert!(last.as_mut().now_or_never().is_none());
        assert!(matches!(ask(&turns, async { Ok(()) }), Some(Err(Error::Unavailable { .. }))));
        go.send(()).unwrap();
        block_on(first).unwrap();
        // Only when its turn has come has that of all those before it.
        block_on(last).unwrap();
        block_on(turns.take(async { Ok(()) })).unwrap();
    }
}
