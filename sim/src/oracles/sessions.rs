//! Sessions: one answer (I-1), ranges (I-6), conservation (I-7), one delivery (I-8), and no early sweep.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use inventory_sync_core::document::{Class, Run};
use inventory_sync_core::id::{AgentId, ConnectionId, ModuleId, Peer, SessionId, StageId, Version};
use inventory_sync_core::time::Tick;
use inventory_sync_core::wire::{EndAck, Reason, StartAck, Status};

use super::exchange::Birth;
use super::intake::gaps;
use super::{Offer, Oracles};
use crate::content::DocKey;
use crate::trace::fold_of;

/// A session as its manager and its agent know it together.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// The shard that took it.
    pub(super) shard: u16,
    /// Whose it is, and what its Start announced.
    pub(super) birth: Birth,
    /// What its agent put into it; known once the Start is answered.
    pub(super) offer: Option<Rc<Offer>>,
    /// Whether its manager still holds something of it.
    pub(super) open: bool,
    /// Whether its manager is gone: nothing more will be heard of it.
    pub(super) lost: bool,
    /// Whether its manager is gone, answered or not.
    pub(super) gone: bool,
    /// The sequences that were asked to be stored and did not fail.
    pub(super) stored: Vec<bool>,
    /// Writes of it that are not answered.
    pub(super) open_writes: u32,
    /// Whether a write of it failed since it was asked for gaps.
    pub(super) reopened: bool,
    /// Whether an End of it arrived.
    pub(super) end_received: bool,
    /// The gaps that its agent was last asked for.
    pub(super) listed: Vec<Run>,
    /// Whether it was planned.
    pub(super) planned: bool,
    /// Its place among all complete sessions.
    pub(super) completed: Option<u64>,
    pub(super) completed_at: Tick,
    /// When something of its delivery was decided last, and whether it stood still for its deadline before that.
    pub(super) progressed: Option<Tick>,
    pub(super) stood_still: bool,
    /// The version of its operations.
    pub(super) grant: Option<Version>,
    /// Its verdict, as a hash of the whole message and as told.
    verdict: Option<(u64, Status, Reason)>,
    /// The same, whole.
    pub(super) told: Option<Rc<EndAck>>,
    /// When its agent was heard last.
    heard: Tick,
    /// When it was opened.
    pub(super) opened: Tick,
    /// When its idle limit began anew.
    pub(super) touched: Tick,
    /// Documents that its shard heard to be refused for good.
    pub(super) refused_for_good: BTreeSet<DocKey>,
    /// The documents of its operations, by class and number.
    pub(super) keys: BTreeMap<(Class, u32), DocKey>,
    /// Documents that the Indexer refused, with the status; perhaps nobody heard of it.
    pub(super) refused: BTreeMap<DocKey, u16>,
}

impl Session {
    /// The parts of a run that are neither stored nor being stored.
    pub(super) fn unstored(&self, run: Run) -> Vec<Run> {
        if self.planned {
            return Vec::new();
        }
        let (first, last) = (run.first as usize, run.last as usize);
        let within = self
            .stored
            .get(first..=last.min(self.stored.len().saturating_sub(1)));
        let mut parts = gaps(within.unwrap_or_default());
        for part in &mut parts {
            part.first += run.first;
            part.last += run.first;
        }
        parts
    }

    /// When something of its delivery was decided last, or else when it began.
    pub(super) fn stands_since(&self) -> Tick {
        self.progressed.unwrap_or(self.completed_at)
    }

    /// Whether its delivery stands still for its deadline, or did so before.
    pub(super) fn has_stood_still(&self, now: Tick, deadline_ms: u64) -> bool {
        self.stood_still || now.since(self.stands_since()) >= deadline_ms
    }

    /// Whether it was dispatched and not yet answered.
    pub(super) fn is_undecided(&self) -> bool {
        self.verdict.is_none() && !self.lost && self.open
    }

