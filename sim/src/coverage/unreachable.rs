//! What cannot happen in a simulated world, and why.

use inventory_sync_core::wire::Reason;

use super::{Machine, Mark};

/// What a row is about.
enum What {
    /// These events in these states; an empty list stands for all of them.
    Cells(Machine, &'static [&'static str], &'static [&'static str]),
    /// These commands.
    Commands(Machine, &'static [&'static str]),
    /// Answers with these reasons.
    Reasons(&'static [Reason]),
}

/// What cannot happen, and why.
pub(super) struct Row {
    what: What,
    pub(super) why: &'static str,
}

impl Row {
    /// Whether a mark is among what this row names.
    pub(super) fn names(&self, mark: &Mark) -> bool {
        let among = |names: &[&str], name: &str| names.is_empty() || names.contains(&name);
        match (&self.what, mark) {
            (
                What::Cells(of, events, states),
                Mark::Cell {
                    machine,
                    state,
                    event,
                },
            ) => of == machine && among(events, event) && among(states, state),
            (What::Commands(of, commands), Mark::Command { machine, command }) => {
                of == machine && among(commands, command)
            }
            (What::Reasons(reasons), Mark::Reason(reason)) => reasons.contains(reason),
            _ => false,
        }
    }
}

const fn cells(
    machine: Machine,
    events: &'static [&'static str],
    states: &'static [&'static str],
    why: &'static str,
) -> Row {
    Row {
        what: What::Cells(machine, events, states),
        why,
    }
}

const fn commands(machine: Machine, commands: &'static [&'static str], why: &'static str) -> Row {
    Row {
        what: What::Commands(machine, commands),
        why,
    }
}

use Machine::{Agent, Coordinator, Shard};

/// The states of a session, and of a lane.
const OF_A_SESSION: &[&str] = &[
    "Absent",
    "Collecting",
    "Planning",
    "Queued",
    "Unlisted",
    "Listing",
    "ListingFailed",
    "Diffing",
    "Sending",
    "Judging",
    "Doomed",
    "Finished",
];

/// The states of a shard as a whole.
const OF_A_SHARD: &[&str] = &["Starting", "Serving", "Unready", "Stopping"];

