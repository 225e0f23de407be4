//! What may happen next.

use std::fmt;

/// A step of a small world. Agents are numbered from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// The manager reads the next frame of an agent.
    Up(usize),
    /// An agent reads the next frame of the manager.
    Down(usize),
    /// The oldest open write is stored.
    Stored,
    /// The oldest listing is answered.
    Listed,
    /// A request is answered, by its place among those that are out.
    Answer(usize, Fate),
    /// A write that was given up is applied after all.
    ApplyLate(usize),
    /// A write that was given up never comes.
    ForgetLate(usize),
    /// The manager's timer is served.
    TickManager,
    /// An agent's timer is served.
    TickAgent(usize),
    /// Time passes up to the next deadline. A fault, while something else could happen.
    Pass,
    /// The next frame of an agent is lost.
    LoseUp(usize),
    /// The next frame to an agent is lost.
    LoseDown(usize),
    /// The manager reads the next frame of an agent, and will read it again.
    RepeatUp(usize),
    /// An agent reads the next frame to it, and will read it again.
    RepeatDown(usize),
    /// A connection breaks, with all that is on its way.
    Break(usize),
    /// The oldest open write fails.
    StoreFails,
    /// The oldest listing fails.
    ListingFails,
    /// The manager's process dies and starts again, with a wall clock that stands back.
    Crash,
}

/// How the Indexer answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// Everything is applied.
    Stored,
    /// Nothing is applied, for load (429).
    Overloaded,
    /// Everything is applied, and the answer is lost.
    AnswerLost,
    /// Nothing was applied, and nothing will be; the answer is lost.
    RequestLost,
    /// Nothing is applied yet; the request is given up.
    Late,
    /// The first operation is refused for good; the others are applied.
    RefusesFirst,
    /// The first operation fails (503) and may come late; the others are applied.
    FirstUnknown,
    /// Somebody else has just written the first document, with a higher version.
    Foreign,
}

impl Fate {
    /// Those that are faults.
    pub(super) const FAULTS: [Self; 7] = [
        Self::Overloaded,
        Self::AnswerLost,
        Self::RequestLost,
        Self::Late,
        Self::RefusesFirst,
        Self::FirstUnknown,
        Self::Foreign,
    ];
}

impl Action {
    /// Whether it is a fault. Passing time is judged by what else could happen.
    pub(super) const fn is_fault(self) -> bool {
        match self {
            Self::Up(_)
            | Self::Down(_)
            | Self::Stored
            | Self::Listed
            | Self::Answer(_, Fate::Stored)
            | Self::ApplyLate(_)
            | Self::ForgetLate(_)
            | Self::TickManager
            | Self::TickAgent(_)
            | Self::Pass => false,
            Self::Answer(..)
            | Self::LoseUp(_)
            | Self::LoseDown(_)
            | Self::RepeatUp(_)
            | Self::RepeatDown(_)
            | Self::Break(_)
            | Self::StoreFails
            | Self::ListingFails
            | Self::Crash => true,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up(agent) => write!(f, "the manager reads from agent {agent}"),
            Self::Down(agent) => write!(f, "agent {agent} reads"),
            Self::Stored => f.write_str("a write is stored"),
            Self::Listed => f.write_str("a listing is answered"),
            Self::Answer(_, fate) => write!(f, "the Indexer answers: {fate:?}"),
            Self::ApplyLate(_) => f.write_str("a write that was given up is applied"),
            Self::ForgetLate(_) => f.write_str("a write that was given up never comes"),
            Self::TickManager => f.write_str("a timer of the manager"),
            Self::TickAgent(agent) => write!(f, "a timer of agent {agent}"),
            Self::Pass => f.write_str("time passes"),
            Self::LoseUp(agent) => write!(f, "a frame of agent {agent} is lost"),
            Self::LoseDown(agent) => write!(f, "a frame to agent {agent} is lost"),
            Self::RepeatUp(agent) => write!(f, "a frame of agent {agent} comes twice"),
            Self::RepeatDown(agent) => write!(f, "a frame to agent {agent} comes twice"),
            Self::Break(agent) => write!(f, "the connection of agent {agent} breaks"),
            Self::StoreFails => f.write_str("a write fails"),
            Self::ListingFails => f.write_str("a listing fails"),
            Self::Crash => f.write_str("the manager crashes"),
        }
    }
}
