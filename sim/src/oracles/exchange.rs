//! What a shard is told, and what it answers at once: each message has exactly the answers that the contract
//! gives it, and a message that is foreign or too late changes nothing.
//!
//! ```text
//!  event ──▶ hear ──▶ Heard ──┐
//!    │                        ▼
//!    └──▶ the shard ──▶ commands ──▶ judge_answers        before any of them is carried out
//! ```

use std::collections::{BTreeMap, VecDeque};

use inventory_sync_core::document::Run;
use inventory_sync_core::id::{
    AgentId, ConnectionId, ModuleId, NO_SESSION, Peer, SessionId, Version,
};
use inventory_sync_core::manager::{Command, Event, FrameFlaw, IndexState, ListingOutcome, Reply};
use inventory_sync_core::time::Tick;
use inventory_sync_core::wire::{PROTOCOL_VERSION, Reason, Status};

use super::Oracles;
use crate::store::Scanned;

/// More than all verdicts of a simulated world have.
const MANY_VERDICTS_BYTES: usize = 1 << 26;

/// A verdict and each item of its list have no more than this.
const VERDICT_BYTES_MAX: usize = 1_024;

/// What a shard is being told, as far as its answer is judged.
#[derive(Debug, Clone)]
pub(crate) enum Heard {
    /// A Start.
    Start {
        peer: Peer,
        nonce: u64,
        module: String,
        size: u64,
        is_base: bool,
        /// The floor that the agent states, as far as it counts.
        floor: Version,
    },
    /// Items.
    Items {
        peer: Peer,
        session: SessionId,
        standing: Standing,
        bytes: u64,
        /// How many sequences it has.
        items: u64,
    },
    /// An End.
    End {
        peer: Peer,
        session: SessionId,
        standing: Standing,
    },
    /// A Hello.
    Hello(Peer),
    /// A frame that is no message.
    BadFrame(Peer, FrameFlaw),
    /// Writes are answered.
    Staged,
    /// Time has passed.
    Time,
    /// Something whose answer is not judged here.
    Other,
}

/// What a session is to whoever names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There is none.
    Unknown,
    /// Another agent's.
    Foreign,
    /// Its own, on another connection.
    Elsewhere,
    /// Its own, here.
    Live,
    /// Its own, with a verdict that must be repeated.
    Finished,
    /// It has ended long ago: the shard may remember it or not.
    Forgettable,
}

/// What is known of a session before its shard says that it is open.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Birth {
    pub(super) agent: AgentId,
    pub(super) module: ModuleId,
    pub(super) size: u64,
    pub(super) is_base: bool,
    pub(super) connection: ConnectionId,
    /// The floor that its Start stated, as far as it counts.
    pub(super) floor: Version,
}

/// What the shards of the present process have said to whom.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    pub(super) births: BTreeMap<SessionId, Birth>,
    /// The session of each Start that was accepted.
    pub(super) by_nonce: BTreeMap<(AgentId, ModuleId, u64), SessionId>,
    /// The last session that each lane opened, with its nonce.
    pub(super) last_opened: BTreeMap<(AgentId, ModuleId), (u64, SessionId)>,
    /// Finished sessions of each lane, with the time of their verdict.
    pub(super) finished: BTreeMap<(AgentId, ModuleId), VecDeque<(SessionId, Tick)>>,
    /// Sessions with writes that were answered since their shard last heard of it.
    pub(super) settled: Vec<(u16, SessionId)>,
    /// Bytes of each connection that are being stored.
    pub(super) open_bytes: BTreeMap<ConnectionId, u64>,
    /// Connections that are not read.
    pub(super) paused: BTreeMap<ConnectionId, u16>,
    /// What a shard may hold of announced items, where it was told so.
    pub(super) items_max: BTreeMap<u16, u64>,
    /// The sequences of the frame at hand that are neither stored nor being stored.
    pub(super) fresh: Vec<Run>,
}

pub(super) fn is_discarded(commands: &[Command<Scanned>], session: SessionId) -> bool {
    commands
        .iter()
        .any(|command| matches!(command, Command::Discard { session: gone } if *gone == session))
}

/// Whether a session becomes complete with these commands.
pub(super) fn is_planned(commands: &[Command<Scanned>], session: SessionId) -> bool {
    commands
        .iter()
        .any(|command| matches!(command, Command::Plan { session: complete, .. } if *complete == session))
}

