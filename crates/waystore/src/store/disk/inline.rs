//! Small bodies, which stand in the log after their entry: verified when they are asked for, so that who wants heads alone
//! does not pay for them.
//!
//! Knows the bytes and their checksum; what becomes of an entry whose body is damaged is the business of `inner.rs`.

use std::{
    fmt,
    ops::Range,
    sync::{Arc, Weak},
};

use bytes::Bytes;
use futures::{StreamExt, future, stream, stream::BoxStream};

use super::{inner::Inner, map::bring_near, segment::Segment, slot::Place};
use crate::{
    BodyError,
    checksum::xxh3,
    store::{StoredBodies, StoredBody},
};

/// What is brought near of a body; what comes after it, the processor brings by itself.
const NEAR: usize = 4096;

/// Where a body stands that nobody looked at yet.
#[derive(Debug)]
pub(super) struct Unread {
    /// Whose it is.
    pub(super) place: Place,
    /// In the segment.
    pub(super) range: Range<usize>,
    pub(super) checksum: u64,
}

impl Unread {
    /// The body, in `segment`. `home` is told where it turns out to be damaged.
    pub(super) fn body(&self, segment: &Segment, home: &Weak<Inner>) -> InlineBody {
        InlineBody {
            home: Weak::clone(home),
            place: self.place,
            // Who found it saw that it is there; of what is not, the checksum is wrong.
            bytes: segment.bytes(self.range.clone()).unwrap_or_default(),
            seed: segment.header.seed,
            checksum: self.checksum,
        }
    }
}

/// The small bodies of entries that were found together. Most walks ask for none of them. The segments stay readable while
/// somebody has this.
#[derive(Debug)]
pub(super) struct InlineBodies {
    pub(super) home: Weak<Inner>,
    pub(super) segments: Vec<Arc<Segment>>,
    /// Each with the place of its segment. `None`: that entry has no such body.
    pub(super) unread: Vec<Option<(usize, Unread)>>,
}

impl StoredBodies for InlineBodies {
    fn length(&self, index: usize) -> u64 {
        self.unread.get(index).and_then(Option::as_ref).map_or(0, |(_, unread)| unread.range.len() as u64)
    }

    fn get(&self, index: usize) -> Arc<dyn StoredBody> {
        let unread = self.unread.get(index).and_then(Option::as_ref);
        let (segment, unread) = unread.expect("only entries that have such a body lead here");
        Arc::new(unread.body(&self.segments[*segment], &self.home))
    }
}

/// A body at hand that nobody looked at yet. The segment stays readable while somebody has this.
pub(super) struct InlineBody {
    home: Weak<Inner>,
    /// Whose it is.
    place: Place,
    bytes: Bytes,
    seed: u64,
    checksum: u64,
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
