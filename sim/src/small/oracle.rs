//! What must always hold, and what must sometimes happen.

use std::fmt;

use inventory_sync_core::wire::Reason;

/// What went wrong, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken(pub String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What must happen somewhere in the exploration: else it has not looked where it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sometimes {
    /// A session ends with this reason; `None` is Ok.
    Verdict(Reason),
    /// Items are asked for again.
    GapsAskedFor,
    /// A verdict is said again.
    VerdictRepeated,
    /// The agent is told that its session is at work.
    ProcessingTold,
    /// A message names a session that nobody knows.
    SessionUnknown,
    /// A Start is sent again with the same bytes.
    StartRepeated,
    /// A session goes on with a repeated Start.
    SessionResumed,
    /// Sequences arrive twice.
    DuplicateSequences,
    /// A lane is tainted.
    Tainted,
    /// A session waits for the end of a taint.
    TaintWaitedFor,
    /// A request is sent again.
    RequestRepeated,
    /// A write that was given up is applied and changes something.
    LateWriteApplied,
    /// A write that was given up finds a higher version.
    LateWriteRefused,
    /// A Full finds a document as it should be.
    Unchanged,
    /// A Full removes a document.
    Removed,
    /// A job is refused in part.
    PartlyAcknowledged,
    /// An agent begins a session anew.
    RolledBack,
    /// The manager starts again while a session is open.
    CrashedInSession,
}
