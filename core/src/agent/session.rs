//! One session of a job, from its Start to its verdict.

use super::backoff::Backoff;
use super::command::{Acknowledgement, Outcome};
use super::event::LoadId;
use crate::document::{Run, Runs};
use crate::id::SessionId;
use crate::wire::Start;
use std::collections::BTreeMap;

/// Where a session stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// A Start is to be answered, or to be sent once there is a connection.
    Starting,
    /// Rows are on their way; when all have left, an End follows.
    Sending,
    /// An End was sent; rows that were asked for again leave without another one.
    Ending,
    /// The verdict is here and is being made durable.
    Committing(Commit),
}

/// A verdict on its way into the caller's store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Commit {
    /// What is made durable.
    pub(super) acknowledgement: Box<Acknowledgement>,
    /// How the job ends with it.
    pub(super) outcome: Outcome,
    /// How often it was tried.
    pub(super) attempts: u32,
    /// Whether the caller owes an answer.
    pub(super) is_asked: bool,
    /// The pauses between attempts.
    pub(super) backoff: Backoff,
}

/// One session of a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Session {
    /// The Start, kept so that a retransmission has the same bytes.
    pub(super) start: Box<Start>,
    /// The session's name, once a manager gave it one.
    pub(super) id: Option<SessionId>,
    /// Where it stands.
    pub(super) phase: Phase,
    /// Rows to be sent that no Load has asked for.
    pub(super) unasked: Runs,
    /// Loads that are not answered.
    pub(super) loads: BTreeMap<LoadId, Run>,
    /// Whether every row of this session, and an End, was sent once: before that, no verdict can be one.
    pub(super) is_ended: bool,
    /// Whether the manager said Processing.
    pub(super) is_processing: bool,
    /// Starts or Ends sent since the manager last said something about this session.
    pub(super) unanswered: u32,
    /// Rows that the manager asked for again.
    pub(super) resent: u64,
    /// After how long a silence of ours the manager ends the session; 0: not told.
    pub(super) idle_timeout_ms: u32,
}

impl Session {
    pub(super) fn new(start: Box<Start>) -> Self {
        Self {
            start,
            id: None,
            phase: Phase::Starting,
            unasked: Runs::new(),
            loads: BTreeMap::new(),
            is_ended: false,
            is_processing: false,
            unanswered: 0,
            resent: 0,
            idle_timeout_ms: 0,
        }
    }

    /// A manager opened the session under a name that is new to us: it has nothing of ours yet.
    pub(super) fn adopt(&mut self, id: SessionId, size: u32) {
        self.id = Some(id);
        self.unasked = Runs::up_to(size);
        self.loads.clear();
        self.is_ended = false;
        self.is_processing = false;
        self.resent = 0;
    }

    /// The connection is gone. What was loaded and not yet sent is loaded again; what was sent and got
    /// lost is asked for after the next End.
    pub(super) fn suspend(&mut self) {
        if self.is_committing() {
            return;
        }
        for (_, run) in std::mem::take(&mut self.loads) {
            self.unasked.insert(run);
        }
        self.phase = Phase::Starting;
        self.is_processing = false;
        self.unanswered = 0;
    }

    pub(super) const fn is_committing(&self) -> bool {
        matches!(self.phase, Phase::Committing(_))
    }

    /// Whether everything that is to be sent has left.
    pub(super) fn is_flushed(&self) -> bool {
        self.unasked.is_empty() && self.loads.is_empty()
    }
}
