//! Sessions: one answer (I-1), ranges (I-6), conservation (I-7), one delivery (I-8), and no early sweep.

use std::collections::BTreeMap;
use std::rc::Rc;

use inventory_sync_core::document::Run;
use inventory_sync_core::id::{AgentId, ModuleId, Peer, SessionId, StageId, Version};
use inventory_sync_core::time::Tick;
use inventory_sync_core::wire::{EndAck, Reason, StartAck, Status};

use super::{Offer, Oracles};
use crate::trace::fold_of;

/// A session as its manager and its agent know it together.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// The shard that took it.
    pub(super) shard: u16,
    /// Its agent; known once the Start is answered.
    pub(super) owner: Option<AgentId>,
    /// What its agent put into it; known once the Start is answered.
    pub(super) offer: Option<Rc<Offer>>,
    /// Whether its manager still holds something of it.
    pub(super) open: bool,
    /// Whether its manager is gone: nothing more will be heard of it.
    pub(super) lost: bool,
    /// The sequences that were asked to be stored and did not fail.
    stored: Vec<bool>,
    /// Whether it was planned.
    planned: bool,
    /// When it was complete.
    completed_at: Tick,
    /// Its place among all complete sessions.
    pub(super) completed: Option<u64>,
    /// The version of its operations.
    pub(super) grant: Option<Version>,
    /// Its verdict, as a hash of the whole message and as told.
    verdict: Option<(u64, Status, Reason)>,
    /// When its agent was heard last.
    heard: Tick,
    /// When it was opened.
    pub(super) opened: Tick,
    /// Whether a document was refused for good by the Indexer.
    pub(super) refused: BTreeMap<crate::content::DocKey, u16>,
}

impl Session {
    /// Whether it was dispatched and not yet answered.
    pub(super) fn is_undecided(&self) -> bool {
        self.verdict.is_none() && !self.lost && self.open
    }

    /// Whether its agent heard, or will hear, how it ended.
    pub(super) fn is_answered(&self) -> bool {
        self.verdict.is_some() || self.lost
    }
}

/// What the shards of the present process hold.
#[derive(Debug, Default)]
pub(super) struct Writes {
    /// Live sessions of each shard.
    live: BTreeMap<u16, usize>,
    /// Writes to the staging store that are on their way.
    open: BTreeMap<(u16, StageId), (SessionId, Vec<Run>)>,
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
                "I-1",
                "a session id that is neither 0 nor the one for no session",
                format!("{session}"),
            );
        }
        let fresh = Session {
            shard,
            open: true,
            heard: now,
            opened: now,
            ..Session::default()
        };
        if self.sessions.insert(session, fresh).is_some() {
            self.fail(
                "I-1",
                "a session id that was never used",
                format!("session {session} is opened again"),
            );
        }
        self.counts.sessions += 1;
        let live = self.writes.live.entry(shard).or_insert(0);
        *live += 1;
        let live = *live;
        if live > sessions_max {
            self.fail(
                "I-7",
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
            let owner = *known.owner.get_or_insert(peer.agent);
            if owner != peer.agent {
                let seen = format!(
                    "session {session} of agent {owner} for agent {}",
                    peer.agent
                );
                return self.fail("I-5", "a session belongs to one agent", seen);
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
                "I-5",
                format!("a session of a Start that agent {} sent", peer.agent),
                seen,
            );
            return;
        };
        let now = self.now;
        let Some(known) = self.sessions.get_mut(&session) else {
            self.fail(
                "I-1",
                "a StartAck of an open session",
                format!("session {session} was never opened"),
            );
            return;
        };
        match &known.offer {
            None => {
                known.heard = now;
                known.stored = vec![false; offer.items.len()];
                known.offer = Some(offer);
            }
            Some(before) if *before != offer => {
                let seen = format!("session {session} for both {before:?} and {offer:?}");
                self.fail("I-1", "one session for one Start", seen);
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
    ) {
        self.heard(session);
        let Some(known) = self.sessions.get_mut(&session).filter(|known| known.open) else {
            self.fail(
                "I-6",
                "staging for an open session",
                format!("session {session} is not open"),
            );
            return;
        };
        if known.owner.is_some_and(|owner| owner >= self.hostile_from) {
            return;
        }
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
        if let Some(seen) = wrong {
            self.fail(
                "I-6",
                format!("each of the sequences 0..{size} of session {session} staged once"),
                seen,
            );
        }
        self.writes
            .open
            .insert((shard, stage), (session, fresh.to_vec()));
    }

    /// A write was answered.
    pub(crate) fn stage_answered(&mut self, shard: u16, stage: StageId, stored: bool) {
        let Some((session, fresh)) = self.writes.open.remove(&(shard, stage)) else {
            return;
        };
        if stored {
            return;
        }
        if let Some(known) = self.sessions.get_mut(&session) {
            for seq in fresh.iter().flat_map(|run| run.first..=run.last) {
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
                "I-8",
                "planning of an open session",
                format!("session {session} is not open"),
            );
            return;
        };
        if std::mem::replace(&mut known.planned, true) {
            self.fail(
                "I-8",
                "each session is delivered once",
                format!("session {session} is planned again"),
            );
            return;
        }
        let missing = known.stored.iter().position(|stored| !stored);
        let unanswered = self.writes.open.values().any(|(of, _)| *of == session);
        if let Some(seq) = missing {
            self.fail(
                "I-6",
                "only a complete session is delivered",
                format!("session {session} lacks {seq}"),
            );
        } else if unanswered {
            self.fail(
                "I-6",
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
        let owner = known.owner;
        if owner != Some(peer.agent)
            || matches!(
                ack.reason,
                Reason::SessionNotFound | Reason::IdentityMismatch
            )
        {
            // What a stranger hears about a session, or its agent on a connection that is not the session's.
            if ack.status == Status::Ok {
                self.fail(
                    "I-5",
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
                    "I-1",
                    format!("one verdict for session {session}, repeated identically"),
                    seen,
                );
            }
            return Told::Repeated;
        }
        known.verdict = Some((hash, ack.status, ack.reason));
        let (heard, opened) = (known.heard, known.opened);
        if known.completed.is_some() && known.offer.is_some() {
            let took_ms = self.now.since(known.completed_at);
            self.counts.slowest_ms = self.counts.slowest_ms.max(took_ms);
        }
        if ack.reason == Reason::SessionTimeout
            && self.now.since(heard) < self.config.idle_timeout_ms
            && self.now.since(opened) < self.config.session_max_ms
        {
            let seen = format!(
                "session {session} timed out at {}, its agent was heard at {heard}",
                self.now
            );
            self.fail("L-4", "a session that is not abandoned is not swept", seen);
        }
        self.judge_verdict(session, ack);
        Told::Verdict
    }

    /// The agents of sessions of which the manager holds something.
    pub(crate) fn open_sessions(&self) -> impl Iterator<Item = AgentId> + '_ {
        let open = self.sessions.values().filter(|known| known.open);
        open.filter_map(|known| known.owner)
    }

    /// A shard forgets what it holds of a session.
    pub(crate) fn discarded(&mut self, session: SessionId) {
        match self.sessions.get_mut(&session) {
            Some(known) if known.open => {
                known.open = false;
                let live = self.writes.live.entry(known.shard).or_insert(0);
                *live = live.saturating_sub(1);
            }
            Some(_) | None => {
                self.fail(
                    "I-7",
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
        for known in self.sessions.values_mut() {
            known.open = false;
            known.lost |= known.verdict.is_none();
        }
    }
}
