//! Watches a body on its way into the cache: counts it, ends it at a limit, and keeps the beginning of a document.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};

use super::{PrefetchLimits, Reason};
use crate::{Body, BodyError};

/// Bytes that came from the network for one prefetch, counted while they come.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter(Arc<AtomicU64>);

impl Meter {
    pub(super) fn starting_at(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: u64) -> u64 {
        self.0.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes)
    }
}

/// What is seen of one body.
#[derive(Debug, Clone, Default)]
pub(super) struct Tap(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    bytes: u64,
    over: Option<Reason>,
    /// Bytes of the beginning that are kept; 0 where nobody wants it.
    keep: usize,
    kept: BytesMut,
}

impl Tap {
    /// Watches `body`, and keeps its first `keep` bytes. A body that passes a limit fails there.
    pub(super) fn watch(body: Body, limits: PrefetchLimits, meter: Meter, keep: usize) -> (Self, Body) {
        let tap = Self(Arc::new(Mutex::new(Seen { keep, ..Seen::default() })));
        let length = body.length();
        let state = Some((body, tap.clone(), meter));
        let watched = stream::unfold(state, move |state| async move {
            let (mut body, tap, meter) = state?;
            let chunk = match body.next().await? {
                Ok(chunk) => chunk,
                Err(error) => return Some((Err(error), None)),
            };
            match tap.pass(&chunk, &limits, &meter) {
                None => Some((Ok(chunk), Some((body, tap, meter)))),
                Some(reason) => Some((Err(BodyError::failed(format!("{reason:?}"))), None)),
            }
        });
        (tap, Body::from_stream(watched, length))
    }

    fn pass(&self, chunk: &Bytes, limits: &PrefetchLimits, meter: &Meter) -> Option<Reason> {
        let mut seen = self.lock();
        let all = meter.add(chunk.len() as u64);
        seen.bytes += chunk.len() as u64;
        if seen.bytes > limits.response_bytes {
            seen.over = Some(Reason::ResponseBytes);
        } else if all > limits.bytes {
            seen.over = Some(Reason::Bytes);
        } else {
            let room = seen.keep - seen.kept.len();
            seen.kept.extend_from_slice(&chunk[..room.min(chunk.len())]);
        }
        seen.over
    }

    /// Bytes that came.
    pub(super) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// The limit that it passed, if it did.
    pub(super) fn over(&self) -> Option<Reason> {
        self.lock().over
    }

    /// What was kept.
    pub(super) fn take_kept(&self) -> Bytes {
        std::mem::take(&mut self.lock().kept).freeze()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
