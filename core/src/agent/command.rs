//! What an agent machine asks of the world, in the order in which it is to be done.

use super::event::{JobId, LoadId};
use crate::document::Run;
use crate::id::{ConnectionId, SessionId, Version};
use crate::time::Tick;
use crate::wire::{End, Hello, Reason, Start, Status};
use std::fmt;

/// What an agent machine asks of the world.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Command<P> {
    /// Send a message. If the connection is gone, it is dropped: the machine asks again.
    Send {
        /// By which connection.
        connection: ConnectionId,
        /// The message.
        message: Message<P>,
    },
    /// Read rows and pack them into frames for a session. Answered by `Loaded` or `LoadFailed`, also
    /// when the machine has lost interest meanwhile.
    Load {
        /// The question.
        load: LoadId,
        /// Whose rows.
        job: JobId,
        /// The session that the frames must name.
        session: SessionId,
        /// The rows' numbers.
        run: Run,
        /// Stop packing near this many bytes; what is left out is asked for again.
        bytes_max: u64,
    },
    /// Make durable, in one transaction, what the verdict acknowledges, sets aside and leaves.
    /// Answered by `Committed` or `CommitFailed`.
    Commit {
        /// The job.
        job: JobId,
        /// What became of its rows.
        acknowledgement: Box<Acknowledgement>,
    },
    /// A session has ended and acknowledges nothing: all rows of its job are kept. Answered by nothing.
    RollBack {
        /// The job.
        job: JobId,
        /// Why.
        cause: Cause,
        /// The job is tried again not before this tick; `None`: it finishes now. Until then
        /// [`Event::Sync`](super::Event::Sync) may replace its description.
        retry_at: Option<Tick>,
    },
    /// The end of a job. Said once for each.
    Finished {
        /// The job.
        job: JobId,
        /// How it ended.
        outcome: Outcome,
    },
    /// Make a new connection and say `Connected` or `ConnectFailed`. Machines that share a connection
    /// may ask at the same time: one newer than `instead_of` is the answer to all of them.
    Reconnect {
        /// The connection that is of no use any more.
        instead_of: Option<ConnectionId>,
    },
    /// Keep durably: no version of the manager above this one is known. Only grows.
    Remember {
        /// The highest version heard of (`docs/protocol.md` section 5).
        floor: Version,
    },
    /// Keep durably that the manager wants a Full of these indices (`docs/protocol.md` section 4).
    /// Stands behind the Commit of the same answer, whose Full may have cleared earlier debts.
    Resync {
        /// Exact names.
        indices: Vec<String>,
    },
    /// Something that operators count or read. Decides nothing.
    Observe(Observation),
    /// The stop is complete: no job, no session.
    Stopped,
}

/// A message to the manager.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Message<P> {
    /// Opens a session, or asks for the same session again with the same bytes.
    Start(Box<Start>),
    /// A Data or DataBatch frame, as loaded.
    Data(P),
    /// All items were sent; or: what is the verdict?
    End(End),
    /// A greeting.
    Hello(Box<Hello>),
}

/// What a verdict lets the agent forget (`docs/protocol.md` section 4): the rows below `upto` that are
/// not in `failed`. Rows at or above `upto` are kept as they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Acknowledgement {
    /// The session that carried the rows.
    pub session: SessionId,
    /// One above the last row the verdict speaks of.
    pub upto: u32,
    /// Rows that were not stored, ascending by number, each below `upto`.
    pub failed: Vec<FailedRow>,
}

impl Acknowledgement {
    /// Whether the verdict lets the agent forget this row.
    #[must_use]
    pub fn covers(&self, seq: u32) -> bool {
        seq < self.upto
            && self
                .failed
                .binary_search_by_key(&seq, |row| row.seq)
                .is_err()
    }

    /// The rows to offer again.
    pub fn retryable(&self) -> impl Iterator<Item = &FailedRow> {
        self.failed.iter().filter(|row| row.retryable)
    }

    /// The rows to quarantine: the documents themselves were refused.
    pub fn quarantined(&self) -> impl Iterator<Item = &FailedRow> {
        self.failed.iter().filter(|row| !row.retryable)
    }
}

/// A row that was not stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FailedRow {
    /// Its number in the job.
    pub seq: u32,
    /// The Indexer's HTTP status for it; 0 when it was never asked.
    pub status: u16,
    /// The Indexer's error type.
    pub kind: String,
    /// Why, in the protocol's terms.
    pub reason: Reason,
    /// Whether to offer it again (true) or to quarantine it (false).
    pub retryable: bool,
    /// A sentence for people.
    pub detail: String,
}

