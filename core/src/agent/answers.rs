//! What the manager says.

use super::Agent;
use super::backoff::Backoff;
use super::command::{Acknowledgement, Cause, Command, Contradiction, Observation, Outcome, Stale};
use super::event::Answer;
use super::session::{Commit, Phase};
use super::timers::Timer;
use super::verdict::{self, Stands, Verdict};
use crate::bug::{Bug, is_planted};
use crate::document::{Run, Runs};
use crate::id::{ConnectionId, NO_SESSION, SessionId, VERSION_CEILING, Version};
use crate::time::Tick;
use crate::wire::{EndAck, Pair, ReqRet, StartAck, Status};

/// Rows that may be asked for again whatever the session's size.
const RESENT_FLOOR: u64 = 1_024;

impl Agent {
    pub(super) fn on_answer<P>(
        &mut self,
        now: Tick,
        connection: ConnectionId,
        answer: Answer,
        out: &mut Vec<Command<P>>,
    ) {
        if self.connection != Some(connection) {
            return Self::stale(Stale::Connection, out);
        }
        match answer {
            Answer::StartAck(ack) => self.on_start_ack(now, &ack, out),
            Answer::EndAck(ack) => self.on_end_ack(now, &ack, out),
            Answer::ReqRet(request) => self.on_req_ret(now, &request, out),
            Answer::Hello(hello) => out.push(Command::Observe(Observation::Greeted {
                protocol_version: hello.protocol_version,
            })),
        }
    }

    /// The answer to our Start, known by nonce and module (`docs/protocol.md` section 3).
    fn on_start_ack<P>(&mut self, now: Tick, ack: &StartAck, out: &mut Vec<Command<P>>) {
        let size = self.work.as_ref().map_or(0, |work| work.job.size);
        let Some(session) = self.session.as_mut().filter(|session| {
            session.phase == Phase::Starting
                && (ack.nonce == session.start.nonce || is_planted(Bug::AnyStartAckTaken))
                && ack.module == session.start.module
        }) else {
            return Self::stale(Stale::StartAck, out);
        };
        match ack.status {
            Status::Ok if ack.session != 0 && ack.session != NO_SESSION.0 => {
                let id = SessionId(ack.session);
                let resumed = session.id == Some(id);
                if !resumed {
                    // Also after a retransmission: a manager that has lost the session opens another.
                    session.adopt(id, size);
                }
                session.phase = Phase::Sending;
                session.unanswered = 0;
                session.idle_timeout_ms = ack.idle_timeout_ms;
                self.timers.disarm(Timer::StartAck);
                out.push(Command::Observe(Observation::Opened {
                    session: id,
                    resumed,
                }));
                self.learn(ack.max_items, ack.version, out);
                Self::owe(&ack.resync, out);
                self.pump(now, out);
            }
            Status::Ok | Status::Processing => Self::stale(Stale::StartAck, out),
            Status::Error | Status::Offline | Status::ChecksumMismatch => {
                session.unanswered = 0;
                self.learn(ack.max_items, ack.version, out);
                Self::owe(&ack.resync, out);
                let cause = Cause::Refused {
                    status: ack.status,
                    reason: ack.reason,
                    detail: ack.detail.clone(),
                };
                let last_word = match self.exceeded_limit() {
                    Some(max_items) => Some(Outcome::TooLarge { max_items }),
                    None => Self::last_word(&cause, Stands::AtStart),
                };
                self.fail_session(now, cause, ack.retry_after_ms, last_word, out);
            }
        }
    }

    /// An intermediate or final answer to our session. Only for its own id, and a verdict only after
    /// everything was sent: a session is never acknowledged that we did not carry.
    fn on_end_ack<P>(&mut self, now: Tick, ack: &EndAck, out: &mut Vec<Command<P>>) {
        let Some(work) = &self.work else {
            return Self::stale(Stale::EndAck, out);
        };
        let size = work.job.size;
        let Some(session) = self.session.as_mut().filter(|session| {
            let is_ours = session.id == Some(SessionId(ack.session));
            (is_ours || is_planted(Bug::AnyVerdictTaken)) && !session.is_committing()
        }) else {
            return Self::stale(Stale::EndAck, out);
        };
        let verdict = verdict::judge(ack, SessionId(ack.session), size);
        if !session.is_ended && !matches!(verdict, Verdict::Nothing(Cause::Refused { .. })) {
            return Self::stale(Stale::EndAck, out);
        }
        session.unanswered = 0;
        self.learn(0, ack.version, out);
        match verdict {
            Verdict::Processing => {
                self.note_processing(now, out);
                Self::owe(&ack.resync, out);
            }
            Verdict::Acknowledged(acknowledgement) => {
                self.accept(now, acknowledgement, ack.retry_after_ms, out);
                Self::owe(&ack.resync, out);
            }
            Verdict::Nothing(cause) => {
                Self::owe(&ack.resync, out);
                let last_word = Self::last_word(&cause, Stands::AtEnd);
                self.fail_session(now, cause, ack.retry_after_ms, last_word, out);
            }
        }
    }

