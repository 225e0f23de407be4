//! Data and End: staging, gaps, completeness (`docs/protocol.md` sections 3.2 to 3.4).

use std::sync::Arc;

use super::session::{Intake, Phase, Session};
use super::{Command, ConnectionKind, Manager, Observation, OpenStage, Out, Reply, Timer};
use crate::bug::{Bug, is_planted};
use crate::document::{FrameSummary, Run, Runs};
use crate::id::{NO_SESSION, Peer, SessionId, StageId};
use crate::wire::{EndAck, Mode, Pair, Reason, ReqRet, Status};

/// What a message that names a session found.
enum Found {
    /// The live session, from its own agent and connection.
    Live,
    /// A session that is finished; its agent asks.
    Finished,
    /// Nothing for this sender; it was answered.
    Answered,
}

impl Session {
    /// Whether the next step is the agent's, and no write of ours is open.
    pub(super) fn waits_for_agent(&self) -> bool {
        matches!(self.phase, Phase::Collecting) && self.intake.open_writes == 0
    }
}

impl<P> Manager<P> {
    /// Session, identity, connection: in this order.
    fn find(&mut self, peer: Peer, id: SessionId, out: &mut Out<P>) -> Found {
        let owner = match self.sessions.get(&id) {
            Some(session) => Some(session.agent),
            None => self.finished.get(&id).map(|(agent, _)| *agent),
        };
        let Some(owner) = owner.filter(|_| id != NO_SESSION) else {
            out.push(Command::Observe(Observation::UnknownSession {
                agent: peer.agent,
            }));
            let detail = "no such session".to_owned();
            self.reply_error(peer, id, Reason::SessionNotFound, detail, out);
            return Found::Answered;
        };
        let is_foreign = owner != peer.agent && !is_planted(Bug::ForeignMessagesTaken);
        if is_foreign {
            out.push(Command::Observe(Observation::IdentityMismatch {
                agent: peer.agent,
                session: id,
            }));
            let detail = "the session belongs to another agent".to_owned();
            self.reply_error(peer, id, Reason::IdentityMismatch, detail, out);
            return Found::Answered;
        }
        match self.sessions.get(&id) {
            None => Found::Finished,
            Some(session) if session.peer.connection == peer.connection => Found::Live,
            Some(_) if is_planted(Bug::ForeignMessagesTaken) => Found::Live,
            Some(_) => {
                let detail = "the session belongs to another connection".to_owned();
                self.reply_error(peer, id, Reason::SessionNotFound, detail, out);
                Found::Answered
            }
        }
    }

    pub(super) fn on_items(
        &mut self,
        peer: Peer,
        frame: FrameSummary,
        payload: P,
        out: &mut Out<P>,
    ) {
        self.good_frame(peer);
        let id = frame.session;
        match self.find(peer, id, out) {
            Found::Live => {}
            // Late duplicates of a session that has its verdict.
            Found::Finished => {
                return out.push(Command::Observe(Observation::Duplicates {
                    items: frame.sequences.count(),
                }));
            }
            Found::Answered => return,
        }
        if let Some((reason, detail)) = self.message_flaw(id, &frame) {
            return self.end_session(id, Status::Error, reason, detail, out);
        }
        let fresh = self.fresh(id, &frame);
        let repeated = frame.sequences.count() - fresh.count();
        if repeated > 0 {
            out.push(Command::Observe(Observation::Duplicates {
                items: repeated,
            }));
        }
        let Some(key) = fresh.as_slice().first().map(|run| run.first) else {
            return;
        };
        match self.room_for(peer, id, &fresh, frame.bytes) {
            Room::Yes => {}
            // The gap stays open and is asked for again.
            Room::Later => return,
            Room::Never(detail) => {
                let (status, reason) = (Status::Offline, Reason::Overloaded);
                return self.finish(id, status, reason, detail.to_owned(), out);
            }
        }
        self.stage(peer, id, key, fresh, frame.bytes, payload, out);
    }

    /// A message that is wrong ends the session.
    fn message_flaw(&self, id: SessionId, frame: &FrameSummary) -> Option<(Reason, String)> {
        let size = self.sessions[&id].size;
        if frame.foreign_element {
            let detail = "an element of the batch names another session".to_owned();
            return Some((Reason::InvalidMessage, detail));
        }
        let last = frame
            .sequences
            .last()
            .map(u64::from)
            .filter(|seq| *seq >= u64::from(size));
        if let Some(seq) = last.or(frame.beyond) {
            let detail = format!("sequence {seq} of a session of {size}");
            return Some((Reason::SequenceOutOfRange, detail));
        }
        if let Some(seq) = frame.unknown_operation {
            return Some((
                Reason::InvalidOperation,
                format!("unknown operation at sequence {seq}"),
            ));
        }
        None
    }

