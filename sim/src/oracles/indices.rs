//! The state of each index, as the coordinator tells it to the shards: why it changes, and that it changes
//! when it must (`docs/protocol.md` sections 4, 7 and 8).
//!
//! ```text
//!             the check fits                  blocked or closed
//!  NotReady ─────────────────▶ Open ─────────────────────────────▶ Paused
//!      ▲                      ▲ │ ▲            something is stored    │
//!      └── does not exist ────┼─┤ └──────────────────────────────────┘
//!                             │ └── most operations of several agents are refused ──▶ Held
//!                             └──────────────── an operator resumes it ─────────────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};

use inventory_sync_core::coordinator::{Command, Event, Observation, TemplateOutcome};
use inventory_sync_core::id::{AgentId, IndexId, SessionId};
use inventory_sync_core::manager::{self, IndexState, IndexTrouble, Tally};
use inventory_sync_core::time::Tick;

use super::Oracles;

/// Refusals count for so long.
const WINDOW_MS: u64 = 60_000;

/// An index is at fault when so many agents had refusals, or all that wrote to it.
const AGENTS_MIN: usize = 3;

/// What the shards told the coordinator of an index.
#[derive(Debug, Clone, Copy)]
struct Told {
    at: Tick,
    index: IndexId,
    agent: AgentId,
    stored: u64,
    refused: u64,
}

/// What the coordinator of the present process knows of the indices.
#[derive(Debug, Default)]
pub(super) struct Indices {
    /// What the shards were last told of each.
    states: BTreeMap<IndexId, IndexState>,
    reports: Vec<Told>,
    /// What operators were last shown of each.
    shown: BTreeMap<IndexId, (IndexState, String)>,
}

/// What the coordinator must say to what it hears.
#[derive(Debug)]
pub(crate) enum Word {
    /// These indices become open, and nothing else happens to any.
    Opens(Vec<IndexId>),
    /// It stays as it is, and operators are shown why.
    Says(IndexId, String),
    /// It stops taking operations: it is not ready, or paused.
    Stops(IndexId),
    /// Whether the refusals of this session are the fault of these indices; these are open again.
    Judges {
        session: SessionId,
        held: Vec<IndexId>,
        opens: Vec<IndexId>,
    },
    /// That follows from more than is known here.
    Anything,
}

impl Indices {
    fn state(&self, index: IndexId) -> IndexState {
        let state = self.states.get(&index).copied();
        state.unwrap_or(IndexState::NotReady)
    }

    fn is_paused(&self, index: IndexId) -> bool {
        matches!(self.state(index), IndexState::Paused { .. })
    }

    /// Takes in what a shard tells; the indices of which something was stored, and that are paused.
    fn report(&mut self, at: Tick, agent: AgentId, tallies: &[Tally]) -> Vec<IndexId> {
        self.reports.retain(|told| at.since(told.at) <= WINDOW_MS);
        let told = tallies.iter().map(|tally| Told {
            at,
            index: tally.index,
            agent,
            stored: tally.stored,
            refused: tally.refused,
        });
        self.reports.extend(told);
        let stored = tallies.iter().filter(|tally| tally.stored > 0);
        stored
            .map(|tally| tally.index)
            .filter(|index| self.is_paused(*index))
            .collect()
    }

    /// Whether not the documents but the index is to blame: from so many refusals on it may be.
    fn is_at_fault(&self, index: IndexId, refusals_min: u64) -> bool {
        let reports = || self.reports.iter().filter(|told| told.index == index);
        let refused: u64 = reports().map(|told| told.refused).sum();
        let stored: u64 = reports().map(|told| told.stored).sum();
        let writing: BTreeSet<AgentId> = reports().map(|told| told.agent).collect();
        let refusing: BTreeSet<AgentId> = reports()
            .filter(|told| told.refused > 0)
            .map(|told| told.agent)
            .collect();
        let agents_min = writing.len().min(AGENTS_MIN);
        self.state(index) == IndexState::Held
            || (refused >= refusals_min && refused > stored && refusing.len() >= agents_min)
    }
}