    fn note_processing<P>(&mut self, now: Tick, out: &mut Vec<Command<P>>) {
        let Some(session) = &mut self.session else {
            return;
        };
        if !session.is_processing {
            session.is_processing = true;
            out.push(Command::Observe(Observation::Processing));
        }
        if session.phase == Phase::Ending {
            self.timers.disarm(Timer::EndAck);
            self.pump(now, out);
        }
    }

    /// The verdict lets rows be forgotten: first durably, then the job is over.
    fn accept<P>(
        &mut self,
        now: Tick,
        acknowledgement: Box<Acknowledgement>,
        retry_after_ms: u32,
        out: &mut Vec<Command<P>>,
    ) {
        let (Some(work), Some(session)) = (&self.work, &mut self.session) else {
            return;
        };
        let outcome = verdict::outcome(&acknowledgement, work.job.size);
        session.unasked = Runs::new();
        session.loads.clear();
        for timer in [
            Timer::SessionMax,
            Timer::StartAck,
            Timer::EndAck,
            Timer::Rate,
        ] {
            self.timers.disarm(timer);
        }
        let must_wait = acknowledgement.retryable().next().is_some();
        session.phase = Phase::Committing(Commit {
            acknowledgement,
            outcome,
            attempts: 0,
            is_asked: false,
            backoff: Backoff::default(),
        });
        if must_wait {
            // What was refused now would be refused at once again.
            self.back_off(now, retry_after_ms);
        } else {
            self.backoff.reset();
            self.not_before = now + self.believed(retry_after_ms);
        }
        self.send_commit(out);
    }

    /// Rows are missing: send exactly them again, without another End (`docs/protocol.md` section 3).
    fn on_req_ret<P>(&mut self, now: Tick, request: &ReqRet, out: &mut Vec<Command<P>>) {
        let size = self.work.as_ref().map_or(0, |work| work.job.size);
        let limit = self.config.ranges_per_request_max;
        let factor = u64::from(self.config.resent_factor_max);
        let Some(session) = self.session.as_mut().filter(|session| {
            session.id == Some(SessionId(request.session))
                && session.is_ended
                && matches!(session.phase, Phase::Sending | Phase::Ending)
        }) else {
            return Self::stale(Stale::ReqRet, out);
        };
        session.unanswered = 0;
        self.connect_backoff.reset();
        let mut wanted = Runs::new();
        let mut ignored_ranges = 0;
        for pair in request.seq.iter().take(limit) {
            match run_within(*pair, size) {
                Some(run) => wanted.insert(run),
                None => ignored_ranges += 1,
            }
        }
        let items = wanted.count();
        out.push(Command::Observe(Observation::Requested {
            items,
            ignored_ranges,
        }));
        // Rows that are being loaded leave anyway.
        for run in session.loads.values() {
            wanted.remove(*run);
        }
        session.resent = session.resent.saturating_add(wanted.count());
        let allowance = u64::from(size)
            .saturating_mul(factor)
            .saturating_add(RESENT_FLOOR);
        let contradiction = if items == 0 {
            Some(Contradiction::EmptyRequest)
        } else if session.resent > allowance {
            Some(Contradiction::EndlessRequests)
        } else {
            None
        };
        if let Some(contradiction) = contradiction {
            return self.fail_session(now, Cause::Contradiction(contradiction), 0, None, out);
        }
        session.is_processing = false;
        session.unasked.extend(&wanted);
        self.timers.disarm(Timer::EndAck);
        self.pump(now, out);
    }

    /// What the manager tells beside the matter: its limit and the highest version given to us. It
    /// answers, so the connection is a good one.
    fn learn<P>(&mut self, max_items: u64, version: u64, out: &mut Vec<Command<P>>) {
        self.connect_backoff.reset();
        if max_items > 0 {
            self.max_items = Some(max_items);
        }
        let version = Version(version);
        if version > self.floor && version <= VERSION_CEILING {
            self.floor = version;
            out.push(Command::Remember { floor: version });
        }
    }

    fn owe<P>(resync: &[String], out: &mut Vec<Command<P>>) {
        if !resync.is_empty() {
            out.push(Command::Resync {
                indices: resync.to_vec(),
            });
        }
    }

    /// How the job ends with this refusal, if trying again does not change it.
    fn last_word(cause: &Cause, stands: Stands) -> Option<Outcome> {
        match cause {
            Cause::Refused { reason, .. } if verdict::is_permanent(*reason, stands) => {
                Some(Outcome::Refused {
                    cause: cause.clone(),
                })
            }
            Cause::Refused { .. }
            | Cause::NoAnswer
            | Cause::SessionMax
            | Cause::Contradiction(_)
            | Cause::LoadFailed
            | Cause::Abandoned => None,
        }
    }
}

/// A range as a run, if it lies within the session.
fn run_within(pair: Pair, size: u32) -> Option<Run> {
    let first = u32::try_from(pair.begin).ok()?;
    let last = u32::try_from(pair.end).ok()?;
    (first <= last && last < size).then(|| Run::new(first, last))
}