impl Oracles {
    /// A shard is about to be told something.
    pub(crate) fn hear(&mut self, shard: u16, event: &Event<Scanned>) -> Heard {
        match event {
            Event::Start { peer, start, .. } => Heard::Start {
                peer: *peer,
                nonce: start.nonce,
                module: start.module.clone(),
                size: start.size,
                is_base: start.protocol_version == 0,
                floor: self.counted_floor(shard, Version(start.version_floor)),
            },
            Event::Items { peer, frame, .. } => {
                let standing = self.standing(shard, *peer, frame.session);
                self.exchange.fresh.clear();
                if standing == Standing::Live {
                    self.touch(frame.session);
                    if let Some(known) = self.sessions.get(&frame.session) {
                        for run in frame.sequences.as_slice() {
                            let part = known.unstored(*run);
                            self.exchange.fresh.extend(part);
                        }
                    }
                }
                Heard::Items {
                    peer: *peer,
                    session: frame.session,
                    standing,
                    bytes: frame.bytes,
                    items: frame.sequences.count(),
                }
            }
            Event::End { peer, session } => {
                let standing = self.standing(shard, *peer, *session);
                if standing == Standing::Live {
                    self.touch(*session);
                    if let Some(known) = self.sessions.get_mut(session) {
                        known.end_received = true;
                        known.listed.clear();
                    }
                }
                Heard::End {
                    peer: *peer,
                    session: *session,
                    standing,
                }
            }
            Event::Hello { peer, .. } => Heard::Hello(*peer),
            Event::BadFrame { peer, flaw } => Heard::BadFrame(*peer, *flaw),
            Event::Staged { .. } => Heard::Staged,
            Event::Closed { connection } => {
                self.exchange.open_bytes.remove(connection);
                if self.exchange.paused.remove(connection).is_some() {
                    self.touch_all(*connection);
                }
                Heard::Other
            }
            Event::WallClock { unix_ms } => {
                self.shard_reads(shard, *unix_ms);
                Heard::Time
            }
            Event::Tick => Heard::Time,
            _ => {
                self.hear_answers(shard, event);
                Heard::Other
            }
        }
    }

    /// A shard is about to be told what became of its commands, or how the world stands.
    fn hear_answers(&mut self, shard: u16, event: &Event<Scanned>) {
        match event {
            Event::BulkDone { bulk, outcome } => {
                self.bulk_answered(shard, *bulk, outcome);
            }
            Event::IndexChanged { state, .. } if *state != IndexState::Open => {
                self.turns.trouble_all(shard);
            }
            Event::RefusalsJudged { held, .. } if !held.is_empty() => {
                self.turns.trouble_all(shard);
            }
            Event::TaintAll { until } => {
                self.deliveries.taint_all(shard, *until);
            }
            Event::LeaseUntil { until } => {
                self.deliveries.leases.insert(shard, *until);
            }
            Event::QuotaSlice { items, .. } => {
                self.exchange.items_max.insert(shard, *items);
            }
            Event::Listed {
                session,
                outcome: ListingOutcome::Complete { .. },
            } => {
                self.heard_progress(*session);
            }
            Event::Planned {
                session,
                plan: Some(plan),
            } => {
                self.hear_plan(*session, plan);
            }
            Event::Diffed {
                session,
                diff: Some(diff),
            } => {
                self.hear_diff(*session, diff);
            }
            Event::ClockFloor { floor } => {
                self.shard_starts_above(shard, *floor);
            }
            _ => {}
        }
    }

    /// Its agent was heard, or the shard has done its part: the idle limit begins anew.
    pub(super) fn touch(&mut self, session: SessionId) {
        let now = self.now;
        if let Some(known) = self.sessions.get_mut(&session) {
            known.touched = now;
        }
    }

    fn touch_all(&mut self, connection: ConnectionId) {
        let now = self.now;
        for id in self.live.clone() {
            if let Some(known) = self
                .sessions
                .get_mut(&id)
                .filter(|known| known.birth.connection == connection)
            {
                known.touched = now;
            }
        }
    }

    /// What a session is to a peer of a shard.
    fn standing(&self, shard: u16, peer: Peer, session: SessionId) -> Standing {
        let known = self
            .sessions
            .get(&session)
            .filter(|known| known.shard == shard && !known.gone);
        let Some(known) = known.filter(|_| session != NO_SESSION) else {
            return Standing::Unknown;
        };
        let is_own = known.birth.agent == peer.agent;
        if known.open {
            return match (is_own, known.birth.connection == peer.connection) {
                (false, _) => Standing::Foreign,
                (true, true) => Standing::Live,
                (true, false) => Standing::Elsewhere,
            };
        }
        if !self.is_remembered(session) {
            return Standing::Forgettable;
        }
        if is_own {
            Standing::Finished
        } else {
            Standing::Foreign
        }
    }

