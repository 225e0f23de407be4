//! Filling bulk requests: fair among sessions, bounded in bytes, never without a lease.

use std::collections::{BTreeMap, VecDeque};

use super::session::{Queue, Room, place};
use super::{Command, Manager, Out, Timer, next_bulk};
use crate::bug::{Bug, is_planted};
use crate::document::{Class, Part, Runs};
use crate::id::{BulkId, SessionId};
use crate::time::Tick;

/// Requests in flight and what waits to be sent.
#[derive(Debug, Clone)]
pub(super) struct Dispatch {
    /// Sessions with something to send, each once; and some that had, until their turn comes.
    pub(super) ready: VecDeque<SessionId>,
    /// About how many bytes those have that still are.
    pub(super) ready_bytes: u64,
    ready_since: Tick,
    /// Sessions of which a part was sent and more is left, in the order in which they began.
    pub(super) begun: BTreeMap<u64, SessionId>,
    last_begun: u64,
    /// The next request goes on with the first of them that can; the one after it is filled in turn.
    goes_on: bool,
    /// Parts that are sent alone, to find what a server refuses a whole request for.
    pub(super) isolated: VecDeque<Vec<Part>>,
    pub(super) in_flight: BTreeMap<BulkId, Flight>,
    next_bulk: u64,
    /// The present limit for a body; shrinks under load and grows back.
    pub(super) limit_bytes: u64,
    /// The largest body this server is known to take.
    pub(super) ceiling_bytes: u64,
    /// Nothing is sent before this tick.
    pub(super) paused_until: Tick,
    /// Request-level refusals in a row.
    pub(super) attempts: u32,
}

/// A request that is not answered.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub(super) parts: Vec<Sent>,
    pub(super) bytes: u64,
}

/// A part in a request.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) part: Part,
    /// Those of its ordinals that were in a request of unknown outcome before.
    pub(super) again: Runs,
}

impl Dispatch {
    pub(super) const fn new(limit_bytes: u64) -> Self {
        Self {
            ready: VecDeque::new(),
            ready_bytes: 0,
            ready_since: Tick(0),
            begun: BTreeMap::new(),
            last_begun: 0,
            goes_on: true,
            isolated: VecDeque::new(),
            in_flight: BTreeMap::new(),
            next_bulk: 0,
            limit_bytes,
            ceiling_bytes: limit_bytes,
            paused_until: Tick(0),
            attempts: 0,
        }
    }
}

impl<P> Manager<P> {
    /// Puts a session with something to send into the ready queue.
    pub(super) fn enqueue(&mut self, id: SessionId) {
        let Some((_, delivery)) = self.delivery(id) else {
            return;
        };
        if delivery.ready_bytes.is_some() {
            return;
        }
        let bytes: u64 = delivery
            .queues
            .iter()
            .zip(&delivery.loads)
            .map(|(queue, loads)| {
                loads
                    .bytes(&queue.fresh)
                    .saturating_add(loads.bytes(&queue.again))
            })
            .sum();
        delivery.ready_bytes = Some(bytes);
        if self.dispatch.ready.is_empty() {
            self.dispatch.ready_since = self.now;
        }
        self.dispatch.ready_bytes += bytes;
        self.dispatch.ready.push_back(id);
    }

    /// A session is not ready any more: it was taken out of the queue, or it ends and its place in the queue
    /// means nothing.
    pub(super) fn unready(&mut self, id: SessionId) {
        let bytes = self
            .delivery(id)
            .and_then(|(_, delivery)| delivery.ready_bytes.take());
        self.dispatch.ready_bytes -= bytes.unwrap_or(0);
    }

    /// A session ends: it does not go on.
    pub(super) fn forget_begun(&mut self, id: SessionId) {
        let begun = self
            .delivery(id)
            .and_then(|(_, delivery)| delivery.begun.take());
        if let Some(begun) = begun {
            self.dispatch.begun.remove(&begun);
        }
    }

