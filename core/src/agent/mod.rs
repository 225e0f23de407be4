//! The agent machine: the agent's side of a session, for one (agent, module).
//!
//! ```text
//!   Sync ─▶ job ─▶ Start ─▶ StartAck ─▶ Load … Loaded ─▶ Data … ─▶ End ─▶ EndAck ─▶ Commit … Committed
//!            ▲       │ no answer: again,      ▲                     │                        │
//!            │       │ same bytes             └──────── ReqRet ◀────┤                        ▼
//!            │       ▼                                              ▼                     Finished
//!            └─ backoff ◀── RollBack ◀── refused, silent, lost, not acknowledged
//! ```
//!
//! [`Agent::handle`] is the one entry point. It is total: any event in any state; it never blocks and
//! never fails. Time is the `now` of the call; randomness (incarnation and jitter) the generator given
//! at birth. Daemon, simulator and load client are thin callers of it.
//!
//! # Driving it
//!
//! * [`Agent::handle`] for everything that happens; carry its commands out in their order.
//! * [`Agent::next_deadline`] after each `handle`, and at no other time can it have changed: send
//!   [`Event::Tick`] then.
//! * [`Agent::concerns`] to find the machine that a message belongs to, where several share a connection.
//! * [`Agent::pending`] to say what it waits for.
//!
//! # Invariants
//!
//! * Single flight: one job, one session of it, one verdict. A job finishes exactly once.
//! * Rows are acknowledged only by a verdict for the id of our own session, after every row and an End
//!   were sent in it. Every other end of a session is a [`Command::RollBack`].
//! * A retransmitted Start has the same nonce and the same bytes; a new session has a higher nonce.
//! * Every wait for the manager has a deadline, every failure a jittered backoff, which outlives the
//!   job. What is local (a load, a commit) is answered exactly once by the caller and has none.
//! * A session that ends while the manager owes it an answer takes its connection with it: that may be half
//!   open, and whoever gives up before the last repetition would never find out.
//! * Memory is bounded by the configuration: rows are runs of numbers, frames pass through.
//!
//! Deliberately absent: rows, documents, the outbox, the socket. Also Check, metadata and group sessions.

mod answers;
mod backoff;
mod command;
mod config;
mod connection;
mod event;
mod invariants;
mod job;
mod sending;
mod session;
mod state;
mod timers;
mod verdict;

#[cfg(test)]
mod tests;

use std::fmt;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

pub use command::{
    Acknowledgement, Cause, Command, Contradiction, FailedRow, Message, Observation, Outcome, Stale,
};
pub use config::Config;
pub use event::{Answer, Event, Frame, Job, JobId, LoadId};
pub use state::State;
pub use timers::Timer;

use crate::id::{ConnectionId, SessionId, Version};
use crate::time::Tick;
use backoff::Backoff;
use job::Work;
use session::{Phase, Session};
use timers::Timers;

/// The agent's side of the sessions of one (agent, module).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    config: Config,
    rng: ChaCha8Rng,
    /// Upper half of each nonce: this process start.
    incarnation: u32,
    /// Lower half of the last nonce.
    counter: u32,
    /// The highest version heard of.
    floor: Version,
    /// The manager's limit for a session, once told.
    max_items: Option<u64>,
    timers: Timers,

    /// Failures of sessions in a row; it outlives the job.
    backoff: Backoff,
    /// No session begins before this tick.
    not_before: Tick,

    connection: Option<ConnectionId>,
    /// The newest connection ever told of.
    last_connection: Option<ConnectionId>,
    /// Connections lost or not made since the manager last said something.
    connect_backoff: Backoff,

    next_load: u64,
    /// When the rate limit allows the next rows, in microseconds.
    free_at_us: u64,

    work: Option<Work>,
    session: Option<Session>,
    is_stopping: bool,
}

/// What a machine with a job waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pending {
    /// A connection to the manager.
    Connection,
    /// The end of a backoff, or of the manager's `retry_after_ms`.
    Backoff,
    /// The answer to a Start.
    StartAck,
    /// Rows from the caller's store, or room in its connection.
    Rows,
    /// The rate limit.
    Rate,
    /// The answer to an End.
    Verdict,
    /// The caller's store, which makes a verdict durable.
    Commit,
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Connection => "waits for a connection",
            Self::Backoff => "waits before the next attempt",
            Self::StartAck => "waits for the answer to a Start",
            Self::Rows => "waits for rows to be read or sent",
            Self::Rate => "waits for the rate limit",
            Self::Verdict => "waits for the verdict",
            Self::Commit => "waits for the verdict to be made durable",
        })
    }
}

