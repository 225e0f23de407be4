//! Verdicts: one per session, identically repeatable (`docs/protocol.md` sections 3.3 and 4).

use std::collections::VecDeque;
use std::sync::Arc;

use super::delivery::Wait;
use super::session::{Phase, Step, place};
use super::{Command, IndexState, Manager, Observation, Out, Reply, Tally};
use crate::bug::{Bug, if_planted, is_planted};
use crate::document::{Failure, Failures};
use crate::id::{AgentId, IndexId, ModuleId, Peer, SessionId, VERSION_STEP, Version};
use crate::time::Tick;
use crate::wire::{EndAck, FailedItem, Reason, Status};

/// A sentence for people in a verdict is at most so long.
const DETAIL_BYTES_MAX: usize = 256;

/// The list of failed items is cut where it would make the verdict larger than any frame limit allows.
const FAILED_BYTES_MAX: usize = 256 << 10;

/// When verdicts take more than their share of memory, the oldest are forgotten until so much of it is free
/// again: they are put in order once for many of them.
const FREED_AT_ONCE: usize = 8;

/// A finished session, kept so that its verdict can be repeated.
#[derive(Debug, Clone)]
pub(super) struct Finished {
    /// Later ones have higher numbers.
    order: u64,
    pub(super) id: SessionId,
    pub(super) nonce: u64,
    pub(super) digest: [u8; 16],
    ack: Arc<EndAck>,
    at: Tick,
    bytes: usize,
}

/// Takes `more` into a bounded list, keeping the lowest sequences.
pub(super) fn merge(into: &mut Failures, more: Failures, most: usize) {
    into.total += more.total;
    if more.lowest.is_empty() {
        return;
    }
    into.lowest.extend(more.lowest);
    into.lowest.sort_by_key(|failure| failure.seq);
    into.lowest.truncate(most);
}

/// Cuts a sentence at a character boundary.
fn bounded(mut detail: String) -> String {
    if detail.len() > DETAIL_BYTES_MAX {
        let mut end = DETAIL_BYTES_MAX;
        while !detail.is_char_boundary(end) {
            end -= 1;
        }
        detail.truncate(end);
    }
    detail
}

impl<P> Manager<P> {
    /// Everything of a delivery is answered: its verdict, or one more question before it.
    pub(super) fn conclude(&mut self, id: SessionId, out: &mut Out<P>) {
        let Some((session, delivery)) = self.delivery(id) else {
            return;
        };
        debug_assert!(delivery.in_flight == 0, "a verdict waits for every request");
        let is_done = delivery.step == Step::Sending
            && delivery.queues.iter().all(super::session::Queue::is_empty);
        if let Some(doom) = delivery.doom.clone() {
            // A deadline or a stop that came when everything was answered after all changes nothing.
            let was_in_time = is_done
                && matches!(
                    doom.reason,
                    Reason::ShuttingDown | Reason::IndexerUnavailable | Reason::SessionTimeout
                );
            if !was_in_time || !delivery.refused.is_empty() {
                return self.finish(id, doom.status, doom.reason, doom.detail, out);
            }
            delivery.doom = None;
        }
        debug_assert!(is_done, "a verdict needs every operation decided");
        if delivery.conflicts > 0 {
            let detail = format!(
                "{} operations met a higher version: something else writes",
                delivery.conflicts
            );
            return self.finish(id, Status::Error, Reason::VersionConflict, detail, out);
        }
        let agent = session.agent;
        if delivery.refused.is_empty() {
            let tallies = delivery.tallies();
            if !tallies.is_empty() {
                out.push(Command::Stored { agent, tallies });
            }
            return self.decide(id, out);
        }
        delivery.step = Step::Judging;
        let tallies = delivery.tallies();
        // It waits for no index any more, and its last answer may have begun its deadline anew.
        self.account(id, Wait::None);
        out.push(Command::Refusals {
            session: id,
            agent,
            tallies,
        });
    }

    /// The coordinator says whether refusals were the documents' fault, or an index's. Then its
    /// operations wait and are sent again: nothing is quarantined for a bad template.
    pub(super) fn on_judged(&mut self, id: SessionId, held: &[IndexId], out: &mut Out<P>) {
        let Some((_, delivery)) = self
            .delivery(id)
            .filter(|(_, each)| each.step == Step::Judging)
        else {
            return out.push(Command::Observe(Observation::StaleAnswer));
        };
        if held.is_empty() {
            return self.decide(id, out);
        }
        delivery.step = Step::Sending;
        delivery.refusals = Failures::default();
        // The coordinator has counted these.
        delivery.stored.clear();
        for ((_, class), ordinals) in std::mem::take(&mut delivery.refused) {
            delivery.queues[place(class)].fresh.extend(&ordinals);
        }
        for index in held {
            if let Some(state) = self.indices.get_mut(usize::from(index.0)) {
                *state = IndexState::Held;
            }
        }
        self.advance(id, out);
    }

