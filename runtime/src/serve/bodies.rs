//! Buffers of bulk bodies, used again and again: a body is megabytes, and fresh memory is paid for page by
//! page.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// The buffers that no request holds at the moment.
#[derive(Debug)]
struct Free {
    buffers: Mutex<Vec<Vec<u8>>>,
    kept_max: usize,
}

impl Free {
    /// A holder that panicked left whole buffers.
    fn buffers(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives out buffers and takes them back when their request is done with them.
#[derive(Debug, Clone)]
pub(super) struct Bodies(Arc<Free>);

impl Bodies {
    /// At most `kept_max` buffers wait to be used again.
    pub(super) fn new(kept_max: usize) -> Self {
        Self(Arc::new(Free {
            buffers: Mutex::default(),
            kept_max,
        }))
    }

    /// An empty buffer.
    pub(super) fn take(&self) -> Vec<u8> {
        self.0.buffers().pop().unwrap_or_default()
    }

    /// A filled buffer as what a request sends. It comes back when the last reference to it is dropped.
    pub(super) fn share(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Shared {
            buffer,
            free: Arc::clone(&self.0),
        })
    }

    /// Takes back a buffer that is not sent.
    pub(super) fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut buffers = self.0.buffers();
        if buffers.len() < self.0.kept_max {
            buffers.push(buffer);
        }
    }
}

struct Shared {
    buffer: Vec<u8>,
    free: Arc<Free>,
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        Bodies(Arc::clone(&self.free)).give_back(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_nobody_sends_it_any_more() {
        let bodies = Bodies::new(1);
        let mut buffer = bodies.take();
        buffer.extend_from_slice(&[7; 1_000]);
        let place = buffer.as_ptr();
        let sent = bodies.share(buffer);
        let again = sent.slice(10..20);
        drop(sent);
        let other = bodies.take();
        assert_ne!(other.as_ptr(), place, "it is still being sent");
        drop(again);
        let buffer = bodies.take();
        assert!(buffer.is_empty() && buffer.as_ptr() == place);
        bodies.give_back(buffer);
        bodies.give_back(Vec::with_capacity(10));
        assert_eq!(bodies.0.buffers().len(), 1, "no more are kept than wanted");
    }
}