    /// Sends what may be sent now. Called at the end of every event.
    pub(super) fn pump(&mut self, out: &mut Out<P>) {
        while self.dispatch.in_flight.len() < self.config.concurrency && self.may_send() {
            if self.now < self.dispatch.paused_until {
                let nothing = self.dispatch.ready.is_empty() && self.dispatch.isolated.is_empty();
                if !nothing {
                    self.timers.arm(Timer::Dispatch, self.dispatch.paused_until);
                }
                return;
            }
            let parts = match self.next_isolated(out) {
                Some(parts) => parts,
                None if self.should_linger() => return,
                None => self.fill(),
            };
            if parts.is_empty() {
                return;
            }
            self.send(parts, out);
        }
    }

    /// A request that is not full waits a moment for company.
    fn should_linger(&mut self) -> bool {
        if self.dispatch.ready.is_empty() {
            self.timers.disarm(Timer::Linger);
            return true;
        }
        let until = self.dispatch.ready_since + self.config.linger_ms;
        if self.dispatch.ready_bytes < self.dispatch.limit_bytes && self.now < until {
            self.timers.arm(Timer::Linger, until);
            return true;
        }
        self.timers.disarm(Timer::Linger);
        false
    }

    /// The next parts that must be sent alone. Those that may not be sent now go back to their session.
    fn next_isolated(&mut self, out: &mut Out<P>) -> Option<Vec<Sent>> {
        while let Some(parts) = self.dispatch.isolated.pop_front() {
            let mut sent = Vec::new();
            for part in parts {
                let lane = match self.delivery(part.session) {
                    Some((session, delivery)) => {
                        delivery.isolated -= 1;
                        (session.agent, session.module)
                    }
                    None => continue,
                };
                let gated = part.class != Class::Upsert
                    && !is_planted(Bug::DeletesDuringTaint)
                    && self.taint_of(lane).is_some();
                if gated || self.is_stalled(part.session) {
                    if let Some((_, delivery)) = self.delivery(part.session) {
                        delivery.queues[place(part.class)]
                            .fresh
                            .extend(&part.ordinals);
                    }
                    self.advance(part.session, out);
                } else {
                    sent.push(Sent {
                        part,
                        again: Runs::new(),
                    });
                }
            }
            if !sent.is_empty() {
                return Some(sent);
            }
        }
        None
    }

    /// Every second request goes on with what was begun first. Turns alone share an Indexer that is too slow
    /// for all so evenly that a round of them may outlast every deadline: what was sent would be sent in vain,
    /// and again in vain. So the first has half of what the Indexer takes, and ends; whose turn it is has the
    /// other half, and waits for no large session.
    fn go_on(&mut self) {
        let is_turn = !self.dispatch.goes_on;
        self.dispatch.goes_on = is_turn;
        if is_turn || is_planted(Bug::BegunLeftBehind) {
            return;
        }
        let can_go_on = |id: &&SessionId| !self.sendable(**id).is_empty();
        let Some(first) = self.dispatch.begun.values().find(can_go_on).copied() else {
            return;
        };
        let ready = &mut self.dispatch.ready;
        if let Some(place) = ready.iter().position(|id| *id == first) {
            ready.remove(place);
            ready.push_front(first);
        }
    }

    /// A part of this session was sent, and more is left.
    fn begin(&mut self, id: SessionId) {
        let next = self.dispatch.last_begun + 1;
        if let Some((_, delivery)) = self.delivery(id)
            && delivery.begun.is_none()
        {
            delivery.begun = Some(next);
            self.dispatch.last_begun = next;
            self.dispatch.begun.insert(next, id);
        }
    }

    /// Fills a request from the ready sessions: one that goes on, and then in turn.
    fn fill(&mut self) -> Vec<Sent> {
        self.go_on();
        let mut room = Room {
            bytes: self.dispatch.limit_bytes,
            operations: self.config.bulk_operations_max,
        };
        let mut sent = Vec::new();
        let mut rest = Vec::new();
        let since = self.dispatch.ready_since;
        while let Some(id) = self.dispatch.ready.pop_front() {
            self.unready(id);
            let before = sent.len();
            for class in self.sendable(id).classes() {
                self.take(id, class, &mut room, &mut sent);
            }
            if !self.sendable(id).is_empty() {
                rest.push(id);
                if sent.len() > before {
                    self.begin(id);
                }
            }
            if room.bytes == 0 || room.operations == 0 || rest.len() > self.config.concurrency * 64
            {
                break;
            }
        }
        // What is left goes on behind those whose turn it was not yet. It has waited for company.
        for id in rest {
            self.enqueue(id);
        }
        self.dispatch.ready_since = since;
        sent
    }

