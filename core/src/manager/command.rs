//! What a shard asks of the world. Each question carries an id and is answered exactly once.

use std::sync::Arc;

use crate::document::{Part, Run};
use crate::id::{
    AgentId, BulkId, ConnectionId, IndexId, ModuleId, Peer, RecordId, SessionId, StageId, Version,
};
use crate::time::Tick;
use crate::wire::{AgentInfo, EndAck, Hello, ReqRet, StartAck};

/// What a shard asks of the world.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Command<P> {
    /// Send a message. If the connection is gone, it is dropped: the agent asks again.
    Reply {
        /// To whom.
        peer: Peer,
        /// The message.
        message: Reply,
    },
    /// A session was accepted: make its table, and render its overlay once.
    /// Answered by nothing; ended by [`Command::Discard`].
    Open {
        /// The session.
        session: SessionId,
        /// Its agent.
        agent: AgentId,
        /// What the agent said of itself; becomes the manager-owned fields of its documents.
        info: Arc<AgentInfo>,
    },
    /// Store a frame under `(session, key)` and add its fresh items to the session's table.
    /// Answered by `Staged` or `StageFailed`.
    Stage {
        /// The write.
        stage: StageId,
        /// The session.
        session: SessionId,
        /// The lowest sequence newly received with this frame.
        key: u32,
        /// The sequences that this frame brings newly; its other items are duplicates.
        fresh: Vec<Run>,
        /// The frame.
        payload: P,
    },
    /// Free everything of a session: staged frames, table, plan, listing. Answered by nothing.
    Discard {
        /// The session.
        session: SessionId,
    },
    /// Decide which operations of a complete session are sent. Answered by `Planned`.
    Plan {
        /// The session.
        session: SessionId,
        /// The indices its items may be in; others are set aside (IndexNotAllowed).
        allowed: Vec<IndexId>,
        /// Whether it is a Full: its deletes are not sent, the diff finds what to remove.
        full: bool,
    },
    /// List the agent's documents, for the diff of a Full. To the coordinator, which shares refreshes
    /// and scrolls among those that wait. Answered by `Listed`.
    Listing {
        /// The session that waits.
        session: SessionId,
        /// Its agent.
        agent: AgentId,
        /// The indices that the Full replaces.
        indices: Vec<IndexId>,
    },
    /// A session that waited for a listing has ended. To the coordinator. Answered by nothing.
    ListingCancelled {
        /// The session.
        session: SessionId,
    },
    /// Compare the listing with the session's table. Answered by `Diffed`.
    Diff {
        /// The session.
        session: SessionId,
        /// The indices that the Full replaces.
        indices: Vec<IndexId>,
    },
    /// Send a bulk request. Answered by `BulkDone`.
    Bulk {
        /// The request.
        bulk: BulkId,
        /// Given up at this tick.
        deadline: Tick,
        /// Not sent if its writing would begin at or after this tick: the lease's end.
        not_after: Tick,
        /// The server's own limit for the request, in milliseconds.
        timeout_ms: u64,
        /// The parts, in order.
        parts: Vec<Part>,
    },
    /// Make something durable. Answered by `Recorded` or `RecordFailed`.
    Record {
        /// The record.
        record: RecordId,
        /// What it says.
        what: Record,
    },
    /// Ask whether refusals are the index's fault. To the coordinator. Answered by `RefusalsJudged`.
    Refusals {
        /// The session whose verdict waits for the answer.
        session: SessionId,
        /// Its agent.
        agent: AgentId,
        /// Stored and refused operations of each index it refused something for.
        tallies: Vec<Tally>,
    },
    /// What was stored for a session without refusals. To the coordinator. Answered by nothing.
    Stored {
        /// Its agent.
        agent: AgentId,
        /// Operations stored, by index.
        tallies: Vec<Tally>,
    },
    /// An index was seen to be blocked, closed or missing. To the coordinator. Answered by nothing,
    /// or by `IndexChanged`.
    IndexTrouble {
        /// The index.
        index: IndexId,
        /// What was seen.
        trouble: IndexTrouble,
    },
    /// More versions will soon be needed than the bound allows. To the coordinator.
    BoundWanted {
        /// The version that should lie below the bound.
        beyond: Version,
    },
    /// Do not read from this connection until `Resume`.
    Pause {
        /// The connection.
        connection: ConnectionId,
    },
    /// Read from this connection again.
    Resume {
        /// The connection.
        connection: ConnectionId,
    },
    /// Close this connection once what was sent to it is written.
    Close {
        /// The connection.
        connection: ConnectionId,
    },
    /// Something that operators count or read. Decides nothing.
    Observe(Observation),
    /// Every session is answered and every request decided.
    Stopped {
        /// Whether no request is of unknown outcome: the stop may be recorded as clean.
        clean: bool,
    },
}

