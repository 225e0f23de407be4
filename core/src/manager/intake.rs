//! Start: who may open a session (`docs/protocol.md` section 3.1).

use std::sync::Arc;

use rand_core::Rng;

use super::session::{Intake, Phase, Session};
use super::{Command, Health, Manager, Observation, Out, Reply, Stopping, Timer};
use crate::bug::{Bug, is_planted};
use crate::id::{AgentId, IndexId, ModuleId, NO_SESSION, Peer, SessionId, Version};
use crate::wire::{AgentInfo, Mode, Reason, Start, StartAck, Status};

/// A floor that an agent states counts up to so far ahead of the clock.
const FLOOR_AHEAD_MAX_MS: u64 = 24 * 60 * 60 * 1_000;

/// Why a Start is refused.
struct Refusal {
    status: Status,
    reason: Reason,
    detail: String,
}

impl Refusal {
    fn error(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            status: Status::Error,
            reason,
            detail: detail.into(),
        }
    }

    fn offline(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            status: Status::Offline,
            reason,
            detail: detail.into(),
        }
    }
}

/// What a Start asks for, once it is understood.
struct Request {
    mode: Mode,
    scope: Vec<IndexId>,
    size: u32,
}

/// The process start that a nonce was drawn in.
const fn incarnation(nonce: u64) -> u64 {
    nonce >> 32
}

impl<P> Manager<P> {
    pub(super) fn on_start(
        &mut self,
        peer: Peer,
        mut start: Start,
        digest: [u8; 16],
        out: &mut Out<P>,
    ) {
        self.good_frame(peer);
        match self.admit(peer, &start, digest, out) {
            Ok(Some(session)) => self.accept(session, &mut start, out),
            Ok(None) => {}
            Err(refusal) => self.refuse(peer, &start, refusal, out),
        }
    }

    /// A new session, nothing (it was answered already), or a refusal.
    fn admit(
        &mut self,
        peer: Peer,
        start: &Start,
        digest: [u8; 16],
        out: &mut Out<P>,
    ) -> Result<Option<Box<Session>>, Refusal> {
        if start.agent_id != peer.agent.0 {
            out.push(Command::Observe(Observation::IdentityMismatch {
                agent: peer.agent,
                session: NO_SESSION,
            }));
            return Err(Refusal::error(
                Reason::IdentityMismatch,
                format!("the connection belongs to agent {}", peer.agent),
            ));
        }
        let Some(module) = self.config.catalogue.module(&start.module) else {
            return Err(Refusal::error(Reason::InvalidMessage, "unknown module"));
        };
        let is_new = start.nonce == 0 || is_planted(Bug::RetransmissionOpensAnother);
        if !is_new && self.answer_known_nonce(peer, module, start, digest, out)? {
            return Ok(None);
        }
        let request = self.understand(module, start)?;
        self.check_availability()?;
        self.make_room_in_lane(peer.agent, module, out)?;
        self.check_quota(peer.agent, u64::from(request.size))?;

        let id = self.draw_session_id();
        Ok(Some(Box::new(Session {
            id,
            agent: peer.agent,
            module,
            peer,
            mode: request.mode,
            scope: request.scope,
            size: request.size,
            is_base: start.protocol_version == 0,
            nonce: start.nonce,
            digest,
            started: self.now,
            completed: self.now,
            intake: Intake::default(),
            phase: Phase::Collecting,
        })))
    }

    /// A retransmitted Start gets the same session again, also when it is finished. `true`: answered.
    fn answer_known_nonce(
        &mut self,
        peer: Peer,
        module: ModuleId,
        start: &Start,
        digest: [u8; 16],
        out: &mut Out<P>,
    ) -> Result<bool, Refusal> {
        let Some(lane) = self.lanes.get(&(peer.agent, module)) else {
            return Ok(false);
        };
        let differs = || {
            Refusal::error(
                Reason::SessionExists,
                "the nonce is in use by another Start",
            )
        };
        for id in &lane.sessions {
            let session = &self.sessions[id];
            if session.nonce == start.nonce {
                if session.digest != digest {
                    return Err(differs());
                }
                let id = *id;
                self.move_session(id, peer);
                self.acknowledge_start(id, peer, start, out);
                return Ok(true);
            }
        }
        for finished in &lane.finished {
            if finished.nonce == start.nonce {
                if finished.digest != digest {
                    return Err(differs());
                }
                let id = finished.id;
                self.acknowledge_start(id, peer, start, out);
                return Ok(true);
            }
        }
        if incarnation(start.nonce) == incarnation(lane.nonce) && start.nonce < lane.nonce {
            return Err(Refusal::error(
                Reason::SessionReplaced,
                "a Start with a higher counter came before",
            ));
        }
        Ok(false)
    }

