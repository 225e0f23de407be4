//! What the Indexer's answers mean, as pure functions over status and body.
//!
//! ```text
//!  status, body ──▶ bulk(parts, …) ──▶ BulkOutcome ──▶ shard
//!               ──▶ health / listing / writer / index … ──▶ coordinator
//! ```
//!
//! Classification is by error *type* first and by status second (`docs/protocol.md` section 8), and no
//! answer is believed beyond what it says: an answer that cannot be parsed, or that has too few items,
//! is an unknown outcome.

mod bulk;
mod error;
mod health;
mod index;
mod listing;
pub mod request;
mod writer;

pub use bulk::{Sent, bulk};
pub use error::sentence;
pub use health::{covers_primaries, health};
pub use index::{counted, index_created, refreshed, refreshed_copies};
pub use listing::{Collector, Page, page};
pub use writer::{render_writer, writer_read, writer_written};

use crate::document::{Failures, Runs};
use crate::id::{IndexId, Version};

/// What became of a bulk request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BulkOutcome {
    /// An answer that speaks about every operation.
    Answered {
        /// One per part, in the request's order.
        parts: Vec<PartOutcome>,
    },
    /// No byte of the body was sent (no connection, past `not_after`): nothing can have happened.
    NotSent,
    /// A byte was sent and there is no definite answer: everything may still be applied.
    Unknown,
    /// The request was refused whole: nothing was applied. A request of one operation is never
    /// `TooLarge` or `Malformed`: it is `Answered`, with that operation refused for good.
    Refused {
        /// What the refusal means.
        refusal: Refusal,
        /// The status.
        status: u16,
        /// A sentence for people, at most 256 bytes.
        detail: String,
    },
    /// A staged frame could not be read back; nothing was sent.
    ReadFailed {
        /// The places, in the request, of the parts whose session lost a frame.
        parts: Vec<usize>,
    },
}

/// What a request-level refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// 413: the body is too large for this server.
    TooLarge,
    /// 429: too much at once.
    Overloaded,
    /// 401: the credentials are refused.
    Unauthorized,
    /// 403: an action is not allowed.
    Forbidden,
    /// Any other 4xx: something in it is refused; bisect.
    Malformed,
}

/// What became of one part. The runs partition its ordinals.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct PartOutcome {
    /// Stored, or deleted, or already absent.
    pub stored: Vec<(IndexId, u64)>,
    /// Refused for load (429): to be sent again.
    pub overloaded: Vec<(IndexId, Runs)>,
    /// The index is blocked or closed.
    pub blocked: Vec<(IndexId, Runs)>,
    /// The index does not exist, or the cluster has no room for it.
    pub missing: Vec<(IndexId, Runs)>,
    /// 401 or 403 for the item: a right is missing.
    pub forbidden: Vec<(IndexId, Runs)>,
    /// 5xx: may still be applied.
    pub unknown: Runs,
    /// Refused for the document's sake.
    pub refused: Vec<(IndexId, Runs)>,
    /// What was refused, by sequence; the earlier operations on the same documents share the verdict
    /// and are listed too. A removal has no sequence: its refusal stands in `refused` alone.
    pub failures: Failures,
    /// Refused by a higher version: something else writes.
    pub conflicts: Runs,
    /// The highest version those refusals reported; 0 if none said.
    pub conflict_version: Version,
}
