//! What the shard knows of a session, of a lane and of an agent.

use std::collections::{BTreeMap, VecDeque};

use super::verdict::Finished;
use crate::document::{ChunkLoad, Class, Failures, Run, Runs};
use crate::id::{AgentId, IndexId, ModuleId, Peer, SessionId, Version};
use crate::time::Tick;
use crate::wire::{Mode, Reason, Status};

/// A live session: from its accepted Start to its verdict.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) agent: AgentId,
    pub(super) module: ModuleId,
    /// Where answers go. Moves only with a retransmitted Start, and only to a newer connection.
    pub(super) peer: Peer,
    pub(super) mode: Mode,
    /// The indices that a Full replaces; for a Delta, all of the module.
    pub(super) scope: Vec<IndexId>,
    pub(super) size: u32,
    /// A peer that knows Ok and Error only.
    pub(super) is_base: bool,
    pub(super) nonce: u64,
    pub(super) digest: [u8; 16],
    pub(super) started: Tick,
    pub(super) completed: Tick,
    pub(super) intake: Intake,
    pub(super) phase: Phase,
}

/// What has arrived.
#[derive(Debug, Clone, Default)]
pub(super) struct Intake {
    /// Stored.
    pub(super) received: Runs,
    /// Being stored.
    pub(super) open: Runs,
    /// Writes that are not answered.
    pub(super) open_writes: u32,
    /// Bytes staged or being staged.
    pub(super) bytes: u64,
    pub(super) store_failures: u32,
    pub(super) end_received: bool,
    /// The last sequence that was asked for, while some of what was asked for is missing.
    pub(super) asked_upto: Option<u32>,
    /// A write failed since the last time gaps were asked for.
    pub(super) reopened: bool,
}

impl Intake {
    /// The sequences that did not arrive, stored or on their way.
    pub(super) fn missing(&self, size: u32) -> Runs {
        let Some(last) = size.checked_sub(1) else {
            return Runs::new();
        };
        self.received.missing_in(Run::new(0, last))
    }

    /// Whether everything is stored.
    pub(super) fn is_complete(&self, size: u32) -> bool {
        match self.received.as_slice() {
            [] => size == 0,
            [only] => only.first == 0 && only.count() == u64::from(size),
            _ => false,
        }
    }
}

/// How far a session is.
#[derive(Debug, Clone)]
pub(super) enum Phase {
    /// The agent owes data or an End.
    Collecting,
    /// Complete; the plan is being made.
    Planning,
    /// Planned; an earlier session of its lane is not decided.
    Queued(Plan),
    /// At the head of its lane.
    Delivering(Box<Delivery>),
}

/// What the plan left to deliver.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) chunks: Vec<ChunkLoad>,
    pub(super) operations: Vec<(IndexId, u64)>,
    pub(super) failures: Failures,
}

/// The delivery of one session.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) step: Step,
    /// The one version of all operations, once granted.
    pub(super) version: Option<Version>,
    pub(super) loads: [Loads; CLASSES],
    pub(super) queues: [Queue; CLASSES],
    /// Operations, by index.
    pub(super) operations: Vec<(IndexId, u64)>,
    pub(super) stored: BTreeMap<IndexId, u64>,
    /// What was set aside, and refused for good so far.
    pub(super) failures: Failures,
    /// Refused by the Indexer: kept apart, since the index may turn out to be at fault.
    pub(super) refusals: Failures,
    pub(super) refused: BTreeMap<(IndexId, Class), Runs>,
    pub(super) conflicts: u64,
    pub(super) unchanged: u64,
    /// Requests that carry a part of it and are not answered.
    pub(super) in_flight: u32,
    /// Parts of it that wait to be sent alone.
    pub(super) isolated: u32,
    /// Retries since something was stored.
    pub(super) attempts: u32,
    pub(super) backing_off: bool,
    /// In the ready queue, with about so many bytes.
    pub(super) ready_bytes: Option<u64>,
    /// Its place among those of which a part was sent and more is left.
    pub(super) begun: Option<u64>,
    /// What is left of the delivery deadline since the last progress, and since when it runs.
    pub(super) budget_ms: u64,
    pub(super) budget_since: Option<Tick>,
    /// What is left of the wait for a paused index, and since when it runs.
    pub(super) patience_ms: u64,
    pub(super) patience_since: Option<Tick>,
    /// It will end so, once nothing of it is in flight.
    pub(super) doom: Option<Doom>,
}

/// An end that is decided before the last request is answered.
#[derive(Debug, Clone)]
pub(super) struct Doom {
    pub(super) status: Status,
    pub(super) reason: Reason,
    pub(super) detail: String,
}

