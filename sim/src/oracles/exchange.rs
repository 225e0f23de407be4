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
use inventory_sync_core::id::{AgentId, ConnectionId, ModuleId, NO_SESSION, Peer, SessionId};
use inventory_sync_core::manager::{Command, Event, Reply};
use inventory_sync_core::time::Tick;
use inventory_sync_core::wire::{EndAck, Reason, ReqRet, StartAck, Status};

use super::Oracles;
use crate::store::Scanned;

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
    },
    /// Items.
    Items {
        peer: Peer,
        session: SessionId,
        standing: Standing,
        bytes: u64,
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
    BadFrame(Peer),
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
}

/// What the shards of the present process have said to whom.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    pub(super) births: BTreeMap<SessionId, Birth>,
    /// The session of each Start that was accepted.
    by_nonce: BTreeMap<(AgentId, ModuleId, u64), SessionId>,
    /// Finished sessions of each lane, with the time of their verdict.
    pub(super) finished: BTreeMap<(AgentId, ModuleId), VecDeque<(SessionId, Tick)>>,
    /// Sessions with writes that were answered since their shard last heard of it.
    pub(super) settled: Vec<(u16, SessionId)>,
    /// Bytes of each connection that are being stored.
    pub(super) open_bytes: BTreeMap<ConnectionId, u64>,
    /// Connections that are not read.
    paused: BTreeMap<ConnectionId, u16>,
    /// The sequences of the frame at hand that are neither stored nor being stored.
    fresh: Vec<Run>,
}

/// The maximal runs of what is false.
pub(super) fn gaps(stored: &[bool]) -> Vec<Run> {
    let mut gaps: Vec<Run> = Vec::new();
    for (seq, _) in (0_u32..).zip(stored).filter(|(_, stored)| !**stored) {
        match gaps.last_mut() {
            Some(last) if last.last + 1 == seq => last.last = seq,
            _ => gaps.push(Run::one(seq)),
        }
    }
    gaps
}

pub(super) fn is_discarded(commands: &[Command<Scanned>], session: SessionId) -> bool {
    commands
        .iter()
        .any(|command| matches!(command, Command::Discard { session: gone } if *gone == session))
}