    /// Whether the verdict of a finished session must still be known: one of the last of its lane, young, and
    /// within the memory of all.
    pub(super) fn is_remembered(&self, session: SessionId) -> bool {
        let Some(known) = self.sessions.get(&session) else {
            return false;
        };
        let lane = (known.birth.agent, known.birth.module);
        let at = self.exchange.finished.get(&lane).and_then(|finished| {
            let last = finished.iter().rev().take(self.config.verdicts_per_lane);
            last.into_iter()
                .find(|(id, at)| {
                    *id == session && self.now.since(*at) < self.config.verdict_kept_ms
                })
                .map(|(_, at)| *at)
        });
        at.is_some_and(|at| self.has_room_for_verdicts(known.shard, at))
    }

    /// Whether a shard keeps its verdicts from a tick on: what there is no room for goes in the order of age,
    /// some more of it at once than must.
    fn has_room_for_verdicts(&self, shard: u16, since: Tick) -> bool {
        // Whole fleets have room; to add it up each time would be slow.
        if self.config.verdict_bytes_max >= MANY_VERDICTS_BYTES {
            return true;
        }
        let kept = self.exchange.finished.values().flatten();
        let bytes: usize = kept
            .filter(|(_, at)| *at >= since)
            .filter_map(|(session, _)| self.sessions.get(session))
            .filter(|known| known.shard == shard)
            .map(|known| {
                let failed = known.told.as_ref().map_or(0, |ack| ack.failed.len());
                VERDICT_BYTES_MAX * (1 + failed)
            })
            .sum();
        bytes <= self.config.verdict_bytes_max / 2
    }

    /// What the shard answers to it, before any of it is done.
    pub(crate) fn judge_answers(
        &mut self,
        shard: u16,
        heard: &Heard,
        commands: &[Command<Scanned>],
    ) {
        if !matches!(heard, Heard::Items { .. }) {
            let stage = commands
                .iter()
                .find(|command| matches!(command, Command::Stage { .. }));
            if let Some(stage) = stage {
                let seen = format!("{stage:?} for {heard:?}");
                self.fail("I-6 staging", "only items are staged", seen);
            }
        }
        match heard {
            Heard::Start { .. } => self.judge_start(shard, heard, commands),
            Heard::Items {
                peer,
                session,
                standing,
                bytes,
                ..
            } => self.judge_items(*peer, *session, *standing, *bytes, commands),
            Heard::End {
                peer,
                session,
                standing,
            } => self.judge_end(*peer, *session, *standing, commands),
            Heard::Hello(peer) | Heard::BadFrame(peer, _) => {
                let replies = commands
                    .iter()
                    .filter(|command| match (command, heard) {
                        (Command::Reply { peer: to, message }, Heard::Hello(_)) => {
                            to == peer
                                && matches!(message, Reply::Hello(hello) if hello.agent_id == peer.agent.0
                                    && hello.protocol_version == PROTOCOL_VERSION)
                        }
                        (Command::Reply { peer: to, message }, _) => {
                            to == peer
                                && matches!(message, Reply::EndAck(ack) if ack.session == NO_SESSION.0
                                    && ack.reason == Reason::InvalidMessage && ack.status == Status::Error
                                    && !ack.detail.is_empty())
                        }
                        _ => false,
                    })
                    .count();
                if replies != 1 {
                    let seen = format!("{replies} of them for {heard:?}");
                    self.fail("P-1 frames", "one answer to a Hello or a bad frame", seen);
                }
            }
            Heard::Staged => self.judge_settled(shard, commands),
            Heard::Time => self.judge_expiry(shard, commands),
            Heard::Other => {}
        }
        self.judge_observations(heard, commands);
        for command in commands {
            match command {
                Command::Reply {
                    peer,
                    message: Reply::ReqRet(request),
                } => self.judge_request(*peer, request),
                Command::Reply {
                    peer,
                    message: Reply::EndAck(ack),
                } => self.judge_end_ack(*peer, ack, commands),
                Command::BoundWanted { beyond } => self.judge_bound_wanted(shard, *beyond),
                Command::Pause { connection } => self.judge_pause(shard, *connection),
                Command::Resume { connection } => {
                    self.exchange.paused.remove(connection);
                    self.touch_all(*connection);
                }
                Command::Bulk { .. } | Command::Listing { .. } => {
                    self.judge_dispatch(shard, command, commands);
                }
                _ => {}
            }
        }
    }
}
