//! The agent's rules: nonces grow, a failure is followed by a wait, and a row leaves the outbox only by a
//! verdict on the session that carried it (`docs/protocol.md` sections 3.1 and 4).

use std::collections::{BTreeMap, BTreeSet};

use inventory_sync_core::agent::{Acknowledgement, Answer, Command, Message};
use inventory_sync_core::id::{AgentId, ModuleId, SessionId};
use inventory_sync_core::time::Tick;
use inventory_sync_core::wire::{EndAck, Reason, Status};

use super::{Body, Offer, Oracles};
use crate::content::{Content, DocKey};
use crate::network::Packet;

/// Most of a manager's `retry_after_ms` that an agent believes.
const RETRY_AFTER_MAX_MS: u64 = 3_600_000;

/// What each module of each agent has said and heard.
#[derive(Debug, Default)]
pub(super) struct Agents {
    lanes: BTreeMap<(AgentId, ModuleId), Lane>,
    /// Two machines share such an identity: neither knows what the other says and hears.
    cloned: BTreeSet<AgentId>,
}

#[derive(Debug, Default)]
struct Lane {
    /// The nonce of the last session.
    nonce: u64,
    /// Whether that session's Start was answered.
    is_started: bool,
    /// The last session that an answer was heard of.
    session: Option<SessionId>,
    /// Whether its end was heard.
    is_over: bool,
    /// No session begins before this tick.
    not_before: Tick,
}

/// What an outbox holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held<'a> {
    pub(crate) wanted: &'a BTreeMap<DocKey, Content>,
    pub(crate) pending: &'a BTreeMap<DocKey, Body>,
    pub(crate) quarantined: &'a BTreeMap<DocKey, Body>,
}

impl Oracles {
    /// An agent was given frames with rows: it sends all of them, or none when nobody waits for them any more.
    pub(crate) fn judge_load(&mut self, loaded: usize, commands: &[Command<Packet>]) {
        let sends = |command: &&Command<Packet>| {
            matches!(
                command,
                Command::Send {
                    message: Message::Data(_),
                    ..
                }
            )
        };
        let sent = commands.iter().filter(sends).count();
        if sent != 0 && sent != loaded {
            let expected = format!("all {loaded} frames of a load, or none");
            self.fail("P-3 rows", expected, format!("{sent} are sent"));
        }
    }

    /// A module is about to open a session.
    pub(super) fn judge_offer(&mut self, offer: &Offer) {
        if self.agents.cloned.contains(&offer.agent) {
            return;
        }
        let now = self.now;
        let key = (offer.agent, offer.module);
        let lane = self.agents.lanes.entry(key).or_default();
        let (before, not_before) = (lane.nonce, lane.not_before);
        lane.nonce = offer.nonce;
        lane.is_started = false;
        lane.is_over = false;
        lane.session = None;
        if before >> 32 == offer.nonce >> 32 && offer.nonce <= before {
            let expected = format!("a nonce above {before:x} for a new session of {key:?}");
            self.fail("R-1 nonce", expected, format!("{:x}", offer.nonce));
        }
        if now < not_before {
            let expected = format!("no session of {key:?} before {not_before}");
            self.fail("R-2 backoff", expected, format!("one begins at {now}"));
        }
    }

    /// A second machine speaks under an agent's identity.
    pub(crate) fn cloned(&mut self, agent: AgentId) {
        self.agents.cloned.insert(agent);
    }

    /// The processes of an agent are gone, and what they waited for.
    pub(crate) fn agent_gone(&mut self, agent: AgentId) {
        for ((of, _), lane) in &mut self.agents.lanes {
            if *of == agent {
                lane.not_before = Tick(0);
                lane.session = None;
                lane.is_over = true;
            }
        }
    }

    /// A session of a module has failed: the next one begins after half of `backoff_base_ms` at the earliest,
    /// which is 0 where its job is given up.
    pub(crate) fn rolled_back(&mut self, agent: AgentId, module: ModuleId, backoff_base_ms: u64) {
        let until = self.now + backoff_base_ms / 2;
        let lane = self.agents.lanes.entry((agent, module)).or_default();
        // What is heard of that session from now on is stale.
        lane.is_started = true;
        lane.is_over = true;
        lane.not_before = lane.not_before.max(until);
    }

    /// A module hears an answer of the manager.
    pub(crate) fn agent_hears(&mut self, agent: AgentId, module: ModuleId, answer: &Answer) {
        let now = self.now;
        let Some(lane) = self.agents.lanes.get_mut(&(agent, module)) else {
            return;
        };
        let mut waits_ms = None;
        match answer {
            Answer::StartAck(ack) if ack.nonce == lane.nonce && !lane.is_started => {
                lane.is_started = true;
                match ack.status {
                    Status::Ok => lane.session = Some(SessionId(ack.session)),
                    _ => waits_ms = Some(ack.retry_after_ms),
                }
            }
            Answer::EndAck(ack)
                if lane.session == Some(SessionId(ack.session))
                    && !lane.is_over
                    && ack.status != Status::Processing =>
            {
                lane.is_over = true;
                let acknowledges =
                    ack.status == Status::Ok || ack.reason == Reason::PartiallyRejected;
                waits_ms = (!acknowledges).then_some(ack.retry_after_ms);
            }
            _ => {}
        }
        if let Some(waits_ms) = waits_ms {
            let until = now + u64::from(waits_ms).min(RETRY_AFTER_MAX_MS);
            lane.not_before = lane.not_before.max(until);
        }
    }

