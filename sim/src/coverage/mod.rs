//! What a campaign has tried: each event in each state that a machine can be in, each command, each reason an
//! agent can be told. A simulator that never does a thing proves nothing about it.
//!
//! ```text
//!  event ──▶ (state that it meets, kind) ──▶ a cell of its machine's table ─┐
//!  command ──▶ kind ────────────────────────────────────────────────────────┼─▶ Report ──▶ merged over runs
//!  answer ──▶ reason ───────────────────────────────────────────────────────┘        │
//!                        unreachable cells, each with its reason ────────────────────┴─▶ gaps, surprises
//! ```
//!
//! # Invariants
//!
//! * What is [unreachable](unreachable::UNREACHABLE) is listed with its reason; what is listed and happens is
//!   as much of a finding as what is not listed and does not.
//! * Counting changes nothing in a run.

mod kinds;
mod unreachable;

use std::fmt::{self, Debug};

use inventory_sync_core::wire::Reason;
use inventory_sync_core::{agent, coordinator, manager};

use crate::network::Packet;
use crate::store::Scanned;

/// A kind of machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Machine {
    /// A shard of the manager.
    Shard,
    /// The manager's coordinator.
    Coordinator,
    /// An agent's machine.
    Agent,
}

impl Machine {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Shard, Self::Coordinator, Self::Agent];

    fn name(self) -> &'static str {
        match self {
            Self::Shard => "shard",
            Self::Coordinator => "coordinator",
            Self::Agent => "agent",
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What can happen, and is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// An event in a state.
    Cell {
        /// Whose.
        machine: Machine,
        /// The state.
        state: String,
        /// The kind of event.
        event: &'static str,
    },
    /// A command.
    Command {
        /// Whose.
        machine: Machine,
        /// The kind of command.
        command: &'static str,
    },
    /// An answer to an agent with this reason.
    Reason(Reason),
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cell {
                machine,
                state,
                event,
            } => write!(f, "{machine} told {event} while {state}"),
            Self::Command { machine, command } => write!(f, "{machine} asks {command}"),
            Self::Reason(reason) => write!(f, "an answer with {reason}"),
        }
    }
}

/// The counters of one kind of machine.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Table {
    machine: Machine,
    states: Vec<String>,
    events: &'static [&'static str],
    commands: &'static [&'static str],
    /// By state, then by event.
    cells: Box<[u64]>,
    asked: Box<[u64]>,
}

impl Table {
    fn new(
        machine: Machine,
        states: &[impl Debug],
        events: &'static [&'static str],
        commands: &'static [&'static str],
    ) -> Self {
        Self {
            machine,
            states: states.iter().map(|state| format!("{state:?}")).collect(),
            events,
            commands,
            cells: vec![0; states.len() * events.len()].into(),
            asked: vec![0; commands.len()].into(),
        }
    }

    fn meet(&mut self, state: usize, event: usize) {
        self.cells[state * self.events.len() + event] += 1;
    }

    fn merge(&mut self, other: &Self) {
        for (own, others) in self.cells.iter_mut().zip(&other.cells) {
            *own += others;
        }
        for (own, others) in self.asked.iter_mut().zip(&other.asked) {
            *own += others;
        }
    }

    fn marks(&self) -> impl Iterator<Item = (Mark, u64)> + '_ {
        let machine = self.machine;
        let cells = self.cells.iter().enumerate().map(move |(place, count)| {
            let mark = Mark::Cell {
                machine,
                state: self.states[place / self.events.len()].clone(),
                event: self.events[place % self.events.len()],
            };
            (mark, *count)
        });
        let asked = self.commands.iter().zip(&self.asked);
        let asked = asked.map(move |(command, count)| (Mark::Command { machine, command }, *count));
        cells.chain(asked)
    }
}

/// The counters of a run, or of many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    shard: Table,
    coordinator: Table,
    agent: Table,
    reasons: Box<[u64]>,
}