/// The EndAcks about a session among the commands, with those they go to.
fn end_acks(
    commands: &[Command<Scanned>],
    session: SessionId,
) -> impl Iterator<Item = (Peer, &EndAck)> {
    commands.iter().filter_map(move |command| match command {
        Command::Reply {
            peer,
            message: Reply::EndAck(ack),
        } if ack.session == session.0 => Some((*peer, &**ack)),
        _ => None,
    })
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
            Event::BadFrame { peer, .. } => Heard::BadFrame(*peer),
            Event::Staged { .. } => Heard::Staged,
            Event::Closed { connection } => {
                self.exchange.open_bytes.remove(connection);
                if self.exchange.paused.remove(connection).is_some() {
                    self.touch_all(*connection);
                }
                Heard::Other
            }
            Event::BulkDone { bulk, outcome } => {
                self.bulk_answered(shard, *bulk, outcome);
                Heard::Other
            }
            Event::TaintAll { until } => {
                self.deliveries.taint_all(shard, *until);
                Heard::Other
            }
            Event::LeaseUntil { until } => {
                self.deliveries.leases.insert(shard, *until);
                Heard::Other
            }
            Event::Tick | Event::WallClock { .. } => Heard::Time,
            _ => Heard::Other,
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

    /// Whether the verdict of a finished session must still be known: one of the last of its lane, and young.
    fn is_remembered(&self, session: SessionId) -> bool {
        let Some(known) = self.sessions.get(&session) else {
            return false;
        };
        let lane = (known.birth.agent, known.birth.module);
        self.exchange.finished.get(&lane).is_some_and(|finished| {
            let last = finished.iter().rev().take(self.config.verdicts_per_lane);
            last.into_iter()
                .any(|(id, at)| *id == session && self.now.since(*at) < self.config.verdict_kept_ms)
        })
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
            } => self.judge_items(*peer, *session, *standing, *bytes, commands),
            Heard::End {
                peer,
                session,
                standing,
            } => self.judge_end(*peer, *session, *standing, commands),
            Heard::Hello(peer) | Heard::BadFrame(peer) => {
                let replies = commands
                    .iter()
                    .filter(|command| match (command, heard) {
                        (Command::Reply { peer: to, message }, Heard::Hello(_)) => {
                            to == peer && matches!(message, Reply::Hello(_))
                        }
                        (Command::Reply { peer: to, message }, _) => {
                            to == peer
                                && matches!(message, Reply::EndAck(ack) if ack.session == NO_SESSION.0
                                    && ack.reason == Reason::InvalidMessage && ack.status == Status::Error)
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

    /// A message that names no live session of its sender on this connection has one answer, and changes
    /// nothing. `true`: that was judged.
    fn judge_stranger(
        &mut self,
        peer: Peer,
        session: SessionId,
        standing: Standing,
        commands: &[Command<Scanned>],
    ) -> bool {
        let reasons: &[Reason] = match standing {
            Standing::Live | Standing::Finished => return false,
            Standing::Unknown | Standing::Elsewhere => &[Reason::SessionNotFound],
            Standing::Foreign => &[Reason::IdentityMismatch],
            Standing::Forgettable => return true,
        };
        let is_answer = |(to, ack): &(Peer, &EndAck)| {
            *to == peer && ack.status == Status::Error && reasons.contains(&ack.reason)
        };
        let answers = end_acks(commands, session).filter(is_answer).count();
        let touches = commands.iter().any(|command| {
            matches!(command, Command::Plan { session: of, .. } | Command::Discard { session: of } if *of == session)
        });
        let others = end_acks(commands, session)
            .filter(|(to, _)| *to == peer)
            .count();
        if answers != 1 || others != 1 || (touches && standing == Standing::Foreign) {
            let seen = format!("{answers} such answers among {others}, changed: {touches}");
            let expected = format!(
                "session {session} is {standing:?} for {peer:?}: one answer {reasons:?}, and nothing changes"
            );
            self.fail("I-5 identity", expected, seen);
        }
        true
    }

    fn judge_items(
        &mut self,
        peer: Peer,
        session: SessionId,
        standing: Standing,
        bytes: u64,
        commands: &[Command<Scanned>],
    ) {
        let stages: Vec<(SessionId, &[Run])> = commands
            .iter()
            .filter_map(|command| match command {
                Command::Stage { session, fresh, .. } => Some((*session, fresh.as_slice())),
                _ => None,
            })
            .collect();
        let is_right = match stages.as_slice() {
            [] => true,
            [(of, fresh)] => {
                standing == Standing::Live && *of == session && *fresh == self.exchange.fresh
            }
            _ => false,
        };
        if !is_right {
            let expected = format!(
                "of a frame for session {session}, {standing:?} for its sender, exactly {:?} is staged",
                self.exchange.fresh
            );
            self.fail("I-6 staging", expected, format!("{stages:?}"));
        }
        if !stages.is_empty() {
            *self.exchange.open_bytes.entry(peer.connection).or_default() += bytes;
        }
        if !self.judge_stranger(peer, session, standing, commands)
            && standing == Standing::Finished
            && end_acks(commands, session).next().is_some()
        {
            let expected =
                format!("items for session {session}, which has its verdict, are ignored");
            self.fail("P-3.2 late items", expected, "an answer");
        }
    }

    fn judge_end(
        &mut self,
        peer: Peer,
        session: SessionId,
        standing: Standing,
        commands: &[Command<Scanned>],
    ) {
        if self.judge_stranger(peer, session, standing, commands) {
            return;
        }
        let answers: Vec<Status> = end_acks(commands, session)
            .filter(|(to, _)| *to == peer)
            .map(|(_, ack)| ack.status)
            .collect();
        if standing == Standing::Finished {
            if answers.len() != 1 || answers.contains(&Status::Processing) {
                let expected = format!("the verdict of session {session} once more");
                self.fail("I-1 one answer", expected, format!("{answers:?}"));
            }
            return;
        }
        let Some(known) = self.sessions.get(&session) else {
            return;
        };
        if known.open_writes > 0 || is_discarded(commands, session) {
            return;
        }
        let requests = commands
            .iter()
            .filter(|command| {
                matches!(command, Command::Reply { message: Reply::ReqRet(request), .. }
                    if request.session == session.0)
            })
            .count();
        let is_complete = known.planned || gaps(&known.stored).is_empty();
        let (expected_requests, expected_words) = match (is_complete, known.birth.is_base) {
            (_, true) => (0, 0),
            (true, false) => (0, 1),
            (false, false) => (1, 0),
        };
        let words = answers
            .iter()
            .filter(|status| **status == Status::Processing)
            .count();
        if (requests, words) != (expected_requests, expected_words) {
            let expected = format!(
                "{expected_requests} ReqRet and {expected_words} Processing to the End of session {session}"
            );
            self.fail("P-3.3 End", expected, format!("{requests} and {words}"));
        }
    }

    /// A ReqRet lists the lowest maximal gaps, as many as there is room for.
    fn judge_request(&mut self, peer: Peer, request: &ReqRet) {
        let session = SessionId(request.session);
        let most = self.config.ranges_per_request_max;
        let now = self.now;
        let Some(known) = self.sessions.get_mut(&session).filter(|known| known.open) else {
            let seen = format!("a ReqRet for session {session}");
            return self.fail("P-3.3 gaps", "only an open session is asked", seen);
        };
        let mut gaps = gaps(&known.stored);
        gaps.truncate(most);
        let is_exact = request
            .seq
            .iter()
            .map(|pair| (pair.begin, pair.end))
            .eq(gaps
                .iter()
                .map(|run| (u64::from(run.first), u64::from(run.last))));
        let is_due = known.end_received
            && known.open_writes == 0
            && !known.planned
            && !known.birth.is_base
            && !gaps.is_empty()
            && peer.agent == known.birth.agent
            && peer.connection == known.birth.connection;
        known.touched = now;
        known.reopened = false;
        known.listed.clone_from(&gaps);
        if !is_exact || !is_due {
            let expected =
                format!("session {session} is asked for exactly {gaps:?}, at most {most}");
            self.fail(
                "P-3.3 gaps",
                expected,
                format!("{:?} to {peer:?}, due: {is_due}", request.seq),
            );
        }
    }

    /// Every write so far is answered: what is complete is planned, and gaps are asked for by themselves.
    fn judge_settled(&mut self, shard: u16, commands: &[Command<Scanned>]) {
        let (own, others) = std::mem::take(&mut self.exchange.settled)
            .into_iter()
            .partition(|(of, _)| *of == shard);
        self.exchange.settled = others;
        let own: Vec<(u16, SessionId)> = own;
        for (_, session) in own {
            self.touch(session);
            let Some(known) = self.sessions.get(&session).filter(|known| known.open) else {
                continue;
            };
            if known.planned || !known.end_received || known.open_writes > 0 {
                continue;
            }
            let mut does = commands.iter().map(|command| match command {
                Command::Plan { session: of, .. } if *of == session => Some(true),
                Command::Reply {
                    message: Reply::ReqRet(request),
                    ..
                } if request.session == session.0 => Some(false),
                _ => None,
            });
            let gaps = gaps(&known.stored);
            let is_listed = |gap: &Run| {
                known
                    .listed
                    .iter()
                    .any(|listed| listed.first <= gap.last && gap.first <= listed.last)
            };
            let waits = known.birth.is_base || (gaps.iter().any(is_listed) && !known.reopened);
            let is_right = match gaps.is_empty() {
                true => does.any(|done| done == Some(true)),
                false => waits || does.any(|done| done == Some(false)),
            };
            if !is_right && !is_discarded(commands, session) {
                let expected = if gaps.is_empty() {
                    format!("session {session}, which is complete, is planned")
                } else {
                    format!("session {session} is asked for {gaps:?}, of which nothing was listed")
                };
                self.fail("P-3.3 gaps", expected, "nothing");
            }
        }
        let limit = self.config.open_bytes_per_connection_max;
        let stays = self.exchange.paused.iter().find(|(connection, of)| {
            let open = self
                .exchange
                .open_bytes
                .get(connection)
                .copied()
                .unwrap_or(0);
            let resumes = commands.iter().any(|command| {
                matches!(command, Command::Resume { connection: read } if read == *connection)
            });
            **of == shard && open <= limit / 2 && !resumes
        });
        if let Some((connection, _)) = stays {
            let expected = format!("connection {connection} is read again below half of its share");
            self.fail("P-2 reading", expected, "it stays paused");
        }
    }

    fn judge_pause(&mut self, shard: u16, connection: ConnectionId) {
        let open = self
            .exchange
            .open_bytes
            .get(&connection)
            .copied()
            .unwrap_or(0);
        let limit = self.config.open_bytes_per_connection_max;
        if open <= limit || self.exchange.paused.insert(connection, shard).is_some() {
            let expected =
                format!("connection {connection} is paused once, beyond {limit} open bytes");
            self.fail("P-2 reading", expected, format!("{open} bytes are open"));
        }
    }

    /// What every EndAck says beside its verdict.
    fn judge_end_ack(&mut self, peer: Peer, ack: &EndAck, commands: &[Command<Scanned>]) {
        let session = SessionId(ack.session);
        let Some(known) = self.sessions.get(&session).filter(|known| known.open) else {
            return;
        };
        let is_stranger = matches!(
            ack.reason,
            Reason::SessionNotFound | Reason::IdentityMismatch
        );
        if is_stranger {
            return;
        }
        if ack.status == Status::Processing {
            let is_complete = known.planned || gaps(&known.stored).is_empty();
            if !is_complete || known.open_writes > 0 || known.birth.is_base {
                let expected = format!("Processing for session {session} once it is complete");
                self.fail(
                    "P-3.3 Processing",
                    expected,
                    format!("{:?}", gaps(&known.stored)),
                );
            }
            return;
        }
        let base = self.config.retry_after_ms;
        let names_module =
            ack.module == self.config.catalogue.modules()[usize::from(known.birth.module.0)].name;
        let waits = match ack.status {
            Status::Ok => ack.retry_after_ms == 0,
            _ => (base..=base.saturating_mul(2)).contains(&ack.retry_after_ms),
        };
        let is_own = peer.agent == known.birth.agent && peer.connection == known.birth.connection;
        let tells = known.grant.is_none_or(|grant| ack.version >= grant.0);
        if !names_module || !waits || !is_own || !tells || !is_discarded(commands, session) {
            let expected = format!(
                "the verdict of session {session}: to its peer, with its module, a version from {:?} on and \
                 a wait within {base}..={}, and everything of it discarded",
                known.grant,
                base.saturating_mul(2)
            );
            self.fail("P-4 verdict", expected, format!("{ack:?} to {peer:?}"));
        } else if known.birth.is_base && !matches!(ack.status, Status::Ok | Status::Error) {
            let expected = format!("Ok or Error for the base peer of session {session}");
            self.fail("P-4 verdict", expected, format!("{}", ack.status));
        }
    }

    /// Nobody waits longer than was said.
    fn judge_expiry(&mut self, shard: u16, commands: &[Command<Scanned>]) {
        let (now, idle_ms) = (self.now, self.config.idle_timeout_ms);
        let longest_ms = self.config.session_max_ms + self.config.request_deadline_ms + 1_000;
        for id in &self.live {
            let Some(known) = self.sessions.get(id).filter(|known| known.shard == shard) else {
                continue;
            };
            if is_discarded(commands, *id) {
                continue;
            }
            let is_read = !self.exchange.paused.contains_key(&known.birth.connection);
            let is_owed = !known.planned && known.open_writes == 0 && is_read;
            if is_owed && now.since(known.touched) > idle_ms {
                let expected =
                    format!("session {id} ends {idle_ms} ms after its agent fell silent");
                let seen = format!("it is open, last heard of at {}", known.touched);
                return self.fail("L-3 abandoned", expected, seen);
            }
            if now.since(known.opened) > longest_ms {
                let expected = format!("session {id} ends {longest_ms} ms after its Start");
                let seen = format!("it is open since {}", known.opened);
                return self.fail("L-1 bounded", expected, seen);
            }
        }
    }

    fn judge_start(&mut self, shard: u16, heard: &Heard, commands: &[Command<Scanned>]) {
        let Heard::Start {
            peer,
            nonce,
            module,
            size,
            is_base,
        } = heard
        else {
            return;
        };
        let ack = commands.iter().find_map(|command| match command {
            Command::Reply {
                peer: to,
                message: Reply::StartAck(ack),
            } if to == peer => Some(&**ack),
            _ => None,
        });
        let Some(ack) = ack else {
            return self.fail("I-1 one answer", "a StartAck to its sender", "none");
        };
        let base = self.config.retry_after_ms;
        let most = self
            .config
            .items_per_session_max
            .min(self.config.items_per_agent_max);
        let is_ok = ack.status == Status::Ok;
        let is_right = ack.nonce == *nonce
            && ack.module == *module
            && ack.max_items == most
            && is_ok == (ack.session != NO_SESSION.0)
            && is_ok == (ack.reason == Reason::None)
            && (!is_ok || u64::from(ack.idle_timeout_ms) == self.config.idle_timeout_ms)
            && (is_ok || (base..=base.saturating_mul(2)).contains(&ack.retry_after_ms))
            && (!is_base || matches!(ack.status, Status::Ok | Status::Error));
        if !is_right {
            let expected =
                format!("an answer to nonce {nonce:x} of {module:?}, at most {most} items");
            self.fail("P-3.1 StartAck", expected, format!("{ack:?}"));
        }
        let module = self.config.catalogue.module(module);
        let Some(module) = module else { return };
        let birth = Birth {
            agent: peer.agent,
            module,
            size: *size,
            is_base: *is_base,
            connection: peer.connection,
        };
        if is_ok {
            self.judge_accepted(*nonce, birth, ack, commands);
        } else {
            self.judge_refusal(shard, birth, ack, commands);
        }
    }

    fn judge_accepted(
        &mut self,
        nonce: u64,
        birth: Birth,
        ack: &StartAck,
        commands: &[Command<Scanned>],
    ) {
        let session = SessionId(ack.session);
        let opens = commands.iter().any(
            |command| matches!(command, Command::Open { session: opened, .. } if *opened == session),
        );
        let key = (birth.agent, birth.module, nonce);
        let before = self.exchange.by_nonce.get(&key).copied().filter(|before| {
            let known = self.sessions.get(before);
            known.is_some_and(|known| known.open) || self.is_remembered(*before)
        });
        if let Some(before) = before.filter(|before| nonce != 0 && *before != session) {
            let expected = format!("session {before} once more for the same Start");
            self.fail("I-1 one answer", expected, format!("session {session}"));
        }
        if opens {
            self.exchange.births.insert(session, birth);
            self.exchange.by_nonce.insert(key, session);
        } else if let Some(known) = self.sessions.get_mut(&session)
            && known.birth.connection < birth.connection
        {
            known.birth.connection = birth.connection;
            known.touched = self.now;
        }
    }

    /// A refusal for want of room is true: something is full.
    fn judge_refusal(
        &mut self,
        shard: u16,
        birth: Birth,
        ack: &StartAck,
        commands: &[Command<Scanned>],
    ) {
        if !matches!(ack.reason, Reason::Overloaded | Reason::AgentBusy) {
            return;
        }
        let live = self
            .live
            .iter()
            .filter(|id| !is_discarded(commands, **id))
            .filter_map(|id| self.sessions.get(id))
            .filter(|known| known.shard == shard);
        let (mut sessions, mut items, mut own_items, mut lane) = (0, 0, 0, 0);
        for known in live {
            sessions += 1;
            items += known.birth.size;
            if known.birth.agent == birth.agent {
                own_items += known.birth.size;
                lane += u32::from(known.birth.module == birth.module);
            }
        }
        let limits = &self.config;
        let is_true = match ack.reason {
            Reason::AgentBusy => lane >= 2,
            _ => {
                sessions >= limits.sessions_max
                    || items + birth.size > limits.items_max
                    || own_items + birth.size > limits.items_per_agent_max
            }
        };
        if !is_true {
            let seen = format!(
                "{} with {sessions} sessions, {items} items announced, {own_items} of this agent, {lane} \
                 sessions in its lane",
                ack.reason
            );
            let expected = format!("room for {} items of agent {}", birth.size, birth.agent);
            self.fail("L-6 overload", expected, seen);
        }
    }
}
