//! In which state an event finds an agent machine: a short label, for those who count what was tried and for
//! people who read a trace. It decides nothing.

use super::Agent;
use super::session::Phase;
use super::timers::Timer;

/// The state of an agent machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// There is no job.
    Idle,
    /// A job waits for the end of a backoff.
    Backoff,
    /// A job waits for a connection.
    Connecting,
    /// A Start is to be answered.
    Starting,
    /// Rows are on their way.
    Sending,
    /// An End was sent.
    Ending,
    /// The manager has said Processing.
    Processing,
    /// A verdict is being made durable.
    Committing,
    /// It was stopped: no job is taken.
    Stopped,
}

impl State {
    /// All states.
    pub const ALL: [Self; 9] = [
        Self::Idle,
        Self::Backoff,
        Self::Connecting,
        Self::Starting,
        Self::Sending,
        Self::Ending,
        Self::Processing,
        Self::Committing,
        Self::Stopped,
    ];
}

impl Agent {
    /// Its state.
    #[must_use]
    pub fn state(&self) -> State {
        let Some(session) = &self.session else {
            return match &self.work {
                None if self.is_stopping => State::Stopped,
                None => State::Idle,
                Some(_) if self.timers.is_armed(Timer::Retry) => State::Backoff,
                Some(_) => State::Connecting,
            };
        };
        match session.phase {
            Phase::Committing(_) => State::Committing,
            Phase::Starting => State::Starting,
            Phase::Sending | Phase::Ending if session.is_processing => State::Processing,
            Phase::Sending => State::Sending,
            Phase::Ending => State::Ending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_stands_once_in_its_order() {
        for (place, state) in State::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, place);
        }
    }
}
