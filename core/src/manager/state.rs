//! In which state an event finds the shard: a short label of the machine's state, for those who count what was
//! tried (the simulator's cells) and for people who read a trace. It decides nothing.

use super::event::{Event, Health, Unready};
use super::session::{Phase, Step};
use super::{Manager, Stopping};
use crate::id::{AgentId, SessionId};

/// The state of a session, for an event that is about one, or else of the shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// The shard has not heard yet that the Indexer is ready.
    Starting,
    /// The shard sends and admits.
    Serving,
    /// The Indexer takes no requests, or the lease is over.
    Unready,
    /// The shard was asked to stop.
    Stopping,
    /// There is no such session, or its lane is empty.
    Absent,
    /// The agent owes data or an End.
    Collecting,
    /// The plan is being made.
    Planning,
    /// An earlier session of its lane is not decided.
    Queued,
    /// A Full that waits for the end of a taint before it is listed.
    Unlisted,
    /// The listing is out.
    Listing,
    /// The listing failed, and is asked for again.
    ListingFailed,
    /// The comparison with the listing is out.
    Diffing,
    /// Operations are sent.
    Sending,
    /// Refusals are being judged.
    Judging,
    /// Its end is decided, and a request of it is not answered yet.
    Doomed,
    /// It has its verdict.
    Finished,
}

impl State {
    /// All states.
    pub const ALL: [Self; 16] = [
        Self::Starting,
        Self::Serving,
        Self::Unready,
        Self::Stopping,
        Self::Absent,
        Self::Collecting,
        Self::Planning,
        Self::Queued,
        Self::Unlisted,
        Self::Listing,
        Self::ListingFailed,
        Self::Diffing,
        Self::Sending,
        Self::Judging,
        Self::Doomed,
        Self::Finished,
    ];
}

impl<P> Manager<P> {
    /// The state of a session.
    #[must_use]
    pub fn state_of(&self, session: SessionId) -> State {
        let Some(known) = self.sessions.get(&session) else {
            return if self.finished.contains_key(&session) {
                State::Finished
            } else {
                State::Absent
            };
        };
        match &known.phase {
            Phase::Collecting => State::Collecting,
            Phase::Planning => State::Planning,
            Phase::Queued(_) => State::Queued,
            Phase::Delivering(delivery) if delivery.doom.is_some() => State::Doomed,
            Phase::Delivering(delivery) => match delivery.step {
                Step::Unlisted => State::Unlisted,
                Step::Listing => State::Listing,
                Step::ListingFailed => State::ListingFailed,
                Step::Diffing => State::Diffing,
                Step::Sending => State::Sending,
                Step::Judging => State::Judging,
            },
        }
    }

    /// The state of the shard as a whole.
    #[must_use]
    pub fn state(&self) -> State {
        if self.stopping != Stopping::No {
            State::Stopping
        } else if self.health == Health::Unready(Unready::Starting) {
            State::Starting
        } else if self.may_send() {
            State::Serving
        } else {
            State::Unready
        }
    }

    /// The state that an event meets: of the session that it is about (a Start: of the newest session of its
    /// lane; the answer to a request: of the first session in it), else of the shard.
    #[must_use]
    pub fn state_met_by(&self, event: &Event<P>) -> State {
        match event {
            Event::Start { peer, start, .. } => self.state_of_lane(peer.agent, &start.module),
            Event::Items { frame, .. } => self.state_of(frame.session),
            Event::End { session, .. }
            | Event::Planned { session, .. }
            | Event::Listed { session, .. }
            | Event::Diffed { session, .. }
            | Event::RefusalsJudged { session, .. } => self.state_of(*session),
            Event::Staged { upto: stage } | Event::StageFailed { stage } => self
                .stages
                .get(stage)
                .map_or(State::Absent, |open| self.state_of(open.session)),
            Event::BulkDone { bulk, .. } => self
                .dispatch
                .in_flight
                .get(bulk)
                .and_then(|flight| flight.parts.first())
                .map_or(State::Absent, |sent| self.state_of(sent.part.session)),
            Event::Tick
            | Event::WallClock { .. }
            | Event::Opened { .. }
            | Event::Closed { .. }
            | Event::Hello { .. }
            | Event::BadFrame { .. }
            | Event::Recorded { .. }
            | Event::RecordFailed { .. }
            | Event::LeaseUntil { .. }
            | Event::BoundRaised { .. }
            | Event::ClockFloor { .. }
            | Event::Health { .. }
            | Event::IndexChanged { .. }
            | Event::QuotaSlice { .. }
            | Event::TaintAll { .. }
            | Event::Floors { .. }
            | Event::Shutdown => self.state(),
        }
    }

    fn state_of_lane(&self, agent: AgentId, module: &str) -> State {
        let module = self.config.catalogue.module(module);
        module
            .and_then(|module| self.lanes.get(&(agent, module)))
            .and_then(|lane| lane.sessions.back())
            .map_or(State::Absent, |session| self.state_of(*session))
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
