//! Deliveries, as the requests of a shard show them: limits, order in a lane, waits after a failure, and what
//! may not be sent while a lane is tainted (`docs/protocol.md` sections 5, 6 and 8).

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use inventory_sync_core::answer::{BulkOutcome, PartOutcome, Refusal};
use inventory_sync_core::document::{Class, Part};
use inventory_sync_core::id::{AgentId, BulkId, ModuleId, SessionId};
use inventory_sync_core::manager::Command;
use inventory_sync_core::time::Tick;

use super::Oracles;
use super::exchange::is_discarded;
use super::progress::is_progress;
use crate::store::Scanned;

/// What the present process has sent and heard.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    flights: BTreeMap<(u16, BulkId), Vec<Part>>,
    /// Something older may still be applied in this lane until then.
    tainted: BTreeMap<(AgentId, ModuleId), Tick>,
    tainted_all: BTreeMap<u16, Tick>,
    /// Operations that were in a request of unknown outcome.
    unknown: BTreeMap<SessionId, BTreeSet<(Class, u32)>>,
    /// Whose operations are undecided.
    deciding: BTreeMap<(AgentId, ModuleId), SessionId>,
    /// A session, or a whole shard, sends nothing before this tick; and when it failed last.
    session_pauses: BTreeMap<SessionId, (Tick, Tick)>,
    shard_pauses: BTreeMap<u16, Tick>,
    /// The end of the lease as each shard knows it.
    pub(super) leases: BTreeMap<u16, Tick>,
}

impl Deliveries {
    pub(super) fn taint_all(&mut self, shard: u16, until: Tick) {
        let tainted = self.tainted_all.entry(shard).or_insert(until);
        *tainted = (*tainted).max(until);
    }

    /// A session has its verdict.
    pub(super) fn decided(&mut self, session: SessionId) {
        self.unknown.remove(&session);
        self.session_pauses.remove(&session);
    }
}

/// Whether an answer leaves something of a part to be sent again.
fn is_retried(outcome: &PartOutcome) -> bool {
    let sets = [
        &outcome.overloaded,
        &outcome.blocked,
        &outcome.missing,
        &outcome.forbidden,
    ];
    !outcome.unknown.is_empty() || sets.into_iter().any(|set| !set.is_empty())
}

impl Oracles {
    /// A request has been rendered: it is within its limits, unless it is one operation alone. Bytes are counted
    /// by staged frame and spread evenly over its operations: of each part a frame may weigh more than its share.
    pub(crate) fn judge_request_size(&mut self, operations: usize, bytes: usize, spread: u64) {
        let (operations_max, bytes_max) =
            (self.config.bulk_operations_max, self.config.bulk_bytes_max);
        let is_too_large = operations > 1 && bytes as u64 > bytes_max.saturating_add(spread);
        if operations as u64 > u64::from(operations_max) || is_too_large {
            let expected =
                format!("at most {operations_max} operations and {bytes_max} + {spread} bytes");
            let seen = format!("{operations} operations and {bytes} bytes");
            self.fail("P-8 request size", expected, seen);
        }
    }

    /// The shortest wait after a first failure.
    fn shortest_wait_ms(&self) -> u64 {
        let longest_ms = self.config.retry_base_ms.min(self.config.retry_max_ms);
        longest_ms.div_ceil(2)
    }

    fn lane_of(&self, session: SessionId) -> Option<(AgentId, ModuleId)> {
        let birth = self.sessions.get(&session)?.birth;
        Some((birth.agent, birth.module))
    }

    /// A shard hears what became of a request.
    pub(super) fn bulk_answered(&mut self, shard: u16, bulk: BulkId, outcome: &BulkOutcome) {
        let Some(parts) = self.deliveries.flights.remove(&(shard, bulk)) else {
            return;
        };
        match outcome {
            BulkOutcome::Answered { parts: outcomes } if outcomes.len() == parts.len() => {
                for (part, outcome) in parts.iter().zip(outcomes) {
                    if is_progress(outcome) {
                        self.heard_progress(part.session);
                    }
                    let is_stored = outcome.refused.is_empty() && outcome.conflicts.is_empty();
                    if !is_stored || is_retried(outcome) {
                        self.turns.trouble(shard, part.session);
                    }
                    self.heard_refused(part, outcome);
                    if !outcome.unknown.is_empty() {
                        self.left_unknown(part, outcome.unknown.iter());
                    }
                    if is_retried(outcome) {
                        self.must_wait(part.session);
                    }
                }
            }
            BulkOutcome::Answered { .. } | BulkOutcome::Unknown => {
                for part in &parts {
                    self.turns.trouble(shard, part.session);
                    self.left_unknown(part, part.ordinals.iter());
                    self.must_wait(part.session);
                }
            }
            BulkOutcome::NotSent
            | BulkOutcome::Refused {
                refusal: Refusal::Overloaded | Refusal::Unauthorized | Refusal::Forbidden,
                ..
            } => {
                let until = self.now + self.shortest_wait_ms();
                self.deliveries.shard_pauses.insert(shard, until);
            }
            BulkOutcome::Refused {
                refusal: Refusal::Malformed,
                ..
            } => {
                self.turns.splits(shard);
                self.splits.refused(self.now, shard, &parts);
            }
            BulkOutcome::ReadFailed { .. } => self.turns.trouble_all(shard),
            BulkOutcome::Refused { .. } => {}
        }
    }

