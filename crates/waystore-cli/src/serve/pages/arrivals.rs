//! How much of what pages say may be held while it arrives, for all of them together.
//!
//! A message is counted from its first byte until it was heard. Knows bytes; not what carries them, and not what they say.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{self, AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// The beginning of each message, which counts for nothing: short ones come through whatever others do, and as many
/// connections as there may be bound what this adds up to.
const FREE: usize = 16 << 10;

/// What is arriving from all pages. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Arrivals(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    /// For all together, in bytes.
    most: usize,
    /// More than that is never held for one message, whatever else its connection carries.
    most_of_one: usize,
    bytes: AtomicUsize,
}

/// There is no room for more of this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crowded;

impl Arrivals {
    pub(crate) fn new(most: usize, most_of_one: usize) -> Self {
        Self(Arc::new(Counted { most, most_of_one, bytes: AtomicUsize::new(0) }))
    }

    /// What a message takes that begins now.
    pub(crate) fn begin(&self) -> Share {
        Share { of: self.clone(), arrived: 0 }
    }
}

/// What one message takes. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Share {
    of: Arrivals,
    arrived: usize,
}

impl Share {
    /// So many bytes more have arrived.
    ///
    /// # Errors
    ///
    /// [`Crowded`]: they are not to be held. What arrived before still is.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Crowded> {
        let Counted { most, bytes: ref all, .. } = *self.of.0;
        let arrived = self.arrived.saturating_add(bytes);
        let more = self.counts(arrived) - self.counts(self.arrived);
        let room = |all: usize| all.checked_add(more).filter(|all| *all <= most);
        if more > 0 && all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_err() {
            return Err(Crowded);
        }
        self.arrived = arrived;
        Ok(())
    }

    /// What counts of so many bytes.
    fn counts(&self, arrived: usize) -> usize {
        arrived.saturating_sub(FREE).min(self.of.0.most_of_one)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.0.bytes.fetch_sub(self.counts(self.arrived), Ordering::Relaxed);
    }
}

impl fmt::Display for Crowded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too much is arriving from all pages together")
    }
}

impl std::error::Error for Crowded {}

/// What the message takes that arrives at one connection just now. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Meter(Arc<Mutex<Share>>);

impl Meter {
    pub(crate) fn new(arrivals: &Arrivals) -> Self {
        Self(Arc::new(Mutex::new(arrivals.begin())))
    }

    /// The message is there: what it takes, apart from what comes after it.
    pub(crate) fn end_message(&self) -> Share {
        let mut share = self.share();
        let next = share.of.begin();
        std::mem::replace(&mut share, next)
    }

    fn share(&self) -> MutexGuard<'_, Share> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection, whose bytes are counted as they are read. Where there is no room for them, reading fails
/// with [`Crowded`].
#[derive(Debug)]
pub(crate) struct Metered<S> {
    connection: S,
    meter: Meter,
}

impl<S: AsyncRead + Unpin> Metered<S> {
    pub(crate) fn new(connection: S, meter: Meter) -> Self {
        Self { connection, meter }
    }

    /// Reads to the end, and keeps nothing of it: who closes with bytes unread may take back what was said last.
    pub(crate) async fn drain(&mut self) {
        let mut scratch = vec![0; 4096];
        while matches!(self.connection.read(&mut scratch).await, Ok(1..)) {}
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.connection).poll_read(context, buf))?;
        let grown = self.meter.share().grow(buf.filled().len() - before);
        Poll::Ready(grown.map_err(io::Error::other))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(arrivals: &Arrivals) -> usize {
        arrivals.0.bytes.load(Ordering::Relaxed)
    }

    #[test]
    fn short_messages_count_for_nothing_and_have_room_when_there_is_none() {
        let arrivals = Arrivals::new(10, 1 << 20);
        let mut long = arrivals.begin();
        long.grow(FREE).unwrap();
        assert_eq!(held(&arrivals), 0);
        long.grow(10).unwrap();
        assert_eq!(long.grow(1), Err(Crowded));
        arrivals.begin().grow(FREE).unwrap();
        assert_eq!(held(&arrivals), 10);
    }

    #[test]
    fn what_was_heard_or_refused_makes_room_for_others() {
        let arrivals = Arrivals::new(100, 1 << 20);
        let mut one = arrivals.begin();
        let mut other = arrivals.begin();
        one.grow(FREE + 100).unwrap();
        assert_eq!(other.grow(FREE + 1), Err(Crowded));
        assert_eq!(held(&arrivals), 100, "what was refused is not held");
        drop(one);
        other.grow(FREE + 100).unwrap();
        drop(other);
        assert_eq!(held(&arrivals), 0);
    }

    #[test]
    fn what_is_no_part_of_a_message_adds_up_to_no_more_than_a_message() {
        let arrivals = Arrivals::new(1000, 100);
        let mut share = arrivals.begin();
        share.grow(FREE).unwrap();
        share.grow(usize::MAX).unwrap();
        assert_eq!(held(&arrivals), 100);
        drop(share);
        assert_eq!(held(&arrivals), 0);
    }

    #[tokio::test]
    async fn a_connection_is_counted_as_it_is_read_and_each_message_by_itself() {
        let arrivals = Arrivals::new(100, 1 << 20);
        let meter = Meter::new(&arrivals);
        let bytes = vec![0; 2 * FREE + 300];
        let mut connection = Metered::new(&bytes[..], meter.clone());
        let mut read = vec![0; FREE + 60];
        connection.read_exact(&mut read).await.unwrap();
        let first = meter.end_message();
        assert_eq!(held(&arrivals), 60);
        let refused = connection.read_exact(&mut read).await.unwrap_err();
        assert!(refused.get_ref().unwrap().is::<Crowded>(), "{refused}");
        drop(first);
        assert_eq!(held(&arrivals), 0, "nothing of the second one is held");
        connection.drain().await;
        assert_eq!(connection.read(&mut read).await.unwrap(), 0);
    }
}
