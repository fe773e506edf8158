//! Small bodies, which stand in the log after their entry: verified when they are asked for, so that who wants heads alone
//! does not pay for them.
//!
//! Knows the bytes and their checksum; what becomes of an entry whose body is damaged is the business of `inner.rs`.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use bytes::Bytes;
use futures::{StreamExt, future, stream, stream::BoxStream};

use super::{inner::Inner, map::bring_near, slot::Place};
use crate::{BodyError, checksum::xxh3, store::StoredBody};

/// What is brought near of a body; what comes after it, the processor brings by itself.
const NEAR: usize = 4096;

/// A body at hand that nobody looked at yet. The segment stays readable while somebody has this.
pub(super) struct InlineBody {
    pub(super) home: Weak<Inner>,
    /// Whose it is.
    pub(super) place: Place,
    pub(super) bytes: Bytes,
    pub(super) seed: u64,
    pub(super) checksum: u64,
}

impl StoredBody for InlineBody {
    fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Verified each time: the disk may change it at any time.
    fn at_hand(&self) -> Option<&Bytes> {
        if xxh3(&self.bytes, self.seed) == self.checksum {
            return Some(&self.bytes);
        }
        if let Some(inner) = self.home.upgrade() {
            inner.note_damaged(self.place);
        }
        None
    }

    fn bring_near(&self) {
        bring_near(&self.bytes[..self.bytes.len().min(NEAR)]);
    }

    fn open(self: Arc<Self>) -> BoxStream<'static, Result<Bytes, BodyError>> {
        let read = self.at_hand().cloned().ok_or_else(|| {
            let Place { list, entry, .. } = self.place;
            BodyError::Damaged(format!("the body of entry {} in list {}", entry.0, list.0))
        });
        stream::once(future::ready(read)).boxed()
    }
}

impl fmt::Debug for InlineBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Inline").field(&self.bytes).finish()
    }
}