impl Agent {
    /// A machine without a job and without a connection. The seed must differ from one process start to
    /// the next: the incarnation is drawn from it.
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        let mut rng = ChaCha8Rng::from_seed(seed);
        Self {
            incarnation: Self::draw_incarnation(&mut rng),
            counter: 0,
            floor: config.version_floor,
            max_items: None,
            timers: Timers::default(),
            backoff: Backoff::default(),
            not_before: Tick(0),
            connection: None,
            last_connection: None,
            connect_backoff: Backoff::default(),
            next_load: 0,
            free_at_us: 0,
            work: None,
            session: None,
            is_stopping: false,
            config,
            rng,
        }
    }

    fn draw_incarnation(rng: &mut ChaCha8Rng) -> u32 {
        rng.next_u32().max(1)
    }

    /// Takes an event and appends what is to be done about it, in order.
    pub fn handle<P>(&mut self, now: Tick, event: Event<P>, out: &mut Vec<Command<P>>) {
        match event {
            Event::Tick => self.on_tick(now, out),
            Event::Connected { connection } => self.on_connected(now, connection, out),
            Event::Disconnected { connection } => self.on_disconnected(now, connection),
            Event::ConnectFailed => self.on_connect_failed(now),
            Event::Received { connection, answer } => self.on_answer(now, connection, answer, out),
            Event::Sync { job } => self.on_sync(now, *job, out),
            Event::Loaded { load, frames } => self.on_loaded(now, load, frames, out),
            Event::LoadFailed { load } => self.on_load_failed(now, load, out),
            Event::Committed { job } => self.on_commit_answered(now, job, true, out),
            Event::CommitFailed { job } => self.on_commit_answered(now, job, false, out),
            Event::Describe { info } => self.config.info = *info,
            Event::Stop => self.on_stop(out),
            Event::Reset => self.on_reset(out),
        }
    }

    /// Serves what is due, each timer once: whatever is armed on the way lies in the future.
    fn on_tick<P>(&mut self, now: Tick, out: &mut Vec<Command<P>>) {
        for timer in Timer::ALL {
            if !self.timers.take_due(timer, now) {
                continue;
            }
            match timer {
                Timer::GiveUp => self.on_give_up(out),
                Timer::SessionMax => self.on_session_max(now, out),
                Timer::StartAck => self.on_start_unanswered(now, out),
                Timer::EndAck => self.on_end_unanswered(now, out),
                Timer::Commit => self.send_commit(out),
                Timer::Retry => self.begin(now, out),
                Timer::Reconnect => {
                    if self.wants_connection() {
                        self.ask_connection(now, out);
                    }
                }
                Timer::Rate => self.pump(now, out),
            }
        }
    }

    fn on_stop<P>(&mut self, out: &mut Vec<Command<P>>) {
        if self.is_stopping {
            return;
        }
        self.is_stopping = true;
        if self.work.is_none() {
            out.push(Command::Stopped);
        } else {
            self.abandon(Outcome::Stopped, out);
        }
    }

    fn on_reset<P>(&mut self, out: &mut Vec<Command<P>>) {
        self.is_stopping = false;
        self.backoff.reset();
        self.connect_backoff.reset();
        self.not_before = Tick(0);
        self.max_items = None;
        self.abandon(Outcome::Reset, out);
    }

    fn stale<P>(what: Stale, out: &mut Vec<Command<P>>) {
        out.push(Command::Observe(Observation::Stale(what)));
    }

    /// When to send the next [`Event::Tick`], and why. `None`: there is nothing to wait for but events.
    #[must_use]
    pub fn next_deadline(&self) -> Option<(Tick, Timer)> {
        self.timers.next()
    }

    /// What the job under way waits for; `None` if there is no job.
    #[must_use]
    pub fn pending(&self) -> Option<Pending> {
        self.work.as_ref()?;
        let Some(session) = &self.session else {
            let is_waiting = self.timers.is_armed(Timer::Retry);
            return Some(if is_waiting {
                Pending::Backoff
            } else {
                Pending::Connection
            });
        };
        Some(match &session.phase {
            Phase::Committing(_) => Pending::Commit,
            Phase::Starting if self.connection.is_none() => Pending::Connection,
            Phase::Starting => Pending::StartAck,
            Phase::Sending | Phase::Ending if !session.loads.is_empty() => Pending::Rows,
            Phase::Sending | Phase::Ending if !session.unasked.is_empty() => Pending::Rate,
            Phase::Sending | Phase::Ending => Pending::Verdict,
        })
    }

    /// Whether a message belongs to this machine, where several share a connection. Of late messages it
    /// is the module that tells; a Hello belongs to the machine that sends one.
    #[must_use]
    pub fn concerns(&self, answer: &Answer) -> bool {
        let is_ours = |session: u64, module: &str| {
            module == self.config.module || self.session_id() == Some(SessionId(session))
        };
        match answer {
            Answer::StartAck(ack) => ack.module == self.config.module,
            Answer::EndAck(ack) => is_ours(ack.session, &ack.module),
            Answer::ReqRet(request) => is_ours(request.session, &request.module),
            Answer::Hello(_) => self.config.hello.is_some(),
        }
    }

    /// The job under way.
    #[must_use]
    pub fn job(&self) -> Option<JobId> {
        self.work.as_ref().map(|work| work.job.id)
    }

    /// The session under way, once a manager has opened it.
    #[must_use]
    pub fn session_id(&self) -> Option<SessionId> {
        self.session.as_ref().and_then(|session| session.id)
    }

    /// The most rows that the manager accepts in one session, as last told: build jobs no larger.
    #[must_use]
    pub const fn max_items(&self) -> Option<u64> {
        self.max_items
    }

    /// The highest version heard of, as told in the next Start.
    #[must_use]
    pub const fn version_floor(&self) -> Version {
        self.floor
    }
}