/// Why a session ended without acknowledging anything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The manager said so.
    Refused {
        /// Its status.
        status: Status,
        /// Its reason.
        reason: Reason,
        /// Its sentence for people.
        detail: String,
    },
    /// A Start was sent `starts_max` times and nobody answered.
    NoAnswer,
    /// The session lived for `session_max_ms`.
    SessionMax,
    /// The manager contradicts the protocol or itself.
    Contradiction(Contradiction),
    /// The job's rows could not be read.
    LoadFailed,
    /// The job was given up: its time is over, or Stop or Reset was said.
    Abandoned,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused {
                status,
                reason,
                detail,
            } if detail.is_empty() => {
                write!(f, "the manager answered {status}/{reason}")
            }
            Self::Refused {
                status,
                reason,
                detail,
            } => {
                write!(f, "the manager answered {status}/{reason}: {detail}")
            }
            Self::NoAnswer => f.write_str("the manager does not answer"),
            Self::SessionMax => f.write_str("no verdict within the longest time of a session"),
            Self::Contradiction(what) => what.fmt(f),
            Self::LoadFailed => f.write_str("the rows could not be read from the local store"),
            Self::Abandoned => f.write_str("given up"),
        }
    }
}

/// What no manager that keeps the protocol says of a session of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Contradiction {
    /// A ReqRet without a single sequence of the session.
    EmptyRequest,
    /// More was asked for again than `resent_factor_max` allows.
    EndlessRequests,
    /// A partial rejection that lists nothing, or a row that the session did not carry.
    FailedList,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyRequest => "the manager asks for rows that the session does not have",
            Self::EndlessRequests => "the manager asks for the same rows without end",
            Self::FailedList => "the manager's list of failed rows does not fit the session",
        })
    }
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Every row is acknowledged, durably.
    Acknowledged,
    /// The verdict is durable and leaves rows behind.
    PartiallyAcknowledged {
        /// Rows acknowledged.
        acknowledged: u32,
        /// Rows refused that are to be offered again.
        retryable: u32,
        /// Rows refused for their own sake.
        quarantined: u32,
        /// Rows above the last one listed, of which nothing is known.
        unlisted: u32,
    },
    /// The manager refuses this job for a reason that trying again does not change.
    Refused {
        /// What it said.
        cause: Cause,
    },
    /// The job has more rows than the manager accepts in a session: split it.
    TooLarge {
        /// The most that it accepts.
        max_items: u64,
    },
    /// `give_up_after_ms` has passed.
    GaveUp {
        /// Why the last session failed, if there was one.
        last: Option<Cause>,
    },
    /// The job's rows could not be read.
    LoadFailed,
    /// The verdict could not be made durable. The rows are kept and are offered again, which harms
    /// nothing.
    CommitFailed,
    /// A Stop came first.
    Stopped,
    /// A Reset came first.
    Reset,
    /// Another job is under way.
    Busy,
}

impl Outcome {
    /// Whether every row of the job is acknowledged.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        matches!(self, Self::Acknowledged)
    }
}

/// What operators count or read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Observation {
    /// A Start was sent.
    Started {
        /// Its nonce.
        nonce: u64,
        /// How often it was sent before.
        repeated: u32,
    },
    /// The manager opened a session, or confirmed that it goes on.
    Opened {
        /// The session.
        session: SessionId,
        /// Whether it is one that was open before.
        resumed: bool,
    },
    /// The manager asks for rows again.
    Requested {
        /// How many.
        items: u64,
        /// How many ranges lay outside the session and were ignored.
        ignored_ranges: u32,
    },
    /// The manager has everything and is at work.
    Processing,
    /// An End was not answered and is sent again.
    EndRepeated,
    /// The manager confirmed or sent a Hello.
    Greeted {
        /// Its protocol version.
        protocol_version: u16,
    },
    /// A message, or an answer of the caller, that nobody waits for. It changed nothing.
    Stale(Stale),
}

/// What arrived although nobody waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stale {
    /// A message by a connection that is not the current one.
    Connection,
    /// A StartAck for another nonce or module, a repeated one, or one that means nothing.
    StartAck,
    /// An EndAck for another session, or one that cannot be a verdict yet.
    EndAck,
    /// A ReqRet for another session, or before everything was sent.
    ReqRet,
    /// Rows that were loaded for a session that is over, or that were not asked for.
    Loaded,
    /// A commit that was not asked for.
    Commit,
    /// The job that is in a session already.
    Job,
}
