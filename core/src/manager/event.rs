//! What a shard is told.

use crate::answer::BulkOutcome;
use crate::document::{DiffSummary, FrameSummary, PlanSummary};
use crate::id::{BulkId, ConnectionId, IndexId, Peer, RecordId, SessionId, StageId, Version};
use crate::time::Tick;
use crate::wire::{Hello, Start};

/// What a shard is told. `P` is the payload: an opaque handle that moves from [`Event::Items`] to
/// [`Command::Stage`](super::Command::Stage) and is never looked into.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event<P> {
    /// Time has passed; sent when [`Manager::next_deadline`](super::Manager::next_deadline) is reached.
    /// Early and repeated ticks change nothing.
    Tick,
    /// The wall clock, in milliseconds since the Unix epoch, as read when the event was made. Sent at
    /// start and about once a second; until the first one nothing is admitted.
    WallClock {
        /// Milliseconds since the Unix epoch.
        unix_ms: u64,
    },

    /// A connection was accepted and its identity authenticated.
    Opened {
        /// The new connection; larger than all before it.
        connection: ConnectionId,
        /// What may be said on it.
        kind: ConnectionKind,
    },
    /// A connection has ended. Sessions go on: their agent may come back on another one.
    Closed {
        /// The ended connection.
        connection: ConnectionId,
    },
    /// A Start message.
    Start {
        /// Who sent it.
        peer: Peer,
        /// The message.
        start: Box<Start>,
        /// A digest of the message's bytes: "the same bytes" of `docs/protocol.md` section 3.
        digest: [u8; 16],
    },
    /// A Data or DataBatch message, scanned.
    Items {
        /// Who sent it.
        peer: Peer,
        /// What the scan saw.
        frame: FrameSummary,
        /// The frame itself.
        payload: P,
    },
    /// An End message.
    End {
        /// Who sent it.
        peer: Peer,
        /// The session it names.
        session: SessionId,
    },
    /// A Hello message.
    Hello {
        /// Who sent it.
        peer: Peer,
        /// The message.
        hello: Box<Hello>,
    },
    /// A frame that is no message for a manager of this build.
    BadFrame {
        /// Who sent it.
        peer: Peer,
        /// What is wrong with it.
        flaw: FrameFlaw,
    },

    /// Every write up to and including this one is stored, except those reported failed before.
    Staged {
        /// The last stored write.
        upto: StageId,
    },
    /// One write was not stored. Comes before the `Staged` that covers it.
    StageFailed {
        /// The write that failed.
        stage: StageId,
    },
    /// The answer to [`Command::Plan`](super::Command::Plan). `None`: staged data could not be read back.
    Planned {
        /// The session planned.
        session: SessionId,
        /// What there is to deliver.
        plan: Option<Box<PlanSummary>>,
    },
    /// The answer to [`Command::Listing`](super::Command::Listing), from the coordinator.
    Listed {
        /// The session that waited for it.
        session: SessionId,
        /// Whether its documents are listed.
        outcome: ListingOutcome,
    },
    /// The answer to [`Command::Diff`](super::Command::Diff). `None`: staged data could not be read back.
    Diffed {
        /// The session compared.
        session: SessionId,
        /// What differs.
        diff: Option<Box<DiffSummary>>,
    },
    /// The answer to [`Command::Bulk`](super::Command::Bulk).
    BulkDone {
        /// The request.
        bulk: BulkId,
        /// What became of it, and of each part.
        outcome: BulkOutcome,
    },
    /// The answer to [`Command::Record`](super::Command::Record): it is durable.
    Recorded {
        /// The record.
        record: RecordId,
    },
    /// A record could not be made durable.
    RecordFailed {
        /// The record.
        record: RecordId,
    },
    /// The answer to [`Command::Refusals`](super::Command::Refusals), from the coordinator.
    RefusalsJudged {
        /// The session whose verdict waits for it.
        session: SessionId,
        /// Of the indices it asked about, those that are at fault themselves.
        held: Vec<IndexId>,
    },

    /// A slice of the coordinator: the lease is valid up to this tick.
    LeaseUntil {
        /// The end of the lease.
        until: Tick,
    },
    /// A slice of the coordinator: versions below this one may be sent.
    BoundRaised {
        /// The durable bound.
        bound: Version,
    },
    /// The clock starts at or above this: the bound that was durable when the process started. Sent
    /// before the first `BoundRaised`.
    ClockFloor {
        /// The recovered bound.
        floor: Version,
    },
    /// A slice of the coordinator: whether the Indexer takes requests.
    Health {
        /// Its state.
        health: Health,
    },
    /// A slice of the coordinator: the state of one index.
    IndexChanged {
        /// The index.
        index: IndexId,
        /// Its state from now on.
        state: IndexState,
    },
    /// A slice of the coordinator: this shard's part of the global quota.
    QuotaSlice {
        /// Items that live sessions may have announced.
        items: u64,
        /// Bytes that may be staged.
        bytes: u64,
    },
    /// Every lane is tainted until this tick: the start followed anything but a clean stop.
    TaintAll {
        /// The end of the taint.
        until: Tick,
    },
    /// Floors of agents that were durable when the process started. Sent before anything else.
    Floors {
        /// Agent and the highest version known of it; everything below `bound` may be sent.
        floors: Vec<AgentFloor>,
    },
    /// Stop: admit nothing more, answer every session, then say
    /// [`Command::Stopped`](super::Command::Stopped).
    Shutdown,
}