/// Everything that cannot happen.
pub(super) const UNREACHABLE: &[Row] = &[
    cells(
        Shard,
        &[
            "Tick",
            "WallClock",
            "Opened",
            "Closed",
            "Hello",
            "BadFrame",
            "Recorded",
            "RecordFailed",
            "LeaseUntil",
            "BoundRaised",
            "ClockFloor",
            "Health",
            "IndexChanged",
            "QuotaSlice",
            "TaintAll",
            "Floors",
            "Shutdown",
        ],
        OF_A_SESSION,
        "the event is about no session",
    ),
    cells(
        Shard,
        &[
            "Start",
            "Items",
            "End",
            "Staged",
            "StageFailed",
            "Planned",
            "Listed",
            "Diffed",
            "BulkDone",
            "RefusalsJudged",
        ],
        OF_A_SHARD,
        "the event is about a session",
    ),
    // An agent's machine.
    cells(
        Agent,
        &["Committed", "CommitFailed"],
        &[
            "Idle",
            "Backoff",
            "Connecting",
            "Starting",
            "Sending",
            "Ending",
            "Processing",
        ],
        "a session stays in Committing until the commit is answered",
    ),
    cells(
        Agent,
        &["Reset"],
        &[
            "Idle",
            "Backoff",
            "Connecting",
            "Sending",
            "Committing",
            "Stopped",
        ],
        "the world begins anew only a base peer's session that lost its connection",
    ),
    cells(
        Agent,
        &["Reset"],
        &["Ending", "Processing"],
        "who loses its connection is Starting again",
    ),
    cells(
        Agent,
        &["Sync"],
        &["Sending", "Ending", "Processing", "Committing"],
        "a module begins no second job, and renews one only while it backs off",
    ),
    cells(
        Agent,
        &["Tick"],
        &["Idle", "Stopped"],
        "no timer is armed without a job",
    ),
    cells(
        Agent,
        &["Describe", "Stop"],
        &["Stopped"],
        "an agent that is upgraded is stopped once, and described before",
    ),
    cells(
        Agent,
        &["Disconnected", "Received"],
        &["Connecting"],
        "who has no connection hears nothing and loses none",
    ),
    commands(Agent, &["Resync"], "later: resync debts"),
    // The coordinator.
    cells(Coordinator, &[], &["Ended"], "the process ends with it"),
    cells(
        Coordinator,
        &["Recovered"],
        &[
            "Looking", "Counting", "Taking", "Writing", "Renewing", "Failing", "Lapsed", "Stopping",
        ],
        "it comes first, once",
    ),
    cells(
        Coordinator,
        &[
            "BoundWanted",
            "IndexTrouble",
            "Listed",
            "ListingCancelled",
            "ListingWanted",
            "Refreshed",
            "Refusals",
            "Stored",
            "TemplateChecked",
        ],
        &["Waiting", "Looking", "Counting", "Taking"],
        "nothing is delivered and no index looked at before the first lease",
    ),
    cells(
        Coordinator,
        &["ShardStopped"],
        &[
            "Waiting", "Looking", "Counting", "Taking", "Writing", "Renewing", "Failing", "Lapsed",
        ],
        "shards stop when they are asked to, and then it is Stopping",
    ),
    cells(
        Coordinator,
        &["Counted"],
        &[
            "Waiting", "Looking", "Taking", "Writing", "Renewing", "Failing", "Lapsed",
        ],
        "one step at a time: the answer finds the step that asked",
    ),
    cells(
        Coordinator,
        &["WriterRead"],
        &["Waiting", "Counting", "Taking", "Writing", "Renewing"],
        "one step at a time: the answer finds the step that asked, or one that has failed since",
    ),
    cells(
        Coordinator,
        &["WriterWritten", "Recorded"],
        &["Waiting", "Looking", "Counting", "Writing"],
        "one step at a time: the answer finds the step that asked, or one that has failed since",
    ),
    cells(
        Coordinator,
        &["IndexCreated"],
        &["Waiting", "Counting", "Taking"],
        "one step at a time, and no index of the fleet before the first lease",
    ),
    cells(
        Coordinator,
        &["Shutdown"],
        &["Stopping"],
        "a stop is asked for once",
    ),
    cells(
        Coordinator,
        &["Tick", "Health", "ResumeIndex", "Shutdown"],
        &["Counting"],
        "documents are counted once, at the calm first start: store and document are never lost together",
    ),
    cells(
        Coordinator,
        &["Counted"],
        &["Stopping"],
        "documents are counted once, at the calm first start",
    ),
    // A shard.
    cells(
        Shard,
        &["Staged", "StageFailed"],
        &[
            "Planning",
            "Queued",
            "Unlisted",
            "Listing",
            "ListingFailed",
            "Diffing",
            "Sending",
            "Judging",
            "Doomed",
        ],
        "a session is complete when its writes are answered",
    ),
    cells(
        Shard,
        &["Planned"],
        &[
            "Collecting",
            "Queued",
            "Unlisted",
            "Listing",
            "ListingFailed",
            "Diffing",
            "Sending",
            "Judging",
            "Doomed",
        ],
        "a session is planned once, and waits for it",
    ),
    cells(
        Shard,
        &["Listed"],
        &[
            "Collecting",
            "Planning",
            "Queued",
            "Unlisted",
            "ListingFailed",
            "Diffing",
            "Sending",
            "Judging",
            "Doomed",
        ],
        "a Full waits for the one listing that is out, and cancels it when it ends",
    ),
    cells(
        Shard,
        &["Diffed"],
        &[
            "Collecting",
            "Planning",
            "Queued",
            "Unlisted",
            "Listing",
            "ListingFailed",
            "Sending",
            "Judging",
            "Doomed",
        ],
        "a Full waits for the one comparison that is out",
    ),
    cells(
        Shard,
        &["RefusalsJudged"],
        &[
            "Collecting",
            "Planning",
            "Queued",
            "Unlisted",
            "Listing",
            "ListingFailed",
            "Diffing",
            "Sending",
            "Doomed",
        ],
        "refusals are judged when everything is answered",
    ),
    cells(
        Shard,
        &["BulkDone"],
        &[
            "Absent",
            "Collecting",
            "Planning",
            "Queued",
            "Unlisted",
            "Listing",
            "ListingFailed",
            "Diffing",
            "Judging",
            "Finished",
        ],
        "a verdict waits until each request of its session is answered, once",
    ),
    cells(
        Shard,
        &["Start"],
        &["Finished"],
        "a Start meets the live session of its lane",
    ),
    cells(
        Shard,
        &["Floors"],
        &["Serving", "Unready", "Stopping"],
        "told before anything else",
    ),
    cells(
        Shard,
        &["ClockFloor", "TaintAll"],
        &["Starting", "Serving"],
        "told with the first lease, behind the health that says that there is none yet",
    ),
    cells(
        Shard,
        &[
            "BoundRaised",
            "LeaseUntil",
            "IndexChanged",
            "Recorded",
            "RecordFailed",
        ],
        &["Starting"],
        "follows from the first lease",
    ),
    cells(
        Shard,
        &["Shutdown"],
        &["Stopping"],
        "a stop is asked for once",
    ),
    cells(
        Shard,
        &["Opened"],
        &["Stopping"],
        "a process that stops accepts no connection",
    ),
    Row {
        what: What::Reasons(&[Reason::InvalidPayload]),
        why: "it stands in the list of failed items, never above it",
    },
    Row {
        what: What::Reasons(&[Reason::UnsupportedVersion]),
        why: "no simulated manager asks for a version that some agents do not have: these would never come to rest",
    },
    Row {
        what: What::Reasons(&[Reason::AgentRemoved]),
        why: "later: removal of an agent",
    },
    Row {
        what: What::Reasons(&[Reason::ResyncRequired]),
        why: "later: resync debts",
    },
];

