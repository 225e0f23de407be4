//! Jobs and their sessions: begun, failed, tried again, finished.

use super::Agent;
use super::command::{Cause, Command, Message, Observation, Outcome, Stale};
use super::event::{Job, JobId};
use super::session::{Phase, Session};
use super::timers::Timer;
use crate::bug::{Bug, if_planted, is_planted};
use crate::time::Tick;
use crate::wire::Start;

/// The job under way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Work {
    /// Its description.
    pub(super) job: Job,
    /// Why its last session failed.
    pub(super) last: Option<Cause>,
}

impl Agent {
    /// "Sync now": single flight, so a second job does not wait, it is told.
    pub(super) fn on_sync<P>(&mut self, now: Tick, job: Job, out: &mut Vec<Command<P>>) {
        if let Some(work) = &mut self.work {
            if work.job.id != job.id {
                out.push(Command::Finished {
                    job: job.id,
                    outcome: Outcome::Busy,
                });
            } else if self.session.is_some() {
                Self::stale(Stale::Job, out);
            } else {
                work.job = job;
                if let Some(max_items) = self.exceeded_limit() {
                    self.finish(Outcome::TooLarge { max_items }, out);
                }
            }
            return;
        }
        if self.is_stopping {
            out.push(Command::Finished {
                job: job.id,
                outcome: Outcome::Stopped,
            });
            return;
        }
        if let Some(give_up_after_ms) = job.give_up_after_ms {
            self.timers.arm(Timer::GiveUp, now, give_up_after_ms);
        }
        self.work = Some(Work { job, last: None });
        match self.exceeded_limit() {
            Some(max_items) => self.finish(Outcome::TooLarge { max_items }, out),
            None => self.begin(now, out),
        }
    }

    /// The manager's limit for a session, when the job is larger than the last one told.
    pub(super) fn exceeded_limit(&self) -> Option<u64> {
        let size = u64::from(self.work.as_ref()?.job.size);
        self.max_items.filter(|max_items| size > *max_items)
    }

    /// Opens a session for a job that has none, as soon as backoff and connection allow it.
    pub(super) fn begin<P>(&mut self, now: Tick, out: &mut Vec<Command<P>>) {
        if self.work.is_none() || self.session.is_some() {
            return;
        }
        if now < self.not_before {
            if is_planted(Bug::RetryNeverArmed) {
                return;
            }
            self.timers
                .arm(Timer::Retry, now, self.not_before.since(now));
        } else if self.connection.is_none() {
            self.timers.disarm(Timer::Retry);
            if !self.timers.is_armed(Timer::Reconnect) {
                self.ask_connection(now, out);
            }
        } else {
            self.timers.disarm(Timer::Retry);
            self.open_session(now, out);
        }
    }

    fn open_session<P>(&mut self, now: Tick, out: &mut Vec<Command<P>>) {
        let nonce = self.next_nonce();
        let Some(work) = &self.work else {
            return;
        };
        let start = Start {
            mode: Some(work.job.mode),
            size: u64::from(work.job.size),
            module: self.config.module.clone(),
            agent_id: self.config.agent.0,
            protocol_version: self.config.protocol_version,
            nonce,
            indices: work.job.indices.clone(),
            agent: Some(self.config.info.clone()),
            global_version: 0,
            cluster_name: self.config.cluster.clone(),
            version_floor: self.floor.0,
            id_from: work.job.id_from.clone(),
            id_to: work.job.id_to.clone(),
        };
        self.session = Some(Session::new(Box::new(start)));
        self.timers
            .arm(Timer::SessionMax, now, self.config.session_max_ms);
        self.send_start(now, out);
    }

    /// Incarnation and counter (`docs/protocol.md` section 3). A counter that has come to its end needs
    /// a new incarnation, for a manager refuses a lower one of the same.
    fn next_nonce(&mut self) -> u64 {
        let step = u32::from(self.counter == 0 || !is_planted(Bug::NonceReused));
        if let Some(counter) = self.counter.checked_add(step) {
            self.counter = counter;
        } else {
            self.incarnation = Self::draw_incarnation(&mut self.rng);
            self.counter = 1;
        }
        u64::from(self.incarnation) << 32 | u64::from(self.counter)
    }

    /// Sends the session's Start: the first time, again for want of an answer, or by a new connection.
    pub(super) fn send_start<P>(&mut self, now: Tick, out: &mut Vec<Command<P>>) {
        let (Some(connection), Some(session)) = (self.connection, &mut self.session) else {
            return;
        };
        session.phase = Phase::Starting;
        let (nonce, repeated) = (session.start.nonce, session.unanswered);
        out.push(Command::Observe(Observation::Started { nonce, repeated }));
        session.unanswered = session.unanswered.saturating_add(1);
        out.push(Command::Send {
            connection,
            message: Message::Start(session.start.clone()),
        });
        self.timers
            .arm(Timer::StartAck, now, self.config.answer_timeout_ms);
    }

    /// A Start was not answered in time.
    pub(super) fn on_start_unanswered<P>(&mut self, now: Tick, out: &mut Vec<Command<P>>) {
        let Some(session) = &self.session else {
            return;
        };
        if is_planted(Bug::StartNotRepeated) {
            return;
        }
        if session.unanswered < self.config.starts_max {
            return self.send_start(now, out);
        }
        if session.id.is_none() {
            self.fail_session(now, Cause::NoAnswer, 0, None, out);
        }
        // A session that was open is worth a second connection: its rows may all be there.
        self.drop_connection(now, out);
    }