/// A durable floor of one agent (`docs/protocol.md` section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AgentFloor {
    /// The agent.
    pub agent: crate::id::AgentId,
    /// The highest version known to have been given to it.
    pub floor: Version,
    /// That agent's own bound: versions below it may be sent.
    pub bound: Version,
}

/// What may be said on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionKind {
    /// One agent speaks: the connection may be paused and closed for its sake.
    Agent,
    /// A relay carries many agents: nothing pauses or closes it for one agent's sake.
    Relay,
}

/// Why a frame was not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameFlaw {
    /// The buffer failed verification.
    Unverifiable,
    /// The union member is unknown to this build, or not built yet (DataClean, DataContext, ChecksumModule).
    UnknownMember(u8),
    /// A message that only a manager sends.
    WrongDirection,
}

/// What a listing of an agent's documents came to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListingOutcome {
    /// Every document of the agent in the asked indices is known to the I/O side.
    Complete {
        /// The highest version among them.
        highest: Version,
        /// How many there are.
        documents: u64,
    },
    /// These indices cannot be listed now (closed, blocked, a shard missing).
    Paused {
        /// The indices in the way.
        indices: Vec<IndexId>,
    },
    /// No answer, or an incomplete one; asked again after a backoff.
    Failed,
}

/// Whether the Indexer takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Health {
    /// Green or yellow, and everything a start needs is done.
    Ready,
    /// Not now.
    Unready(Unready),
}

/// Why the Indexer does not take requests. Told to operators, and in short to agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unready {
    /// No answer yet, or the preparations of a start are not finished.
    Starting,
    /// No connection or no answer.
    Unreachable,
    /// Answers, but its cluster is red.
    Red,
    /// 401: the credentials are refused.
    Unauthorized,
    /// 403: an action is not allowed.
    Forbidden,
    /// It answers that it is still starting (503).
    Initializing,
    /// We hold no lease as the writer, or could not extend the bound.
    NoLease,
}

/// The state of one index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IndexState {
    /// It exists, its mapping fits, and it takes operations.
    Open,
    /// Not known to exist, or its template is missing or different.
    NotReady,
    /// Blocked or closed; tried again at this tick.
    Paused {
        /// When the next operation may try.
        until: Tick,
    },
    /// At fault itself (a bad template): waits for `index resume`.
    Held,
}