impl Oracles {
    /// The coordinator is about to hear something: what it must say of the indices.
    pub(crate) fn indices_heard(&mut self, event: &Event, refusals_min: u64) -> Word {
        let (now, checked) = (self.now, self.coordination.checked);
        let indices = &mut self.indices;
        match event {
            Event::Stored { agent, tallies } => Word::Opens(indices.report(now, *agent, tallies)),
            Event::Refusals {
                session,
                agent,
                tallies,
                ..
            } => {
                let opens = indices.report(now, *agent, tallies);
                let refused = tallies.iter().filter(|tally| tally.refused > 0);
                let held = refused
                    .map(|tally| tally.index)
                    .filter(|index| indices.is_at_fault(*index, refusals_min))
                    .collect();
                Word::Judges {
                    session: *session,
                    held,
                    opens,
                }
            }
            Event::ResumeIndex { index } if indices.state(*index) == IndexState::Held => {
                indices.reports.retain(|told| told.index != *index);
                Word::Opens(vec![*index])
            }
            Event::IndexTrouble { index, trouble } => match indices.state(*index) {
                IndexState::Open => Word::Stops(*index),
                IndexState::Paused { until } if now >= until => match trouble {
                    IndexTrouble::Missing => Word::Stops(*index),
                    IndexTrouble::Blocked | IndexTrouble::Forbidden => Word::Anything,
                },
                IndexState::Paused { .. } | IndexState::NotReady | IndexState::Held => {
                    Word::Opens(Vec::new())
                }
            },
            Event::TemplateChecked {
                outcome: TemplateOutcome::Different(why),
                ..
            } => match checked {
                Some(index) if indices.state(index) == IndexState::NotReady => {
                    Word::Says(index, why.clone())
                }
                _ => Word::Opens(Vec::new()),
            },
            Event::ResumeIndex { .. } | Event::WallClock { .. } => Word::Opens(Vec::new()),
            _ => Word::Anything,
        }
    }

    /// Operators are shown a state: once, and why, unless all is well.
    fn judge_shown(&mut self, index: IndexId, state: IndexState, detail: &str) {
        let shown = (state, detail.to_owned());
        let before = self.indices.shown.insert(index, shown.clone());
        let is_known = before.as_ref() == Some(&shown);
        if is_known || (state == IndexState::Open) != detail.is_empty() {
            let expected = format!("the state of index {index} once, and why: {before:?}");
            self.fail("O-12 index state", expected, format!("{shown:?}"));
        }
    }

    /// The coordinator has heard it, and this is what it says.
    pub(crate) fn indices_judged(&mut self, word: &Word, commands: &[Command]) {
        let mut changes = Vec::new();
        for command in commands {
            if let Command::Tell { event, .. } = command
                && let manager::Event::IndexChanged { index, state } = &**event
            {
                if self.indices.state(*index) == *state {
                    let expected = format!("a change of index {index}, once");
                    self.fail("O-12 index state", expected, format!("{state:?} again"));
                }
                let shows = |command: &Command| {
                    matches!(
                        command,
                        Command::Observe(Observation::Index { index: of, state: shown, .. })
                            if of == index && shown == state
                    )
                };
                if !commands.iter().any(shows) {
                    let expected = format!("operators are shown that index {index} is {state:?}");
                    self.fail("O-12 index state", expected, format!("{commands:?}"));
                }
                self.indices.states.insert(*index, *state);
                changes.push((*index, *state));
            }
            if let Command::Observe(Observation::Index {
                index,
                state,
                detail,
            }) = command
            {
                self.judge_shown(*index, *state, detail);
            }
        }
        let is_open = |index: &IndexId| changes.contains(&(*index, IndexState::Open));
        let is_right = match word {
            Word::Anything => true,
            Word::Opens(opens) => opens.iter().all(is_open) && changes.len() == opens.len(),
            Word::Says(index, why) => {
                let shown = self.indices.shown.get(index);
                changes.is_empty() && shown.is_some_and(|(_, detail)| detail == why)
            }
            Word::Stops(index) => {
                changes.len() == 1
                    && matches!(
                        self.indices.state(*index),
                        IndexState::NotReady | IndexState::Paused { .. }
                    )
            }
            Word::Judges {
                session,
                held,
                opens,
            } => {
                let says = |command: &Command| match command {
                    Command::Tell { event, .. } => matches!(
                        &**event,
                        manager::Event::RefusalsJudged { session: of, held: said }
                            if of == session && said == held
                    ),
                    _ => false,
                };
                let are_held = held
                    .iter()
                    .all(|index| self.indices.state(*index) == IndexState::Held);
                let opened = changes
                    .iter()
                    .filter(|(_, state)| *state == IndexState::Open);
                are_held
                    && opens.iter().all(is_open)
                    && opened.count() == opens.len()
                    && commands.iter().filter(|command| says(command)).count() == 1
            }
        };
        if !is_right {
            let seen = format!("{commands:?}");
            self.fail("O-12 index state", format!("{word:?}"), seen);
        }
    }
}
