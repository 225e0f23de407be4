//! Reading a request's body within its limit.

use axum::body::{Body, HttpBody};
use std::future::poll_fn;
use std::pin::Pin;

/// How much of a body that is too large is read and thrown away, so that the client gets to read the 413; as a
/// multiple of the limit. Beyond it the connection is cut.
const DISCARD_FACTOR: u64 = 16;

/// How much is reserved on the announcement alone.
const RESERVED_MAX: u64 = 32 << 20;

/// What came of reading a body.
pub enum Read {
    /// All of it.
    Whole(Vec<u8>),
    /// It is larger than the limit; what came was thrown away.
    TooLarge,
    /// The client went away, or sent far too much.
    Broken,
}

/// Reads a body of at most `limit` bytes.
pub async fn read(mut body: Body, limit: u64) -> Read {
    // What the client announces, within reason: a body that grows is copied again and again.
    let announced = body.size_hint().lower().min(limit).min(RESERVED_MAX);
    let mut bytes = Vec::with_capacity(usize::try_from(announced).unwrap_or_default());
    let mut total: u64 = 0;
    loop {
        let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        match frame {
            None if total > limit => return Read::TooLarge,
            None => return Read::Whole(bytes),
            Some(Err(_)) => return Read::Broken,
            Some(Ok(frame)) => {
                let Some(data) = frame.data_ref() else {
                    continue;
                };
                total = total.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
                if total <= limit {
                    bytes.extend_from_slice(data);
                } else if total > limit.saturating_mul(DISCARD_FACTOR) {
                    return Read::Broken;
                }
            }
        }
    }
}
