//! Events counted apart, because nobody who reads a run need read them: the manager's first start, with which
//! every run begins, and what comes again and again while nothing happens.
//!
//! ```text
//!  Recovered ─▶ health, writer document, bound, lease, indices ─▶ nothing is pending ─▶ last letters ─▶ …
//!  └────────────────────────────── start ───────────────────────────────────────────────┘
//!  Tick, WallClock, the operator's rounds, the same health again, the lease renewed: routine
//! ```
//!
//! # Invariants
//!
//! * No event is counted twice: what is routine is no part of the start.
//! * Nothing here changes the world.

use inventory_sync_core::coordinator::{self, HealthOutcome, State, WriteOutcome};
use inventory_sync_core::manager;

use crate::manager_node::Process;

/// How many events were told that are counted apart.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// What the clock told, and the coordinator's questions by the clock when their answers were nothing new.
    pub(crate) routine: u64,
    /// What the coordinator was told, and the shards by it, until it first had nothing to wait for.
    pub(crate) starting: u64,
    /// Letters of the start that were not opened yet when the coordinator was ready.
    letters: u64,
    is_ready: bool,
    health: Option<HealthOutcome>,
}

impl Tally {
    /// The coordinator is told something, in this state. What is told by a deadline, the clock or the operator is
    /// counted where that comes from.
    pub(crate) fn coordinator_told(&mut self, state: State, event: &coordinator::Event) {
        use coordinator::Event;
        let is_routine = match event {
            Event::Tick | Event::WallClock { .. } | Event::ResumeIndex { .. } => return,
            Event::Health { outcome, .. } => {
                self.health.replace(*outcome).as_ref() == Some(outcome)
            }
            Event::WriterWritten {
                outcome: WriteOutcome::Written { .. },
                ..
            }
            | Event::Recorded { durable: true, .. } => state == State::Renewing,
            _ => false,
        };
        self.routine += u64::from(is_routine);
        self.starting += u64::from(!is_routine && !self.is_ready);
    }

    /// A shard is told something by the coordinator.
    pub(crate) fn shard_told<P>(&mut self, event: &manager::Event<P>) {
        use manager::Event;
        if !self.is_ready || self.letters > 0 {
            self.letters = self.letters.saturating_sub(1);
            self.starting += 1;
        } else if matches!(event, Event::LeaseUntil { .. } | Event::BoundRaised { .. }) {
            self.routine += 1;
        }
    }

    /// Looks whether the start is over.
    pub(crate) fn look(&mut self, process: Option<&Process>) {
        let Some(process) = process.filter(|_| !self.is_ready) else {
            return;
        };
        if process.coordinator.pending().is_none() {
            self.is_ready = true;
            let letters = process.shards.iter().map(|shard| shard.mail.len() as u64);
            self.letters = letters.sum();
        }
    }
}