impl Default for Coverage {
    fn default() -> Self {
        Self {
            shard: Table::new(
                Machine::Shard,
                &manager::State::ALL,
                kinds::SHARD_EVENTS,
                kinds::SHARD_COMMANDS,
            ),
            coordinator: Table::new(
                Machine::Coordinator,
                &coordinator::State::ALL,
                kinds::COORDINATOR_EVENTS,
                kinds::COORDINATOR_COMMANDS,
            ),
            agent: Table::new(
                Machine::Agent,
                &agent::State::ALL,
                kinds::AGENT_EVENTS,
                kinds::AGENT_COMMANDS,
            ),
            reasons: vec![0; Reason::ALL.len()].into(),
        }
    }
}

impl Coverage {
    pub(crate) fn shard_told(&mut self, state: manager::State, event: &manager::Event<Scanned>) {
        self.shard.meet(state as usize, kinds::shard_event(event));
    }

    pub(crate) fn shard_asked(&mut self, command: &manager::Command<Scanned>) {
        self.shard.asked[kinds::shard_command(command)] += 1;
    }

    pub(crate) fn coordinator_told(
        &mut self,
        state: coordinator::State,
        event: &coordinator::Event,
    ) {
        let kind = kinds::coordinator_event(event);
        self.coordinator.meet(state as usize, kind);
    }

    pub(crate) fn coordinator_asked(&mut self, command: &coordinator::Command) {
        self.coordinator.asked[kinds::coordinator_command(command)] += 1;
    }

    pub(crate) fn agent_told(&mut self, state: agent::State, event: &agent::Event<Packet>) {
        self.agent.meet(state as usize, kinds::agent_event(event));
    }

    pub(crate) fn agent_asked(&mut self, command: &agent::Command<Packet>) {
        self.agent.asked[kinds::agent_command(command)] += 1;
    }

    pub(crate) fn answered(&mut self, reason: Reason) {
        let place = Reason::ALL.iter().position(|known| *known == reason);
        self.reasons[place.unwrap_or(0)] += 1;
    }

    /// Adds what another run has tried.
    pub fn merge(&mut self, other: &Self) {
        self.shard.merge(&other.shard);
        self.coordinator.merge(&other.coordinator);
        self.agent.merge(&other.agent);
        for (own, others) in self.reasons.iter_mut().zip(&other.reasons) {
            *own += others;
        }
    }

    /// Everything that is counted, with how often it happened.
    pub fn marks(&self) -> impl Iterator<Item = (Mark, u64)> + '_ {
        let reasons = Reason::ALL.iter().zip(&self.reasons);
        let tables = [&self.shard, &self.coordinator, &self.agent];
        tables
            .into_iter()
            .flat_map(Table::marks)
            .chain(reasons.map(|(reason, count)| (Mark::Reason(*reason), *count)))
    }

    /// How many cells there are, how many of them happened and how many are unreachable.
    #[must_use]
    pub fn cells(&self) -> (usize, usize, usize) {
        let (mut all, mut happened, mut excused) = (0, 0, 0);
        for (mark, count) in self.marks() {
            if matches!(mark, Mark::Cell { .. }) {
                all += 1;
                happened += usize::from(count > 0);
                excused += usize::from(Self::unreachable(&mark).is_some());
            }
        }
        (all, happened, excused)
    }

    /// Why a thing cannot happen, if it cannot.
    #[must_use]
    pub fn unreachable(mark: &Mark) -> Option<&'static str> {
        unreachable::UNREACHABLE
            .iter()
            .find(|row| row.names(mark))
            .map(|row| row.why)
    }

    /// Whether a thing is known to need so rare a coincidence that a campaign may miss it.
    #[must_use]
    pub fn is_rare(mark: &Mark) -> bool {
        unreachable::RARE.iter().any(|row| row.names(mark))
    }

    /// What never happened and is known neither to be unreachable nor to be rare.
    #[must_use]
    pub fn gaps(&self) -> Vec<Mark> {
        let is_excused = |mark: &Mark| Self::unreachable(mark).is_some() || Self::is_rare(mark);
        self.marks()
            .filter(|(mark, count)| *count == 0 && !is_excused(mark))
            .map(|(mark, _)| mark)
            .collect()
    }

    /// What happened although it is held to be unreachable, with the reason that is wrong.
    #[must_use]
    pub fn surprises(&self) -> Vec<(Mark, &'static str)> {
        self.marks()
            .filter(|(_, count)| *count > 0)
            .filter_map(|(mark, _)| Self::unreachable(&mark).map(|why| (mark, why)))
            .collect()
    }
}
