//! Bodies on their way into a store and out of it.

use std::{any::Any, fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{BodyError, Result};

/// A body that a store keeps.
pub trait StoredBody: fmt::Debug + Send + Sync {
    /// Its length in bytes.
    fn length(&self) -> u64;

    /// The length that its readers are told beforehand; `None` where it is not certain yet.
    fn known_length(&self) -> Option<u64> {
        Some(self.length())
    }

    /// All of it, where nobody has to wait for it: verified, or `None`, and [`open`](Self::open) tells why.
    fn at_hand(&self) -> Option<&Bytes> {
        None
    }

    /// Has some of it brought near, where it is in memory that is far: it will be asked for soon. Changes nothing else.
    fn bring_near(&self) {}

    /// Opens it. Each block is verified before it is handed out; damaged bytes end the stream with
    /// [`BodyError::Damaged`].
    fn open(self: Arc<Self>) -> BoxStream<'static, Result<Bytes, BodyError>>;
}

/// Bodies that were found together, each of which gets a handle of its own when it is asked for.
pub trait StoredBodies: fmt::Debug + Send + Sync {
    /// The length of body `index` in bytes.
    fn length(&self, index: usize) -> u64;

    /// Body `index`. Nobody asks for one that there is not.
    fn get(&self, index: usize) -> Arc<dyn StoredBody>;
}

/// Bodies up to this length go into the entry; longer ones through [`Store::write_body`](super::Store::write_body).
pub const INLINE_BYTES: usize = 64 * 1024;

/// Takes the bytes of a body.
#[async_trait]
pub trait BodyWriter: fmt::Debug + Send {
    /// Appends `chunk`. After an error the writer can only be dropped.
    async fn write(&mut self, chunk: Bytes) -> Result<()>;

    /// Reads back what was written, from `offset` on: at most 64 KiB, and nothing at the end.
    async fn read_back(&mut self, offset: u64) -> Result<Bytes>;

    /// Ends the body. A commit that names the result keeps it.
    async fn finish(self: Box<Self>) -> Result<WrittenBody>;
}

/// A body that is written and not named by an entry yet. Dropping the last clone removes it.
#[derive(Clone)]
pub struct WrittenBody {
    length: u64,
    hold: Arc<dyn Any + Send + Sync>,
}

impl WrittenBody {
    /// Wraps a store's own hold on a body of `length` bytes.
    pub fn new(length: u64, hold: Arc<dyn Any + Send + Sync>) -> Self {
        Self { length, hold }
    }

    /// The body's length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The store's own hold, for the store that made it.
    pub fn hold<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::clone(&self.hold).downcast().ok()
    }
}

impl fmt::Debug for WrittenBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrittenBody({} bytes)", self.length)
    }
}