    /// Moves a session to a newer connection of its agent.
    fn move_session(&mut self, id: SessionId, peer: Peer) {
        let deadline = self.now + self.config.idle_timeout_ms;
        let newer = |session: &&mut Session| peer.connection > session.peer.connection;
        if let Some(session) = self.sessions.get_mut(&id).filter(newer) {
            session.peer = peer;
            if session.waits_for_agent() {
                self.timers.arm(Timer::Idle(id), deadline);
            }
        }
    }

    /// What can be judged from the message alone.
    fn understand(&self, module: ModuleId, start: &Start) -> Result<Request, Refusal> {
        if start.protocol_version != 0 && start.protocol_version < self.config.protocol_version_min
        {
            return Err(Refusal::error(
                Reason::UnsupportedVersion,
                format!(
                    "protocol version {} or later",
                    self.config.protocol_version_min
                ),
            ));
        }
        if !start.cluster_name.is_empty() && start.cluster_name != self.config.cluster {
            return Err(Refusal::error(
                Reason::ClusterMismatch,
                format!("this is cluster {}", self.config.cluster),
            ));
        }
        let mode = match start.mode {
            Some(mode @ (Mode::Full | Mode::Delta)) => mode,
            Some(
                Mode::Check
                | Mode::MetadataDelta
                | Mode::MetadataCheck
                | Mode::GroupDelta
                | Mode::GroupCheck,
            )
            | None => {
                return Err(Refusal::error(
                    Reason::InvalidOperation,
                    "this mode is not served",
                ));
            }
        };
        let is_bound = |end: &Option<String>| end.as_deref().is_some_and(|end| !end.is_empty());
        if is_bound(&start.id_from) || is_bound(&start.id_to) {
            return Err(Refusal::error(
                Reason::InvalidOperation,
                "id ranges are not served",
            ));
        }
        let family = &self.config.catalogue.modules()[usize::from(module.0)].indices;
        let mut named = Vec::new();
        for name in &start.indices {
            match self
                .config
                .catalogue
                .index(name)
                .filter(|index| family.contains(index))
            {
                Some(index) => named.push(index),
                None => {
                    return Err(Refusal::error(
                        Reason::IndexNotAllowed,
                        "an index is not one of the module's",
                    ));
                }
            }
        }
        named.sort_unstable();
        named.dedup();
        if start.size == 0 && (mode == Mode::Delta || named.is_empty()) {
            return Err(Refusal::error(
                Reason::SizeInvalid,
                "a session without items",
            ));
        }
        let most = self.items_per_session();
        let size = u32::try_from(start.size)
            .ok()
            .filter(|size| u64::from(*size) <= most)
            .ok_or_else(|| {
                Refusal::error(
                    Reason::SizeInvalid,
                    format!("at most {most} items in a session"),
                )
            })?;
        // A Delta's indices are a hint; a Full replaces exactly those it names.
        let scope = match mode {
            Mode::Full if !named.is_empty() => named,
            _ => family.clone(),
        };
        Ok(Request { mode, scope, size })
    }

    /// What one session may announce: told as `max_items`.
    fn items_per_session(&self) -> u64 {
        self.config
            .items_per_session_max
            .min(self.config.items_per_agent_max)
    }

    fn check_availability(&self) -> Result<(), Refusal> {
        if self.stopping != Stopping::No {
            return Err(Refusal::offline(
                Reason::ShuttingDown,
                "the manager is stopping",
            ));
        }
        let detail = match self.health {
            Health::Ready if !self.holds_lease() => "the manager may not write at present",
            Health::Ready if !self.clock.is_fed() || self.bound == Version(0) => {
                "the manager is starting"
            }
            Health::Ready => return Ok(()),
            Health::Unready(_) => "the Indexer is not available",
        };
        Err(Refusal::offline(Reason::IndexerUnavailable, detail))
    }

    /// A new Start replaces the session that is not complete; behind two complete ones it must wait.
    fn make_room_in_lane(
        &mut self,
        agent: AgentId,
        module: ModuleId,
        out: &mut Out<P>,
    ) -> Result<(), Refusal> {
        let Some(lane) = self.lanes.get(&(agent, module)) else {
            return Ok(());
        };
        let incomplete = lane
            .sessions
            .iter()
            .copied()
            .find(|id| matches!(self.sessions[id].phase, Phase::Collecting));
        if let Some(id) = incomplete {
            let detail = "a newer Start took its place".to_owned();
            self.finish(id, Status::Error, Reason::SessionReplaced, detail, out);
            return Ok(());
        }
        if lane.sessions.len() >= 2 && !is_planted(Bug::ThirdSessionInLane) {
            return Err(Refusal::offline(
                Reason::AgentBusy,
                "two sessions wait for their verdict",
            ));
        }
        Ok(())
    }