    /// The sequences of a frame that are neither stored nor on their way to be.
    fn fresh(&self, id: SessionId, frame: &FrameSummary) -> Runs {
        let session = &self.sessions[&id];
        let mut fresh = Runs::new();
        if !matches!(session.phase, Phase::Collecting) {
            return fresh;
        }
        if is_planted(Bug::DuplicateStagedAgain) {
            return frame.sequences.clone();
        }
        for run in frame.sequences.as_slice() {
            for stored in session.intake.received.missing_in(*run).as_slice() {
                fresh.extend(&session.intake.open.missing_in(*stored));
            }
        }
        fresh
    }

    fn room_for(&self, peer: Peer, id: SessionId, fresh: &Runs, bytes: u64) -> Room {
        let session = &self.sessions[&id];
        let limits = &self.config;
        let runs = session.intake.received.as_slice().len()
            + session.intake.open.as_slice().len()
            + fresh.as_slice().len();
        if runs > limits.runs_per_session_max {
            return Room::Never("too many separate gaps");
        }
        if session.intake.bytes.saturating_add(bytes) > limits.bytes_per_session_max {
            return Room::Never("too many bytes in this session");
        }
        let of_agent = self
            .agents
            .get(&session.agent)
            .map_or(0, |agent| agent.bytes);
        if of_agent.saturating_add(bytes) > limits.bytes_per_agent_max {
            return Room::Never("too many bytes of this agent");
        }
        if self.bytes.saturating_add(bytes) > self.bytes_max {
            let some_are_complete = self
                .sessions
                .values()
                .any(|other| !matches!(other.phase, Phase::Collecting) && other.intake.bytes > 0);
            return if some_are_complete {
                Room::Later
            } else {
                Room::Never("the staging area is full")
            };
        }
        let relayed = self
            .connections
            .get(&peer.connection)
            .is_some_and(|connection| connection.kind == ConnectionKind::Relay);
        let open: u64 = if relayed { self.open_bytes_of(id) } else { 0 };
        if open > limits.open_bytes_per_connection_max {
            return Room::Never("faster than the store");
        }
        Room::Yes
    }

    fn open_bytes_of(&self, id: SessionId) -> u64 {
        self.stages
            .values()
            .filter(|stage| stage.session == id)
            .map(|stage| stage.bytes)
            .sum()
    }