    /// Whether its agent heard, or will hear, how it ended.
    pub(super) fn is_answered(&self) -> bool {
        self.verdict.is_some() || self.lost
    }
}

/// Most sequences of a session that are followed.
const STORED_MAX: usize = 1 << 20;

/// What the shards of the present process hold.
#[derive(Debug, Default)]
pub(super) struct Writes {
    /// Live sessions of each shard.
    live: BTreeMap<u16, usize>,
    /// Writes to the staging store that are on their way.
    open: BTreeMap<(u16, StageId), OpenWrite>,
}

/// A write that is on its way.
#[derive(Debug)]
struct OpenWrite {
    session: SessionId,
    fresh: Vec<Run>,
    connection: ConnectionId,
    bytes: u64,
}

/// What a reply to an End told, for the summary and for the agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Not a verdict, or none of a session.
    Nothing,
    /// The first telling of a verdict.
    Verdict,
    /// The same verdict again.
    Repeated,
}

impl Oracles {
    /// A shard opens a session.
    pub(crate) fn opened(&mut self, shard: u16, session: SessionId) {
        let (now, sessions_max) = (self.now, self.config.sessions_max);
        if session == SessionId(0) || session == inventory_sync_core::id::NO_SESSION {
            self.fail(
                "I-1 one answer",
                "a session id that is neither 0 nor the one for no session",
                format!("{session}"),
            );
        }
        let birth = self.exchange.births.remove(&session).unwrap_or_default();
        let fresh = Session {
            shard,
            open: true,
            heard: now,
            opened: now,
            touched: now,
            // No shard of a simulated world takes more: what it announces is bounded by its quota.
            stored: vec![false; usize::try_from(birth.size).unwrap_or(0).min(STORED_MAX)],
            birth,
            ..Session::default()
        };
        if self.sessions.insert(session, fresh).is_some() {
            self.fail(
                "I-1 one answer",
                "a session id that was never used",
                format!("session {session} is opened again"),
            );
        }
        self.counts.sessions += 1;
        self.live.insert(session);
        let live = self.writes.live.entry(shard).or_insert(0);
        *live += 1;
        let live = *live;
        if live > sessions_max {
            self.fail(
                "I-7 quota",
                format!("at most {sessions_max} live sessions"),
                format!("{live} in shard {shard}"),
            );
        }
    }

    /// A Start was answered.
    pub(crate) fn start_answered(&mut self, peer: Peer, module: Option<ModuleId>, ack: &StartAck) {
        if ack.status != Status::Ok {
            return;
        }
        let session = SessionId(ack.session);
        if let Some(known) = self.sessions.get_mut(&session) {
            let owner = known.birth.agent;
            if owner != peer.agent {
                let seen = format!(
                    "session {session} of agent {owner} for agent {}",
                    peer.agent
                );
                return self.fail("I-5 identity", "a session belongs to one agent", seen);
            }
            if self.is_hostile(owner) {
                return;
            }
        }
        let offer = module
            .and_then(|module| self.offers.get(&(peer.agent, module, ack.nonce)))
            .cloned();
        let Some(offer) = offer else {
            let seen = format!(
                "session {session} with nonce {:x} of {:?}",
                ack.nonce, ack.module
            );
            self.fail(
                "I-5 identity",
                format!("a session of a Start that agent {} sent", peer.agent),
                seen,
            );
            return;
        };
        let now = self.now;
        let Some(known) = self.sessions.get_mut(&session) else {
            self.fail(
                "I-1 one answer",
                "a StartAck of an open session",
                format!("session {session} was never opened"),
            );
            return;
        };
        match &known.offer {
            None => {
                known.heard = now;
                known.offer = Some(offer);
            }
            Some(before) if *before != offer => {
                let seen = format!("session {session} for both {before:?} and {offer:?}");
                self.fail("I-1 one answer", "one session for one Start", seen);
            }
            Some(_) => {}
        }
    }