/// What a delivery does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A Full: wait until the lane is untainted, then list.
    Unlisted,
    /// The listing is out.
    Listing,
    /// The listing failed; asked again after the backoff.
    ListingFailed,
    /// The comparison is out.
    Diffing,
    /// Operations are sent.
    Sending,
    /// Everything is answered; the coordinator judges the refusals.
    Judging,
}

/// Number of [`Class`]es.
pub(super) const CLASSES: usize = 3;

/// The place of a class in an array.
pub(super) const fn place(class: Class) -> usize {
    match class {
        Class::Upsert => 0,
        Class::Delete => 1,
        Class::Removal => 2,
    }
}

/// Operations that are to be sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Queue {
    /// Never in a request of unknown outcome.
    pub(super) fresh: Runs,
    /// In a request whose outcome is unknown: sent again even while the lane is tainted.
    pub(super) again: Runs,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.again.is_empty()
    }

    /// Takes back what a request carried and did not decide. `again` are those of the request that were
    /// in one of unknown outcome before: they stay so.
    pub(super) fn take_back(&mut self, ordinals: &Runs, again: &Runs) {
        let mut fresh = ordinals.clone();
        for run in again.as_slice() {
            fresh.remove(*run);
        }
        let mut sent_before = ordinals.clone();
        for run in fresh.as_slice() {
            sent_before.remove(*run);
        }
        self.fresh.extend(&fresh);
        self.again.extend(&sent_before);
    }
}

/// Operations and bytes of a class, by staged frame: what turns ordinals into bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Loads {
    /// `(first ordinal, operations, bytes)`, ascending; frames without operations are left out.
    frames: Vec<(u32, u32, u64)>,
}

impl Loads {
    pub(super) fn new(loads: impl Iterator<Item = (u32, u64)>) -> Self {
        let mut first = 0_u32;
        let mut frames = Vec::new();
        for (operations, bytes) in loads {
            if operations > 0 {
                frames.push((first, operations, bytes));
                first = first.saturating_add(operations);
            }
        }
        Self { frames }
    }

    /// How many operations.
    pub(super) fn operations(&self) -> u32 {
        self.frames
            .last()
            .map_or(0, |(first, operations, _)| first + operations)
    }

    /// Takes the lowest ordinals that fit into what is left, and subtracts them from it. Bytes are
    /// spread evenly over a frame's operations; at least one operation is taken if `at_least_one`.
    pub(super) fn take(&self, from: &mut Runs, room: &mut Room, at_least_one: bool) -> Runs {
        let mut taken = Runs::new();
        while let Some(next) = from.as_slice().first().copied() {
            let after = self
                .frames
                .partition_point(|(first, _, _)| *first <= next.first);
            let (first, operations, bytes) = self.frames[after - 1];
            let each = bytes.div_ceil(u64::from(operations)).max(1);
            let here = u64::from((first + operations - next.first).min(next.last - next.first + 1));
            let mut fits = here.min(room.bytes / each).min(u64::from(room.operations));
            if fits == 0 && at_least_one && taken.is_empty() {
                fits = 1;
            }
            if fits == 0 {
                break;
            }
            room.bytes = room.bytes.saturating_sub(fits * each);
            room.operations = room
                .operations
                .saturating_sub(u32::try_from(fits).unwrap_or(u32::MAX));
            taken.extend(&from.take_lowest(fits));
        }
        taken
    }

    /// About how many bytes a set of ordinals renders to.
    pub(super) fn bytes(&self, ordinals: &Runs) -> u64 {
        let mut rest = ordinals.clone();
        let mut room = Room {
            bytes: u64::MAX,
            operations: u32::MAX,
        };
        self.take(&mut rest, &mut room, true);
        u64::MAX - room.bytes
    }
}

/// What still fits into a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) bytes: u64,
    pub(super) operations: u32,
}

/// (agent, module): the unit of order.
#[derive(Debug, Clone, Default)]
pub(super) struct Lane {
    /// At most two: the first may be complete, the one behind it stages at once.
    pub(super) sessions: VecDeque<SessionId>,
    /// Something may still be applied late until this tick.
    pub(super) tainted_until: Tick,
    /// The highest nonce seen; 0 if none.
    pub(super) nonce: u64,
    /// Finished sessions, oldest first.
    pub(super) finished: VecDeque<Finished>,
}

/// What is remembered of an agent across its lanes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Agent {
    /// The highest version given.
    pub(super) granted: Version,
    /// The highest version known from elsewhere: the agent's own word, a conflict, a listing.
    pub(super) floor: Version,
    /// Its own durable bound, if a floor lay above the common one.
    pub(super) bound: Version,
    /// A record of that bound is on its way.
    pub(super) recording: bool,
    pub(super) items: u64,
    pub(super) bytes: u64,
    pub(super) sessions: u32,
}
