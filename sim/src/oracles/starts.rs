//! The answer to a Start: what it echoes, what it opens, and whether a refusal is true (`docs/protocol.md`
//! section 3.1).

use inventory_sync_core::id::{AgentId, NO_SESSION, SessionId, Version};
use inventory_sync_core::manager::{Command, Reply};
use inventory_sync_core::wire::{Reason, StartAck, Status};

use super::Oracles;
use super::exchange::{Birth, Heard, is_discarded};
use crate::store::Scanned;

/// Whether a shard answers a Start with this.
pub(crate) fn is_start_ack(command: &Command<Scanned>) -> bool {
    matches!(
        command,
        Command::Reply {
            message: Reply::StartAck(_),
            ..
        }
    )
}

impl Oracles {
    pub(super) fn judge_start(&mut self, shard: u16, heard: &Heard, commands: &[Command<Scanned>]) {
        let Heard::Start {
            peer,
            nonce,
            module,
            size,
            is_base,
            floor,
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
        let given = self.highest_given(peer.agent);
        let is_right = ack.nonce == *nonce
            && ack.module == *module
            && ack.max_items == most
            && ack.version >= given.0
            && is_ok == (ack.session != NO_SESSION.0)
            && is_ok == (ack.reason == Reason::None)
            && is_ok == ack.detail.is_empty()
            && (!is_ok || u64::from(ack.idle_timeout_ms) == self.config.idle_timeout_ms)
            && (is_ok || (base..=base.saturating_mul(2)).contains(&ack.retry_after_ms))
            && (!is_base || matches!(ack.status, Status::Ok | Status::Error));
        if !is_right {
            let expected = format!(
                "an answer to nonce {nonce:x} of {module:?}, at most {most} items, a version from {given} on"
            );
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
            floor: *floor,
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
        let before = self.exchange.by_nonce.get(&key).copied();
        let before = before.filter(|before| self.is_known(*before));
        if let Some(before) = before.filter(|before| nonce != 0 && *before != session) {
            let expected = format!("session {before} once more for the same Start");
            self.fail("I-1 one answer", expected, format!("session {session}"));
        }
        if opens {
            self.judge_counter(nonce, birth);
            let lane = (birth.agent, birth.module);
            self.exchange.last_opened.insert(lane, (nonce, session));
            self.exchange.births.insert(session, birth);
            self.exchange.by_nonce.insert(key, session);
        } else if let Some(known) = self.sessions.get_mut(&session)
            && known.birth.connection < birth.connection
        {
            known.birth.connection = birth.connection;
            known.touched = self.now;
        }
    }

    /// Whether its shard must know a session: it is open, or its verdict must be remembered.
    fn is_known(&self, session: SessionId) -> bool {
        let known = self.sessions.get(&session);
        known.is_some_and(|known| known.open) || self.is_remembered(session)
    }

    /// A Start that comes late, from before a session that its lane still knows, opens nothing. Who does not count says
    /// 0.
    fn judge_counter(&mut self, nonce: u64, birth: Birth) {
        let lane = (birth.agent, birth.module);
        let Some((last, session)) = self.exchange.last_opened.get(&lane).copied() else {
            return;
        };
        let is_counted = nonce != 0;
        if self.is_known(session) && is_counted && nonce >> 32 == last >> 32 && nonce < last {
            let expected =
                format!("a nonce from {last:x} on, that of session {session}, opens a session");
            self.fail("P-3.1 counter", expected, format!("{nonce:x} does"));
        }
    }

    /// The highest version that sessions under way have of those given to an agent: without any, a shard
    /// may have forgotten it.
    fn highest_given(&self, agent: AgentId) -> Version {
        let live = self.live.iter().filter_map(|id| self.sessions.get(id));
        live.filter(|known| known.birth.agent == agent)
            .filter_map(|known| known.grant)
            .max()
            .unwrap_or_default()
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
        // A limit that ends at this very tick ends sessions behind the answer: they still counted.
        let answered = commands.iter().position(is_start_ack);
        let before = &commands[..answered.unwrap_or(commands.len())];
        let live = self
            .live
            .iter()
            .filter(|id| !is_discarded(before, **id))
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
        let slice = self.exchange.items_max.get(&shard).copied();
        let items_max = slice.unwrap_or(limits.items_max);
        let is_true = match ack.reason {
            Reason::AgentBusy => lane >= 2,
            _ => {
                sessions >= limits.sessions_max
                    || items + birth.size > items_max
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
