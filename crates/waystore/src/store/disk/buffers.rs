//! Buffers for bodies on their way, used again: fresh memory costs more than what is done in it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Buffers that are kept, at most: 6.4 MiB together.
const KEPT: usize = 24;
/// What each of them holds, at most.
const LONGEST: usize = 272 * 1024;

/// Buffers nobody uses.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// A buffer of `length` bytes, whatever is in them.
    pub(super) fn take(self: &Arc<Self>, length: usize) -> Buffer {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        if bytes.len() < length {
            bytes.resize(length, 0);
        }
        Buffer { bytes, length, home: Arc::clone(self) }
    }
}

/// A buffer that goes back when it is dropped, as bytes with the last of their slices.
#[derive(Debug)]
pub(super) struct Buffer {
    /// At least `length`, so that nothing is cleared that will be written over.
    bytes: Vec<u8>,
    length: usize,
    home: Arc<Buffers>,
}

impl Buffer {
    pub(super) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut kept = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT && self.bytes.capacity() <= LONGEST {
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_the_last_slice_is_gone() {
        let buffers = Arc::new(Buffers::default());
        let mut buffer = buffers.take(100);
        buffer.as_mut().fill(7);
        let at = buffer.as_ref().as_ptr();
        let bytes = buffer.into_bytes();
        let slice = bytes.slice(90..);
        drop(bytes);
        assert_ne!(buffers.take(100).as_ref().as_ptr(), at);
        assert_eq!(slice[..], [7; 10]);
        drop((slice, buffers.take(0)));
        let (one, other) = (buffers.take(50), buffers.take(50));
        assert!([one.as_ref().as_ptr(), other.as_ref().as_ptr()].contains(&at));
        assert_eq!(one.as_ref().len(), 50);
    }
}
