//! What the coordinator is told and what it asks. Every question carries a [`RequestId`] and is answered
//! exactly once; what it tells a shard is that shard's event.

use crate::id::{AgentId, IndexId, RequestId, SessionId, Version};
use crate::manager::{self, IndexTrouble, ListingOutcome, Tally, Unready};
use crate::time::Tick;

/// A shard's place among the shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// What the coordinator is told.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// Time has passed. Early and repeated ticks change nothing.
    Tick,
    /// The wall clock, in milliseconds since the Unix epoch.
    WallClock {
        /// Milliseconds since the Unix epoch.
        unix_ms: u64,
    },
    /// What the local store's `meta` held when the process started. Comes first, once.
    Recovered {
        /// The durable version bound, if there ever was one.
        bound: Option<Version>,
        /// Whether the last process recorded a clean stop (the record was withdrawn before this event).
        clean_stop: bool,
    },
    /// The answer to [`Command::Health`].
    Health {
        /// The question.
        request: RequestId,
        /// The answer.
        outcome: HealthOutcome,
    },
    /// The answer to [`Command::CreateWriterIndex`] and [`Command::CreateIndex`].
    IndexCreated {
        /// The question.
        request: RequestId,
        /// The answer.
        outcome: IndexOutcome,
    },
    /// The answer to [`Command::ReadWriter`].
    WriterRead {
        /// The question.
        request: RequestId,
        /// The answer.
        outcome: WriterOutcome,
    },
    /// The answer to [`Command::WriteWriter`].
    WriterWritten {
        /// The question.
        request: RequestId,
        /// The answer.
        outcome: WriteOutcome,
    },
    /// The answer to [`Command::CheckTemplate`].
    TemplateChecked {
        /// The question.
        request: RequestId,
        /// The answer.
        outcome: TemplateOutcome,
    },
    /// The answer to [`Command::CountDocuments`].
    Counted {
        /// The question.
        request: RequestId,
        /// The answer.
        outcome: CountOutcome,
    },
    /// The answer to [`Command::Refresh`].
    Refreshed {
        /// The question.
        request: RequestId,
        /// The answer.
        outcome: RefreshOutcome,
    },
    /// The answer to [`Command::List`].
    Listed {
        /// The question.
        request: RequestId,
        /// The answer.
        report: ListingReport,
    },
    /// The answer to [`Command::Record`].
    Recorded {
        /// The question.
        request: RequestId,
        /// Whether it is durable.
        durable: bool,
    },
    /// A shard waits for a listing ([`manager::Command::Listing`]).
    ListingWanted {
        /// The shard.
        shard: ShardId,
        /// The session that waits.
        session: SessionId,
        /// Its agent.
        agent: AgentId,
        /// The indices.
        indices: Vec<IndexId>,
    },
    /// It waits no longer ([`manager::Command::ListingCancelled`]).
    ListingCancelled {
        /// The shard.
        shard: ShardId,
        /// The session.
        session: SessionId,
    },
    /// A shard asks whether refusals are an index's fault ([`manager::Command::Refusals`]).
    Refusals {
        /// The shard.
        shard: ShardId,
        /// The session whose verdict waits.
        session: SessionId,
        /// Its agent.
        agent: AgentId,
        /// Stored and refused operations.
        tallies: Vec<Tally>,
    },
    /// A shard stored operations without a refusal ([`manager::Command::Stored`]).
    Stored {
        /// The agent.
        agent: AgentId,
        /// Stored operations.
        tallies: Vec<Tally>,
    },
    /// A shard saw trouble with an index ([`manager::Command::IndexTrouble`]).
    IndexTrouble {
        /// The index.
        index: IndexId,
        /// What was seen.
        trouble: IndexTrouble,
    },
    /// A shard needs versions beyond the bound ([`manager::Command::BoundWanted`]).
    BoundWanted {
        /// The version that should lie below the bound.
        beyond: Version,
    },
    /// An operator resumes a held index (`index resume NAME`).
    ResumeIndex {
        /// The index.
        index: IndexId,
    },
    /// A shard has stopped ([`manager::Command::Stopped`]).
    ShardStopped {
        /// The shard.
        shard: ShardId,
        /// Whether it left nothing of unknown outcome.
        clean: bool,
    },
    /// Stop: shards are told; when all have stopped, the stop is recorded.
    Shutdown,
}