    /// A shard hears which documents are refused for good.
    fn heard_refused(&mut self, part: &Part, outcome: &PartOutcome) {
        let Some(known) = self.sessions.get_mut(&part.session) else {
            return;
        };
        for (_, ordinals) in &outcome.refused {
            for ordinal in ordinals.iter() {
                if let Some(key) = known.keys.get(&(part.class, ordinal)) {
                    known.refused_for_good.insert(*key);
                }
            }
        }
    }

    /// These operations may be applied until the bound on late writes has passed.
    fn left_unknown(&mut self, part: &Part, ordinals: impl Iterator<Item = u32>) {
        let until = self.now + self.config.late_write_bound_ms;
        if let Some(lane) = self.lane_of(part.session) {
            self.deliveries.tainted.insert(lane, until);
        }
        let unknown = self.deliveries.unknown.entry(part.session).or_default();
        unknown.extend(ordinals.map(|ordinal| (part.class, ordinal)));
    }

    /// A session waits after a failure. One that failed a moment before may be waiting already, and ends that
    /// wait at a tick that was drawn then.
    fn must_wait(&mut self, session: SessionId) {
        let (now, until) = (self.now, self.now + self.shortest_wait_ms());
        let longest_ms = self.config.retry_max_ms;
        match self.deliveries.session_pauses.entry(session) {
            Entry::Vacant(first) => {
                first.insert((until, now));
            }
            Entry::Occupied(pause) => {
                let (ends, failed) = pause.into_mut();
                if now.since(*failed) > longest_ms {
                    *ends = until;
                }
                *failed = now;
            }
        }
    }

    fn is_tainted(&self, shard: u16, lane: (AgentId, ModuleId)) -> Option<Tick> {
        let own = self.deliveries.tainted.get(&lane).copied();
        let all = self.deliveries.tainted_all.get(&shard).copied();
        own.max(all).filter(|until| self.now < *until)
    }

    /// A shard asks for a listing, or sends a request.
    pub(super) fn judge_dispatch(
        &mut self,
        shard: u16,
        command: &Command<Scanned>,
        commands: &[Command<Scanned>],
    ) {
        match command {
            Command::Listing { session, .. } => {
                let Some(lane) = self.lane_of(*session) else {
                    return;
                };
                if let Some(until) = self.is_tainted(shard, lane) {
                    let expected = format!("no listing for session {session} before {until}");
                    self.fail("P-5 taint", expected, "a listing is asked for");
                }
            }
            Command::Bulk {
                bulk,
                deadline,
                not_after,
                timeout_ms,
                parts,
            } => {
                let longest_ms = self.config.request_deadline_ms;
                self.economy.requests += 1;
                let operations: u64 = parts.iter().map(|part| part.ordinals.count()).sum();
                let config = &self.config;
                let own = (shard, BulkId(0))..=(shard, BulkId(u64::MAX));
                let flying = self.deliveries.flights.range(own).count() + 1;
                let lease = self.deliveries.leases.get(&shard).copied();
                let is_within = flying <= config.concurrency
                    && (1..=u64::from(config.bulk_operations_max)).contains(&operations)
                    && *deadline == self.now + longest_ms
                    && *timeout_ms <= config.request_timeout_ms
                    && *timeout_ms < longest_ms
                    && Some(*not_after) == lease;
                if !is_within {
                    let expected = format!(
                        "at most {} requests of at most {} operations, given up after {longest_ms} ms, not \
                         begun after the lease's end {lease:?}",
                        config.concurrency, config.bulk_operations_max
                    );
                    let seen = format!(
                        "request {flying} of {operations}, until {deadline}, not after {not_after}, timeout {timeout_ms} ms"
                    );
                    self.fail("P-8 requests", expected, seen);
                }
                self.judge_split(shard, parts);
                self.judge_turn(shard, parts);
                for part in parts {
                    self.judge_part(shard, part, commands);
                }
                self.deliveries
                    .flights
                    .insert((shard, *bulk), parts.clone());
            }
            _ => {}
        }
    }

    fn judge_part(&mut self, shard: u16, part: &Part, commands: &[Command<Scanned>]) {
        let session = part.session;
        let Some(lane) = self.lane_of(session) else {
            return;
        };
        if let Some(before) = self.deliveries.deciding.insert(lane, session)
            && before != session
            && self.sessions.get(&before).is_some_and(|known| known.open)
            && !is_discarded(commands, before)
        {
            let expected = format!("session {session} is sent after the verdict of {before}");
            self.fail("I-10 uniqueness", expected, "both are undecided");
        }
        let pauses = [
            self.deliveries
                .session_pauses
                .get(&session)
                .map(|(until, _)| *until),
            self.deliveries.shard_pauses.get(&shard).copied(),
        ];
        if let Some(until) = pauses.into_iter().flatten().find(|until| self.now < *until) {
            let expected = format!("session {session} waits until {until} after a failure");
            self.fail("O-9 retry storm", expected, "it is sent again");
        }
        if part.class == Class::Upsert {
            return;
        }
        let Some(until) = self.is_tainted(shard, lane) else {
            return;
        };
        let unknown = self.deliveries.unknown.get(&session);
        let fresh = part
            .ordinals
            .iter()
            .find(|ordinal| !unknown.is_some_and(|set| set.contains(&(part.class, *ordinal))));
        if let Some(ordinal) = fresh {
            let expected = format!("no new deletes of session {session} before {until}");
            self.fail("P-5 taint", expected, format!("{:?} {ordinal}", part.class));
        }
    }
}
