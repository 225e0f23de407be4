//! The connection below a session: asked for when it is needed, left when it is silent.

use super::Agent;
use super::command::{Command, Message};
use super::timers::Timer;
use crate::id::ConnectionId;
use crate::time::Tick;

impl Agent {
    /// There is a connection. A session under way moves to it (`docs/protocol.md` section 3), a job
    /// that waited for it begins.
    pub(super) fn on_connected<P>(
        &mut self,
        now: Tick,
        connection: ConnectionId,
        out: &mut Vec<Command<P>>,
    ) {
        if self.last_connection.is_some_and(|last| connection <= last) {
            return;
        }
        self.leave_connection();
        self.connection = Some(connection);
        self.last_connection = Some(connection);
        self.timers.disarm(Timer::Reconnect);
        if let Some(hello) = &self.config.hello {
            let message = Message::Hello(Box::new(hello.clone()));
            out.push(Command::Send {
                connection,
                message,
            });
        }
        if self
            .session
            .as_ref()
            .is_some_and(|session| !session.is_committing())
        {
            self.send_start(now, out);
        } else {
            self.begin(now, out);
        }
    }

    /// The connection has ended by itself.
    pub(super) fn on_disconnected(&mut self, now: Tick, connection: ConnectionId) {
        if self.connection == Some(connection) {
            self.leave_connection();
            self.wait_for_connection(now);
        }
    }

    /// A connection could not be made.
    pub(super) fn on_connect_failed(&mut self, now: Tick) {
        if self.connection.is_none() {
            self.wait_for_connection(now);
        }
    }

    /// Nobody answers on this connection: it may be half open. Another one is asked for.
    pub(super) fn drop_connection<P>(&mut self, now: Tick, out: &mut Vec<Command<P>>) {
        self.leave_connection();
        if self.wants_connection() {
            self.ask_connection(now, out);
        }
    }

    /// Asks for a connection.
    pub(super) fn ask_connection<P>(&mut self, now: Tick, out: &mut Vec<Command<P>>) {
        out.push(Command::Reconnect {
            instead_of: self.last_connection,
        });
        self.timers
            .arm(Timer::Reconnect, now, self.config.connect_timeout_ms);
    }

    /// Whether there is something to be sent and nothing to send it by.
    pub(super) fn wants_connection(&self) -> bool {
        let has_use = match &self.session {
            Some(session) => !session.is_committing(),
            None => self.work.is_some() && !self.timers.is_armed(Timer::Retry),
        };
        has_use && self.connection.is_none()
    }

    /// Sends nothing more by this connection, and hears nothing more of it.
    pub(super) fn leave_connection(&mut self) {
        self.connection = None;
        for timer in [Timer::StartAck, Timer::EndAck, Timer::Rate] {
            self.timers.disarm(timer);
        }
        if let Some(session) = &mut self.session {
            session.suspend();
        }
    }

    /// The whole fleet may have lost its manager at this moment, so nobody comes back at once.
    fn wait_for_connection(&mut self, now: Tick) {
        let (base_ms, max_ms) = (self.config.backoff_base_ms, self.config.backoff_max_ms);
        let delay_ms = self.connect_backoff.fail(&mut self.rng, base_ms, max_ms);
        if self.wants_connection() {
            self.timers.arm(Timer::Reconnect, now, delay_ms);
        }
    }
}