    /// Moves what fits of one class of one session into the request.
    fn take(&mut self, id: SessionId, class: Class, room: &mut Room, sent: &mut Vec<Sent>) {
        let gated = class != Class::Upsert && !is_planted(Bug::DeletesDuringTaint);
        let tainted = match self.delivery(id) {
            Some((session, _)) => (session.agent, session.module),
            None => return,
        };
        let tainted = self.taint_of(tainted).is_some();
        let is_first = sent.is_empty();
        let Some((session, delivery)) = self.delivery(id) else {
            return;
        };
        let agent = session.agent;
        let Some(version) = delivery.version else {
            return;
        };
        let loads = &delivery.loads[place(class)];
        let queue: &mut Queue = &mut delivery.queues[place(class)];
        let again = loads.take(&mut queue.again, room, is_first);
        let mut ordinals = again.clone();
        if !(gated && tainted) {
            let at_least_one = is_first && ordinals.is_empty();
            ordinals.extend(&loads.take(&mut queue.fresh, room, at_least_one));
        }
        if ordinals.is_empty() {
            return;
        }
        let part = Part {
            session: id,
            agent,
            version,
            class,
            ordinals,
        };
        sent.push(Sent { part, again });
    }

    fn send(&mut self, sent: Vec<Sent>, out: &mut Out<P>) {
        debug_assert!(self.holds_lease(), "nothing is sent without a lease");
        let bulk = next_bulk(&mut self.dispatch.next_bulk);
        let mut bytes = 0_u64;
        for each in &sent {
            let part = &each.part;
            let bound = self
                .agents
                .get(&part.agent)
                .map_or(self.bound, |agent| self.bound.max(agent.bound));
            assert!(
                part.version < bound || is_planted(Bug::BoundIgnored),
                "a version at or above the durable bound is never sent"
            );
            if let Some((_, delivery)) = self.delivery(part.session) {
                delivery.in_flight += 1;
                bytes += delivery.loads[place(part.class)].bytes(&part.ordinals);
            }
        }
        out.push(Command::Bulk {
            bulk,
            deadline: self.now + self.config.request_deadline_ms,
            not_after: self.lease_until,
            timeout_ms: self.config.request_timeout_ms,
            parts: sent.iter().map(|each| each.part.clone()).collect(),
        });
        self.dispatch
            .in_flight
            .insert(bulk, Flight { parts: sent, bytes });
    }

    /// Whether a session may send nothing of itself now, for its indices' or its end's sake.
    fn is_stalled(&mut self, id: SessionId) -> bool {
        let indices = std::mem::take(&mut self.indices);
        let stalled = self.delivery(id).is_none_or(|(_, delivery)| {
            delivery.doom.is_some()
                || delivery.backing_off
                || delivery.operations.iter().any(|(index, _)| {
                    indices.get(usize::from(index.0)) != Some(&super::IndexState::Open)
                })
        });
        self.indices = indices;
        stalled
    }

    /// The parts of an ending session that wait to be sent alone are not sent. They go back to its
    /// queues: they are undecided, and a verdict must not take them for stored.
    pub(super) fn drop_isolated(&mut self, id: SessionId) {
        let mut dropped = Vec::new();
        for parts in &mut self.dispatch.isolated {
            dropped.extend(parts.extract_if(.., |part| part.session == id));
        }
        self.dispatch.isolated.retain(|parts| !parts.is_empty());
        if let Some((_, delivery)) = self.delivery(id) {
            delivery.isolated = 0;
            for part in dropped {
                delivery.queues[place(part.class)]
                    .fresh
                    .extend(&part.ordinals);
            }
        }
    }

    /// Sends nothing for a while, after a refusal of a whole request.
    pub(super) fn pause_dispatch(&mut self) {
        let attempts = self.dispatch.attempts;
        self.dispatch.attempts = attempts.saturating_add(1);
        let delay_ms = self.backoff_ms(attempts);
        self.dispatch.paused_until = self.now + delay_ms;
    }
}
