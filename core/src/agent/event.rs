//! What an agent machine is told.

use crate::document::Run;
use crate::id::ConnectionId;
use crate::manager::Reply;
use crate::wire::{self, AgentInfo, EndAck, Hello, Mode, ReqRet, StartAck};
use std::fmt;
use std::sync::Arc;

/// The caller's name for a job. Unique among those that are not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A question for rows. Answered exactly once, by [`Event::Loaded`] or [`Event::LoadFailed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LoadId(pub u64);

impl fmt::Display for LoadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is to be brought to the manager: rows numbered `0..size`, at most one per document id.
///
/// The caller has made durable that they were *offered* before it hands the job over, and the rows of a
/// number stay the same while a session carries them: a retransmission has the same kind and bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Job {
    /// The caller's name for it.
    pub id: JobId,
    /// Full or Delta (`docs/protocol.md` section 6). Another mode is passed on to the manager.
    pub mode: Mode,
    /// The exact names of the indices concerned; of a Full, those that it replaces.
    pub indices: Vec<String>,
    /// How many rows. 0 for a Full that empties its indices; a Delta of 0 rows is refused by the
    /// manager (SizeInvalid), whose answer carries its resync debts nevertheless.
    pub size: u32,
    /// Lower end of the range of ids that a part of a Full replaces; `None` is open.
    pub id_from: Option<String>,
    /// Upper end of that range, exclusive; `None` is open.
    pub id_to: Option<String>,
    /// From here to the last attempt, in milliseconds; `None` tries for ever. A verdict that has arrived
    /// is committed even if this has passed.
    pub give_up_after_ms: Option<u64>,
}

/// A frame ready to be sent: a Data or DataBatch message for the session that the Load named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Frame<P> {
    /// The sequences it carries.
    pub run: Run,
    /// The frame itself: an opaque handle that moves into [`Command::Send`](super::Command::Send).
    pub payload: P,
}

/// A message of the manager.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The answer to a Start.
    StartAck(Box<StartAck>),
    /// An intermediate or final answer to a session.
    EndAck(Box<EndAck>),
    /// Sequences that did not arrive.
    ReqRet(Box<ReqRet>),
    /// The answer to a Hello.
    Hello(Box<Hello>),
}

impl Answer {
    /// A decoded message as an answer; `None` for what no manager sends.
    #[must_use]
    pub fn from_message(message: wire::Message<'_>) -> Option<Self> {
        match message {
            wire::Message::StartAck(ack) => Some(Self::StartAck(Box::new(ack))),
            wire::Message::EndAck(ack) => Some(Self::EndAck(Box::new(ack))),
            wire::Message::ReqRet(request) => Some(Self::ReqRet(Box::new(request))),
            wire::Message::Hello(hello) => Some(Self::Hello(Box::new(hello))),
            wire::Message::Start(_)
            | wire::Message::Data(_)
            | wire::Message::End(_)
            | wire::Message::DataBatch(_)
            | wire::Message::DataClean(_)
            | wire::Message::DataContext(_)
            | wire::Message::ChecksumModule(_)
            | wire::Message::Unknown { .. } => None,
        }
    }
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::StartAck(ack) => Self::StartAck(ack),
            Reply::EndAck(ack) => Self::EndAck(Box::new(Arc::unwrap_or_clone(ack))),
            Reply::ReqRet(request) => Self::ReqRet(request),
            Reply::Hello(hello) => Self::Hello(hello),
        }
    }
}

/// What an agent machine is told. `P` is the payload: an opaque handle that moves from
/// [`Event::Loaded`] to [`Command::Send`](super::Command::Send) and is never looked into.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event<P> {
    /// Time has passed; sent when [`Agent::next_deadline`](super::Agent::next_deadline) is reached.
    /// Early and repeated ticks change nothing.
    Tick,

    /// There is a connection to the manager. Told to every machine that shares it; telling it again
    /// changes nothing.
    Connected {
        /// The connection; larger than all before it.
        connection: ConnectionId,
    },
    /// The connection has ended. Sessions go on: a retransmitted Start moves them to the next one.
    Disconnected {
        /// The ended connection.
        connection: ConnectionId,
    },
    /// A connection that was asked for could not be made.
    ConnectFailed,
    /// A message of the manager. Messages that do not concern this machine change nothing.
    Received {
        /// The connection it came by.
        connection: ConnectionId,
        /// The message.
        answer: Answer,
    },

    /// Sync now. Ends in exactly one [`Command::Finished`](super::Command::Finished).
    ///
    /// While another job is under way it finishes as [`Busy`](super::Outcome::Busy) at once. The same
    /// job again, between two of its sessions, replaces its description: the rows are the caller's then.
    Sync {
        /// What is to be brought.
        job: Box<Job>,
    },
    /// The answer to [`Command::Load`](super::Command::Load). Answered only when the connection has
    /// room for the frames: this is how its back pressure reaches the machine.
    Loaded {
        /// The question.
        load: LoadId,
        /// Frames for the run asked for, at least one. What they leave out is asked for again.
        frames: Vec<Frame<P>>,
    },
    /// The rows could not be read. The job ends [`LoadFailed`](super::Outcome::LoadFailed).
    LoadFailed {
        /// The question.
        load: LoadId,
    },
    /// The answer to [`Command::Commit`](super::Command::Commit): it is durable.
    Committed {
        /// The job.
        job: JobId,
    },
    /// A verdict could not be made durable.
    CommitFailed {
        /// The job.
        job: JobId,
    },

    /// What the agent says of itself has changed. Told in the next new Start; a retransmission keeps its
    /// bytes.
    Describe {
        /// The news.
        info: Box<AgentInfo>,
    },
    /// Stop: a session under way is given up without an acknowledgement, a verdict that has arrived is
    /// committed, then [`Command::Stopped`](super::Command::Stopped) is said. Until a Reset every job
    /// finishes as [`Stopped`](super::Outcome::Stopped).
    Stop,
    /// Begin anew: gives up the job under way, forgets a stop and all backoff. A verdict that has
    /// arrived is committed nevertheless.
    Reset,
}
