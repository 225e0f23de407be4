//! What is always true of an agent machine between two events.

use super::Agent;
use super::session::Phase;
use super::timers::Timer;
use crate::document::Runs;

impl Agent {
    /// Asserts what is always true. Nothing that the outside can cause makes it fail.
    ///
    /// # Panics
    /// On a bug of the machine.
    pub fn check_invariants(&self) {
        assert_ne!(self.incarnation, 0, "nonce 0 asks for no deduplication");
        assert!(self.connection.is_none() || self.connection == self.last_connection);
        let is_armed = |timer| self.timers.is_armed(timer);

        let Some(work) = &self.work else {
            assert!(self.session.is_none(), "a session without a job");
            assert_eq!(
                self.timers.next(),
                None,
                "a deadline although there is nothing to do"
            );
            return;
        };
        assert!(!is_armed(Timer::Reconnect) || self.connection.is_none());

        let Some(session) = &self.session else {
            assert!(
                is_armed(Timer::Retry) || is_armed(Timer::Reconnect),
                "a job that nothing will ever begin"
            );
            for timer in [
                Timer::SessionMax,
                Timer::StartAck,
                Timer::EndAck,
                Timer::Commit,
                Timer::Rate,
            ] {
                assert!(!is_armed(timer), "{timer:?} without a session");
            }
            return;
        };
        assert!(!is_armed(Timer::Retry), "a second session is planned");
        assert_eq!(session.start.nonce >> 32, u64::from(self.incarnation));
        assert_eq!(session.start.size, u64::from(work.job.size));
        assert_eq!(is_armed(Timer::SessionMax), !session.is_committing());
        assert!(session.id.is_some() || session.phase == Phase::Starting);
        assert!(
            session.id.is_some() || session.is_flushed(),
            "rows for a session without a name"
        );

        let mut rows = session.unasked.clone();
        let mut count = rows.count();
        for run in session.loads.values() {
            rows.insert(*run);
            count += run.count();
        }
        assert_eq!(rows.count(), count, "a row is asked for twice");
        assert!(
            rows.last().is_none_or(|last| last < work.job.size),
            "a row outside the job"
        );
        assert!(session.loads.len() <= self.config.loads_max.max(1));
        assert!(session.loads.is_empty() || self.connection.is_some());

        self.check_phase(work.job.size);
    }

    fn check_phase(&self, size: u32) {
        let Some(session) = &self.session else {
            return;
        };
        let is_armed = |timer| self.timers.is_armed(timer);
        let is_connected = self.connection.is_some();
        match &session.phase {
            Phase::Starting => {
                assert_eq!(is_armed(Timer::StartAck), is_connected);
                assert_eq!(is_armed(Timer::Reconnect), !is_connected);
                assert!(!is_armed(Timer::EndAck) && !is_armed(Timer::Rate));
            }
            Phase::Sending => {
                assert!(is_connected && !session.is_flushed());
                assert!(!is_armed(Timer::StartAck) && !is_armed(Timer::EndAck));
            }
            Phase::Ending => {
                assert!(is_connected && session.is_ended);
                assert_eq!(is_armed(Timer::EndAck), session.is_flushed());
            }
            Phase::Committing(commit) => {
                assert!(session.is_ended && session.is_flushed());
                assert_eq!(
                    commit.is_asked,
                    !is_armed(Timer::Commit),
                    "nobody is asked to commit"
                );
                let rows = &commit.acknowledgement;
                assert_eq!(Some(rows.session), session.id, "another session's verdict");
                assert!(rows.upto <= size);
                assert!(rows.failed.iter().all(|row| row.seq < rows.upto));
                assert!(rows.failed.windows(2).all(|pair| pair[0].seq < pair[1].seq));
            }
        }
        if matches!(session.phase, Phase::Sending | Phase::Ending) && session.loads.is_empty() {
            // Rows that nobody loads wait for the rate limit and for nothing else.
            assert_eq!(is_armed(Timer::Rate), session.unasked != Runs::new());
        }
    }
}