    fn check_quota(&self, agent: AgentId, size: u64) -> Result<(), Refusal> {
        let overloaded = |detail: &str| Err(Refusal::offline(Reason::Overloaded, detail));
        let in_use = self.agents.get(&agent).map_or(0, |agent| agent.items);
        if self.sessions.len() >= self.config.sessions_max {
            return overloaded("too many sessions");
        }
        if self.items.saturating_add(size) > self.items_max {
            return overloaded("too many items announced");
        }
        if in_use.saturating_add(size) > self.config.items_per_agent_max {
            return overloaded("too many items announced by this agent");
        }
        Ok(())
    }

    fn draw_session_id(&mut self) -> SessionId {
        loop {
            let id = SessionId(self.rng.next_u64());
            let is_free = !self.sessions.contains_key(&id) && !self.finished.contains_key(&id);
            if id != NO_SESSION && id.0 != 0 && is_free {
                return id;
            }
        }
    }

    fn accept(&mut self, session: Box<Session>, start: &mut Start, out: &mut Out<P>) {
        let id = session.id;
        let peer = session.peer;
        let lane = self
            .lanes
            .entry((session.agent, session.module))
            .or_default();
        assert!(lane.sessions.len() < 2, "a lane holds at most two sessions");
        lane.sessions.push_back(id);
        // Another incarnation begins anew; within one the counter only grows.
        if session.nonce != 0 {
            lane.nonce = session.nonce;
        }
        let items = u64::from(session.size);
        self.items += items;
        let ahead = Version::from_unix_ms(
            self.clock
                .unix_ms(self.now)
                .saturating_add(FLOOR_AHEAD_MAX_MS),
        );
        let agent = self.agents.entry(session.agent).or_default();
        agent.items += items;
        agent.sessions += 1;
        agent.floor = agent.floor.max(Version(start.version_floor).min(ahead));
        self.timers
            .arm(Timer::SessionMax(id), self.now + self.config.session_max_ms);
        self.timers
            .arm(Timer::Idle(id), self.now + self.config.idle_timeout_ms);
        let info: Arc<AgentInfo> = Arc::new(start.agent.take().unwrap_or_default());
        out.push(Command::Open {
            session: id,
            agent: session.agent,
            info,
        });
        out.push(Command::Observe(Observation::SessionOpened {
            agent: session.agent,
            module: session.module,
        }));
        self.sessions.insert(session);
        self.acknowledge_start(id, peer, start, out);
    }

    fn acknowledge_start(&self, id: SessionId, peer: Peer, start: &Start, out: &mut Out<P>) {
        let ack = StartAck {
            status: Status::Ok,
            session: id.0,
            module: start.module.clone(),
            nonce: start.nonce,
            idle_timeout_ms: u32::try_from(self.config.idle_timeout_ms).unwrap_or(u32::MAX),
            max_items: self.items_per_session(),
            version: self.highest_given(peer.agent).0,
            ..StartAck::default()
        };
        out.push(Command::Reply {
            peer,
            message: Reply::StartAck(Box::new(ack)),
        });
    }

    fn refuse(&mut self, peer: Peer, start: &Start, refusal: Refusal, out: &mut Out<P>) {
        out.push(Command::Observe(Observation::StartRefused {
            agent: peer.agent,
            reason: refusal.reason,
        }));
        if refusal.status == Status::Offline && is_planted(Bug::RefusalSilent) {
            return;
        }
        let retry_after_ms = self.retry_after_ms();
        // A base peer knows Ok and Error only.
        let status = if start.protocol_version == 0 {
            Status::Error
        } else {
            refusal.status
        };
        let ack = StartAck {
            status,
            session: NO_SESSION.0,
            module: start.module.clone(),
            nonce: start.nonce,
            reason: refusal.reason,
            detail: refusal.detail,
            retry_after_ms,
            max_items: self.items_per_session(),
            version: self.highest_given(peer.agent).0,
            ..StartAck::default()
        };
        out.push(Command::Reply {
            peer,
            message: Reply::StartAck(Box::new(ack)),
        });
    }
}