    /// A session's agent was heard: something of it arrived that was new.
    pub(crate) fn heard(&mut self, session: SessionId) {
        let now = self.now;
        if let Some(known) = self.sessions.get_mut(&session) {
            known.heard = now;
        }
    }

    /// A shard asks to store a frame.
    pub(crate) fn staged(
        &mut self,
        shard: u16,
        stage: StageId,
        session: SessionId,
        key: u32,
        fresh: &[Run],
        bytes: u64,
    ) {
        self.heard(session);
        let Some(known) = self.sessions.get_mut(&session).filter(|known| known.open) else {
            self.fail(
                "I-6 staging",
                "staging for an open session",
                format!("session {session} is not open"),
            );
            return;
        };
        let size = known.stored.len();
        let mut wrong = None;
        if fresh.first().is_none_or(|run| run.first != key) {
            wrong = Some(format!("key {key} is not the lowest of {fresh:?}"));
        }
        for seq in fresh.iter().flat_map(|run| run.first..=run.last) {
            match known.stored.get_mut(seq as usize) {
                None => wrong = Some(format!("sequence {seq}")),
                Some(stored) if *stored => wrong = Some(format!("sequence {seq} a second time")),
                Some(stored) => *stored = true,
            }
        }
        known.open_writes += 1;
        let connection = known.birth.connection;
        if let Some(seen) = wrong {
            self.fail(
                "I-6 staging",
                format!("each of the sequences 0..{size} of session {session} staged once"),
                seen,
            );
        }
        let write = OpenWrite {
            session,
            fresh: fresh.to_vec(),
            connection,
            bytes,
        };
        self.writes.open.insert((shard, stage), write);
    }

    /// A write was answered.
    pub(crate) fn stage_answered(&mut self, shard: u16, stage: StageId, stored: bool) {
        let Some(write) = self.writes.open.remove(&(shard, stage)) else {
            return;
        };
        if let Some(open) = self.exchange.open_bytes.get_mut(&write.connection) {
            *open = open.saturating_sub(write.bytes);
        }
        self.exchange.settled.push((shard, write.session));
        if let Some(known) = self.sessions.get_mut(&write.session) {
            known.open_writes = known.open_writes.saturating_sub(1);
            if stored {
                return;
            }
            known.reopened = true;
            for seq in write.fresh.iter().flat_map(|run| run.first..=run.last) {
                if let Some(stored) = known.stored.get_mut(seq as usize) {
                    *stored = false;
                }
            }
        }
    }

    /// A session enters its delivery.
    pub(crate) fn planned(&mut self, session: SessionId) {
        self.complete(session);
        let Some(known) = self.sessions.get_mut(&session).filter(|known| known.open) else {
            self.fail(
                "I-8 single run",
                "planning of an open session",
                format!("session {session} is not open"),
            );
            return;
        };
        if std::mem::replace(&mut known.planned, true) {
            self.fail(
                "I-8 single run",
                "each session is delivered once",
                format!("session {session} is planned again"),
            );
            return;
        }
        let missing = known.stored.iter().position(|stored| !stored);
        let unanswered = self
            .writes
            .open
            .values()
            .any(|write| write.session == session);
        if let Some(seq) = missing {
            self.fail(
                "I-6 staging",
                "only a complete session is delivered",
                format!("session {session} lacks {seq}"),
            );
        } else if unanswered {
            self.fail(
                "I-6 staging",
                "a session is complete when its writes are answered",
                format!("session {session}"),
            );
        }
    }

    /// A session is complete: its place among the sessions is fixed.
    fn complete(&mut self, session: SessionId) {
        if let Some(known) = self.sessions.get_mut(&session)
            && known.completed.is_none()
        {
            self.completions += 1;
            known.completed = Some(self.completions);
            known.completed_at = self.now;
        }
    }

