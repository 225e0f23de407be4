//! Rows on their way: loads, the rate limit, and the End behind the last row.

use super::Agent;
use super::command::{Cause, Command, Message, Observation, Outcome, Stale};
use super::event::{Frame, LoadId};
use super::session::Phase;
use super::timers::Timer;
use crate::document::{Run, Runs};
use crate::time::Tick;
use crate::wire::End;

/// The manager's idle timeout is divided by this: the rate limit may spread what it allows, but a
/// session must not look abandoned meanwhile.
const IDLE_SHARE: u64 = 4;

const US_PER_S: u64 = 1_000_000;
const US_PER_MS: u64 = 1_000;

impl Agent {
    /// Asks for rows while window and rate allow it, and ends the session behind the last one.
    pub(super) fn pump<P>(&mut self, now: Tick, out: &mut Vec<Command<P>>) {
        let (Some(_), Some(work), Some(session)) = (self.connection, &self.work, &mut self.session)
        else {
            return;
        };
        let Some(id) = session
            .id
            .filter(|_| matches!(session.phase, Phase::Sending | Phase::Ending))
        else {
            return;
        };
        let rate = u64::from(self.config.items_per_second);
        let mut items = self.config.load_items_max.max(1);
        if rate > 0 && session.idle_timeout_ms > 0 {
            let share =
                rate.saturating_mul(u64::from(session.idle_timeout_ms) / IDLE_SHARE) / 1_000;
            items = items.min(u32::try_from(share).unwrap_or(u32::MAX).max(1));
        }
        self.timers.disarm(Timer::Rate);
        while session.loads.len() < self.config.loads_max.max(1)
            && let Some(first) = session.unasked.as_slice().first().copied()
        {
            let now_us = now.0.saturating_mul(US_PER_MS);
            if rate > 0 && now_us < self.free_at_us {
                let wait_ms = self.free_at_us.div_ceil(US_PER_MS).saturating_sub(now.0);
                self.timers.arm(Timer::Rate, now, wait_ms);
                return;
            }
            let last = first.last.min(first.first.saturating_add(items - 1));
            let run = Run::new(first.first, last);
            if let Some(spent_us) = run.count().saturating_mul(US_PER_S).checked_div(rate) {
                self.free_at_us = now_us.saturating_add(spent_us);
            }
            session.unasked.remove(run);
            self.next_load += 1;
            let load = LoadId(self.next_load);
            session.loads.insert(load, run);
            let bytes_max = self.config.load_bytes_max;
            out.push(Command::Load {
                load,
                job: work.job.id,
                session: id,
                run,
                bytes_max,
            });
        }
        if !session.is_flushed() {
            return;
        }
        match session.phase {
            Phase::Sending => self.send_end(now, out),
            Phase::Ending if !self.timers.is_armed(Timer::EndAck) => self.expect_end_ack(now),
            Phase::Ending | Phase::Starting | Phase::Committing(_) => {}
        }
    }

    /// Rows were loaded: send them at once, for the caller answers only when there is room.
    pub(super) fn on_loaded<P>(
        &mut self,
        now: Tick,
        load: LoadId,
        frames: Vec<Frame<P>>,
        out: &mut Vec<Command<P>>,
    ) {
        let Some((connection, session)) = self.connection.zip(self.session.as_mut()) else {
            return Self::stale(Stale::Loaded, out);
        };
        let Some(asked) = session.loads.remove(&load) else {
            return Self::stale(Stale::Loaded, out);
        };
        let mut left = Runs::from_iter([asked]);
        for frame in frames {
            if frame.run.first < asked.first || frame.run.last > asked.last {
                Self::stale(Stale::Loaded, out);
                continue;
            }
            left.remove(frame.run);
            out.push(Command::Send {
                connection,
                message: Message::Data(frame.payload),
            });
        }
        if left.as_slice() == [asked] {
            // Asking again would ask for ever.
            return self.give_up_loading(now, out);
        }
        session.unasked.extend(&left);
        self.pump(now, out);
    }

    /// Rows could not be read.
    pub(super) fn on_load_failed<P>(&mut self, now: Tick, load: LoadId, out: &mut Vec<Command<P>>) {
        match self
            .session
            .as_mut()
            .and_then(|session| session.loads.remove(&load))
        {
            Some(_) => self.give_up_loading(now, out),
            None => Self::stale(Stale::Loaded, out),
        }
    }

    fn give_up_loading<P>(&mut self, now: Tick, out: &mut Vec<Command<P>>) {
        self.fail_session(now, Cause::LoadFailed, 0, Some(Outcome::LoadFailed), out);
    }

    /// Sends an End: the first one behind the last row, or one more to ask for the verdict.
    pub(super) fn send_end<P>(&mut self, now: Tick, out: &mut Vec<Command<P>>) {
        let (Some(connection), Some(session)) = (self.connection, &mut self.session) else {
            return;
        };
        let Some(id) = session.id else {
            return;
        };
        session.phase = Phase::Ending;
        session.is_ended = true;
        session.unanswered = session.unanswered.saturating_add(1);
        out.push(Command::Send {
            connection,
            message: Message::End(End { session: id.0 }),
        });
        self.expect_end_ack(now);
    }

    fn expect_end_ack(&mut self, now: Tick) {
        let is_processing = self
            .session
            .as_ref()
            .is_some_and(|session| session.is_processing);
        let delay_ms = if is_processing {
            self.config.processing_poll_ms
        } else {
            self.config.answer_timeout_ms
        };
        self.timers.arm(Timer::EndAck, now, delay_ms);
    }

    /// Nothing was heard since the last End, or it is time to ask for the verdict again. An End is
    /// idempotent (`docs/protocol.md` section 3).
    pub(super) fn on_end_unanswered<P>(&mut self, now: Tick, out: &mut Vec<Command<P>>) {
        let Some(session) = &self.session else {
            return;
        };
        if session.unanswered >= self.config.ends_max {
            return self.drop_connection(now, out);
        }
        if session.unanswered > 0 {
            out.push(Command::Observe(Observation::EndRepeated));
        }
        self.send_end(now, out);
    }
}