    /// A session has ended and acknowledges nothing. The job finishes with `last_word`, or waits for
    /// its next session.
    pub(super) fn fail_session<P>(
        &mut self,
        now: Tick,
        cause: Cause,
        retry_after_ms: u32,
        last_word: Option<Outcome>,
        out: &mut Vec<Command<P>>,
    ) {
        self.close_session();
        self.back_off(now, retry_after_ms);
        let Some(work) = &mut self.work else {
            return;
        };
        work.last = Some(cause.clone());
        let retry_at = last_word.is_none().then_some(self.not_before);
        out.push(Command::RollBack {
            job: work.job.id,
            cause,
            retry_at,
        });
        match last_word {
            Some(outcome) => self.finish(outcome, out),
            None => self.begin(now, out),
        }
    }

    /// The next session begins later: by our backoff, and not before the manager wants to see us.
    pub(super) fn back_off(&mut self, now: Tick, retry_after_ms: u32) {
        let (base_ms, max_ms) = (self.config.backoff_base_ms, self.config.backoff_max_ms);
        let delay_ms = self.backoff.fail(&mut self.rng, base_ms, max_ms);
        let delay_ms = if_planted(Bug::RetryAtOnce, 0, delay_ms);
        self.not_before = now + delay_ms.max(self.believed(retry_after_ms));
    }

    /// A manager's `retry_after_ms`, within what is believed.
    pub(super) fn believed(&self, retry_after_ms: u32) -> u64 {
        if is_planted(Bug::RetryAfterIgnored) {
            return 0;
        }
        u64::from(retry_after_ms).min(self.config.retry_after_max_ms)
    }

    /// The session has lived too long, whatever it waits for.
    pub(super) fn on_session_max<P>(&mut self, now: Tick, out: &mut Vec<Command<P>>) {
        self.fail_session(now, Cause::SessionMax, 0, None, out);
    }

    /// Gives the job up, except that a verdict that has arrived is committed.
    pub(super) fn abandon<P>(&mut self, outcome: Outcome, out: &mut Vec<Command<P>>) {
        if self.session.as_ref().is_some_and(Session::is_committing) {
            return;
        }
        let Some(work) = &self.work else {
            return;
        };
        let job = work.job.id;
        if self.session.is_some() {
            self.close_session();
            out.push(Command::RollBack {
                job,
                cause: Cause::Abandoned,
                retry_at: None,
            });
        }
        self.finish(outcome, out);
    }

    /// The job's time is over.
    pub(super) fn on_give_up<P>(&mut self, out: &mut Vec<Command<P>>) {
        let last = self.work.as_ref().and_then(|work| work.last.clone());
        self.abandon(Outcome::GaveUp { last }, out);
    }

    /// Says the end of the job. The only place that does.
    fn finish<P>(&mut self, outcome: Outcome, out: &mut Vec<Command<P>>) {
        let Some(work) = self.work.take() else {
            return;
        };
        for timer in [Timer::GiveUp, Timer::Retry, Timer::Reconnect] {
            self.timers.disarm(timer);
        }
        out.push(Command::Finished {
            job: work.job.id,
            outcome,
        });
        if self.is_stopping {
            out.push(Command::Stopped);
        }
    }

    /// The session is over, and with it its connection where the manager still owes an answer: it may be half
    /// open, and a job whose time is up before the last repetition would never find out.
    fn close_session(&mut self) {
        let session = self.session.take();
        for timer in [
            Timer::SessionMax,
            Timer::StartAck,
            Timer::EndAck,
            Timer::Commit,
            Timer::Rate,
        ] {
            self.timers.disarm(timer);
        }
        let is_silent = session.is_some_and(|session| session.unanswered > 0);
        if is_silent && !is_planted(Bug::SilentConnectionKept) {
            self.leave_connection();
        }
    }

    /// Asks for the verdict to be made durable.
    pub(super) fn send_commit<P>(&mut self, out: &mut Vec<Command<P>>) {
        let (Some(work), Some(session)) = (&self.work, &mut self.session) else {
            return;
        };
        if let Phase::Committing(commit) = &mut session.phase {
            commit.attempts += 1;
            commit.is_asked = true;
            let acknowledgement = commit.acknowledgement.clone();
            out.push(Command::Commit {
                job: work.job.id,
                acknowledgement,
            });
        }
    }

    /// The verdict is durable, or could not be made so.
    pub(super) fn on_commit_answered<P>(
        &mut self,
        now: Tick,
        job: JobId,
        is_durable: bool,
        out: &mut Vec<Command<P>>,
    ) {
        let is_ours = self.work.as_ref().is_some_and(|work| work.job.id == job);
        let Some(Phase::Committing(commit)) = self
            .session
            .as_mut()
            .filter(|_| is_ours)
            .map(|session| &mut session.phase)
        else {
            return Self::stale(Stale::Commit, out);
        };
        if !commit.is_asked {
            return Self::stale(Stale::Commit, out);
        }
        commit.is_asked = false;
        if !is_durable && commit.attempts < self.config.commit_attempts_max {
            let (base_ms, max_ms) = (self.config.backoff_base_ms, self.config.backoff_max_ms);
            let delay_ms = commit.backoff.fail(&mut self.rng, base_ms, max_ms);
            self.timers.arm(Timer::Commit, now, delay_ms);
            return;
        }
        let outcome = if is_durable {
            commit.outcome.clone()
        } else {
            Outcome::CommitFailed
        };
        self.close_session();
        self.finish(outcome, out);
    }
}