    #[expect(clippy::too_many_arguments, reason = "one frame, taken apart once")]
    fn stage(
        &mut self,
        peer: Peer,
        id: SessionId,
        key: u32,
        fresh: Runs,
        bytes: u64,
        payload: P,
        out: &mut Out<P>,
    ) {
        self.next_stage += 1;
        let stage = StageId(self.next_stage);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.intake.open.extend(&fresh);
            if is_planted(Bug::ReceivedBeforeStored) {
                session.intake.received.extend(&fresh);
            }
            session.intake.open_writes += 1;
            session.intake.bytes += bytes;
            if let Some(agent) = self.agents.get_mut(&session.agent) {
                agent.bytes += bytes;
            }
        }
        self.bytes += bytes;
        self.timers.disarm(Timer::Idle(id));
        out.push(Command::Stage {
            stage,
            session: id,
            key,
            fresh: fresh.as_slice().to_vec(),
            payload,
        });
        let open = OpenStage {
            session: id,
            connection: peer.connection,
            fresh,
            bytes,
        };
        self.stages.insert(stage, open);
        self.open_bytes(peer.connection, bytes, out);
    }

    pub(super) fn on_staged(&mut self, upto: StageId, out: &mut Out<P>) {
        if self
            .stages
            .first_key_value()
            .is_none_or(|(first, _)| *first > upto)
        {
            return out.push(Command::Observe(Observation::StaleAnswer));
        }
        while let Some(entry) = self
            .stages
            .first_entry()
            .filter(|entry| *entry.key() <= upto)
        {
            let stage = entry.remove();
            self.settle(stage, true, out);
        }
    }

    pub(super) fn on_stage_failed(&mut self, stage: StageId, out: &mut Out<P>) {
        match self.stages.remove(&stage) {
            Some(stage) => self.settle(stage, false, out),
            None => out.push(Command::Observe(Observation::StaleAnswer)),
        }
    }

    /// Takes in the answer to one write. Only a stored sequence is received: a failure leaves the gap.
    fn settle(&mut self, stage: OpenStage, stored: bool, out: &mut Out<P>) {
        self.close_bytes(stage.connection, stage.bytes, out);
        let limit = self.config.store_failures_max;
        let id = stage.session;
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let intake = &mut session.intake;
        assert!(intake.open_writes > 0, "a write was answered twice");
        intake.open_writes -= 1;
        for run in stage.fresh.as_slice() {
            intake.open.remove(*run);
        }
        if stored {
            intake.received.extend(&stage.fresh);
        } else {
            intake.bytes -= stage.bytes;
            intake.store_failures += 1;
            intake.reopened = true;
            let is_last = intake.store_failures >= limit;
            let agent = session.agent;
            self.bytes -= stage.bytes;
            if let Some(agent) = self.agents.get_mut(&agent) {
                agent.bytes -= stage.bytes;
            }
            if is_last {
                let detail = "the staging store failed".to_owned();
                return self.finish(id, Status::Error, Reason::StorageFailure, detail, out);
            }
        }
        self.judge_end(id, out);
    }

    pub(super) fn on_end(&mut self, peer: Peer, id: SessionId, out: &mut Out<P>) {
        self.good_frame(peer);
        match self.find(peer, id, out) {
            Found::Answered => return,
            Found::Finished if is_planted(Bug::VerdictForgotten) => return,
            Found::Finished => return self.repeat_verdict(peer, id, out),
            Found::Live => {}
        }
        if is_planted(Bug::ProcessingTooEarly) {
            self.say_processing(id, out);
        }
        let idle_deadline = self.now + self.config.idle_timeout_ms;
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if !matches!(session.phase, Phase::Collecting) {
            return self.say_processing(id, out);
        }
        let is_first = !session.intake.end_received;
        session.intake.end_received = true;
        // Asked again: what was listed before may be lost.
        session.intake.asked_upto = None;
        if is_first && session.waits_for_agent() {
            self.timers.arm(Timer::Idle(id), idle_deadline);
        }
        self.judge_end(id, out);
    }

    /// Judges an End once the session's open writes are answered: complete, or gaps to ask for.
    fn judge_end(&mut self, id: SessionId, out: &mut Out<P>) {
        let idle_deadline = self.now + self.config.idle_timeout_ms;
        let most = self.config.ranges_per_request_max;
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if !session.waits_for_agent() {
            return;
        }
        let is_complete = session.intake.is_complete(session.size) || is_planted(Bug::GapsIgnored);
        if session.intake.end_received && is_complete {
            return self.complete(id, out);
        }
        // The agent owes something again: the limit runs from here, not from a duplicate.
        self.timers.arm_once(Timer::Idle(id), idle_deadline);
        if !session.intake.end_received || session.is_base {
            return;
        }
        let missing = session.intake.missing(session.size);
        let first = missing.as_slice().first().map_or(0, |run| run.first);
        let was_asked = session
            .intake
            .asked_upto
            .is_some_and(|last| first <= last || is_planted(Bug::LaterGapsNotAsked));
        if was_asked && !session.intake.reopened {
            return;
        }
        session.intake.reopened = false;
        let asked: Vec<Run> = missing.as_slice().iter().copied().take(most).collect();
        session.intake.asked_upto = asked.last().map(|run| run.last);
        let request = ReqRet {
            seq: asked
                .iter()
                .map(|run| Pair {
                    begin: u64::from(run.first),
                    end: u64::from(run.last),
                })
                .collect(),
            session: id.0,
            module: self.config.catalogue.modules()[usize::from(session.module.0)]
                .name
                .clone(),
        };
        let peer = session.peer;
        self.timers.arm(Timer::Idle(id), idle_deadline);
        out.push(Command::Reply {
            peer,
            message: Reply::ReqRet(Box::new(request)),
        });
    }

    fn complete(&mut self, id: SessionId, out: &mut Out<P>) {
        if !is_planted(Bug::DeliverySwept) {
            self.timers.disarm(Timer::Idle(id));
        }
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        assert!(
            session.intake.is_complete(session.size),
            "a session with gaps is not complete"
        );
        session.phase = Phase::Planning;
        session.completed = now;
        let full = session.mode == Mode::Full;
        let allowed = session.scope.clone();
        self.say_processing(id, out);
        out.push(Command::Plan {
            session: id,
            allowed,
            full,
        });
    }

    /// To a base peer, which knows no Processing: nothing.
    fn say_processing(&self, id: SessionId, out: &mut Out<P>) {
        let session = &self.sessions[&id];
        if session.is_base {
            return;
        }
        let ack = EndAck {
            status: Status::Processing,
            session: id.0,
            module: self.config.catalogue.modules()[usize::from(session.module.0)]
                .name
                .clone(),
            ..EndAck::default()
        };
        out.push(Command::Reply {
            peer: session.peer,
            message: Reply::EndAck(Arc::new(ack)),
        });
    }

    /// The agent was silent for too long. A connection that we do not read cannot be silent.
    pub(super) fn on_idle(&mut self, id: SessionId, out: &mut Out<P>) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let is_ours = !session.waits_for_agent() && !is_planted(Bug::DeliverySwept);
        if is_ours || !self.is_read(session.peer.connection) || is_planted(Bug::IdleNeverEnds) {
            return;
        }
        let Intake {
            end_received,
            received,
            ..
        } = &session.intake;
        let detail = format!(
            "nothing new for {} ms; {} of {} items arrived, End {}",
            self.config.idle_timeout_ms,
            received.count(),
            session.size,
            if *end_received {
                "received"
            } else {
                "not received"
            },
        );
        self.finish(id, Status::Error, Reason::SessionTimeout, detail, out);
    }
}

/// Whether a frame can be stored.
enum Room {
    Yes,
    /// Not now: sessions on their way to a verdict will free room.
    Later,
    /// Its session must end.
    Never(&'static str),
}