/// What the coordinator asks of the world.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Command {
    /// `GET /_cluster/health`. Answered by `Health`.
    Health {
        /// The question.
        request: RequestId,
    },
    /// `PUT` the writer index, explicitly; already there is success. Answered by `IndexCreated`.
    CreateWriterIndex {
        /// The question.
        request: RequestId,
    },
    /// `GET` the writer document, realtime. Answered by `WriterRead`.
    ReadWriter {
        /// The question.
        request: RequestId,
    },
    /// Write the writer document by compare-and-set. Answered by `WriterWritten`.
    WriteWriter {
        /// The question.
        request: RequestId,
        /// What must hold for it to be written.
        condition: WriterCondition,
        /// The document.
        document: WriterDocument,
    },
    /// Compare the index, or else its winning template, with what we write. Answered by `TemplateChecked`.
    CheckTemplate {
        /// The question.
        request: RequestId,
        /// The index.
        index: IndexId,
    },
    /// `PUT` an index without a body (its template applies); already there is success.
    /// Answered by `IndexCreated`.
    CreateIndex {
        /// The question.
        request: RequestId,
        /// The index.
        index: IndexId,
    },
    /// Refresh all our indices and count this cluster's documents. Answered by `Counted`.
    CountDocuments {
        /// The question.
        request: RequestId,
    },
    /// `POST /a,b/_refresh`. Answered by `Refreshed`.
    Refresh {
        /// The question.
        request: RequestId,
        /// The indices.
        indices: Vec<IndexId>,
    },
    /// Scroll through the documents of these agents in these indices. Answered by `Listed`.
    List {
        /// The question.
        request: RequestId,
        /// The indices.
        indices: Vec<IndexId>,
        /// Who waits, at most 64.
        targets: Vec<ListingTarget>,
    },
    /// Make something durable in `meta`, with fsync. Answered by `Recorded`.
    Record {
        /// The question.
        request: RequestId,
        /// What it says.
        what: Record,
    },
    /// Tell one shard, or every shard.
    Tell {
        /// The shard; `None` for all.
        shard: Option<ShardId>,
        /// What it is told. Never carries a payload.
        event: Box<manager::Event<std::convert::Infallible>>,
    },
    /// Something that operators count or read. Decides nothing.
    Observe(Observation),
    /// The process must end: it may not write. The sentence says why.
    Abort {
        /// What happened and what to do.
        reason: String,
    },
    /// Everything is answered and recorded: the process may end.
    Stopped {
        /// Whether the stop was recorded as clean.
        clean: bool,
    },
}

/// Who waits for a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListingTarget {
    /// The shard of the session.
    pub shard: ShardId,
    /// The session.
    pub session: SessionId,
    /// The agent whose documents are listed.
    pub agent: AgentId,
}

/// What a listing brought. The documents themselves stay on the I/O side, by session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListingReport {
    /// Complete: every shard answered on every page.
    Complete {
        /// For each target, in order.
        targets: Vec<ListingOutcome>,
    },
    /// These indices cannot be listed; nothing counts.
    Paused {
        /// The indices in the way.
        indices: Vec<IndexId>,
    },
    /// No answer, or an incomplete one; nothing counts.
    Failed,
}

/// The answer to a health request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HealthOutcome {
    /// Green or yellow.
    Ready,
    /// Not ready, and why.
    Unready(Unready),
}

/// The answer to the creation of an index.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum IndexOutcome {
    /// It exists now.
    Exists,
    /// It was refused; the sentence says why.
    Refused(String),
    /// No definite answer.
    Unknown,
}

/// The writer document: who may write, and how far versions go (`docs/protocol.md` section 8).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WriterDocument {
    /// The writer's id; lives in `meta`, so that it survives restarts.
    pub writer: String,
    /// Drawn anew by each process.
    pub nonce: u64,
    /// No version at or above it is sent.
    pub bound: Version,
}

/// What must hold for the writer document to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriterCondition {
    /// There is none yet (`op_type=create`).
    Absent,
    /// It is still this one.
    Unchanged {
        /// `if_seq_no`.
        seq_no: u64,
        /// `if_primary_term`.
        primary_term: u64,
    },
}

/// The writer document as read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WriterOutcome {
    /// There is one.
    Found {
        /// The document.
        document: WriterDocument,
        /// Its `_seq_no`.
        seq_no: u64,
        /// Its `_primary_term`.
        primary_term: u64,
    },
    /// There is none.
    Absent,
    /// It is there but cannot be understood; the sentence says why.
    Malformed(String),
    /// No definite answer.
    Unknown,
}

/// What became of a write of the writer document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteOutcome {
    /// Written.
    Written {
        /// Its `_seq_no` now.
        seq_no: u64,
        /// Its `_primary_term` now.
        primary_term: u64,
    },
    /// The condition did not hold.
    Conflict,
    /// Refused for another reason (403, block).
    Refused,
    /// No definite answer.
    Unknown,
}

/// Whether what we write fits an index.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TemplateOutcome {
    /// The index exists and every field we write is there with its type.
    IndexFits,
    /// The index does not exist; its winning template fits.
    TemplateFits,
    /// Missing or different; the sentence says what.
    Different(String),
    /// No definite answer.
    Unknown,
}

/// How many documents of this cluster there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CountOutcome {
    /// So many, on all shards.
    Documents(u64),
    /// No definite answer.
    Unknown,
}

/// What became of a refresh.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RefreshOutcome {
    /// Every shard was refreshed.
    Done,
    /// These indices cannot be refreshed (closed, missing).
    Paused {
        /// The indices in the way.
        indices: Vec<IndexId>,
    },
    /// A shard was missing, or there was no answer.
    Failed,
}

/// What the coordinator makes durable in `meta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Record {
    /// The version bound.
    Bound(Version),
    /// The stop was clean.
    CleanStop,
}

/// What operators count or read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Observation {
    /// The Indexer's state changed.
    Health(manager::Health),
    /// The lease was renewed, or taken.
    Lease {
        /// Its end.
        until: Tick,
    },
    /// The bound was raised.
    Bound(Version),
    /// An index changed its state.
    Index {
        /// The index.
        index: IndexId,
        /// Its state.
        state: manager::IndexState,
        /// Why, as a sentence.
        detail: String,
    },
    /// Another writer was seen; we wait to see whether it lives.
    ForeignWriter {
        /// Its id.
        writer: String,
    },
    /// The bound lies more than 24 h ahead of the wall clock, or the clock stepped by as much. An alert.
    ClockAhead {
        /// By how much, in milliseconds.
        ahead_ms: u64,
    },
}
