//! The named timers of an agent machine: a fixed table, never a callback.

use crate::time::Tick;

/// Why an agent machine wants to be woken. Each deadline has exactly one of these reasons; of those that
/// are due together the first one here is served first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The job has used up `give_up_after_ms`.
    GiveUp,
    /// The session has lived for `session_max_ms`.
    SessionMax,
    /// The manager owes the answer to a Start.
    StartAck,
    /// The manager owes an answer to an End, or is to be asked for its verdict again.
    EndAck,
    /// A verdict that could not be committed is tried again.
    Commit,
    /// The next session may begin.
    Retry,
    /// A connection may be asked for again.
    Reconnect,
    /// The rate limit allows the next rows.
    Rate,
}

impl Timer {
    /// All timers, in the order in which they are served.
    pub const ALL: [Self; 8] = [
        Self::GiveUp,
        Self::SessionMax,
        Self::StartAck,
        Self::EndAck,
        Self::Commit,
        Self::Retry,
        Self::Reconnect,
        Self::Rate,
    ];
}

/// The table: one place for each timer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Timers {
    at: [Option<Tick>; Timer::ALL.len()],
}

impl Timers {
    /// Arms a timer, moving it if it is armed already. A deadline lies in the future, so that serving
    /// what is due always comes to an end.
    pub(super) fn arm(&mut self, timer: Timer, now: Tick, delay_ms: u64) {
        self.at[timer as usize] = Some(now + delay_ms.max(1));
    }

    pub(super) fn disarm(&mut self, timer: Timer) {
        self.at[timer as usize] = None;
    }

    pub(super) fn is_armed(&self, timer: Timer) -> bool {
        self.at[timer as usize].is_some()
    }

    /// Takes a timer if it is due.
    pub(super) fn take_due(&mut self, timer: Timer, now: Tick) -> bool {
        let place = &mut self.at[timer as usize];
        let is_due = place.is_some_and(|at| at <= now);
        if is_due {
            *place = None;
        }
        is_due
    }

    /// The earliest deadline and its reason.
    pub(super) fn next(&self) -> Option<(Tick, Timer)> {
        Timer::ALL
            .into_iter()
            .filter_map(|timer| self.at[timer as usize].map(|at| (at, timer)))
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_deadline_is_next_and_the_table_decides_ties() {
        let mut timers = Timers::default();
        assert_eq!(timers.next(), None);
        timers.arm(Timer::Rate, Tick(0), 10);
        timers.arm(Timer::StartAck, Tick(0), 10);
        timers.arm(Timer::GiveUp, Tick(0), 11);
        assert_eq!(timers.next(), Some((Tick(10), Timer::StartAck)));
        timers.disarm(Timer::StartAck);
        assert_eq!(timers.next(), Some((Tick(10), Timer::Rate)));
    }

    #[test]
    fn a_timer_is_taken_once_and_never_early() {
        let mut timers = Timers::default();
        timers.arm(Timer::Retry, Tick(5), 0);
        assert!(
            !timers.take_due(Timer::Retry, Tick(5)),
            "a deadline lies in the future"
        );
        assert!(timers.take_due(Timer::Retry, Tick(6)));
        assert!(!timers.take_due(Timer::Retry, Tick(7)));
    }

    #[test]
    fn every_timer_has_its_own_place() {
        for (place, timer) in Timer::ALL.into_iter().enumerate() {
            assert_eq!(timer as usize, place);
        }
    }
}