    /// Ok, or PartiallyRejected.
    fn decide(&mut self, id: SessionId, out: &mut Out<P>) {
        let most = self.config.failed_items_max;
        let Some((_, delivery)) = self.delivery(id) else {
            return;
        };
        let refusals = std::mem::take(&mut delivery.refusals);
        merge(&mut delivery.failures, refusals, most);
        let failed = delivery.failures.total;
        if failed == 0 {
            return self.finish(id, Status::Ok, Reason::None, String::new(), out);
        }
        let items = self.sessions.get(&id).map_or(0, |session| session.size);
        let detail = format!("{failed} of {items} items were not stored");
        self.finish(id, Status::Error, Reason::PartiallyRejected, detail, out);
    }

    /// Ends a session, however it ends: answers, frees what it held, lets its lane go on.
    pub(super) fn finish(
        &mut self,
        id: SessionId,
        status: Status,
        reason: Reason,
        detail: String,
        out: &mut Out<P>,
    ) {
        self.drop_isolated(id);
        self.unready(id);
        self.forget_begun(id);
        let retry_after_ms = match status {
            Status::Ok => 0,
            Status::Error | Status::Offline | Status::ChecksumMismatch | Status::Processing => {
                self.retry_after_ms()
            }
        };
        let Some(mut session) = self.sessions.remove(&id) else {
            return;
        };
        let lists = matches!(reason, Reason::PartiallyRejected);
        let mut failures = Failures::default();
        let mut unchanged = 0;
        if let Phase::Delivering(delivery) = &mut session.phase {
            assert!(delivery.in_flight == 0, "a verdict waits for every request");
            failures = std::mem::take(&mut delivery.failures);
            unchanged = delivery.unchanged;
            if delivery.step == Step::Listing {
                out.push(Command::ListingCancelled { session: id });
            }
        }
        let (failed, failed_more) = if lists {
            listed(&failures)
        } else {
            (Vec::new(), false)
        };
        let module = &self.config.catalogue.modules()[usize::from(session.module.0)].name;
        let ack = EndAck {
            status: if session.is_base && status == Status::Offline {
                Status::Error
            } else {
                status
            },
            session: id.0,
            module: module.clone(),
            reason,
            detail: bounded(detail),
            retry_after_ms,
            failed,
            failed_more,
            version: self.highest_given(session.agent).0,
            resync: Vec::new(),
        };
        out.push(Command::Observe(Observation::SessionEnded {
            session: id,
            agent: session.agent,
            module: session.module,
            status,
            reason,
            items: u64::from(session.size),
            failed: failures.total,
            unchanged,
            duration_ms: self.now.since(session.started),
            delivery_ms: match session.phase {
                Phase::Collecting => 0,
                Phase::Planning | Phase::Queued(_) | Phase::Delivering(_) => {
                    self.now.since(session.completed)
                }
            },
        }));
        let ack = Arc::new(ack);
        out.push(Command::Reply {
            peer: session.peer,
            message: Reply::EndAck(Arc::clone(&ack)),
        });
        if !is_planted(Bug::StagingKept) {
            out.push(Command::Discard { session: id });
        }

        self.delivering.remove(&id);
        self.timers.forget(id);
        let items = u64::from(session.size);
        let items = if_planted(Bug::QuotaLeak, 0, items);
        self.items -= items;
        self.bytes -= session.intake.bytes;
        if let Some(agent) = self.agents.get_mut(&session.agent) {
            agent.items -= items;
            agent.bytes -= session.intake.bytes;
            agent.sessions -= 1;
        }
        let lane = (session.agent, session.module);
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.sessions.retain(|other| *other != id);
        }
        self.remember(lane, id, session.nonce, session.digest, ack);
        self.start_lane(lane, out);
    }

    fn remember(
        &mut self,
        lane: (AgentId, ModuleId),
        id: SessionId,
        nonce: u64,
        digest: [u8; 16],
        ack: Arc<EndAck>,
    ) {
        let bytes = 512 + ack.detail.len() + ack.failed.iter().map(bytes_of).sum::<usize>();
        self.last_finished += 1;
        self.finished.insert(id, lane);
        self.finished_bytes += bytes;
        let kept = &mut self.lanes.entry(lane).or_default().finished;
        kept.push_back(Finished {
            order: self.last_finished,
            id,
            nonce,
            digest,
            ack,
            at: self.now,
            bytes,
        });
        if kept.len() > self.config.verdicts_per_lane {
            self.forget_oldest(lane);
        }
        if self.finished_bytes > self.config.verdict_bytes_max {
            self.free_verdicts();
        }
    }

    /// Forgets the oldest verdict of a lane: from now on its session is not found.
    fn forget_oldest(&mut self, lane: (AgentId, ModuleId)) {
        let kept = self.lanes.get_mut(&lane).map(|lane| &mut lane.finished);
        if let Some(gone) = kept.and_then(VecDeque::pop_front) {
            self.finished.remove(&gone.id);
            self.finished_bytes -= gone.bytes;
        }
    }

    /// Forgets the oldest verdicts of all lanes until a part of their share of memory is free.
    fn free_verdicts(&mut self) {
        let most = self.config.verdict_bytes_max;
        let kept = most - most / FREED_AT_ONCE;
        let mut order: Vec<(u64, (AgentId, ModuleId))> = Vec::new();
        for (key, lane) in &self.lanes {
            order.extend(lane.finished.iter().map(|each| (each.order, *key)));
        }
        order.sort_unstable();
        for (_, lane) in order {
            if self.finished_bytes <= kept {
                break;
            }
            self.forget_oldest(lane);
        }
    }

    /// The same verdict again, to whoever of its agent asks.
    pub(super) fn repeat_verdict(&self, peer: Peer, id: SessionId, out: &mut Out<P>) {
        let lane = self.finished.get(&id).and_then(|lane| self.lanes.get(lane));
        let finished = lane.and_then(|lane| lane.finished.iter().find(|each| each.id == id));
        if let Some(finished) = finished {
            let message = Reply::EndAck(Arc::clone(&finished.ack));
            out.push(Command::Reply { peer, message });
        }
    }

    /// Drops what is kept without a session and is of no more use.
    pub(super) fn on_sweep(&mut self) {
        let (now, kept_ms) = (self.now, self.config.verdict_kept_ms);
        let is_old = |each: &Finished| now.since(each.at) >= kept_ms;
        for lane in self.lanes.values_mut() {
            while let Some(gone) = lane.finished.front().filter(|each| is_old(each)) {
                self.finished.remove(&gone.id);
                self.finished_bytes -= gone.bytes;
                lane.finished.pop_front();
            }
        }
        self.tainted = self.tainted_lanes().copied().collect();
        self.lanes.retain(|_, lane| {
            !lane.sessions.is_empty() || !lane.finished.is_empty() || now < lane.tainted_until
        });
        let clock = self.clock.version(now);
        let bound = self.bound;
        self.agents.retain(|_, agent| {
            let highest = Version(
                agent
                    .granted
                    .max(agent.floor)
                    .0
                    .saturating_add(VERSION_STEP),
            );
            agent.sessions > 0 || agent.recording || agent.bound > bound || highest >= clock
        });
    }
}

