//! A request body that knows whether it was sent.
//!
//! ```text
//!              first poll_frame (in time)
//!   Untouched ───────────────────────────▶ Started     outcome unknown unless answered
//!       │
//!       └── revoke() ────────────────────▶ Revoked     nothing was sent; a later poll fails
//! ```
//!
//! The two transitions exclude each other by one compare-and-set. So a request whose deadline passes
//! while its connection is still being made is *proved* unsent, even though the HTTP client may get
//! hold of the body on another thread in the same instant.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

const UNTOUCHED: u8 = 0;
const STARTED: u8 = 1;
const REVOKED: u8 = 2;

/// Says that the moment before which writing had to start was missed.
pub(super) const TOO_LATE: &str = "the writer's lease ended before the request could be sent";

/// What is known about a body, shared between it and whoever waits for the answer.
#[derive(Debug, Default)]
pub struct SendRecord(AtomicU8);

impl SendRecord {
    /// Whether a byte may have been sent.
    #[must_use]
    pub fn started(&self) -> bool {
        self.0.load(Ordering::SeqCst) == STARTED
    }

    /// Makes sure that no byte is sent from now on; false if one may have been already.
    pub fn revoke(&self) -> bool {
        self.0
            .compare_exchange(UNTOUCHED, REVOKED, Ordering::SeqCst, Ordering::SeqCst)
            != Err(STARTED)
    }

    fn start(&self) -> bool {
        self.0
            .compare_exchange(UNTOUCHED, STARTED, Ordering::SeqCst, Ordering::SeqCst)
            != Err(REVOKED)
    }
}

/// The body asked for a byte that must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Nobody waits for the answer any more.
    Revoked,
    /// It is later than the moment before which writing had to start.
    TooLate,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BodyError::Revoked => "the request was given up before it could be sent",
            BodyError::TooLate => TOO_LATE,
        })
    }
}

impl std::error::Error for BodyError {}

/// The parts of a body, sent in order under one length.
#[derive(Debug)]
pub struct GuardedBody {
    parts: std::vec::IntoIter<Bytes>,
    left: u64,
    record: Arc<SendRecord>,
    not_after: Option<Instant>,
}

impl GuardedBody {
    /// A body of those parts; its first byte is given out before `not_after` or never.
    #[must_use]
    pub fn new(mut parts: Vec<Bytes>, record: Arc<SendRecord>, not_after: Option<Instant>) -> Self {
        parts.retain(|part| !part.is_empty());
        let left = parts.iter().map(|part| part.len() as u64).sum();
        GuardedBody {
            parts: parts.into_iter(),
            left,
            record,
            not_after,
        }
    }
}

impl Body for GuardedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !self.record.started() {
            if self.not_after.is_some_and(|end| Instant::now() >= end) {
                // Revoked first, so that the outcome is "not sent" whatever the client makes of it.
                self.record.revoke();
                return Poll::Ready(Some(Err(BodyError::TooLate)));
            }
            if !self.record.start() {
                return Poll::Ready(Some(Err(BodyError::Revoked)));
            }
        }
        match self.parts.next() {
            None => Poll::Ready(None),
            Some(part) => {
                self.left -= part.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(part))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