/// A message to an agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reply {
    /// The answer to a Start.
    StartAck(Box<StartAck>),
    /// An intermediate or final answer to a session.
    EndAck(Arc<EndAck>),
    /// Sequences that did not arrive.
    ReqRet(Box<ReqRet>),
    /// The answer to a Hello.
    Hello(Box<Hello>),
}

/// What is made durable for a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Record {
    /// A floor above the bound, and the agent's own bound (`docs/protocol.md` section 5).
    Floor(super::AgentFloor),
}

/// Operations of one session in one index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tally {
    /// The index.
    pub index: IndexId,
    /// Stored.
    pub stored: u64,
    /// Refused for good, each for its own document's sake.
    pub refused: u64,
}

/// What an operation learned about its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IndexTrouble {
    /// A block or a closed index.
    Blocked,
    /// It does not exist.
    Missing,
    /// A right on it is missing (403).
    Forbidden,
}

/// What operators count or read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Observation {
    /// A session was accepted.
    SessionOpened {
        /// Its agent.
        agent: AgentId,
        /// Its module.
        module: ModuleId,
    },
    /// A Start was refused.
    StartRefused {
        /// Its agent.
        agent: AgentId,
        /// Why.
        reason: crate::wire::Reason,
    },
    /// A session has ended.
    SessionEnded {
        /// The session.
        session: SessionId,
        /// Its agent.
        agent: AgentId,
        /// Its module.
        module: ModuleId,
        /// The status told.
        status: crate::wire::Status,
        /// The reason told.
        reason: crate::wire::Reason,
        /// Items it announced.
        items: u64,
        /// Items set aside or refused.
        failed: u64,
        /// Documents of a Full that were the same already.
        unchanged: u64,
        /// From Start to here.
        duration_ms: u64,
        /// From completeness to here.
        delivery_ms: u64,
    },
    /// A message named a session that does not exist (any more).
    UnknownSession {
        /// Who sent it.
        agent: AgentId,
    },
    /// A message named another agent's session: a security event.
    IdentityMismatch {
        /// Who sent it.
        agent: AgentId,
        /// The session it named.
        session: SessionId,
    },
    /// A frame was no message.
    BadFrame {
        /// Who sent it.
        agent: AgentId,
        /// What was wrong.
        flaw: super::FrameFlaw,
    },
    /// Sequences arrived a second time.
    Duplicates {
        /// How many.
        items: u64,
    },
    /// An answer that nobody waited for.
    StaleAnswer,
    /// Operations were refused as conflicts: something else writes. An alarm.
    Conflict {
        /// Whose documents.
        agent: AgentId,
        /// The highest version reported.
        version: Version,
        /// How many operations.
        operations: u64,
    },
    /// A lane is tainted.
    Tainted {
        /// Its agent.
        agent: AgentId,
        /// Its module.
        module: ModuleId,
        /// Up to when.
        until: Tick,
    },
    /// A request is tried again.
    Retried {
        /// Operations in it.
        operations: u64,
    },
    /// A request was too large or refused whole, and is split.
    Split {
        /// Operations in it.
        operations: u64,
    },
}
