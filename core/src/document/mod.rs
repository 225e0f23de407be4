//! Everything that happens per document, as pure functions over bytes.
//!
//! ```text
//!  frame ──▶ scan ──▶ FrameSummary ──▶ machine           (sequences, counts, never a document)
//!              └────▶ FrameTable ──┐
//!                                  ▼ stage
//!  chunks (store) ◀──────── SessionTable ──▶ plan ──▶ PlanSummary ──▶ machine
//!                                  │   ▲───▶ diff ──▶ DiffSummary ──▶ machine
//!                                  │   └ listing of the Indexer
//!                                  └──▶ render(parts) ──▶ bulk body (NDJSON, the same bytes on every retry)
//! ```
//!
//! The machine addresses operations by *class* and *ordinal*: the n-th upsert (or delete, or removal)
//! that the plan left to send, in order of staged key and of place in the frame. So it can split and
//! repeat a request without knowing one document.
//!
//! Deliberately absent: any decision. What is sent when, and what a refusal means, is the machine's.
//!
//! # Invariants
//!
//! * Scan and render allocate nothing per document; a document is never parsed into a tree.
//! * What a table says is confirmed on bytes before it decides: equal hashes alone never merge documents.
//! * A staged frame that cannot be read back, or does not show what was staged, is said, never skipped.

mod diff;
mod flaw;
mod json;
mod listing;
mod overlay;
mod plan;
mod render;
mod runs;
mod scan;
mod scheme;
mod table;

pub use diff::diff;
pub use flaw::Flaw;
pub use json::{DEPTH_MAX, Shape, check as check_payload, decode_sha1, sha1 as payload_sha1};
pub use listing::{Listed, Listing};
pub(crate) use plan::Lowest;
pub use plan::plan;
pub use render::render;
pub use runs::{Run, Runs};
pub use scan::{FrameTable, Items, scan};
pub use scheme::{ID_BYTES_MAX, Scheme};
pub use table::{Chunks, Operation, SessionTable};

#[cfg(test)]
pub(crate) mod sample;

use crate::id::{AgentId, IndexId, SessionId, Version};
use crate::wire::Reason;

/// What the machine is told of a Data or DataBatch frame.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FrameSummary {
    /// The session it names.
    pub session: SessionId,
    /// The sequences it carries, below 2^32. Repetitions inside the frame count once.
    pub sequences: Runs,
    /// The lowest sequence at or above 2^32, if there is one: out of range for every session.
    pub beyond: Option<u64>,
    /// The lowest sequence whose operation this build does not know, if there is one.
    pub unknown_operation: Option<u64>,
    /// Whether an element of the batch names another session.
    pub foreign_element: bool,
    /// Bytes of the frame.
    pub bytes: u64,
}

/// What kind of operation: they are numbered and sent apart, since deletes wait for taint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// `index` operations of the session's items.
    Upsert,
    /// `delete` operations of the session's items (Delta).
    Delete,
    /// `delete` operations that the diff of a Full found.
    Removal,
}

/// Operations of one session in one bulk request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Part {
    /// The session.
    pub session: SessionId,
    /// Its agent.
    pub agent: AgentId,
    /// The version that all its operations carry.
    pub version: Version,
    /// Which of its operations are meant.
    pub class: Class,
    /// Their ordinals in that class.
    pub ordinals: Runs,
}

/// What one staged frame holds for delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ChunkLoad {
    /// Upserts to send.
    pub upserts: u32,
    /// At most so many bytes of bulk body for them.
    pub upsert_bytes: u64,
    /// Deletes to send (none for a Full).
    pub deletes: u32,
    /// At most so many bytes of bulk body for them.
    pub delete_bytes: u64,
}

/// One item that was not stored, for the verdict's list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Failure {
    /// Its sequence.
    pub seq: u32,
    /// HTTP status of the item in the Indexer's answer; 0 when it was set aside by us.
    pub status: u16,
    /// The Indexer's error type; empty when it was set aside by us.
    pub kind: String,
    /// Why, in the protocol's terms.
    pub reason: Reason,
    /// Whether to offer it again (true) or to quarantine it (false).
    pub retryable: bool,
    /// A sentence for people, at most 256 bytes.
    pub detail: String,
}

/// Failures: the lowest ones by sequence, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Failures {
    /// The lowest, ascending by sequence, bounded.
    pub lowest: Vec<Failure>,
    /// All of them.
    pub total: u64,
}

/// What a complete session has to deliver.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct PlanSummary {
    /// The staged frames, ascending by key.
    pub chunks: Vec<ChunkLoad>,
    /// Operations to send, by index, ascending.
    pub operations: Vec<(IndexId, u64)>,
    /// Items set aside, and the earlier operations that share their verdict.
    pub failures: Failures,
}

/// How a Full differs from what the Indexer holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct DiffSummary {
    /// The staged frames again, without the upserts that would change nothing.
    pub chunks: Vec<ChunkLoad>,
    /// Listed documents to delete: neither in the session nor set aside by it.
    pub removals: u32,
    /// At most so many bytes of bulk body for them.
    pub removal_bytes: u64,
    /// Operations to send, by index, ascending, removals included.
    pub operations: Vec<(IndexId, u64)>,
    /// Upserts left out because the stored document is the same.
    pub unchanged: u64,
}