/// What happens, but not in every campaign of a few hundred seeds: it needs two things at the same moment.
pub(super) const RARE: &[Row] = &[
    cells(
        Shard,
        &["ClockFloor", "TaintAll"],
        &["Stopping"],
        "a stop must be asked for while the first lease is being taken",
    ),
    cells(
        Agent,
        &["Sync"],
        &["Connecting", "Starting"],
        "a job is renewed while it backs off: a standstill must hold that up until the next try",
    ),
    cells(
        Agent,
        &["Loaded", "LoadFailed"],
        &[
            "Idle",
            "Backoff",
            "Connecting",
            "Starting",
            "Ending",
            "Processing",
            "Committing",
            "Stopped",
        ],
        "rows are read in five milliseconds, in which the session must end, lose its connection or go on",
    ),
    cells(
        Agent,
        &["Describe", "Stop"],
        &["Idle", "Connecting", "Sending", "Ending", "Committing"],
        "an upgrade is rare, and these states are short",
    ),
    cells(
        Agent,
        &["Connected", "Disconnected", "ConnectFailed", "Tick"],
        &["Sending", "Ending", "Committing", "Stopped"],
        "another module must have asked for a connection within milliseconds",
    ),
    cells(
        Agent,
        &["Committed", "CommitFailed"],
        &["Stopped"],
        "the stop must come within the five milliseconds of a commit",
    ),
    cells(
        Coordinator,
        &["Shutdown", "ResumeIndex"],
        &[
            "Waiting", "Looking", "Taking", "Renewing", "Failing", "Lapsed", "Stopping",
        ],
        "a stop or an operator must come in the short while of a start or a failed renewal",
    ),
    cells(
        Coordinator,
        &[
            "TemplateChecked",
            "IndexCreated",
            "Listed",
            "ListingCancelled",
            "ListingWanted",
            "Refreshed",
            "Refusals",
            "Stored",
            "IndexTrouble",
            "WriterRead",
            "BoundWanted",
        ],
        &["Renewing", "Failing", "Lapsed", "Stopping"],
        "what a delivery or a check asked for must be answered while the lease is lost or the process stops",
    ),
    commands(
        Coordinator,
        &["Abort"],
        "the last renewal of the manager that was taken over from must land while its successor looks",
    ),
    cells(
        Shard,
        &[
            "Planned",
            "Listed",
            "Diffed",
            "RefusalsJudged",
            "StageFailed",
        ],
        &["Absent", "Finished"],
        "the session must end while its question is out",
    ),
    cells(
        Shard,
        &["Start", "Items", "End"],
        &["Judging", "Doomed", "Diffing"],
        "these states last a few milliseconds, or until a last request is answered",
    ),
    cells(
        Shard,
        &[
            "Tick",
            "Hello",
            "BadFrame",
            "Closed",
            "Recorded",
            "RecordFailed",
            "IndexChanged",
            "QuotaSlice",
        ],
        &["Stopping", "Unready", "Serving"],
        "an agent's floor above the bound, a cap or a stop at the moment of something else",
    ),
    cells(
        Shard,
        &["Tick", "Shutdown"],
        &["Starting"],
        "the Indexer must be away for a minute at the very start",
    ),
];