    /// A reply that may be a verdict.
    pub(crate) fn end_answered(&mut self, peer: Peer, ack: &EndAck) -> Told {
        let session = SessionId(ack.session);
        let Some(known) = self.sessions.get(&session) else {
            return Told::Nothing;
        };
        let owner = known.birth.agent;
        if owner != peer.agent
            || matches!(
                ack.reason,
                Reason::SessionNotFound | Reason::IdentityMismatch
            )
        {
            // What a stranger hears about a session, or its agent on a connection that is not the session's.
            if ack.status == Status::Ok {
                self.fail(
                    "I-5 identity",
                    "a verdict only to the session's agent",
                    format!("{ack:?} to {peer:?}"),
                );
            }
            return Told::Nothing;
        }
        if ack.status == Status::Processing {
            self.complete(session);
            return Told::Nothing;
        }
        let hash = fold_of(ack);
        let known = self.sessions.entry(session).or_default();
        if let Some((before, status, reason)) = known.verdict {
            if before != hash {
                let seen = format!("first {status}/{reason}, now {ack:?}");
                self.fail(
                    "I-1 one answer",
                    format!("one verdict for session {session}, repeated identically"),
                    seen,
                );
            }
            return Told::Repeated;
        }
        known.verdict = Some((hash, ack.status, ack.reason));
        known.told = Some(Rc::new(ack.clone()));
        self.deliveries.decided(session);
        self.turns.decided(session);
        let (heard, opened, planned) = (known.heard, known.opened, known.planned);
        let connection = known.birth.connection;
        if planned {
            let wait_ms = self.now.since(known.completed_at);
            let longest_ms = &mut self.economy.longest_wait_ms;
            *longest_ms = wait_ms.max(*longest_ms);
        }
        let lane = (known.birth.agent, known.birth.module);
        let verdict = (session, self.now);
        self.exchange
            .finished
            .entry(lane)
            .or_default()
            .push_back(verdict);
        // What is not read cannot be heard.
        let is_unread = self.exchange.paused.contains_key(&connection);
        if ack.reason == Reason::SessionTimeout
            && (planned || is_unread || self.now.since(heard) < self.config.idle_timeout_ms)
            && self.now.since(opened) < self.config.session_max_ms
        {
            let seen = format!(
                "session {session} timed out at {}, its agent was heard at {heard}",
                self.now
            );
            self.fail(
                "L-4 early sweep",
                "a session that is not abandoned is not swept",
                seen,
            );
        }
        self.judge_verdict(session, ack);
        self.judge_given_up(session, ack);
        Told::Verdict
    }

    /// The agents of sessions of which the manager holds something.
    pub(crate) fn open_sessions(&self) -> impl Iterator<Item = AgentId> + '_ {
        let open = self.sessions.values().filter(|known| known.open);
        open.map(|known| known.birth.agent)
    }

    /// A shard forgets what it holds of a session.
    pub(crate) fn discarded(&mut self, session: SessionId) {
        self.loads.forget(session);
        match self.sessions.get_mut(&session) {
            Some(known) if known.open => {
                known.open = false;
                self.live.remove(&session);
                let live = self.writes.live.entry(known.shard).or_insert(0);
                *live = live.saturating_sub(1);
            }
            Some(_) | None => {
                self.fail(
                    "I-7 quota",
                    "an open session is discarded once",
                    format!("session {session} is not open"),
                );
            }
        }
    }

    /// The manager's process is gone.
    pub(crate) fn manager_gone(&mut self) {
        self.writes = Writes::default();
        self.versions.process_gone();
        self.exchange = super::exchange::Exchange::default();
        self.deliveries = super::deliveries::Deliveries::default();
        self.live.clear();
        self.loads = super::loads::Loads::default();
        self.splits = super::splits::Splits::default();
        self.turns = super::turns::Turns::default();
        self.coordinator_gone();
        for known in self.sessions.values_mut() {
            known.gone = true;
            known.open = false;
            known.lost |= known.verdict.is_none();
        }
    }
}
