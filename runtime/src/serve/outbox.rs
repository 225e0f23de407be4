//! What waits to be written to one connection.
//!
//! ```text
//!  shard ─▶ push ─▶ ┌──────────┐            ┌────────┐
//!  shard ─▶ push ─▶ │  bytes   │ ─ next ──▶ │ writer │ ─▶ one write for all that came together
//!           flush ─▶└──────────┘   (waits)  └────────┘
//! ```
//!
//! Invariants: bounded by bytes; frames stay whole and in order; a writer that is asked for nothing wakes
//! for nothing; when every [`Replies`] is gone the writer gets what is left, then the end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use inventory_sync_core::wire::framing::{Framing, FramingError, write_tls, write_unix};
use tokio::sync::Notify;

/// Buffers that have grown beyond this are not kept for the next replies: a quiet connection costs little.
const KEPT_BYTES_MAX: usize = 4 << 10;

/// Why a reply cannot be queued.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotQueued {
    /// The peer does not read its answers.
    #[error("more than {0} bytes of answers wait for a peer that does not read them")]
    Full(usize),
    /// A reply that no frame can carry.
    #[error(transparent)]
    Framing(#[from] FramingError),
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// What was last written, empty again: the next replies' buffer.
    spare: Vec<u8>,
    is_closed: bool,
}

#[derive(Debug)]
struct Outbox {
    waiting: Mutex<Waiting>,
    news: Notify,
    bytes_max: usize,
    framing: Framing,
}

impl Outbox {
    /// A holder that panicked left whole frames.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The side that replies. Shared by clones of an [`Arc`]; the last one closes the box.
#[derive(Debug)]
pub(super) struct Replies(Arc<Outbox>);

/// The side that writes.
#[derive(Debug)]
pub(super) struct Unwritten(Arc<Outbox>);

/// An empty outbox for frames of that kind, of at most so many bytes.
pub(super) fn outbox(framing: Framing, bytes_max: usize) -> (Replies, Unwritten) {
    let outbox = Arc::new(Outbox {
        waiting: Mutex::default(),
        news: Notify::new(),
        bytes_max,
        framing,
    });
    (Replies(Arc::clone(&outbox)), Unwritten(outbox))
}

impl Replies {
    /// Queues a reply. It is written after the next [`Replies::flush`].
    pub(super) fn push(&self, agent: u64, message: &[u8]) -> Result<(), NotQueued> {
        let mut waiting = self.0.waiting();
        // An empty box takes any reply: how long one may be is the framing's to say.
        if !waiting.bytes.is_empty() && waiting.bytes.len() + message.len() > self.0.bytes_max {
            return Err(NotQueued::Full(self.0.bytes_max));
        }
        match self.0.framing {
            Framing::Tls => write_tls(&mut waiting.bytes, message)?,
            Framing::Unix => write_unix(&mut waiting.bytes, agent, message)?,
        }
        Ok(())
    }

    /// Wakes the writer, if there is anything to write.
    pub(super) fn flush(&self) {
        if !self.0.waiting().bytes.is_empty() {
            self.0.news.notify_one();
        }
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        self.0.waiting().is_closed = true;
        self.0.news.notify_one();
    }
}

impl Unwritten {
    /// What is to be written next; `None` when there will be nothing more.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            {
                let mut waiting = self.0.waiting();
                if !waiting.bytes.is_empty() {
                    let spare = std::mem::take(&mut waiting.spare);
                    return Some(std::mem::replace(&mut waiting.bytes, spare));
                }
                if waiting.is_closed {
                    return None;
                }
            }
            self.0.news.notified().await;
        }
    }

    /// Gives a written buffer back.
    pub(super) fn recycle(&self, mut written: Vec<u8>) {
        if written.capacity() <= KEPT_BYTES_MAX {
            written.clear();
            self.0.waiting().spare = written;
        }
    }
}

#[cfg(test)]
mod tests {
    use inventory_sync_core::wire::framing::Splitter;

    use super::*;

    #[tokio::test]
    async fn what_came_together_is_written_together_and_the_rest_before_the_end() {
        let (replies, mut unwritten) = outbox(Framing::Unix, 1_000);
        for agent in 0..3 {
            replies.push(agent, b"answer").unwrap();
        }
        replies.flush();
        let written = unwritten.next().await.unwrap();
        let mut splitter = Splitter::new(Framing::Unix, 1_000);
        let (mut input, mut agents) = (written.as_slice(), Vec::new());
        while let Some(frame) = splitter.next_frame(&mut input).unwrap() {
            assert_eq!(frame.message, b"answer");
            agents.push(frame.agent_id);
        }
        assert_eq!(agents, [Some(0), Some(1), Some(2)]);
        unwritten.recycle(written);
        replies.push(3, b"last").unwrap();
        drop(replies);
        assert!(unwritten.next().await.is_some());
        assert!(unwritten.next().await.is_none());
    }

    #[test]
    fn answers_that_nobody_reads_are_bounded() {
        let (replies, _unwritten) = outbox(Framing::Tls, 100);
        replies.push(1, &[0; 60]).unwrap();
        let error = replies.push(1, &[0; 60]).unwrap_err();
        assert!(matches!(error, NotQueued::Full(100)), "{error}");
    }
}
