//! Bugs that can be planted, one at a time, to prove that the simulator finds them.
//!
//! ```text
//!  ordinary build               is_planted(Bug::X) = false, a constant that the compiler folds away
//!  --cfg inventory_bug_bank     plant(Bug::X) ──▶ this thread's machines have the bug ──▶ until the guard drops
//! ```
//!
//! Each stands for a mistake that somebody made once, in this protocol or in one like it; `sim/INCIDENTS.md`
//! names them by their places in the list of incidents. A place in the code that can be spoilt has one short
//! line that asks.
//!
//! # Invariants
//!
//! * No build that is not for the bug bank can have one: there is no setting, no feature, no argument.
//! * At most one bug is planted in a thread; a run of the simulator keeps to one thread.
//! * Every bug is found by the simulator, within the number of seeds that `sim/tests/bug_bank.rs` states.

macro_rules! bugs {
    ($($machine:ident { $($(#[$doc:meta])* $bug:ident,)+ })+) => {
        /// A bug that can be planted, by the machine that gets it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug {
            $($($(#[$doc])* $bug,)+)+
        }

        impl Bug {
            /// All of them.
            pub const ALL: &'static [Self] = &[$($(Self::$bug,)+)+];

            /// The machine that gets it.
            #[must_use]
            pub const fn machine(self) -> Machine {
                match self {
                    $($(Self::$bug => Machine::$machine,)+)+
                }
            }
        }
    };
}

/// Where a bug is planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Machine {
    /// A shard of the manager.
    Manager,
    /// The coordinator.
    Coordinator,
    /// The document functions, and what reads the Indexer's answers.
    Document,
    /// The agent machine.
    Agent,
    /// The agent's outbox, which is a model of the simulator.
    Outbox,
}

bugs! {
    Manager {
    /// Deletes do not wait for the end of their lane's taint.
    DeletesDuringTaint,
    /// A listing does not wait for the end of its lane's taint.
    ListingsDuringTaint,
    /// No lane is tainted after a crash.
    NoTaintAfterCrash,
    /// An attempt that was given up taints nothing.
    GivenUpAttemptForgotten,
    /// A conflict counts as stored.
    ConflictTakenAsStored,
    /// Versions at or above the durable bound are sent.
    BoundIgnored,
    /// After a restart the clock does not start at the recovered bound.
    ClockBelowBound,
    /// Requests are sent without a lease.
    LeaseIgnored,
    /// A retransmitted Start opens another session.
    RetransmissionOpensAnother,
    /// An End completes its session, gaps or not.
    GapsIgnored,
    /// Gaps behind the last one listed are never asked for.
    LaterGapsNotAsked,
    /// What is being stored counts as stored.
    ReceivedBeforeStored,
    /// A sequence that is stored is stored again.
    DuplicateStagedAgain,
    /// Messages for another agent's session are taken in.
    ForeignMessagesTaken,
    /// Announced items are not given back when a session ends.
    QuotaLeak,
    /// A verdict does not wait for the last request.
    VerdictBeforeLastAnswer,
    /// A verdict is not repeated.
    VerdictForgotten,
    /// A lane takes a third session.
    ThirdSessionInLane,
    /// The later session of a lane is delivered first.
    LaneOvertaken,
    /// A session whose agent is gone is never ended.
    IdleNeverEnds,
    /// The idle limit ends sessions that wait for us.
    DeliverySwept,
    /// An operation refused for load is not sent again.
    OverloadedItemDropped,
    /// A request without an answer counts as stored.
    UnknownTakenAsStored,
    /// Of a refused request one half is forgotten.
    SplitLosesHalf,
    /// What failed is tried again at once.
    RetryWithoutBackoff,
    /// A delivery's deadline does not heed what was stored since it began.
    ProgressIgnored,
    /// Of several large sessions none goes on before all others had their turn.
    BegunLeftBehind,
    /// A Full deletes while its documents are still being written.
    RemovalsBeforeUpserts,
    /// Staged frames of an ended session are kept.
    StagingKept,
    /// A closed connection is remembered for ever.
    ConnectionKept,
    /// A connection that was not read is never read again.
    ConnectionStaysPaused,
    /// A Start that cannot be served now is not answered.
    RefusalSilent,
    /// Processing is said of a session that has gaps.
    ProcessingTooEarly,
    /// A shard never says that it has stopped.
    StopNeverEnds,
    /// Operations whose frame cannot be read back are left out.
    UnreadFrameSkipped,
    /// Two sessions within a millisecond share a version.
    VersionRepeated,
    /// The version that a conflict reports is not learned.
    FloorIgnored,
    /// A paused index is never tried again.
    PausedIndexNeverTried,

    }
    Coordinator {
    /// The lease is counted from the answer to its renewal.
    LeaseFromAnswer,
    /// A renewal without an answer extends the lease.
    LeaseByLostAnswer,
    /// A bound that could not be made durable is used.
    BoundNotDurable,
    /// Shards hear of a bound before it is in the writer document.
    BoundToldEarly,
    /// An Indexer that is not ready is not asked again.
    HealthAskedOnce,
    /// Refused credentials are tried again with every question that is due.
    CredentialsHammered,
    /// An operator cannot resume a held index.
    HeldIndexNeverResumes,
    /// Every stop is recorded as clean.
    UncleanStopCalledClean,
    /// A listing goes on although its refresh failed.
    FailedRefreshIgnored,

    }
    Document {
    /// A request answered 200 counts as stored, whatever its items say.
    ItemErrorsIgnored,
    /// Failed items are listed by the number of their operation.
    FailedByOrdinal,
    /// Earlier operations on a refused document are not listed.
    SharedFailureUnlisted,
    /// A refused operation counts as stored.
    RefusalTakenAsStored,
    /// An item's 503 counts as never applied.
    ServerErrorTakenAsOverload,
    /// A refresh that missed a shard counts.
    PartialRefreshTaken,
    /// A listing that missed a shard counts.
    PartialListingTaken,
    /// One document whose checksum has an odd shape makes the listing of all on its page fail.
    OddChecksumSpoilsPage,
    /// A listed document of another overlay counts as ours.
    OverlayNotCompared,
    /// Of several operations on one document each is sent.
    EveryOperationSent,
    /// Of several operations on one document the first is sent.
    FirstOperationWins,
    /// A Full deletes everything that is listed.
    FullDeletesEverything,
    /// A Full deletes nothing.
    FullDeletesNothing,
    /// A Full takes every listed document for unchanged.
    CompareSkipped,
    /// A document goes to the index of the one before it.
    IndexOfNeighbour,
    /// The agent's own `wazuh` is kept beside ours.
    OwnOverlayKept,
    /// Line breaks of a payload are kept.
    LineBreaksKept,
    /// A payload with a key such as `wazuh.agent.id` is taken.
    DottedOverlayTaken,
    /// Ids are not escaped.
    IdNotEscaped,
    /// Agents' numbers are not padded in ids.
    IdNotPadded,

    }
    Agent {
    /// Each session has the nonce of the one before.
    NonceReused,
    /// Processing acknowledges the rows.
    ProcessingTakenAsOk,
    /// A partial verdict acknowledges the listed rows too.
    FailedListIgnored,
    /// A cut list acknowledges the rows behind its end.
    CutListIgnored,
    /// Failed rows are taken for their neighbours.
    FailedRowsShifted,
    /// What failed is offered again at once.
    RetryAtOnce,
    /// The manager's `retry_after_ms` is ignored.
    RetryAfterIgnored,
    /// Any StartAck opens our session.
    AnyStartAckTaken,
    /// Any EndAck is the verdict on our session.
    AnyVerdictTaken,
    /// A job that waits for its next attempt is never woken.
    RetryNeverArmed,
    /// A lost Start is not sent again.
    StartNotRepeated,
    /// A connection on which nobody answers is kept when a session's time is up before its last repetition.
    SilentConnectionKept,

    }
    Outbox {
    /// A row that has changed since is acknowledged too.
    ChangedRowAcknowledged,
    /// The rows of a session that failed are forgotten.
    RolledBackRowDropped,
    /// A change and its undoing cancel each other although the change was offered.
    OfferedRowAnnihilated,
    }
}

/// The bug of a long campaign: a search that does not find this one has gone blind.
pub const CANARY: Bug = Bug::UnknownTakenAsStored;

/// Whether this bug is planted: never, in this build.
#[cfg(not(inventory_bug_bank))]
#[inline(always)]
#[must_use]
pub const fn is_planted(_bug: Bug) -> bool {
    false
}

/// The first value if this bug is planted, else the second.
#[inline(always)]
#[must_use]
pub fn if_planted<T>(bug: Bug, spoilt: T, sound: T) -> T {
    if is_planted(bug) { spoilt } else { sound }
}

#[cfg(inventory_bug_bank)]
mod bank {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether this bug is planted in this thread.
    #[must_use]
    pub fn is_planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Keeps a bug planted in this thread until it is dropped.
    #[derive(Debug)]
    pub struct Planted(());

    /// Plants a bug in this thread.
    #[must_use]
    pub fn plant(bug: Bug) -> Planted {
        PLANTED.set(Some(bug));
        Planted(())
    }

    impl Drop for Planted {
        fn drop(&mut self) {
            PLANTED.set(None);
        }
    }
}

#[cfg(inventory_bug_bank)]
pub use bank::{Planted, is_planted, plant};