impl super::session::Delivery {
    /// Stored and refused operations, by index.
    fn tallies(&self) -> Vec<Tally> {
        let mut tallies: Vec<Tally> = self
            .stored
            .iter()
            .map(|(index, stored)| Tally {
                index: *index,
                stored: *stored,
                refused: 0,
            })
            .collect();
        for ((index, _), ordinals) in &self.refused {
            match tallies.binary_search_by_key(index, |tally| tally.index) {
                Ok(at) => tallies[at].refused += ordinals.count(),
                Err(at) => tallies.insert(
                    at,
                    Tally {
                        index: *index,
                        stored: 0,
                        refused: ordinals.count(),
                    },
                ),
            }
        }
        tallies
    }
}

/// The items that a verdict lists, and whether there are more.
fn listed(failures: &Failures) -> (Vec<FailedItem>, bool) {
    let mut bytes = 0;
    let mut items = Vec::new();
    for failure in &failures.lowest {
        let item = item_of(failure);
        bytes += bytes_of(&item);
        if bytes > FAILED_BYTES_MAX {
            break;
        }
        items.push(item);
    }
    let more = (items.len() as u64) < failures.total;
    (items, more)
}

fn item_of(failure: &Failure) -> FailedItem {
    FailedItem {
        seq: u64::from(failure.seq),
        status: failure.status,
        kind: failure.kind.clone(),
        reason: failure.reason,
        retryable: failure.retryable,
        detail: bounded(failure.detail.clone()),
    }
}

/// About what an item takes on the wire and in memory.
fn bytes_of(item: &FailedItem) -> usize {
    96 + item.kind.len() + item.detail.len()
}
