//! Connections: who may be paused or closed, and when.

use std::sync::Arc;

use super::{Command, ConnectionKind, FrameFlaw, Manager, Observation, Out, Reply, Timer};
use crate::bug::{Bug, is_planted};
use crate::id::{ConnectionId, NO_SESSION, Peer};
use crate::wire::{EndAck, Hello, PROTOCOL_VERSION, Reason, Status};

/// An open connection.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) kind: ConnectionKind,
    /// Bytes of its frames that are being stored.
    pub(super) open_bytes: u64,
    /// We asked not to read it.
    pub(super) paused: bool,
    bad_frames: u32,
    closing: bool,
}

impl<P> Manager<P> {
    pub(super) fn on_opened(&mut self, connection: ConnectionId, kind: ConnectionKind) {
        self.connections.insert(
            connection,
            Connection {
                kind,
                open_bytes: 0,
                paused: false,
                bad_frames: 0,
                closing: false,
            },
        );
    }

    /// Its sessions go on: a closed connection counts as read, so their idle timers run.
    pub(super) fn on_closed(&mut self, connection: ConnectionId) {
        if is_planted(Bug::ConnectionKept) {
            return;
        }
        let was_paused = self
            .connections
            .remove(&connection)
            .is_some_and(|gone| gone.paused);
        if was_paused {
            self.wake_idle_timers(connection);
        }
    }

    pub(super) fn on_hello(&mut self, peer: Peer, _hello: Hello, out: &mut Out<P>) {
        self.good_frame(peer);
        let answer = Hello {
            protocol_version: PROTOCOL_VERSION,
            agent_id: peer.agent.0,
            ..Hello::default()
        };
        out.push(Command::Reply {
            peer,
            message: Reply::Hello(Box::new(answer)),
        });
    }

    pub(super) fn on_bad_frame(&mut self, peer: Peer, flaw: FrameFlaw, out: &mut Out<P>) {
        out.push(Command::Observe(Observation::BadFrame {
            agent: peer.agent,
            flaw,
        }));
        let detail = match flaw {
            FrameFlaw::Unverifiable => "the frame is not a verifiable message".to_owned(),
            FrameFlaw::UnknownMember(member) => {
                format!("this manager does not know message type {member}")
            }
            FrameFlaw::WrongDirection => "only a manager sends this message".to_owned(),
        };
        self.reply_error(peer, NO_SESSION, Reason::InvalidMessage, detail, out);
        if flaw != FrameFlaw::Unverifiable {
            return;
        }
        let limit = self.config.bad_frames_max;
        if let Some(connection) = self.connections.get_mut(&peer.connection) {
            connection.bad_frames = connection.bad_frames.saturating_add(1);
            let is_garbage = connection.bad_frames >= limit;
            if is_garbage && connection.kind == ConnectionKind::Agent && !connection.closing {
                connection.closing = true;
                out.push(Command::Close {
                    connection: peer.connection,
                });
            }
        }
    }

    /// Bad frames are counted in a row.
    pub(super) fn good_frame(&mut self, peer: Peer) {
        if let Some(connection) = self.connections.get_mut(&peer.connection) {
            connection.bad_frames = 0;
        }
    }

    /// An error that belongs to no live session of the sender.
    pub(super) fn reply_error(
        &mut self,
        peer: Peer,
        session: crate::id::SessionId,
        reason: Reason,
        detail: String,
        out: &mut Out<P>,
    ) {
        let ack = EndAck {
            status: Status::Error,
            session: session.0,
            reason,
            detail,
            ..EndAck::default()
        };
        out.push(Command::Reply {
            peer,
            message: Reply::EndAck(Arc::new(ack)),
        });
    }

    /// Counts bytes that are being stored. Beyond its share a connection is not read; a relay is never
    /// paused for one agent's sake.
    pub(super) fn open_bytes(&mut self, id: ConnectionId, bytes: u64, out: &mut Out<P>) {
        let limit = self.config.open_bytes_per_connection_max;
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.open_bytes += bytes;
            if connection.kind == ConnectionKind::Agent
                && connection.open_bytes > limit
                && !connection.paused
            {
                connection.paused = true;
                out.push(Command::Pause { connection: id });
            }
        }
    }

    /// Counts bytes that were stored, or were not; reads again below half of the share.
    pub(super) fn close_bytes(&mut self, id: ConnectionId, bytes: u64, out: &mut Out<P>) {
        let limit = self.config.open_bytes_per_connection_max;
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        debug_assert!(
            connection.open_bytes >= bytes,
            "more bytes answered than were open"
        );
        connection.open_bytes = connection.open_bytes.saturating_sub(bytes);
        let stays = is_planted(Bug::ConnectionStaysPaused);
        if connection.paused && connection.open_bytes <= limit / 2 && !stays {
            connection.paused = false;
            out.push(Command::Resume { connection: id });
            self.wake_idle_timers(id);
        }
    }

    /// Whether the manager reads a connection; a closed one counts as read.
    pub(super) fn is_read(&self, id: ConnectionId) -> bool {
        self.connections
            .get(&id)
            .is_none_or(|connection| !connection.paused)
    }

    /// Restarts the idle timers of the sessions of a connection that is read again.
    fn wake_idle_timers(&mut self, id: ConnectionId) {
        let deadline = self.now + self.config.idle_timeout_ms;
        for session in self.sessions.values() {
            if session.peer.connection == id && session.waits_for_agent() {
                self.timers.arm(Timer::Idle(session.id), deadline);
            }
        }
    }
}
