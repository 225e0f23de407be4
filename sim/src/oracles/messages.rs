//! What a shard answers to the messages of a session: items, an End, and who may not speak of it
//! (`docs/protocol.md` sections 3.2 to 4).

use inventory_sync_core::document::Run;
use inventory_sync_core::id::{Peer, SessionId};
use inventory_sync_core::manager::{Command, Reply};
use inventory_sync_core::wire::{EndAck, Reason, Status};

use super::Oracles;
use super::exchange::{Standing, is_discarded};
use super::intake::gaps;
use crate::store::Scanned;

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
            *to == peer
                && ack.status == Status::Error
                && reasons.contains(&ack.reason)
                && !ack.detail.is_empty()
        };
        let answers = end_acks(commands, session).filter(is_answer).count();
        // At the same tick its time may be up: its own, or that of its delivery.
        let of_time = [Reason::SessionTimeout, Reason::IndexerUnavailable];
        let is_over = end_acks(commands, session)
            .any(|(to, ack)| to != peer && of_time.contains(&ack.reason));
        let touches = commands.iter().any(|command| match command {
            Command::Plan { session: of, .. } => *of == session,
            Command::Discard { session: of } => *of == session && !is_over,
            _ => false,
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

    pub(super) fn judge_items(
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
        let is_left = standing == Standing::Live
            && stages.is_empty()
            && !self.exchange.fresh.is_empty()
            && !is_discarded(commands, session);
        if is_left && !self.frees_room(session) {
            let expected = format!(
                "items of session {session} are left for later when another session is about to free room"
            );
            self.fail("P-3.2 room", expected, "none is");
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

    /// Whether some other session of its shard is complete: what it holds will go.
    fn frees_room(&self, session: SessionId) -> bool {
        let shard = self.sessions.get(&session).map(|known| known.shard);
        let others = self.live.iter().filter_map(|id| self.sessions.get(id));
        others
            .filter(|known| Some(known.shard) == shard)
            .any(|known| known.planned || gaps(&known.stored).is_empty())
    }

    pub(super) fn judge_end(
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

    /// What every EndAck says beside its verdict.
    pub(super) fn judge_end_ack(
        &mut self,
        peer: Peer,
        ack: &EndAck,
        commands: &[Command<Scanned>],
    ) {
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
            let module = &self.config.catalogue.modules()[usize::from(known.birth.module.0)];
            if !is_complete
                || known.open_writes > 0
                || known.birth.is_base
                || ack.module != module.name
            {
                let expected = format!(
                    "Processing for session {session} of {} once it is complete",
                    module.name
                );
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
}
