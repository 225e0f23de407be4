//! What operators are told of a shard: each fact that is counted has happened, once, to whom it says:
//! for a count that is wrong, or an alarm that is missing, is found by nobody else.

use inventory_sync_core::id::{NO_SESSION, Peer, SessionId};
use inventory_sync_core::manager::{Command, Observation, Reply};
use inventory_sync_core::wire::{EndAck, Reason, Status};

use super::Oracles;
use super::exchange::{Heard, Standing, is_discarded};
use crate::store::Scanned;

/// Facts that are counted here: the others are about requests, which their own oracles follow.
const fn is_judged(observation: &Observation) -> bool {
    matches!(
        observation,
        Observation::SessionOpened { .. }
            | Observation::StartRefused { .. }
            | Observation::SessionEnded { .. }
            | Observation::UnknownSession { .. }
            | Observation::IdentityMismatch { .. }
            | Observation::BadFrame { .. }
            | Observation::Duplicates { .. }
    )
}

impl Oracles {
    /// What is observed of this event, and nothing else.
    pub(super) fn judge_observations(&mut self, heard: &Heard, commands: &[Command<Scanned>]) {
        let mut seen: Vec<Observation> = commands
            .iter()
            .filter_map(|command| match command {
                Command::Observe(observation) if is_judged(observation) => {
                    Some(observation.clone())
                }
                _ => None,
            })
            .collect();
        if self.is_open_to_either(heard) {
            return;
        }
        let mut due = Vec::new();
        self.due_for(heard, commands, &mut due);
        for command in commands {
            if let Command::Reply {
                peer,
                message: Reply::EndAck(ack),
            } = command
            {
                self.due_for_verdict(*peer, ack, commands, &mut due);
            }
        }
        for observation in &mut seen {
            self.without_counts(observation);
        }
        for observation in due {
            match seen.iter().position(|other| *other == observation) {
                Some(place) => {
                    seen.swap_remove(place);
                }
                None => {
                    let expected = format!("{observation:?} is counted");
                    return self.fail("O-14 observations", expected, format!("{commands:?}"));
                }
            }
        }
        if let Some(more) = seen.first() {
            let expected = format!("what has happened is counted: {heard:?}");
            self.fail("O-14 observations", expected, format!("{more:?}"));
        }
    }

    /// Of a session that ended long ago a shard may know or not; and a hostile frame for a session that is being
    /// delivered may be wrong, which shows only when its requests are answered.
    fn is_open_to_either(&self, heard: &Heard) -> bool {
        match heard {
            Heard::Items {
                peer,
                session,
                standing,
                ..
            } => match standing {
                Standing::Forgettable => true,
                Standing::Live => {
                    let known = self.sessions.get(session);
                    self.is_hostile(peer.agent) && known.is_some_and(|known| known.planned)
                }
                _ => false,
            },
            Heard::End { standing, .. } => *standing == Standing::Forgettable,
            _ => false,
        }
    }

    fn due_for(&self, heard: &Heard, commands: &[Command<Scanned>], due: &mut Vec<Observation>) {
        match heard {
            Heard::Start { peer, module, .. } => self.due_for_start(*peer, module, commands, due),
            Heard::Items {
                peer,
                session,
                standing,
                items,
                ..
            } => {
                due.extend(stranger(*peer, *session, *standing));
                let repeated = match standing {
                    Standing::Finished => *items,
                    // A frame that is wrong ends its session, and nothing of it counts.
                    Standing::Live if !is_wrong(*peer, *session, commands) => {
                        let fresh: u64 = self.exchange.fresh.iter().map(|run| run.count()).sum();
                        items.saturating_sub(fresh)
                    }
                    _ => 0,
                };
                if repeated > 0 || *standing == Standing::Finished {
                    due.push(Observation::Duplicates { items: repeated });
                }
            }
            Heard::End {
                peer,
                session,
                standing,
            } => due.extend(stranger(*peer, *session, *standing)),
            Heard::BadFrame(peer, flaw) => due.push(Observation::BadFrame {
                agent: peer.agent,
                flaw: *flaw,
            }),
            Heard::Hello(_) | Heard::Staged | Heard::Time | Heard::Other => {}
        }
    }

    fn due_for_start(
        &self,
        peer: Peer,
        module: &str,
        commands: &[Command<Scanned>],
        due: &mut Vec<Observation>,
    ) {
        let agent = peer.agent;
        let opens = commands
            .iter()
            .any(|command| matches!(command, Command::Open { .. }));
        if opens && let Some(module) = self.config.catalogue.module(module) {
            due.push(Observation::SessionOpened { agent, module });
        }
        for command in commands {
            if let Command::Reply {
                message: Reply::StartAck(ack),
                ..
            } = command
                && ack.status != Status::Ok
            {
                let reason = ack.reason;
                due.push(Observation::StartRefused { agent, reason });
                if reason == Reason::IdentityMismatch {
                    let session = NO_SESSION;
                    due.push(Observation::IdentityMismatch { agent, session });
                }
            }
        }
    }

    /// The end of a session is counted with what it was.
    fn due_for_verdict(
        &self,
        peer: Peer,
        ack: &EndAck,
        commands: &[Command<Scanned>],
        due: &mut Vec<Observation>,
    ) {
        let session = SessionId(ack.session);
        let is_verdict = ack.status != Status::Processing && is_discarded(commands, session);
        let Some(known) = self.sessions.get(&session) else {
            return;
        };
        let is_its_peer =
            peer.agent == known.birth.agent && peer.connection == known.birth.connection;
        if !is_verdict || !known.open || !is_its_peer {
            return;
        }
        let delivery_ms = if known.planned {
            self.now.since(known.completed_at)
        } else {
            0
        };
        due.push(Observation::SessionEnded {
            session,
            agent: known.birth.agent,
            module: known.birth.module,
            status: ack.status,
            reason: ack.reason,
            items: known.birth.size,
            failed: 0,
            unchanged: 0,
            duration_ms: self.now.since(known.opened),
            delivery_ms,
        });
    }

    /// What only the session's own oracles know is left out; a base peer hears Error for every failure.
    fn without_counts(&self, observation: &mut Observation) {
        if let Observation::SessionEnded {
            session,
            status,
            failed,
            unchanged,
            ..
        } = observation
        {
            let known = self.sessions.get(session);
            let is_base = known.is_some_and(|known| known.birth.is_base);
            if is_base && *status == Status::Offline {
                *status = Status::Error;
            }
            *failed = 0;
            *unchanged = 0;
        }
    }
}

/// How a message about a session that is not its sender's is counted.
fn stranger(peer: Peer, session: SessionId, standing: Standing) -> Option<Observation> {
    let agent = peer.agent;
    match standing {
        Standing::Unknown => Some(Observation::UnknownSession { agent }),
        Standing::Foreign => Some(Observation::IdentityMismatch { agent, session }),
        Standing::Elsewhere | Standing::Live | Standing::Finished | Standing::Forgettable => None,
    }
}

/// Whether a frame ends its session by what is wrong with it.
fn is_wrong(peer: Peer, session: SessionId, commands: &[Command<Scanned>]) -> bool {
    commands.iter().any(|command| {
        matches!(
            command,
            Command::Reply { peer: to, message: Reply::EndAck(ack) }
                if *to == peer && ack.session == session.0 && matches!(
                    ack.reason,
                    Reason::InvalidMessage | Reason::SequenceOutOfRange | Reason::InvalidOperation
                )
        )
    })
}
