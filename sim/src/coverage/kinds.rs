//! The kinds of events and commands by number: one list for each, without a wildcard, so that a new kind does
//! not compile until it is counted.

use inventory_sync_core::agent::{Command as AgentCommand, Event as AgentEvent};
use inventory_sync_core::coordinator::{Command as CoordinatorCommand, Event as CoordinatorEvent};
use inventory_sync_core::manager::{Command as ShardCommand, Event as ShardEvent};

macro_rules! kinds {
    ($names:ident, $number:ident $(<$parameter:ident>)?, $kind:ident: $($variant:ident),+ $(,)?) => {
        /// The kinds, in the order of their numbers.
        pub(super) const $names: &[&str] = &[$(stringify!($variant),)+];

        /// The number of a kind.
        pub(super) fn $number $(<$parameter>)? (of: &$kind $(<$parameter>)?) -> usize {
            #[derive(Clone, Copy)]
            enum Place { $($variant,)+ }
            let place = match of {
                $($kind::$variant { .. } => Place::$variant,)+
            };
            place as usize
        }
    };
}

kinds! {
    SHARD_EVENTS, shard_event<P>, ShardEvent:
    Tick, WallClock, Opened, Closed, Start, Items, End, Hello, BadFrame, Staged, StageFailed, Planned, Listed,
    Diffed, BulkDone, Recorded, RecordFailed, RefusalsJudged, LeaseUntil, BoundRaised, ClockFloor, Health,
    IndexChanged, QuotaSlice, TaintAll, Floors, Shutdown,
}

kinds! {
    SHARD_COMMANDS, shard_command<P>, ShardCommand:
    Reply, Open, Stage, Discard, Plan, Listing, ListingCancelled, Diff, Bulk, Record, Refusals, Stored,
    IndexTrouble, BoundWanted, Pause, Resume, Close, Observe, Stopped,
}

kinds! {
    COORDINATOR_EVENTS, coordinator_event, CoordinatorEvent:
    Tick, WallClock, Recovered, Health, IndexCreated, WriterRead, WriterWritten, TemplateChecked, Counted,
    Refreshed, Listed, Recorded, ListingWanted, ListingCancelled, Refusals, Stored, IndexTrouble, BoundWanted,
    ResumeIndex, ShardStopped, Shutdown,
}

kinds! {
    COORDINATOR_COMMANDS, coordinator_command, CoordinatorCommand:
    Health, CreateWriterIndex, ReadWriter, WriteWriter, CheckTemplate, CreateIndex, CountDocuments, Refresh,
    List, Record, Tell, Observe, Abort, Stopped,
}

kinds! {
    AGENT_EVENTS, agent_event<P>, AgentEvent:
    Tick, Connected, Disconnected, ConnectFailed, Received, Sync, Loaded, LoadFailed, Committed, CommitFailed,
    Describe, Stop, Reset,
}

kinds! {
    AGENT_COMMANDS, agent_command<P>, AgentCommand:
    Send, Load, Commit, RollBack, Finished, Reconnect, Remember, Resync, Observe, Stopped,
}
