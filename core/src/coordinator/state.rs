//! In which state an event finds the coordinator: a short label, for those who count what was tried and for
//! people who read a trace. It decides nothing.

use super::writer::Step;
use super::{Coordinator, Stopping};

/// The state of the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// The store, the clock or the Indexer is missing.
    Waiting,
    /// The writer index and the writer document are looked at.
    Looking,
    /// Neither bound nor document: documents are counted.
    Counting,
    /// The first bound and the first lease are being written.
    Taking,
    /// The lease is held.
    Writing,
    /// The lease is held and being renewed.
    Renewing,
    /// A renewal has failed, and none has succeeded since.
    Failing,
    /// The lease has run out.
    Lapsed,
    /// A stop was asked for.
    Stopping,
    /// Everything is said.
    Ended,
}

impl State {
    /// All states.
    pub const ALL: [Self; 10] = [
        Self::Waiting,
        Self::Looking,
        Self::Counting,
        Self::Taking,
        Self::Writing,
        Self::Renewing,
        Self::Failing,
        Self::Lapsed,
        Self::Stopping,
        Self::Ended,
    ];
}

impl Coordinator {
    /// Its state; the lease is judged by the time of the last event.
    #[must_use]
    pub fn state(&self) -> State {
        match self.stopping {
            Stopping::Said => return State::Ended,
            Stopping::Asked | Stopping::Recording => return State::Stopping,
            Stopping::No => {}
        }
        match (self.writer.is_writing(), self.writer.step()) {
            (true, _) if self.now >= self.writer.lease_until => State::Lapsed,
            (true, _) if !self.writer.may_write(self.now) => State::Failing,
            (true, Step::Wait) => State::Writing,
            (true, _) => State::Renewing,
            (false, Step::Wait) => State::Waiting,
            (false, Step::Index | Step::Read) => State::Looking,
            (false, Step::Count) => State::Counting,
            (false, Step::Record { .. } | Step::Write { .. }) => State::Taking,
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
