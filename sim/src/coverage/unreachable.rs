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

use Machine::{Agent, Shard};

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
    commands(Agent, &["Resync"], "later: resync debts"),
    Row {
        what: What::Reasons(&[Reason::AgentRemoved]),
        why: "later: removal of an agent",
    },
    Row {
        what: What::Reasons(&[Reason::ResyncRequired]),
        why: "later: resync debts",
    },
];