    /// A module is about to make a verdict durable: it is the verdict on the rows that it offered last.
    pub(crate) fn committed(&mut self, agent: AgentId, module: ModuleId, rows: &Acknowledgement) {
        if self.agents.cloned.contains(&agent) {
            return;
        }
        let session = rows.session;
        let nonce = self
            .agents
            .lanes
            .get(&(agent, module))
            .map_or(0, |lane| lane.nonce);
        let known = self.sessions.get(&session);
        let told = known.and_then(|known| known.told.clone());
        let offer = known.and_then(|known| known.offer.clone());
        let (Some(told), Some(offer)) = (told, offer) else {
            let expected = format!("rows of agent {agent} are acknowledged by a verdict");
            let seen = format!("session {session} has none");
            return self.fail("O-5 conservation", expected, seen);
        };
        if (offer.agent, offer.module, offer.nonce) != (agent, module, nonce) {
            let expected = format!("the session of nonce {nonce:x} of agent {agent} acknowledges");
            let seen = format!(
                "session {session} of agent {}, nonce {:x}",
                offer.agent, offer.nonce
            );
            return self.fail("O-5 conservation", expected, seen);
        }
        let wrong = (0_u32..)
            .zip(&offer.items)
            .map(|(seq, _)| seq)
            .find(|seq| rows.covers(*seq) != is_acknowledged(&told, *seq));
        let kept = |seq: u64| rows.failed.iter().find(|row| u64::from(row.seq) == seq);
        let changed = told
            .failed
            .iter()
            .find(|item| kept(item.seq).is_none_or(|row| row.retryable != item.retryable));
        if let Some(seq) = wrong {
            let expected = format!("row {seq} of session {session} as its verdict says: {told:?}");
            self.fail("O-5 conservation", expected, format!("{rows:?}"));
        } else if let Some(item) = changed {
            let expected = format!("{item:?} of session {session} is kept as failed");
            self.fail("O-5 conservation", expected, format!("{rows:?}"));
        }
    }

    /// Each row is acknowledged as it is, or pending, in flight or set aside.
    pub(crate) fn conserved(&mut self, agent: AgentId, module: ModuleId, held: Held<'_>) {
        if self.agents.cloned.contains(&agent) {
            return;
        }
        let is_kept =
            |key: &DocKey| held.pending.contains_key(key) || held.quarantined.contains_key(key);
        let own = &self.config.catalogue.modules()[usize::from(module.0)].indices;
        let lost = held
            .wanted
            .iter()
            .filter(|(key, _)| !is_kept(key))
            .find(|(key, content)| self.last_told(**key) != Some(**content))
            .map(|(key, content)| (*key, Some(*content)));
        let ghost = || {
            let told = self.documents.acknowledged.keys().filter(|key| {
                key.agent() == agent
                    && own.contains(&key.index())
                    && !held.wanted.contains_key(key)
                    && !is_kept(key)
            });
            told.copied()
                .find(|key| self.last_told(*key).is_some())
                .map(|key| (key, None))
        };
        if let Some((key, content)) = lost.or_else(ghost) {
            let expected =
                format!("{key:?}, which is {content:?}, is acknowledged so or waits to be offered");
            let seen = format!("told of it: {:?}", self.last_told(key));
            self.fail("O-5 conservation", expected, seen);
        }
    }

    /// What an agent was last told to be stored of a document.
    fn last_told(&self, key: DocKey) -> Option<Content> {
        let own = self.documents.acknowledged.get(&key);
        let whole = self.documents.replaced.get(&(key.agent(), key.index()));
        match (own, whole) {
            (Some((own, _)), Some(whole)) if own.order < whole.order => None,
            (Some((_, content)), _) => *content,
            (None, _) => None,
        }
    }
}

/// Whether a verdict lets its agent forget a row (`docs/protocol.md` section 4).
fn is_acknowledged(verdict: &EndAck, seq: u32) -> bool {
    let seq = u64::from(seq);
    match (verdict.status, verdict.reason) {
        (Status::Ok, _) => true,
        (Status::Error, Reason::PartiallyRejected) => {
            let last = verdict.failed.last().map_or(0, |item| item.seq);
            let is_listed = verdict.failed.iter().any(|item| item.seq == seq);
            !is_listed && (!verdict.failed_more || seq < last)
        }
        _ => false,
    }
}
