//! What a shard takes in: gaps are asked for exactly and by themselves, connections are read again, and nobody
//! waits longer than was said (`docs/protocol.md` sections 2, 3.3 and 3.4).

use inventory_sync_core::document::Run;
use inventory_sync_core::id::{ConnectionId, Peer, SessionId};
use inventory_sync_core::manager::{Command, Reply};
use inventory_sync_core::wire::ReqRet;

use super::Oracles;
use super::exchange::{is_discarded, is_planned};
use crate::store::Scanned;

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

impl Oracles {
    /// A ReqRet lists the lowest maximal gaps, as many as there is room for.
    pub(super) fn judge_request(&mut self, peer: Peer, request: &ReqRet) {
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
    pub(super) fn judge_settled(&mut self, shard: u16, commands: &[Command<Scanned>]) {
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

    pub(super) fn judge_pause(&mut self, shard: u16, connection: ConnectionId) {
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

    /// Nobody waits longer than was said.
    pub(super) fn judge_expiry(&mut self, shard: u16, commands: &[Command<Scanned>]) {
        let (now, idle_ms) = (self.now, self.config.idle_timeout_ms);
        let longest_ms = self.config.session_max_ms + self.config.request_deadline_ms + 1_000;
        for id in &self.live {
            let Some(known) = self.sessions.get(id).filter(|known| known.shard == shard) else {
                continue;
            };
            if is_discarded(commands, *id) || is_planned(commands, *id) {
                continue;
            }
            let is_read = !self.exchange.paused.contains_key(&known.birth.connection);
            // Behind a standstill the shard hears of the time before it hears of its writes.
            let is_settled = self.exchange.settled.contains(&(shard, *id));
            let is_owed = !known.planned && known.open_writes == 0 && !is_settled && is_read;
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
}
